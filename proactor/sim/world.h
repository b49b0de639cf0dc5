/* SPDX-License-Identifier: MIT */
/*
 * world.h - all there is in one simulation: the clock and what happens at which time, chance and
 * faults, hosts and the processes on them.
 *
 * A world runs in one thread of the operating system. At any moment either one fiber (fiber.h) runs
 * the code of a simulated process, or the world itself runs an event. Fibers are switched only
 * inside of calls of the seam (coil/kernel.h, kernel_ring.h); events are run only between fibers.
 * So neither needs locks, and an event sees every process at rest.
 *
 *     while (true)
 *         events that are due, by time        ->  run them all
 *         a fiber can run                     ->  resume one, chosen by chance
 *         an event is to come                 ->  the clock jumps to it
 *         nothing of these, but fibers exist  ->  a deadlock: report who waits for what
 *
 * Nothing in here fails: a simulator without memory ends the program (sim_new()).
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "random.h"

#include <coil/list.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct coil_sim sim_world;
typedef struct sim_event sim_event;
typedef struct sim_fiber sim_fiber;
typedef struct sim_host sim_host;
typedef struct sim_process sim_process;
typedef struct sim_program sim_program;
typedef struct sim_network sim_network; /* network.c */
typedef struct sim_disk sim_disk;       /* disk.h */

/* The world of the call of the seam that is being made. There is one at a time. */
sim_world *sim_here(void);

/* ---------------------------------------------------------------------------- memory of ours -- */

/* Zeroed memory that belongs to no simulated process. Never NULL. */
void *sim_new(size_t size_bytes);

/* realloc(3) of that; what is new is not zeroed. */
void *sim_grown(void *memory, size_t size_bytes);

/* Takes NULL. */
void sim_delete(void *memory);

/* A copy, from sim_new(). */
char *sim_copy_text(const char *text);

/* ------------------------------------------------------------------------- clock and events -- */

/*
 * Something that will happen. Zeroed memory is an event that is not scheduled; it lies in the
 * memory of its owner, who withdraws it before that memory ends. `run` is called once per sim_at(),
 * at its time, with the event no longer scheduled: it may schedule it again, or free it.
 */
struct sim_event {
    void (*run)(sim_event *event);

    /* Private. */
    coil_time time;
    uint64_t tie;      /* Among those of one time, by chance ... */
    uint64_t sequence; /* ... and by order, if chance does not decide. */
    size_t place;      /* In the heap, from 1. 0: not scheduled. */
};

/* The virtual CLOCK_MONOTONIC. Each call of the seam takes a little time, so it does not stand. */
coil_time sim_now(const sim_world *world);

/* Run `event` at `time`, or soon if that has passed. It must not be scheduled. */
void sim_at(sim_world *world, coil_time time, sim_event *event);

/* The same, `delay` from now; COIL_FOREVER schedules nothing. */
void sim_after(sim_world *world, coil_duration delay, sim_event *event);

/* Not scheduled any more. Nothing if it was not. */
void sim_withdraw(sim_world *world, sim_event *event);

static inline bool sim_scheduled(const sim_event *event)
{
    return event->place != 0;
}

/* ------------------------------------------------------------------------ chance and faults -- */

/* 0 <= result < limit; `limit` is not 0. */
uint64_t sim_random_below(sim_world *world, uint64_t limit);

/* least <= result <= most, for durations. */
coil_duration sim_random_between(sim_world *world, coil_duration least, coil_duration most);

/* True so many times in a million. Draws no number for 0 and for SIM_ALWAYS. */
bool sim_chance(sim_world *world, sim_probability probability);

/*
 * The points at which the world may be unkind. Each names what the real kernel is known to do (the
 * number is that of the pitfall in docs/TESTING.md). A profile gives each a probability.
 */
