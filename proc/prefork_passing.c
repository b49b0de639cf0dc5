/* SPDX-License-Identifier: MIT */
/* Sockets to the next process, by name. */
#include "prefork_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number, and what stands behind its comma; NULL: it is none. */
static const char *read_number(const char *text, unsigned *out_number)
{
    char *end = NULL;

    if (text == NULL)
        return NULL;
    const unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end != ',' || number > INT32_MAX)
        return NULL;
    *out_number = (unsigned)number;
    return end + 1;
}

/* The next of the names that colons are between. */
static const char *read_name(const char *text, char out_name[COIL_PREFORK_NAME_BYTES])
{
    const size_t length = strcspn(text, ":");

    if (length == 0 || length >= COIL_PREFORK_NAME_BYTES)
        return NULL;
    memcpy(out_name, text, length);
    out_name[length] = '\0';
    return text + length + (text[length] == ':');
}

static int read_heritage(const char *text, prefork_heritage *heritage)
{
    text = read_number(text, &heritage->number);
    text = read_number(text, &heritage->generation);
    text = read_number(text, &heritage->beat_ms);
    text = read_number(text, &heritage->socket_count);
    if (text == NULL || heritage->socket_count > COIL_PREFORK_SOCKETS)
        return -EBADF;
    for (unsigned i = 0; i < heritage->socket_count; i++) {
        prefork_socket *one = &heritage->sockets[i];
        text = read_name(text, one->name);
        if (text == NULL)
            return -EBADF;
        one->fd = PREFORK_SOCKET_FD + (int)i;
    }
    return 0;
}

int prefork_inherit(const char *variable, prefork_heritage *out_heritage)
{
    const char *text = secure_getenv(variable);
    if (text == NULL)
        return 0;
    *out_heritage = (prefork_heritage){.socket_count = 0};
    int rc = read_heritage(text, out_heritage);
    (void)unsetenv(variable);
    if (rc == 0)
        rc = coil_kernel_close_on_exec(PREFORK_CONTROL_FD);
    for (unsigned i = 0; rc == 0 && i < out_heritage->socket_count; i++)
        rc = coil_kernel_close_on_exec(out_heritage->sockets[i].fd);
    if (rc == 0)
        return 1;
    out_heritage->socket_count = 0; /* They are not ours. */
    return -EBADF;
}

int prefork_take_socket(prefork_heritage *heritage, const char *name)
{
    for (unsigned i = 0; i < heritage->socket_count; i++) {
        prefork_socket *one = &heritage->sockets[i];
        if (one->fd < 0 || strcmp(one->name, name) != 0)
            continue;
        const int fd = one->fd;
        one->fd = -1;
        return fd;
    }
    return -ENOENT;
}

void prefork_close_heritage(prefork_heritage *heritage)
{
    for (unsigned i = 0; i < heritage->socket_count; i++) {
        if (heritage->sockets[i].fd >= 0)
            (void)coil_kernel_close(heritage->sockets[i].fd);
    }
    heritage->socket_count = 0;
}

/* Those of the plan, behind ours. */
static int add_descriptors(const coil_spawn_plan *plan, prefork_parcel *parcel)
{
    if (plan->fd_count > COIL_SPAWN_FDS_MAX - parcel->fd_count)
        return -EINVAL;
    for (size_t i = 0; i < plan->fd_count; i++) {
        if (plan->fds[i].child_fd < PREFORK_FREE_FD)
            return -EINVAL;
        parcel->fds[parcel->fd_count++] = plan->fds[i];
    }
    return 0;
}

/* The child's environment: that of the plan, and one more. */
static int add_variable(coil_spawn_plan *plan, prefork_parcel *parcel)
{
    const char *const *env = plan->env != NULL ? plan->env : (const char *const *)environ;
    size_t count = 0;

    while (env != NULL && env[count] != NULL)
        count++;
    parcel->env = calloc(count + 2, sizeof(*parcel->env));
    if (parcel->env == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        parcel->env[i] = env[i];
    parcel->env[count] = parcel->text;
    plan->env = parcel->env;
    return 0;
}

int prefork_pack(const char *variable, const prefork_heritage *heritage, int control,
        coil_spawn_plan *plan, prefork_parcel *parcel)
{
    size_t size = (size_t)snprintf(parcel->text, sizeof(parcel->text), "%s=%u,%u,%u,%u,", variable,
            heritage->number, heritage->generation, heritage->beat_ms, heritage->socket_count);

    parcel->fds[0] = (coil_spawn_fd){PREFORK_CONTROL_FD, control};
    parcel->fd_count = 1;
    for (unsigned i = 0; i < heritage->socket_count; i++) {
        const prefork_socket *one = &heritage->sockets[i];
        parcel->fds[parcel->fd_count++] = (coil_spawn_fd){PREFORK_SOCKET_FD + (int)i, one->fd};
        size += (size_t)snprintf(parcel->text + size, sizeof(parcel->text) - size, "%s%s",
                i > 0 ? ":" : "", one->name);
    }
    const int rc = add_descriptors(plan, parcel);
    if (rc < 0)
        return rc;
    plan->fds = parcel->fds;
    plan->fd_count = parcel->fd_count;
    return add_variable(plan, parcel);
}
