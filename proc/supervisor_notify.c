/* SPDX-License-Identifier: MIT */
/*
 * One datagram socket for all services. Its name is abstract, so there is nothing to clean up and
 * anybody may write to it: what counts is the process that the kernel says has sent it (unix(7),
 * SCM_CREDENTIALS). Only the process of a service itself is believed (NotifyAccess=main).
 */
#include "supervisor_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/sched.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_BYTES = 4096,
    HEAR_OUT_ROUNDS_MAX = 1000,
};

int notify_open(coil_supervisor *supervisor)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
    } address = {.local = {.sun_family = AF_UNIX}};
    uint64_t token;

    coil_kernel_random(&token, sizeof(token));
    const int size = snprintf(supervisor->notify_name, sizeof(supervisor->notify_name),
            "@coil-%d-%016llx", (int)coil_kernel_getpid(), (unsigned long long)token);
    memcpy(address.local.sun_path, supervisor->notify_name, (size_t)size);
    address.local.sun_path[0] = '\0';
    const int fd = coil_kernel_socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return fd;
    const int yes = 1;
    int rc = coil_kernel_setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
    if (rc == 0) {
        rc = coil_kernel_bind(fd, &address.any,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size));
    }
    if (rc < 0) {
        (void)coil_kernel_close(fd);
        return rc;
    }
    supervisor->notify_socket = fd;
    return 0;
}

void notify_close(coil_supervisor *supervisor)
{
    if (supervisor->notify_socket >= 0)
        (void)coil_kernel_close(supervisor->notify_socket);
    supervisor->notify_socket = -1;
}

/* The service whose process it is. */
static coil_service *find_process(const coil_supervisor *supervisor, pid_t pid)
{
    coil_service *service = NULL;

    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        if (service->owned.plan.notify && service->child.pid == pid && service->supervised.alive)
            return service;
    }
    return NULL;
}

/* In this order: what is said of a reload that is over comes with READY. */
static void hear(coil_service *service, const coil_notice *notice)
{
    if (notice->words & COIL_NOTICE_STATUS) {
        free(service->says);
        service->says = strdup(notice->status);
    }
    if (notice->words & COIL_NOTICE_WATCHDOG_USEC)
        supervisor_tell(service, COIL_EVENT_WATCHDOG_LIMIT, 0, notice->watchdog);
    if (notice->words & COIL_NOTICE_EXTEND_USEC)
        supervisor_tell(service, COIL_EVENT_EXTENDED, 0, notice->extend);
    if (notice->words & COIL_NOTICE_RELOADING)
        supervisor_tell(service, COIL_EVENT_RELOADING, 0, 0);
    if (notice->words & COIL_NOTICE_READY)
        supervisor_tell(service, COIL_EVENT_READY, 0, 0);
    if (notice->words & COIL_NOTICE_WATCHDOG)
        supervisor_tell(service, COIL_EVENT_FED, 0, 0);
    if (notice->words & COIL_NOTICE_TRIGGER)
        supervisor_tell(service, COIL_EVENT_TRIGGERED, 0, 0);
    if (notice->words & COIL_NOTICE_STOPPING)
        supervisor_tell(service, COIL_EVENT_STOPPING, 0, 0);
}

/* Close what came along (FDSTORE=1 and the like): it would stay open here. */
static pid_t read_control(struct msghdr *message)
{
    pid_t sender = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
            header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
            sender = credentials.pid;
        } else if (header->cmsg_type == SCM_RIGHTS) {
            const size_t size_bytes = header->cmsg_len - CMSG_LEN(0);
            for (size_t at = 0; at + sizeof(int) <= size_bytes; at += sizeof(int)) {
                int fd;
                memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
                (void)coil_kernel_close(fd);
            }
        }
    }
    return sender;
}

typedef struct packet {
    struct msghdr header;
    struct iovec part;
    char control[512] __attribute__((aligned(16)));
    char bytes[MESSAGE_BYTES];
} packet;

static void prepare(packet *one)
{
    one->part = (struct iovec){one->bytes, sizeof(one->bytes)};
    one->header = (struct msghdr){.msg_iov = &one->part,
            .msg_iovlen = 1,
            .msg_control = one->control,
            .msg_controllen = sizeof(one->control)};
}

static void understand(coil_supervisor *supervisor, packet *one, size_t size_bytes)
{
    coil_notice notice;
    coil_service *service = find_process(supervisor, read_control(&one->header));

    if (service == NULL || (one->header.msg_flags & MSG_TRUNC) != 0)
        return;
    coil_notice_parse(one->bytes, size_bytes, &notice);
    hear(service, &notice);
}

coil_async(int, listen_once, (coil_supervisor *) supervisor, (packet *) one)
{
    coil_vars(ssize_t count);

    prepare(one);
    coil_attempt(
            my->count, coil_recvmsg(supervisor->notify_socket, &one->header, MSG_CMSG_CLOEXEC));
    understand(supervisor, one, (size_t)my->count);
    return 0;
}

/*
 * What is said to a supervisor that may be killed is understood before it is taken: who comes after
 * us hears it, too, if we did not get that far. Nor is a receive left to the kernel, which would
 * take something for a process that is gone.
 */
coil_async(int, listen_with_care, (coil_supervisor *) supervisor, (packet *) one)
{
    coil_vars(ssize_t count);

    coil_attempt(coil_poll(supervisor->notify_socket, POLLIN));
    prepare(one);
    coil_attempt(my->count, coil_recvmsg(supervisor->notify_socket, &one->header,
                                    MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_PEEK));
    understand(supervisor, one, (size_t)my->count);
    coil_await(coil_yield()); /* The keeper is told in this round. */
    prepare(one);
    coil_attempt(my->count,
            coil_recvmsg(supervisor->notify_socket, &one->header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    (void)read_control(&one->header);
    return 0;
}

coil_define(int, notify_listen, (coil_supervisor *) supervisor)
{
    coil_vars(int rc; packet packet);

    for (;;) {
        if (supervisor->adoption == NULL) {
            coil_await(my->rc, listen_once(supervisor, &my->packet));
        } else {
            coil_await(my->rc, listen_with_care(supervisor, &my->packet));
        }
        if (my->rc < 0)
            coil_await(coil_sleep(coil_ms(100))); /* -ENOMEM: it will pass. */
    }
}

/*
 * What a process has said before it ended is in the socket, or in a completion of this turn: it is
 * to be heard before its end is. Others may go on talking, so there is a bound.
 */
coil_define(int, notify_hear_out, (coil_supervisor *) supervisor)
{
    coil_vars(int rounds);

    do {
        coil_await(coil_yield());
    } while (coil_kernel_recv_peek(supervisor->notify_socket) > 0 &&
             ++my->rounds < HEAR_OUT_ROUNDS_MAX);
    coil_await(coil_yield());
    return 0;
}
