/* SPDX-License-Identifier: MIT */
/* Datagrams: to whom they go, from whom they come, and who is told that nobody was there. */
#include "programs.h"

#include <poll.h>

typedef struct letter {
    struct msghdr message;
    struct iovec part;
    union {
        struct sockaddr_storage name;
        struct sockaddr_in inet;
        struct sockaddr_un local;
    };
    char bytes[16];
} letter;

static void send_one(struct stage *stage, const char *name, int fd, const char *text)
{
    io_uring_prep_send(stage_ask(stage, name), fd, text, strlen(text), MSG_NOSIGNAL);
    stage_expect(stage, 1);
}

static void send_to(struct stage *stage, const char *name, int fd, const char *text,
        const void *address, socklen_t size_bytes)
{
    letter *new = stage_memory(stage, sizeof(*new));
    memcpy(new->bytes, text, strlen(text));
    memcpy(&new->name, address, size_bytes);
    new->part = (struct iovec){new->bytes, strlen(text)};
    new->message = (struct msghdr){.msg_name = &new->name,
            .msg_namelen = size_bytes,
            .msg_iov = &new->part,
            .msg_iovlen = 1};
    io_uring_prep_sendmsg(stage_ask(stage, name), fd, &new->message, MSG_NOSIGNAL);
    stage_expect(stage, 1);
}

static void recv_one(struct stage *stage, const char *name, int fd)
{
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, name), fd, bytes, 15, 0);
    stage_expect(stage, 1);
    if (stage_result(stage, name) > 0)
        stage_say(stage, "bytes: %s", bytes);
}

/* With the name of the sender, and what the flags say of `size_bytes` of room. */
static const letter *recv_from(
        struct stage *stage, const char *name, int fd, size_t size_bytes, unsigned flags)
{
    letter *got = stage_memory(stage, sizeof(*got));
    got->part = (struct iovec){got->bytes, size_bytes};
    got->message = (struct msghdr){.msg_name = &got->name,
            .msg_namelen = sizeof(got->name),
            .msg_iov = &got->part,
            .msg_iovlen = 1};
    io_uring_prep_recvmsg(stage_ask(stage, name), fd, &got->message, flags);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s, %s, name of %d bytes", got->bytes,
            got->message.msg_flags & MSG_TRUNC ? "cut" : "whole", (int)got->message.msg_namelen);
    return got;
}

static int udp(struct sockaddr_in *out_address)
{
    int fd = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t size_bytes = sizeof(*out_address);
    *out_address = (struct sockaddr_in){.sin_family = AF_INET};
    out_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)coil_kernel_bind(fd, (void *)out_address, size_bytes);
    (void)coil_kernel_getsockname(fd, (void *)out_address, &size_bytes);
    return fd;
}

static void connect_to(struct stage *stage, const char *name, int fd, const void *address)
{
    io_uring_prep_connect(stage_ask(stage, name), fd, address, sizeof(struct sockaddr_in));
    stage_expect(stage, 1);
}

/* Who is connected hears of its peer alone; what comes from others is dropped. */
void play_udp_of_peers(struct stage *stage)
{
    struct sockaddr_in addresses[3];
    struct sockaddr_in *any = stage_memory(stage, sizeof(*any));
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = udp(&addresses[i]);
    send_to(stage, "send of a stranger", fds[2], "early", &addresses[0], sizeof(addresses[0]));
    struct sockaddr_in *peer = stage_memory(stage, sizeof(*peer));
    *peer = addresses[1];
    connect_to(stage, "connect", fds[0], peer);
    recv_one(stage, "recv of what came before", fds[0]);
    send_to(stage, "send of a stranger", fds[2], "late", &addresses[0], sizeof(addresses[0]));
    send_to(stage, "send of the peer", fds[1], "good", &addresses[0], sizeof(addresses[0]));
    const letter *got = recv_from(stage, "recv", fds[0], 15, 0);
    stage_say(stage, "of the peer: %d", got->inet.sin_port == peer->sin_port);
    send_to(stage, "send to another", fds[0], "x", &addresses[2], sizeof(addresses[2]));
    recv_one(stage, "recv of the other", fds[2]);
    *peer = addresses[2];
    connect_to(stage, "connect to another", fds[0], peer);
    send_one(stage, "send", fds[0], "y");
    recv_one(stage, "recv of the other", fds[2]);
    any->sin_family = AF_UNSPEC;
    connect_to(stage, "connect to nobody", fds[0], any);
    send_one(stage, "send to nobody", fds[0], "z");
    for (int i = 0; i < 3; i++)
        stage_close(stage, fds[i]);
}

