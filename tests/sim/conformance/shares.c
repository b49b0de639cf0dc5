/* SPDX-License-Identifier: MIT */
/* What several share: a port among listeners, a file among writers, a table of descriptors. */
#include "programs.h"

#include "child_syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <sys/syscall.h>

/* ---------------------------------------------------------------------------- SO_REUSEPORT -- */

enum { CALLERS = 24 };

static int share_port(struct stage *stage, int type, struct sockaddr_in *address)
{
    const int on = 1;
    socklen_t size_bytes = sizeof(*address);
    int fd = coil_kernel_socket(AF_INET, type, 0);
    (void)coil_kernel_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    stage_say_result(stage, "bind", coil_kernel_bind(fd, (void *)address, sizeof(*address)));
    if (type == SOCK_STREAM)
        stage_say_result(stage, "listen", coil_kernel_listen(fd, CALLERS));
    (void)coil_kernel_getsockname(fd, (void *)address, &size_bytes);
    return fd;
}

static struct sockaddr_in loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* One after the other is called; who of the two answers is by chance, but one does. */
void play_reuseport_shares(struct stage *stage)
{
    static const char *const names[] = {"accept of one", "accept of the other"};
    struct sockaddr_in address = loopback();
    int listeners[2];
    int counts[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        listeners[i] = share_port(stage, SOCK_STREAM, &address);
        io_uring_prep_accept(stage_ask(stage, names[i]), listeners[i], NULL, NULL, 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        int client = stage_connect(stage, &address);
        stage_do(stage, 1);
        int which = stage_result(stage, names[0]) != INT32_MIN ? 0 : 1;
        counts[which]++;
        stage_close(stage, stage_result(stage, names[which]));
        stage_close(stage, client);
        io_uring_prep_accept(stage_ask(stage, names[which]), listeners[which], NULL, NULL, 0);
    }
    stage_say(stage, "all: %d, each has some: %d", counts[0] + counts[1],
            counts[0] > 0 && counts[1] > 0);
    stage_expect_nothing(stage);
    stage_close(stage, listeners[1]);
    stage_ask_cancel(stage, "cancel", names[1], 0);
    stage_expect(stage, 2);
    for (int i = 0; i < 4; i++) {
        int client = stage_connect(stage, &address);
        stage_do(stage, 1);
        stage_close(stage, stage_result(stage, names[0]));
        stage_close(stage, client);
        io_uring_prep_accept(stage_ask(stage, names[0]), listeners[0], NULL, NULL, 0);
    }
    stage_expect_nothing(stage);
    stage_close(stage, listeners[0]);
}

/* What waits at the one that closes is not moved to the other: it is reset. */
void play_reuseport_closes(struct stage *stage)
{
    struct sockaddr_in address = loopback();
    int listeners[2];
    int clients[CALLERS];
    char *bytes = stage_memory(stage, CALLERS);
    for (int i = 0; i < 2; i++)
        listeners[i] = share_port(stage, SOCK_STREAM, &address);
    for (int i = 0; i < CALLERS; i++)
        clients[i] = stage_connect(stage, &address);
    stage_close(stage, listeners[0]);
    int reset_count = 0;
    for (int i = 0; i < CALLERS; i++) {
        io_uring_prep_recv(stage_ask(stage, "recv"), clients[i], &bytes[i], 1, MSG_DONTWAIT);
        int32_t rc = stage_await(stage, "recv");
        reset_count += rc == -ECONNRESET;
    }
    stage_say(stage, "some are reset: %d, not all: %d", reset_count > 0, reset_count < CALLERS);
    for (int i = 0; i < CALLERS - reset_count; i++)
        stage_close(stage, stage_accept(stage, listeners[1]));
    io_uring_prep_accept(stage_ask(stage, "accept of one more"), listeners[1], NULL, NULL, 0);
    stage_expect_nothing(stage);
    for (int i = 0; i < CALLERS; i++)
        stage_close(stage, clients[i]);
    stage_close(stage, listeners[1]);
}

/* Datagrams of one sender go to one of them, as long as these are the same. */
void play_reuseport_udp(struct stage *stage)
{
    struct sockaddr_in address = loopback();
    int receivers[2];
    int counts[2] = {0, 0};
    char bytes[4];
    for (int i = 0; i < 2; i++)
        receivers[i] = share_port(stage, SOCK_DGRAM, &address);
    for (int sender = 0; sender < CALLERS; sender++) {
        int fd = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
        (void)coil_kernel_connect_now(fd, (void *)&address, sizeof(address));
        stage_put(stage, fd, "a");
        stage_put(stage, fd, "b");
        io_uring_prep_poll_add(stage_ask(stage, "one"), receivers[0], POLLIN);
        io_uring_prep_poll_add(stage_ask(stage, "other"), receivers[1], POLLIN);
        stage_do(stage, 1);
        int which = stage_result(stage, "one") != INT32_MIN ? 0 : 1;
        stage_ask_cancel(stage, "cancel", which == 0 ? "other" : "one", 0);
        stage_do(stage, 2);
        ssize_t got = 0;
        for (int i = 0; i < 2; i++)
            got += coil_kernel_recv_now(receivers[which], bytes, sizeof(bytes)) == 1;
        counts[which] += got == 2;
        stage_close(stage, fd);
    }
    stage_say(stage, "all: %d, each has some: %d", counts[0] + counts[1],
            counts[0] > 0 && counts[1] > 0);
    stage_close(stage, receivers[0]);
    stage_close(stage, receivers[1]);
}

/* ----------------------------------------------------------------------- a file of several -- */

static int open_flags(struct stage *stage, const char *path, int flags)
{
    io_uring_prep_openat(stage_ask(stage, "open"), AT_FDCWD, path, flags, 0644);
    stage_expect(stage, 1);
    return stage_result(stage, "open");
}

static void read_all(struct stage *stage, int fd)
{
    char *bytes = stage_memory(stage, 256);
    io_uring_prep_read(stage_ask(stage, "read"), fd, bytes, 255, 0);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
}

/* Two descriptors append at once: no record is lost, torn, or mixed with another. */
void play_append_of_two(struct stage *stage)
{
    enum { RECORDS = 16, RECORD_BYTES = 8 };
    static char records[RECORDS][16];
    char *bytes = stage_memory(stage, 256);
    int one = open_flags(stage, "append_of_two", O_CREAT | O_TRUNC | O_RDWR | O_APPEND);
    int other = open_flags(stage, "append_of_two", O_WRONLY | O_APPEND);
    for (int i = 0; i < RECORDS; i++) {
        (void)snprintf(records[i], sizeof(records[i]), "[%06d]", i);
        io_uring_prep_write(
                stage_ask(stage, "write"), i % 2 == 0 ? one : other, records[i], RECORD_BYTES, 0);
    }
    stage_do(stage, RECORDS);
    io_uring_prep_read(stage_ask(stage, "read"), one, bytes, 255, 0);
    stage_expect(stage, 1);
    int whole_count = 0;
    for (int i = 0; i < RECORDS; i++)
        whole_count += strstr(bytes, records[i]) != NULL;
    stage_say(stage, "whole records: %d", whole_count);
    stage_say_result(stage, "unlink", coil_kernel_unlink("append_of_two"));
    stage_close(stage, one);
    stage_close(stage, other);
}

/* Who has O_APPEND is always at the end; who has not writes where it says, also over that. */
void play_append_and_cut(struct stage *stage)
{
    int appender = open_flags(stage, "append_and_cut", O_CREAT | O_TRUNC | O_RDWR | O_APPEND);
    int other = open_flags(stage, "append_and_cut", O_WRONLY);
    io_uring_prep_write(stage_ask(stage, "append"), appender, "0123", 4, (__u64)-1);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "write"), other, "ABCDEF", 6, 2);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "append"), appender, "4567", 4, 1);
    stage_expect(stage, 1);
    read_all(stage, appender);
    stage_close(stage, open_flags(stage, "append_and_cut", O_WRONLY | O_TRUNC));
    io_uring_prep_write(stage_ask(stage, "append"), appender, "x", 1, (__u64)-1);
    stage_expect(stage, 1);
    io_uring_prep_write(stage_ask(stage, "write"), other, "y", 1, (__u64)-1);
    stage_expect(stage, 1);
    read_all(stage, appender);
    stage_say_result(stage, "unlink", coil_kernel_unlink("append_and_cut"));
    stage_close(stage, appender);
    stage_close(stage, other);
}

