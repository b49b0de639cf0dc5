/* SPDX-License-Identifier: MIT */
#include <coil/shared_listener.h>

#include "shared_private.h"

#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>

static member *member_of(listener_inbox *inbox)
{
    return coil_container_of(inbox, member, inbox);
}

static unsigned index_of(const member *self)
{
    return (unsigned)(self - self->shared->members);
}

/* On the loop that accepts. */
static coil_loop *loop_of(const coil_shared_listener *shared, unsigned index)
{
    return coil_runtime_loop(shared->members[ACCEPTING_INDEX].runtime, index);
}

void shared_drop(listener_parcel *parcel)
{
    (void)coil_kernel_close(parcel->fd);
    free(parcel);
}

/* ---------------------------------------------------------------------------------- choosing -- */

static bool is_there(const member *self)
{
    return !__atomic_load_n(&self->inbox.is_ending, __ATOMIC_RELAXED);
}

/* It would rather not, but still takes what comes. */
static bool still_takes(const member *self)
{
    return !self->is_told && !__atomic_load_n(&self->inbox.has_left, __ATOMIC_RELAXED);
}

static uint64_t waiting_count(const member *self)
{
    return self->given - __atomic_load_n(&self->inbox.taken, __ATOMIC_RELAXED);
}

static bool has_room(const member *self)
{
    return is_there(self) && waiting_count(self) < COIL_SHARE_LIMIT_COUNT;
}

static bool somebody(const coil_shared_listener *shared, bool (*suits)(const member *candidate))
{
    for (unsigned i = 0; i < shared->count; i++) {
        if (suits(&shared->members[i]))
            return true;
    }
    return false;
}

static member *by_turns(coil_shared_listener *shared, bool (*suits)(const member *candidate))
{
    for (unsigned i = 0; i < shared->count; i++) {
        member *candidate = &shared->members[shared->next++ % shared->count];
        if (suits(candidate))
            return candidate;
    }
    return NULL;
}

static member *least_busy(coil_shared_listener *shared)
{
    const coil_loop *loop = coil_runtime_least_busy(shared->members[ACCEPTING_INDEX].runtime);
    for (unsigned i = 0; i < shared->count; i++) {
        member *candidate = &shared->members[i];
        if (loop_of(shared, i) == loop)
            return has_room(candidate) ? candidate : NULL;
    }
    return NULL;
}

/* Who gets the next connection; those who are ending, only in need. NULL: all have left. */
static member *choose(coil_shared_listener *shared)
{
    member *to = NULL;
    if (shared->options.share == COIL_SHARE_LEAST_BUSY)
        to = least_busy(shared);
    if (to == NULL)
        to = by_turns(shared, has_room);
    if (to == NULL)
        to = by_turns(shared, is_there);
    return to != NULL ? to : by_turns(shared, still_takes);
}

/* ------------------------------------------------------------------------- from loop to loop -- */

/* On the loop of the inbox. */
static void deliver(listener_parcel *parcel)
{
    listener_inbox *inbox = parcel->inbox;
    parcel->next = NULL;
    *inbox->last = parcel;
    inbox->last = &parcel->next;
    coil_waiter_grant_all(&inbox->waiters, 0);
}

/* On the loop of a member that has left: somebody else shall have it. */
static void give_back(listener_parcel *parcel)
{
    coil_runtime *runtime = member_of(parcel->inbox)->runtime;
    parcel->is_returning = true;
    if (coil_loop_post(coil_runtime_loop(runtime, ACCEPTING_INDEX), &parcel->post) < 0)
        shared_drop(parcel);
}

/* On the loop that accepts. When it has ended, whoever is there may still take what has come. */
static void hand_over(coil_shared_listener *shared, listener_parcel *parcel)
{
    member *to = choose(shared);
    if (to == NULL) {
        shared_drop(parcel);
        return;
    }
    __atomic_store_n(&to->given, to->given + 1, __ATOMIC_RELAXED);
    parcel->inbox = &to->inbox;
    parcel->is_returning = false;
    if (index_of(to) == ACCEPTING_INDEX) {
        deliver(parcel);
    } else if (coil_loop_post(loop_of(shared, index_of(to)), &parcel->post) < 0) {
        shared_drop(parcel);
    }
}

/* It has come to the loop that accepts, or to that of the member who is to have it. */
static void run_parcel(coil_post *post)
{
    listener_parcel *parcel = coil_container_of(post, listener_parcel, post);
    if (parcel->is_returning) {
        hand_over(member_of(parcel->inbox)->shared, parcel);
    } else if (parcel->inbox->has_left) {
        give_back(parcel);
    } else {
        deliver(parcel);
    }
}

/* The member of this inbox learns that nothing comes any more. What has come is still there. */
static void end_inbox(listener_inbox *inbox, int error)
{
    if (inbox->error == 0)
        inbox->error = error;
    coil_waiter_grant_all(&inbox->waiters, 0);
}

static void run_ending(coil_post *post)
{
    member *self = coil_container_of(post, member, ending);
    end_inbox(&self->inbox, self->end_error);
}

/* On the loop that accepts. Once for each. */
static void tell_end(member *self, int error)
{
    if (self->is_told)
        return;
    self->is_told = true;
    self->end_error = error;
    if (index_of(self) == ACCEPTING_INDEX) {
        end_inbox(&self->inbox, error);
    } else {
        coil_runtime *runtime = self->shared->members[ACCEPTING_INDEX].runtime;
        if (runtime == NULL)
            runtime = self->runtime; /* It has left before we have opened our share. */
        (void)coil_loop_post(coil_runtime_loop(runtime, index_of(self)), &self->ending);
    }
}

