/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a process that holds descriptors for a supervisor that may be killed; see
 * coil/keeper.h. It is started with a listening unix socket (SOCK_SEQPACKET) as descriptor 3:
 *
 *     keeper PATIENCE_MS kill|leave
 *
 * It has to be small, as there is one for each supervisor, and must not fail: no libc, no heap but
 * its table, a few pages of memory in all. Hence system calls by hand.
 */
#include "keeper_message.h"

#include <stddef.h>

#include <poll.h>
#include <signal.h>
#include <time.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { LISTENER = 3, FIRST_ROOM = 16, ERROR_INTERRUPTED = -4 };
enum { SIGNAL_GROUP = 1 << 2 /* PIDFD_SIGNAL_PROCESS_GROUP of <linux/pidfd.h> */ };

/* ---------------------------------------------------------------------------- system calls -- */

#if defined __x86_64__
static long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = 0;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call "
        "keeper\n");
#elif defined __aarch64__
static long call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = 0;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n mov x0, sp\n bl keeper\n");
#else
#error "The keeper knows the system calls of x86-64 and aarch64 only."
#endif

/* The compiler may call these. */
void *memset(void *to, int byte, size_t size);
void *memset(void *to, int byte, size_t size)
{
    volatile char *at = to;
    while (size-- > 0)
        *at++ = (char)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t size);
void *memcpy(void *to, const void *from, size_t size)
{
    volatile char *at = to;
    const char *source = from;
    while (size-- > 0)
        *at++ = *source++;
    return to;
}

static void leave(int status)
{
    for (;;)
        (void)call(__NR_exit_group, status, 0, 0, 0, 0);
}

static void close_fd(int fd)
{
    (void)call(__NR_close, fd, 0, 0, 0, 0);
}

/* --------------------------------------------------------------------------------- entries -- */

typedef struct entry {
    keeper_message message; /* As it came; fd_count of `fds`. Verb 0: this one is free. */
    int fds[KEEPER_FDS_MAX];
} entry;

/* The memory is the kernel's gift of pages; it only grows. */
typedef struct table {
    entry *entries;
    size_t room;
} table;

static int grow(table *kept)
{
    const size_t room = kept->room == 0 ? FIRST_ROOM : 2 * kept->room;
    const size_t old_bytes = kept->room * sizeof(entry);
    const size_t new_bytes = room * sizeof(entry);
    long memory;
    if (kept->room == 0) {
        const long flags = MAP_PRIVATE | MAP_ANONYMOUS;
        /* The sixth argument, the offset, is 0 here. */
        memory = call(__NR_mmap, 0, (long)new_bytes, PROT_READ | PROT_WRITE, flags, -1);
    } else {
        memory = call(__NR_mremap, (long)kept->entries, (long)old_bytes, (long)new_bytes,
                MREMAP_MAYMOVE, 0);
    }
    if (memory < 0 && memory > -4096)
        return -1;
    kept->entries = (entry *)memory; /* NOLINT(performance-no-int-to-ptr) */
    kept->room = room;
    return 0;
}

static int same_key(const keeper_message *one, const keeper_message *other)
{
    for (size_t i = 0; i < KEEPER_KEY_BYTES; i++) {
        if (one->key[i] != other->key[i])
            return 0;
        if (one->key[i] == '\0')
            return 1;
    }
    return 1;
}

static void drop(entry *old)
{
    for (uint32_t i = 0; i < old->message.fd_count; i++)
        close_fd(old->fds[i]);
    old->message.verb = 0;
    old->message.fd_count = 0;
}

static entry *find(table *kept, const keeper_message *message)
{
    for (size_t i = 0; i < kept->room; i++) {
        if (kept->entries[i].message.verb != 0 && same_key(&kept->entries[i].message, message))
            return &kept->entries[i];
    }
    return NULL;
}

