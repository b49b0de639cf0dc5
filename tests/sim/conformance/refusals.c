/* SPDX-License-Identifier: MIT */
/* What sockets refuse, and what becomes of those who are misused or reset at the wrong time. */
#include "programs.h"

#include <poll.h>

static void ask_poll(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_poll_add(stage_ask(stage, name), fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
}

static void recv_one(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_recv(stage_ask(stage, name), fd, stage_memory(stage, 16), 16, 0);
    stage_expect(stage, 1);
}

static void send_one(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_send(stage_ask(stage, name), fd, "x", 1, MSG_NOSIGNAL);
    stage_expect(stage, 1);
}

static void connect_one(
        struct stage *stage, const char *name, int fd, const void *address, socklen_t size_bytes)
{
    io_uring_prep_connect(stage_ask(stage, name), fd, address, size_bytes);
    stage_expect(stage, 1);
}

static void accept_one(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_accept(stage_ask(stage, name), fd, NULL, NULL, SOCK_CLOEXEC);
    stage_expect(stage, 1);
}

static void shut_one(struct stage *stage, const char *name, int fd, int how)
{
    io_uring_prep_shutdown(stage_ask(stage, name), fd, how);
    stage_expect(stage, 1);
}

/* A connection that was reset before it was accepted is accepted, and says so. */
void play_accept_of_the_reset(struct stage *stage)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    int client = stage_connect(stage, &address);
    stage_put(stage, client, "lost");
    (void)coil_kernel_setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    stage_close(stage, client);
    accept_one(stage, "accept", listener);
    int server = stage_result(stage, "accept");
    ask_poll(stage, "poll", server);
    stage_expect(stage, 1);
    for (int i = 0; i < 3; i++)
        recv_one(stage, "recv", server);
    stage_close(stage, listener);
}

/* Shut to receive, it listens no more and resets who waits; it can listen again, or elsewhere. */
void play_listener_shut_down(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int listener = stage_listen(stage, 4, address);
    int client = stage_connect(stage, address);
    shut_one(stage, "shutdown of its sends", listener, SHUT_WR);
    ask_poll(stage, "poll", listener);
    stage_expect(stage, 1);
    shut_one(stage, "shutdown of its receives", listener, SHUT_RD);
    recv_one(stage, "recv of who waited", client);
    ask_poll(stage, "poll", listener);
    stage_expect(stage, 1);
    int other = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    connect_one(stage, "connect", other, address, sizeof(*address));
    stage_say_result(stage, "listen again", coil_kernel_listen(listener, 4));
    stage_close(stage, other);
    stage_close(stage, client);
    stage_close(stage, listener);
}

void play_listener_misused(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int listener = stage_listen(stage, 4, address);
    int fresh = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    recv_one(stage, "recv", listener);
    send_one(stage, "send", listener);
    connect_one(stage, "connect", listener, address, sizeof(*address));
    stage_say_result(stage, "listen again", coil_kernel_listen(listener, 3));
    accept_one(stage, "accept of no listener", fresh);
    int client = stage_connect(stage, address);
    accept_one(stage, "accept of a connection", client);
    stage_say_result(stage, "listen of a connection", coil_kernel_listen(client, 3));
    stage_say_result(stage, "bind of a connection",
            coil_kernel_bind(client, (struct sockaddr *)address, sizeof(*address)));
    stage_close(stage, client);
    stage_close(stage, fresh);
    stage_close(stage, listener);
}

/* SO_REUSEADDR of both lets both be bound; one of them may listen. */
void play_port_of_two(struct stage *stage)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    int fds[3];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 3; i++) {
        fds[i] = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
        (void)coil_kernel_setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    for (int i = 0; i < 2; i++) {
        stage_say_result(stage, "bind", coil_kernel_bind(fds[i], (void *)&address, size_bytes));
        (void)coil_kernel_getsockname(fds[i], (void *)&address, &size_bytes);
    }
    stage_say_result(stage, "listen", coil_kernel_listen(fds[0], 1));
    stage_say_result(stage, "listen of the other", coil_kernel_listen(fds[1], 1));
    stage_say_result(stage, "bind", coil_kernel_bind(fds[2], (void *)&address, size_bytes));
    for (int i = 0; i < 3; i++)
        stage_close(stage, fds[i]);
}

