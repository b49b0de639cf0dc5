/* SPDX-License-Identifier: MIT */
#include <coil/file.h>

#include "pool.h"

#include <coil/blocking.h>
#include <coil/directory.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_LEAST_BYTES = 4096,    /* Of memory, for a file that does not tell its size. */
    COPY_BYTES = 128 * 1024,    /* At a time, through our memory; */
    COPY_RANGE_BYTES = 8 << 20, /* by the kernel, which cannot be cancelled meanwhile. */
    TRIES = 100,                /* Of random names. */
    RANDOM_COUNT = 6,           /* The XXXXXX. */
    STEM_COUNT = NAME_MAX - 1 - RANDOM_COUNT - 1,
};

/* ------------------------------------------------------------------------------ transfers -- */

coil_define(ssize_t, coil_pread_all, (int) fd, (void *) bytes, (size_t) size_bytes, (off_t) offset)
{
    coil_vars(size_t done_bytes; ssize_t count);

    my->done_bytes = 0;
    while (my->done_bytes < size_bytes) {
        coil_attempt(
                my->count, coil_pread(fd, (char *)bytes + my->done_bytes,
                                   size_bytes - my->done_bytes, offset + (off_t)my->done_bytes));
        if (my->count == 0)
            break;
        my->done_bytes += (size_t)my->count;
    }
    return (ssize_t)my->done_bytes;
}

coil_define(int, coil_pwrite_all, (int) fd, (const void *) bytes, (size_t) size_bytes, (off_t) offset)
{
    coil_vars(size_t done_bytes; ssize_t count);

    my->done_bytes = 0;
    while (my->done_bytes < size_bytes) {
        coil_attempt(
                my->count, coil_pwrite(fd, (const char *)bytes + my->done_bytes,
                                   size_bytes - my->done_bytes, offset + (off_t)my->done_bytes));
        if (my->count == 0)
            return -EIO; /* An odd device: it would be so for ever. */
        my->done_bytes += (size_t)my->count;
    }
    return 0;
}

/* -------------------------------------------------------------------------------- reading -- */

/* Room for more than `used_bytes`. NULL without memory: `buffer` is as it was. */
static coil_buffer *enlarged(coil_buffer *buffer, size_t used_bytes, size_t most_bytes)
{
    size_t want_bytes = 2 * used_bytes < most_bytes ? 2 * used_bytes : most_bytes;
    coil_buffer *larger = private_buffer_create(want_bytes);
    if (larger == NULL)
        return NULL;
    memcpy(larger->bytes, buffer->bytes, used_bytes);
    buffer_put(buffer);
    return larger;
}

/* What there seems to be, and a byte more, so that the end is seen; 0 if the file does not tell. */
static size_t room_for(const struct statx *status, size_t most_bytes)
{
    uint64_t want_bytes = status->stx_size + 1;
    if (status->stx_size == 0 || !S_ISREG(status->stx_mode))
        want_bytes = READ_LEAST_BYTES;
    return want_bytes < most_bytes ? (size_t)want_bytes : most_bytes;
}

/* From the position of `fd`, to its end. `most_bytes` are one more than there may be. */
coil_async(coil_slice, read_rest, (int) fd, (size_t) room_bytes, (size_t) most_bytes)
{
    coil_vars(coil_buffer *buffer; size_t used_bytes; ssize_t count);

    my->buffer = private_buffer_create(room_bytes);
    if (my->buffer == NULL)
        return (coil_slice){-ENOMEM, NULL, NULL};
    coil_defer(if (my->buffer != NULL) buffer_put(my->buffer));
    for (;;) {
        coil_attempt(my->count, coil_read(fd, my->buffer->bytes + my->used_bytes,
                                        my->buffer->size_bytes - my->used_bytes));
        if (my->count == 0)
            break;
        my->used_bytes += (size_t)my->count;
        if (my->used_bytes == most_bytes)
            return (coil_slice){-EFBIG, NULL, NULL};
        if (my->used_bytes < my->buffer->size_bytes)
            continue;
        coil_buffer *larger = enlarged(my->buffer, my->used_bytes, most_bytes);
        if (larger == NULL)
            return (coil_slice){-ENOMEM, NULL, NULL};
        my->buffer = larger;
    }
    if (my->used_bytes == 0)
        return (coil_slice){0, NULL, NULL};
    coil_slice all = buffer_fill(my->buffer, (int64_t)my->used_bytes);
    my->buffer = NULL;
    return all;
}

