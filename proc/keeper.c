/* SPDX-License-Identifier: MIT */
#include <coil/keeper.h>

#include "keeper_image.h"
#include "keeper_message.h"
#include "owned.h"

#include <coil/child.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/un.h>

enum {
    LISTENER_FD = 3, /* In the keeper. */
    HIGH_FD = 64,    /* Out of its way. */
    PATH_TEXT_BYTES = 32,
    TRIES = 3,
};

#define PATIENCE_USUAL coil_s(60)
#define HELLO_LIMIT coil_s(10) /* For a machine that is busy; it answers at once. */
#define DEATH_LIMIT coil_s(1)  /* From the end of its connection to its own. */

static_assert((int)COIL_KEEPER_FDS_MAX == (int)KEEPER_FDS_MAX, "one for one");
static_assert((int)COIL_KEEPER_KEY_BYTES == (int)KEEPER_KEY_BYTES, "one for one");
static_assert((int)COIL_KEEPER_NOTE_BYTES == (int)KEEPER_NOTE_BYTES, "one for one");
static_assert(sizeof(struct ucred) <= KEEPER_FDS_MAX * sizeof(int), "there is room for either");

/* One message, with room for the descriptors. */
typedef struct packet {
    struct msghdr header;
    struct iovec part;
    keeper_message message;
    char control[CMSG_SPACE(KEEPER_FDS_MAX * sizeof(int))] __attribute__((aligned(8)));
} packet;

struct coil_keeper {
    int fd;           /* -1: it has gone. */
    coil_child child; /* If it is one of ours: pid 0 otherwise. */
    coil_keeper_options options;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    coil_list senders; /* Who wait for `out`, which somebody uses. */
    bool is_sending;
    packet out;
    packet in;
};

/* --------------------------------------------------------------------------------- packets -- */

static void prepare(packet *one)
{
    memset(one, 0, sizeof(*one));
    one->part = (struct iovec){&one->message, sizeof(one->message)};
    one->header.msg_iov = &one->part;
    one->header.msg_iovlen = 1;
    one->message.version = KEEPER_VERSION;
}

