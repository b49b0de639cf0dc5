/* SPDX-License-Identifier: MIT */
/* The seam to the real kernel: descriptors of any kind, pipes, terminals. */
#include "kernel_private.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

int coil_kernel_close(int fd)
{
    return checked(close(fd));
}

int coil_kernel_pipe(int out_fds[2])
{
    return checked(pipe2(out_fds, O_CLOEXEC));
}

int coil_kernel_unlink(const char *path)
{
    return checked(unlink(path));
}

int coil_kernel_eventfd(void)
{
    return checked(eventfd(0, EFD_CLOEXEC));
}

/*
 * Signal handlers call this: what they interrupt keeps its errno. write() of libc would be a point
 * at which a thread can be cancelled, and then a loop would wait for its post for ever.
 */
int coil_kernel_eventfd_add(int fd, uint64_t count)
{
    int before = errno;
    int rc = checked(syscall(SYS_write, fd, &count, sizeof(count)));
    errno = before;
    return rc;
}

int coil_kernel_is_socket(const char *path)
{
    struct stat status;
    int rc = checked(lstat(path, &status));
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

int coil_kernel_is_device(int fd)
{
    struct stat status;
    int rc = checked(fstat(fd, &status));
    return rc < 0 ? rc : S_ISCHR(status.st_mode);
}

int coil_kernel_is_fifo(int fd)
{
    struct stat status;
    struct statfs system;
    int rc = checked(fstat(fd, &status));
    if (rc < 0 || !S_ISFIFO(status.st_mode))
        return rc;
    rc = checked(fstatfs(fd, &system));
    return rc < 0 ? rc : system.f_type != PIPEFS_MAGIC;
}

int coil_kernel_terminal_get(int fd, struct termios *out_modes)
{
    return checked(tcgetattr(fd, out_modes));
}

int coil_kernel_terminal_set(int fd, int when, const struct termios *modes)
{
    return checked(tcsetattr(fd, when, modes));
}

int coil_kernel_terminal_resize(int fd, const struct winsize *size)
{
    return checked(ioctl(fd, TIOCSWINSZ, size));
}

/* Move it, if it is in the way; the old number is closed in any case. */
static int lift(int fd, int lowest)
{
    if (fd < 0 || fd >= lowest)
        return fd;
    const int lifted = checked(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
    (void)close(fd);
    return lifted;
}

/* The other side by ioctl_tty(2), as its name in /dev/pts may be that of another mount. */
int coil_kernel_terminal_open(int lowest, const struct winsize *size, int out_sides[2])
{
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const int locked = 0;
    const int ours = lift(checked(open("/dev/ptmx", flags)), lowest);
    if (ours < 0)
        return ours;
    int theirs = checked(ioctl(ours, TIOCSPTLCK, &locked));
    if (theirs == 0 && (size->ws_row != 0 || size->ws_col != 0))
        theirs = checked(ioctl(ours, TIOCSWINSZ, size));
    if (theirs == 0)
        theirs = lift(checked(ioctl(ours, TIOCGPTPEER, flags)), lowest);
    if (theirs < 0) {
        (void)close(ours);
        return theirs;
    }
    out_sides[0] = ours;
    out_sides[1] = theirs;
    return 0;
}

int coil_kernel_terminal_size(int fd, struct winsize *out_size)
{
    return checked(ioctl(fd, TIOCGWINSZ, out_size));
}

int coil_kernel_close_on_exec(int fd)
{
    return checked(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int coil_kernel_dup_above(int fd, int lowest)
{
    return checked(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
}

int coil_kernel_dup_to_pass(int fd, int number)
{
    return checked(dup2(fd, number));
}
