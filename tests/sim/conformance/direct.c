/* SPDX-License-Identifier: MIT */
/* Descriptors that only the ring knows. */
#include "programs.h"

#include <fcntl.h>
#include <poll.h>

static void register_table(struct stage *stage, unsigned count)
{
    struct io_uring_rsrc_register table = {.nr = count, .flags = IORING_RSRC_REGISTER_SPARSE};
    stage_say_result(
            stage, "table", stage_register(stage, IORING_REGISTER_FILES2, &table, sizeof(table)));
}

static int put_in_slot(struct stage *stage, unsigned slot, int fd)
{
    int *number = stage_memory(stage, sizeof(*number));
    struct io_uring_files_update update = {.offset = slot, .fds = (uint64_t)(uintptr_t)number};
    *number = fd;
    return stage_register(stage, IORING_REGISTER_FILES_UPDATE, &update, 1);
}

static void ask_recv(struct stage *stage, const char *name, int slot)
{
    struct io_uring_sqe *sqe = stage_ask(stage, name);
    io_uring_prep_recv(sqe, slot, stage_memory(stage, 16), 16, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
}

/* The lowest free slot; those that find none are told so, and their connection is closed. */
void play_accept_direct(struct stage *stage)
{
    struct sockaddr_in address;
    stage_open(stage, 32, 64);
    register_table(stage, 2);
    int listener = stage_listen(stage, 8, &address);
    io_uring_prep_multishot_accept_direct(stage_ask(stage, "accept"), listener, NULL, NULL, 0);
    stage_expect_nothing(stage);
    int first = stage_connect(stage, &address);
    stage_expect(stage, 1);
    int second = stage_connect(stage, &address);
    stage_expect(stage, 1);
    int third = stage_connect(stage, &address);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "the third"), third, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);

    ask_recv(stage, "recv of slot 0", 0);
    stage_put(stage, first, "hello");
    stage_expect(stage, 1);
    io_uring_prep_close_direct(stage_ask(stage, "close of slot 0"), 0);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "the first"), first, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    ask_recv(stage, "recv of slot 0", 0);
    stage_expect(stage, 1);

    io_uring_prep_multishot_accept_direct(
            stage_ask(stage, "accept again"), listener, NULL, NULL, 0);
    stage_expect_nothing(stage);
    int fourth = stage_connect(stage, &address);
    stage_expect(stage, 1);
    stage_close(stage, first);
    stage_close(stage, second);
    stage_close(stage, third);
    stage_close(stage, fourth);
    stage_close(stage, listener);
}

/* An ordinary descriptor for the same file: either can be closed. */
void play_fixed_fd_install(struct stage *stage)
{
    stage_open(stage, 32, 64);
    register_table(stage, 4);
    stage_ends ends = stage_unix(stage);
    stage_say_result(stage, "slot 2", put_in_slot(stage, 2, ends.out));
    stage_close(stage, ends.out);
    stage_put(stage, ends.in, "a");
    ask_recv(stage, "recv of the slot", 2);
    stage_expect(stage, 1);
    io_uring_prep_fixed_fd_install(stage_ask(stage, "install"), 2, 0);
    stage_expect(stage, 1);
    int fd = stage_result(stage, "install");
    io_uring_prep_close_direct(stage_ask(stage, "close of the slot"), 2);
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "bc");
    io_uring_prep_recv(stage_ask(stage, "recv of the fd"), fd, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    io_uring_prep_fixed_fd_install(stage_ask(stage, "install of an empty slot"), 2, 0);
    stage_expect(stage, 1);
    stage_close(stage, fd);
    stage_say_result(stage, "send", coil_kernel_send_now(ends.in, "x", 1));
    stage_close(stage, ends.in);
}

void play_direct_misused(struct stage *stage)
{
    stage_open(stage, 32, 64);
    ask_recv(stage, "without a table", 0);
    stage_expect(stage, 1);
    register_table(stage, 4);
    register_table(stage, 4);
    ask_recv(stage, "of an empty slot", 0);
    stage_expect(stage, 1);
    ask_recv(stage, "beyond the table", 4);
    stage_expect(stage, 1);
    io_uring_prep_close_direct(stage_ask(stage, "close of an empty slot"), 0);
    stage_expect(stage, 1);
    io_uring_prep_close_direct(stage_ask(stage, "close beyond the table"), 4);
    stage_expect(stage, 1);
    stage_say_result(stage, "update beyond the table", put_in_slot(stage, 4, -1));
    stage_say_result(stage, "update with no file", put_in_slot(stage, 0, 4000));
    stage_say_result(stage, "update of an empty slot", put_in_slot(stage, 0, -1));
}

/* Closing a slot cancels nothing either; the file goes with its last request. */
void play_close_direct_cancels_nothing(struct stage *stage)
{
    stage_open(stage, 32, 64);
    register_table(stage, 4);
    stage_ends ends = stage_unix(stage);
    stage_say_result(stage, "slot 0", put_in_slot(stage, 0, ends.out));
    stage_close(stage, ends.out);
    ask_recv(stage, "recv", 0);
    stage_expect_nothing(stage);
    io_uring_prep_close_direct(stage_ask(stage, "close"), 0);
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_put(stage, ends.in, "hello");
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}

/* The update of a slot closes what was there. */
void play_update_closes(struct stage *stage)
{
    stage_open(stage, 32, 64);
    register_table(stage, 4);
    stage_ends ends = stage_unix(stage);
    stage_say_result(stage, "slot 0", put_in_slot(stage, 0, ends.out));
    stage_close(stage, ends.out);
    stage_say_result(stage, "slot 0 emptied", put_in_slot(stage, 0, -1));
    io_uring_prep_poll_add(stage_ask(stage, "the peer"), ends.in, POLLIN | POLLRDHUP);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
}