static void run_leaving(coil_post *post)
{
    tell_end(coil_container_of(post, member, leaving), -ESHUTDOWN);
}

/* -------------------------------------------------------------------------------- accepting -- */

/* On the loop that accepts. */
static void end_sharing(coil_shared_listener *shared, int error)
{
    shared->has_ended = true;
    shared->distributor = NULL;
    coil_acceptor_close(shared->acceptor);
    shared->acceptor = NULL;
    listener_path_remove(&shared->path, &shared->address);
    for (unsigned i = 0; i < shared->count; i++)
        tell_end(&shared->members[i], error);
}

static void distribute_one(coil_shared_listener *shared, int fd)
{
    listener_parcel *parcel = malloc(sizeof(*parcel));
    if (parcel == NULL) {
        (void)coil_kernel_close(fd);
        return;
    }
    parcel->post.run = run_parcel;
    parcel->fd = fd;
    hand_over(shared, parcel);
}

/* A root task: what ends it is told to those who accept, and is nobody else's failure. */
coil_async(int, distribute, (coil_shared_listener *) shared)
{
    coil_vars(int fd; int error);

    my->error = -ESHUTDOWN;
    coil_defer(end_sharing(shared, my->error));
    for (;;) {
        while (somebody(shared, is_there) && !somebody(shared, has_room))
            coil_await(coil_sleep(coil_ms(LISTENER_PAUSE_MS)));
        coil_await(my->fd, coil_acceptor_next(shared->acceptor));
        if (my->fd >= 0) {
            distribute_one(shared, my->fd);
        } else if (listener_error_passes(my->fd)) {
            coil_await(coil_sleep(coil_ms(LISTENER_PAUSE_MS)));
        } else {
            my->error = my->fd;
            return 0;
        }
    }
}

static int start_distributing(coil_shared_listener *shared, coil_loop *loop)
{
    member *accepting = &shared->members[ACCEPTING_INDEX];
    int fd = accepting->fd;

    accepting->fd = -1;
    int rc = coil_acceptor_create(loop, fd, COIL_ACCEPT_ORDINARY, &shared->acceptor);
    if (rc < 0)
        return rc;
    shared->distributor = coil_spawn(coil_loop_root(loop), distribute(shared));
    if (shared->distributor != NULL)
        return 0;
    coil_acceptor_close(shared->acceptor);
    shared->acceptor = NULL;
    return -ENOMEM;
}

/* ------------------------------------------------------------------------------------ shares -- */

/*
 * A member wants no more. What the loop that accepts has given it until it learns of this is on its
 * way, and comes before the answer. If it is that loop itself, nobody gets more than has connected.
 */
static void end(listener_inbox *inbox)
{
    member *self = member_of(inbox);
    coil_shared_listener *shared = self->shared;

    __atomic_store_n(&inbox->is_ending, true, __ATOMIC_RELAXED);
    if (index_of(self) != ACCEPTING_INDEX) {
        coil_loop *accepting = coil_runtime_loop(self->runtime, ACCEPTING_INDEX);
        if (coil_loop_post(accepting, &self->leaving) < 0)
            end_inbox(inbox, -ESHUTDOWN);
    } else if (shared->distributor != NULL) {
        coil_acceptor_end(shared->acceptor);
    }
}

/* The listener of a member closes: what nobody has taken goes to others. */
static void leave(listener_inbox *inbox)
{
    __atomic_store_n(&inbox->has_left, true, __ATOMIC_RELAXED);
    if (inbox->error == 0)
        inbox->error = -ESHUTDOWN;
    listener_parcel *next;
    for (listener_parcel *parcel = inbox->first; parcel != NULL; parcel = next) {
        next = parcel->next;
        give_back(parcel);
    }
    inbox->first = NULL;
    inbox->last = &inbox->first;
}

static int open_inbox(member *self, const coil_worker *worker, coil_listener **out_listener)
{
    coil_shared_listener *shared = self->shared;
    coil_listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL)
        return -ENOMEM;
    int rc = worker->index == ACCEPTING_INDEX ? start_distributing(shared, worker->loop) : 0;
    if (rc < 0) {
        free(listener);
        return rc;
    }
    listener->inbox = &self->inbox;
    listener->fd = -1;
    listener->address = shared->address;
    listener->max_connections = shared->options.listen.max_connections;
    *out_listener = listener;
    return 0;
}

static int open_socket(member *self, coil_listener **out_listener)
{
    const coil_shared_listener *shared = self->shared;
    int fd = self->fd;

    self->fd = -1;
    int rc = listener_create(fd, &shared->address, &shared->options.listen, out_listener);
    if (rc == 0)
        (*out_listener)->accepted = &self->given;
    return rc;
}

int coil_shared_listener_open(
        coil_shared_listener *shared, const coil_worker *worker, coil_listener **out_listener)
{
    COIL_CHECK(coil_runtime_count(worker->runtime) == shared->count);
    COIL_CHECK(coil_loop_current() == worker->loop);
    member *self = &shared->members[worker->index];

    COIL_CHECK(self->runtime == NULL); /* Once per worker. */
    self->runtime = worker->runtime;
    return shared->options.share == COIL_SHARE_BY_KERNEL ? open_socket(self, out_listener)
                                                         : open_inbox(self, worker, out_listener);
}

void shared_member_init(member *self, coil_shared_listener *shared)
{
    self->shared = shared;
    self->fd = -1;
    self->leaving.run = run_leaving;
    self->ending.run = run_ending;
    self->inbox.last = &self->inbox.first;
    self->inbox.end = end;
    self->inbox.leave = leave;
    coil_list_init(&self->inbox.waiters);
}
