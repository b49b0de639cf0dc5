/* SPDX-License-Identifier: MIT */
/*
 * The private half of the seam to the kernel (coil/kernel.h is the public one): io_uring itself,
 * and what else a loop alone asks for. A simulator implements all of it and owns the rings' memory.
 */
#ifndef KERNEL_RING_H
#define KERNEL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <liburing.h>

/* What liburing 2.9 does not name yet. */
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif
enum { RING_SEND_MESSAGE = 31 }; /* IORING_REGISTER_SEND_MSG_RING, since Linux 6.13. */

/*
 * io_uring_setup(2), and the rings mapped. The descriptor is registered. It stays open, as
 * uring->ring_fd, if the kernel has coil_kernel_ring_tell(), else that is -1. Forked children
 * inherit neither it nor the memory. 0 or -errno.
 */
int coil_kernel_ring_setup(
        struct io_uring *uring, unsigned entries, struct io_uring_params *parameters);

/* io_uring_enter(2). The number of submitted entries, or -errno. */
int coil_kernel_ring_enter(struct io_uring *uring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes);

/* io_uring_register(2). 0, a count, or -errno. */
int coil_kernel_ring_register(
        struct io_uring *uring, unsigned opcode, const void *argument, unsigned count);

/*
 * A completion with `user_data` and result 0 in the ring that has this descriptor, from any thread,
 * with a ring or without (io_uring_register(2), IORING_REGISTER_SEND_MSG_RING). 0; -EBADF, -EBADFD:
 * it is no ring; -EINVAL: this kernel cannot; -ENOMEM.
 */
int coil_kernel_ring_tell(int fd, uint64_t user_data);

/*
 * Is that safe, in the release that uname(2) names? From 6.13 until 6.16 the kernel could free a
 * message while it was delivered (CVE-2025-38453). What a distribution has put right in an older
 * release cannot be seen from here.
 */
bool coil_kernel_delivers_messages(const char *release);

/* Unmap and close. Only after every operation has completed. */
void coil_kernel_ring_close(struct io_uring *uring);

/* The sysctl kernel.io_uring_disabled: 0 allowed, 1 privileged users only, 2 forbidden. */
int coil_kernel_ring_sysctl(void);

/* RLIMIT_NOFILE: how many descriptors this process may have. */
unsigned coil_kernel_descriptor_limit(void);

/* Pages that a forked child does not inherit. NULL without memory. */
void *coil_kernel_pages(size_t size_bytes);
void coil_kernel_pages_release(void *pages, size_t size_bytes);

/* The contents of all pages that lie wholly in here are not needed: they read as zeros now. */
void coil_kernel_pages_forget(void *memory, size_t size_bytes);

#endif
