/* SPDX-License-Identifier: MIT */
/* The calls of coil/kernel.h that are about files and pipes, for the current process. */
#include <coil/kernel.h>

#include "disk.h"
#include "fiber.h"
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

static sim_file *file_of(int fd)
{
    return sim_descriptor_file(sim_process_current(), fd);
}

/* --------------------------------------------------------------------------------- by path -- */

/* fifo(7): open(2) without O_NONBLOCK waits for the other end. */
static void wait_for_other_end(sim_file *file)
{
    const sim_pipe_end *end = sim_pipe_end_of(file);
    while (!sim_fifo_is_connected(end))
        (void)sim_fiber_wait(&file->waiters, COIL_NEVER, "the other end of a FIFO");
}

int coil_kernel_openat(int directory, const char *path, int flags)
{
    const sim_opening opening = {directory, path, flags, 0};
    sim_file *file = NULL;

    sim_fiber_pass();
    sim_process *process = sim_process_current();
    int rc = sim_open(process, &opening, &file);
    if (rc == -EAGAIN) {
        wait_for_other_end(file);
        rc = 0;
    }
    return rc < 0 ? rc : sim_descriptor_install(process, file, 0);
}

int coil_kernel_fstatat(int directory, const char *path, struct stat *out_status)
{
    sim_fiber_pass();
    return sim_stat(sim_process_current(), directory, path, 0, out_status);
}

int coil_kernel_faccessat(int directory, const char *path, int mode)
{
    sim_fiber_pass();
    return sim_access(sim_process_current(), directory, path, mode, AT_EACCESS);
}

int coil_kernel_unlink(const char *path)
{
    sim_fiber_pass();
    return sim_unlink(sim_process_current(), AT_FDCWD, path, 0);
}

int coil_kernel_is_socket(const char *path)
{
    struct stat status;
    sim_fiber_pass();
    const int rc =
            sim_stat(sim_process_current(), AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &status);
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

/* --------------------------------------------------------------------------- by descriptor -- */

int coil_kernel_is_device(int fd)
{
    struct stat status;
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    const int rc = sim_stat_file(file, &status);
    return rc < 0 ? rc : S_ISCHR(status.st_mode);
}

/* Of what is on no disk, such as a pipe, there is little to say (observed: no blocks). */
int coil_kernel_fstatvfs(int fd, struct statvfs *out_status)
{
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    const sim_open_file *open_file = sim_open_file_of(file);
    if (open_file != NULL) {
        sim_disk_statvfs(open_file->inode->disk, out_status);
    } else {
        *out_status = (struct statvfs){
                .f_bsize = SIM_PAGE_BYTES, .f_frsize = SIM_PAGE_BYTES, .f_namemax = NAME_MAX};
    }
    return 0;
}

/* fcntl(2): EINVAL for a number that is negative or beyond RLIMIT_NOFILE. */
int coil_kernel_dup_above(int fd, int lowest)
{
    sim_fiber_pass();
    sim_process *process = sim_process_current();
    sim_file *file = sim_descriptor_file(process, fd);
    if (file == NULL)
        return -EBADF;
    if (lowest < 0 || (unsigned)lowest >= process->descriptor_limit)
        return -EINVAL;
    return sim_descriptor_install(process, sim_file_hold(file), lowest);
}

int coil_kernel_pipe(int out_fds[2])
{
    sim_file *files[2];
    sim_fiber_pass();
    sim_process *process = sim_process_current();
    sim_pipe_create(process->world, false, files);
    const int reader = sim_descriptor_install(process, files[0], 0);
    if (reader < 0) {
        sim_file_drop(files[1]);
        return reader;
    }
    const int writer = sim_descriptor_install(process, files[1], 0);
    if (writer < 0) {
        (void)sim_descriptor_close(process, reader);
        return writer;
    }
    out_fds[0] = reader;
    out_fds[1] = writer;
    return 0;
}

/* ------------------------------------------------------------------------------- transfers -- */

static ssize_t read_at(int fd, const struct iovec *part, off_t offset, int flags)
{
    sim_io io = {.parts = part, .part_count = 1, .size_bytes = part->iov_len, .offset = offset,
            .flags = flags, .process = sim_process_current()};
    sim_file *file = file_of(fd);

    if (file == NULL)
        return -EBADF;
    if (offset < 0)
        return -EINVAL; /* pread(2); -1 is the position only inside of this kernel. */
    /* Only a part of it is cached: the one way in which a file on a disk is read short. */
    if (flags == RWF_NOWAIT && io.size_bytes > 1 && sim_fault(file->world, SIM_FAULT_SHORT_READ))
        io.size_bytes = 1 + (size_t)sim_random_below(file->world, io.size_bytes - 1);
    return sim_file_read(file, &io);
}

ssize_t coil_kernel_pread(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    sim_fiber_pass();
    return read_at(fd, &part, offset, 0);
}

ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    sim_fiber_pass();
    return read_at(fd, &part, offset, RWF_NOWAIT);
}

/*
 * write(2) to what is blocking takes all of it, and meanwhile waits. The file is held, as another
 * thread may close the descriptor.
 */
static ssize_t write_all(sim_file *file, sim_io *io)
{
    ssize_t rc;
    do {
        rc = sim_file_write(file, io);
        if (rc == -EAGAIN && !file->is_nonblocking)
            rc = sim_file_wait(file, POLLOUT, COIL_NEVER);
        if (rc < 0)
            break;
    } while (sim_io_left(io) > 0 && !file->is_nonblocking && !file->type->has_offset);
    return io->done_bytes > 0 ? (ssize_t)io->done_bytes : rc;
}

ssize_t coil_kernel_write(int fd, const void *bytes, size_t size_bytes)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): iovec knows no const. */
    const struct iovec part = {(void *)(uintptr_t)bytes, size_bytes};
    sim_io io = {.parts = &part, .part_count = 1, .size_bytes = size_bytes, .offset = -1};

    sim_fiber_pass();
    io.process = sim_process_current();
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    (void)sim_file_hold(file);
    const ssize_t count = write_all(file, &io);
    sim_file_drop(file);
    return count;
}