static void put_fds(packet *one, const int *fds, unsigned count)
{
    const size_t bytes = count * sizeof(int);
    if (count == 0)
        return;
    const struct cmsghdr head = {
            .cmsg_len = CMSG_LEN(bytes), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(one->control, &head, sizeof(head));
    memcpy(one->control + CMSG_LEN(0), fds, bytes);
    one->header.msg_control = one->control;
    one->header.msg_controllen = CMSG_SPACE(bytes);
    one->message.fd_count = count;
}

/* At most as many as there is room for: else the message is cut, and refused. */
static unsigned take_fds(const packet *one, int out_fds[KEEPER_FDS_MAX])
{
    struct cmsghdr head;
    memcpy(&head, one->control, sizeof(head));
    if (one->header.msg_controllen < CMSG_LEN(sizeof(int)) || head.cmsg_level != SOL_SOCKET ||
            head.cmsg_type != SCM_RIGHTS)
        return 0;
    size_t bytes = head.cmsg_len - CMSG_LEN(0);
    if (bytes > KEEPER_FDS_MAX * sizeof(int))
        bytes = KEEPER_FDS_MAX * sizeof(int);
    memcpy(out_fds, one->control + CMSG_LEN(0), bytes);
    return (unsigned)(bytes / sizeof(int));
}

/* Who has sent it, as the kernel says if it was asked to (SO_PASSCRED); else 0. */
static pid_t sender_of(const packet *one)
{
    struct cmsghdr head;
    struct ucred sender;
    memcpy(&head, one->control, sizeof(head));
    if (one->header.msg_controllen < CMSG_LEN(sizeof(sender)) || head.cmsg_level != SOL_SOCKET ||
            head.cmsg_type != SCM_CREDENTIALS)
        return 0;
    memcpy(&sender, one->control + CMSG_LEN(0), sizeof(sender));
    return sender.pid;
}

/* What is in the socket arrives; io_uring would send an empty packet if that were full (io.h). */
coil_async(int, send_out, (coil_keeper *) keeper)
{
    coil_vars(int rc);

    while (keeper->fd >= 0) {
        const ssize_t count = coil_kernel_sendmsg_now(keeper->fd, &keeper->out.header);
        if (count >= 0)
            return 0;
        if (count == -ECONNRESET || count == -ENOTCONN)
            return -EPIPE;
        if (count != -EAGAIN)
            return (int)count;
        coil_attempt(my->rc, coil_poll(keeper->fd, POLLOUT));
    }
    return -EPIPE;
}

/* `out` is ours, empty, until sent(). */
coil_async(void, take_turn, (coil_keeper *) keeper)
{
    coil_vars();

    while (keeper->is_sending)
        coil_ignore(coil_waiter_wait(&keeper->senders));
    keeper->is_sending = true;
    prepare(&keeper->out);
}

static void sent(coil_keeper *keeper)
{
    keeper->is_sending = false;
    coil_waiter *next = coil_waiter_first(&keeper->senders);
    if (next != NULL)
        coil_waiter_grant(next, 0);
}

/* The verb of the next packet, which is in keeper->in. */
coil_async(int, receive_in, (coil_keeper *) keeper)
{
    coil_vars(ssize_t count);

    prepare(&keeper->in);
    keeper->in.header.msg_control = keeper->in.control;
    keeper->in.header.msg_controllen = sizeof(keeper->in.control);
    coil_await(my->count, coil_recvmsg(keeper->fd, &keeper->in.header, MSG_CMSG_CLOEXEC));
    if (my->count == 0 || my->count == -ECONNRESET)
        return -EPIPE;
    if (my->count < 0)
        return (int)my->count;
    if (my->count != sizeof(keeper_message) || keeper->in.message.version != KEEPER_VERSION ||
            (keeper->in.header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return -EPROTO;
    return keeper->in.message.verb;
}

/* -------------------------------------------------------------------------------- starting -- */

static int write_image(int fd)
{
    for (size_t done_bytes = 0; done_bytes < coil_keeper_image_bytes;) {
        const ssize_t count = coil_kernel_write(
                fd, coil_keeper_image + done_bytes, coil_keeper_image_bytes - done_bytes);
        if (count <= 0)
            return count < 0 ? (int)count : -EIO;
        done_bytes += (size_t)count;
    }
    return 0;
}

/* The program as a file without a name, with a number that is not needed by the child. */
static int open_image(void)
{
    if (coil_keeper_image_bytes == 0)
        return -ENOSYS;
    const int low = coil_kernel_memory("coil-keeper", coil_keeper_image_bytes);
    if (low < 0)
        return low;
    int fd = write_image(low);
    if (fd == 0)
        fd = coil_kernel_dup_above(low, HIGH_FD);
    (void)coil_kernel_close(low);
    return fd;
}

static int spawn_image(
        int image, int listener, const coil_keeper_options *options, coil_child *out_child)
{
    char program[PATH_TEXT_BYTES];
    char patience[PATH_TEXT_BYTES];
    const coil_duration limit = options->patience == 0 ? PATIENCE_USUAL : options->patience;
    (void)snprintf(program, sizeof(program), "/proc/self/fd/%d", image);
    (void)snprintf(patience, sizeof(patience), "%lld", (long long)(limit / coil_ms(1)));
    const char *const argv[] = {"coil-keeper", patience, options->kills ? "kill" : "leave", NULL};
    const char *const no_environment[] = {NULL};
    const coil_spawn_fd fds[] = {{LISTENER_FD, listener}};
    const coil_spawn_plan plan = {
            .program = program,
            .argv = argv,
            .env = no_environment,
            .cwd = "/",
            .in = {COIL_STDIO_NULL, 0},
            .out = {COIL_STDIO_NULL, 0},
            .err = {COIL_STDIO_NULL, 0},
            .fds = fds,
            .fd_count = 1,
            .group = COIL_SPAWN_SESSION_NEW,
            .death_signal = COIL_SPAWN_OUTLIVE,
    };
    return coil_child_spawn(&plan, out_child, NULL);
}

/* Nobody listens at the path: have a keeper do so. */
static int start(const coil_keeper_options *options, const struct sockaddr_un *address,
        coil_child *out_child)
{
    const int image = open_image();
    if (image < 0)
        return image;
    int listener = coil_kernel_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int rc = listener < 0 ? listener : 0;
    if (rc == 0)
        rc = coil_kernel_bind(listener, (const struct sockaddr *)address, sizeof(*address));
    if (rc == 0)
        rc = coil_kernel_listen(listener, 4);
    if (rc == 0)
        rc = spawn_image(image, listener, options, out_child);
    if (listener >= 0)
        (void)coil_kernel_close(listener);
    (void)coil_kernel_close(image);
    return rc;
}

/* Does the kernel add to each packet who has sent it? */
static int name_senders(int fd, int is_wanted)
{
    return coil_kernel_setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &is_wanted, sizeof(is_wanted));
}

static int connect_to(const struct sockaddr_un *address)
{
    const int fd = coil_kernel_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int rc = name_senders(fd, 1);
    if (rc == 0)
        rc = coil_kernel_connect_now(fd, (const struct sockaddr *)address, sizeof(*address));
    if (rc == 0)
        return fd;
    (void)coil_kernel_close(fd);
    return rc;
}

/* One of ours that nobody needs: it has ended before anybody came, or does not answer. */
static void discard(coil_child *child)
{
    siginfo_t unused;
    if (child->pid == 0)
        return;
    (void)coil_child_signal(child, SIGKILL);
    (void)coil_kernel_reap_soon(child->pidfd, &unused);
    owned_remove(child->pid);
    coil_child_fini(child);
    *child = (coil_child){0};
}

/* A connection to the keeper that is there, or to a new one. */
static int reach(const coil_keeper_options *options, coil_child *out_child)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, options->path, strlen(options->path));
    int rc = -EIO;
    for (int i = 0; i < TRIES; i++) {
        rc = connect_to(&address);
        if (rc != -ENOENT && rc != -ECONNREFUSED)
            return rc;
        if (rc == -ECONNREFUSED && coil_kernel_is_socket(options->path) == 1)
            (void)coil_kernel_unlink(options->path); /* Of one that has ended. */
        discard(out_child);
        rc = start(options, &address, out_child);
        if (rc < 0 && rc != -EADDRINUSE)
            return rc;
    }
    return rc < 0 ? rc : connect_to(&address);
}

