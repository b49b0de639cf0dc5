/* SPDX-License-Identifier: MIT */
/* The seam to the real kernel: files, directories, shared memory; what does not wait for them. */
#include "kernel_private.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int coil_kernel_mkdir(const char *path)
{
    return checked(mkdir(path, 0755));
}

int coil_kernel_rmdir(const char *path)
{
    return checked(rmdir(path));
}

int coil_kernel_openat(int directory, const char *path, int flags)
{
    return checked(openat(directory, path, flags | O_CLOEXEC, 0600));
}

ssize_t coil_kernel_getdents(int fd, void *entries, size_t size_bytes)
{
    return checked(syscall(SYS_getdents64, fd, entries, size_bytes));
}

ssize_t coil_kernel_copy_file_range(int from, int to, size_t size_bytes)
{
    return checked(copy_file_range(from, NULL, to, NULL, size_bytes, 0));
}

int coil_kernel_memory(const char *name, size_t size_bytes)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    int fd = checked(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0)
        return fd;
    int rc = checked(ftruncate(fd, (off_t)size_bytes));
    if (rc == 0)
        rc = checked(fcntl(fd, F_ADD_SEALS, seals));
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int coil_kernel_memory_seal(int fd)
{
    return checked(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
}

ssize_t coil_kernel_memory_size(int fd, bool is_sealed)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | (is_sealed ? F_SEAL_WRITE : 0);
    struct stat status;
    int seals = checked(fcntl(fd, F_GET_SEALS));
    if (seals < 0)
        return seals;
    if ((seals & wanted) != wanted)
        return -EPERM;
    int rc = checked(fstat(fd, &status));
    return rc < 0 ? rc : (ssize_t)status.st_size;
}

/* A shared mapping of what is sealed could become writable, says Linux before 6.7. */
int coil_kernel_memory_map(
        int fd, size_t size_bytes, coil_kernel_mapping mapping, void **out_memory)
{
    static const int flags[] = {
            [COIL_KERNEL_READS] = MAP_PRIVATE | MAP_POPULATE,
            [COIL_KERNEL_SHARES] = MAP_SHARED | MAP_POPULATE,
            [COIL_KERNEL_SPARSE] = MAP_SHARED | MAP_NORESERVE,
    };
    const int protection = mapping == COIL_KERNEL_READS ? PROT_READ : PROT_READ | PROT_WRITE;
    void *memory = mmap(NULL, size_bytes, protection, flags[mapping], fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *out_memory = memory;
    return 0;
}

void coil_kernel_memory_unmap(void *memory, size_t size_bytes)
{
    (void)munmap(memory, size_bytes);
}

void coil_kernel_memory_forget(void *memory, size_t size_bytes)
{
    (void)madvise(memory, size_bytes, MADV_REMOVE);
}

int coil_kernel_inotify(void)
{
    return checked(inotify_init1(IN_CLOEXEC));
}

int coil_kernel_inotify_add(int fd, const char *path, uint32_t mask)
{
    return checked(inotify_add_watch(fd, path, mask));
}

int coil_kernel_inotify_remove(int fd, int watch)
{
    return checked(inotify_rm_watch(fd, watch));
}

ssize_t coil_kernel_pread(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    ssize_t count = pread(fd, bytes, size_bytes, offset);
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_pwrite(int fd, const void *bytes, size_t size_bytes, off_t offset)
{
    ssize_t count = pwrite(fd, bytes, size_bytes, offset);
    return count < 0 ? -errno : count;
}

int coil_kernel_ftruncate(int fd, off_t size_bytes)
{
    return checked(ftruncate(fd, size_bytes));
}

ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    if (offset < 0)
        return -EINVAL; /* -1 would be the position of the file. */
    ssize_t count = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    return count < 0 ? -errno : count;
}

/* Some files do not know RWF_NOWAIT, pipes before Linux 6.4 among them. */
ssize_t coil_kernel_read_now(int fd, void *bytes, size_t size_bytes)
{
    const struct iovec part = {bytes, size_bytes};
    ssize_t count = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    if (count < 0 && errno == EOPNOTSUPP) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (poll(&one, 1, 0) <= 0)
            return -EAGAIN;
        count = read(fd, bytes, size_bytes);
    }
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_splice_now(int from, int to, size_t size_bytes)
{
    ssize_t count = splice(from, NULL, to, NULL, size_bytes, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    return count < 0 ? -errno : count;
}

int coil_kernel_pipe_held(int fd)
{
    int size_bytes = 0;
    int rc = checked(ioctl(fd, FIONREAD, &size_bytes));
    return rc < 0 ? rc : size_bytes;
}

int coil_kernel_inode(int fd, uint64_t *out_inode)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *out_inode = status.st_ino;
    return 0;
}

int coil_kernel_pipe_resize(int fd, int size_bytes)
{
    return checked(fcntl(fd, F_SETPIPE_SZ, size_bytes));
}

int coil_kernel_lock(int fd)
{
    return checked(flock(fd, LOCK_EX | LOCK_NB));
}

ssize_t coil_kernel_write(int fd, const void *bytes, size_t size_bytes)
{
    ssize_t count = write(fd, bytes, size_bytes);
    return count < 0 ? -errno : count;
}

int coil_kernel_fstatat(int directory, const char *path, struct stat *out_status)
{
    return checked(fstatat(directory, path, out_status, 0));
}

int coil_kernel_fstatvfs(int fd, struct statvfs *out_status)
{
    return checked(fstatvfs(fd, out_status));
}

int coil_kernel_faccessat(int directory, const char *path, int mode)
{
    return checked(faccessat(directory, path, mode, AT_EACCESS));
}
