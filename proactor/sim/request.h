/* SPDX-License-Identifier: MIT */
/*
 * request.h - one submission queue entry, from when the kernel takes it to its last completion.
 *
 *     taken --(latency)--> QUEUED --its task work runs--> try it: done ---> completion posted, gone
 *                            ^                                |  done, multishot: posted, and again
 *                            |                                v
 *                            +--(latency)-- it changed --- WAITING for a file, or something else
 *
 * A request is tried only as task work, in an io_uring_enter(2) with IORING_ENTER_GETEVENTS of its
 * thread: this is what IORING_SETUP_DEFER_TASKRUN means (pitfall 16), and the only time at which
 * the memory that it names is read or written. All task work that is due is run in an order of
 * chance. (The kernel tries most of them once at submission, in order; whoever relies on that
 * breaks when it cannot. Only NOPs and polls, which touch no memory, are tried then: at_once.)
 *
 * A change that the thread of the ring itself makes is task work at once, as in the kernel; those
 * of others, and of the network, take a while.
 *
 * An operation is a constant with functions, found by opcode (operation.c). It is tried until it
 * has a result.
 */
#ifndef SIM_REQUEST_H
#define SIM_REQUEST_H

#include "kernel_ring.h"

#include "file.h"
#include "recording.h"
#include "world.h"

typedef struct sim_request sim_request;
typedef struct sim_ring sim_ring;

/* Embedded as the first member of what an operation keeps; freed by sim_delete() at the end. */
typedef struct sim_extra {
    const char *name;  /* Of whom it is, to be checked. */
    const char *path;  /* What the entry names, for the trace. NULL: nothing. */
    const char *other; /* The second name of a rename or a link. NULL: there is none. */
} sim_extra;

/* Parts of memory in which an operation answers, at most. */
enum { SIM_ANSWERS_MAX = 3 };

typedef struct sim_operation {
    const char *name;

    /* At submission: check the entry, copy what the kernel copies. 0, or the result. NULL: 0. */
    int (*prepare)(sim_request *request);

    /*
     * Do it: the result, or SIM_AGAIN once sim_request_wait() or sim_request_wait_file() has said
     * what for. May post any number of completions with IORING_CQE_F_MORE by sim_request_post().
     */
    int (*attempt)(sim_request *request);

    /* The result of one that is cancelled. NULL: -ECANCELED, or a partial count if there is one. */
    int (*cancelled)(sim_request *request);

    /* The end: undo what prepare() has made, but for request->extra. May be NULL. */
    void (*release)(sim_request *request);

    /*
     * At submission: the memory in which it answers, beside what `reads` says; how many parts.
     * Poisoned in flight, but as it was whenever one of these functions runs. NULL: none.
     */
    unsigned (*answers)(const sim_request *request, struct iovec out_parts[SIM_ANSWERS_MAX]);

    bool at_once;    /* It is tried at submission. */
    bool needs_file; /* The fd of the entry is one, and is held. */
    bool by_worker;  /* A thread of the kernel does it: not to be cancelled once it has begun. */
    bool reads;      /* It writes to the memory that addr and len name: poisoned in flight. */
    bool writes;     /* It reads from there: must not change in flight. */
    int found;       /* What a cancel that finds it results in: 0; waitid: 1 (pitfall 5). */
} sim_operation;

/* No result yet. No errno, no count. */
#define SIM_AGAIN INT32_MIN

/* The operation of an opcode. NULL: not known, -EINVAL. */
const sim_operation *sim_operation_of(uint8_t opcode);

typedef enum sim_request_state {
    SIM_REQUEST_QUEUED,  /* Its event is scheduled. */
    SIM_REQUEST_WORK,    /* Its task work is in ring->work. */
    SIM_REQUEST_WAITING, /* For a change. */
    SIM_REQUEST_HELD,    /* For its time to come in a recording (replay.h). */
} sim_request_state;

