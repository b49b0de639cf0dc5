/* SPDX-License-Identifier: MIT */
/*
 * coil/sim.h - programs on a simulated kernel: one seed, one schedule, days in seconds.
 *
 * A world has hosts, programs and processes. A program is a function like main(), registered under
 * a path; it is ordinary code, made of Coil, and compiled once more for the simulation (coil_sim).
 * All that it asks of the kernel is answered by the world: time passes only while nothing can run,
 * so that a sleep of a month takes no time, and what the kernel may do in this order or in that is
 * decided by chance. Everything follows from the seed: the same one gives the same run, on every
 * machine.
 *
 *     coil_sim *sim = coil_sim_create(seed);
 *     coil_sim_program(sim, "/usr/bin/hello", hello_main);
 *     pid_t pid = coil_sim_start(sim, "alpha", "/usr/bin/hello", NULL);
 *     COIL_CHECK(coil_sim_run(sim, COIL_FOREVER) == COIL_SIM_ENDED);
 *     COIL_CHECK(coil_sim_status(sim, pid) == 0);
 *     coil_sim_destroy(sim);
 *
 * A world that finds a bug (a write into memory that is the kernel's, a ring closed with requests
 * in flight) says what it has found and calls abort(3), as it does without memory of its own.
 *
 * Everything here is for the code around a simulation: before, between and after coil_sim_run().
 * Simulated processes may call it, too, a director above all (coil/sim_scenario.h), but for
 * coil_sim_create(), coil_sim_run() and coil_sim_destroy(). Not thread safe; one world at a time,
 * and no thread of the operating system but the one that runs it. Strings are copied. Of a pid that
 * nobody has, nothing happens, unless an error is named.
 *
 * The seed decides what the world does, not what a program asks the real one for. Runs differ if it
 * looks at addresses (sorts or hashes by pointer), at memory that it has not written, or at what
 * libc gives it without Coil: time(2), random(3), files, the environment, threads.
 */
#ifndef COIL_SIM_H
#define COIL_SIM_H

#include <coil/base.h>
#include <coil/time.h>

#include <stdint.h>
#include <sys/types.h>

COIL_BEGIN_DECLS

typedef struct coil_sim coil_sim;

/*
 * A kind world: things happen in any order and take their time, and nothing goes wrong. Never NULL;
 * destroyed by coil_sim_destroy(). While there is another one, it is a bug (abort(3)).
 */
COIL_API coil_sim *coil_sim_create(uint64_t seed);

/* Ends what still runs, without a word; all that the world has returned is gone. Takes NULL. */
COIL_API void coil_sim_destroy(coil_sim *sim);

/* What may go wrong. */
typedef enum coil_sim_profile {
    COIL_SIM_KIND,    /* Nothing. */
    COIL_SIM_FLAKY,   /* Now and then what a program has to expect every day. */
    COIL_SIM_HOSTILE, /* Often, and what is rare, too. */
    COIL_SIM_SWARM,   /* Some of that, not all; which, and how often, follows from the seed. */
} coil_sim_profile;

/*
 * From now on; in place of what coil_sim_set_fault() has said. Only COIL_SIM_SWARM touches
 * "preempt" and "cancel-ends-last", which are the order of things and no faults.
 */
COIL_API void coil_sim_set_profile(coil_sim *sim, coil_sim_profile profile);

/*
 * One fault by its name, "short-read", from now on as often in a million as said. 0: never; from
 * 1000000: always. 0, or -ENOENT: there is no such fault. The names are what coil_sim_fault_name()
 * gives for 0, 1, 2 ... until it is NULL; they are constant.
 */
COIL_API int coil_sim_set_fault(coil_sim *sim, const char *fault, uint32_t ppm);
COIL_API const char *coil_sim_fault_name(size_t place);

/*
 * How often a fault has struck so far, or all of them together (NULL), apart from "preempt" and
 * "cancel-ends-last". coil_sim_fail_allocation() and the like count as "nth-allocation",
 * "nth-submission", "nth-completion". 0 for what is unknown.
 */
COIL_API uint64_t coil_sim_fault_count(const coil_sim *sim, const char *fault);

