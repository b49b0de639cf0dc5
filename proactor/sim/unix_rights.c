/* SPDX-License-Identifier: MIT */
/*
 * What is sent through unix sockets: bytes, and with them descriptors and credentials (unix(7)).
 * Descriptors that are sent to each other in a circle are never freed; the kernel collects them.
 */
#include "unix_socket.h"

#include <errno.h>
#include <string.h>

enum { CHUNK_OVERHEAD_BYTES = 767, RIGHTS_MOST = 253 /* SCM_MAX_FD */ };

bool unix_has_room(const unix_socket *sender)
{
    return sender->account->cost < sender->socket.send_limit_bytes;
}

/* Observed: not before three quarters are free (unix_writable() in Linux). */
bool unix_is_writable(const unix_socket *sender)
{
    return sender->account->cost <= sender->socket.send_limit_bytes / 4;
}

void unix_chunk_free(unix_chunk *chunk)
{
    unix_account *account = chunk->account;
    for (unsigned i = 0; i < chunk->file_count; i++)
        sim_file_drop(chunk->files[i]);
    sim_delete(chunk->files);
    sim_bytes_fini(&chunk->bytes);
    account->cost -= chunk->cost;
    account->chunk_count--;
    if (account->owner != NULL) {
        sim_file_changed(&account->owner->socket.file);
    } else if (account->chunk_count == 0) {
        sim_delete(account);
    }
    sim_delete(chunk);
}

static int add_rights(unix_chunk *chunk, const struct cmsghdr *header, const sim_process *process)
{
    unsigned count = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    if (chunk->file_count + count > RIGHTS_MOST)
        return -EINVAL;
    chunk->files = sim_grown(chunk->files, (chunk->file_count + count) * sizeof(sim_file *));
    for (unsigned i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
        sim_file *file = sim_descriptor_file(process, fd);
        if (file == NULL)
            return -EBADF;
        chunk->files[chunk->file_count++] = sim_file_hold(file);
    }
    return 0;
}

static int read_control(unix_chunk *chunk, sim_io *io)
{
    struct msghdr *message = io->message;
    if (message == NULL || message->msg_controllen == 0)
        return 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
            header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_len < CMSG_LEN(0))
            return -EINVAL;
        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type != SCM_RIGHTS && header->cmsg_type != SCM_CREDENTIALS)
            return -EINVAL;
        int rc = header->cmsg_type == SCM_RIGHTS ? add_rights(chunk, header, io->process) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int unix_chunk_make(unix_socket *sender, sim_io *io, size_t size_bytes, unix_chunk **out_chunk)
{
    unix_chunk *chunk = sim_new(sizeof(*chunk));

    coil_list_init(&chunk->link);
    chunk->account = sender->account;
    chunk->account->chunk_count++;
    chunk->from = sender->name;
    chunk->sender_id = io->process != NULL ? io->process->id : sender->socket.owner_id;
    int rc = io->done_bytes == 0 ? read_control(chunk, io) : 0;
    if (rc < 0) {
        unix_chunk_free(chunk);
        return rc;
    }
    sim_bytes_added(
            &chunk->bytes, sim_io_take(io, sim_bytes_room(&chunk->bytes, size_bytes), size_bytes));
    /* About what Linux counts: observed, 278 of one byte, and 44 of 4096, fill 212992. */
    chunk->cost = size_bytes + CHUNK_OVERHEAD_BYTES;
    chunk->account->cost += chunk->cost;
    *out_chunk = chunk;
    return 0;
}

/* Append a control message; false: there is not even room for its header. */
static bool put_control(
        struct msghdr *message, size_t *used_bytes, int type, const void *bytes, size_t size_bytes)
{
    if (message->msg_control == NULL ||
            message->msg_controllen < *used_bytes + CMSG_LEN(size_bytes)) {
        message->msg_flags |= MSG_CTRUNC;
        return false;
    }
    struct cmsghdr header = {
            .cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(size_bytes)};
    char *place = (char *)message->msg_control + *used_bytes;
    memcpy(place, &header, sizeof(header));
    memcpy(place + CMSG_LEN(0), bytes, size_bytes);
    size_t space_bytes = CMSG_SPACE(size_bytes);
    size_t left_bytes = message->msg_controllen - *used_bytes;
    *used_bytes += space_bytes < left_bytes ? space_bytes : left_bytes;
    return true;
}

/* As many as there is room for: observed, the others are closed, and MSG_CTRUNC says so. */
static void put_rights(unix_chunk *chunk, sim_io *io, size_t *used_bytes)
{
    struct msghdr *message = io->message;
    int fds[RIGHTS_MOST];
    unsigned count = 0;
    size_t room_bytes = message->msg_controllen - *used_bytes;
    unsigned limit = room_bytes < CMSG_LEN(sizeof(int))
                             ? 0
                             : (unsigned)((room_bytes - CMSG_LEN(0)) / sizeof(int));

    while (count < chunk->file_count && count < limit && message->msg_control != NULL) {
        int fd = sim_descriptor_install(io->process, sim_file_hold(chunk->files[count]), 0);
        if (fd < 0)
            break;
        fds[count++] = fd;
    }
    if (count < chunk->file_count)
        message->msg_flags |= MSG_CTRUNC;
    if (count > 0)
        (void)put_control(message, used_bytes, SCM_RIGHTS, fds, count * sizeof(int));
}

void unix_chunk_give_rights(unix_chunk *chunk, sim_io *io)
{
    struct msghdr *message = io->message;
    if (message != NULL && chunk->file_count > 0 && io->process != NULL) {
        size_t used_bytes = 0;
        put_rights(chunk, io, &used_bytes);
        message->msg_controllen = used_bytes;
    }
    if (io->flags & MSG_PEEK)
        return;
    for (unsigned i = 0; i < chunk->file_count; i++)
        sim_file_drop(chunk->files[i]);
    chunk->file_count = 0;
}