coil_define(coil_slice, coil_read_file, (const char *) path, (size_t) limit_bytes)
{
    coil_vars(int fd; struct statx status; size_t most_bytes; coil_slice all);

    my->most_bytes = limit_bytes < SSIZE_MAX ? limit_bytes + 1 : SSIZE_MAX;
    coil_attempt(my->fd, coil_openat(AT_FDCWD, path, O_RDONLY, 0));
    coil_defer(coil_ignore(coil_close(my->fd)));
    coil_attempt(coil_statx(my->fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_TYPE, &my->status));
    coil_await(my->all, read_rest(my->fd, room_for(&my->status, my->most_bytes), my->most_bytes));
    return my->all;
}

/* ------------------------------------------------------------------------ temporary files -- */

static void put_random(char text[RANDOM_COUNT])
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    unsigned char bytes[RANDOM_COUNT];
    coil_kernel_random(bytes, sizeof(bytes));
    for (int i = 0; i < RANDOM_COUNT; i++)
        text[i] = letters[bytes[i] % (sizeof(letters) - 1)];
}

/* A file that did not exist, at `path`, whose random part is `random`: its descriptor. */
coil_async(int, create_new, (int) directory, (char *) path, (char *) random, (mode_t) mode)
{
    coil_vars(int fd; int i);

    for (my->i = 0; my->i < TRIES; my->i++) {
        put_random(random);
        coil_await(my->fd, coil_openat(directory, path, O_RDWR | O_CREAT | O_EXCL, mode));
        if (my->fd != -EEXIST)
            return my->fd;
    }
    return -EEXIST;
}

/* Where the XXXXXX is, or NULL. */
static char *random_part(char *path)
{
    size_t length = strlen(path);
    if (length < RANDOM_COUNT)
        return NULL;
    char *part = path + length - RANDOM_COUNT;
    return strcmp(part, "XXXXXX") == 0 ? part : NULL;
}

coil_define(int, coil_make_temporary, (char *) path)
{
    coil_vars(int fd);

    char *random = random_part(path);
    if (random == NULL)
        return -EINVAL;
    coil_await(my->fd, create_new(AT_FDCWD, path, random, 0600));
    return my->fd;
}

coil_define(int, coil_make_temporary_directory, (char *) path)
{
    coil_vars(int rc; int i; char *random);

    my->random = random_part(path);
    if (my->random == NULL)
        return -EINVAL;
    for (my->i = 0; my->i < TRIES; my->i++) {
        put_random(my->random);
        coil_await(my->rc, coil_mkdirat(AT_FDCWD, path, 0700));
        if (my->rc != -EEXIST)
            return my->rc;
    }
    return -EEXIST;
}

/* A file whose name is taken away again. */
coil_async(int, open_unnamed, (int) directory)
{
    coil_vars(int fd; int rc; char name[sizeof(".XXXXXX")]);

    memcpy(my->name, ".XXXXXX", sizeof(my->name));
    coil_attempt(my->fd, create_new(directory, my->name, my->name + 1, 0600));
    coil_await(my->rc, coil_shield(coil_unlinkat(directory, my->name, 0)));
    if (my->rc == 0)
        return my->fd;
    coil_close_later(coil_loop_of(coil_self), my->fd);
    return my->rc;
}

coil_define(int, coil_open_temporary, (const char *) directory)
{
    coil_vars(int fd; int parent);

    coil_await(my->fd, coil_openat(AT_FDCWD, directory, O_RDWR | O_TMPFILE, 0600));
    if (my->fd != -EOPNOTSUPP && my->fd != -EISDIR)
        return my->fd;
    coil_attempt(my->parent, coil_openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0));
    coil_defer(coil_ignore(coil_close(my->parent)));
    coil_await(my->fd, open_unnamed(my->parent));
    return my->fd;
}

/* ------------------------------------------------------------------------------ replacing -- */

/* The part of a path behind the last slash. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Open the directory that a path leads into. */
coil_async(int, open_parent, (const char *) path)
{
    coil_vars(int fd; char *parent);

    size_t length = (size_t)(name_of(path) - path);
    my->parent = length == 0 ? strdup(".") : strndup(path, length);
    if (my->parent == NULL)
        return -ENOMEM;
    coil_defer(free(my->parent));
    coil_await(my->fd, coil_openat(AT_FDCWD, my->parent, O_RDONLY | O_DIRECTORY, 0));
    return my->fd;
}

/* What is written gets its name; its directory knows it for good. */
coil_async(int, publish, (int) directory, (const char *) temporary, (const char *) name)
{
    coil_vars();

    coil_attempt(coil_renameat(directory, temporary, directory, name, 0));
    coil_attempt(coil_directory_sync(directory, ""));
    return 0;
}

