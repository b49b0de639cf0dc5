/* SPDX-License-Identifier: MIT */
/* Calls of the seam that ask without a ring: getaddrinfo(3), getrandom(2), recv(2) of a byte. */
#include "programs.h"

#include <netdb.h>
#include <poll.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>

static void say_address(struct stage *stage, const struct addrinfo *each)
{
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)each->ai_addr;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)each->ai_addr;
    const void *address =
            each->ai_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
    stage_say(stage, "  %s, type %d, protocol %d",
            inet_ntop(each->ai_family, address, text, sizeof(text)), each->ai_socktype,
            each->ai_protocol);
}

static void look_up(struct stage *stage, const char *name, int family, int type, int flags)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = type, .ai_flags = flags};
    struct addrinfo *list = NULL;
    const int rc = coil_kernel_getaddrinfo(name, &hints, &list);

    stage_say_result(stage, name, rc);
    if (rc < 0)
        return;
    for (const struct addrinfo *each = list; each != NULL; each = each->ai_next)
        say_address(stage, each);
    coil_kernel_freeaddrinfo(list);
}

/* Of names that need no server. */
void play_getaddrinfo(struct stage *stage)
{
    look_up(stage, "192.0.2.1", AF_UNSPEC, SOCK_STREAM, 0);
    look_up(stage, "2001:db8::1", AF_UNSPEC, SOCK_STREAM, 0);
    look_up(stage, "192.0.2.1", AF_INET, SOCK_DGRAM, AI_NUMERICHOST);
    look_up(stage, "192.0.2.1", AF_UNSPEC, 0, AI_NUMERICHOST);
    look_up(stage, "10.1", AF_INET, SOCK_STREAM, 0);
    look_up(stage, "192.0.2.1", AF_INET6, SOCK_STREAM, AI_NUMERICHOST);
    look_up(stage, "2001:db8::1", AF_INET, SOCK_STREAM, AI_NUMERICHOST);
    look_up(stage, "no-address", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST);
    look_up(stage, "192.0.2.256", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST);
}

/* All of what was asked for, and nothing else; never the same again. */
void play_random(struct stage *stage)
{
    enum { SIZE_BYTES = 4096 };
    unsigned char *one = stage_memory(stage, SIZE_BYTES);
    unsigned char *other = stage_memory(stage, SIZE_BYTES);
    unsigned counts[256] = {0};
    unsigned missing = 0;

    coil_kernel_random(one, 0);
    stage_say(stage, "none: %d", one[0]);
    coil_kernel_random(one, SIZE_BYTES / 2);
    unsigned beyond = 0;
    for (unsigned i = SIZE_BYTES / 2; i < SIZE_BYTES; i++)
        beyond += one[i] != 0;
    stage_say(stage, "behind the half: %u", beyond);
    coil_kernel_random(one, SIZE_BYTES);
    coil_kernel_random(other, SIZE_BYTES);
    stage_say(stage, "the same: %s", memcmp(one, other, SIZE_BYTES) == 0 ? "yes" : "no");
    for (unsigned i = 0; i < SIZE_BYTES; i++)
        counts[one[i]]++;
    for (unsigned i = 0; i < 256; i++)
        missing += counts[i] == 0;
    stage_say(stage, "most bytes occur: %s", missing < 16 ? "yes" : "no");
}

static void peek(struct stage *stage, stage_ends ends)
{
    stage_say_result(stage, "nothing", coil_kernel_recv_peek(ends.out));
    stage_put(stage, ends.in, "abc");
    stage_say_result(stage, "three", coil_kernel_recv_peek(ends.out));
    stage_say_result(stage, "still", coil_kernel_recv_peek(ends.out));
    stage_recv(stage, "recv", ends.out);
    stage_say_result(stage, "taken", coil_kernel_recv_peek(ends.out));
    stage_put(stage, ends.in, "d");
    stage_close(stage, ends.in);
    stage_poll(stage, "poll", ends.out);
    stage_say_result(stage, "before the end", coil_kernel_recv_peek(ends.out));
    stage_recv(stage, "recv", ends.out);
    stage_say_result(stage, "the end", coil_kernel_recv_peek(ends.out));
    stage_close(stage, ends.out);
}

void play_recv_peek_now(struct stage *stage)
{
    peek(stage, stage_unix(stage));
    peek(stage, stage_tcp(stage));
    stage_ends ends = stage_tcp(stage);
    stage_close_by_reset(stage, ends.in);
    stage_poll(stage, "poll", ends.out);
    stage_say_result(stage, "reset", coil_kernel_recv_peek(ends.out));
    stage_say_result(stage, "again", coil_kernel_recv_peek(ends.out));
    stage_close(stage, ends.out);
    ends = stage_pipe(stage);
    stage_say_result(stage, "a pipe", coil_kernel_recv_peek(ends.out));
    stage_say_result(stage, "none", coil_kernel_recv_peek(-1));
    stage_close_ends(stage, ends);
}

/* epoll(7), question 9: less than was asked for means that no more is there. */
void play_recv_now_gives_all(struct stage *stage)
{
    enum { PIECES = 20, PIECE_BYTES = 3000, ROOM_BYTES = 1 << 18 };
    stage_ends ends = stage_tcp(stage);
    char *bytes = stage_memory(stage, ROOM_BYTES);
    const int on = 1;

    (void)coil_kernel_setsockopt(ends.in, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (int i = 0; i < PIECES; i++) {
        io_uring_prep_send(stage_ask(stage, "send"), ends.in, bytes, PIECE_BYTES, MSG_NOSIGNAL);
        stage_do(stage, 1);
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_ms(i % 2)); /* One segment, or two. */
    }
    coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_ms(30));
    stage_say_result(stage, "a part", coil_kernel_recv_now(ends.out, bytes, 10000));
    stage_say_result(stage, "the rest", coil_kernel_recv_now(ends.out, bytes, ROOM_BYTES));
    stage_say_result(stage, "and then", coil_kernel_recv_now(ends.out, bytes, ROOM_BYTES));
    stage_close_ends(stage, ends);
}