typedef enum sim_fault_kind {
    SIM_FAULT_PREEMPT,          /* Another fiber runs after a call of the seam. */
    SIM_FAULT_SHORT_READ,       /* Fewer bytes than there are (read(2), recv(2)). */
    SIM_FAULT_SHORT_WRITE,      /* Fewer bytes than would fit (write(2), send(2)). 14 */
    SIM_FAULT_ENTER_EINTR,      /* io_uring_enter(2) is interrupted, also after submitting. 19 */
    SIM_FAULT_ENTER_EBUSY,      /* It submits nothing while completions overflow. 9 */
    SIM_FAULT_ENTER_EAGAIN,     /* It has no memory for a request now. */
    SIM_FAULT_PARTIAL_SUBMIT,   /* It takes fewer entries than it was given. 19 */
    SIM_FAULT_EARLY_WAKE,       /* It returns before min_complete, without a reason. */
    SIM_FAULT_MULTISHOT_ENDS,   /* A multishot request stops, with a result that is none. 9 */
    SIM_FAULT_CANCEL_TOO_LATE,  /* The target is past cancelling: -EALREADY. 4, 5 */
    SIM_FAULT_CANCEL_ENDS_LAST, /* The target's completion comes after that of the cancel. 4 */
    SIM_FAULT_NO_BUFFER,        /* -ENOBUFS, though there is one. 10 */
    SIM_FAULT_RING_SETUP,       /* No ring: -ENOMEM. 1 */
    SIM_FAULT_RING_REGISTER,    /* An optional registration is refused. */
    SIM_FAULT_NO_DESCRIPTOR,    /* -EMFILE or -ENFILE. */
    SIM_FAULT_NO_THREAD,        /* pthread_create(3): EAGAIN. */
    SIM_FAULT_NO_MEMORY,        /* malloc(3): NULL. */
    SIM_FAULT_WORD_WAKE,        /* futex(2) wakes without a reason. */
    SIM_FAULT_COND_WAKE,        /* pthread_cond_wait(3) does so. */
    SIM_FAULT_CONNECT_REFUSED,  /* connect(2) */
    SIM_FAULT_RESET,            /* A connection is reset by the network. */
    SIM_FAULT_DATAGRAM_LOST,    /* By the network. */
    SIM_FAULT_DATAGRAM_TWICE,   /* By the network. */
    SIM_FAULT_ACCEPT_ABORTED,   /* accept(2): ECONNABORTED. */
    SIM_FAULT_DISK_FULL,        /* ENOSPC */
    SIM_FAULT_DISK_ERROR,       /* EIO */
    SIM_FAULT_NOT_CACHED,       /* RWF_NOWAIT: EAGAIN. */
    SIM_FAULT_NO_PROCESS,       /* clone(2): EAGAIN. */
    SIM_FAULT_EVENTS_LOST,      /* inotify(7): IN_Q_OVERFLOW. */
    SIM_FAULT_COUNT,
} sim_fault_kind;

/* Does this go wrong now? Counts, so that a report can say which faults there were. */
bool sim_fault(sim_world *world, sim_fault_kind fault);

/* What is counted, so that the n-th can fail. */
typedef enum sim_nth_kind {
    SIM_NTH_ALLOCATION,
    SIM_NTH_SUBMISSION, /* A request that is taken from a queue. */
    SIM_NTH_COMPLETION, /* A request that is tried. */
    SIM_NTH_COUNT,
} sim_nth_kind;

typedef struct sim_nth {
    uint64_t count;  /* So far. */
    uint64_t target; /* The one that fails. 0: none. */
    int error;       /* With that. 0: the usual one. */
} sim_nth;

/* How long the kernel takes, between which limits chance decides. */
typedef enum sim_latency {
    SIM_LATENCY_CALL,    /* A call of the seam. */
    SIM_LATENCY_ISSUE,   /* From submission until the request is tried for the first time. */
    SIM_LATENCY_WAKE,    /* From the change of a file until a request that waits is tried again. */
    SIM_LATENCY_WORKER,  /* What a thread of the kernel does, such as opening a file. */
    SIM_LATENCY_DISK,    /* fsync(2), and reading what is not cached. */
    SIM_LATENCY_NETWORK, /* One way, where no link says otherwise. */
    SIM_LATENCY_COUNT,
} sim_latency;

coil_duration sim_draw_latency(sim_world *world, sim_latency latency);

/* --------------------------------------------------------------------------------- waiting -- */

/*
 * Whoever waits for a change of something: a request, a fiber. `changed` is called at each change
 * while it is in the list; it may take itself out, and it only schedules: it neither changes what
 * it waits for, nor runs code of a process. It is called again at the next change, until it leaves.
 */
typedef struct sim_waiter sim_waiter;
struct sim_waiter {
    coil_list link; /* Zeroed or empty: waits for nothing. */
    void (*changed)(sim_waiter *waiter);
    bool is_exclusive; /* Of these, one is told what one can take (EPOLLEXCLUSIVE). */
};

typedef struct sim_waiters {
    coil_list list; /* By time of arrival. */
} sim_waiters;

void sim_waiters_init(sim_waiters *waiters);
void sim_waiters_add(sim_waiters *waiters, sim_waiter *waiter);
void sim_waiter_leave(sim_waiter *waiter); /* Nothing if it does not wait. */
void sim_waiters_notify(sim_waiters *waiters);
void sim_waiters_notify_one(sim_waiters *waiters); /* Of the exclusive ones, the first. */

/* ------------------------------------------------------------------------- hosts, programs -- */

