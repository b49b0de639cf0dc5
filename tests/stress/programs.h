/* SPDX-License-Identifier: MIT */
/*
 * Random programs: a tree of what tasks do, made from a seed, and the world of primitives that it
 * is played in. programs.c says what for, and how to run it.
 *
 *     program_tree.c     the seed becomes a tree; printing it
 *     program_world.c    the primitives; what must hold when nothing is ready, and at the end
 *     program_tasks.c    playing: groups, deadlines, shields, defers; cancelling
 *     program_waits.c    playing: locks, semaphores and all that one waits for
 *     program_items.c    playing: queues, channels, select, broadcast, watch, loader, futures
 *     programs.c         the driver; seeds, workers, shrinking a program that fails
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <coil/barrier.h>
#include <coil/broadcast.h>
#include <coil/channel.h>
#include <coil/condition.h>
#include <coil/event.h>
#include <coil/future.h>
#include <coil/latch.h>
#include <coil/loader.h>
#include <coil/local.h>
#include <coil/mutex.h>
#include <coil/once.h>
#include <coil/queue.h>
#include <coil/rate_limiter.h>
#include <coil/rwlock.h>
#include <coil/sched.h>
#include <coil/semaphore.h>
#include <coil/timeout.h>
#include <coil/watch.h>

#include <errno.h>
#include <stdio.h>

/* -------------------------------------------------------------------------------- the tree -- */

enum {
    CHILDREN_MAX = 4,
    LOTS = 3,
    NODES_MAX = 160,
    ROOTS_MAX = 3,
};

typedef enum node_kind {
    DO_SEQUENCE,
    DO_LOOP,
    DO_GROUP,
    DO_WITHIN,
    DO_UNTIL,
    DO_TIMEOUT,
    DO_SHIELD,
    DO_DEFER,
    DO_MUTEX,
    DO_RWLOCK,
    DO_SEMAPHORE,
    DO_ONCE,
    FIRST_LEAF, /* From here on without children. */
    DO_SLEEP = FIRST_LEAF,
    DO_YIELD,
    DO_SPILL,
    DO_FAIL,
    DO_LOCAL,
    DO_CANCEL_TASK,
    DO_CANCEL_SELF,
    DO_CANCEL_GROUP,
    DO_MOVE_TIMEOUT,
    DO_CONDITION_WAIT,
    DO_CONDITION_NOTIFY,
    DO_BARRIER,
    DO_BARRIER_RESET,
    DO_LATCH_WAIT,
    DO_LATCH_MOVE,
    DO_EVENT_WAIT,
    DO_EVENT_MOVE,
    DO_RATE,
    DO_PUT,
    DO_GET,
    DO_TRY,
    DO_JOIN,
    DO_CLOSE,
    DO_SEND,
    DO_RECEIVE,
    DO_SELECT,
    DO_BROADCAST,
    DO_SUBSCRIBE,
    DO_WATCH_WAIT,
    DO_WATCH_SET,
    DO_LOAD,
    DO_LOADER_CLEAR,
    DO_PROMISE_WAIT,
    DO_PROMISE_SET,
    DO_WAIT_MANY,
    DO_COMPLETIONS,
    KINDS,
} node_kind;

typedef struct node node;

struct node {
    node_kind kind;
    int id;
    bool off; /* Shrinking: does nothing. */
    unsigned lots[LOTS];
    size_t child_count;
    node *children[CHILDREN_MAX];
};

typedef struct program {
    uint64_t seed;
    size_t node_count;
    node nodes[NODES_MAX];
    size_t root_count;
    node *roots[ROOTS_MAX];
    bool calm; /* Shrinking: the driver cancels nothing before the end. */
} program;

void program_generate(program *made, uint64_t seed);
void program_print(const program *printed, FILE *out);
const char *kind_name(node_kind kind);

/* ------------------------------------------------------------------------------- the world -- */

enum {
    MUTEXES = 3, /* The first is that of the condition: little is done under it. */
    SEMAPHORES = 2,
    ONCES = 2,
    PROMISES = 4,
    TIMEOUTS = 6,
    QUEUES = 4, /* First in first out, last in first out, by urgency, growing. */
    CHANNELS = 2,
    QUEUE_SLOTS = 4,
    ITEMS_MAX = 256,
    STEPS_MAX = 1500,
    RATE_BURST = 3,
    RATE_PER_MS = 3, /* So that tokens are due between the ticks of everything else. */
    KEYS = 10,
};

typedef struct parcel {
    uint32_t number; /* 0: none. */
    uint32_t urgency;
} parcel;

/* What became of an item. Who has offered it may not have heard that it was taken. */
typedef struct item_fate {
    bool offered, put, withdrawn, taken;
} item_fate;

typedef coil_queue_of(parcel) item_queue;
typedef coil_priority_queue_of(parcel) urgent_queue;
typedef coil_channel_of(parcel) item_channel;
typedef coil_broadcast_of(uint64_t) feed;
typedef coil_watch_of(uint64_t) number_watch;
typedef coil_future_of(int) int_future;
typedef coil_loader_of(uint32_t, uint32_t) number_loader;
typedef coil_batch_of(number_loader) number_batch;

/* The tasks that wait for one thing, as we see it: from before the await until they run again. */
typedef coil_list waiting_line;

typedef struct line_entry {
    coil_list link;
    coil_task *task;
    uint64_t want;
} line_entry;

/* A group of a program. */
typedef struct task_crew {
    coil_group group;
    coil_list link; /* In world.crews. */
    size_t running_count;
    size_t failure_count; /* Of which on_failure has told. */
    size_t unmade_count;  /* Spawned without memory. */
} task_crew;