static void rename_to(struct stage *stage, const char *name, const char *from, const char *to)
{
    io_uring_prep_renameat(stage_ask(stage, name), AT_FDCWD, from, AT_FDCWD, to, 0);
    stage_expect(stage, 1);
}

/* A log that is rotated: who has it open goes on writing to it, whatever its name. */
void play_renamed_while_open(struct stage *stage)
{
    struct statx *status = stage_memory(stage, sizeof(*status));
    (void)coil_kernel_unlink("renamed_while_open.1");
    int fd = open_flags(stage, "renamed_while_open", O_CREAT | O_TRUNC | O_RDWR | O_APPEND);
    stage_put(stage, fd, "a");
    rename_to(stage, "rename", "renamed_while_open", "renamed_while_open.1");
    stage_put(stage, fd, "b");
    int new = open_flags(stage, "renamed_while_open", O_CREAT | O_RDWR | O_APPEND);
    stage_put(stage, new, "new");
    read_all(stage, fd);
    rename_to(stage, "rename over", "renamed_while_open", "renamed_while_open.1");
    stage_put(stage, fd, "c");
    stage_put(stage, new, "er");
    read_all(stage, fd);
    int named = open_flags(stage, "renamed_while_open.1", O_RDONLY);
    read_all(stage, named);
    io_uring_prep_statx(
            stage_ask(stage, "statx of the old"), fd, "", AT_EMPTY_PATH, STATX_NLINK, status);
    stage_expect(stage, 1);
    stage_say(stage, "links: %u", status->stx_nlink);
    rename_to(stage, "rename to itself", "renamed_while_open.1", "renamed_while_open.1");
    stage_say_result(stage, "unlink", coil_kernel_unlink("renamed_while_open.1"));
    stage_close(stage, named);
    stage_close(stage, new);
    stage_close(stage, fd);
}

