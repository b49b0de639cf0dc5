/* SPDX-License-Identifier: MIT */
/*
 * worker_wire.h - what a pool and its workers say to each other, over a SOCK_SEQPACKET pair:
 *
 *     worker -> pool: HELLO, with its page
 *     pool -> worker: JOB, its bytes behind it, or in sealed memory that comes with it
 *     worker -> pool: DONE, or REFUSED (value is an error), for the job of this number
 *
 * and so on, one job at a time. The end of either side is the end of both.
 *
 * The page is memory of both. What the worker has begun stands there, however it dies: a job that
 * does not can be given to another.
 */
#ifndef WORKER_WIRE_H
#define WORKER_WIRE_H

#include <coil/worker.h>

#include <sys/socket.h>

enum {
    WORKER_HELLO = 0x434f494c,
    WORKER_JOB,
    WORKER_DONE,
    WORKER_REFUSED,
};

/* Where a worker finds that it is one: COIL_WORKER_VARIABLE=3. */
#define COIL_WORKER_VARIABLE "COIL_WORKER"

typedef struct worker_head {
    uint32_t kind;
    int32_t value;       /* Of an end. */
    uint64_t number;     /* Of the job. */
    uint64_t size_bytes; /* Of the payload, wherever it is. */
    uint64_t is_in_memory;
} worker_head;

typedef struct worker_request {
    worker_head head;
    char name[COIL_WORKER_NAME_BYTES];
} worker_request;

enum { WORKER_PAGE_BYTES = 4096 };

typedef struct worker_page {
    uint64_t begun; /* The number of a job. Atomic. */
} worker_page;

/*
 * Room for one descriptor. With what CMSG_SPACE() adds there would be room for a second that nobody
 * wants and nobody would close.
 */
#define WORKER_CONTROL_BYTES CMSG_LEN(sizeof(int))

/* Room to receive one message. */
typedef struct worker_inbox {
    struct msghdr message;
    struct iovec parts[2];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
} worker_inbox;

/* For a message: `head_bytes` at `head`, what follows (COIL_WORKER_INLINE_BYTES) at `bytes`. */
void worker_inbox_prepare(worker_inbox *inbox, void *head, size_t head_bytes, void *bytes);

/* The descriptor that has come with the message, whose owner is the caller; -1: none has. */
int worker_inbox_take_fd(worker_inbox *inbox);

/*
 * Send now: the head, and a payload that is in `fd`, or if that is negative in `bytes`. 0; -EAGAIN
 * there is no room; -EPIPE, -ECONNRESET nobody is there any more.
 */
int worker_send_now(int socket, const void *head, size_t head_bytes, const void *bytes,
        size_t size_bytes, int fd);

/* Memory with a copy of these bytes that nobody can change: its descriptor, or an error. */
int worker_memory_of(const void *bytes, size_t size_bytes);

/*
 * A page of zeroes for both sides: its descriptor, to be sent, and ours. -1: there is none, and so
 * the other side must not get one, in which nobody would write.
 */
int worker_page_make(const char *name, void **out_page);

/* The same page from the descriptor that has come, which stays the caller's. NULL: it is none. */
void *worker_page_take(int fd);

/* Map what has come: of the size that it was said to have, and sealed. -EBADMSG: it is not. */
int worker_memory_map(int fd, uint64_t size_bytes, const void **out_bytes);

#endif
