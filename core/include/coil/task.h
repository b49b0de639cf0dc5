/* SPDX-License-Identifier: MIT */
/*
 * coil/task.h - a task: one stack of coroutine frames, and what runs it.
 *
 * A coroutine is a function that can wait (coil/coro.h is the language to write one). Calling it
 * runs nothing: it returns a cold coroutine by value, that is, which function and with what
 * arguments. Awaiting it makes a frame of it on the frame stack of the running task; spawning it
 * (coil/group.h) makes a task with that frame as its first.
 *
 *     top -> [ frame: coil_read ] -> up -> [ frame: read_line ] -> up -> [ frame: session ] -> NULL
 *            a leaf: it waits              coroutines that await their callee
 *
 * Invariants
 *   - A task is resumed at its innermost frame, whatever the depth: O(1).
 *   - A frame never moves and is never freed before it has left, so the kernel may write into it.
 *   - A suspended frame points at the static record of the await it is suspended in (`at`): label,
 *     line and source text. That pointer is the resume point and the stack trace in one.
 *   - A task belongs to one group and one scheduler, and runs on that scheduler's thread only.
 *
 * Cancellation is a forced return: the innermost leaf ends early, then each frame leaves in turn
 * (its defers run, and may await) up to the frame that asked: a deadline's (within, until), a
 * group's, or the whole task. It is level-triggered: until that frame has been left, every further
 * await ends at once. Requests nest, and the outermost wins. A mask (running defers, shield) hides
 * the requests of frames outside it for as long as it stands; requests from inside it work as ever.
 *
 * Nothing here is thread safe: everything happens on the scheduler's thread.
 */
#ifndef COIL_TASK_H
#define COIL_TASK_H

#include <coil/base.h>
#include <coil/check.h>
#include <coil/list.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

COIL_BEGIN_DECLS

typedef struct coil_task coil_task;
typedef struct coil_frame coil_frame;
typedef struct coil_sched coil_sched;
typedef struct coil_group coil_group;
typedef struct coil_deferred coil_deferred;
typedef struct coil_leaving coil_leaving;
typedef struct coil_mask coil_mask;

/* What a step function reports: its frame has left, or the task has to wait. */
typedef enum coil_turn { COIL_DONE, COIL_WAIT } coil_turn;

/* The result of a coroutine of type void. */
typedef struct coil_nil {
    char nothing;
} coil_nil;

/* One per await in the source, and in each defer. Read-only. */
typedef struct coil_site {
    void *label;      /* Where the body goes on. */
    const char *what; /* The source text. */
    int line;
} coil_site;

/* One per coroutine function. Read-only. */
typedef struct coil_fn {
    coil_turn (*step)(coil_task *task, coil_frame *frame); /* Start or resume the frame. */
    void (*cancel)(coil_task *task, coil_frame *frame);    /* Leaves only: end early. */
    const char *name;
    const char *file;
    uint32_t *stack_bytes; /* Frame stack that a task of this kind needs. Learned. */
    uint32_t frame_bytes;
    uint32_t result_at; /* Where in the frame the result lies. */
    uint32_t result_bytes;
    uint32_t arguments_at;
    uint32_t arguments_bytes;
    bool result_is_scalar; /* An integer, or a pointer. */
    bool result_is_signed; /* A pointer is: an error pointer is negative. */
    bool result_is_int;    /* Nearly all results are. */
    /* As a task's first frame it stands for another, whose name and stack the task has. Or NULL. */
    const struct coil_fn *(*stands_for)(const coil_frame *first);
} coil_fn;

/* The header of every frame. */
struct coil_frame {
    const coil_fn *fn;
    coil_frame *up;        /* Who awaits this frame. NULL: it is the task's first. */
    const coil_site *at;   /* Suspended here. NULL: not started. */
    coil_deferred *defers; /* To do on leaving, youngest first. */
    void *vars;            /* A body's variables; a leaf's pending operation. */
};

/*
 * A cancellation request is the frame to unwind out of, or COIL_WHOLE_TASK. NULL: there is none.
 */
COIL_API extern coil_frame coil_whole_task; /* No frame: a place that no frame has. */
#define COIL_WHOLE_TASK (&coil_whole_task)

/* Hides requests from outside `frame`; `outside` is what they have asked for meanwhile. */
struct coil_mask {
    char *outcome; /* Of the task, as it was before: it may be that of the mask around this one. */
    coil_frame *frame;
    coil_frame *outside;
    bool exiting; /* Of the frame itself: its defers run. Else a shield, of a call that it made. */
    bool unwound; /* It is leaving because of a cancellation. */
};

