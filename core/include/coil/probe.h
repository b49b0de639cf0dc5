/* SPDX-License-Identifier: MIT */
/*
 * coil/probe.h - static probes (USDT): what bpftrace, perf and gdb can attach to in any program.
 *
 * Provider `coil`, the arguments in this order. Nothing is to be called here;
 * docs/guide/profiling.md shows how the probes are used.
 *
 *     probe      when                            arguments
 *     submit     a request is put into the       const char *operation, coil_op *op,
 *                submission queue                coil_task *task
 *     complete   its completion is taken off     coil_op *op, int32_t result, uint32_t flags,
 *                the completion queue            const char *operation, coil_task *task
 *     wake       a task that waits is ready      coil_task *task, const char *name
 *     resume     a task begins to run            coil_task *task, const char *name,
 *                                                const char *leaf
 *     suspend    it has to wait                  coil_task *task, const char *name,
 *                                                const char *leaf, const char *file, int32_t line
 *     spawn      a task has joined a group       coil_task *task, const char *name,
 *                                                coil_group *group
 *     end        a task has its result           coil_task *task, const char *name,
 *                                                int64_t result
 *     slow_step  debug mode or the watchdog      coil_task *task, const char *name,
 *                reports a step                  int64_t duration_ns
 *
 *   - `operation` is the awaitable or, of what the library itself asks of the kernel, the part of
 *     it that asks. The task is the one that the op wakes, or 0: a loop's or a connection's own op
 *     wakes whoever waits then.
 *   - A request whose `flags` have IORING_CQE_F_MORE (bit 1) completes again. All others complete
 *     once. The kernel gets a request when the loop enters it, up to one round after `submit`.
 *   - `name` is what coil_task_name() says. `leaf` is the innermost coroutine or awaitable:
 *     what the task has waited for (resume; at first its coroutine) or waits for (suspend).
 *     `file` and `line` are those of the await in the innermost body.
 *   - No `wake` comes between `spawn` and the first `resume`, nor after coil_yield(), nor if the
 *     task waited before the first tool attached, or was woken before it waited.
 *   - Every task that is spawned ends, with one `spawn` and one `end`. A task that ends has no
 *     `suspend` after its last `resume`. `result` is 0 where the coroutine's is neither an integer
 *     nor a struct that begins with an int64_t.
 *   - The watchdog looks from another thread, and knows the name, but not the task: it is 0 then.
 *
 * What they cost: `submit`, `complete` and `slow_step` one nop, their arguments lie where the code
 * has them anyway. `wake`, `resume`, `suspend` and `end` are not on the ordinary way at all: while
 * one of them, or `spawn`, is attached, a counter is not 0 (a USDT semaphore, which the kernel
 * counts); each round of the scheduler asks it once and then takes another way. So does a spawn.
 *
 * They are there if <sys/sdt.h> was when Coil was built, and COIL_PROBES was not off.
 */
#ifndef COIL_PROBE_H
#define COIL_PROBE_H

#include <coil/base.h>

/* ------------------------------------------------------------------------ behind the macros -- */

#ifdef COIL_PROBES

#ifdef __clang__
#define STAP_SDT_ARG_CONSTRAINT nr /* It would copy every argument to the stack. */
#endif
#define SDT_USE_VARIADIC
/* NOLINTNEXTLINE(*-reserved-identifier,*-identifier-naming): <sys/sdt.h> asks for it. */
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

COIL_BEGIN_DECLS

/* How many tools have attached to the probe; the first five are one counter. Not exported. */
extern unsigned short coil_resume_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_wake_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_suspend_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_spawn_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_end_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_submit_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_complete_semaphore __attribute__((visibility("hidden")));
extern unsigned short coil_slow_step_semaphore __attribute__((visibility("hidden")));

COIL_END_DECLS

#define COIL_PROBE(...) STAP_PROBEV(coil, __VA_ARGS__)
#define COIL_PROBED() coil_unlikely(coil_resume_semaphore != 0)

#else

#define COIL_PROBE(...) ((void)0)
#define COIL_PROBED() 0

#endif

#endif
