/* SPDX-License-Identifier: MIT */
/* One worker: its start, its life, its drain; and the next one in its place. */
#include "prefork_private.h"
#include "worker_memory.h"
#include "worker_wire.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* A worker that has lived as long was of use: if it dies, another follows at once. */
enum { USEFUL_S = 2 };

#define LOOK_AGAIN coil_s(1)

/* As place->received_bytes: nothing has come. */
enum { NOTHING = -EAGAIN };

/* Its keeper looks again, whatever it waits for. */
static void hurry(prefork_place *place)
{
    (void)coil_timeout_move(&place->timeout, coil_loop_now(place->prefork->loop));
}

void place_leave(prefork_place *place)
{
    place->is_unwanted = true;
    hurry(place);
}

static void died(coil_fd_watch_hook *hook, int events)
{
    prefork_place *self = coil_container_of(hook, prefork_place, death);

    (void)events;
    coil_fd_watch_close(self->watch);
    self->watch = NULL;
    self->has_died = true;
    hurry(self);
}

/* ---------------------------------------------------------------------------------- starting -- */

/* Those sockets that this worker is to have. */
static void choose_sockets(const prefork_place *place, prefork_heritage *heritage)
{
    const coil_prefork *prefork = place->prefork;
    unsigned dealt_count = 0;

    for (unsigned i = 0; i < prefork->socket_count; i++) {
        const prefork_socket *one = &prefork->sockets[i];
        if (one->is_dealt && dealt_count++ % place->dealt_among != place->number)
            continue;
        heritage->sockets[heritage->socket_count++] = *one;
    }
}

/* 0: none are wanted. */
static unsigned beat_interval_ms(coil_duration limit)
{
    const coil_duration interval = limit / PREFORK_BEATS / coil_ms(1);

    if (limit <= 0)
        return 0;
    if (interval < 1)
        return 1;
    return interval > INT32_MAX ? INT32_MAX : (unsigned)interval;
}

static int spawn(prefork_place *place, int theirs)
{
    static const char *const just_the_name[] = {"worker", NULL};
    const coil_prefork_options *options = &place->prefork->options;
    coil_spawn_plan plan = {.program = NULL};
    prefork_heritage heritage = {.number = place->number, .generation = place->generation};
    prefork_parcel parcel = {.fd_count = 0};

    if (options->plan != NULL)
        plan = *options->plan;
    if (plan.program == NULL)
        plan.program = "/proc/self/exe";
    if (plan.argv == NULL)
        plan.argv = just_the_name;
    if (plan.group == COIL_SPAWN_GROUP_INHERIT)
        plan.group = COIL_SPAWN_GROUP_NEW; /* ^C is for the master. */
    heritage.beat_ms = beat_interval_ms(options->heartbeat_limit);
    choose_sockets(place, &heritage);
    int rc = prefork_pack(PREFORK_WORKER_VARIABLE, &heritage, theirs, &plan, &parcel);
    if (rc == 0)
        rc = coil_child_spawn(&plan, &place->child, NULL);
    free(parcel.env);
    if (rc < 0)
        return rc;
    place->child.cgroup = NULL; /* It is that of all workers, and would be killed as a whole. */
    place->death.ready = died;
    /* Without memory there is none, and its keeper ends it. */
    (void)coil_fd_watch_create(
            place->prefork->loop, place->child.pidfd, POLLIN, &place->death, &place->watch);
    return 0;
}

static int start(prefork_place *place)
{
    int ends[2] = {-1, -1};

    place->state = PLACE_STARTING;
    place->has_died = false;
    place->aborted_at = 0;
    place->ready_at = 0;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_SEQPACKET, ends);
    if (rc < 0)
        return rc;
    rc = spawn(place, ends[1]);
    (void)coil_kernel_close(ends[1]);
    if (rc < 0) {
        (void)coil_kernel_close(ends[0]);
        return rc;
    }
    place->control = ends[0];
    return 0;
}

/* --------------------------------------------------------------------------------- listening -- */

/*
 * A word of the worker, or its end; or until `deadline`, or hurried: NOTHING. Descriptors that
 * come with any but the first are left to the kernel, which closes them.
 */