/* What is done on leaving: one per defer in the source, or per function. Read-only. */
struct coil_leaving {
    coil_turn (*call)(coil_task *task, coil_frame *frame, coil_deferred *deferred);
    coil_site site; /* Without `call`: a block of the body. */
};

/* One thing to do when a frame leaves. Lives on the frame stack. */
struct coil_deferred {
    coil_deferred *next;
    const coil_leaving *exit;
};

/*
 * A further block of a task's frame stack, for calls that go deeper than the first one, which is
 * part of the task. The newest is kept when it is not needed any more: a task at the brink does not
 * allocate at every call.
 */
typedef struct coil_chunk {
    struct coil_chunk *prev;
    coil_frame *owner; /* Not needed any more when this frame has left. NULL: it has. */
    char *prev_sp;
    char *prev_limit;
    size_t size_bytes;
    char bytes[] __attribute__((aligned(16)));
} coil_chunk;

/* Where a task is, as its scheduler sees it. */
typedef enum coil_queued {
    COIL_NOT_QUEUED,
    COIL_QUEUED,  /* In the ready queue. */
    COIL_GUARDED, /* Not queued. Debug mode, or a probe, looks who wakes it. */
} coil_queued;

/*
 * Where the result of a task goes is an int64_t, NULL, or with one of these bits something else. It
 * is needed at the end only, when all masks are gone: before, they are kept in the same place.
 */
typedef enum coil_outcome {
    COIL_OUTCOME_FUTURE = 1, /* A coil_future. */
    COIL_OUTCOME_MASK = 2,   /* The innermost mask, which has what was there before. */
} coil_outcome;

struct coil_task {
    coil_frame *top; /* The innermost frame: the one to resume. NULL: ended. */
    char *limit;     /* (Not beside sp: their stores would be merged, and stall the next load.) */
    coil_sched *sched;
    char *sp; /* The end of the frame stack. The frame that left last still lies there. */
    coil_frame *request; /* As seen from the innermost frame. */
    bool unwinding;      /* A cancellation is in progress. */
    bool again;          /* Strict builds: enter the body once more. */
    uint8_t queued;      /* A coil_queued. */
    uint8_t lock_count;  /* Locks that it holds; sync counts them, debug mode looks. */
    uint32_t born;       /* When it was spawned, in units of 2^COIL_TASK_AGE_BITS ns. */
    coil_task *ready_next;
    coil_group *group;               /* Whose child it is. */
    coil_list link;                  /* In group->tasks. */
    char *outcome;                   /* Where to: see coil_outcome. */
    struct coil_task_extras *extras; /* What few tasks have: a name, local values, chunks. */
    char first[] __attribute__((aligned(16)));
};

enum { COIL_TASK_AGE_BITS = 24 /* 17 ms; after two years the age begins anew. */ };

/* ---------------------------------------------------------------------------- for everyone -- */

/*
 * Ask `task` to unwind to its end. It ends with -ECANCELED unless it gets a result to its end
 * before the request reaches it. A task that has not started yet runs to its first await, so that
 * it can take over what its arguments own. Idempotent.
 */
COIL_API void coil_task_cancel(coil_task *task);

/* The first frame of a task, which says what the task is made of. */
static inline const coil_frame *coil_task_first_frame(const coil_task *task)
{
    return (const coil_frame *)(const void *)task->first;
}

/*
 * What the task is called: the name that coil_task_set_name() has given it, else that of its
 * coroutine.
 */
COIL_API const char *coil_task_name(const coil_task *task);

/*
 * Give `task` a name of its own, for traces and reports. At most COIL_TASK_NAME_BYTES - 1 bytes of
 * it are kept; the task has a copy. 0, or -ENOMEM. (asyncio: Task.set_name)
 */
enum { COIL_TASK_NAME_BYTES = 48 };
COIL_API int coil_task_set_name(coil_task *task, const char *name);

/* How long ago the task was spawned, to 17 ms. */
COIL_API coil_duration coil_task_age(const coil_task *task);

/* The time, as the task's scheduler has it: it stands still during a turn. (asyncio: loop.time) */
COIL_API coil_time coil_task_now(const coil_task *task);

/*
 * The earliest of the deadlines (within, until, coil/timeout.h) that bound what the task is doing
 * now, COIL_NEVER if there is none. Those outside of a shield, or of a defer that runs, do not
 * count: they are hidden. The time that is left is what a server may hand on to its peer.
 */
