/* SPDX-License-Identifier: MIT */
#include "log_file.h"

#include "log_journal.h"

#include <coil/directory.h>
#include <coil/file.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_DIGITS = 6, /* At least. */
    NUMBER_TRIES = 100,
    PATH_ROOM_BYTES = PATH_MAX + 16,
};

/* How often we look whether somebody has moved the file, and try again what has failed. */
#define LOOK_EVERY coil_s(1)

/* So long a write may wait for its turn, see write_lines(). */
#define DETOUR_AFTER coil_ms(200)

static int64_t us_of(struct statx_timestamp time)
{
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static uint64_t device_of(const struct statx *status)
{
    return (uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor;
}

static void full_path(const log_file *file, uint32_t number, char out[PATH_ROOM_BYTES])
{
    (void)snprintf(out, PATH_ROOM_BYTES, "%s.%0*u", file->path, NUMBER_DIGITS, number);
}

/* ---------------------------------------------------------------------------- the full ones -- */

static int remember(log_file *file, uint32_t number, uint64_t size_bytes)
{
    if (file->full_count == file->full_room) {
        const unsigned room = file->full_room * 2 + 4;
        log_full *larger = realloc(file->full, room * sizeof(*larger));
        if (larger == NULL)
            return -ENOMEM;
        file->full = larger;
        file->full_room = room;
    }
    file->full[file->full_count++] = (log_full){size_bytes, number};
    if (number >= file->next_number)
        file->next_number = number + 1;
    return 0;
}

static bool too_many(const log_file *file)
{
    uint64_t sum_bytes = 0;
    if (file->full_count > file->keep_files)
        return true;
    if (file->keep_bytes == 0 || file->full_count <= 1)
        return false;
    for (unsigned i = 0; i < file->full_count; i++)
        sum_bytes += file->full[i].size_bytes;
    return sum_bytes > file->keep_bytes;
}

/* Remove the oldest ones. What cannot be removed is forgotten: it is somebody else's business. */
coil_async(void, prune, (log_file *) file)
{
    coil_vars(char path[PATH_ROOM_BYTES]; int rc);

    while (too_many(file)) {
        full_path(file, file->full[0].number, my->path);
        file->full_count--;
        memmove(file->full, file->full + 1, file->full_count * sizeof(*file->full));
        coil_await(my->rc, coil_unlinkat(AT_FDCWD, my->path, 0));
    }
}

/* The number of "name.000017", or 0. */
static uint32_t number_of(const char *entry, const char *name)
{
    const size_t name_bytes = strlen(name);
    uint64_t number = 0;

    if (strncmp(entry, name, name_bytes) != 0 || entry[name_bytes] != '.')
        return 0;
    const char *digit = entry + name_bytes + 1;
    if (strlen(digit) < NUMBER_DIGITS)
        return 0;
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return 0;
        number = number * 10 + (uint64_t)(*digit - '0');
        if (number >= UINT32_MAX)
            return 0;
    }
    return (uint32_t)number;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static int by_number(const void *one, const void *other)
{
    const uint32_t a = ((const log_full *)one)->number;
    const uint32_t b = ((const log_full *)other)->number;
    return a < b ? -1 : a > b;
}

coil_async(int, find_full_in, (log_file *) file, (coil_directory *) directory)
{
    coil_vars(coil_directory_entry entry; struct statx status; uint32_t number; int rc);

    for (;;) {
        coil_attempt(my->rc, coil_directory_next(directory, &my->entry));
        if (my->rc == 0)
            return 0;
        my->number = number_of(my->entry.name, name_of(file->path));
        if (my->number == 0)
            continue;
        coil_await(my->rc, coil_statx(coil_directory_fd(directory), my->entry.name,
                                   AT_SYMLINK_NOFOLLOW, STATX_SIZE, &my->status));
        int rc = remember(file, my->number, my->rc == 0 ? my->status.stx_size : 0);
        if (rc < 0)
            return rc;
    }
}

coil_async(int, find_full, (log_file *) file)
{
    coil_vars(char path[PATH_ROOM_BYTES]; coil_directory *directory; int rc);

    const size_t directory_bytes = (size_t)(name_of(file->path) - file->path);
    (void)snprintf(my->path, sizeof(my->path), "%.*s", (int)directory_bytes, file->path);
    if (directory_bytes == 0)
        (void)snprintf(my->path, sizeof(my->path), ".");
    coil_await(my->directory, coil_directory_open(AT_FDCWD, my->path));
    my->rc = coil_pointer_error(my->directory);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_directory_close(my->directory));
    coil_attempt(find_full_in(file, my->directory));
    if (file->full_count > 1)
        qsort(file->full, file->full_count, sizeof(*file->full), by_number);
    return 0;
}

/* --------------------------------------------------------------------------------- the file -- */

/* The writes of this file go another way, see write_lines(). */
static int begin_detour(log_file *file)
{
    const coil_blocking_options one_thread = {.name = "log", .threads_max_count = 1};
    return coil_blocking_pool_create(&one_thread, &file->detour);
}

static void end_detour(log_file *file)
{
    (void)coil_blocking_pool_destroy(file->detour); /* Nothing is in it. */
    file->detour = NULL;
}

coil_blocking(int, cut_by_thread, (int) fd, (uint64_t) size_bytes)
{
    return coil_kernel_ftruncate(fd, (off_t)size_bytes);
}

/* io_uring has ftruncate(2) since Linux 6.9. */
coil_async(int, cut, (int) fd, (uint64_t) size_bytes)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_ftruncate(fd, (off_t)size_bytes));
    if (my->rc == -EINVAL)
        coil_await(my->rc, cut_by_thread(fd, size_bytes));
    return my->rc;
}

