/* SPDX-License-Identifier: MIT */
#include "socket_rules.h"

static void datagrams(void)
{
    sim_file *x = opened(AF_INET, SOCK_DGRAM), *y = opened(AF_INET, SOCK_DGRAM);
    int count = 0;

    RULE(0, bound(x, 9000));
    RULE(-EDESTADDRREQ, out(y, 1));
    RULE(-EAGAIN, received(y));
    RULE(0, connected(y, 9000));
    RULE(0, out(y, 0));
    RULE(0, received(x));
    RULE(10, out(y, 10));
    RULE(4, in(x, 4, 0));
    RULE(10, out(y, 10));
    RULE(10, in(x, 4, MSG_TRUNC));
    RULE(-EMSGSIZE, out(y, 65508));
    for (int i = 0; i < 3000; i++)
        RULE(100, out(y, 100));
    while (received(x) > 0)
        count++;
    RULE(256, count);
    sim_file_drop(x);
    RULE(1, out(y, 1));
    RULE(POLLOUT | POLLERR, polled(y));
    RULE(-ECONNREFUSED, out(y, 1));
    RULE(1, out(y, 1));
    RULE(-ECONNREFUSED, received(y));
    RULE(-EAGAIN, received(y));
    sim_file_drop(y);
}

static void unix_datagrams(void)
{
    sim_file *files[2];
    ssize_t rc;
    int count = 0;

    RULE(0, sim_socket_pair(sim_process_current(), AF_UNIX, SOCK_DGRAM, 0, files));
    while ((rc = out(files[0], 1)) > 0)
        count++;
    RULE(-EAGAIN, rc);
    RULE(278, count);
    while (received(files[1]) > 0)
        count--;
    RULE(0, count);
    RULE(-EMSGSIZE, out(files[0], 1 << 20));
    sim_file_drop(files[1]);
    RULE(POLLOUT, polled(files[0]));
    RULE(-ECONNREFUSED, out(files[0], 1));
    RULE(-ENOTCONN, out(files[0], 1));
    sim_file_drop(files[0]);

    RULE(0, sim_socket_pair(sim_process_current(), AF_UNIX, SOCK_SEQPACKET, 0, files));
    RULE(10, out(files[0], 10));
    RULE(4, in(files[1], 4, 0));
    sim_file_drop(files[0]);
    RULE(0, received(files[1]));
    sim_file_drop(files[1]);
}

static void rights(void)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    sim_process *process = sim_process_current();
    sim_file *c, *s;
    struct iovec part;

    unix_pair(&c, &s);
    int fd = sim_descriptor_install(process, opened(AF_INET, SOCK_DGRAM), 0);
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    sim_io io = io_of(&part, 2, 0);
    io.message = &message;
    RULE(3, out(c, 3));
    RULE(2, sim_file_send(c, &io));
    RULE(3, out(c, 3));
    memset(control, 0, sizeof(control));
    message.msg_controllen = sizeof(control);
    io = io_of(&part, 100, 0);
    io.message = &message;
    RULE(5, sim_file_recv(s, &io)); /* It ends behind the bytes that had descriptors with them. */
    RULE(sizeof(control), message.msg_controllen);
    int given;
    memcpy(&given, CMSG_DATA(header), sizeof(given));
    RULE(1, given != fd && sim_descriptor_file(process, given) == sim_descriptor_file(process, fd));
    io = io_of(&part, 100, 0);
    message.msg_controllen = sizeof(control);
    io.message = &message;
    RULE(3, sim_file_recv(s, &io));
    RULE(0, message.msg_controllen);
    RULE(0, sim_descriptor_close(process, fd));
    RULE(0, sim_descriptor_close(process, given));
    sim_file_drop(c);
    sim_file_drop(s);
}

void message_rules(void)
{
    datagrams();
    unix_datagrams();
    rights();
}