/* ------------------------------------------------------------------------------- multishot -- */

enum { ROOM_BYTES = 64 }; /* Of a buffer. */

static struct io_uring_sqe *ask_letters(
        struct stage *stage, const char *name, int fd, size_t name_bytes, int flags)
{
    struct msghdr *message = stage_memory(stage, sizeof(*message));
    struct io_uring_sqe *sqe = stage_ask(stage, name);
    message->msg_namelen = (socklen_t)name_bytes;
    message->msg_controllen = 8;
    io_uring_prep_recvmsg_multishot(sqe, fd, message, (unsigned)flags);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    return sqe;
}

/* What lies in a buffer: the head, the name, room for control messages, the bytes. */
static void say_letter(struct stage *stage, const stage_buffers *buffers, unsigned id)
{
    struct io_uring_recvmsg_out head;
    const char *at = buffers->memory + id * buffers->size_bytes;
    memcpy(&head, at, sizeof(head));
    stage_say(stage, "buffer %u: name of %u, control of %u, %u bytes, %s", id, head.namelen,
            head.controllen, head.payloadlen, head.flags & MSG_TRUNC ? "cut" : "whole");
    stage_say(stage, "begins with %.*s", head.payloadlen > 0 ? 3 : 0,
            at + sizeof(head) + sizeof(struct sockaddr_in) + 8);
}

static void send_now(struct stage *stage, int fd, const char *text)
{
    stage_say_result(stage, "send now", coil_kernel_send_now(fd, text, strlen(text)));
}

/* Each into a buffer of its own; what does not fit is cut; an empty one is the last. */
void play_udp_multishot(struct stage *stage)
{
    struct sockaddr_in addresses[2];
    int fds[2] = {udp(&addresses[0]), udp(&addresses[1])};
    stage_buffers buffers = stage_provide(stage, 4, ROOM_BYTES, 0);
    (void)coil_kernel_connect_now(fds[1], (void *)&addresses[0], sizeof(addresses[0]));
    ask_letters(stage, "recvmsg", fds[0], sizeof(addresses[0]), MSG_TRUNC);
    stage_expect_nothing(stage);
    send_now(stage, fds[1], "one");
    stage_expect(stage, 1);
    send_now(stage, fds[1], "");
    stage_expect(stage, 1);
    send_now(stage, fds[1], "0123456789012345678901234567890123456789");
    stage_expect_nothing(stage);
    ask_letters(stage, "again", fds[0], sizeof(addresses[0]), MSG_TRUNC);
    stage_expect(stage, 1);
    for (unsigned i = 0; i < 3; i++)
        say_letter(stage, &buffers, i);
    send_now(stage, fds[1], "four");
    stage_expect_in_order(stage, 2);
    send_now(stage, fds[1], "five");
    stage_expect_nothing(stage);
    recv_one(stage, "recv of the rest", fds[0]);
    stage_close(stage, fds[0]);
    stage_close(stage, fds[1]);
}

