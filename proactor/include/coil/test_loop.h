/* SPDX-License-Identifier: MIT */
/*
 * coil/test_loop.h - for tests: a loop whose clock jumps instead of waiting.
 *
 *     coil_test_loop_create(&loop, NULL)                  in place of coil_loop_create()
 *     coil_spawn(coil_loop_root(loop), heartbeat(peer))
 *     coil_test_settle(loop)                              until everything waits; time stands still
 *     EXPECT_EQ(1, beats)
 *     coil_test_pass(loop, coil_s(3600))                  an hour passes, in no time
 *     EXPECT_EQ(61, beats)
 *     coil_loop_shutdown(loop, coil_s(1))
 *     coil_loop_destroy(loop)
 *
 * It is a loop on the real kernel, and everything works on it: sockets, pipes, files, children. But
 * time stands still while anything can be done. In coil_loop_run() and its like it jumps to the
 * next deadline when no task is ready, no call is scheduled and no completion has come. So a test
 * of a timeout of an hour takes no time, and each run of it sees the same times in the same order.
 *
 * coil_now(), coil_loop_now(), deadlines, sleeps and calls follow that clock; coil_kernel_now() and
 * other programs do not. It begins at COIL_TEST_EPOCH.
 *
 * What comes at once: everything between two ends that this thread holds, such as a socket pair or
 * a connection over loopback. What a thread of the kernel does (open, close, fsync, statx) is
 * waited for, up to a second. What others do, in their own time, is not: for other threads,
 * children, and files that are not in memory, set a patience.
 *
 * If no deadline is left either, the loop waits in real time. After ten seconds of that, the tasks
 * are printed on stderr with where they wait, and the run ends with -EDEADLK: a test that hangs
 * says why.
 *
 * trio: autojump_clock, wait_all_tasks_blocked; Twisted: Clock.
 */
#ifndef COIL_TEST_LOOP_H
#define COIL_TEST_LOOP_H

#include <coil/loop.h>

COIL_BEGIN_DECLS

/* What the clock of every test loop shows at first. */
#define COIL_TEST_EPOCH INT64_C(1000000000000)

/* As coil_loop_create(), with the same errors. Ends with coil_loop_destroy(). */
COIL_API int coil_test_loop_create(coil_loop **out_loop, char *out_reason);

/* Before the clock jumps, wait for completions this long, in real time. At first 0. */
COIL_API void coil_test_patience(coil_loop *loop, coil_duration patience);

/*
 * Run until every task waits, and for nothing that can come at once. Time stands still. Not inside
 * a running loop. A task that yields for ever keeps it from returning; coil_loop_stop() does not.
 */
COIL_API void coil_test_settle(coil_loop *loop);

/* Settle, and let `duration` pass from deadline to deadline; settle at each of them. */
COIL_API void coil_test_pass(coil_loop *loop, coil_duration duration);

COIL_END_DECLS

#endif
