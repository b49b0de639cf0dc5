/* SPDX-License-Identifier: MIT */
/*
 * coil/remote.h - run a coroutine on the loop of another thread, and get its result here.
 *
 *     coil_attempt (my->n, coil_on_loop(other, count_words(path)));     from a task, awaited
 *
 *     coil_remote_start(&remote, loop, &n, count_words(path));          from any thread,
 *     rc = coil_remote_wait(&remote, coil_s(5));                        which blocks
 *
 *     coil_spawn_on(loop, refresh(cache));                              from anywhere, for nobody
 *
 * Arguments are copied by value, as with coil_spawn(): what they point to is shared by two threads,
 * and the caller's to keep. Results may be of any type.
 *
 *     here                                        there
 *     coil_on_loop() ----- message ----->  a task is spawned, in a group whose failures end nobody
 *     suspended                            ... runs ...
 *     (cancelled)    ----- message ----->  it is cancelled
 *     goes on       <----- message ------  it has ended, its result is copied
 *
 * Invariants
 *   - The call ends when the remote task has ended, never before: cancelling the caller, or a
 *     deadline around the call, cancels the remote task, and its end is awaited here.
 *   - A remote task that got a result to its end in spite of a cancellation delivers it.
 *   - If the target loop ends, the call ends with -ESHUTDOWN: at once if the loop has been
 *     destroyed (and is held, coil_loop_hold()), at its destruction if the remote task has not
 *     begun, and after the remote task's cancellation if it has. A loop that is neither run nor
 *     destroyed answers when it is.
 *   - No memory is allocated per call, but for coil_spawn_on().
 *
 * asyncio: run_coroutine_threadsafe(); folly: runInEventBaseThread(), co_withExecutor().
 */
#ifndef COIL_REMOTE_H
#define COIL_REMOTE_H

#include <coil/loop.h>

#include <pthread.h>

COIL_BEGIN_DECLS

typedef struct coil_remote coil_remote;
typedef struct coil_remote_call coil_remote_call;

enum { COIL_REMOTE_ARGUMENT_BYTES = 160 };

/*
 * The call, to be run on `loop`: awaited, spawned or given a deadline like any other. Its result is
 * that of the call, or -ESHUTDOWN, or -ENOMEM: there is no memory for the task. (A result that
 * cannot be an error is zero then.) The target may be this very loop.
 */
#define coil_on_loop(loop, ...) COIL_ON_LOOP_(COIL_CAT(co__w, __COUNTER__), (loop), __VA_ARGS__)
#define COIL_ON_LOOP_(cold, loop, ...) \
    COIL_ADAPTED_(cold, COIL_MAY_GO_(cold); coil_cold_on_loop(&cold.co__c, (loop)), __VA_ARGS__)
#define COIL_MAY_GO_(cold)                            \
    static_assert(__alignof__((cold).co__f[0]) <= 16, \
            "on another loop a coroutine begins at a multiple of 16 bytes")

/* Private: what both sides know of a call. */
struct coil_remote_call {
    coil_post start;
    coil_post cancel;
    void (*finished)(coil_remote_call *call); /* On the target's thread. */
    coil_loop *target;
    coil_task *guest; /* The task on it. The target's. */
    coil_cold cold;
    const void *arguments;
    void *out_result;
    unsigned state; /* Any thread. */
    bool is_cancel_seen;
    int error; /* Why there is no result, or 0. */
};

/* A call from a thread that may block. The caller's memory until it has finished. */
struct coil_remote {
    /* Private. */
    coil_remote_call call;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_finished;
    char arguments[COIL_REMOTE_ARGUMENT_BYTES] __attribute__((aligned(16)));
};

/*
 * Begin the call on `loop`. `remote` and *out_result, which has the type of the result, must stay
 * until the call has finished. Every remote has to be waited for, until it has. Any thread. At most
 * COIL_REMOTE_ARGUMENT_BYTES of arguments.
 */
#define coil_remote_start(remote, loop, out_result_, ...)                                   \
    do {                                                                                    \
        __typeof__(__VA_ARGS__) co__r = (__VA_ARGS__);                                      \
        COIL_MAY_GO_(co__r);                                                                \
        __typeof__(co__r.co__f[0].co__ret) *co__o = (out_result_);                          \
        static_assert(sizeof(co__r.co__a) <= COIL_REMOTE_ARGUMENT_BYTES, "pass a pointer"); \
        coil_remote_begin((remote), (loop), &co__r.co__c, &co__r.co__a, co__o);             \
    } while (0)

/*
 * Block until the call has finished, but not longer than `timeout` (COIL_FOREVER: as long as it
 * takes). 0: the result has been stored. -ETIME: not yet; it goes on, and can be waited for again.
 * -ECANCELED: coil_remote_cancel() has ended it. -ESHUTDOWN: the end of the loop did. -ENOMEM.
 * Not on the thread of the target: it would wait for itself.
 */
COIL_API COIL_MUST_USE int coil_remote_wait(coil_remote *remote, coil_duration timeout);

/* Cancel the remote task. Idempotent. Any thread, from the start to the end of the last wait. */
COIL_API void coil_remote_cancel(coil_remote *remote);

/*
 * Begin the call on `loop`; nobody waits for it, and its result is dropped. From any thread. 0, or
 * -ESHUTDOWN, -ENOMEM.
 */
#define coil_spawn_on(loop, ...)                                                            \
    __extension__({                                                                         \
        __typeof__(__VA_ARGS__) co__r = (__VA_ARGS__);                                      \
        COIL_MAY_GO_(co__r);                                                                \
        static_assert(sizeof(co__r.co__a) <= COIL_REMOTE_ARGUMENT_BYTES, "pass a pointer"); \
        coil_remote_detach((loop), &co__r.co__c, &co__r.co__a);                             \
    })

/* Private: for the macros above. */
COIL_API void coil_cold_on_loop(coil_cold *cold, coil_loop *loop);
COIL_API void coil_remote_begin(coil_remote *remote, coil_loop *loop, const coil_cold *cold,
        const void *arguments, void *out_result);
COIL_API int coil_remote_detach(coil_loop *loop, const coil_cold *cold, const void *arguments);

COIL_END_DECLS

#endif