void play_address_misused(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    address->sin_family = AF_INET;
    address->sin_port = htons(5555);
    address->sin_addr.s_addr = htonl(0x08080808);
    stage_say_result(stage, "bind to what is not ours",
            coil_kernel_bind(fd, (struct sockaddr *)address, sizeof(*address)));
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stage_say_result(stage, "bind, cut", coil_kernel_bind(fd, (struct sockaddr *)address, 4));
    connect_one(stage, "connect, cut", fd, address, 4);
    address->sin_family = AF_INET6;
    stage_say_result(stage, "bind to another family",
            coil_kernel_bind(fd, (struct sockaddr *)address, sizeof(*address)));
    connect_one(stage, "connect to another family", fd, address, sizeof(*address));
    stage_say_result(stage, "no such family", coil_kernel_socket(99, SOCK_STREAM, 0));
    stage_say_result(stage, "no such type", coil_kernel_socket(AF_INET, 99, 0));
    stage_say_result(
            stage, "no such protocol", coil_kernel_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    int fds[2];
    stage_say_result(stage, "pair of TCP", coil_kernel_socketpair(AF_INET, SOCK_STREAM, fds));
    stage_close(stage, fd);
}

void play_interfaces(struct stage *stage)
{
    stage_say_result(stage, "loopback", coil_kernel_interface("lo"));
    stage_say_result(stage, "none", coil_kernel_interface("no-such"));
    stage_say_result(stage, "empty", coil_kernel_interface(""));
    stage_say_result(stage, "too long", coil_kernel_interface("a-name-that-is-too-long-for-one"));
}

void play_unix_misused(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    const socklen_t size_bytes = sizeof(*address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, "unix_misused", sizeof("unix_misused"));
    (void)coil_kernel_unlink(address->sun_path);
    int fd = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    int other = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    int datagrams = coil_kernel_socket(AF_UNIX, SOCK_DGRAM, 0);
    stage_say_result(stage, "listen without a name", coil_kernel_listen(fd, 1));
    recv_one(stage, "recv", fd);
    send_one(stage, "send", fd);
    shut_one(stage, "shutdown", fd, SHUT_RDWR);
    stage_close(stage, fd);
    fd = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    stage_say_result(stage, "bind", coil_kernel_bind(fd, (struct sockaddr *)address, size_bytes));
    stage_say_result(
            stage, "bind again", coil_kernel_bind(fd, (struct sockaddr *)address, size_bytes));
    memcpy(address->sun_path, "unix_misused.2", sizeof("unix_misused.2"));
    stage_say_result(stage, "bind to another path",
            coil_kernel_bind(fd, (struct sockaddr *)address, size_bytes));
    stage_say_result(stage, "which is there", coil_kernel_is_socket(address->sun_path));
    memcpy(address->sun_path, "unix_misused", sizeof("unix_misused"));
    connect_one(stage, "connect to no listener", other, address, size_bytes);
    stage_say_result(stage, "listen", coil_kernel_listen(fd, 1));
    connect_one(stage, "connect of another type", datagrams, address, size_bytes);
    connect_one(stage, "connect", other, address, size_bytes);
    connect_one(stage, "connect again", other, address, size_bytes);
    accept_one(stage, "accept of a connection", other);
    stage_say_result(stage, "unlink", coil_kernel_unlink(address->sun_path));
    stage_close(stage, datagrams);
    stage_close(stage, other);
    stage_close(stage, fd);
}

/* It has gone before it is accepted; then its listener is shut. */
void play_unix_accept_of_the_gone(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    const socklen_t size_bytes = sizeof(*address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, "unix_accept_of_the_gone", sizeof("unix_accept_of_the_gone"));
    (void)coil_kernel_unlink(address->sun_path);
    int listener = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    int client = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    (void)coil_kernel_bind(listener, (struct sockaddr *)address, size_bytes);
    (void)coil_kernel_listen(listener, 4);
    connect_one(stage, "connect", client, address, size_bytes);
    stage_put(stage, client, "gone");
    stage_close(stage, client);
    ask_poll(stage, "poll", listener);
    stage_expect(stage, 1);
    accept_one(stage, "accept", listener);
    recv_one(stage, "recv", stage_result(stage, "accept"));
    recv_one(stage, "recv", stage_result(stage, "accept"));
    io_uring_prep_accept(stage_ask(stage, "waiting accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), listener, SHUT_RD);
    stage_expect(stage, 2);
    client = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    connect_one(stage, "connect", client, address, size_bytes);
    stage_say_result(stage, "unlink", coil_kernel_unlink(address->sun_path));
    stage_close(stage, client);
    stage_close(stage, listener);
}
