/* SPDX-License-Identifier: MIT */
/*
 * coil/child.h - await the end of a child process, and bring it about.
 *
 *     coil_child_spawn(&plan, &my->child, &error)                          (coil/spawn.h)
 *     coil_defer(coil_child_fini(&my->child));
 *     coil_defer(coil_ignore(coil_child_stop(&my->child, coil_s(3))));     however we leave
 *     ...
 *     coil_attempt(coil_child_wait(&my->child));
 *     puts(coil_exit_format(&my->child.exit, text));
 *
 * The exit status is never lost: a wait that is cancelled leaves it to the next one, and once it is
 * known it stays in child->exit, and every further wait returns at once. If somebody else has taken
 * it (waitpid(-1) of a library, SIGCHLD ignored), the kernel still knows it, since Linux 6.15.
 *
 * What is awaited need not be our child. A process that outlives its supervisor is found again by
 * the next one, by two numbers that can be kept in a file:
 *
 *     coil_child_identity(&child, &identity)          unique until the next boot, unlike the pid
 *     ...
 *     coil_child_adopt(pid, identity, &child)         -ESRCH: it has ended; others have its pid
 *
 * On the loop's thread only.
 *
 * Sources: waitid(2), pidfd_open(2), pidfd_send_signal(2), ioctl_pidfd(2), kill(2).
 */
#ifndef COIL_CHILD_H
#define COIL_CHILD_H

#include <coil/loop.h>
#include <coil/spawn.h>

#include <stdint.h>

COIL_BEGIN_DECLS

enum { COIL_EXIT_TEXT_BYTES = 64 };

/*
 * Await the end of the child and reap it. Result: 0, with child->exit filled in; -ECHILD: it has
 * ended, but is not ours to reap, and whoever did left no trace (Linux before 6.15, or a parent
 * that does not reap for seconds): child->exit.lost. Several tasks may wait.
 */
coil_declare(int, coil_child_wait, (coil_child *) child);

/* Send it a signal, never to another process (pidfd_open(2)). 0 also if it has ended; -EPERM. */
COIL_API int coil_child_signal(coil_child *child, int signo);

/*
 * End it: SIGTERM, and SIGCONT in case it is stopped; after `grace` SIGKILL; and reap it. Result as
 * of coil_child_wait(). If this is cancelled, the child gets SIGKILL and is awaited all the same.
 */
coil_declare(int, coil_child_stop, (coil_child *) child, (coil_duration) grace);

/*
 * The same for the child and all that it has started:
 *
 *   - what is in the group or session that it leads (.group of the plan), also without it; before
 *     Linux 6.9 only if it has not been reaped, for then its number may be another's;
 *   - its descendants, wherever they have moved, as long as they have a living ancestor below it,
 *     or had one when this was called;
 *   - all that is in its cgroup and those below, if the plan has one: the only way that nobody
 *     escapes.
 *
 * Each gets SIGTERM and SIGCONT; after `grace` all that is left is stopped, so that it cannot fork
 * any more, and gets SIGKILL, which is all that a cgroup gets that is nested more than 16 deep.
 * Result: 0 when nothing of it runs any more and the child is reaped; -ECHILD as of
 * coil_child_wait(); -EBUSY, SIGKILL has not ended it within ten seconds: something hangs in the
 * kernel; -EPERM, something of it belongs to another user; -ENOMEM. The child may have ended
 * before: its group is looked after all the same. If this is cancelled, what is left gets SIGKILL
 * and is awaited all the same.
 *
 * A daemon that has left the group by forking twice before this is called is found only by its
 * cgroup, or as an orphan by a subreaper (coil/subreaper.h).
 */
coil_declare(int, coil_child_stop_tree, (coil_child *) child, (coil_duration) grace);

/* The number of this process that no other has. -EOPNOTSUPP before Linux 6.9. */
COIL_API int coil_child_identity(const coil_child *child, uint64_t *out_identity);

/*
 * Take a process that runs as a child; `identity` is what coil_child_identity() told, 0: whoever
 * has the number `pid` now. It is closed by coil_child_fini() as others, and has no pipes. If it is
 * not a child of this process, its parent or init reaps it, and coil_child_wait() asks the kernel
 * for its status. -ESRCH: it has ended and was reaped (its number may be another's by now);
 * -EOPNOTSUPP: an identity before Linux 6.9; -EMFILE, -ENFILE.
 */
COIL_API COIL_MUST_USE int coil_child_adopt(pid_t pid, uint64_t identity, coil_child *out_child);

/* ---------------------------------------------------------------------------- communication -- */

/*
 * What a child is told and what it says: the first three members are to be set, all may be 0. Then
 * it has to be freed by coil_communication_fini(), whatever came of it.
 */
typedef struct coil_communication {
    const void *input; /* Borrowed. */
    size_t input_bytes;
    size_t limit_bytes; /* Of each output; what comes after it is dropped. 0: no limit. */

    char *output; /* Of stdout, and a '\0'. NULL: nothing came. */
    size_t output_bytes;
    char *errors; /* Of stderr. */
    size_t errors_bytes;
    bool was_cut; /* Something was dropped. */
} coil_communication;

/*
 * Write the input to the child's stdin and close it, read stdout and stderr (as far as they are
 * pipes or a terminal) and await its end: without the deadlock of one after the other. Result: that
 * of coil_child_wait(); -ENOMEM; -EIO and the like of a stream. A child that does not read its
 * input is no error. The three descriptors are closed in any case.
 *
 * The end of the child is the end, also if somebody else still holds its stdout (a daemon that it
 * has started): then what is in the pipe is taken, and what comes within a tenth of a second.
 *
 * Under coil_within(), or cancelled: what has been read until then is in `talk`. The child runs on:
 * stop it.
 */
coil_declare(int, coil_child_communicate, (coil_child *) child, (coil_communication *) talk);

/* Free the outputs. Takes NULL. */
COIL_API void coil_communication_fini(coil_communication *talk);

/* The window of the child's terminal (COIL_STDIO_PTY); it gets SIGWINCH. -ENOTTY: it has none. */
COIL_API int coil_child_resize(coil_child *child, unsigned short rows, unsigned short columns);

/* "exited with status 3", "was killed by SIGKILL", "is running". Returns `text`. */
COIL_API const char *coil_exit_format(const coil_exit *exit, char text[COIL_EXIT_TEXT_BYTES]);

COIL_END_DECLS

#endif