COIL_API coil_time coil_task_deadline(const coil_task *task);

/* Is the task being cancelled, as seen from where it is now? (asyncio: Task.cancelling) */
static inline bool coil_task_cancelling(const coil_task *task)
{
    return task->request != NULL;
}

/* ------------------------------------------ for leaves: awaitables that are written by hand -- */
/*
 * A leaf is a frame without a body. Its step function is called twice or more often:
 *
 *     step(), frame->at == NULL    start: finish at once with `return coil_leave_with(task, frame,
 *                                  result)`, or mark the frame: `return coil_leaf_suspend(frame)`
 *     coil_task_wake(task)         from wherever the event arrives: the task is queued
 *     step(), frame->at != NULL    leave with the result in the same way, or wait again
 *
 * Before it starts, a leaf asks coil_task_refuses(): true means that the task is being cancelled,
 * and the leaf must leave at once. Its cancel function makes a pending operation end early; it is
 * called on a suspended leaf, possibly more than once, and must not resume the task itself. When
 * the operation has ended because of that, the step function calls coil_task_unwind_here() and
 * leaves; when it has ended by itself all the same, it delivers its result as ever.
 */

/* True if the task is being cancelled here and now; it then begins to unwind. */
static inline bool coil_task_refuses(coil_task *task)
{
    if (coil_unlikely(task->request != NULL)) {
        task->unwinding = true;
        return true;
    }
    return false;
}

/* The leaf's operation ended with -ECANCELED: unwind if we asked for that, else false. */
static inline bool coil_task_unwind_here(coil_task *task)
{
    return coil_task_refuses(task);
}

/* Private: where all leaves are suspended. */
COIL_API extern const coil_site coil_leaf_site;

/* Mark the leaf as started and waiting. Returns COIL_WAIT, to be returned by the step function. */
static inline coil_turn coil_leaf_suspend(coil_frame *leaf)
{
    leaf->at = &coil_leaf_site;
    return COIL_WAIT;
}

/* Queue a suspended task, to be resumed in this or the next round. Nothing if it is queued. */
COIL_API void coil_task_wake(coil_task *task);

/* The same, but not before the next round: after all that is ready, and after I/O. */
COIL_API void coil_task_wake_later(coil_task *task);

/* The cancel function of a leaf that has nothing to end: its step function sees to the rest. */
static inline void coil_leaf_wake(coil_task *task, coil_frame *leaf)
{
    (void)leaf;
    coil_task_wake(task);
}

/* ------------------------------------------------------------------------ the frame stack -- */

/* Private: coil_push() where the block has no room. */
COIL_API void *coil_push_slow(coil_task *task, size_t size_bytes);

/*
 * Memory on the frame stack that lives until the running frame has left. Uninitialised, and aligned
 * for everything but long double, __int128, vectors and the like.
 */
static inline void *coil_push(coil_task *task, size_t size_bytes)
{
    char *start = task->sp;
    size_bytes = (size_bytes + 7) & ~(size_t)7;
    if (coil_unlikely(size_bytes > (size_t)(task->limit - start)))
        return coil_push_slow(task, size_bytes);
    task->sp = start + size_bytes;
    return start;
}

/*
 * As coil_push(), for what is needed when the running frame leaves: makes sure that `room_bytes`
 * follow it. They stay free, and the frame's calls use them; when it leaves, those have left, so
 * that what it pushes then has room and needs no memory.
 */
static inline void *coil_push_keeping(coil_task *task, size_t size_bytes, size_t room_bytes)
{
    void *start = coil_push(task, size_bytes + room_bytes);
    task->sp -= room_bytes;
    return start;
}

/* As coil_push(), but nothing is taken: the next push begins at the same place. */
static inline void *coil_room(coil_task *task, size_t size_bytes)
{
    size_bytes = (size_bytes + 7) & ~(size_t)7;
    if (coil_unlikely(size_bytes > (size_t)(task->limit - task->sp)))
        task->sp = (char *)coil_push_slow(task, size_bytes);
    return task->sp;
}

/* That room for a frame with defers: they run behind a mask, and something has to end it. */
enum { COIL_EXIT_BYTES = sizeof(coil_deferred) + sizeof(coil_mask) };

