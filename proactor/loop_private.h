/* SPDX-License-Identifier: MIT */
/* What the files of this module share about a loop. */
#ifndef LOOP_PRIVATE_H
#define LOOP_PRIVATE_H

#include "idle.h"
#include "loop_watch.h"
#include "op.h"
#include "ring.h"

#include <coil/blocking.h>
#include <coil/call.h>
#include <coil/loop.h>
#include <coil/shutdown.h>

typedef struct buffer_pool buffer_pool;

/* What there may be to do in a turn, and mostly is not. */
enum {
    LOOP_HAS_CALLS = 1,   /* Set with what is put into calls_soon; */
    LOOP_HAS_QUEUED = 2,  /* with what is put into `backlog` or `cancels`. */
    LOOP_IS_VIRTUAL = 4,  /* Always, on a test loop: it waits in another way. */
    LOOP_IS_MEASURED = 8, /* While there is something in `measures`. */
};

enum {
    LOOP_REMOTE_FNS = 32,
    LOOP_LINE_BYTES = 64, /* Of the processor's cache. */
};

/* When a run is over. */
typedef enum loop_goal {
    LOOP_UNTIL_NO_TASKS,
    LOOP_UNTIL_RESULT,  /* The task of coil_loop_run_until() has ended. */
    LOOP_UNTIL_STOPPED, /* coil_loop_stop() */
    LOOP_UNTIL_SETTLED, /* Test loops: time would have to pass. */
} loop_goal;

/*
 * First comes what every turn looks at, up to the head of the scheduler: a few lines of the cache,
 * after a kernel that has used all of it.
 */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): one line is for others alone. */
struct coil_loop {
    coil_list link;   /* In the list of all loops, or of those whose memory is free. */
    coil_clock clock; /* loop_clock(), for whoever asks. */
    coil_ring ring;
    size_t pending_count;   /* Started operations without their final completion. */
    size_t worker_count;    /* Those of them that a thread of the kernel does. */
    unsigned typical_batch; /* Completions per turn, times BATCH_MEMORY. */
    uint16_t generation;    /* Of the op that was started last. */
    uint8_t chores;
    uint16_t shared_turn;     /* The last in which one of the senders that share turns has sent. */
    bool stopping;            /* Any thread may set it. */
    loop_goal goal;           /* Of this run. */
    const coil_list *awaited; /* Of LOOP_UNTIL_RESULT: the link of its task, the last in `runs`. */
    size_t load;              /* live_count as of the last turn, for any thread to see. */
    buffer_pool *buffers;     /* Made when first needed. */
    idle_list idle;
    coil_loop_stats stats;
    coil_list measures;   /* coil_loop_metrics.link. While there are any: */
    coil_time turn_began; /* when the loop woke up, or should have, */
    coil_time turn_ended; /* and when it last looked for events before. */
    loop_watch watch;
    coil_group runs; /* Tasks of coil_loop_run_until(): their failures are received. */

    /*
     * What others write when they post, in a cache line of its own: they do not take away what the
     * loop works with, nor the loop what they look at.
     */
    struct {
        coil_post *posted;      /* Newest first, or `closed`. Written by any thread. */
        unsigned posting_count; /* Calls that are writing there. */
        bool asleep;            /* Whoever clears it wakes the loop up: */
        int wake_ring;          /* tells the ring with this descriptor; where it is -1, */
        int wake_fd;            /* by an eventfd, which is written to, and never read. */
    } __attribute__((aligned(LOOP_LINE_BYTES)));

    coil_sched sched;
    coil_list backlog;          /* Operations that found the queue full. */
    coil_list cancels;          /* Operations whose cancellation did. */
    coil_time buffers_retry_at; /* There was no memory for them: not again before this. */

    struct { /* Reads of files without the ring, see io.c. */
        uint32_t turn;
        uint32_t turn_count;
        uint32_t skip_count;
    } cached_reads;
    coil_time excess_since; /* That few tasks are left of many, see loop_scavenge(). */

    bool closing;        /* Being destroyed: nothing new begins. */
    bool is_gone;        /* Has been. */
    bool running;        /* Any thread may read it. */
    unsigned hold_count; /* Any thread. */
    coil_op wake;
    coil_error_hook *on_error;

    coil_group guests; /* Tasks of other threads (coil/remote.h): their errors are theirs. */
    coil_shutdown_state shutdown;
    struct remote_fn *remote_fns[LOOP_REMOTE_FNS]; /* By hash. Pushed by any thread, never freed. */
    coil_blocking_pool *blocking; /* The default one, if the loop is among its users. */
    buffer_pool *spare_pools;     /* Borrowed once, see buffer_pool_borrow(). */
    coil_list extras;             /* Of other modules (coil/loop_extra.h), oldest first. */