static entry *place_for(table *kept, const keeper_message *message)
{
    entry *found = find(kept, message);
    if (found != NULL)
        return found;
    for (size_t i = 0; i < kept->room; i++) {
        if (kept->entries[i].message.verb == 0)
            return &kept->entries[i];
    }
    const size_t first_new = kept->room;
    return grow(kept) < 0 ? NULL : &kept->entries[first_new];
}

/* --------------------------------------------------------------------------------- packets -- */

typedef struct packet {
    struct msghdr header;
    struct iovec part;
    keeper_message message;
    int fds[KEEPER_FDS_MAX];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(KEEPER_FDS_MAX * sizeof(int))];
    } control;
} packet;

static void prepare(packet *one)
{
    memset(one, 0, sizeof(*one));
    one->part.iov_base = &one->message;
    one->part.iov_len = sizeof(one->message);
    one->header.msg_iov = &one->part;
    one->header.msg_iovlen = 1;
}

static void take_fds(packet *one)
{
    one->message.fd_count = 0;
    if (one->header.msg_controllen < CMSG_LEN(sizeof(int)) ||
            one->control.head.cmsg_level != SOL_SOCKET || one->control.head.cmsg_type != SCM_RIGHTS)
        return;
    const size_t bytes = one->control.head.cmsg_len - CMSG_LEN(0);
    one->message.fd_count = (uint32_t)(bytes / sizeof(int));
    memcpy(one->fds, CMSG_DATA(&one->control.head), bytes);
}

/* 0: the peer has ended, or makes no sense. */
static int receive(int connection, packet *one)
{
    long count;
    prepare(one);
    one->header.msg_control = one->control.bytes;
    one->header.msg_controllen = sizeof(one->control.bytes);
    do {
        count = call(__NR_recvmsg, connection, (long)&one->header, MSG_CMSG_CLOEXEC, 0, 0);
    } while (count == ERROR_INTERRUPTED);
    if (count <= 0)
        return 0;
    take_fds(one);
    return count == sizeof(one->message) && one->message.version == KEEPER_VERSION &&
           (one->header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

static int send_entry(int connection, const keeper_message *message, const int *fds)
{
    packet one;
    prepare(&one);
    one.message = *message;
    if (message->fd_count > 0) {
        const size_t bytes = message->fd_count * sizeof(int);
        one.header.msg_control = one.control.bytes;
        one.header.msg_controllen = CMSG_SPACE(bytes);
        one.control.head.cmsg_len = CMSG_LEN(bytes);
        one.control.head.cmsg_level = SOL_SOCKET;
        one.control.head.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&one.control.head), fds, bytes);
    }
    long rc;
    do {
        rc = call(__NR_sendmsg, connection, (long)&one.header, MSG_NOSIGNAL, 0, 0);
    } while (rc == ERROR_INTERRUPTED);
    return rc > 0;
}

static int say(int connection, uint16_t verb)
{
    keeper_message message;
    memset(&message, 0, sizeof(message));
    message.version = KEEPER_VERSION;
    message.verb = verb;
    return send_entry(connection, &message, NULL);
}

static int list(int connection, const table *kept)
{
    for (size_t i = 0; i < kept->room; i++) {
        const entry *each = &kept->entries[i];
        if (each->message.verb != 0 && !send_entry(connection, &each->message, each->fds))
            return 0;
    }
    return say(connection, KEEPER_LIST);
}

static int put(table *kept, const packet *one)
{
    entry *place = place_for(kept, &one->message);
    if (place == NULL)
        return 0;
    drop(place);
    place->message = one->message;
    memcpy(place->fds, one->fds, sizeof(place->fds));
    return 1;
}

/* 0: the connection is over. */
static int serve(int connection, table *kept)
{
    packet one;
    entry *found;
    const int is_good = receive(connection, &one);

    if (is_good && one.message.verb == KEEPER_PUT && put(kept, &one))
        return 1;
    for (uint32_t i = 0; i < one.message.fd_count; i++)
        close_fd(one.fds[i]);
    if (!is_good)
        return 0;
    switch (one.message.verb) {
    case KEEPER_REMOVE:
        found = find(kept, &one.message);
        if (found != NULL)
            drop(found);
        return 1;
    case KEEPER_LIST:
        return list(connection, kept);
    case KEEPER_END:
        leave(0);
        return 0;
    default:
        return 0;
    }
}