/* A timeout that other tasks move. */
typedef struct moved_timeout {
    coil_timeout timeout;
    coil_time deadline; /* What it was moved to last. */
} moved_timeout;

/* What a task knows of itself. */
typedef struct env {
    int id;
    int local; /* The value that it should find; 0: none. */
} env;

typedef struct counting_allocator {
    coil_allocator allocator;
    int64_t block_count;
    int64_t bytes;
} counting_allocator;

/* How often nodes of a kind were played, to which end, and how often they had to wait. */
typedef struct tally {
    uint64_t begun, done, failed, cut, waited;
} tally;

extern struct world {
    const program *program;
    tally *tallies; /* One for each kind. */
    bool tracing;
    coil_sched sched;
    counting_allocator memory;
    coil_debug debug;
    bool debugging;
    bool failing;          /* Memory may be short, where that is an error and not the end. */
    uint64_t failing_step; /* In this resumption. */
    uint64_t chance;
    unsigned attack_rate;
    int step_count, task_count, local_count;
    int64_t entered, left, deferred, undeferred, cleaned;
    coil_list crews;
    moved_timeout *timeouts[TIMEOUTS];

    coil_mutex mutexes[MUTEXES];
    waiting_line mutex_lines[MUTEXES];
    int mutex_holders[MUTEXES];
    coil_condition condition;
    waiting_line condition_line;
    int tickets;
    coil_rwlock rwlock;
    waiting_line rwlock_line;
    size_t reader_count, writer_count;
    coil_semaphore semaphores[SEMAPHORES];
    waiting_line semaphore_lines[SEMAPHORES];
    size_t out_counts[SEMAPHORES];
    coil_barrier barrier;
    waiting_line barrier_line;
    uint64_t released_counts[4];
    coil_latch latch;
    waiting_line latch_line;
    coil_event event;
    waiting_line event_line;
    coil_once onces[ONCES];
    waiting_line once_lines[ONCES];
    bool once_running[ONCES], once_done[ONCES];
    coil_rate_limiter limiter;
    waiting_line limiter_line;
    coil_time limiter_start;
    uint64_t token_count;

    item_queue fifo, lifo, growing;
    urgent_queue urgent;
    coil_queue *queues[QUEUES];
    parcel slots[2][QUEUE_SLOTS];
    coil_priority_slot_of(urgent_queue) urgent_slots[QUEUE_SLOTS];
    waiting_line putters[QUEUES], getters[QUEUES], joiners[QUEUES];
    size_t undone_counts[QUEUES];
    uint64_t finished_counts[QUEUES]; /* How often no item was unfinished. */
    item_channel channels[CHANNELS];
    parcel channel_slots[QUEUE_SLOTS];
    waiting_line senders[CHANNELS], receivers[CHANNELS];
    uint32_t item_count;
    item_fate fates[ITEMS_MAX + 1];

    feed feed;
    uint64_t feed_slots[QUEUE_SLOTS];
    waiting_line feed_line;
    uint64_t sent;
    number_watch watch;
    waiting_line watch_line;
    number_loader loader;
    waiting_line load_line;
    size_t fetching_count;
    int_future promises[PROMISES];
    coil_future *promise_list[PROMISES];
    waiting_line promise_lines[PROMISES];
    waiting_line any_line; /* Who waits for any promise. */
} world;

void world_init(const program *played);
void world_check_idle(void);
void world_check_end(void);

/* ------------------------------------------------------------------------------ small words -- */

#define EXPECT(condition) ((condition) ? (void)0 : broken(#condition, __FILE__, __LINE__))

void broken(const char *condition, const char *file, int line) __attribute__((noreturn, cold));

#define SAY(...) (world.tracing ? (void)fprintf(stderr, __VA_ARGS__) : (void)0)

uint64_t mix(uint64_t number);
unsigned toss(unsigned below);          /* From the seed: the same at every run. */
coil_duration briefly(unsigned lot);    /* Few distinct values: ties are what is interesting. */
bool result_is_known(int64_t rc);       /* Something that a program may end with. */
coil_task *any_task(coil_group *group); /* At any depth; NULL: none. */
void cancel_any_group(void);
void move_any_timeout(unsigned lot);

/* Around calls that promise an error when there is no memory. */
void may_fail(const coil_task *task);
void must_not_fail(void);

void line_enter(waiting_line *line, line_entry *entry, coil_task *task, uint64_t want);
void line_leave(line_entry *entry);
void line_served(const waiting_line *line, line_entry *entry); /* In its turn? */
line_entry *line_first(const waiting_line *line);

/* ------------------------------------------------------------------------------- coroutines -- */

coil_declare(int, run, (node *) n, (env *) me, (unsigned) held);
coil_declare(int, run_wait, (node *) n, (env *) me, (unsigned) held); /* program_waits.c */
coil_declare(int, run_items, (node *) n, (env *) me);                /* program_items.c */
coil_declare(int, fetch_numbers, (number_batch *) batch);
coil_declare(int, run_root, (size_t) index);

/* Not from a task: something is given, taken or moved, for those who wait. */
void help_waiters(void);
void help_items(void);

/* Bits of `held`: what the coroutine and those that called it hold. */
enum { HOLDS_MUTEX = 1, HOLDS_RWLOCK = 1 << MUTEXES, HOLDS_ONCE = HOLDS_RWLOCK << 1 };

void forget_learned_stacks(void);

#endif
