/* SPDX-License-Identifier: MIT */
/* Of coil/handover.h: which sockets there are, by their names. */
#include "handover_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 12 /* Of a name: what tells the sockets of a shared listener apart. */ };

static entry *find_entry(coil_handover *handover, const char *name)
{
    for (unsigned i = 1; i < handover->count; i++) {
        if (strcmp(handover->entries[i].as.name, name) == 0)
            return &handover->entries[i];
    }
    return NULL;
}

/* It has gone, and can be asked for again. */
static entry *add_entry(coil_handover *handover, const char *name)
{
    entry *added = find_entry(handover, name);
    if (added == NULL) {
        if (handover->count == COIL_HANDOVER_SOCKETS)
            return NULL;
        added = &handover->entries[handover->count++];
    }
    *added = (entry){.fd = -1};
    memcpy(added->as.name, name, strlen(name));
    return added;
}

static void offer_listener(entry *at, coil_listener *listener)
{
    at->listener = listener;
    listener->offered = &at->listener;
}

/* Has it been asked for, and is it there? */
static bool is_taken(const entry *at)
{
    return at != NULL && (at->listener != NULL || at->shared != NULL);
}

int coil_handover_listen(coil_handover *handover, const char *name, const char *address,
        const coil_listen_options *options, coil_listener **out_listener)
{
    if (name[0] == '\0' || strlen(name) >= COIL_HANDOVER_NAME_BYTES)
        return -EINVAL;
    entry *at = find_entry(handover, name);
    if (is_taken(at))
        return -EEXIST;
    int rc;
    if (at != NULL && at->fd >= 0) {
        int fd = at->fd;
        at->fd = -1;
        rc = coil_listen_fd(fd, options, out_listener);
    } else {
        at = add_entry(handover, name);
        if (at == NULL)
            return -ENOSPC;
        rc = coil_listen(address, options, out_listener);
        if (rc == 0)
            at->as.path = (*out_listener)->path;
    }
    if (rc == 0)
        offer_listener(at, *out_listener);
    return rc;
}

/* The name of one of several sockets: "http", "http#1", "http#2". */
static void set_name(char text[COIL_HANDOVER_NAME_BYTES], const char *name, unsigned index)
{
    if (index == 0) {
        (void)snprintf(text, COIL_HANDOVER_NAME_BYTES, "%s", name);
    } else {
        (void)snprintf(text, COIL_HANDOVER_NAME_BYTES, "%.*s#%u",
                COIL_HANDOVER_NAME_BYTES - NUMBER_BYTES, name, index);
    }
}

/* Those of the predecessor: how many there are, of `count`. The others are -1. */
static unsigned take_shared(coil_handover *handover, const char *name, unsigned count, int *fds)
{
    char text[COIL_HANDOVER_NAME_BYTES];
    unsigned taken = 0;

    for (unsigned i = 0; i < count; i++) {
        set_name(text, name, i);
        entry *at = find_entry(handover, text);
        fds[i] = at != NULL ? at->fd : -1;
        taken += fds[i] >= 0;
        if (at != NULL)
            at->fd = -1;
    }
    return taken;
}

/* Those of the predecessor have their entries already. */
static unsigned missing_count(coil_handover *handover, const char *name, unsigned count)
{
    char text[COIL_HANDOVER_NAME_BYTES];
    unsigned missing = 0;

    for (unsigned i = 0; i < count; i++) {
        set_name(text, name, i);
        missing += find_entry(handover, text) == NULL;
    }
    return missing;
}

/* Descriptors of our own, since the others are those of other threads. */
static int offer_shared(
        coil_handover *handover, const char *name, unsigned count, coil_shared_listener *shared)
{
    char text[COIL_HANDOVER_NAME_BYTES];

    for (unsigned i = 0; i < count; i++) {
        int fd = coil_kernel_dup_above(shared_listener_fd(shared, i), 0);
        if (fd < 0)
            return fd;
        set_name(text, name, i);
        entry *at = find_entry(handover, text);
        const listener_path path = at == NULL ? *shared_listener_path(shared) : at->as.path;
        at = add_entry(handover, text);
        at->as.path = path;
        at->fd = fd;
        at->shared = shared;
    }
    return 0;
}

static void withdraw(entry *at)
{
    (void)coil_kernel_close(at->fd);
    at->fd = -1;
    at->shared = NULL;
}

static void withdraw_all_of(coil_handover *handover, const coil_shared_listener *shared)
{
    for (unsigned i = 1; i < handover->count; i++) {
        if (handover->entries[i].shared == shared)
            withdraw(&handover->entries[i]);
    }
}

void handover_withdraw_shared(coil_handover *handover)
{
    for (unsigned i = 1; i < handover->count; i++) {
        if (handover->entries[i].shared != NULL)
            withdraw(&handover->entries[i]);
    }
}

int coil_handover_share(coil_handover *handover, const char *name, const char *address,
        const coil_share_options *options, coil_shared_listener **out_shared)
{
    int fds[COIL_HANDOVER_SOCKETS];
    coil_shared_listener *shared = NULL;
    const unsigned count = shared_socket_count(options);

    if (name[0] == '\0' || strlen(name) + NUMBER_BYTES > COIL_HANDOVER_NAME_BYTES)
        return -EINVAL;
    if (is_taken(find_entry(handover, name)))
        return -EEXIST;
    if (count > COIL_HANDOVER_SOCKETS ||
            handover->count + missing_count(handover, name, count) > COIL_HANDOVER_SOCKETS)
        return -ENOSPC;
    int rc = take_shared(handover, name, count, fds) > 0
                     ? shared_listener_adopt(fds, count, options, &shared)
                     : coil_shared_listener_create(address, options, &shared);
    if (rc < 0)
        return rc;
    rc = offer_shared(handover, name, count, shared);
    if (rc < 0) {
        withdraw_all_of(handover, shared);
        coil_shared_listener_destroy(shared);
        return rc;
    }
    *out_shared = shared;
    return 0;
}