struct sim_request {
    const sim_operation *operation;
    struct io_uring_sqe sqe; /* A copy. */
    sim_ring *ring;
    sim_file *file;  /* Held; NULL if the operation needs none. */
    uint64_t number; /* From 1, in order of submission. */

    /* For operations. */
    uint32_t flags;              /* Of the completion: IORING_CQE_F_BUFFER ... */
    size_t done_bytes;           /* Of a transfer that goes on (MSG_WAITALL, multishot). */
    short events;                /* WAITING for a file: which. */
    struct iovec own_part;       /* For entries that name one buffer. */
    uint32_t shot_count;         /* Completions posted with F_MORE. */
    sim_extra *extra;            /* What only this operation needs. */
    uint64_t checksum;           /* Of the bytes that must not change. */
    char *lent;                  /* What was where junk is now: lending.c. */
    struct sim_answers *answers; /* The same of what it answers in; NULL: in nothing. */
    short woken;                 /* With which events; 0: look. */
    bool stays;                  /* It keeps its place among those who wait: a multishot accept. */
    bool is_persistent; /* Wakes while it is to be tried are seen, too: a multishot poll. */
    bool in_worker;     /* It WAITS in a thread of the kernel, which a cancel interrupts. */
    int32_t result;     /* That is to be told: of a cancellation, of a refusal. */

    /* Private. */
    sim_request_state state;
    coil_list link;        /* In ring->requests, by time of submission. */
    coil_list work_link;   /* WORK: in ring->work. */
    coil_list lender_link; /* In ring->lenders, if any memory is lent. */
    sim_waiter waiter;
    sim_event event;
    bool is_cancelled; /* Its task work ends it. */
    bool is_doomed;    /* A cancellation was too late for this attempt: there is no other. */
    bool is_tried;     /* Once or more. */
    bool is_spent;     /* Its bytes were copied by an attempt that has failed: sim_io.is_spent. */
    bool has_begun;    /* Of an operation that begins something and then waits. */
    bool is_notice;    /* Its result has been told: nothing can fail or be cancelled any more. */

    uint64_t recorded;           /* The entry of the recording that it is. 0: it is in none. */
    const sim_recorded *imposed; /* What is to come of this attempt. NULL: what may. */
    bool is_asked;               /* To end: the recording says when. */
};

/* Try again after a change of `waiters`. */
void sim_request_wait(sim_request *request, sim_waiters *waiters);

/* Try again when sim_file_poll() of its file has one of `events`, POLLERR or POLLHUP. SIM_AGAIN */
int sim_request_wait_file(sim_request *request, short events);

/*
 * Try again then, whatever happens: for what takes time by itself. SIM_AGAIN
 */
int sim_request_wait_until(sim_request *request, coil_time time);

/*
 * A completion that is not the last (IORING_CQE_F_MORE is added to `flags`). False: there is no
 * room, nothing was posted, and `result` is to be the last one (pitfall 9).
 */
bool sim_request_post(sim_request *request, int result, uint32_t flags);

/* The same for one that another one follows in any case: without room, it overflows. */
void sim_request_tell(sim_request *request, int result, uint32_t flags);

/* Memory of the process, whose address an entry, or a registration, has as an integer. */
static inline void *sim_memory_at(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

/* Is this shot the last one, although there may be more? */
bool sim_request_stops(const sim_request *request);

/* The process of the ring. */
sim_process *sim_request_process(const sim_request *request);

/*
 * Give `file`, with its reference, to the process as the entry wants it: as a descriptor, or a
 * direct one (sqe.file_index). The result for the completion; the file is closed if that is an
 * error.
 */
int sim_request_install(sim_request *request, sim_file *file);

/* ---------------------------------------------------------------------------- for replay.c -- */

/* Can a try have another outcome than the last one? */
bool sim_request_may_try(const sim_request *request, bool is_tried);

/* Try it now: its result, or SIM_AGAIN. */
int sim_request_try(sim_request *request);

/* It ends with that. */
void sim_request_finish(sim_request *request, int result);

/* From now on it is like any other. */
void sim_request_let_go(sim_request *request);

#endif