void play_udp_multishot_misused(struct stage *stage)
{
    struct sockaddr_in address;
    int fd = udp(&address);
    (void)stage_provide(stage, 1, ROOM_BYTES, 0);
    ask_letters(stage, "waitall", fd, sizeof(address), MSG_WAITALL);
    stage_expect(stage, 1);
    ask_letters(stage, "without buffers", fd, sizeof(address), 0)->flags = 0;
    stage_expect(stage, 1);
    (void)coil_kernel_connect_now(fd, (void *)&address, sizeof(address));
    send_one(stage, "send", fd, "x");
    ask_letters(stage, "without room", fd, ROOM_BYTES, 0);
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

/* coil_kernel_sendmsg_now() */
void play_udp_send_now(struct stage *stage)
{
    struct sockaddr_in address;
    int fd = udp(&address);
    struct iovec parts[] = {{(char[]){"two "}, 4}, {(char[]){"parts"}, 5}};
    struct msghdr message = {.msg_name = &address,
            .msg_namelen = sizeof(address),
            .msg_iov = parts,
            .msg_iovlen = 2};
    stage_say_result(stage, "send now", coil_kernel_sendmsg_now(fd, &message));
    recv_one(stage, "recv", fd);
    message.msg_iovlen = 0;
    stage_say_result(stage, "send of nothing", coil_kernel_sendmsg_now(fd, &message));
    recv_one(stage, "recv", fd);
    message.msg_namelen = 0;
    stage_say_result(stage, "send to nobody", coil_kernel_sendmsg_now(fd, &message));
    stage_say_result(stage, "send to no descriptor", coil_kernel_sendmsg_now(-1, &message));
    stage_close(stage, fd);
}

void play_udp_misused(struct stage *stage)
{
    struct sockaddr_in address;
    int fd = udp(&address);
    send_one(stage, "send to nobody", fd, "x");
    struct sockaddr_in no_port = address;
    no_port.sin_port = 0;
    send_to(stage, "send to no port", fd, "x", &no_port, sizeof(no_port));
    send_to(stage, "send to half an address", fd, "x", &address, 4);
    struct sockaddr_un other = {.sun_family = AF_UNIX, .sun_path = "x"};
    send_to(stage, "send to another family", fd, "x", &other, sizeof(other));
    stage_say_result(stage, "listen", coil_kernel_listen(fd, 4));
    io_uring_prep_accept(stage_ask(stage, "accept"), fd, NULL, NULL, 0);
    stage_expect(stage, 1);
    char *bytes = stage_memory(stage, 65536);
    letter *large = stage_memory(stage, sizeof(*large));
    memcpy(&large->name, &address, sizeof(address));
    for (unsigned i = 0; i < 2; i++) {
        large->part = (struct iovec){bytes, 65507 + i};
        large->message = (struct msghdr){.msg_name = &large->name,
                .msg_namelen = sizeof(address),
                .msg_iov = &large->part,
                .msg_iovlen = 1};
        io_uring_prep_sendmsg(
                stage_ask(stage, i == 0 ? "largest" : "too large"), fd, &large->message, 0);
        stage_expect(stage, 1);
    }
    io_uring_prep_recv(stage_ask(stage, "recv"), fd, bytes, 65536, 0);
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

/* MSG_PEEK leaves it, MSG_TRUNC says how large it was; a name with no room is cut. */
void play_udp_flags(struct stage *stage)
{
    struct sockaddr_in address;
    struct sockaddr_in other;
    int fd = udp(&address);
    int sender = udp(&other);
    send_to(stage, "send", sender, "0123456789", &address, sizeof(address));
    (void)recv_from(stage, "peek", fd, 4, MSG_PEEK);
    (void)recv_from(stage, "peek of the size", fd, 4, MSG_PEEK | MSG_TRUNC);
    (void)recv_from(stage, "peek of no bytes", fd, 0, MSG_PEEK | MSG_TRUNC);
    (void)recv_from(stage, "recv", fd, 15, 0);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, "MSG_DONTWAIT"), fd, bytes, 15, MSG_DONTWAIT);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "MSG_WAITALL"), fd, bytes, 15, MSG_WAITALL);
    stage_expect_nothing(stage);
    (void)coil_kernel_connect_now(sender, (void *)&address, sizeof(address));
    stage_put(stage, sender, "short");
    stage_expect(stage, 1);
    stage_close(stage, sender);
    stage_close(stage, fd);
}