coil_async(int, receive, (prefork_place *) place, (coil_time) deadline)
{
    coil_vars();

    coil_open_timeout_at(&place->timeout, deadline);
    place->received_bytes = NOTHING;
    place->part = (struct iovec){&place->word, sizeof(place->word)};
    place->message = (struct msghdr){.msg_iov = &place->part,
            .msg_iovlen = 1,
            .msg_control = place->control_bytes,
            .msg_controllen = place->state == PLACE_STARTING ? WORKER_CONTROL_BYTES : 0};
    coil_await(
            place->received_bytes, coil_recvmsg(place->control, &place->message, MSG_CMSG_CLOEXEC));
    return 0;
}

static void take_page(prefork_place *place)
{
    const struct cmsghdr *part = CMSG_FIRSTHDR(&place->message);
    int fd = -1;

    if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
            part->cmsg_len != CMSG_LEN(sizeof(fd)))
        return;
    memcpy(&fd, CMSG_DATA(part), sizeof(fd));
    if (place->page == NULL)
        place->page = worker_page_take(fd);
    (void)coil_kernel_close(fd);
}

/* Until it is ready. 0; -ECHILD, -ETIME; -ESHUTDOWN: it is not wanted any more. */
coil_async(int, greet, (prefork_place *) place)
{
    coil_vars(coil_time deadline);

    my->deadline = coil_time_after(
            coil_loop_now(place->prefork->loop), place->prefork->options.ready_limit);
    coil_ignore(receive(place, my->deadline));
    if (place->received_bytes > 0) {
        take_page(place);
        return place->word == PREFORK_READY ? 0 : -EPROTO;
    }
    if (place->received_bytes == NOTHING && !place->has_died)
        return place->is_unwanted ? -ESHUTDOWN : -ETIME;
    return -ECHILD;
}

/* ------------------------------------------------------------------------------------ ending -- */

static void give_back(prefork_place *place)
{
    int *const fds[] = {&place->control, &place->statm};

    coil_fd_watch_close(place->watch);
    place->watch = NULL;
    if (place->page != NULL)
        coil_kernel_memory_unmap(place->page, WORKER_PAGE_BYTES);
    place->page = NULL;
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0)
            (void)coil_kernel_close(*fds[i]);
        *fds[i] = -1;
    }
    coil_child_fini(&place->child);
}

/* It was killed long ago. At last it ends, or we do. */
coil_async(int, bury, (coil_prefork *) prefork, (coil_child) lingering)
{
    coil_vars(coil_child child; int rc);

    my->child = lingering;
    coil_defer({
        coil_child_fini(&my->child);
        prefork->lingering--;
    });
    coil_await(my->rc, coil_child_wait(&my->child));
    return my->rc;
}

