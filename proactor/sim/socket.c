/* SPDX-License-Identifier: MIT */
/* Sockets: there are none yet. */
#include <coil/kernel.h>

#include <errno.h>

int coil_kernel_socket(int family, int type, int protocol)
{
    (void)family, (void)type, (void)protocol;
    return -ENOSYS;
}

int coil_kernel_socketpair(int family, int type, int out_fds[2])
{
    (void)family, (void)type, (void)out_fds;
    return -ENOSYS;
}
