/* SPDX-License-Identifier: MIT */
#include <coil/handover.h>

#include "handover_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * What is sent, between processes of one machine:
 *
 *     predecessor -> successor: an offer, with as many descriptors
 *     successor -> predecessor: READY
 *     predecessor -> successor: GO
 *
 * The first socket of an offer is the one at which successors ask.
 */
enum {
    READY = 'R',
    GO = 'G',
    ANSWER_S = 10,
    TRIES = 20,
    TRY_MS = 10,
};

static const char magic[8] = "coil-ho1";

enum { HEAD_BYTES = offsetof(offer, sockets) };

/* The same user, or root? */
static int check_peer(int fd)
{
    struct ucred peer;
    socklen_t size_bytes = sizeof(peer);

    int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size_bytes);
    if (rc < 0)
        return rc;
    return peer.uid == coil_kernel_geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

static void set_message(coil_handover *handover, void *bytes, size_t size_bytes)
{
    handover->part = (struct iovec){bytes, size_bytes};
    handover->message = (struct msghdr){.msg_iov = &handover->part,
            .msg_iovlen = 1,
            .msg_control = handover->control,
            .msg_controllen = sizeof(handover->control)};
}

/* ---------------------------------------------------------------------------------- taking -- */

/* The descriptors of a message. How many there are; those that have no place are closed. */
static unsigned take_fds(struct msghdr *message, int *fds, unsigned limit)
{
    unsigned count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
            part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t part_count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < part_count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
            if (count < limit) {
                fds[count++] = fd;
            } else {
                (void)coil_kernel_close(fd);
            }
        }
    }
    return count;
}

/* The descriptors, which come with the first bytes, and are ours from here on. */
static int take_sockets(coil_handover *handover, ssize_t size_bytes)
{
    int fds[COIL_HANDOVER_SOCKETS];

    if (size_bytes < 0)
        return (int)size_bytes;
    unsigned count = take_fds(&handover->message, fds, COIL_HANDOVER_SOCKETS);
    for (unsigned i = 0; i < count; i++)
        handover->entries[i].fd = fds[i];
    handover->count = count;
    if (size_bytes == 0)
        return -ECONNRESET;
    return (handover->message.msg_flags & MSG_CTRUNC) != 0 ? -EMFILE : 0;
}

static bool head_is_right(const coil_handover *handover)
{
    const offer *got = &handover->offer;
    return memcmp(got->magic, magic, sizeof(magic)) == 0 && handover->count > 0 &&
           got->count == handover->count;
}

static int take_names(coil_handover *handover)
{
    for (unsigned i = 0; i < handover->count; i++) {
        const offered *as = &handover->offer.sockets[i];
        if (memchr(as->name, '\0', sizeof(as->name)) == NULL)
            return -EBADMSG;
        handover->entries[i].as = *as;
    }
    return 0;
}

/* Of the offer, from so many bytes to so many. */
coil_async(int, receive_bytes, (coil_handover *) handover, (size_t) from, (size_t) to)
{
    coil_vars(size_t have; ssize_t count);

    my->have = from;
    while (my->have < to) {
        coil_attempt(
                my->count, coil_recv(handover->predecessor_fd, (char *)&handover->offer + my->have,
                                   to - my->have, MSG_WAITALL));
        if (my->count == 0)
            return -EBADMSG;
        my->have += (size_t)my->count;
    }
    return 0;
}

coil_async(int, receive_offer, (coil_handover *) handover)
{
    coil_vars(ssize_t size_bytes; int rc);

    set_message(handover, &handover->offer, HEAD_BYTES);
    coil_await(my->size_bytes,
            coil_recvmsg(handover->predecessor_fd, &handover->message, MSG_CMSG_CLOEXEC));
    my->rc = take_sockets(handover, my->size_bytes);
    if (my->rc < 0)
        return my->rc;
    coil_attempt(receive_bytes(handover, (size_t)my->size_bytes, HEAD_BYTES));
    if (!head_is_right(handover))
        return -EBADMSG;
    coil_attempt(
            receive_bytes(handover, HEAD_BYTES, HEAD_BYTES + handover->count * sizeof(offered)));
    return take_names(handover);
}

/* Is there somebody? 1, or 0; or an error. */
coil_async(int, find_predecessor, (coil_handover *) handover)
{
    coil_vars(int rc);

    handover->predecessor_fd = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    if (handover->predecessor_fd < 0)
        return handover->predecessor_fd;
    coil_await(my->rc, coil_connect_fd(handover->predecessor_fd, &handover->address.socket,
                               handover->address.size_bytes));
    if (my->rc == 0)
        my->rc = check_peer(handover->predecessor_fd);
    if (my->rc == 0)
        return 1;
    (void)coil_kernel_close(handover->predecessor_fd);
    handover->predecessor_fd = -1;
    return my->rc == -ECONNREFUSED || my->rc == -ENOENT ? 0 : my->rc;
}