/* --------------------------------------------------------------------------------- waiting -- */

/*
 * Nobody comes. A signal to a pidfd reaches its process and, if it leads a group, all of that, also
 * when it has ended itself (Linux 6.9); or nobody. Other descriptors refuse.
 */
static void give_up(const table *kept, int kills)
{
    for (size_t i = 0; kills && i < kept->room; i++) {
        const entry *each = &kept->entries[i];
        for (uint32_t f = 0; each->message.verb != 0 && f < each->message.fd_count; f++) {
            (void)call(__NR_pidfd_send_signal, each->fds[f], SIGKILL, 0, SIGNAL_GROUP, 0);
            (void)call(__NR_pidfd_send_signal, each->fds[f], SIGKILL, 0, 0, 0);
        }
    }
    leave(0);
}

static int accept_one(int busy)
{
    const long fd = call(__NR_accept4, LISTENER, 0, 0, SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (!say((int)fd, busy ? KEEPER_BUSY : KEEPER_HELLO) || busy) {
        close_fd((int)fd);
        return -1;
    }
    return (int)fd;
}

/* The number of those that are readable; 0: the time is over. NULL: wait for ever. */
static long wait_for(struct pollfd *fds, int count, const struct timespec *limit)
{
    struct timespec copy = {0, 0}; /* The kernel changes it. */
    if (limit != NULL)
        copy = *limit;
    for (int i = 0; i < count; i++)
        fds[i].revents = 0;
    return call(__NR_ppoll, (long)fds, count, limit == NULL ? 0 : (long)&copy, 0, 8);
}

/* What the supervisor has said, before somebody else is looked at: it may have been its last. */
static int serve_all(int connection, table *kept)
{
    const struct timespec now = {0, 0};
    struct pollfd one = {connection, POLLIN, 0};
    while (wait_for(&one, 1, &now) > 0) {
        if (!serve(connection, kept)) {
            close_fd(connection);
            return -1;
        }
    }
    return connection;
}

static void raise_limit(void)
{
    struct rlimit limit = {0, 0};
    if (call(__NR_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)call(__NR_prlimit64, 0, RLIMIT_NOFILE, (long)&limit, 0, 0);
}

static long parse(const char *digits)
{
    long number = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++)
        number = number * 10 + (*digits - '0');
    return number;
}

/* `stack` is what the kernel has put there: argc, then argv. */
void keeper(const long *stack) __attribute__((noreturn, used));
void keeper(const long *stack)
{
    const char *const *argv = (const char *const *)(stack + 1);
    const long patience_ms = stack[0] > 1 ? parse(argv[1]) : 0;
    const struct timespec patience = {patience_ms / 1000, patience_ms % 1000 * 1000000};
    const int kills = stack[0] > 2 && argv[2][0] == 'k';
    table kept = {NULL, 0};
    int connection = -1;

    /* Else ps(1) and top(1) have the number of the descriptor that it was started from. */
    (void)call(SYS_prctl, PR_SET_NAME, (long)"coil-keeper", 0, 0, 0);
    raise_limit();
    for (;;) {
        const int is_served = connection >= 0;
        struct pollfd fds[2] = {{LISTENER, POLLIN, 0}, {connection, POLLIN, 0}};
        if (wait_for(fds, is_served ? 2 : 1, is_served ? NULL : &patience) == 0)
            give_up(&kept, kills);
        if (is_served)
            connection = serve_all(connection, &kept);
        if (fds[0].revents != 0) {
            const int fd = accept_one(connection >= 0);
            connection = fd >= 0 ? fd : connection;
        }
    }
}
