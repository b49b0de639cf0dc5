/* SPDX-License-Identifier: MIT */
/* Zero-copy sends: two completions each, of which the last gives the memory back. */
#include "programs.h"

/* A result, and that the memory is ours again: in this order, and also without reading. */
void play_zero_copy_send(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    struct iovec *part = stage_memory(stage, sizeof(*part));
    struct msghdr *message = stage_memory(stage, sizeof(*message));
    char *text = stage_memory(stage, 16);

    memcpy(text, "hello, world", 12);
    io_uring_prep_send_zc(stage_ask(stage, "send"), ends.in, text, 5, MSG_NOSIGNAL, 0);
    stage_expect_in_order(stage, 2);
    *part = (struct iovec){text + 5, 7};
    *message = (struct msghdr){.msg_iov = part, .msg_iovlen = 1};
    io_uring_prep_sendmsg_zc(stage_ask(stage, "sendmsg"), ends.in, message, MSG_NOSIGNAL);
    stage_expect_in_order(stage, 2);
    stage_recv(stage, "recv", ends.out);
    stage_close_ends(stage, ends);
}

/* Two completions of an error, too. */
void play_zero_copy_refused(struct stage *stage)
{
    stage_ends letters = stage_unix(stage);
    stage_ends ends = stage_tcp(stage);
    char *text = stage_memory(stage, 16);
    const int event = coil_kernel_eventfd();

    io_uring_prep_send_zc(stage_ask(stage, "unix socket"), letters.in, text, 5, MSG_NOSIGNAL, 0);
    stage_expect_in_order(stage, 2);
    io_uring_prep_send_zc(stage_ask(stage, "no socket"), event, text, 5, MSG_NOSIGNAL, 0);
    stage_expect_in_order(stage, 2);
    stage_say_result(stage, "shutdown", coil_kernel_shutdown(ends.in, SHUT_WR));
    io_uring_prep_send_zc(stage_ask(stage, "after shutdown"), ends.in, text, 5, MSG_NOSIGNAL, 0);
    stage_expect_in_order(stage, 2);
    stage_close(stage, event);
    stage_close_ends(stage, letters);
    stage_close_ends(stage, ends);
}

static bool is_ours_again(struct stage *stage)
{
    io_uring_prep_nop(stage_ask(stage, "nop"));
    (void)stage_await(stage, "nop");
    return (stage_flags(stage, "send") & IORING_CQE_F_NOTIF) != 0;
}

/* It waits for room: what has been sent until then is its result; and the notice follows. */
void play_zero_copy_cancelled(struct stage *stage)
{
    enum { SIZE_BYTES = 1 << 20, ROOM_BYTES = 65536, TRIES = 100 };
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, SIZE_BYTES);
    char *received = stage_memory(stage, SIZE_BYTES);

    stage_set_option(ends.in, SOL_SOCKET, SO_SNDBUF, ROOM_BYTES);
    stage_set_option(ends.out, SOL_SOCKET, SO_RCVBUF, ROOM_BYTES);
    io_uring_prep_send_zc(
            stage_ask(stage, "send"), ends.in, bytes, SIZE_BYTES, MSG_WAITALL | MSG_NOSIGNAL, 0);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "send", 0);
    stage_say_result(stage, "cancel", stage_await(stage, "cancel"));
    for (int i = 0; i < TRIES && !is_ours_again(stage); i++) {
        while (coil_kernel_recv_now(ends.out, received, SIZE_BYTES) > 0)
            continue;
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_ms(10));
    }
    stage_say(stage, "ours again: %s", is_ours_again(stage) ? "yes" : "no");
    stage_close_ends(stage, ends);
}
