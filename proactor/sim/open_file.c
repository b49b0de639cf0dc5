/* SPDX-License-Identifier: MIT */
/* Open regular files, directories, devices, and what O_PATH gives: the file types of a disk. */
#include "disk.h"
#include "inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <sys/inotify.h>
#include <sys/sysmacros.h>

sim_open_file *sim_open_file_of(sim_file *file)
{
    if (file->type != &sim_regular_type && file->type != &sim_directory_type &&
            file->type != &sim_device_type && file->type != &sim_path_type)
        return NULL;
    return coil_container_of(file, sim_open_file, file);
}

/* Of a file that is known to be one. */
static sim_open_file *own(sim_file *file)
{
    return coil_container_of(file, sim_open_file, file);
}

static bool may_read(const sim_open_file *open_file)
{
    return (open_file->flags & O_ACCMODE) != O_WRONLY;
}

static bool may_write(const sim_open_file *open_file)
{
    return (open_file->flags & O_ACCMODE) != O_RDONLY;
}

static void open_file_release(sim_file *file)
{
    sim_open_file *open_file = own(file);
    sim_inode *inode = open_file->inode;

    if ((open_file->flags & O_PATH) == 0)
        sim_inotify_file(open_file, may_write(open_file) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    inode->open_count--;
    sim_inotify_left(inode);
    sim_inode_drop(inode);
    sim_inode_drop(open_file->directory);
    sim_delete(open_file->name);
    sim_delete(open_file);
}

static int open_file_stat(sim_file *file, struct stat *out_status)
{
    sim_inode_stat(own(file)->inode, out_status);
    return 0;
}

/* -------------------------------------------------------------------------- regular files -- */

/* Observed: an end beyond the largest off_t is EINVAL, not EFBIG; so is any offset below -1. */
static int check_offset(const sim_open_file *open_file, const sim_io *io, int64_t *out_offset)
{
    const int64_t offset = io->offset == -1 ? open_file->position : io->offset;
    if (offset < 0 || (int64_t)sim_io_left(io) > INT64_MAX - offset)
        return -EINVAL;
    *out_offset = offset;
    return 0;
}

static ssize_t regular_read(sim_file *file, sim_io *io)
{
    sim_open_file *open_file = own(file);
    int64_t offset = 0;

    if (!may_read(open_file))
        return -EBADF;
    int rc = check_offset(open_file, io, &offset);
    if (rc < 0)
        return rc;
    const ssize_t count = sim_inode_read(open_file->inode, io, offset);
    if (count > 0 && io->offset == -1)
        open_file->position = offset + count;
    if (count > 0)
        sim_inotify_file(open_file, IN_ACCESS);
    return count;
}

/*
 * open(2), O_APPEND: the end is looked up and written to in one step. On Linux this is so for
 * pwrite(2), too (its BUGS), and the position moves only if it was asked for (observed).
 */
static ssize_t regular_write(sim_file *file, sim_io *io)
{
    sim_open_file *open_file = own(file);
    sim_inode *inode = open_file->inode;
    int64_t offset = 0;

    if (!may_write(open_file))
        return -EBADF;
    int rc = check_offset(open_file, io, &offset);
    if (rc < 0)
        return rc;
    if ((open_file->flags & O_APPEND) != 0 || (io->flags & RWF_APPEND) != 0)
        offset = inode->live.size_bytes;
    const ssize_t count = sim_inode_write(inode, io, offset);
    if (count > 0 && io->offset == -1)
        open_file->position = offset + count;
    if (count > 0)
        sim_inotify_file(open_file, IN_MODIFY);
    const bool is_synced = (open_file->flags & O_DSYNC) != 0 || (io->flags & RWF_DSYNC) != 0;
    if (count > 0 && is_synced && sim_inode_sync(inode) < 0)
        return -EIO;
    return count;
}

static int regular_sync(sim_file *file, bool data_only)
{
    (void)data_only; /* The size is needed to read the data back, so fdatasync(2) writes it, too. */
    return sim_inode_sync(own(file)->inode);
}

const sim_file_type sim_regular_type = {
        .name = "file",
        .read = regular_read,
        .write = regular_write,
        .has_offset = true,
        .stat = open_file_stat,
        .sync = regular_sync,
        .release = open_file_release,
};

/* ---------------------------------------------------------------------------- directories -- */

static ssize_t directory_read(sim_file *file, sim_io *io)
{
    (void)file;
    return (io->flags & RWF_NOWAIT) != 0 ? -EOPNOTSUPP : -EISDIR; /* Both observed. */
}

/* It cannot have been opened for writing. */
static ssize_t refuse_write(sim_file *file, sim_io *io)
{
    (void)file;
    (void)io;
    return -EBADF;
}

static int directory_sync(sim_file *file, bool data_only)
{
    (void)data_only;
    if (sim_fault(file->world, SIM_FAULT_DISK_ERROR))
        return -EIO;
    sim_names_sync(own(file)->inode);
    return 0;
}

const sim_file_type sim_directory_type = {
        .name = "directory",
        .read = directory_read,
        .write = refuse_write,
        .has_offset = true,
        .stat = open_file_stat,
        .sync = directory_sync,
        .release = open_file_release,
};

/* -------------------------------------------------------------------------------- devices -- */

enum { DEVICE_NULL = 3, DEVICE_ZERO = 5, DEVICE_FULL = 7, DEVICE_RANDOM = 8, DEVICE_URANDOM = 9 };

static void put_zeros(sim_io *io)
{
    static const char zeros[SIM_PAGE_BYTES];
    while (sim_io_left(io) > 0)
        (void)sim_io_put(io, zeros, sizeof(zeros));
}

/* The same seed gives the same bytes. */
static void put_random(sim_world *world, sim_io *io)
{
    while (sim_io_left(io) > 0) {
        const uint64_t bytes = sim_random_next(&world->random);
        (void)sim_io_put(io, &bytes, sizeof(bytes));
    }
}

static ssize_t device_read(sim_file *file, sim_io *io)
{
    const sim_open_file *open_file = own(file);
    const size_t before_bytes = io->done_bytes;

    if (!may_read(open_file))
        return -EBADF;
    switch (minor(open_file->inode->device)) {
    case DEVICE_ZERO:
    case DEVICE_FULL:
        put_zeros(io);
        break;
    case DEVICE_RANDOM:
    case DEVICE_URANDOM:
        put_random(file->world, io);
        break;
    default:
        break; /* null(4): always the end. */
    }
    return (ssize_t)(io->done_bytes - before_bytes);
}

static ssize_t device_write(sim_file *file, sim_io *io)
{
    const sim_open_file *open_file = own(file);
    char bytes[512];
    const size_t before_bytes = io->done_bytes;

    if (!may_write(open_file))
        return -EBADF;
    if (minor(open_file->inode->device) == DEVICE_FULL)
        return -ENOSPC; /* full(4), also for nothing at all (observed). */
    while (sim_io_left(io) > 0)
        (void)sim_io_take(io, bytes, sizeof(bytes));
    return (ssize_t)(io->done_bytes - before_bytes);
}

const sim_file_type sim_device_type = {
        .name = "device",
        .read = device_read,
        .write = device_write,
        .has_offset = true,
        .stat = open_file_stat,
        .release = open_file_release,
};

/* --------------------------------------------------------------------------------- O_PATH -- */

/* open(2), O_PATH: everything but what looks at the file itself fails with EBADF. */
static ssize_t refuse_read(sim_file *file, sim_io *io)
{
    (void)file;
    (void)io;
    return -EBADF;
}

static int refuse_sync(sim_file *file, bool data_only)
{
    (void)file;
    (void)data_only;
    return -EBADF;
}

const sim_file_type sim_path_type = {
        .name = "path",
        .read = refuse_read,
        .write = refuse_write,
        .has_offset = true,
        .stat = open_file_stat,
        .sync = refuse_sync,
        .release = open_file_release,
};

/* --------------------------------------------------------------- of descriptors, not paths -- */

static int modified(sim_open_file *open_file, int rc)
{
    if (rc == 0)
        sim_inotify_file(open_file, IN_MODIFY);
    return rc;
}

/* ftruncate(2): EINVAL is also for what is not open for writing (observed). */
int sim_file_truncate(sim_file *file, int64_t size_bytes)
{
    sim_open_file *open_file = sim_open_file_of(file);

    if (size_bytes < 0)
        return -EINVAL;
    if (file->type == &sim_path_type)
        return -EBADF;
    if (file->type != &sim_regular_type || !may_write(open_file))
        return -EINVAL;
    return modified(open_file, sim_inode_truncate(open_file->inode, size_bytes));
}

/* fallocate(2): ESPIPE for a pipe, ENODEV for what is neither file nor directory. */
int sim_file_allocate(sim_file *file, int mode, int64_t offset, int64_t size_bytes)
{
    sim_open_file *open_file = sim_open_file_of(file);

    if (offset < 0 || size_bytes <= 0)
        return -EINVAL;
    if (open_file == NULL)
        return -ESPIPE;
    if (file->type == &sim_path_type || !may_write(open_file))
        return -EBADF;
    if (file->type != &sim_regular_type)
        return -ENODEV;
    return modified(open_file, sim_inode_allocate(open_file->inode, mode, offset, size_bytes));
}

int sim_stat_file(sim_file *file, struct stat *out_status)
{
    if (file->type->stat != NULL)
        return file->type->stat(file, out_status);
    /* sockfs and its like: a node without a name. */
    *out_status = (struct stat){
            .st_mode = (file->type->recv != NULL ? S_IFSOCK | 0777 : 0600),
            .st_nlink = 1,
            .st_ino = file->id,
            .st_uid = SIM_USER,
            .st_gid = SIM_USER,
            .st_blksize = SIM_PAGE_BYTES,
    };
    return 0;
}