/* As coil_push(), aligned to `alignment`, a power of two. */
static inline void *coil_push_aligned(coil_task *task, size_t size_bytes, size_t alignment)
{
    if (alignment <= 8)
        return coil_push(task, size_bytes);
    void *start = coil_push(task, size_bytes + alignment - 8);
    return (char *)start + (-(uintptr_t)start & (alignment - 1));
}

/* The variables of a body: made and zeroed at its start, found again on resume. */
static inline void *coil_enter(
        coil_task *task, coil_frame *frame, size_t size_bytes, size_t alignment)
{
    if (frame->at != NULL)
        return frame->vars;
    if (size_bytes == 0)
        return frame->vars = NULL;
    return frame->vars = memset(coil_push_aligned(task, size_bytes, alignment), 0, size_bytes);
}

/* Private: coil_leave() of a frame with defers. */
COIL_API coil_turn coil_leave_slow(coil_task *task, coil_frame *frame);

/* The frame has its result: run its defers and drop it. COIL_WAIT: a defer has to wait first. */
static inline coil_turn coil_leave(coil_task *task, coil_frame *frame)
{
    if (coil_unlikely(frame->defers != NULL))
        return coil_leave_slow(task, frame);
    task->top = frame->up;
    task->sp = (char *)frame;
    return COIL_DONE;
}

/* The mask that an outcome stands for. NULL: there is none. */
static inline coil_mask *coil_outcome_mask(char *outcome)
{
    if (((uintptr_t)outcome & COIL_OUTCOME_MASK) == 0)
        return NULL;
    return (coil_mask *)(void *)(outcome - COIL_OUTCOME_MASK);
}

/* The innermost mask of a task, or NULL. */
static inline coil_mask *coil_task_mask(const coil_task *task)
{
    return coil_outcome_mask(task->outcome);
}

/*
 * Is `frame`, the task's innermost, running its defers? Its own mask is then the innermost one:
 * everything that was called from there has left.
 */
static inline bool coil_frame_exiting(const coil_task *task, const coil_frame *frame)
{
    const coil_mask *mask = coil_task_mask(task);
    return mask != NULL && mask->frame == frame && mask->exiting;
}

/* Is `frame`, which is leaving, doing so because of a cancellation? Else it has a result. */
static inline bool coil_frame_unwound(const coil_task *task, const coil_frame *frame)
{
    return task->unwinding || (coil_frame_exiting(task, frame) && coil_task_mask(task)->unwound);
}

/* Register `deferred`, which coil_push_keeping() has put on the frame stack of `frame`'s task. */
static inline void coil_defer_push(
        coil_frame *frame, coil_deferred *deferred, const coil_leaving *exit)
{
    deferred->next = frame->defers;
    deferred->exit = exit;
    frame->defers = deferred;
}

/* Make `frame` the task's innermost one. Its arguments are the caller's business. */
static inline void coil_frame_push(
        coil_task *task, coil_frame *frame, const coil_fn *fn, coil_frame *up)
{
    frame->fn = fn;
    frame->up = up;
    frame->at = NULL;
    frame->defers = NULL;
    task->top = frame;
}

/* Private: coil_frame_set_result() of what is no int. */
COIL_API void coil_frame_set_other_result(coil_frame *frame, int64_t value);

/* Store `value` as a scalar result, or as the int64 that a struct begins with; the rest is zero. */
static inline void coil_frame_set_result(coil_frame *frame, int64_t value)
{
    int narrow = (int)value;
    if (coil_likely(frame->fn->result_is_int)) {
        memcpy((char *)frame + frame->fn->result_at, &narrow, sizeof(narrow));
    } else {
        coil_frame_set_other_result(frame, value);
    }
}

/* Leave with that for its result. */
static inline coil_turn coil_leave_with(coil_task *task, coil_frame *leaf, int64_t result)
{
    coil_frame_set_result(leaf, result);
    return coil_leave(task, leaf);
}

/* The result if it is a scalar, the int64 that a struct of 16 or more bytes begins with, else 0. */
COIL_API int64_t coil_frame_result(const coil_frame *frame);

/* ---------------------------------------------------------------------------- eager leaves -- */
/*
 * A leaf that mostly has its result at once needs no frame for that. One that is declared with
 * coil_declare_eager() has a begin function besides its step function, and an await calls that
 * first:
 *
 *     begin(task, leaf)    `leaf` is where the frame would be, which is not on the stack yet: only
 *                          its `fn` and the arguments are there. One of three:
 *                            - store the result and return COIL_DONE
 *                            - coil_leaf_enter(), and from there on as a step function does
 *                            - return coil_leaf_begin(task, leaf), for all that is not usual
 *
 * Until it is entered, nothing may be pushed, and the leaf cannot be cancelled or left. A task that
 * is being cancelled (task->request) goes to coil_leaf_begin(), whose step function refuses.
 *
 * The step function is called first all the same for what is spawned, for calls with adaptors, and
 * in strict builds: both have to do the same.
 */
