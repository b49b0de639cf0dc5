/* SPDX-License-Identifier: MIT */
/* Memory that processes share by a descriptor (memfd_create(2)), and its seals. */
#include "programs.h"

#include <coil/check.h>

enum { PAGE_BYTES = 4096 };

static char *map(struct stage *stage, const char *name, int fd, coil_kernel_mapping mapping)
{
    void *memory = NULL;
    const int rc = coil_kernel_memory_map(fd, PAGE_BYTES, mapping, &memory);
    stage_say_result(stage, name, rc);
    return memory;
}

/* What one writes, all see; not once it is sealed, which it cannot be while somebody may write. */
void play_memory_is_mapped(struct stage *stage)
{
    const int fd = coil_kernel_memory("conformance", PAGE_BYTES);
    stage_say_fd(stage, "memory", fd);
    char *first = map(stage, "share", fd, COIL_KERNEL_SHARES);
    char *second = map(stage, "share again", fd, COIL_KERNEL_SPARSE);
    stage_say(stage, "at first: %d", first[7]);
    first[7] = 'x';
    stage_say(stage, "seen by the other: %c", second[7]);
    char byte = 0;
    stage_say_result(stage, "pread", coil_kernel_pread(fd, &byte, 1, 7));
    stage_say(stage, "and by pread: %c", byte);
    stage_say_result(stage, "size", (int)coil_kernel_memory_size(fd, false));
    stage_say_result(stage, "size of what is sealed", (int)coil_kernel_memory_size(fd, true));
    stage_say_result(stage, "seal", coil_kernel_memory_seal(fd));
    coil_kernel_memory_unmap(first, PAGE_BYTES);
    stage_say_result(stage, "seal with one left", coil_kernel_memory_seal(fd));
    coil_kernel_memory_forget(second, PAGE_BYTES);
    stage_say(stage, "forgotten: %d", second[7]);
    second[8] = 'y';
    coil_kernel_memory_unmap(second, PAGE_BYTES);
    char *reader = map(stage, "read", fd, COIL_KERNEL_READS);
    stage_say_result(stage, "seal with a reader", coil_kernel_memory_seal(fd));
    stage_say_result(stage, "seal again", coil_kernel_memory_seal(fd));
    stage_say_result(stage, "size of what is sealed", (int)coil_kernel_memory_size(fd, true));
    (void)map(stage, "share what is sealed", fd, COIL_KERNEL_SHARES);
    stage_close(stage, fd);
    stage_say(stage, "after its close: %c", reader[8]);
    coil_kernel_memory_unmap(reader, PAGE_BYTES);
}

/* Its size is fixed: what does not fit is not written. */
void play_memory_is_written(struct stage *stage)
{
    char text[16] = "";
    const int fd = coil_kernel_memory("conformance", 10);
    stage_say_fd(stage, "memory", fd);
    stage_say_result(stage, "write", (int)coil_kernel_write(fd, "01234567", 8));
    stage_say_result(stage, "write of what is left", (int)coil_kernel_write(fd, "89", 2));
    stage_say_result(stage, "write at its end", (int)coil_kernel_write(fd, "x", 1));
    stage_say_result(stage, "write of nothing", (int)coil_kernel_write(fd, "", 0));
    stage_say_result(stage, "pread", (int)coil_kernel_pread(fd, text, sizeof(text) - 1, 2));
    stage_say(stage, "text: %s", text);
    stage_say_result(stage, "pread at its end", (int)coil_kernel_pread(fd, text, 1, 10));
    stage_say_result(stage, "pread behind it", (int)coil_kernel_pread(fd, text, 1, 1000));
    io_uring_prep_write(stage_ask(stage, "write by the ring"), fd, "XY", 2, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "seal", coil_kernel_memory_seal(fd));
    io_uring_prep_write(stage_ask(stage, "write of what is sealed"), fd, "Z", 1, 0);
    stage_expect(stage, 1);
    char *back = stage_memory(stage, 4);
    io_uring_prep_read(stage_ask(stage, "read"), fd, back, 3, 0);
    stage_expect(stage, 1);
    stage_say(stage, "text: %.3s", back);
    stage_close(stage, fd);
}

/* By a socket, to somebody who has another descriptor for the same. */
void play_memory_is_passed(struct stage *stage)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {control, 1};
    struct msghdr message = {.msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control)};
    const int fd = coil_kernel_memory("conformance", PAGE_BYTES);
    int ends[2] = {-1, -1};

    stage_say_fd(stage, "memory", fd);
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_SEQPACKET, ends));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    COIL_CHECK(head != NULL);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    stage_say_result(stage, "send", (int)coil_kernel_sendmsg_now(ends[0], &message));
    char *memory = map(stage, "share", fd, COIL_KERNEL_SHARES);
    stage_close(stage, fd);

    struct msghdr *received = stage_memory(stage, sizeof(*received));
    char *room = stage_memory(stage, sizeof(control));
    struct iovec *into = stage_memory(stage, sizeof(*into));
    *into = (struct iovec){stage_memory(stage, 1), 1};
    *received = (struct msghdr){.msg_iov = into,
            .msg_iovlen = 1,
            .msg_control = room,
            .msg_controllen = sizeof(control)};
    io_uring_prep_recvmsg(stage_ask(stage, "receive"), ends[1], received, MSG_CMSG_CLOEXEC);
    stage_expect(stage, 1);
    const struct cmsghdr *taken = CMSG_FIRSTHDR(received);
    COIL_CHECK(taken != NULL);
    int passed = -1;
    memcpy(&passed, CMSG_DATA(taken), sizeof(passed));
    stage_say_result(stage, "its size", (int)coil_kernel_memory_size(passed, false));
    memory[1] = 'x';
    char *same = map(stage, "share what was passed", passed, COIL_KERNEL_SHARES);
    stage_say(stage, "seen: %c", same[1]);
    coil_kernel_memory_unmap(memory, PAGE_BYTES);
    coil_kernel_memory_unmap(same, PAGE_BYTES);
    stage_say_result(stage, "seal", coil_kernel_memory_seal(passed));
    stage_close(stage, passed);
    stage_close(stage, ends[0]);
    stage_close(stage, ends[1]);
}

void play_memory_misused(struct stage *stage)
{
    int fds[2] = {-1, -1};
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds));
    stage_say_result(stage, "size of a socket", (int)coil_kernel_memory_size(fds[0], false));
    stage_say_result(stage, "seal of a socket", coil_kernel_memory_seal(fds[0]));
    (void)map(stage, "map of a socket", fds[0], COIL_KERNEL_SHARES);
    stage_say_result(stage, "size of nothing", (int)coil_kernel_memory_size(4000, false));
    stage_say_result(stage, "seal of nothing", coil_kernel_memory_seal(4000));
    (void)map(stage, "map of nothing", 4000, COIL_KERNEL_READS);
    stage_close(stage, fds[0]);
    stage_close(stage, fds[1]);
    const int empty = coil_kernel_memory("conformance", 0);
    void *memory = NULL;
    stage_say_fd(stage, "memory of no bytes", empty);
    stage_say_result(stage, "its size", (int)coil_kernel_memory_size(empty, false));
    stage_say_result(
            stage, "map of it", coil_kernel_memory_map(empty, 0, COIL_KERNEL_READS, &memory));
    stage_say_result(stage, "write", (int)coil_kernel_write(empty, "x", 1));
    stage_close(stage, empty);
}