/*
 * There is an executable at `path`, on all hosts: for coil_sim_start(), and for processes that
 * spawn it. Once more with the same path: from now on it is another function. The status of a
 * process whose `main` returns is that & 0xff.
 */
COIL_API void coil_sim_program(coil_sim *sim, const char *path, int (*main)(int argc, char **argv));

/*
 * Start the program at `path` on a host, which begins to exist with its first mention, and has
 * power from now on. `arguments` ends with NULL and begins with the name; they are copied. NULL:
 * the path alone. The pid, or -ENOENT. No fault keeps it from starting; it runs in coil_sim_run(),
 * in an order with the others that chance decides.
 *
 * It has /dev/null at descriptor 0, and 1 and 2 are kept for coil_sim_get_output(). This is what
 * coil_write() writes to; stdio of libc is that of the real process (a printf() is seen at once).
 *
 * exit(3), _exit(2), quick_exit(3) and abort(3) end the process, not the simulation; what atexit(3)
 * has registered is not run. raise(3) and kill(2) are real: use coil/kernel.h.
 */
COIL_API pid_t coil_sim_start(
        coil_sim *sim, const char *host, const char *path, char *const *arguments);

/*
 * A failed COIL_CHECK or assert(3) in this process, or in a child that it starts from now on, is no
 * bug: it ends by SIGABRT. In any other process it is one that the simulation has found. abort(3)
 * without a check ends a process by SIGABRT in any case.
 */
COIL_API void coil_sim_may_abort(coil_sim *sim, pid_t pid);

/*
 * The `count`-th allocation of the process since its start, from 1, finds no memory. 0: none does.
 * What counts is malloc(3) and its kin, called by what is linked statically.
 */
COIL_API void coil_sim_fail_allocation(coil_sim *sim, pid_t pid, uint64_t count);

/*
 * The `count`-th request that the process submits from now, from 1, ends at once with `error`, a
 * negative errno. 0 for `count`: none does. 0 for `error`: -ENOMEM.
 */
COIL_API void coil_sim_fail_submission(coil_sim *sim, pid_t pid, uint64_t count, int error);

/*
 * The `count`-th time from now, from 1, that the kernel comes to carry out a request of the
 * process, it ends with `error` instead, and has no effect. 0 for `error`: -ECONNRESET on sockets,
 * else -EIO. Requests that cannot fail so (nop, close) do not count.
 */
COIL_API void coil_sim_fail_completion(coil_sim *sim, pid_t pid, uint64_t count, int error);

/*
 * Impose a recording (coil/recorder.h) on the process, which has not run yet: loop by loop, what it
 * submits is matched with what is recorded, each operation on each descriptor in its order, and is
 * completed in the recorded order, with the recorded results, not before the recorded time. The
 * text may have several recordings of a loop: the last one counts. It is copied.
 *
 * - Descriptors are the same in the order of their appearance, whatever their numbers are.
 * - Bytes come from whom they come from in this world; how many at a time, is recorded. They are
 *   waited for, as are connections and whatever else there has to be before something can succeed.
 * - A submission that is not recorded, a result that cannot be had here, an end before that of the
 *   recording: the run fails and says at which entry. Behind its last entry the kernel is free.
 * - If the beginning was overwritten, the kernel is free for as many submissions as are missing,
 *   and the first entry is imposed on the next one. What was in flight then completes when it
 *   likes.
 * - Calls past the ring, timers and other threads are as the simulation has them; no fault hits the
 *   process but those that are recorded.
 *
 * 0; -ESRCH; -ENOENT, no recording of a loop 1 is in there; -EINVAL, there is a line in it that
 * makes no sense.
 */
COIL_API int coil_sim_replay(coil_sim *sim, pid_t pid, const char *recording);

/* Say what it has not freed, and which descriptors it has not closed, when it ends by itself. */
COIL_API void coil_sim_report_leaks(coil_sim *sim, pid_t pid);

/*
 * A process, and the children that it starts from now on, have so many descriptors at most
 * (getrlimit(2), RLIMIT_NOFILE; at first 20,000): the next one is -EMFILE. -ESRCH
 */
