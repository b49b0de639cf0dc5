/* SPDX-License-Identifier: MIT */
#include "socket_rules.h"

#include "network_control.h"

#include <netinet/in.h>

static int broken;

void rules_check(
        const char *place, const char *what, long result, const char *wanted_text, long wanted)
{
    if (result == wanted)
        return;
    broken++;
    fprintf(stderr, "%s: %s is %ld, not %s (%ld)\n", place, what, result, wanted_text, wanted);
}

char room[2 << 20];

sim_file *opened(int family, int type)
{
    sim_file *file = NULL;
    RULE(0, sim_socket_open(sim_process_current(), family, type, 0, &file));
    return file;
}

sim_io io_of(struct iovec *part, size_t size_bytes, int flags)
{
    *part = (struct iovec){room, size_bytes};
    return (sim_io){.parts = part,
            .part_count = 1,
            .size_bytes = size_bytes,
            .offset = -1,
            .flags = flags | MSG_DONTWAIT,
            .process = sim_process_current()};
}

ssize_t in(sim_file *file, size_t size_bytes, int flags)
{
    struct iovec part;
    sim_io io = io_of(&part, size_bytes, flags);
    return sim_file_recv(file, &io);
}

ssize_t out(sim_file *file, size_t size_bytes)
{
    struct iovec part;
    sim_io io = io_of(&part, size_bytes, 0);
    return sim_file_send(file, &io);
}

ssize_t received(sim_file *file)
{
    return in(file, sizeof(room), 0);
}

int polled(sim_file *file)
{
    return sim_file_poll(file) & (POLLIN | POLLOUT | POLLHUP | POLLRDHUP | POLLERR | POLLPRI);
}

int error_of(sim_file *file)
{
    int error = -1;
    socklen_t size_bytes = sizeof(error);
    RULE(0, file->type->getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size_bytes));
    return error;
}

static struct sockaddr_in at_port(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
            .sin_port = htons(port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int bound(sim_file *file, uint16_t port)
{
    struct sockaddr_in name = at_port(port);
    return file->type->bind(file, (void *)&name, sizeof(name));
}

int connected(sim_file *file, uint16_t port)
{
    struct sockaddr_in name = at_port(port);
    return file->type->connect(file, (void *)&name, sizeof(name));
}

sim_file *listener_at(uint16_t port, int backlog)
{
    sim_file *file = opened(AF_INET, SOCK_STREAM);
    int one = 1;
    RULE(0, file->type->setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    RULE(0, bound(file, port));
    RULE(0, file->type->listen(file, backlog));
    return file;
}

void tcp_pair(sim_file **c, sim_file **s)
{
    sim_file *listener = listener_at(7000, 5);
    *c = opened(AF_INET, SOCK_STREAM);
    RULE(0, connected(*c, 7000));
    RULE(POLLIN, polled(listener));
    RULE(0, listener->type->accept(listener, NULL, NULL, s));
    sim_file_drop(listener);
}

void unix_pair(sim_file **c, sim_file **s)
{
    sim_file *files[2];
    RULE(0, sim_socket_pair(sim_process_current(), AF_UNIX, SOCK_STREAM, 0, files));
    *c = files[0];
    *s = files[1];
}

void linger_0(sim_file *file)
{
    const struct linger now = {1, 0};
    RULE(0, file->type->setsockopt(file, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
}

int socket_rules_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    broken = 0;
    stream_rules();
    listener_rules();
    message_rules();
    return broken;
}
