/* SPDX-License-Identifier: MIT */
#include "unix_socket.h"

#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_BYTES = offsetof(struct sockaddr_un, sun_path), AUTO_NAMES = 1 << 20 };

/* unix(7): a path ends at its first zero, an abstract name where its size says. */
int unix_name_read(const struct sockaddr *address, socklen_t size_bytes, unix_name *out_name)
{
    *out_name = (unix_name){.size_bytes = 0};
    if (size_bytes < PREFIX_BYTES || size_bytes > sizeof(struct sockaddr_un))
        return -EINVAL;
    if (address->sa_family != AF_UNIX)
        return -EINVAL;
    size_t room = size_bytes - PREFIX_BYTES;
    const char *bytes = (const char *)address + PREFIX_BYTES;
    if (room > 0 && bytes[0] != '\0') {
        room = strnlen(bytes, room);
        out_name->size_bytes = (socklen_t)(room < sizeof(out_name->bytes) ? room + 1 : room);
    } else {
        out_name->size_bytes = (socklen_t)room;
    }
    memcpy(out_name->bytes, bytes, room);
    return 0;
}

void unix_name_store(const unix_name *name, void *address, socklen_t *size_bytes)
{
    struct sockaddr_un whole = {.sun_family = AF_UNIX};
    memcpy(whole.sun_path, name->bytes, name->size_bytes);
    sim_store_name(&whole, PREFIX_BYTES + name->size_bytes, address, size_bytes);
}

static bool is_abstract(const unix_name *name)
{
    return name->bytes[0] == '\0';
}

static unix_entry *entry_named(sim_host *host, const unix_name *name)
{
    coil_list *names = sim_network_unix_names(host->world);
    for (coil_list *link = names->next; link != names; link = link->next) {
        unix_entry *entry = coil_container_of(link, unix_entry, link);
        if (entry->host == host && entry->name.size_bytes == name->size_bytes &&
                memcmp(entry->name.bytes, name->bytes, name->size_bytes) == 0)
            return entry;
    }
    return NULL;
}

/* unix(7), Autobind: a zero and five hexadecimal digits. */
static int choose_name(sim_host *host, unix_name *out_name)
{
    for (unsigned i = 0; i < AUTO_NAMES; i++) {
        char digits[8];
        (void)snprintf(digits, sizeof(digits), "%05x", i);
        *out_name = (unix_name){.size_bytes = 6};
        memcpy(out_name->bytes + 1, digits, 5);
        if (entry_named(host, out_name) == NULL)
            return 0;
    }
    return -ENOSPC;
}

static bool has_name(const unix_socket *socket)
{
    return socket->entry != NULL || socket->node != NULL;
}

static int bind_abstract(unix_socket *socket, unix_name *name)
{
    sim_host *host = socket->socket.host;
    if (has_name(socket))
        return -EINVAL;
    const int rc = name->size_bytes == 0 ? choose_name(host, name) : 0;
    if (rc < 0)
        return rc;
    if (entry_named(host, name) != NULL)
        return -EADDRINUSE;
    unix_entry *entry = sim_new(sizeof(*entry));
    *entry = (unix_entry){.host = host, .name = *name, .socket = socket};
    coil_list_init(&entry->link);
    coil_list_append(sim_network_unix_names(host->world), &entry->link);
    socket->entry = entry;
    return 0;
}

/* A path may fill its room, without a zero behind it: unix(7), BUGS. */
static void path_of(const unix_name *name, char path[UNIX_PATH_BYTES])
{
    memcpy(path, name->bytes, name->size_bytes);
    path[name->size_bytes] = '\0';
}

/*
 * -EADDRINUSE also if it is the path of a socket that has gone: unix(7). That it has a name already
 * is found when the node is there (observed: unix_misused).
 */
static int bind_path(unix_socket *socket, const unix_name *name)
{
    sim_process *process = sim_process_current();
    char path[UNIX_PATH_BYTES];
    sim_inode *node = NULL;

    path_of(name, path);
    const int rc = sim_disk_bind(process, path, &socket->socket.file, &node);
    if (rc < 0)
        return rc;
    if (!has_name(socket)) {
        socket->node = node;
        return 0;
    }
    sim_disk_unbind(node);
    (void)sim_unlink(process, AT_FDCWD, path, 0);
    return -EINVAL;
}

