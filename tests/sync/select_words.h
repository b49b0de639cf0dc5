/* SPDX-License-Identifier: MIT */
/* Coroutines as C writes them: the macros are others there than under C++. */
#ifndef SELECT_WORDS_H
#define SELECT_WORDS_H

#include <coil/broadcast.h>
#include <coil/channel.h>
#include <coil/event.h>
#include <coil/queue.h>
#include <coil/watch.h>

COIL_BEGIN_DECLS

typedef struct job {
    int number;
    char name[20];
} job;

typedef coil_channel_of(job) job_channel;
typedef coil_channel_of(int) int_channel;
typedef coil_queue_of(int) int_queue;
typedef coil_broadcast_of(int) int_broadcast;
typedef coil_watch_of(int) int_watch;

/* One of each. */
typedef struct switchboard {
    job_channel jobs;
    int_channel results;
    int_queue queue;
    int_broadcast news;
    int_watch level;
    coil_event stop;
    int queue_slots[2];
    int news_slots[2];
} switchboard;

/* What a call of wait_for_anything() has come to. */
typedef struct outcome {
    int which;
    int rc;
    int number;
} outcome;

/* Take jobs and send their squares until told to stop. Result: how many. */
coil_declare(int, square_until_stopped, (switchboard *) board);

/* All items of both until both are closed, in `sum`. -EPIPE. */
coil_declare(int, sum_both, (int_channel *) odd, (int_channel *) even, (int *) sum);

/* One of seven cases; each stores what it has found. */
coil_declare(
        int, wait_for_anything, (switchboard *) board, (coil_duration) limit, (outcome *) out_outcome);

/* What is there already? As above, without waiting. */
int anything_now(switchboard *board, int *out_number);

/* A compound literal is as good an item as any other, where nobody waits. */
int offer_literals(switchboard *board);

COIL_END_DECLS

#endif
