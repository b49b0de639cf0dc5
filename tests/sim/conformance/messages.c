/* SPDX-License-Identifier: MIT */
/* What has bounds: datagrams of the internet, packets, and descriptors that travel in messages. */
#include "programs.h"

#include <coil/check.h>

#include <poll.h>

static void ask_recv(struct stage *stage, const char *name, int fd, unsigned size_bytes)
{
    io_uring_prep_recv(
            stage_ask(stage, name), fd, stage_memory(stage, size_bytes + 1), size_bytes, 0);
}

static void recv_one(struct stage *stage, const char *name, int fd, unsigned size_bytes)
{
    ask_recv(stage, name, fd, size_bytes);
    stage_expect(stage, 1);
}

/* Of the loopback interface; the second is connected to the first. */
static stage_ends udp_ends(struct stage *stage)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stage_ends ends = {
            coil_kernel_socket(AF_INET, SOCK_DGRAM, 0), coil_kernel_socket(AF_INET, SOCK_DGRAM, 0)};
    (void)coil_kernel_bind(ends.out, (void *)&address, size_bytes);
    (void)coil_kernel_getsockname(ends.out, (void *)&address, &size_bytes);
    stage_say_result(
            stage, "connect", coil_kernel_connect_now(ends.in, (void *)&address, sizeof(address)));
    return ends;
}

/* One of no bytes is one; what does not fit is lost; nothing says what is left. */
void play_udp(struct stage *stage)
{
    stage_ends ends = udp_ends(stage);
    ask_recv(stage, "recv", ends.out, 16);
    stage_expect_nothing(stage);
    io_uring_prep_send(stage_ask(stage, "send of none"), ends.in, "", 0, MSG_NOSIGNAL);
    stage_expect(stage, 2);
    stage_send(stage, "send of five", ends.in, "abcde", 5);
    stage_send(stage, "send of two", ends.in, "xy", 2);
    recv_one(stage, "recv, cut", ends.out, 3);
    recv_one(stage, "recv", ends.out, 16);
    stage_close_ends(stage, ends);
}

/* Nobody is there: the answer to one send is the error of whatever comes next, once. */
void play_udp_refused(struct stage *stage)
{
    stage_ends ends = udp_ends(stage);
    stage_close(stage, ends.out);
    stage_send(stage, "send", ends.in, "x", 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), ends.in, POLLERR);
    stage_expect(stage, 1);
    recv_one(stage, "recv", ends.in, 16);
    ask_recv(stage, "recv again", ends.in, 16);
    stage_expect_nothing(stage);
    io_uring_prep_send(stage_ask(stage, "send"), ends.in, "x", 1, MSG_NOSIGNAL);
    stage_expect(stage, 2);
    stage_close(stage, ends.in);
}

/* SOCK_SEQPACKET: bounds, and an end. */
void play_packets(struct stage *stage)
{
    int fds[2];
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_SEQPACKET, fds));
    stage_send(stage, "send", fds[1], "0123456789", 10);
    stage_send(stage, "send", fds[1], "xy", 2);
    recv_one(stage, "recv, cut", fds[0], 4);
    recv_one(stage, "recv", fds[0], 16);
    ask_recv(stage, "recv of the end", fds[0], 16);
    stage_expect_nothing(stage);
    stage_close(stage, fds[1]);
    stage_expect(stage, 1);
    stage_send(stage, "send", fds[0], "x", 1);
    stage_close(stage, fds[0]);
}

/* Both directions at once: the peer sees an end; what it sends then is refused, or reset. */
static void shuts_both(struct stage *stage, stage_ends ends)
{
    ask_recv(stage, "waiting recv", ends.out, 16);
    stage_expect_nothing(stage);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), ends.out, SHUT_RDWR);
    stage_expect(stage, 2);
    stage_send(stage, "send", ends.out, "x", 1);
    recv_one(stage, "recv of the peer", ends.in, 16);
    io_uring_prep_poll_add(stage_ask(stage, "poll of the peer"), ends.in, POLLIN | POLLOUT);
    stage_expect(stage, 1);
    stage_send(stage, "send of the peer", ends.in, "x", 1);
    io_uring_prep_poll_add(stage_ask(stage, "hang-up of the peer"), ends.in, POLLHUP);
    stage_expect(stage, 1);
    stage_send(stage, "send of the peer again", ends.in, "x", 1);
    stage_close_ends(stage, ends);
}

void play_shutdown_of_both(struct stage *stage)
{
    shuts_both(stage, stage_unix(stage));
}

void play_shutdown_of_both_tcp(struct stage *stage)
{
    shuts_both(stage, stage_tcp(stage));
}

/* ------------------------------------------------------------------------------ descriptors -- */

enum { RIGHTS = 2 };

