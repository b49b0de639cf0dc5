/* SPDX-License-Identifier: MIT */
/* Of coil/shared_listener.h: the sockets, from their opening to their end. */
#include "shared_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CPUS_MAX = 1024 };

/* --------------------------------------------------------------------------------- lifecycle -- */

static void init_members(coil_shared_listener *shared)
{
    for (unsigned i = 0; i < shared->count; i++)
        shared_member_init(&shared->members[i], shared);
}

static int check_options(coil_shared_listener *shared)
{
    coil_share_options *options = &shared->options;
    bool by_kernel = options->share == COIL_SHARE_BY_KERNEL;

    if ((unsigned)options->share > COIL_SHARE_BY_KERNEL)
        return -EINVAL;
    if (by_kernel ? shared->address.storage.ss_family == AF_UNIX : options->listen.direct_sockets)
        return -EOPNOTSUPP;
    options->listen.reuse_port |= by_kernel;
    return 0;
}

/* All of them listen before the first loop accepts, so that the first connections are shared. */
static int open_sockets(coil_shared_listener *shared)
{
    unsigned socket_count = shared->options.share == COIL_SHARE_BY_KERNEL ? shared->count : 1;
    for (unsigned i = 0; i < socket_count; i++) {
        int fd = listener_socket(&shared->address, &shared->options.listen);
        if (fd < 0)
            return fd;
        shared->members[i].fd = fd;
    }
    listener_path_claim(&shared->path, &shared->address);
    return 0;
}

static unsigned default_count(void)
{
    int cpus[CPUS_MAX];
    int cpu_count = coil_kernel_cpus(cpus, CPUS_MAX);
    return cpu_count > 0 ? (unsigned)cpu_count : 1;
}

static coil_shared_listener *create(const coil_share_options *options)
{
    unsigned count = options != NULL ? options->loop_count : 0;
    if (count == 0)
        count = default_count();
    coil_shared_listener *shared = calloc(1, sizeof(*shared) + count * sizeof(shared->members[0]));
    if (shared == NULL)
        return NULL;
    if (options != NULL)
        shared->options = *options;
    shared->count = count;
    init_members(shared);
    return shared;
}

int coil_shared_listener_create(
        const char *address, const coil_share_options *options, coil_shared_listener **out_shared)
{
    coil_shared_listener *shared = create(options);
    if (shared == NULL)
        return -ENOMEM;
    int rc = coil_address_parse(address, &shared->address);
    if (rc == 0)
        rc = check_options(shared);
    if (rc == 0)
        rc = open_sockets(shared);
    if (rc < 0) {
        coil_shared_listener_destroy(shared);
        return rc;
    }
    *out_shared = shared;
    return 0;
}

static bool is_by_kernel(const coil_share_options *options)
{
    return options != NULL && options->share == COIL_SHARE_BY_KERNEL;
}

unsigned shared_socket_count(const coil_share_options *options)
{
    if (!is_by_kernel(options))
        return 1;
    return options->loop_count > 0 ? options->loop_count : default_count();
}

/* All but one that is open no more: by now it may be somebody else's. */
static void close_fds(const int *fds, unsigned count, int gone_fd)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i] >= 0 && fds[i] != gone_fd)
            (void)coil_kernel_close(fds[i]);
    }
}

/* Those that are there, and new ones beside them. */
static int adopt_fds(coil_shared_listener *shared, const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        shared->members[i].fd = fds[i];
    for (unsigned i = 0; i < count; i++) {
        int fd = fds[i] >= 0 ? fds[i] : listener_socket(&shared->address, &shared->options.listen);
        if (fd < 0)
            return fd;
        shared->members[i].fd = fd;
    }
    return 0;
}

int shared_listener_adopt(const int *fds, unsigned count, const coil_share_options *options,
        coil_shared_listener **out_shared)
{
    coil_shared_listener *shared = create(options);
    int rc = -ENOMEM;
    unsigned first = 0;

    while (first + 1 < count && fds[first] < 0)
        first++;
    if (shared != NULL)
        rc = listener_examine(fds[first], &shared->address);
    if (rc == 0)
        rc = check_options(shared);
    if (rc < 0) {
        close_fds(fds, count, rc == -EBADF ? fds[first] : -1);
    } else {
        rc = adopt_fds(shared, fds, count);
    }
    if (rc < 0) {
        coil_shared_listener_destroy(shared);
        return rc;
    }
    *out_shared = shared;
    return 0;
}

int shared_listener_fd(const coil_shared_listener *shared, unsigned index)
{
    return shared->members[index].fd;
}

listener_path *shared_listener_path(coil_shared_listener *shared)
{
    return &shared->path;
}

int coil_shared_listener_create_fd(
        int fd, const coil_share_options *options, coil_shared_listener **out_shared)
{
    if (is_by_kernel(options)) {
        int rc = listener_examine(fd, &(coil_address){.size_bytes = 0});
        if (rc != -EBADF)
            (void)coil_kernel_close(fd);
        return rc < 0 ? rc : -EOPNOTSUPP;
    }
    return shared_listener_adopt(&fd, 1, options, out_shared);
}

void coil_shared_listener_destroy(coil_shared_listener *shared)
{
    if (shared == NULL)
        return;
    COIL_CHECK(shared->distributor == NULL);
    for (unsigned i = 0; i < shared->count; i++) {
        member *each = &shared->members[i];
        listener_parcel *next;
        for (listener_parcel *parcel = each->inbox.first; parcel != NULL; parcel = next) {
            next = parcel->next;
            shared_drop(parcel); /* Its main has not opened its share. */
        }
        if (each->fd >= 0)
            (void)coil_kernel_close(each->fd);
    }
    if (!shared->has_ended)
        listener_path_remove(&shared->path, &shared->address);
    free(shared);
}

const coil_address *coil_shared_listener_address(const coil_shared_listener *shared)
{
    return &shared->address;
}

unsigned coil_shared_listener_count(const coil_shared_listener *shared)
{
    return shared->count;
}

uint64_t coil_shared_listener_given(const coil_shared_listener *shared, unsigned index)
{
    COIL_CHECK(index < shared->count);
    return __atomic_load_n(&shared->members[index].given, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------------------------- everywhere -- */

typedef struct service {
    coil_shared_listener *shared;
    coil_handler handler;
} service;

coil_async(int, serve_share, (coil_worker *) worker)
{
    coil_vars(coil_listener *listener; int rc);

    const service *self = worker->argument;
    my->rc = coil_shared_listener_open(self->shared, worker, &my->listener);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_listener_close(my->listener));
    coil_attempt(coil_serve_gracefully(my->listener, ((const service *)worker->argument)->handler));
    return 0;
}

int coil_serve_everywhere(
        const char *address, const coil_share_options *options, coil_handler handler)
{
    service self = {.handler = handler};
    int rc = coil_shared_listener_create(address, options, &self.shared);
    if (rc < 0) {
        fprintf(stderr, "coil: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    const coil_runtime_options all = {.loop_count = self.shared->count,
            .main = coil_handler(serve_share, coil_worker *),
            .argument = &self};
    rc = coil_runtime_run_with(&all);
    coil_shared_listener_destroy(self.shared);
    return rc;
}
