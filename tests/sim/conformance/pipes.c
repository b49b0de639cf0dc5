/* SPDX-License-Identifier: MIT */
#include "programs.h"

#include <limits.h>
#include <poll.h>

static const uint64_t POSITION = UINT64_MAX;

enum { CAPACITY_BYTES = 65536 };

static void ask_poll(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_poll_add(stage_ask(stage, name), fd, POLLIN | POLLOUT | POLLRDHUP);
}

/* Sixteen pages; a write of more than there is room for waits until all of it is in. */
void play_pipe_capacity(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, CAPACITY_BYTES);
    char *got = stage_memory(stage, CAPACITY_BYTES);
    io_uring_prep_write(stage_ask(stage, "write"), ends.in, bytes, CAPACITY_BYTES, POSITION);
    stage_expect(stage, 1);
    ask_poll(stage, "poll", ends.in);
    stage_expect_nothing(stage);
    io_uring_prep_write(stage_ask(stage, "write of one"), ends.in, bytes, 1, POSITION);
    stage_expect_nothing(stage);
    io_uring_prep_read(stage_ask(stage, "read of less than a page"), ends.out, got, 4095, POSITION);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    io_uring_prep_read(stage_ask(stage, "read of the rest of it"), ends.out, got, 1, POSITION);
    stage_expect(stage, 3);
    stage_close_ends(stage, ends);
}

/* Pitfall 14: a write of the ring takes what fits, as if the pipe were not blocking. */
void play_pipe_write_of_a_part(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, 2 * CAPACITY_BYTES);
    io_uring_prep_write(stage_ask(stage, "write"), ends.in, bytes, 2 * CAPACITY_BYTES, POSITION);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, bytes, 2 * CAPACITY_BYTES, POSITION);
    stage_expect(stage, 1);
    stage_close_ends(stage, ends);
}

/* Up to PIPE_BUF a write goes in as a whole, or waits. */
void play_pipe_buf(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, CAPACITY_BYTES);
    char *got = stage_memory(stage, PIPE_BUF);
    const unsigned size_bytes = CAPACITY_BYTES - PIPE_BUF + 1;
    io_uring_prep_write(stage_ask(stage, "write"), ends.in, bytes, size_bytes, POSITION);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "PIPE_BUF bytes"), ends.in, bytes, PIPE_BUF, POSITION);
    stage_expect_nothing(stage);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, got, PIPE_BUF, POSITION);
    stage_expect(stage, 2);
    stage_close_ends(stage, ends);
}

void play_pipe_end(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, 16);
    stage_put(stage, ends.in, "last");
    stage_close(stage, ends.in);
    ask_poll(stage, "poll with bytes", ends.out);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, bytes, 16, POSITION);
    stage_expect(stage, 1);
    ask_poll(stage, "poll at the end", ends.out);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, bytes, 16, POSITION);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
}

/* Who waits is told of the end. */
void play_pipe_ends_while_waiting(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, stage_memory(stage, 16), 16, POSITION);
    ask_poll(stage, "poll", ends.out);
    stage_expect_nothing(stage);
    stage_close(stage, ends.in);
    stage_expect(stage, 2);
    stage_close(stage, ends.out);
}

void play_pipe_without_reader(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    ask_poll(stage, "poll", ends.in);
    stage_expect(stage, 1);
    stage_close(stage, ends.out);
    io_uring_prep_write(stage_ask(stage, "write"), ends.in, "x", 1, POSITION);
    stage_expect(stage, 1);
    ask_poll(stage, "poll", ends.in);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "no interest"), ends.in, POLLPRI);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

/* A full pipe whose reader goes while a write waits. */
void play_pipe_reader_goes(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, CAPACITY_BYTES);
    io_uring_prep_write(stage_ask(stage, "write"), ends.in, bytes, CAPACITY_BYTES, POSITION);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "waiting write"), ends.in, bytes, 1, POSITION);
    stage_expect_nothing(stage);
    stage_close(stage, ends.out);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

void play_pipe_misused(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_read(stage_ask(stage, "read of the wrong end"), ends.in, bytes, 1, POSITION);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "write of the wrong end"), ends.out, "x", 1, POSITION);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "write at an offset"), ends.in, "xy", 2, 5);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "write of none"), ends.in, "", 0, POSITION);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "recv"), ends.out, bytes, 1, 0);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, bytes, 16, POSITION);
    stage_expect(stage, 1);
    stage_close_ends(stage, ends);
}