static void leave(coil_keeper *keeper)
{
    if (keeper->fd >= 0)
        (void)coil_kernel_close(keeper->fd);
    if (keeper->child.pid > 0)
        coil_child_fini(&keeper->child);
    free(keeper);
}

static coil_keeper *make(const coil_keeper_options *options)
{
    coil_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL)
        return NULL;
    keeper->fd = -1;
    coil_list_init(&keeper->senders);
    (void)snprintf(keeper->path, sizeof(keeper->path), "%s", options->path);
    keeper->options = *options;
    keeper->options.path = keeper->path;
    return keeper;
}

/*
 * It may be our child even if we have not started it: the program that we were before an exec has.
 * Then it is for us to reap.
 */
static void claim(coil_keeper *keeper, pid_t pid)
{
    coil_kernel_process process;
    if (pid == 0 || coil_kernel_process_look(pid, &process) < 0 ||
            process.parent != coil_kernel_getpid())
        return;
    if (coil_child_adopt(pid, 0, &keeper->child) < 0)
        keeper->child.pid = 0; /* Without a descriptor it is nobody's. */
}

/* There is one, and it is for us. */
coil_async(int, greet, (coil_keeper *) keeper)
{
    coil_vars(int rc);

    my->rc = reach(&keeper->options, &keeper->child);
    if (my->rc < 0)
        return my->rc;
    keeper->fd = my->rc;
    coil_await(my->rc, coil_within(HELLO_LIMIT, receive_in(keeper)));
    if (my->rc == KEEPER_BUSY)
        return -EBUSY;
    if (my->rc != KEEPER_HELLO)
        return my->rc < 0 && my->rc != -EPIPE ? my->rc : -EPROTO;
    if (keeper->child.pid == 0)
        claim(keeper, sender_of(&keeper->in));
    return name_senders(keeper->fd, 0);
}

coil_define(int, coil_keeper_open, (const coil_keeper_options *) options, (coil_keeper **) out_keeper)
{
    coil_vars(coil_keeper *keeper; int rc);

    if (strlen(options->path) >= sizeof(my->keeper->path))
        return -ENAMETOOLONG;
    my->keeper = make(options);
    if (my->keeper == NULL)
        return -ENOMEM;
    coil_defer(if (my->keeper != NULL) {
        discard(&my->keeper->child);
        leave(my->keeper);
    });
    coil_attempt(greet(my->keeper));
    *out_keeper = my->keeper;
    my->keeper = NULL;
    return 0;
}