/* Cut off what a process was writing when it was killed: it will be written again. */
coil_async(int, mend, (log_file *) file, (int) fd, (struct statx *) status)
{
    coil_vars(uint64_t offset; int rc);

    if (file->journal == NULL)
        return 0;
    if (!log_journal_is_torn(file->journal, status->stx_ino, device_of(status), &my->offset))
        return 0;
    if (my->offset < status->stx_size) {
        coil_attempt(cut(fd, my->offset));
        status->stx_size = my->offset;
    }
    log_journal_mended(file->journal, status->stx_ino, device_of(status));
    return 0;
}

/* What the file has at its end is made a whole line. */
coil_async(int, end_last_line, (int) fd, (struct statx *) status)
{
    coil_vars(char last; ssize_t count);

    if (status->stx_size == 0)
        return 0;
    coil_await(my->count, coil_pread_all(fd, &my->last, 1, (off_t)status->stx_size - 1));
    if (my->count != 1 || my->last == '\n')
        return 0;
    coil_attempt(coil_pwrite_all(fd, "\n", 1, (off_t)status->stx_size));
    status->stx_size++;
    return 0;
}

/* That file is the current one from now on; there is no other. */
static void use(coil_loop *loop, log_file *file, int fd, const struct statx *status)
{
    const bool knows_birth = (status->stx_mask & STATX_BTIME) != 0;

    file->fd = fd;
    file->size_bytes = status->stx_size;
    file->inode = status->stx_ino;
    file->device = device_of(status);
    file->born_us = us_of(knows_birth ? status->stx_btime : status->stx_ctime);
    file->looked_at = coil_loop_now(loop);
    end_detour(file);
}

/* The one at the path, which may be new. */
coil_async(int, open_current, (log_file *) file)
{
    coil_vars(struct statx status; int fd);

    coil_attempt(my->fd, coil_openat(AT_FDCWD, file->path, O_RDWR | O_CREAT, file->mode));
    coil_defer(if (my->fd >= 0) coil_ignore(coil_close(my->fd)));
    coil_attempt(coil_statx(my->fd, "", AT_EMPTY_PATH,
            STATX_SIZE | STATX_INO | STATX_BTIME | STATX_CTIME, &my->status));
    coil_attempt(mend(file, my->fd, &my->status));
    coil_attempt(end_last_line(my->fd, &my->status));
    use(coil_loop_of(coil_self), file, my->fd, &my->status);
    my->fd = -1;
    return 0;
}

coil_define(int, log_file_open, (log_file *) file)
{
    coil_vars(int rc);

    file->fd = -1;
    file->next_number = 1;
    if (strlen(file->path) + 16 > PATH_MAX)
        return -ENAMETOOLONG;
    coil_attempt(find_full(file));
    coil_await(my->rc, open_current(file));
    return my->rc;
}

/* It is left: the first error stays. */
coil_async(void, leave, (log_file *) file, (int) fd)
{
    coil_vars(int rc);

    if (file->sync)
        coil_await(my->rc, coil_fsync(fd, true));
    if (file->sync_error == 0)
        file->sync_error = my->rc;
    coil_await(my->rc, coil_close(fd));
    if (file->sync_error == 0)
        file->sync_error = my->rc;
}

