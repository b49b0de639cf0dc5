/* SPDX-License-Identifier: MIT */
/* The calls of coil/kernel.h that are about files and pipes, for the current process. */
#include <coil/kernel.h>

#include "disk.h"
#include "fiber.h"
#include "inotify.h"
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>

static sim_file *file_of(int fd)
{
    return sim_descriptor_file(sim_process_current(), fd);
}

/* --------------------------------------------------------------------------------- by path -- */

int coil_kernel_openat(int directory, const char *path, int flags)
{
    const sim_opening opening = {directory, path, flags, 0600};
    sim_file *file = NULL;

    sim_fiber_pass();
    sim_process *process = sim_process_current();
    const int rc = sim_open(process, &opening, &file);
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

int coil_kernel_mkdir(const char *path)
{
    sim_fiber_pass();
    return sim_mkdir(sim_process_current(), AT_FDCWD, path, 0755);
}

int coil_kernel_rmdir(const char *path)
{
    sim_fiber_pass();
    return sim_unlink(sim_process_current(), AT_FDCWD, path, AT_REMOVEDIR);
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
    const int rc = sim_stat(sim_process_current(), AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &status);
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

/* --------------------------------------------------------------------------- by descriptor -- */

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

int coil_kernel_ftruncate(int fd, off_t size_bytes)
{
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    return file == NULL ? -EBADF : sim_file_truncate(file, size_bytes);
}

ssize_t coil_kernel_getdents(int fd, void *entries, size_t size_bytes)
{
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    return file == NULL ? -EBADF : sim_directory_read(file, entries, size_bytes);
}

/* As between two file systems, and more: whoever calls it has another way to copy. */
ssize_t coil_kernel_copy_file_range(int from, int to, size_t size_bytes)
{
    (void)size_bytes;
    sim_fiber_pass();
    return file_of(from) == NULL || file_of(to) == NULL ? -EBADF : -EXDEV;
}

int coil_kernel_inotify(void)
{
    sim_fiber_pass();
    return sim_descriptor_install(sim_process_current(), sim_inotify_create(sim_here()), 0);
}

int coil_kernel_inotify_add(int fd, const char *path, uint32_t mask)
{
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    return file == NULL ? -EBADF : sim_inotify_add(sim_process_current(), file, path, mask);
}

int coil_kernel_inotify_remove(int fd, int watch)
{
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    return file == NULL ? -EBADF : sim_inotify_remove(file, watch);
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

int coil_kernel_pipe_held(int fd)
{
    sim_fiber_pass();
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    const sim_pipe_end *end = sim_pipe_end_of(file);
    return end == NULL ? -ENOTTY : (int)sim_pipe_filled_bytes(end->pipe);
}
