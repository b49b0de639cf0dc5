/* SPDX-License-Identifier: MIT */
/* What the files of this module share about a loop. */
#ifndef LOOP_PRIVATE_H
#define LOOP_PRIVATE_H

#include "op.h"
#include "ring.h"
#include "watch.h"

#include <coil/loop.h>
#include <coil/shutdown.h>

typedef struct buffer_pool buffer_pool;

enum { LOOP_REMOTE_FNS = 32 };

struct coil_loop {
    coil_list link; /* In the list of all loops, or of those whose memory is free. */
    coil_sched sched;
    coil_ring ring;
    size_t pending_count; /* Started operations without their final completion. */
    uint16_t generation;
    coil_list backlog;          /* Operations that found the queue full. */
    coil_list cancels;          /* Operations whose cancellation did. */
    buffer_pool *buffers;       /* Made when first needed. */
    coil_time buffers_retry_at; /* There was no memory for them: not again before this. */

    coil_post *posted;      /* Newest first, or loop_closed. Written by any thread. */
    unsigned posting_count; /* Calls that are writing there. */
    bool asleep;            /* Whoever clears it writes to wake_fd. */
    bool closing;           /* Being destroyed: nothing new begins. */
    unsigned hold_count;    /* Any thread. */
    size_t load;            /* live_count as of the last turn, for any thread to see. */
    int wake_fd;            /* An eventfd. */
    uint64_t wakeups;       /* What was read from it. */
    coil_op wake;

    coil_group guests; /* Tasks of other threads (coil/remote.h): their errors are theirs. */
    coil_shutdown_state shutdown;
    struct remote_fn *remote_fns[LOOP_REMOTE_FNS]; /* By hash. Pushed by any thread, never freed. */

    coil_loop_stats stats;

    struct loop_debug *debug; /* NULL: no debug mode. */

    loop_watch watch;
    loop_dump dump;
};

/* Debug mode, if COIL_DEBUG in the environment asks for it; and its end, with its last reports. */
int loop_debug_from_environment(coil_loop *loop);
void loop_debug_end(coil_loop *loop);

/* Visit every loop of the process, none of which ends meanwhile. Not to be held up. */
typedef struct loop_visitor loop_visitor;
struct loop_visitor {
    void (*visit)(loop_visitor *visitor, coil_loop *loop);
};
void loop_each(loop_visitor *visitor);

#endif