coil_define(int, log_file_close, (log_file *) file)
{
    coil_vars();

    if (file->fd >= 0)
        coil_await(leave(file, file->fd));
    file->fd = -1;
    free(file->full);
    file->full = NULL;
    end_detour(file);
    return file->sync_error;
}

/* The new one is open before the old one is left, and if that fails, the old one is used on. */
coil_async(int, change_current, (log_file *) file)
{
    coil_vars(int old; int rc);

    my->old = file->fd;
    file->fd = -1;
    coil_await(my->rc, open_current(file));
    if (my->rc < 0) {
        file->fd = my->old;
        return my->rc;
    }
    coil_await(leave(file, my->old));
    return 0;
}

/*
 * Somebody else may have moved or removed the file, and expects a new one; or have cut it
 * (logrotate with copytruncate), and a write where it ended would leave a hole.
 */
coil_async(int, look, (log_file *) file)
{
    coil_vars(struct statx status; int rc);

    coil_await(my->rc,
            coil_statx(AT_FDCWD, file->path, 0, STATX_INO | STATX_SIZE | STATX_TYPE, &my->status));
    const bool is_ours = my->rc == 0 && my->status.stx_ino == file->inode &&
                         device_of(&my->status) == file->device;
    if (is_ours || (my->rc < 0 && my->rc != -ENOENT)) {
        if (is_ours && my->status.stx_size < file->size_bytes)
            file->size_bytes = my->status.stx_size;
        file->looked_at = coil_task_now(coil_self);
        return 0;
    }
    coil_await(my->rc, coil_shield(change_current(file))); /* Half-way there are two files. */
    if (my->rc < 0)
        return my->rc;
    file->reopening_count++;
    return 0;
}

/* -------------------------------------------------------------------------------- rotation -- */

/* Give the current file its number. File systems that cannot refuse to replace are trusted. */
coil_async(int, number_current, (log_file *) file, (char *) path)
{
    coil_vars(int rc; int tries);

    for (my->tries = 0; my->tries < NUMBER_TRIES; my->tries++) {
        full_path(file, file->next_number, path);
        coil_await(my->rc, coil_renameat(AT_FDCWD, file->path, AT_FDCWD, path, RENAME_NOREPLACE));
        if (my->rc == -EINVAL)
            coil_await(my->rc, coil_renameat(AT_FDCWD, file->path, AT_FDCWD, path, 0));
        if (my->rc != -EEXIST)
            return my->rc;
        file->next_number++;
    }
    return -EEXIST;
}

/* What cannot be remembered is found at the next start, and removed then. */
static void add_full(log_file *file, uint64_t size_bytes)
{
    if (remember(file, file->next_number, size_bytes) < 0)
        file->next_number++;
}

/* There is no new one: the old one gets its name back, or its number is taken for good. */
coil_async(void, rename_back, (log_file *) file, (const char *) path)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_renameat(AT_FDCWD, path, AT_FDCWD, file->path, RENAME_NOREPLACE));
    if (my->rc < 0)
        add_full(file, file->size_bytes);
}

coil_async(int, replace_current, (log_file *) file)
{
    coil_vars(char path[PATH_ROOM_BYTES]; int rc; uint64_t size_bytes);

    coil_attempt(number_current(file, my->path));
    my->size_bytes = file->size_bytes;
    coil_await(my->rc, change_current(file));
    if (my->rc < 0) {
        coil_await(rename_back(file, my->path));
        return my->rc;
    }
    file->rotation_count++;
    add_full(file, my->size_bytes);
    return 0;
}

coil_define(int, log_file_rotate, (log_file *) file)
{
    coil_vars(int rc);

    if (file->size_bytes == 0)
        return 0;
    coil_await(my->rc, coil_shield(replace_current(file))); /* Half-way there are two files. */
    if (my->rc < 0) {
        file->rotate_at = coil_time_after(coil_task_now(coil_self), LOOK_EVERY);
        return my->rc;
    }
    coil_await(prune(file));
    return 0;
}

/* --------------------------------------------------------------------------------- storing -- */