/* The socket at which successors ask is the first of all. They wait until we can be asked. */
static int listen_for_successors(coil_handover *handover)
{
    static const coil_listen_options defaults;
    entry *first = &handover->entries[0];

    if (handover->count > 0)
        return 0;
    int fd = listener_socket(&handover->address, &defaults);
    if (fd < 0)
        return fd;
    listener_path_claim(&first->as.path, &handover->address);
    first->fd = fd;
    handover->owns_paths = true;
    handover->count = 1;
    return 0;
}

coil_async(int, inherit_once, (coil_handover *) handover)
{
    coil_vars(int rc);

    coil_attempt(my->rc, find_predecessor(handover));
    if (my->rc > 0) {
        coil_await(my->rc, coil_within(coil_s(ANSWER_S), receive_offer(handover)));
        if (my->rc < 0)
            return my->rc == -ETIME ? -EBUSY : my->rc;
    }
    my->rc = listen_for_successors(handover);
    return my->rc < 0 ? my->rc : (int)handover->count - 1;
}

/* Nobody was there, and then somebody was: another process that starts when we do. */
coil_async(int, inherit, (coil_handover *) handover)
{
    coil_vars(int rc; int tries);

    for (my->tries = 0; my->tries < TRIES; my->tries++) {
        coil_await(my->rc, inherit_once(handover));
        if (my->rc != -EADDRINUSE)
            break;
        coil_await(coil_sleep(coil_ms(TRY_MS)));
    }
    return my->rc;
}

static coil_handover *create(const char *address, int *out_error)
{
    coil_handover *handover = calloc(1, sizeof(*handover));
    if (handover == NULL) {
        *out_error = -ENOMEM;
        return NULL;
    }
    handover->predecessor_fd = -1;
    for (unsigned i = 0; i < COIL_HANDOVER_SOCKETS; i++)
        handover->entries[i].fd = -1;
    *out_error = coil_address_parse(address, &handover->address);
    if (*out_error == 0 && handover->address.storage.ss_family != AF_UNIX)
        *out_error = -EINVAL;
    if (*out_error == 0)
        return handover;
    free(handover);
    return NULL;
}

coil_define(int, coil_handover_open, (const char *) address, (coil_handover **) out_handover)
{
    coil_vars(coil_handover *handover; int rc; bool is_open);

    my->handover = create(address, &my->rc);
    if (my->handover == NULL)
        return my->rc;
    coil_defer({
        if (!my->is_open)
            coil_handover_close(my->handover);
    });
    coil_attempt(my->rc, inherit(my->handover));
    my->is_open = true;
    *out_handover = my->handover;
    return my->rc;
}

/* ------------------------------------------------------------------------------------ ready -- */

/* The paths are ours now. What we have not asked for is nobody's, with its path. */
static void own_all(coil_handover *handover)
{
    handover->owns_paths = true;
    for (unsigned i = 1; i < handover->count; i++) {
        entry *each = &handover->entries[i];
        if (each->listener != NULL)
            each->listener->path = each->as.path;
        if (each->shared != NULL)
            *shared_listener_path(each->shared) = each->as.path;
        if (each->fd < 0 || each->shared != NULL)
            continue;
        coil_address at = {.size_bytes = sizeof(at.storage)};
        if (coil_kernel_getsockname(each->fd, &at.socket, &at.size_bytes) == 0)
            listener_path_remove(&each->as.path, &at);
        (void)coil_kernel_close(each->fd);
        each->fd = -1;
    }
}

coil_async(int, announce, (coil_handover *) handover)
{
    coil_vars(ssize_t size_bytes);

    handover->word = READY;
    coil_await(
            my->size_bytes, coil_send(handover->predecessor_fd, &handover->word, 1, MSG_NOSIGNAL));
    if (my->size_bytes == 1)
        coil_await(my->size_bytes, coil_recv(handover->predecessor_fd, &handover->word, 1, 0));
    return my->size_bytes == 1 && handover->word == GO ? 0 : -ECONNRESET;
}

coil_define(int, coil_handover_ready, (coil_handover *) handover)
{
    coil_vars();

    if (handover->predecessor_fd >= 0) {
        coil_attempt(announce(handover));
        (void)coil_kernel_close(handover->predecessor_fd);
        handover->predecessor_fd = -1;
    }
    own_all(handover);
    return 0;
}

/* --------------------------------------------------------------------------------- offering -- */