/* When every world begins: nobody has any business at time 0. */
#define SIM_START (coil_s(86400) + 1)

/* A machine: an address in the network and a disk. Processes run on one. */
struct sim_host {
    coil_list link; /* In world->hosts. */
    sim_world *world;
    char *name;
    uint32_t address; /* IPv4, in the byte order of this machine: 10.0.0.1, 10.0.0.2, ... */
    char address_text[16];
    sim_disk *disk;           /* NULL until somebody needs it. */
    coil_duration wall_ahead; /* Of the wall clock that all begin with. */
    bool is_off;    /* Without power: what ends there ends without a word to the network. */
    sim_event dark; /* A process of its own has cut its power. */
};

/* The host of that name, made if there is none. */
sim_host *sim_host_named(sim_world *world, const char *name);

/* NULL: there is none. */
sim_host *sim_host_at(sim_world *world, uint32_t address);

/* What an executable file is: a function that is called as main() is. */
struct sim_program {
    coil_list link; /* In world->programs. */
    char *path;
    int (*main)(int argc, char **argv);
};

/* NULL: there is none at that path. */
sim_program *sim_program_at(sim_world *world, const char *path);

/* -------------------------------------------------------------------------- bytes of streams -- */

/* Of ledgers that are closed (ledger.h), together. */
typedef struct sim_traffic {
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t discarded_bytes;
} sim_traffic;

/* --------------------------------------------------------------------------------- the end -- */

/*
 * Whoever wants to know how a run fails (scenario.c). `failed` does not return. `likeness` is equal
 * for two failures that have the same cause, as far as one can see.
 */
typedef struct sim_judge sim_judge;
struct sim_judge {
    void (*failed)(sim_judge *judge, const char *text, uint64_t likeness);
};

/*
 * The simulation has found something that must not be. Tells the judge. If there is none: prints it
 * with the seed, the time, what every fiber does and the last entries of the queues, and ends the
 * program by abort(3).
 */
_Noreturn void sim_fail_as(sim_world *world, const char *text, uint64_t likeness);
_Noreturn void sim_fail(sim_world *world, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

#define SIM_CHECK(world, condition, ...)       \
    do {                                       \
        if (__builtin_expect(!(condition), 0)) \
            sim_fail(world, __VA_ARGS__);      \
    } while (0)

/* A line of the trace: what happened, for the report and for comparing two runs. */
void sim_trace(sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -------------------------------------------------------------------------------- the parts -- */

struct coil_sim {
    coil_time now;
    coil_time last_step; /* When a fiber was last chosen. */
    uint64_t seed;
    sim_random random;

    sim_event **heap; /* From 1. */
    size_t heap_count;
    size_t heap_room;
    uint64_t sequence;

    coil_list runnable; /* Fibers, by time of becoming so. */
    sim_fiber *current; /* NULL: the world itself runs. */
    size_t runnable_count;
    size_t fiber_count;

    coil_list hosts;
    coil_list programs;
    coil_list processes; /* Those that have not been reaped. */
    pid_t last_id;       /* Of processes and threads, which share their numbers as on Linux. */
    unsigned host_count;
    sim_network *network; /* NULL until somebody needs it. */

    sim_probability faults[SIM_FAULT_COUNT];
    uint64_t fault_counts[SIM_FAULT_COUNT];
    uint64_t fault_draws[SIM_FAULT_COUNT];
    const struct sim_selection *selection; /* Only these strike. NULL: all. */
    struct sim_occurrences *occurrences;   /* Where they are written down. NULL: nowhere. */
    sim_nth nths[SIM_NTH_COUNT];           /* Of all processes together. */
    uint64_t nth_counts[SIM_NTH_COUNT];    /* How many have failed because of that. */
    sim_random choices;                    /* Of the scenario itself. */
    struct {
        coil_duration least, most;
    } latencies[SIM_LATENCY_COUNT];

    struct sim_trace_book *trace; /* The last lines. */
    uint64_t trace_hash;          /* Of all lines: two runs are the same if this is. */
    bool prints_trace;
    sim_judge *judge;         /* NULL: what fails is abort(3). */
    bool forbids_leaks;       /* A process whose main() returns has freed and closed everything. */
    bool is_reporting;        /* It has failed, and nothing will run any more. */
    uint64_t operation_count; /* coil_sim_operations() */
    coil_list word_waiters;   /* Fibers that wait for a word in memory, a condition, a mutex. */
    coil_list lingering;      /* sim_lingering (power.c). */
    coil_list outputs;        /* sim_output (output.c). */
    size_t file_count;        /* Open ones (file.h), of processes and in flight. */
    coil_list ledgers;        /* sim_ledger, those that are open. */
    sim_traffic past_traffic;
};

#endif