/* ------------------------------------------------------------------------ no more of them -- */

enum { DESCRIPTORS_MOST = STAGE_DESCRIPTORS };

typedef struct hoard {
    int fds[DESCRIPTORS_MOST];
    int count;
} hoard;

/* All that are left, but so many. */
static void take_all(struct stage *stage, hoard *taken, int spared_count)
{
    int rc = 0;
    for (taken->count = 0; taken->count < DESCRIPTORS_MOST; taken->fds[taken->count++] = rc) {
        rc = coil_kernel_eventfd();
        if (rc < 0)
            break;
    }
    stage_say_result(stage, "one too many", rc);
    while (spared_count-- > 0)
        stage_close(stage, taken->fds[--taken->count]);
}

static void give_back(struct stage *stage, hoard *taken, int count)
{
    while (count-- > 0 && taken->count > 0)
        stage_close(stage, taken->fds[--taken->count]);
}

/* Of calls that make two with room for one, none is left behind. */
void play_no_descriptors(struct stage *stage)
{
    struct io_uring ring;
    struct io_uring_params parameters = {0};
    sigset_t signals;
    hoard taken;
    int fds[2];
    io_uring_prep_nop(stage_ask(stage, "nop"));
    stage_expect(stage, 1);
    take_all(stage, &taken, 0);
    (void)sigemptyset(&signals);
    stage_say_fd(stage, "socket", coil_kernel_socket(AF_INET, SOCK_STREAM, 0));
    stage_say_fd(stage, "signalfd", coil_kernel_signalfd(&signals));
    stage_say_fd(stage, "pidfd", coil_kernel_pidfd_open(coil_kernel_getpid()));
    stage_say_fd(stage, "openat", coil_kernel_openat(AT_FDCWD, ".", O_RDONLY));
    stage_say_fd(stage, "dup", coil_kernel_dup_above(taken.fds[0], 0));
    stage_say_fd(stage, "dup beyond", coil_kernel_dup_above(taken.fds[0], DESCRIPTORS_MOST));
    stage_say_result(stage, "ring", coil_kernel_ring_setup(&ring, 8, &parameters));
    io_uring_prep_openat(stage_ask(stage, "openat by the ring"), AT_FDCWD, ".", O_RDONLY, 0);
    stage_expect(stage, 1);
    give_back(stage, &taken, 1);
    stage_say_result(stage, "pipe", coil_kernel_pipe(fds));
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds));
    int fd = coil_kernel_eventfd();
    stage_say_fd(stage, "one is left", fd);
    stage_say_fd(stage, "none is left", coil_kernel_eventfd());
    stage_close(stage, fd);
    give_back(stage, &taken, taken.count);
}