/* -------------------------------------------------------------------------------- renewing -- */

coil_define(int, coil_keeper_gone, (coil_keeper *) keeper)
{
    coil_vars(int events);

    if (keeper->fd >= 0)
        coil_attempt(my->events, coil_poll(keeper->fd, POLLRDHUP));
    return 0;
}

static void hang_up(coil_keeper *keeper)
{
    if (keeper->fd >= 0)
        (void)coil_kernel_close(keeper->fd);
    keeper->fd = -1;
}

/* If it has ended, and was our child, it was the last that anybody heard of it. */
coil_async(int, bury, (coil_keeper *) keeper)
{
    coil_vars(int rc);

    hang_up(keeper);
    if (keeper->child.pid == 0)
        return 0;
    coil_await(my->rc, coil_within(DEATH_LIMIT, coil_child_wait(&keeper->child)));
    if (my->rc == -ETIME)
        return 0;
    coil_child_fini(&keeper->child);
    keeper->child = (coil_child){0};
    return 0;
}

coil_define(int, coil_keeper_renew, (coil_keeper *) keeper)
{
    coil_vars(int rc);

    coil_await(take_turn(keeper));
    coil_defer(sent(keeper));
    coil_attempt(bury(keeper));
    coil_await(my->rc, greet(keeper));
    if (my->rc < 0)
        hang_up(keeper);
    return my->rc;
}

/* -------------------------------------------------------------------------------- keeping -- */

coil_define(int, coil_keeper_put, (coil_keeper *) keeper, (const coil_kept *) thing)
{
    coil_vars(int rc);

    if (thing->fd_count > KEEPER_FDS_MAX)
        return -EINVAL;
    coil_await(take_turn(keeper));
    coil_defer(sent(keeper));
    keeper->out.message.verb = KEEPER_PUT;
    memcpy(keeper->out.message.key, thing->key, sizeof(thing->key));
    memcpy(keeper->out.message.note, thing->note, sizeof(thing->note));
    put_fds(&keeper->out, thing->fds, thing->fd_count);
    coil_await(my->rc, send_out(keeper));
    return my->rc;
}

coil_define(int, coil_keeper_remove, (coil_keeper *) keeper, (const char *) key)
{
    coil_vars(int rc);

    coil_await(take_turn(keeper));
    coil_defer(sent(keeper));
    keeper->out.message.verb = KEEPER_REMOVE;
    (void)snprintf(keeper->out.message.key, KEEPER_KEY_BYTES, "%s", key);
    coil_await(my->rc, send_out(keeper));
    return my->rc;
}

coil_define(int, coil_keeper_list, (coil_keeper *) keeper)
{
    coil_vars(int rc);

    coil_await(take_turn(keeper));
    coil_defer(sent(keeper));
    keeper->out.message.verb = KEEPER_LIST;
    coil_await(my->rc, send_out(keeper));
    return my->rc;
}

coil_define(int, coil_keeper_next, (coil_keeper *) keeper, (coil_kept *) out_thing)
{
    coil_vars(int rc);

    coil_await(my->rc, receive_in(keeper));
    if (my->rc == KEEPER_LIST)
        return 0;
    if (my->rc != KEEPER_PUT)
        return my->rc < 0 ? my->rc : -EPROTO;
    memset(out_thing, 0, sizeof(*out_thing));
    memcpy(out_thing->key, keeper->in.message.key, sizeof(out_thing->key) - 1);
    memcpy(out_thing->note, keeper->in.message.note, sizeof(out_thing->note));
    out_thing->fd_count = take_fds(&keeper->in, out_thing->fds);
    return 1;
}

coil_define(void, coil_keeper_close, (coil_keeper *) keeper, (coil_keeper_end) end)
{
    coil_vars(int rc);

    if (keeper == NULL)
        return;
    coil_defer(leave(keeper));
    if (end == COIL_KEEPER_STAYS)
        return;
    (void)coil_kernel_unlink(keeper->path);
    coil_await(take_turn(keeper));
    coil_defer(sent(keeper));
    keeper->out.message.verb = KEEPER_END;
    coil_await(my->rc, send_out(keeper));
    if (my->rc == 0 && keeper->child.pid > 0)
        coil_await(my->rc, coil_within(HELLO_LIMIT, coil_child_wait(&keeper->child)));
}
