/* SPDX-License-Identifier: MIT */
#include <coil/directory.h>

#include <coil/blocking.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES = 16 * 1024 }; /* Of entries; a name takes at most 280 of them. */

struct coil_directory {
    coil_loop *loop;
    int fd;
    size_t used_bytes; /* Of the batch: entries, */
    size_t next_bytes; /* and where the next one begins. */
    _Alignas(struct dirent64) char batch[BATCH_BYTES];
};

int coil_directory_create(coil_loop *loop, int fd, coil_directory **out_directory)
{
    coil_directory *directory = malloc(sizeof(*directory));
    if (directory == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    directory->loop = loop;
    directory->fd = fd;
    directory->used_bytes = 0;
    directory->next_bytes = 0;
    *out_directory = directory;
    return 0;
}

coil_define(coil_directory *, coil_directory_open, (int) at, (const char *) path)
{
    coil_vars(int fd);

    coil_await(my->fd, coil_openat(at, path, O_RDONLY | O_DIRECTORY, 0));
    if (my->fd < 0)
        return coil_error_pointer(my->fd);
    coil_directory *directory;
    int rc = coil_directory_create(coil_loop_of(coil_self), my->fd, &directory);
    return rc < 0 ? coil_error_pointer(rc) : directory;
}

coil_define(int, coil_directory_sync, (int) at, (const char *) path)
{
    coil_vars(int fd; int rc);

    if (path[0] == '\0') {
        coil_await(my->rc, coil_fsync(at, false));
        return my->rc;
    }
    coil_attempt(my->fd, coil_openat(at, path, O_RDONLY | O_DIRECTORY, 0));
    coil_defer(coil_ignore(coil_close(my->fd)));
    coil_await(my->rc, coil_fsync(my->fd, false));
    return my->rc;
}

/* A disk may have to be waited for. */
coil_blocking(int, read_batch, (int) fd, (char *) batch)
{
    return (int)coil_kernel_getdents(fd, batch, BATCH_BYTES);
}

/* Of the batch: 1, or 0 if it has no more. */
static int take_entry(coil_directory *directory, coil_directory_entry *out_entry)
{
    while (directory->next_bytes < directory->used_bytes) {
        const struct dirent64 *entry =
                (const struct dirent64 *)(const void *)(directory->batch + directory->next_bytes);
        directory->next_bytes += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *out_entry = (coil_directory_entry){
                .name = entry->d_name, .inode = entry->d_ino, .type = entry->d_type};
        return 1;
    }
    return 0;
}

coil_define(
        int, coil_directory_next, (coil_directory *) directory, (coil_directory_entry *) out_entry)
{
    coil_vars(int count);

    while (take_entry(directory, out_entry) == 0) {
        coil_await(my->count, read_batch(directory->fd, directory->batch));
        if (my->count <= 0)
            return my->count;
        directory->used_bytes = (size_t)my->count;
        directory->next_bytes = 0;
    }
    return 1;
}

int coil_directory_fd(const coil_directory *directory)
{
    return directory->fd;
}

void coil_directory_close(coil_directory *directory)
{
    if (directory == NULL)
        return;
    coil_close_later(directory->loop, directory->fd);
    free(directory);
}