/* Of these lines, how much is still for this file; 0: it is full. Whole lines, and one at least. */
static size_t share_of(const log_file *file, const char *lines, size_t size_bytes)
{
    const uint64_t room_bytes =
            file->size_bytes < file->rotate_bytes ? file->rotate_bytes - file->size_bytes : 0;
    if (size_bytes <= room_bytes)
        return size_bytes;
    const char *last = room_bytes == 0 ? NULL : memrchr(lines, '\n', (size_t)room_bytes);
    if (last != NULL)
        return (size_t)(last - lines) + 1;
    if (file->size_bytes > 0)
        return 0;
    last = memchr(lines, '\n', size_bytes);
    return last == NULL ? size_bytes : (size_t)(last - lines) + 1;
}

static void begin_share(log_file *file)
{
    log_share *share = file->share;
    if (share == NULL)
        return;
    share->inode = file->inode;
    share->device = file->device;
    share->offset = file->size_bytes;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&share->progress, share->progress | 1, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void end_share(log_file *file, size_t size_bytes)
{
    log_share *share = file->share;
    if (share == NULL)
        return;
    const uint64_t before = share->progress & ~UINT64_C(1);
    __atomic_store_n(&share->progress, before + 2 * size_bytes, __ATOMIC_RELEASE);
}

coil_blocking_in(file->detour, int, write_by_thread, (const log_file *) file, (const char *) lines,
        (size_t) size_bytes)
{
    size_t done_bytes = 0;
    while (done_bytes < size_bytes) {
        const ssize_t count = coil_kernel_pwrite(file->fd, lines + done_bytes,
                size_bytes - done_bytes, (off_t)(file->size_bytes + done_bytes));
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? (int)count : -EIO;
        done_bytes += (size_t)count;
    }
    return 0;
}

/*
 * io_uring serialises writes whose files have the same hash, and it has 64: behind a write that
 * hangs, those of other files, on other disks, may wait for ever (io_wq_hash_work(), Linux 6.18).
 * One that has not begun in a while can be taken back. It is done by a thread of ours then, as all
 * others are until there is another file; one that has begun is waited for, as ever.
 */
coil_async(int, write_lines, (log_file *) file, (const char *) lines, (size_t) size_bytes)
{
    coil_vars(int rc);

    if (file->detour == NULL) {
        coil_await(my->rc, coil_within(DETOUR_AFTER, coil_pwrite_all(file->fd, lines, size_bytes,
                                                             (off_t)file->size_bytes)));
        if (my->rc != -ETIME)
            return my->rc;
        my->rc = begin_detour(file);
        if (my->rc < 0)
            return my->rc;
    }
    coil_await(my->rc, write_by_thread(file, lines, size_bytes));
    return my->rc;
}

/* All of it, or nothing: no part of a line is to stay. */
coil_async(int, write_share, (log_file *) file, (const char *) lines, (size_t) size_bytes)
{
    coil_vars(int rc; bool is_whole);

    begin_share(file);
    coil_defer(if (!my->is_whole) coil_ignore(cut(file->fd, file->size_bytes)));
    coil_attempt(my->rc, write_lines(file, lines, size_bytes));
    my->is_whole = true;
    file->size_bytes += size_bytes;
    file->stored_bytes += size_bytes;
    end_share(file, size_bytes);
    return 0;
}

/* The wall clock may be set: a file from the future begins now. */
static bool is_old(log_file *file, int64_t time_us)
{
    if (file->born_us > time_us)
        file->born_us = time_us;
    return file->rotate_age > 0 && file->size_bytes > 0 &&
           time_us - file->born_us >= file->rotate_age / 1000;
}

/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_define(int, log_file_put, (log_file *) file, (const char *) lines, (size_t) size_bytes,
        (int64_t) time_us, (size_t *) done_bytes)
{
    coil_vars(size_t share_bytes; int rc);

    if (coil_task_now(coil_self) >= coil_time_after(file->looked_at, LOOK_EVERY))
        coil_attempt(look(file));
    while (*done_bytes < size_bytes) {
        my->share_bytes = share_of(file, lines + *done_bytes, size_bytes - *done_bytes);
        const bool due = my->share_bytes == 0 || is_old(file, time_us);
        if (due && coil_task_now(coil_self) >= file->rotate_at) {
            coil_await(my->rc, log_file_rotate(file));
            continue;
        }
        if (my->share_bytes == 0) /* A rotation has failed: the file grows beyond its size. */
            my->share_bytes = size_bytes - *done_bytes;
        coil_attempt(write_share(file, lines + *done_bytes, my->share_bytes));
        *done_bytes += my->share_bytes;
    }
    return 0;
}