int unix_bind(sim_file *file, const struct sockaddr *address, socklen_t size_bytes)
{
    unix_socket *socket = unix_socket_of(file);
    unix_name name;

    int rc = unix_name_read(address, size_bytes, &name);
    if (rc == 0)
        rc = is_abstract(&name) ? bind_abstract(socket, &name) : bind_path(socket, &name);
    if (rc == 0)
        socket->name = name;
    return rc;
}

int unix_getsockname(sim_file *file, struct sockaddr *address, socklen_t *size_bytes)
{
    unix_name_store(&unix_socket_of(file)->name, address, size_bytes);
    return 0;
}

/* The path as the process that asks sees it: relative ones begin at its working directory. */
static int find_path(const unix_name *name, unix_socket **out_socket)
{
    char path[UNIX_PATH_BYTES];
    sim_file *file = NULL;

    path_of(name, path);
    const int rc = sim_disk_connect(sim_process_current(), path, &file);
    if (rc == 0)
        *out_socket = unix_socket_of(file);
    return rc;
}

/* Observed: of an abstract name that nobody has, -ECONNREFUSED; of a missing path, -ENOENT. */
int unix_find(sim_host *host, const unix_name *name, int kind, unix_socket **out_socket)
{
    unix_socket *found = NULL;

    if (is_abstract(name)) {
        const unix_entry *entry = entry_named(host, name);
        if (entry == NULL)
            return -ECONNREFUSED;
        found = entry->socket;
    } else {
        const int rc = find_path(name, &found);
        if (rc < 0)
            return rc;
    }
    if (found == NULL)
        return -ECONNREFUSED;
    if (found->socket.type != kind)
        return -EPROTOTYPE;
    *out_socket = found;
    return 0;
}

static void free_entry(unix_entry *entry)
{
    coil_list_remove(&entry->link);
    sim_delete(entry);
}

/* Of sockets that nobody has closed: those that are on their way to themselves (SCM_RIGHTS). */
void sim_unix_forget(sim_world *world)
{
    coil_list *names = sim_network_unix_names(world);
    while (!coil_list_empty(names))
        free_entry(coil_container_of(names->next, unix_entry, link));
}

/* ---------------------------------------------------------------------------------- sockets -- */

unix_socket *unix_socket_new(sim_host *host, const sim_file_type *type, int kind)
{
    unix_socket *socket = sim_new(sizeof(*socket));
    sim_socket_init(&socket->socket, type, host, AF_UNIX, kind);
    coil_list_init(&socket->received);
    coil_list_init(&socket->followers);
    coil_list_init(&socket->follower_link);
    coil_list_init(&socket->backlog);
    coil_list_init(&socket->backlog_link);
    coil_list_init(&socket->callers);
    coil_list_init(&socket->caller_link);
    socket->account = sim_new(sizeof(*socket->account));
    socket->account->owner = socket;
    return socket;
}

static void discard_chunk(unix_socket *socket, unix_chunk *chunk)
{
    sim_ledger_discarded(&socket->ledger, chunk->bytes.count);
    unix_chunk_free(chunk);
}

void unix_socket_fini(unix_socket *socket)
{
    coil_list *link;
    while ((link = coil_list_take_first(&socket->received)) != NULL)
        discard_chunk(socket, coil_container_of(link, unix_chunk, link));
    sim_ledger_close(&socket->ledger);
    socket->account->owner = NULL;
    if (socket->account->chunk_count == 0)
        sim_delete(socket->account);
    if (socket->entry != NULL)
        free_entry(socket->entry);
    sim_disk_unbind(socket->node);
    coil_list_remove(&socket->follower_link);
    coil_list_remove(&socket->backlog_link);
    coil_list_remove(&socket->caller_link);
    sim_socket_fini(&socket->socket);
    sim_delete(socket);
}

sim_socket *sim_unix_peer(sim_socket *socket)
{
    unix_socket *peer = coil_container_of(socket, unix_socket, socket)->peer;
    return peer == NULL ? NULL : &peer->socket;
}

int sim_unix_stream_peer_name(sim_socket *socket, struct sockaddr *address, socklen_t *size_bytes)
{
    const unix_socket *own = coil_container_of(socket, unix_socket, socket);
    if (!own->was_connected)
        return -ENOTCONN;
    unix_name_store(&own->remote, address, size_bytes);
    return 0;
}
