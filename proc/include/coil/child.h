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
 * known it stays in child->exit, and every further wait returns at once.
 *
 * On the loop's thread only. The child must not be reaped by others (waitpid(-1), SIGCHLD ignored).
 */
#ifndef COIL_CHILD_H
#define COIL_CHILD_H

#include <coil/loop.h>
#include <coil/spawn.h>

COIL_BEGIN_DECLS

enum { COIL_EXIT_TEXT_BYTES = 64 };

/*
 * Await the end of the child and reap it. Result: 0, with child->exit filled in; -ECHILD somebody
 * else has reaped it, or it is not our child. Several tasks may wait.
 */
coil_declare(int, coil_child_wait, (coil_child *) child);

/* Send it a signal, never to another process (pidfd_open(2)). 0 also if it has ended; -EPERM. */
COIL_API int coil_child_signal(coil_child *child, int signo);

/*
 * End it: SIGTERM, and SIGCONT in case it is stopped; after `grace` SIGKILL; and reap it. Result as
 * of coil_child_wait(). If this is cancelled, the child gets SIGKILL and is awaited all the same.
 */
coil_declare(int, coil_child_stop, (coil_child *) child, (coil_duration) grace);

/* "exited with status 3", "was killed by SIGKILL", "is running". Returns `text`. */
COIL_API const char *coil_exit_format(const coil_exit *exit, char text[COIL_EXIT_TEXT_BYTES]);

COIL_END_DECLS

#endif
