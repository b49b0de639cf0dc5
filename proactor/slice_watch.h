/* SPDX-License-Identifier: MIT */
/*
 * slice_watch.h - debug mode: slices that somebody keeps for too long.
 *
 * What a buffer of the pool holds cannot be told apart: its slices only count. So in debug mode the
 * bytes that a task is about to take are copied into a buffer of their own, which knows who took
 * them, where and when, and is gone with its last slice. (A sanitizer then sees the use of a slice
 * after its release, too.)
 */
#ifndef SLICE_WATCH_H
#define SLICE_WATCH_H

#include "loop_private.h"

#include <coil/buffer.h>

typedef struct slice_watch slice_watch;

/* Those of a loop in debug mode. */
typedef struct slice_watches {
    coil_debug *debug;
    coil_list held; /* Oldest first. */
    coil_timer timer;
    coil_duration limit;
} slice_watches;

/* (The loop is known by its scheduler.) */
void slice_watches_init(slice_watches *watches, coil_debug *debug, coil_duration limit);

/* At the end of the loop: nobody is watched any more. */
void slice_watches_fini(slice_watches *watches);

/* Those of `loop`, which is in debug mode. */
slice_watches *loop_slice_watches(coil_loop *loop);

/* The running task is about to take `front`: have it replaced by a copy that is watched. */
void slice_watch_begin(coil_loop *loop, coil_slice *front);

/* `front` is not there any more. */
void slice_watch_forget(coil_loop *loop, const coil_slice *front);

/* The last slice of a watched buffer has gone. */
void slice_watch_end(slice_watch *watch);

#endif
