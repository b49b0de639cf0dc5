/* SPDX-License-Identifier: MIT */
/*
 * Stands in for the kernel header of this name, which came with Linux 6.12, where the system has
 * older kernel headers. liburing 2.9 includes it for the one constant below.
 */
#ifndef COIL_COMPAT_LINUX_BLKDEV_H
#define COIL_COMPAT_LINUX_BLKDEV_H

#include <linux/ioctl.h>

/* The command number of IORING_OP_URING_CMD on a block device. */
#define BLOCK_URING_CMD_DISCARD _IO(0x12, 0)

#endif
