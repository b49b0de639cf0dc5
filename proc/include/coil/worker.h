/* SPDX-License-Identifier: MIT */
/*
 * coil/worker.h - a worker process: what it can do, and how its main() becomes one.
 *
 *     static int square(coil_work *work)                        a plain function, which may block
 *     {
 *         int64_t number = *(const int64_t *)work->bytes;
 *         number *= number;
 *         return coil_work_reply(work, &number, sizeof(number));
 *     }
 *
 *     coil_async (int, fetch, (coil_work *) work) { ... }       or a coroutine
 *
 *     static const coil_worker_function functions[] = {
 *             {.name = "square", .run = square},
 *             {.name = "fetch", .coroutine = coil_handler(fetch, coil_work *)},
 *     };
 *
 *     int main(void)
 *     {
 *         if (coil_worker_wanted())                             we were started to be a worker
 *             return coil_worker_main(functions, 2);
 *         return coil_run(program()) < 0;                       coil/worker_pool.h
 *     }
 *
 * A worker is a new process that runs a program from its main(): no memory, no descriptor, no
 * thread and no lock of its parent is in it. It does one job at a time, and ends when its pool lets
 * go of it, or has died.
 */
#ifndef COIL_WORKER_H
#define COIL_WORKER_H

#include <coil/coro.h>

COIL_BEGIN_DECLS

enum {
    COIL_WORKER_NAME_BYTES = 64,       /* Of a function, with its NUL. */
    COIL_WORKER_INLINE_BYTES = 32768,  /* What is longer goes by shared memory. */
    COIL_WORKER_FD = 3,                /* The pool's end of things, in the worker. */
    COIL_WORKER_NO_MEMORY_STATUS = 71, /* Exit with it: memory has run out. (EX_OSERR) */
};

typedef struct coil_work coil_work;
typedef struct coil_worker_function coil_worker_function;

/* One job, as its worker sees it. Good until its function has returned. */
struct coil_work {
    const void *bytes; /* What was submitted, which nobody can change. Aligned for any type. */
    size_t size_bytes;

    /* Private. */
    char *reply;        /* COIL_WORKER_INLINE_BYTES for replies that are not longer. */
    size_t reply_bytes; /* Of the reply, wherever it is. */
    void *reply_memory; /* A mapping for a longer one, or NULL, */
    int reply_fd;       /* and its memory; -1: there is none. */
};

/*
 * What it returns is coil_job.value, which may be negative: that is the program's own affair. One
 * of the two is set.
 */
struct coil_worker_function {
    const char *name;
    int (*run)(coil_work *work);
    coil_handler coroutine; /* int name(coil_work *), on the worker's loop. */
};

/* ---------------------------------------------------------------------------- for functions -- */

/*
 * Reply with a copy of these bytes; a second reply replaces the first. 0; -ENOMEM, -EMFILE and the
 * like for one that is longer than COIL_WORKER_INLINE_BYTES.
 */
COIL_API int coil_work_reply(coil_work *work, const void *bytes, size_t size_bytes);

/*
 * Room for a reply of this size, to be written to before the function returns: of a long one, it is
 * the memory that its receiver will read. NULL: there is no memory.
 */
COIL_API void *coil_work_room(coil_work *work, size_t size_bytes);

/* ---------------------------------------------------------------------------- for the main() -- */

/*
 * Was this process started by a pool? Then it must call coil_worker_main(). Early, before there are
 * threads: what says so is taken out of the environment, so that the answer is true once.
 */
COIL_API bool coil_worker_wanted(void);

/* Be a worker with these functions, until the pool lets go. The exit status of the process. */
COIL_API int coil_worker_main(const coil_worker_function *functions, size_t count);

/* The same on a loop that runs. 0; an error of recvmsg(2), sendmsg(2); -EBADMSG; -ENOMEM. */
coil_declare(int, coil_worker_serve, (int) fd, (const coil_worker_function *) table, (size_t) count);

COIL_END_DECLS

#endif