static void make_offer(coil_handover *handover)
{
    int fds[COIL_HANDOVER_SOCKETS];
    unsigned count = 0;
    offer *made = &handover->offer;

    memset(made, 0, sizeof(*made));
    for (unsigned i = 0; i < handover->count; i++) {
        const entry *each = &handover->entries[i];
        const int fd = each->listener != NULL ? each->listener->fd : each->fd;
        if (fd < 0)
            continue;
        made->sockets[count] = each->as;
        fds[count++] = fd;
    }
    memcpy(made->magic, magic, sizeof(magic));
    made->count = count;
    set_message(handover, made, HEAD_BYTES + count * sizeof(offered));
    handover->message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    memset(handover->control, 0, sizeof(handover->control));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&handover->message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
}

/* Who serves from here on removes them. */
static void disown_all(coil_handover *handover)
{
    for (unsigned i = 0; i < handover->count; i++) {
        const entry *each = &handover->entries[i];
        if (i > 0 && each->listener != NULL)
            each->listener->path.is_ours = false;
        if (each->shared != NULL)
            shared_listener_path(each->shared)->is_ours = false;
    }
    handover->owns_paths = false;
    handover_withdraw_shared(handover); /* They listen as long as their loops do. */
}

/* 0: the successor is ready, and knows that we are. */
coil_async(int, hand_over_to, (coil_handover *) handover, (coil_stream *) successor)
{
    coil_vars(coil_slice word; ssize_t size_bytes);

    int rc = check_peer(coil_stream_fd(successor));
    if (rc < 0)
        return rc;
    make_offer(handover);
    coil_attempt(my->size_bytes,
            coil_sendmsg(coil_stream_fd(successor), &handover->message, MSG_NOSIGNAL));
    const char *rest = (const char *)handover->part.iov_base + my->size_bytes;
    coil_attempt(coil_write_all(
            successor, coil_bytes(rest, handover->part.iov_len - (size_t)my->size_bytes)));
    coil_attempt(my->word, coil_read_some(successor));
    const bool is_ready = my->word.size_bytes == 1 && my->word.bytes[0] == READY;
    coil_slice_release(&my->word);
    if (!is_ready)
        return -ECONNRESET;
    handover->word = GO;
    coil_attempt(coil_write_all(successor, coil_bytes(&handover->word, 1)));
    return 0;
}

/* One successor, from its question to its end. */
coil_async(int, try_successor, (coil_handover *) handover, (coil_stream *) successor)
{
    coil_vars();

    coil_defer(coil_stream_close(successor));
    coil_attempt(coil_within(coil_s(COIL_HANDOVER_LIMIT_S), hand_over_to(handover, successor)));
    return 0;
}

/* On the loop on which we are asked from here on. */
static int open_first(coil_handover *handover)
{
    entry *first = &handover->entries[0];
    if (first->listener != NULL)
        return 0;
    const int fd = first->fd;
    first->fd = -1;
    return fd < 0 ? -ESHUTDOWN : coil_listen_fd(fd, NULL, &first->listener);
}

/* Others who ask now learn at once that they should ask the successor. */
coil_async(int, turn_away_others, (coil_listener *) listener)
{
    coil_vars(coil_stream *other);

    listener_end(listener);
    for (;;) {
        coil_await(my->other, coil_accept(listener));
        if (coil_pointer_error(my->other) < 0)
            return 0;
        coil_stream_close(my->other);
    }
}

/* The listener is this loop's, the socket is not: we may be asked again, on whatever loop. */
static void close_first(coil_handover *handover)
{
    entry *first = &handover->entries[0];
    if (first->listener == NULL)
        return;
    if (first->listener->fd >= 0) {
        const int fd = coil_kernel_dup_above(first->listener->fd, 0);
        first->fd = fd < 0 ? -1 : fd;
    }
    coil_listener_close(first->listener);
    first->listener = NULL;
}

coil_define(int, coil_handover_requested, (coil_handover *) handover)
{
    coil_vars(coil_stream *successor; int rc);

    my->rc = open_first(handover);
    if (my->rc < 0)
        return my->rc;
    coil_defer(close_first(handover));
    for (;;) {
        coil_attempt(my->successor, coil_accept_patiently(handover->entries[0].listener));
        coil_await(my->rc, try_successor(handover, my->successor));
        if (my->rc == 0)
            break;
    }
    disown_all(handover);
    coil_await(my->rc, turn_away_others(handover->entries[0].listener));
    return 0;
}

void coil_handover_close(coil_handover *handover)
{
    if (handover == NULL)
        return;
    if (handover->owns_paths)
        listener_path_remove(&handover->entries[0].as.path, &handover->address);
    for (unsigned i = 0; i < handover->count; i++) {
        entry *each = &handover->entries[i];
        if (each->fd >= 0)
            (void)coil_kernel_close(each->fd);
        if (i > 0 && each->listener != NULL)
            each->listener->offered = NULL;
    }
    if (handover->predecessor_fd >= 0)
        (void)coil_kernel_close(handover->predecessor_fd);
    free(handover);
}
