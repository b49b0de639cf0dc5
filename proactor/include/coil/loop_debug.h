/* SPDX-License-Identifier: MIT */
/*
 * coil/loop_debug.h - debug mode of a loop: what its tasks do wrong, said while they do it.
 *
 *     COIL_DEBUG=1 ./service                  every loop of the program
 *     COIL_DEBUG=1 COIL_SLOW=0.02 ./service   steps that take longer than 20 ms are slow ones
 *     COIL_DEBUG=1 COIL_HELD=0.5 ./service    slices that are kept for half a second are held
 *
 * coil/debug.h has the list of what is reported, each as one block of text on stderr. No other
 * build is needed for that, and while debug mode is off it costs nothing.
 *
 * (asyncio: PYTHONASYNCIODEBUG=1, loop.set_debug(), slow_callback_duration. For a look at a loop
 * while it is blocked, in production, see coil/watchdog.h; for what all tasks are waiting for,
 * coil/dump.h.)
 */
#ifndef COIL_LOOP_DEBUG_H
#define COIL_LOOP_DEBUG_H

#include <coil/debug.h>
#include <coil/loop.h>

COIL_BEGIN_DECLS

typedef struct coil_debug_hook coil_debug_hook;

/* Where reports go. `text` is one block, ends with a newline, and stays only for the call. */
struct coil_debug_hook {
    void (*report)(coil_debug_hook *hook, const char *text);
};

typedef struct coil_loop_debug_options {
    coil_duration slow_step;  /* 0: 100 ms, as asyncio has it. */
    coil_debug_hook *hook;    /* NULL: stderr. Must outlive the loop. */
    coil_duration held_slice; /* 0: 5 s. A slice of a receive buffer that is kept for longer. */
} coil_loop_debug_options;

/*
 * Begin debug mode: after coil_loop_create(), before the first task. It ends with the loop. NULL:
 * the defaults. 0; -EALREADY, it has begun; -EBUSY, there are tasks; -ENOMEM.
 */
COIL_API int coil_loop_debug(coil_loop *loop, const coil_loop_debug_options *options);

COIL_END_DECLS

#endif
