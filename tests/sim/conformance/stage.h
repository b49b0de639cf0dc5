/* SPDX-License-Identifier: MIT */
/*
 * stage.h - where a conformance program plays: a ring with Coil's own flags, and a transcript.
 *
 * A program is written against the seam alone (coil/kernel.h and kernel_ring.h), so that the same
 * object runs on the real kernel and on the simulated one; both must write the same transcript. A
 * transcript therefore says nothing that a kernel is free to choose: no descriptor numbers, pids,
 * ports, addresses or times. Where the order of completions is free, stage_expect() sorts them.
 *
 *     struct io_uring_sqe *sqe = stage_ask(stage, "recv");
 *     io_uring_prep_recv(sqe, fd, bytes, 10, 0);
 *     stage_expect(stage, 1);                             "recv: 10"
 *
 * What an operation in flight writes to is taken from stage_memory(), which lives until the ring is
 * closed; so a program may return while operations are pending.
 *
 * The world of a program: its current directory is empty and can be written to, TCP is spoken on
 * the loopback interface, /bin/sleep is a program, SIGPIPE is ignored, and it may have
 * STAGE_DESCRIPTORS descriptors.
 */
#ifndef STAGE_H
#define STAGE_H

#include "kernel_ring.h"

#include <coil/base.h>
#include <coil/kernel.h>

#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

enum { STAGE_DESCRIPTORS = 1024 };

struct stage;

typedef struct conformance_program {
    const char *name;
    void (*play)(struct stage *stage);
} conformance_program;

extern const conformance_program conformance_programs[]; /* The last has no name. */

/* Play it from its beginning to its end. The transcript, for the caller to free. */
char *stage_play(const conformance_program *program);

/* The path of this very program, whose main() is becoming_main() if "--become" is its argument. */
extern const char *const stage_program;
int becoming_main(int argc, char **argv);

/* ------------------------------------------------------------------------------- the ring -- */

/* At the beginning of a program; the sizes are powers of two. Without, it is 32 and 64. */
void stage_open(struct stage *stage, unsigned entries, unsigned completions);

/* The next submission entry, zeroed. Its completions are told by `name`, a literal. */
struct io_uring_sqe *stage_ask(struct stage *stage, const char *name);

/* As above, with the user_data of the request of that name that was asked last. */
struct io_uring_sqe *stage_ask_again(struct stage *stage, const char *name);

/* The user_data of the request of that name that was asked last. */
uint64_t stage_user_data(const struct stage *stage, const char *name);

/* A request to cancel the last one that is called `target`. */
struct io_uring_sqe *stage_ask_cancel(
        struct stage *stage, const char *name, const char *target, unsigned flags);

/* Submission entries that are free. */
unsigned stage_room(const struct stage *stage);

/* Submit all, reap nothing: what enter says. */
int stage_submit(struct stage *stage);

/*
 * Submit all, wait until so many completions have come, and tell them: sorted, or in the order in
 * which they came. All that have come are told, also too many.
 */
void stage_expect(struct stage *stage, unsigned count);
void stage_expect_in_order(struct stage *stage, unsigned count);

/* The same, without telling. */
void stage_do(struct stage *stage, unsigned count);

/* Until a completion of that name has come, which is not told, while others will be: its result. */
int32_t stage_await(struct stage *stage, const char *name);

/* Submit all, and wait for a moment in which no completion comes. */
void stage_expect_nothing(struct stage *stage);

/* The last result and flags of a request of that name, told or not. */
int32_t stage_result(const struct stage *stage, const char *name);
uint32_t stage_flags(const struct stage *stage, const char *name);

struct io_uring *stage_ring(struct stage *stage);
struct io_uring_reg_wait *stage_wait_region(struct stage *stage);
int stage_register(struct stage *stage, unsigned opcode, const void *argument, unsigned count);

/* --------------------------------------------------------------- what many programs ask for -- */

/* Up to 64 bytes; `text` must stay; POLLIN, POLLOUT, POLLPRI and POLLRDHUP. */
void stage_ask_recv(struct stage *stage, const char *name, int fd);
void stage_ask_send(
        struct stage *stage, const char *name, int fd, const char *text, unsigned size_bytes);
void stage_ask_poll(struct stage *stage, const char *name, int fd);

/* The same, and expect what comes of it. */
void stage_recv(struct stage *stage, const char *name, int fd);
void stage_send(
        struct stage *stage, const char *name, int fd, const char *text, unsigned size_bytes);
void stage_poll(struct stage *stage, const char *name, int fd);

/* ------------------------------------------------------------------------ the transcript -- */

void stage_say(struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "what: -EPIPE", or "what: 3" */
void stage_say_result(struct stage *stage, const char *what, int64_t result);

/* "what: fd" if it is a descriptor */
void stage_say_fd(struct stage *stage, const char *what, int64_t result);

/* "what: a|b" of poll(2) */
void stage_say_mask(struct stage *stage, const char *what, int64_t result);

/* ------------------------------------------------------------------------------ properties -- */

/* Zeroed memory that stays until the ring is closed. */
void *stage_memory(struct stage *stage, size_t size_bytes);

/* Two connected sockets. */
typedef struct stage_ends {
    int out;
    int in;
} stage_ends;

stage_ends stage_unix(struct stage *stage);
stage_ends stage_tcp(struct stage *stage);
stage_ends stage_pipe(struct stage *stage);
void stage_close_ends(struct stage *stage, stage_ends ends);

/* A TCP listener of the loopback interface, and where it is. */
int stage_listen(struct stage *stage, int backlog, struct sockaddr_in *out_address);

/* One more connection to it, made by the ring. */
int stage_connect(struct stage *stage, const struct sockaddr_in *address);

/* By the ring. */
int stage_accept(struct stage *stage, int listener);
int stage_open_file(struct stage *stage, const char *path, int flags);

/* write(2) or send(2) of a text, all of which must fit. */
void stage_put(struct stage *stage, int fd, const char *text);

/* setsockopt(2) of a number, which must succeed. */
void stage_set_option(int fd, int level, int option, int value);

/*
 * close(2), which must succeed. A descriptor that a completion has brought is closed at the end of
 * the program, if it has not been by this.
 */
void stage_close(struct stage *stage, int fd);

/* The same, and a reset to the peer: socket(7), SO_LINGER. */
void stage_close_by_reset(struct stage *stage, int fd);

/* A ring of provided buffers, group 0: `count` of `size_bytes`, the first of them at the front. */
typedef struct stage_buffers {
    struct io_uring_buf_ring *ring;
    char *memory;
    unsigned count;
    unsigned size_bytes;
} stage_buffers;

stage_buffers stage_provide(
        struct stage *stage, unsigned count, unsigned size_bytes, unsigned flags);

/* Give the buffer `id` back. */
void stage_give_back(stage_buffers *buffers, unsigned id);

#endif
