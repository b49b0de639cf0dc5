/* SPDX-License-Identifier: MIT */
/* What the files of this module share about a loop. */
#ifndef LOOP_PRIVATE_H
#define LOOP_PRIVATE_H

#include "op.h"
#include "ring.h"
#include "watch.h"

#include <coil/loop.h>

typedef struct buffer_pool buffer_pool;

struct coil_loop {
    coil_list link; /* In the list of all loops. */
    coil_sched sched;
    coil_ring ring;
    size_t pending_count; /* Started operations without their final completion. */
    uint16_t generation;
    coil_list backlog;          /* Operations that found the queue full. */
    coil_list cancels;          /* Operations whose cancellation did. */
    buffer_pool *buffers;       /* Made when first needed. */
    coil_time buffers_retry_at; /* There was no memory for them: not again before this. */

    coil_post *posted;      /* Newest first. Written by any thread. */
    unsigned posting_count; /* Calls that are writing there. */
    int wake_fd;            /* An eventfd. */
    uint64_t wakeups;       /* What was read from it. */
    coil_op wake;

    coil_loop_stats stats;

    loop_watch watch;
    loop_dump dump;
};

/* Visit every loop of the process, none of which ends meanwhile. Not to be held up. */
typedef struct loop_visitor loop_visitor;
struct loop_visitor {
    void (*visit)(loop_visitor *visitor, coil_loop *loop);
};
void loop_each(loop_visitor *visitor);

#endif