coil_define(int, coil_replace_file, (const char *) path, (coil_slice) bytes, (mode_t) mode)
{
    coil_vars(int directory; int fd; int rc; bool is_there; size_t stem_count;
              char temporary[NAME_MAX + 1]);

    if (bytes.size_bytes < 0)
        return (int)bytes.size_bytes;
    const char *name = name_of(path);
    size_t name_count = strlen(name);
    if (name_count == 0)
        return *path == '\0' ? -ENOENT : -EISDIR;
    if (name_count > NAME_MAX)
        return -ENAMETOOLONG;
    my->stem_count = name_count < STEM_COUNT ? name_count : STEM_COUNT;
    my->temporary[0] = '.';
    memcpy(my->temporary + 1, name, my->stem_count);
    memset(my->temporary + 1 + my->stem_count, 0, sizeof(my->temporary) - 1 - my->stem_count);
    my->temporary[1 + my->stem_count] = '.';

    coil_attempt(my->directory, open_parent(path));
    coil_defer(coil_ignore(coil_close(my->directory)));
    coil_attempt(my->fd,
            create_new(my->directory, my->temporary, my->temporary + my->stem_count + 2, mode));
    my->is_there = true;
    coil_defer(if (my->is_there) coil_ignore(coil_unlinkat(my->directory, my->temporary, 0)));
    coil_defer(coil_ignore(coil_close(my->fd)));
    if (bytes.size_bytes > 0)
        coil_attempt(coil_pwrite_all(my->fd, bytes.bytes, (size_t)bytes.size_bytes, 0));
    coil_attempt(coil_fsync(my->fd, false));
    coil_await(my->rc, coil_shield(publish(my->directory, my->temporary, name_of(path))));
    my->is_there = my->rc < 0; /* (If the directory could not be synced, nothing is removed.) */
    return my->rc;
}

/* -------------------------------------------------------------------------------- copying -- */

/* The bytes that the kernel has copied, up to the end of the file; or an error, after none. */
coil_blocking(int64_t, copy_range, (int) from, (int) to)
{
    int64_t done_bytes = 0;
    while (!coil_blocking_is_cancelled()) {
        ssize_t count = coil_kernel_copy_file_range(from, to, COPY_RANGE_BYTES);
        if (count <= 0)
            return done_bytes > 0 || count == 0 ? done_bytes : count;
        done_bytes += count;
    }
    return -ECANCELED;
}

/* Through our memory, from `offset` on: where it ends. */
coil_async(int64_t, copy_by_us, (int) from, (int) to, (int64_t) offset)
{
    coil_vars(char *bytes; ssize_t count; int64_t at);

    my->bytes = malloc(COPY_BYTES);
    if (my->bytes == NULL)
        return -ENOMEM;
    coil_defer(free(my->bytes));
    my->at = offset;
    for (;;) {
        coil_attempt(my->count, coil_pread(from, my->bytes, COPY_BYTES, my->at));
        if (my->count == 0)
            return my->at;
        coil_attempt(coil_pwrite_all(to, my->bytes, (size_t)my->count, my->at));
        my->at += my->count;
    }
}

/*
 * Whatever the kernel could not copy, for whatever reason, is left to us, and so is the decision
 * that nothing is left: of files that do not tell their size, as in proc(5), it copies nothing.
 */
coil_async(int64_t, copy_bytes, (int) from, (int) to)
{
    coil_vars(int64_t done_bytes);

    coil_await(my->done_bytes, copy_range(from, to));
    if (my->done_bytes < 0)
        my->done_bytes = 0;
    coil_attempt(my->done_bytes, copy_by_us(from, to, my->done_bytes));
    return my->done_bytes;
}

coil_define(int64_t, coil_copy_file, (const char *) from, (const char *) to)
{
    coil_vars(int source; int copy; int64_t count; struct statx status);

    coil_attempt(my->source, coil_openat(AT_FDCWD, from, O_RDONLY, 0));
    coil_defer(coil_ignore(coil_close(my->source)));
    coil_attempt(coil_statx(my->source, "", AT_EMPTY_PATH, STATX_MODE | STATX_TYPE, &my->status));
    if (S_ISDIR(my->status.stx_mode))
        return -EISDIR;
    coil_attempt(my->copy,
            coil_openat(AT_FDCWD, to, O_WRONLY | O_CREAT | O_EXCL, my->status.stx_mode & 0777));
    my->count = -ECANCELED;
    coil_defer(if (my->count < 0) coil_ignore(coil_unlinkat(AT_FDCWD, to, 0)));
    coil_defer(coil_ignore(coil_close(my->copy)));
    coil_attempt(my->count, copy_bytes(my->source, my->copy));
    return my->count;
}