/*
 * Nobody is there: told to who is connected, and once, also if it waits; a send is told of it and
 * does not go. Who is not connected is never told.
 */
void play_udp_refused_while_waiting(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    struct sockaddr_in own;
    stage_close(stage, udp(address));
    int fd = udp(&own);
    char *bytes = stage_memory(stage, 16);
    send_to(stage, "send of the unconnected", fd, "x", address, sizeof(*address));
    io_uring_prep_recv(stage_ask(stage, "recv"), fd, bytes, 15, 0);
    stage_expect_nothing(stage);
    connect_to(stage, "connect", fd, address);
    io_uring_prep_poll_multishot(stage_ask(stage, "polls"), fd, POLLIN);
    stage_expect_nothing(stage);
    io_uring_prep_send(stage_ask(stage, "send"), fd, "x", 1, MSG_NOSIGNAL);
    stage_expect(stage, 3);
    stage_ask_cancel(stage, "cancel", "polls", 0);
    stage_expect(stage, 2);
    int peer = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
    send_one(stage, "send again", fd, "x");
    io_uring_prep_poll_add(stage_ask(stage, "error"), fd, POLLERR);
    stage_await(stage, "error");
    stage_say_result(
            stage, "bind of the peer", coil_kernel_bind(peer, (void *)address, sizeof(*address)));
    send_one(stage, "send is told", fd, "lost");
    send_one(stage, "send", fd, "y");
    recv_one(stage, "recv of the peer", peer);
    stage_close(stage, peer);
    stage_close(stage, fd);
}

/* shutdown(2) of one that is connected ends its waits, and what it may do. */
void play_udp_shut_down(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    struct sockaddr_in own;
    int peer = udp(address);
    int fd = udp(&own);
    char *bytes = stage_memory(stage, 16);
    connect_to(stage, "connect", fd, address);
    io_uring_prep_recv(stage_ask(stage, "recv"), fd, bytes, 15, 0);
    stage_expect_nothing(stage);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), fd, SHUT_RD);
    stage_expect(stage, 2);
    send_to(stage, "send of the peer", peer, "x", &own, sizeof(own));
    recv_one(stage, "recv behind it", fd);
    send_one(stage, "send", fd, "y");
    recv_one(stage, "recv of the peer", peer);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown of both"), fd, SHUT_RDWR);
    stage_expect(stage, 1);
    send_one(stage, "send behind it", fd, "z");
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN | POLLOUT | POLLRDHUP);
    stage_expect(stage, 1);
    stage_close(stage, fd);
    stage_close(stage, peer);
}

/* -------------------------------------------------------------------------- unix datagrams -- */