/* Is it another's now? If not, there is no memory. */
static bool bury_later(prefork_place *place)
{
    if (coil_spawn(&place->prefork->group, bury(place->prefork, place->child)) == NULL)
        return false;
    place->prefork->lingering++;
    place->child = (coil_child){.pidfd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    return true;
}

/*
 * It was killed and does not end, because it waits in the kernel for what does not come. Others do
 * not wait for that, and it is reaped when it ends. But with as many of them as there may be
 * workers, it keeps its place: those that follow would wait for the same. So it does as long as
 * there is no memory for who reaps it.
 */
coil_async(int, leave_behind, (prefork_place *) place)
{
    coil_vars(int rc);

    while (!place->child.exit.ended) {
        const coil_prefork *prefork = place->prefork;
        if ((prefork->lingering < prefork->target || prefork->is_stopping) && bury_later(place))
            break;
        coil_await(my->rc, coil_within(LOOK_AGAIN, coil_child_wait(&place->child)));
        if (!place->child.exit.ended && my->rc != -ETIME)
            coil_await(coil_sleep(coil_ms(10))); /* -ENOMEM: it will pass. */
    }
    return 0;
}

/* The process, however far it has come, and what it has started. */
coil_async(int, finish, (prefork_place *) place)
{
    coil_vars(int rc);

    if (!place->child.exit.ended)
        (void)coil_child_signal(&place->child, SIGKILL);
    coil_await(my->rc, coil_child_stop_tree(&place->child, 0));
    const coil_exit *const exit = place->child.exit.ended ? &place->child.exit : NULL;
    if (place->state == PLACE_DRAINING) {
        prefork_tell_of(place, COIL_PREFORK_LEFT, 0, exit);
    } else if (place->state == PLACE_READY && !place->is_unwanted) {
        place->prefork->died++;
        prefork_tell_of(place, COIL_PREFORK_DIED, 0, exit);
    } else if (!place->is_unwanted) {
        prefork_tell_of(place, COIL_PREFORK_UNREADY, place->error, exit);
    }
    place->state = PLACE_STARTING;
    coil_ignore(leave_behind(place));
    give_back(place);
    prefork_change(place->prefork);
    return 0;
}

/* Another is in its place, or nobody is to be. */
coil_async(int, drain, (prefork_place *) place)
{
    coil_vars(int rc);

    static const char word = PREFORK_DRAIN;
    place->state = PLACE_DRAINING;
    prefork_change(place->prefork);
    (void)coil_kernel_send_now(place->control, &word, sizeof(word));
    coil_await(my->rc, coil_within(place->prefork->drain_limit, coil_child_wait(&place->child)));
    return 0;
}

/* It is ready: it takes over from the one that it replaces, if there is one. */
static void take_over(prefork_place *place)
{
    coil_list *const places = &place->prefork->places;

    for (coil_list *link = places->next; link != places; link = link->next) {
        prefork_place *one = coil_container_of(link, prefork_place, link);
        if (one != place && one->is_replaced && one->number == place->number &&
                one->generation == place->generation)
            place_leave(one);
    }
}

/* One process, from its start to its end. 0: it was of use. */
coil_async(int, occupy, (prefork_place *) place)
{
    coil_vars(coil_time useful_at);

    coil_defer(coil_ignore(finish(place)));
    place->error = -ENOMEM;
    if (place->watch != NULL)
        coil_await(place->error, greet(place));
    if (place->error < 0)
        return place->error;
    place->ready_at = coil_loop_now(place->prefork->loop);
    my->useful_at = coil_time_after(place->ready_at, coil_s(USEFUL_S));
    place->state = PLACE_READY;
    if (place->prefork->options.memory_max_bytes > 0)
        place->statm = worker_memory_open(place->child.pid);
    take_over(place);
    place->prefork->started++;
    prefork_tell_of(place, COIL_PREFORK_READY, 0, NULL);
    prefork_change(place->prefork);
    do {
        coil_ignore(receive(place, COIL_NEVER));
    } while (place->received_bytes != 0 && !place->is_unwanted && !place->has_died);
    if (place->is_unwanted && !place->has_died)
        coil_ignore(drain(place));
    return coil_loop_now(place->prefork->loop) < my->useful_at ? -ECHILD : 0;
}

/* -------------------------------------------------------------------------------- its keeper -- */

coil_async(int, rest, (prefork_place *) place)
{
    coil_vars();

    coil_open_timeout(&place->timeout, prefork_pause(place->prefork, place->failures));
    coil_ignore(coil_sleep(COIL_FOREVER));
    return 0;
}

static void destroy(prefork_place *place)
{
    coil_prefork *prefork = place->prefork;

    coil_list_remove(&place->link);
    free(place);
    prefork_change(prefork);
}

coil_async(int, keep, (prefork_place *) place)
{
    coil_vars(int rc);

    coil_defer(destroy(place));
    while (!place->is_unwanted && !place->is_replaced) {
        my->rc = start(place);
        if (my->rc == 0) {
            coil_await(my->rc, occupy(place));
        } else {
            place->error = my->rc;
            prefork_tell_of(place, COIL_PREFORK_UNREADY, my->rc, NULL);
        }
        place->failures = my->rc == 0 ? 0 : place->failures + 1;
        if (my->rc == 0 || place->is_unwanted || place->is_replaced)
            continue;
        place->error = my->rc;
        prefork_change(place->prefork);
        coil_ignore(rest(place));
    }
    return 0;
}

int place_create(coil_prefork *prefork, unsigned number, unsigned generation)
{
    prefork_place *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return -ENOMEM;
    *made = (prefork_place){.prefork = prefork,
            .number = number,
            .generation = generation,
            .control = -1,
            .statm = -1};
    made->dealt_among = prefork->target;
    made->child.pidfd = -1;
    coil_list_append(&prefork->places, &made->link);
    if (coil_spawn(&prefork->group, keep(made)) == NULL) {
        coil_list_remove(&made->link);
        free(made);
        return -ENOMEM;
    }
    return 0;
}

void place_replace(prefork_place *place)
{
    place->is_replaced = place_create(place->prefork, place->number, place->generation) == 0;
}