COIL_API int coil_sim_set_descriptor_limit(coil_sim *sim, pid_t pid, unsigned count);

typedef enum coil_sim_outcome {
    COIL_SIM_ENDED, /* All processes have ended. */
    COIL_SIM_STUCK, /* Some have not, and never will: nobody can run, and nothing is to come. */
    COIL_SIM_LATE,  /* The time is over. */
} coil_sim_outcome;

/*
 * Let so much virtual time pass, or less if nothing is left to be done. Can be called again, also
 * after COIL_SIM_STUCK, when something has been changed. If it is stuck, it says on stderr who
 * waits for what, down to the tasks. A program that computes for ever is not seen: no time passes
 * for it.
 */
COIL_API coil_sim_outcome coil_sim_run(coil_sim *sim, coil_duration limit);

/*
 * How a process that coil_sim_start() has started has ended: the status of its exit, from 0, or the
 * signal that has ended it, negative: -SIGKILL. It can be asked as often as one likes. -EBUSY: it
 * has not ended. -ESRCH: there is none, or its host has lost its power. (Two signals have the
 * numbers of these errors: SIGSTKFLT, which nobody sends, and SIGQUIT.)
 */
COIL_API int coil_sim_status(const coil_sim *sim, pid_t pid);

/*
 * How many allocations it had not freed when it ended by itself: by exit(3), or by a return from
 * main(), which may keep what its variables lead to (COIL_PROCESS_WIDE, COIL_THREAD_LOCAL). 0 for
 * one that runs, or was killed.
 */
COIL_API uint64_t coil_sim_leaks(const coil_sim *sim, pid_t pid);

/* How many descriptors it had opened, and not closed, when it ended by itself. Else 0. */
COIL_API unsigned coil_sim_open_descriptors(const coil_sim *sim, pid_t pid);

/*
 * What a process that was started by coil_sim_start() has written to its descriptors 1 and 2, and
 * its children that have inherited them: the last MiB, with a zero behind it. Valid until more is
 * written. Also after its end. NULL: no such process.
 */
COIL_API const char *coil_sim_get_output(const coil_sim *sim, pid_t pid);

/*
 * Send a signal to a process, as the superuser does: now, or in its `call`-th call of the seam from
 * now (from 1; 0: never), which it does not make any more if the signal is deadly. 0; -ESRCH,
 * -EINVAL: `signo` is not from 1 to 64.
 */
COIL_API int coil_sim_kill(coil_sim *sim, pid_t pid, int signo);
COIL_API int coil_sim_kill_at_call(coil_sim *sim, pid_t pid, uint64_t call, int signo);

/*
 * The power of a host goes: all its processes end at one instant and nothing is left to be reaped,
 * no peer in the network hears of it, and of what was not synced to its disk some is lost, some
 * torn (coil/sim_disk.h). The host is off, and answers nobody, until a program is started on it;
 * then it resets what it does not know any more. Also from a process; from one of the host itself
 * it does not return.
 */
COIL_API void coil_sim_cut_power(coil_sim *sim, const char *host);

/*
 * The wall clock of a host (CLOCK_REALTIME, not that of deadlines) has been set: from now on it is
 * so much ahead of what it would have been, or, if negative, behind. 0: as at first.
 */
COIL_API void coil_sim_set_clock(coil_sim *sim, const char *host, coil_duration ahead);

/*
 * How many processes there are that have not been reaped: zombies, too, and those that
 * coil_sim_start() has started, which stay until the end of the world.
 */
COIL_API size_t coil_sim_process_count(const coil_sim *sim);

/* The time of the world, as coil_now() has it. */
COIL_API coil_time coil_sim_now(const coil_sim *sim);

/*
 * How much has been done: requests to rings, further completions of multishot ones, and calls that
 * do the same without a ring.
 */
COIL_API uint64_t coil_sim_operations(const coil_sim *sim);

/*
 * A sum of all that has happened, with its times: equal for equal runs, and hardly ever for others.
 * Another version of Coil may have other runs.
 */
COIL_API uint64_t coil_sim_fingerprint(const coil_sim *sim);

COIL_END_DECLS

#endif
