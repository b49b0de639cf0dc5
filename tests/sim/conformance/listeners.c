/* SPDX-License-Identifier: MIT */
/* Who listens, who connects, and what becomes of those who wait in between. */
#include "programs.h"

#include <fcntl.h>

static struct io_uring_sqe *ask_connect(
        struct stage *stage, const char *name, int fd, const void *address, socklen_t size_bytes)
{
    struct io_uring_sqe *sqe = stage_ask(stage, name);
    io_uring_prep_connect(sqe, fd, address, size_bytes);
    return sqe;
}

static int stream(int family)
{
    return coil_kernel_socket(family, SOCK_STREAM, 0);
}

static int bind_to(int fd, const struct sockaddr_in *address)
{
    return coil_kernel_bind(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* Of the port of a listener that has gone. */
void play_connect_refused(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int listener = stage_listen(stage, 4, address);
    stage_close(stage, listener);
    int fd = stream(AF_INET);
    ask_connect(stage, "connect", fd, address, sizeof(*address));
    stage_expect(stage, 1);
    ask_connect(stage, "connect again", fd, address, sizeof(*address));
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

void play_connect_twice(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int listener = stage_listen(stage, 4, address);
    int fd = stream(AF_INET);
    ask_connect(stage, "connect", fd, address, sizeof(*address));
    stage_expect(stage, 1);
    ask_connect(stage, "connect again", fd, address, sizeof(*address));
    stage_expect(stage, 1);
    stage_close(stage, fd);
    stage_close(stage, listener);
}

/* Accepted with the address of who has connected. */
void play_accept_address(struct stage *stage)
{
    struct sockaddr_in address;
    struct sockaddr_in ours;
    struct sockaddr_in *peer = stage_memory(stage, sizeof(*peer));
    socklen_t *size_bytes = stage_memory(stage, sizeof(*size_bytes));
    socklen_t our_bytes = sizeof(ours);
    int listener = stage_listen(stage, 4, &address);
    *size_bytes = sizeof(*peer);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, (struct sockaddr *)peer, size_bytes,
            SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    int client = stage_connect(stage, &address);
    stage_expect(stage, 1);
    stage_say_result(stage, "name of the client",
            coil_kernel_getsockname(client, (void *)&ours, &our_bytes));
    stage_say(stage, "same size: %d", *size_bytes == sizeof(*peer));
    stage_say(stage, "same port: %d, same address: %d", peer->sin_port == ours.sin_port,
            peer->sin_addr.s_addr == ours.sin_addr.s_addr);
    stage_close(stage, stage_result(stage, "accept"));
    stage_close(stage, client);
    stage_close(stage, listener);
}

static void say_option(struct stage *stage, const char *what, int fd, int option)
{
    int value = -1;
    socklen_t size_bytes = sizeof(value);
    stage_say_result(
            stage, what, coil_kernel_getsockopt(fd, SOL_SOCKET, option, &value, &size_bytes));
    stage_say(stage, "%s is %d, of %u bytes", what, value, (unsigned)size_bytes);
}

/* What a server asks of what it is given: a listening socket, a connection, one that has gone. */
void play_accept_asked(struct stage *stage)
{
    struct sockaddr_in address;
    struct sockaddr_in peer;
    struct sockaddr_in ours;
    socklen_t size_bytes = sizeof(peer);
    socklen_t our_bytes = sizeof(ours);
    int listener = stage_listen(stage, 4, &address);
    say_option(stage, "listens", listener, SO_ACCEPTCONN);
    say_option(stage, "type", listener, SO_TYPE);
    stage_say_result(stage, "peer of a listener",
            coil_kernel_getpeername(listener, (void *)&peer, &size_bytes));
    stage_say_result(stage, "not inherited", coil_kernel_close_on_exec(listener));
    stage_say_result(stage, "of nothing", coil_kernel_close_on_exec(-1));
    stage_say_result(
            stage, "peer of nothing", coil_kernel_getpeername(-1, (void *)&peer, &size_bytes));
    int client = stage_connect(stage, &address);
    int server = stage_accept(stage, listener);
    say_option(stage, "accepted listens", server, SO_ACCEPTCONN);
    (void)coil_kernel_getsockname(client, (void *)&ours, &our_bytes);
    stage_say_result(stage, "peer", coil_kernel_getpeername(server, (void *)&peer, &size_bytes));
    stage_say(
            stage, "same port: %d, %u bytes", peer.sin_port == ours.sin_port, (unsigned)size_bytes);
    const struct linger now = {1, 0};
    stage_say_result(stage, "reset at close",
            coil_kernel_setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
    stage_close(stage, client);
    io_uring_prep_recv(stage_ask(stage, "recv"), server, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    size_bytes = sizeof(peer);
    stage_say_result(stage, "peer of the reset",
            coil_kernel_getpeername(server, (void *)&peer, &size_bytes));
    stage_close(stage, server);
    stage_close(stage, listener);
}

/* Connected before anybody accepts; even closed before. Its bytes are there. */
void play_accept_of_the_gone(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    int client = stage_connect(stage, &address);
    stage_put(stage, client, "gone");
    stage_close(stage, client);
    int server = stage_accept(stage, listener);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_recv(stage_ask(stage, "recv"), server, bytes, 16, MSG_WAITALL);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    stage_close(stage, server);
    stage_close(stage, listener);
}

/* Those who wait in the queue of a listener that closes are reset. */
void play_listener_closes(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    int client = stage_connect(stage, &address);
    io_uring_prep_recv(stage_ask(stage, "recv"), client, stage_memory(stage, 8), 8, 0);
    stage_expect_nothing(stage);
    stage_close(stage, listener);
    stage_expect(stage, 1);
    stage_close(stage, client);
}

/* A backlog of one: one more than that is let in; who comes then waits until there is room. */
void play_backlog(struct stage *stage)
{
    struct sockaddr_in *address = stage_memory(stage, sizeof(*address));
    int listener = stage_listen(stage, 1, address);
    int fds[3];
    static const char *const names[] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++) {
        fds[i] = stream(AF_INET);
        ask_connect(stage, names[i], fds[i], address, sizeof(*address));
        if (i < 2)
            stage_expect(stage, 1);
    }
    stage_expect_nothing(stage);
    stage_close(stage, stage_accept(stage, listener));
    stage_expect(stage, 1);
    for (int i = 0; i < 3; i++)
        stage_close(stage, fds[i]);
    stage_close(stage, listener);
}

void play_port_in_use(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    int fd = stream(AF_INET);
    stage_say_result(stage, "bind", bind_to(fd, &address));
    const int on = 1;
    (void)coil_kernel_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    stage_say_result(stage, "bind with SO_REUSEADDR", bind_to(fd, &address));
    stage_close(stage, listener);
    stage_say_result(stage, "bind when it is free", bind_to(fd, &address));
    stage_say_result(stage, "bind again", bind_to(fd, &address));
    stage_close(stage, fd);
}

static int listen_reusing(struct stage *stage, bool reuses, struct sockaddr_in *address)
{
    const int on = reuses;
    int fd = stream(AF_INET);
    (void)coil_kernel_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    stage_say_result(stage, "bind", bind_to(fd, address));
    (void)coil_kernel_listen(fd, 4);
    return fd;
}

/*
 * The end of who closes first keeps the port for a while. SO_REUSEADDR does not mind, if the one
 * before has set it as well.
 */
static void binds_in_time_wait(struct stage *stage, bool before_reuses)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = listen_reusing(stage, before_reuses, &address);
    (void)coil_kernel_getsockname(listener, (void *)&address, &size_bytes);
    int client = stage_connect(stage, &address);
    stage_close(stage, stage_accept(stage, listener));
    io_uring_prep_recv(stage_ask(stage, "end"), client, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    stage_close(stage, client);
    stage_close(stage, listener);
    stage_close(stage, listen_reusing(stage, false, &address));
    stage_close(stage, listen_reusing(stage, true, &address));
}

void play_port_in_time_wait(struct stage *stage)
{
    binds_in_time_wait(stage, false);
}

void play_port_in_time_wait_reused(struct stage *stage)
{
    binds_in_time_wait(stage, true);
}

/* Pitfalls 3 and 15: a pending accept keeps a closed listener, until it has ended. */
void play_listener_closed_while_accepting(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    io_uring_prep_multishot_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    stage_close(stage, listener);
    int fd = stream(AF_INET);
    stage_say_result(stage, "bind", bind_to(fd, &address));
    int client = stage_connect(stage, &address);
    stage_expect(stage, 1);
    stage_close(stage, client);
    io_uring_prep_recv(stage_ask(stage, "the client has closed first"),
            stage_result(stage, "accept"), stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    stage_close(stage, stage_result(stage, "accept"));
    stage_ask_cancel(stage, "cancel", "accept", 0);
    stage_expect(stage, 2);
    stage_say_result(stage, "bind", bind_to(fd, &address));
    stage_close(stage, fd);
}

/* Two multishot accepts at one socket. */
static int accept_twice(struct stage *stage, struct sockaddr_in *address)
{
    int listener = stage_listen(stage, 4, address);
    io_uring_prep_multishot_accept(stage_ask(stage, "first"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    io_uring_prep_multishot_accept(stage_ask(stage, "second"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    return listener;
}

/* As long as the first is there, everything is told to that. */
void play_accept_of_two(struct stage *stage)
{
    struct sockaddr_in address;
    int clients[3];
    int listener = accept_twice(stage, &address);
    for (int i = 0; i < 2; i++) {
        clients[i] = stage_connect(stage, &address);
        stage_expect(stage, 1);
        stage_close(stage, stage_result(stage, "first"));
    }
    stage_ask_cancel(stage, "cancel", "first", 0);
    stage_expect(stage, 2);
    clients[2] = stage_connect(stage, &address);
    stage_expect(stage, 1);
    stage_close(stage, stage_result(stage, "second"));
    stage_close(stage, listener);
    for (int i = 0; i < 3; i++)
        stage_close(stage, clients[i]);
}

/* What the first was told of, and has not looked at, waits for the next to be told. */
void play_accept_of_two_and_cancelled(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = accept_twice(stage, &address);
    int lost = stream(AF_INET);
    stage_say_result(stage, "connect",
            coil_kernel_connect_now(lost, (const void *)&address, sizeof(address)));
    stage_ask_cancel(stage, "cancel", "first", 0);
    stage_expect(stage, 2);
    stage_expect_nothing(stage);
    int next = stage_connect(stage, &address);
    stage_expect(stage, 2);
    stage_close(stage, lost);
    stage_close(stage, next);
    stage_close(stage, listener);
}

static void ask_without_waiting(struct stage *stage, int listener)
{
    struct io_uring_sqe *sqe = stage_ask(stage, "accept");
    io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->ioprio |= IORING_ACCEPT_DONTWAIT;
}

void play_accept_without_waiting(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 4, &address);
    ask_without_waiting(stage, listener);
    stage_expect(stage, 1);
    int client = stage_connect(stage, &address);
    ask_without_waiting(stage, listener);
    stage_expect(stage, 1);
    stage_close(stage, stage_result(stage, "accept"));
    ask_without_waiting(stage, listener);
    stage_expect(stage, 1);
    stage_close(stage, client);
    stage_close(stage, listener);
}

/* Two listeners of one port, which both want that; whoever closes leaves it to the other. */
void play_reuseport(struct stage *stage)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    int fds[3] = {stream(AF_INET), stream(AF_INET), stream(AF_INET)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 2; i++) {
        (void)coil_kernel_setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
        stage_say_result(stage, "bind", bind_to(fds[i], &address));
        stage_say_result(stage, "listen", coil_kernel_listen(fds[i], 8));
        (void)coil_kernel_getsockname(fds[i], (void *)&address, &size_bytes);
    }
    stage_say_result(stage, "bind without", bind_to(fds[2], &address));
    stage_close(stage, fds[0]);
    int client = stage_connect(stage, &address);
    stage_close(stage, stage_accept(stage, fds[1]));
    stage_close(stage, client);
    stage_close(stage, fds[1]);
    stage_close(stage, fds[2]);
}

/* --------------------------------------------------------------------------- unix sockets -- */

static socklen_t name_unix(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static int listen_unix(struct stage *stage, const struct sockaddr_un *address, socklen_t size_bytes)
{
    int fd = stream(AF_UNIX);
    stage_say_result(
            stage, "bind", coil_kernel_bind(fd, (const struct sockaddr *)address, size_bytes));
    stage_say_result(stage, "listen", coil_kernel_listen(fd, 4));
    return fd;
}

/* The path outlives the listener; who connects to what is left of it is refused. */
void play_unix_path(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    socklen_t size_bytes = name_unix(address, "unix_path");
    (void)coil_kernel_unlink("unix_path");
    int client = stream(AF_UNIX);
    ask_connect(stage, "connect to nothing", client, address, size_bytes);
    stage_expect(stage, 1);
    stage_say_result(stage, "is a socket", coil_kernel_is_socket("unix_path"));
    int listener = listen_unix(stage, address, size_bytes);
    stage_say_result(stage, "is a socket", coil_kernel_is_socket("unix_path"));
    ask_connect(stage, "connect", client, address, size_bytes);
    stage_expect(stage, 1);

    int other = stream(AF_UNIX);
    stage_say_result(stage, "bind while it listens",
            coil_kernel_bind(other, (struct sockaddr *)address, size_bytes));
    stage_close(stage, listener);
    stage_say_result(stage, "bind to what is left",
            coil_kernel_bind(other, (struct sockaddr *)address, size_bytes));
    ask_connect(stage, "connect to what is left", other, address, size_bytes);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_path"));
    stage_say_result(stage, "unlink again", coil_kernel_unlink("unix_path"));
    stage_say_result(
            stage, "bind", coil_kernel_bind(other, (struct sockaddr *)address, size_bytes));
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_path"));
    io_uring_prep_recv(stage_ask(stage, "recv"), client, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    stage_close(stage, other);
    stage_close(stage, client);
}

void play_unix_path_is_a_file(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    socklen_t size_bytes = name_unix(address, "unix_path_is_a_file");
    int file = stage_open_file(stage, "unix_path_is_a_file", O_CREAT);
    int fd = stream(AF_UNIX);
    stage_say_result(stage, "is a socket", coil_kernel_is_socket("unix_path_is_a_file"));
    stage_say_result(stage, "bind", coil_kernel_bind(fd, (struct sockaddr *)address, size_bytes));
    ask_connect(stage, "connect", fd, address, size_bytes);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_path_is_a_file"));
    stage_close(stage, fd);
    stage_close(stage, file);
}

/* An abstract name ends with its socket. */
void play_unix_abstract(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
            "coil conformance %d", coil_kernel_getpid());
    socklen_t size_bytes =
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1U + (unsigned)length);
    int listener = listen_unix(stage, address, size_bytes);
    int other = stream(AF_UNIX);
    stage_say_result(stage, "bind while it listens",
            coil_kernel_bind(other, (struct sockaddr *)address, size_bytes));
    ask_connect(stage, "connect", other, address, size_bytes);
    stage_expect(stage, 1);
    stage_close(stage, other);
    stage_close(stage, listener);
    other = listen_unix(stage, address, size_bytes);
    stage_close(stage, other);
    other = stream(AF_UNIX);
    ask_connect(stage, "connect when it has gone", other, address, size_bytes);
    stage_expect(stage, 1);
    stage_close(stage, other);
}

/* Nobody is told that there is room again in the queue of a unix listener, but who waits there. */
void play_unix_backlog(struct stage *stage)
{
    struct sockaddr_un *address = stage_memory(stage, sizeof(*address));
    socklen_t size_bytes = name_unix(address, "unix_backlog");
    (void)coil_kernel_unlink("unix_backlog");
    int listener = stream(AF_UNIX);
    stage_say_result(
            stage, "bind", coil_kernel_bind(listener, (struct sockaddr *)address, size_bytes));
    stage_say_result(stage, "listen", coil_kernel_listen(listener, 1));
    int fds[3];
    static const char *const names[] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++) {
        fds[i] = stream(AF_UNIX);
        ask_connect(stage, names[i], fds[i], address, size_bytes);
        if (i < 2)
            stage_expect(stage, 1);
    }
    stage_expect_nothing(stage);
    stage_close(stage, stage_accept(stage, listener));
    stage_expect(stage, 1);
    for (int i = 0; i < 3; i++)
        stage_close(stage, fds[i]);
    stage_close(stage, listener);
    stage_say_result(stage, "unlink", coil_kernel_unlink("unix_backlog"));
}