typedef struct letter {
    struct msghdr message;
    struct iovec part;
    char bytes[16];
    union {
        char control[CMSG_SPACE(RIGHTS * sizeof(int))];
        struct cmsghdr header;
    };
} letter;

static letter *write_letter(struct stage *stage, const char *text, const int fds[RIGHTS])
{
    letter *new = stage_memory(stage, sizeof(*new));
    memcpy(new->bytes, text, strlen(text));
    new->part = (struct iovec){new->bytes, strlen(text)};
    new->message = (struct msghdr){.msg_iov = &new->part,
            .msg_iovlen = 1,
            .msg_control = new->control,
            .msg_controllen = sizeof(new->control)};
    new->header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(RIGHTS * sizeof(int))};
    memcpy(CMSG_DATA(&new->header), fds, RIGHTS * sizeof(int));
    return new;
}

static void send_letter(struct stage *stage, int fd, const char *text, const int fds[RIGHTS])
{
    letter *new = write_letter(stage, text, fds);
    io_uring_prep_sendmsg(stage_ask(stage, "sendmsg"), fd, &new->message, MSG_NOSIGNAL);
    stage_expect(stage, 1);
}

/* How many descriptors it brings, which are stored in `out_fds`. */
static int recv_letter(struct stage *stage, int fd, size_t control_bytes, int out_fds[RIGHTS])
{
    letter *got = stage_memory(stage, sizeof(*got));
    got->part = (struct iovec){got->bytes, sizeof(got->bytes)};
    got->message = (struct msghdr){.msg_iov = &got->part,
            .msg_iovlen = 1,
            .msg_control = got->control,
            .msg_controllen = control_bytes};
    io_uring_prep_recvmsg(stage_ask(stage, "recvmsg"), fd, &got->message, 0);
    stage_expect(stage, 1);
    int count = 0;
    if (got->message.msg_controllen >= CMSG_LEN(sizeof(int)))
        count = (int)((got->header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++)
        memcpy(&out_fds[i], CMSG_DATA(&got->header) + (size_t)i * sizeof(int), sizeof(int));
    stage_say(stage, "descriptors: %d%s", count,
            got->message.msg_flags & MSG_CTRUNC ? ", and there were more" : "");
    return count;
}

/* A receive ends with the message that brings them. */
void play_rights(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_ends pipe = stage_pipe(stage);
    int fds[RIGHTS] = {-1, -1};
    stage_put(stage, ends.in, "abc");
    send_letter(stage, ends.in, "xy", (const int[]){pipe.out, pipe.in});
    stage_put(stage, ends.in, "def");
    stage_close_ends(stage, pipe);
    const int count = recv_letter(stage, ends.out, sizeof(((letter *)NULL)->control), fds);
    COIL_CHECK(count == RIGHTS);
    stage_put(stage, fds[1], "through");
    io_uring_prep_read(stage_ask(stage, "read"), fds[0], stage_memory(stage, 16), 16, (__u64)-1);
    stage_expect(stage, 1);
    recv_one(stage, "rest", ends.out, 16);
    stage_close(stage, fds[0]);
    stage_close(stage, fds[1]);
    stage_close_ends(stage, ends);
}

/* Who does not ask for them loses them: the pipe has no writer any more. */
void play_rights_lost(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_ends pipe = stage_pipe(stage);
    send_letter(stage, ends.in, "xy", (const int[]){pipe.in, pipe.in});
    stage_close(stage, pipe.in);
    io_uring_prep_read(stage_ask(stage, "read"), pipe.out, stage_memory(stage, 16), 16, (__u64)-1);
    stage_expect_nothing(stage);
    ask_recv(stage, "recv", ends.out, 16);
    stage_expect(stage, 2);
    stage_close(stage, pipe.out);
    stage_close_ends(stage, ends);
}

/* Those that find no room are closed. */
void play_rights_without_room(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_ends pipe = stage_pipe(stage);
    int fds[RIGHTS] = {-1, -1};
    send_letter(stage, ends.in, "xy", (const int[]){pipe.out, pipe.in});
    stage_close(stage, pipe.in);
    if (recv_letter(stage, ends.out, CMSG_LEN(sizeof(int)), fds) == 1) {
        io_uring_prep_read(
                stage_ask(stage, "read"), fds[0], stage_memory(stage, 16), 16, (__u64)-1);
        stage_expect(stage, 1);
        stage_close(stage, fds[0]);
    }
    stage_close(stage, pipe.out);
    send_letter(stage, ends.in, "xy", (const int[]){ends.in, 4000});
    stage_close_ends(stage, ends);
}

/* Who is at the other end, and what is known of it. */
void play_names_of_ends(struct stage *stage)
{
    stage_ends ends = stage_unix(stage);
    stage_ends pipe = stage_pipe(stage);
    union {
        struct sockaddr any;
        struct sockaddr_un local;
    } name = {.local = {.sun_family = AF_INET}};
    struct ucred peer = {.pid = 0};
    socklen_t size_bytes = sizeof(name);
    int domain = 0;

    stage_say_result(stage, "peer name", coil_kernel_getpeername(ends.in, &name.any, &size_bytes));
    stage_say(
            stage, "unix %d, of %u bytes", name.local.sun_family == AF_UNIX, (unsigned)size_bytes);
    size_bytes = sizeof(domain);
    stage_say_result(stage, "domain",
            coil_kernel_getsockopt(ends.in, SOL_SOCKET, SO_DOMAIN, &domain, &size_bytes));
    stage_say(stage, "unix %d, of %u bytes", domain == AF_UNIX, (unsigned)size_bytes);
    size_bytes = sizeof(peer);
    stage_say_result(stage, "credentials",
            coil_kernel_getsockopt(ends.in, SOL_SOCKET, SO_PEERCRED, &peer, &size_bytes));
    stage_say(
            stage, "ours %d, of %u bytes", peer.pid == coil_kernel_getpid(), (unsigned)size_bytes);
    stage_say_result(
            stage, "peer name of a pipe", coil_kernel_getpeername(pipe.in, &name.any, &size_bytes));
    stage_say_result(stage, "option of a pipe",
            coil_kernel_getsockopt(pipe.in, SOL_SOCKET, SO_DOMAIN, &domain, &size_bytes));
    stage_say_result(stage, "option of nothing",
            coil_kernel_getsockopt(4000, SOL_SOCKET, SO_DOMAIN, &domain, &size_bytes));
    stage_say_result(stage, "FIFO", coil_kernel_is_fifo(pipe.in));
    stage_say_result(stage, "FIFO of nothing", coil_kernel_is_fifo(4000));
    stage_close_ends(stage, pipe);
    stage_close_ends(stage, ends);
}

/* What is sent in parts at once, until nothing fits. */
void play_sendmsg_now(struct stage *stage)
{
    static char much[65536];
    stage_ends ends = stage_unix(stage);
    stage_ends pipe = stage_pipe(stage);
    struct iovec parts[] = {{(char[]){"one "}, 4}, {much, 0}, {(char[]){"two"}, 3}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    struct iovec large[] = {{much, sizeof(much)}, {much, sizeof(much)}};
    const struct msghdr larger = {.msg_iov = large, .msg_iovlen = 2};

    stage_say_result(stage, "sendmsg", coil_kernel_sendmsg_now(ends.in, &message));
    recv_one(stage, "recv", ends.out, 16);
    while (coil_kernel_sendmsg_now(ends.in, &larger) > 0) {
    }
    stage_say_result(stage, "sendmsg without room", coil_kernel_sendmsg_now(ends.in, &larger));
    stage_say_result(stage, "sendmsg to a pipe", coil_kernel_sendmsg_now(pipe.in, &message));
    stage_say_result(stage, "sendmsg to nothing", coil_kernel_sendmsg_now(4000, &message));
    stage_close(stage, ends.out);
    stage_say_result(stage, "sendmsg to nobody", coil_kernel_sendmsg_now(ends.in, &message));
    stage_close(stage, ends.in);
    stage_close_ends(stage, pipe);
}

/* Outside of the ring. */
void play_shutdown_now(struct stage *stage)
{
    stage_ends ends = stage_tcp(stage);
    stage_ends pipe = stage_pipe(stage);

    stage_say_result(stage, "shutdown", coil_kernel_shutdown(ends.in, SHUT_WR));
    recv_one(stage, "recv at the end", ends.out, 16);
    stage_put(stage, ends.out, "back");
    recv_one(stage, "recv of the other way", ends.in, 16);
    stage_say_result(stage, "once more", coil_kernel_shutdown(ends.in, SHUT_WR));
    stage_say_result(stage, "of a pipe", coil_kernel_shutdown(pipe.in, SHUT_WR));
    stage_say_result(stage, "of nothing", coil_kernel_shutdown(4000, SHUT_WR));
    stage_close_ends(stage, ends);
    stage_close_ends(stage, pipe);
}

/* What is no terminal. */
void play_no_terminal(struct stage *stage)
{
    stage_ends pipe = stage_pipe(stage);
    struct termios modes;
    struct winsize size;

    memset(&modes, 0, sizeof(modes));
    stage_say_result(stage, "get", coil_kernel_terminal_get(pipe.in, &modes));
    stage_say_result(stage, "set", coil_kernel_terminal_set(pipe.in, TCSADRAIN, &modes));
    stage_say_result(stage, "size", coil_kernel_terminal_size(pipe.in, &size));
    stage_say_result(stage, "get of nothing", coil_kernel_terminal_get(4000, &modes));
    stage_close_ends(stage, pipe);
}