/* A connection that finds no descriptor stays in the queue, and one that waits is not answered. */
void play_accept_without_descriptors(struct stage *stage)
{
    struct sockaddr_in address;
    hoard taken;
    int listener = stage_listen(stage, 4, &address);
    int client = stage_connect(stage, &address);
    take_all(stage, &taken, 0);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect(stage, 1);
    io_uring_prep_multishot_accept(
            stage_ask(stage, "multishot accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect(stage, 1);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), listener, POLLIN);
    stage_expect(stage, 1);
    give_back(stage, &taken, 1);
    int server = stage_accept(stage, listener);
    io_uring_prep_accept(stage_ask(stage, "accept of nobody"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect(stage, 1);
    stage_put(stage, client, "x");
    io_uring_prep_recv(stage_ask(stage, "recv"), server, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    give_back(stage, &taken, taken.count);
    stage_close(stage, server);
    stage_close(stage, client);
    stage_close(stage, listener);
}

/* One is gone when the connection comes, though it was there when the accept began to wait. */
void play_accept_loses_descriptors(struct stage *stage)
{
    struct sockaddr_in address;
    hoard taken;
    int listener = stage_listen(stage, 4, &address);
    int client = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    io_uring_prep_accept(stage_ask(stage, "accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    stage_expect_nothing(stage);
    take_all(stage, &taken, 0);
    struct sockaddr_in *to = stage_memory(stage, sizeof(*to));
    *to = address;
    io_uring_prep_connect(stage_ask(stage, "connect"), client, (void *)to, sizeof(*to));
    stage_expect(stage, 2);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), listener, POLLIN);
    stage_expect(stage, 1);
    give_back(stage, &taken, taken.count);
    stage_close(stage, stage_accept(stage, listener));
    stage_close(stage, client);
    stage_close(stage, listener);
}

COIL_UNINSTRUMENTED static void exit_at_once(coil_kernel_child *child)
{
    (void)child;
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, 0);
}

/* No child is made that could not be waited for. */
void play_clone_without_descriptors(struct stage *stage)
{
    coil_kernel_child child = {.run = exit_at_once};
    siginfo_t status;
    hoard taken;
    int pidfd = -1;
    take_all(stage, &taken, 0);
    stage_say_result(stage, "clone", coil_kernel_clone(&child, &pidfd));
    give_back(stage, &taken, 1);
    stage_say(stage, "clone: %s", coil_kernel_clone(&child, &pidfd) > 0 ? "pid" : "error");
    stage_say_result(stage, "reap", coil_kernel_reap_soon(pidfd, &status));
    stage_close(stage, pidfd);
    give_back(stage, &taken, taken.count);
}
