/* SPDX-License-Identifier: MIT */
/*
 * coil/activation.h - descriptors that were passed to this process when it was started, as by
 * systemd's socket activation: sd_listen_fds(3), systemd.socket(5).
 *
 *     coil_activation passed;
 *     int rc = coil_activation_take(&passed);                early in main(): 0: none was passed
 *     ...
 *     rc = coil_activation_listen(&passed, "http", NULL, &listener);
 *     if (rc == -ENOENT)                                     started by hand
 *         rc = coil_listen("*:8080", NULL, &listener);
 *     ...
 *     coil_activation_release(&passed);                      closes what nobody has asked for
 *
 * The sockets listen already when the process starts, and go on when it ends: whoever connects
 * meanwhile waits, so a restart refuses nobody. Their paths are not ours to remove.
 */
#ifndef COIL_ACTIVATION_H
#define COIL_ACTIVATION_H

#include <coil/listener.h>

COIL_BEGIN_DECLS

typedef struct coil_activation coil_activation;
typedef struct coil_passed_fd coil_passed_fd;

struct coil_passed_fd {
    int fd;           /* -1: somebody has taken it. */
    const char *name; /* FileDescriptorName= of the unit; "unknown" if there are no names. */
};

/* Read only. */
struct coil_activation {
    unsigned count;
    coil_passed_fd *items; /* In the order of passing. */

    /* Private. */
    char *names;
};

/*
 * What was passed to us: as LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES say, which are then taken out
 * of the environment, so that our children do not think they are meant; nor do they inherit the
 * descriptors. How many there are. 0: none, or they are for another process. -EINVAL: these
 * variables make no sense; -EBADF: a descriptor that they name is not open; -ENOMEM. On errors
 * nothing is passed. Before there are threads that look at the environment.
 */
COIL_API int coil_activation_take(coil_activation *out_activation);

/*
 * The first descriptor of that name that nobody has taken yet, which is the caller's from here on;
 * NULL: of any name. -ENOENT: there is none.
 */
COIL_API int coil_activation_fd(coil_activation *activation, const char *name);

/*
 * The same as a listener on the loop of this thread. -ENOENT; the errors of coil_listen_fd(), and
 * then the descriptor is closed.
 */
COIL_API int coil_activation_listen(coil_activation *activation, const char *name,
        const coil_listen_options *options, coil_listener **out_listener);

/*
 * Become another program (execve(2)), such as a new version of this one, that is passed `count` (1
 * to COIL_ACTIVATION_EXEC_MAX) listening sockets (coil_listener_keep()) as systemd passes them. The
 * process stays, with its pid; whoever connects meanwhile waits in the backlog.
 *
 *     fd = coil_listener_keep(listener);           ... then drain, and end all loops and threads
 *     const coil_passed_fd sockets[] = {{fd, "http"}};
 *     rc = coil_activation_exec(sockets, 1, "/usr/bin/service", argv);
 *
 * Does not return but with an error: -EINVAL `count`, or a name that is empty or has a colon or a
 * control character in it; -EACCES, -ENOENT the program cannot be run; -EBADF, -EMFILE, -ENOMEM;
 * up to here nothing has happened. Any other error of execve(2): then the descriptors from 3 on
 * have been replaced, and it is best to end. (A listener that has made the path of its unix socket
 * removes it when it closes; one of coil_listen_fd() does not.)
 */
enum { COIL_ACTIVATION_EXEC_MAX = 100 };
COIL_API int coil_activation_exec(
        const coil_passed_fd *items, unsigned count, const char *path, char *const arguments[]);

/* Close what nobody has taken, and free the names. Takes one that is zeroed. */
COIL_API void coil_activation_release(coil_activation *activation);

COIL_END_DECLS

#endif