    struct loop_debug *debug; /* NULL: no debug mode. */

    /* Calls: each that is scheduled is in one of these lists. */
    coil_list calls_soon;  /* For the next turn. */
    coil_list calls_now;   /* Those of this turn that have not run. */
    coil_list calls_timed; /* Their timers are armed. */

    /* Test loops. */
    bool is_virtual;
    bool is_settled;               /* Nothing happens any more unless time passes. */
    bool is_hung;                  /* Nothing ever will. */
    coil_time virtual_now;         /* What the clock shows. */
    coil_duration patience;        /* How long, in real time, events from outside are waited for, */
    coil_duration worker_patience; /* what a thread of the kernel does, */
    coil_duration last_patience;   /* and what nobody may ever do. */

    loop_dump dump;
};

/* Debug mode, if COIL_DEBUG in the environment asks for it; and its end, with its last reports. */
int loop_debug_from_environment(coil_loop *loop);
void loop_debug_end(coil_loop *loop);

/* Make the scheduler; it is `now`. */
void loop_begin(coil_loop *loop, coil_time now);

/* Turn until the goal is reached or the loop is stopped. False: it was not reached. */
bool loop_drive(coil_loop *loop, loop_goal goal);

/*
 * There are far more slabs than tasks, and the loop is about to wait until `deadline`: give memory
 * back, or wait less to do it later. Returns until when to wait.
 */
coil_time loop_scavenge(coil_loop *loop, coil_time deadline);

/* Submit, wait for completions until `deadline` unless it has passed, and take them. */
void loop_exchange(coil_loop *loop, coil_time deadline);

/* Cancel every task of the loop, whoever has started it. */
void loop_cancel_all(coil_loop *loop);

/* Of a loop that is measured: it has waited, for timers until `deadline`; it is about to wait. */
void loop_metrics_begin_turn(coil_loop *loop, coil_time deadline);
void loop_metrics_end_turn(coil_loop *loop);

/* What belongs to the loop is ended, the youngest first. */
void loop_end_extras(coil_loop *loop);

/* The clock of the loop now. */
coil_time loop_clock(const coil_loop *loop);

/* Between two runs time goes on: whoever schedules then counts from now. */
void loop_touch(coil_loop *loop);

/* Turn until the goal is reached, or the loop is stopped or hangs. */
void loop_turn_to_goal(coil_loop *loop);

/* Take all completions off the queue. */
void loop_reap(coil_loop *loop);

/* What wakes the loop up. */
extern const op_kind loop_wake_kind;

/* Run what other threads have posted, oldest first. */
void loop_run_posted(coil_loop *loop);

/* How other threads wake the loop up: by a message to its ring, if that can be; or never so. */
void loop_wake_by_ring(coil_loop *loop);
void loop_wake_by_eventfd(coil_loop *loop);

/* No more of that, if all has been run. Is another thread in the middle of coil_loop_post()? */
bool loop_refuse_mail(coil_loop *loop);
bool loop_is_posted_to(const coil_loop *loop);

/* Run the calls that have been scheduled for this turn; forget all that are scheduled. */
void loop_run_calls(coil_loop *loop);
void loop_drop_calls(coil_loop *loop);

/* Are there messages that have not been run? */
static inline bool loop_has_mail(const coil_loop *loop)
{
    return __atomic_load_n(&loop->posted, __ATOMIC_SEQ_CST) != NULL;
}

static inline bool loop_has_reached_goal(const coil_loop *loop)
{
    if (coil_likely(loop->goal == LOOP_UNTIL_NO_TASKS))
        return loop->sched.live_count == 0 && !loop_has_mail(loop);
    switch (loop->goal) {
    case LOOP_UNTIL_RESULT:
        return loop->runs.tasks.prev != loop->awaited; /* (Which may be gone.) */
    case LOOP_UNTIL_SETTLED:
        return loop->is_settled;
    default:
        return false;
    }
}

/* Nothing is ready: wait for what is under way, else let the clock jump. */
void loop_wait_virtually(coil_loop *loop);

/* ------------------------------------------------------------------------------- all loops -- */

/* The memory of a loop, zeroed but for its remote_fns; and its way back. NULL: there is none. */
coil_loop *loop_take_memory(void);
void loop_give_memory(coil_loop *loop);

/* From the one to the other, the loop is among those that are visited. On its thread. */
void loop_enlist(coil_loop *loop);
void loop_delist(coil_loop *loop);

/* Visit every loop of the process, none of which ends meanwhile. Not to be held up. */
typedef struct loop_visitor loop_visitor;
struct loop_visitor {
    void (*visit)(loop_visitor *visitor, coil_loop *loop);
};
void loop_each(loop_visitor *visitor);

/* What the figures of all loops add up to. */
size_t loop_sum(size_t (*figure)(const coil_loop *loop));

#endif