typedef coil_turn coil_begin_fn(coil_task *task, coil_frame *leaf);

/* Put `leaf` on the stack as the task's innermost frame; `size_bytes` is fn->frame_bytes. */
static inline void coil_leaf_enter(coil_task *task, coil_frame *leaf, size_t size_bytes)
{
    task->sp = (char *)leaf + ((size_bytes + 7) & ~(size_t)7);
    coil_frame_push(task, leaf, leaf->fn, task->top);
}

/* Enter the leaf and call its step function, as if it had no begin function. */
COIL_API coil_turn coil_leaf_begin(coil_task *task, coil_frame *leaf);

/* ------------------------------------------------------------------------------ adaptors -- */

enum {
    COIL_ADAPT_WITHIN = 1, /* `limit` bounds the call. */
    COIL_ADAPT_UNTIL = 2,  /* `deadline` bounds the call. */
    COIL_ADAPT_SHIELD = 4, /* Hidden from requests from outside; the deadlines are inside. */
};

/* The header of a coroutine that was called and not yet awaited. */
typedef struct coil_cold {
    const coil_fn *fn;
    coil_begin_fn *begin; /* NULL: it is no eager leaf. */
    uint32_t adapt;
    uint32_t created; /* Strict builds, debug mode: its number. 0: nobody counts. */
    coil_duration limit;
    coil_time deadline;
} coil_cold;

/* within(), until() and shield() take effect when the cold coroutine becomes a frame. */
COIL_API void coil_adapt(coil_task *task, coil_frame *frame, const coil_cold *cold);

/*
 * What within(), until() and shield() do to a cold coroutine. A deadline around a shield has no
 * effect: the shield hides it, and when that ends, the call is over.
 */
static inline void coil_cold_within(coil_cold *cold, coil_duration limit)
{
    if (cold->adapt & COIL_ADAPT_SHIELD)
        return;
    if (!(cold->adapt & COIL_ADAPT_WITHIN) || limit < cold->limit)
        cold->limit = limit;
    cold->adapt |= COIL_ADAPT_WITHIN;
}

static inline void coil_cold_until(coil_cold *cold, coil_time deadline)
{
    if (cold->adapt & COIL_ADAPT_SHIELD)
        return;
    if (!(cold->adapt & COIL_ADAPT_UNTIL) || deadline < cold->deadline)
        cold->deadline = deadline;
    cold->adapt |= COIL_ADAPT_UNTIL;
}

static inline void coil_cold_shield(coil_cold *cold)
{
    cold->adapt |= COIL_ADAPT_SHIELD;
}

/*
 * Ask for an unwinding out of frame `to`, or of COIL_WHOLE_TASK. False if a request for this
 * frame or one further out is already there: the outermost wins.
 */
COIL_API bool coil_task_unwind(coil_task *task, coil_frame *to);

/*
 * `frame` is leaving. If a request has it as its target, that request ends here: return true, and
 * if the frame was unwound, stop the unwinding and set `*out_unwound`.
 */
COIL_API bool coil_task_absorb(coil_task *task, coil_frame *frame, bool *out_unwound);

/* -------------------------------------------------------------------------- making tasks -- */

/*
 * A task of `fn` with room for its first frame, not yet in a group and not yet running. NULL if
 * there is no memory.
 */
COIL_API coil_task *coil_task_create(coil_sched *sched, const coil_fn *fn);

/* The same for a call with adaptors: there is room for what coil_adapt() pushes, too. */
COIL_API coil_task *coil_task_create_adapted(coil_sched *sched, const coil_cold *cold);

/* Give back an ended or never started task. */
COIL_API void coil_task_destroy(coil_task *task);

/* Another place for the result of a task, masked or not. NULL: nobody wants it. */
COIL_API void coil_task_set_outcome(coil_task *task, char *outcome);

/* The memory of a task: its block, and the further ones of its frame stack. */
COIL_API size_t coil_task_memory_bytes(const coil_task *task);

/* Run the task until it waits or ends. True: it has ended. The scheduler's business. */
COIL_API bool coil_task_resume(coil_task *task);

COIL_END_DECLS

#endif
