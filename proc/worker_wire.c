/* SPDX-License-Identifier: MIT */
#include "worker_wire.h"

#include <coil/kernel.h>

#include <errno.h>
#include <string.h>

void worker_inbox_prepare(worker_inbox *inbox, void *head, size_t head_bytes, void *bytes)
{
    inbox->parts[0] = (struct iovec){head, head_bytes};
    inbox->parts[1] = (struct iovec){bytes, COIL_WORKER_INLINE_BYTES};
    inbox->message = (struct msghdr){.msg_iov = inbox->parts,
            .msg_iovlen = 2,
            .msg_control = inbox->control,
            .msg_controllen = WORKER_CONTROL_BYTES};
}

int worker_inbox_take_fd(worker_inbox *inbox)
{
    const struct cmsghdr *part = CMSG_FIRSTHDR(&inbox->message);
    int fd = -1;

    if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
            part->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(part), sizeof(fd));
    return fd;
}

/* What an iovec has, which knows no const. */
static struct iovec part_of(const void *bytes, size_t size_bytes)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return (struct iovec){(void *)(uintptr_t)bytes, size_bytes};
}

int worker_send_now(int socket, const void *head, size_t head_bytes, const void *bytes,
        size_t size_bytes, int fd)
{
    struct iovec parts[2] = {part_of(head, head_bytes), part_of(bytes, size_bytes)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = fd < 0 && size_bytes > 0 ? 2 : 1};

    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    }
    ssize_t count = coil_kernel_sendmsg_now(socket, &message);
    return count < 0 ? (int)count : 0;
}

int worker_memory_of(const void *bytes, size_t size_bytes)
{
    size_t done_bytes = 0;
    int fd = coil_kernel_memory("coil-job", size_bytes);
    int rc = 0;

    if (fd < 0)
        return fd;
    while (rc == 0 && done_bytes < size_bytes) {
        ssize_t count =
                coil_kernel_write(fd, (const char *)bytes + done_bytes, size_bytes - done_bytes);
        if (count > 0) {
            done_bytes += (size_t)count;
        } else if (count != -EINTR) {
            rc = count == 0 ? -EIO : (int)count;
        }
    }
    if (rc == 0)
        rc = coil_kernel_memory_seal(fd);
    if (rc < 0) {
        (void)coil_kernel_close(fd);
        return rc;
    }
    return fd;
}

int worker_page_make(const char *name, void **out_page)
{
    void *memory = NULL;
    const int fd = coil_kernel_memory(name, WORKER_PAGE_BYTES);

    if (fd < 0)
        return -1;
    if (coil_kernel_memory_map(fd, WORKER_PAGE_BYTES, COIL_KERNEL_SHARES, &memory) < 0) {
        (void)coil_kernel_close(fd);
        return -1;
    }
    *out_page = memory;
    return fd;
}

void *worker_page_take(int fd)
{
    void *memory = NULL;

    if (coil_kernel_memory_size(fd, false) != WORKER_PAGE_BYTES ||
            coil_kernel_memory_map(fd, WORKER_PAGE_BYTES, COIL_KERNEL_SHARES, &memory) < 0)
        return NULL;
    return memory;
}

int worker_memory_map(int fd, uint64_t size_bytes, const void **out_bytes)
{
    void *memory = NULL;
    ssize_t real_bytes = coil_kernel_memory_size(fd, true);

    if (real_bytes <= 0 || (uint64_t)real_bytes != size_bytes)
        return -EBADMSG;
    int rc = coil_kernel_memory_map(fd, (size_t)real_bytes, COIL_KERNEL_READS, &memory);
    if (rc == 0)
        *out_bytes = memory;
    return rc;
}
