/* SPDX-License-Identifier: MIT */
#include "rights.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 253 /* SCM_MAX_FD: unix(7) */ };

struct rights_inbox {
    unsigned first; /* The oldest; the queue is a ring. */
    unsigned count;
    int fds[COIL_RECEIVER_FDS_MAX];
    struct msghdr message;
    struct iovec part;
    union {
        struct cmsghdr header; /* Its alignment. */
        char bytes[CMSG_SPACE(MESSAGE_MAX * sizeof(int))];
    } control;
};

rights_inbox *rights_create(void)
{
    return calloc(1, sizeof(rights_inbox));
}

void rights_destroy(rights_inbox *inbox)
{
    int fd;
    if (inbox == NULL)
        return;
    while ((fd = rights_take(inbox)) >= 0)
        (void)coil_kernel_close(fd);
    free(inbox);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the kernel writes there. */
void rights_prepare(rights_inbox *inbox, char *bytes, size_t size_bytes, struct io_uring_sqe *sqe)
{
    inbox->part = (struct iovec){bytes, size_bytes};
    inbox->message = (struct msghdr){.msg_iov = &inbox->part,
            .msg_iovlen = 1,
            .msg_control = &inbox->control,
            .msg_controllen = sizeof(inbox->control)};
    io_uring_prep_recvmsg(sqe, 0, &inbox->message, MSG_CMSG_CLOEXEC);
}

/* All of them are taken, or closed: none is left behind. */
static int put(rights_inbox *inbox, const struct cmsghdr *header)
{
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    int rc = 0;

    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
        if (inbox->count == COIL_RECEIVER_FDS_MAX) {
            (void)coil_kernel_close(fd);
            rc = -ETOOMANYREFS;
        } else {
            inbox->fds[(inbox->first + inbox->count++) % COIL_RECEIVER_FDS_MAX] = fd;
        }
    }
    return rc;
}

int32_t rights_received(rights_inbox *inbox, int32_t result)
{
    struct msghdr *message = &inbox->message;

    /* (CMSG_NXTHDR() is a call of libc. The kernel has written these: they are sound.) */
    for (size_t at = 0; at + sizeof(struct cmsghdr) <= message->msg_controllen;) {
        const struct cmsghdr *header =
                (const struct cmsghdr *)(const void *)(inbox->control.bytes + at);
        const bool has_fds = header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
        const int rc = has_fds ? put(inbox, header) : 0;
        if (rc < 0)
            result = rc;
        if (header->cmsg_len < sizeof(*header))
            break;
        at += CMSG_ALIGN(header->cmsg_len);
    }
    /* There was room for all that a message can have: the process had none for the descriptors. */
    if ((message->msg_flags & MSG_CTRUNC) != 0 && result >= 0)
        result = -EMFILE;
    return result;
}

int rights_take(rights_inbox *inbox)
{
    if (inbox->count == 0)
        return -EAGAIN;
    const int fd = inbox->fds[inbox->first];
    inbox->first = (inbox->first + 1) % COIL_RECEIVER_FDS_MAX;
    inbox->count--;
    return fd;
}
