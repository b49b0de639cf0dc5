/* SPDX-License-Identifier: MIT */
/*
 * kernel_double.h - the seam to the kernel and to the allocator, with a will of its own.
 *
 * Linked with --wrap (CMakeLists.txt), so that every call of the library passes through here on its
 * way to the real function, and a test can have it refused, changed or delayed.
 */
#ifndef KERNEL_DOUBLE_H
#define KERNEL_DOUBLE_H

#include <cstdint>
#include <functional>

#include <liburing.h>

struct KernelDouble {
    unsigned refused_setup_flags = 0; /* An older kernel: any of these is -EINVAL. */
    int setup_error = 0; /* Of every io_uring_setup(2), unless it asks for few entries. */
    unsigned setup_error_above_entries = 0;
    unsigned cq_entries = 0; /* Not 0: the size of the queues, whatever was asked for. */
    unsigned sq_entries = 0;
    int refused_registration = -1; /* An opcode of io_uring_register(2): -EINVAL. */
    bool refuses_incremental_buffers = false;
    bool refuses_messages = false; /* To rings, from other threads: -ENOMEM. */

    int enter_error = 0; /* The next `enter_error_count` enters do nothing and return this. */
    int enter_error_count = 0;
    int busy_submissions = 0; /* As many enters that do not wait return -EBUSY. */
    std::function<void(struct io_uring_cqe *)> edit; /* Change a completion before it is seen. */
    std::function<void()> before_enter;
    std::function<void()> before_wake; /* In coil_loop_post(), with the list behind it. */

    int64_t failing_allocation = 0; /* The n-th from now on fails, counted from 1; 0: none. */
    int64_t allocation_count = 0;

    unsigned setup_count = 0;
    unsigned last_setup_flags = 0;
    unsigned last_entries = 0;
    unsigned seen_completions = 0;
    unsigned message_count = 0; /* To rings. */
    int last_wake_result = 0;
};

extern KernelDouble kernel_double;

#endif
