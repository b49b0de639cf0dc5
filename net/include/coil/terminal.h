/* SPDX-License-Identifier: MIT */
/*
 * coil/terminal.h - a terminal that gives each key at once, and is as it was afterwards.
 *
 *     coil_vars (coil_terminal terminal; coil_stream *keys; coil_slice key);
 *
 *     coil_attempt(my->rc, ...coil_terminal_raw(&my->terminal, STDIN_FILENO)...);
 *     coil_defer(coil_terminal_restore(&my->terminal));
 *
 * The defer restores it also when the coroutine is cancelled, as it is by SIGINT and SIGTERM under
 * coil_run(). What no process can do is to restore it after SIGKILL.
 *
 * The size changes with SIGWINCH: coil_signal_wait(COIL_SIGNALS(SIGWINCH)), then ask again.
 *
 * Sources: termios(3), ioctl_tty(2), tty(4). Any thread.
 */
#ifndef COIL_TERMINAL_H
#define COIL_TERMINAL_H

#include <coil/base.h>

#include <stdbool.h>
#include <termios.h>

COIL_BEGIN_DECLS

typedef struct coil_terminal coil_terminal;

/* The caller's memory. */
struct coil_terminal {
    int fd;                /* Not ours: it must stay open. Read only. */
    bool is_changed;       /* Read only. */
    struct termios before; /* Private. */
};

typedef struct coil_terminal_extent {
    unsigned rows; /* 0: not known. */
    unsigned columns;
} coil_terminal_extent;

/*
 * No lines, no echo, no signals by keys, no translation: cfmakeraw(3), once what was written is
 * out; output stays as it is, so that "\n" begins a new line. 0; -ENOTTY it is no terminal; -EBADF;
 * -EIO it has been hung up. A process in the background is stopped by this (SIGTTOU), as by
 * tcsetattr(3).
 */
COIL_API int coil_terminal_raw(coil_terminal *terminal, int fd);

/* As it was before. Takes a zeroed one, and one that has been restored. */
COIL_API void coil_terminal_restore(coil_terminal *terminal);

/* -ENOTTY: it is no terminal. */
COIL_API int coil_terminal_size(int fd, coil_terminal_extent *out_extent);

COIL_END_DECLS

#endif