static socklen_t name_unix(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static int unix_datagram(struct stage *stage, const char *path)
{
    struct sockaddr_un address;
    int fd = coil_kernel_socket(AF_UNIX, SOCK_DGRAM, 0);
    (void)coil_kernel_unlink(path);
    const socklen_t size_bytes = name_unix(&address, path);
    stage_say_result(stage, "bind", coil_kernel_bind(fd, (void *)&address, size_bytes));
    return fd;
}

/* By name and by connection; who has no name gives none. */
void play_unix_letters(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    int fd = unix_datagram(stage, "unix_letters");
    int named = unix_datagram(stage, "unix_letters.from");
    int nameless = coil_kernel_socket(AF_UNIX, SOCK_DGRAM, 0);
    const socklen_t size_bytes = name_unix(address, "unix_letters");
    send_one(stage, "send to nobody", nameless, "x");
    send_to(stage, "send", nameless, "nameless", address, size_bytes);
    send_to(stage, "send", named, "named", address, size_bytes);
    (void)recv_from(stage, "recv", fd, 15, 0);
    const letter *got = recv_from(stage, "recv", fd, 3, 0);
    stage_say(stage, "from: %s", got->local.sun_path);
    io_uring_prep_connect(stage_ask(stage, "connect"), named, (void *)address, size_bytes);
    stage_expect(stage, 1);
    send_one(stage, "send", named, "by connection");
    recv_one(stage, "recv", fd);
    send_to(stage, "answer", fd, "answer", &got->name, got->message.msg_namelen);
    recv_one(stage, "recv of the answer", named);
    struct sockaddr_un back;
    const socklen_t back_bytes = name_unix(&back, "unix_letters.from");
    send_to(stage, "send to one who has chosen another", nameless, "x", &back, back_bytes);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_letters"));
    send_one(stage, "send without the name", named, "still");
    recv_one(stage, "recv", fd);
    send_to(stage, "send to no name", nameless, "x", address, size_bytes);
    stage_close(stage, fd);
    send_one(stage, "send to the gone", named, "x");
    send_one(stage, "send to the gone again", named, "x");
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_letters.from"));
    stage_close(stage, named);
    stage_close(stage, nameless);
}

/* A socket that has gone leaves its path: who sends there is refused. */
void play_unix_letters_refused(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    const socklen_t size_bytes = name_unix(address, "unix_letters_refused");
    int fd = coil_kernel_socket(AF_UNIX, SOCK_DGRAM, 0);
    stage_close(stage, unix_datagram(stage, "unix_letters_refused"));
    send_to(stage, "send", fd, "x", address, size_bytes);
    io_uring_prep_connect(stage_ask(stage, "connect"), fd, (void *)address, size_bytes);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_letters_refused"));
    int listener = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    stage_say_result(stage, "bind", coil_kernel_bind(listener, (void *)address, size_bytes));
    stage_say_result(stage, "listen", coil_kernel_listen(listener, 4));
    send_to(stage, "send to a stream", fd, "x", address, size_bytes);
    io_uring_prep_connect(stage_ask(stage, "connect to a stream"), fd, (void *)address, size_bytes);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_letters_refused"));
    stage_close(stage, listener);
    stage_close(stage, fd);
}

/*
 * A full queue: who sends waits until one is taken, and then what is sent is empty, because its
 * bytes had been copied before there was room (unix_dgram_sendmsg() in Linux, after -EAGAIN).
 */
void play_unix_letters_wait(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    int fd = unix_datagram(stage, "unix_letters_wait");
    int sender = coil_kernel_socket(AF_UNIX, SOCK_DGRAM, 0);
    const socklen_t size_bytes = name_unix(address, "unix_letters_wait");
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_connect(stage_ask(stage, "connect"), sender, (void *)address, size_bytes);
    stage_expect(stage, 1);
    int32_t sent = 0;
    for (int i = 0; i < 1000 && sent >= 0; i++) {
        io_uring_prep_send(stage_ask(stage, "fill"), sender, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent = stage_await(stage, "fill");
    }
    stage_say_result(stage, "full", sent);
    io_uring_prep_send(stage_ask(stage, "send"), sender, "y", 1, MSG_NOSIGNAL);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), sender, POLLOUT);
    stage_expect_nothing(stage);
    io_uring_prep_recv(stage_ask(stage, "recv"), fd, bytes, 15, 0);
    stage_say_result(stage, "recv", stage_await(stage, "recv"));
    stage_say_result(stage, "send", stage_await(stage, "send"));
    ssize_t got = 0;
    ssize_t last = -1;
    while ((got = coil_kernel_recv_now(fd, bytes, 15)) >= 0)
        last = got;
    stage_say_result(stage, "size of the last", last);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_letters_wait"));
    stage_close(stage, fd);
    stage_close(stage, sender);
}
