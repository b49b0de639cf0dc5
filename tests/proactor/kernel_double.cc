/* SPDX-License-Identifier: MIT */
#include "kernel_double.h"

#include <cerrno>
#include <cstdlib>

KernelDouble kernel_double;

extern "C" {

int __real_coil_kernel_ring_setup(struct io_uring *, unsigned, struct io_uring_params *);
int __wrap_coil_kernel_ring_setup(struct io_uring *, unsigned, struct io_uring_params *);
int __real_coil_kernel_ring_enter(struct io_uring *, unsigned, unsigned, unsigned, void *, size_t);
int __wrap_coil_kernel_ring_enter(struct io_uring *, unsigned, unsigned, unsigned, void *, size_t);
int __real_coil_kernel_ring_register(struct io_uring *, unsigned, const void *, unsigned);
int __wrap_coil_kernel_ring_register(struct io_uring *, unsigned, const void *, unsigned);
int __real_coil_kernel_ring_tell(int, uint64_t);
int __wrap_coil_kernel_ring_tell(int, uint64_t);
int __real_coil_kernel_eventfd_add(int, uint64_t);
int __wrap_coil_kernel_eventfd_add(int, uint64_t);
void *__real_coil_kernel_pages(size_t);
void *__wrap_coil_kernel_pages(size_t);
void *__real_malloc(size_t);
void *__wrap_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__wrap_calloc(size_t, size_t);
void *__real_aligned_alloc(size_t, size_t);
void *__wrap_aligned_alloc(size_t, size_t);

int __wrap_coil_kernel_ring_setup(
        struct io_uring *ring, unsigned entries, struct io_uring_params *parameters)
{
    KernelDouble &k = kernel_double;
    k.setup_count++;
    k.last_setup_flags = parameters->flags;
    k.last_entries = entries;
    if (parameters->flags & k.refused_setup_flags)
        return -EINVAL;
    if (k.setup_error != 0 && entries > k.setup_error_above_entries)
        return k.setup_error;
    if (k.cq_entries != 0)
        parameters->cq_entries = k.cq_entries;
    k.seen_completions = 0;
    return __real_coil_kernel_ring_setup(
            ring, k.sq_entries != 0 ? k.sq_entries : entries, parameters);
}

int __wrap_coil_kernel_ring_enter(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    KernelDouble &k = kernel_double;
    if (k.before_enter)
        k.before_enter();
    if (k.enter_error_count > 0) {
        k.enter_error_count--;
        return k.enter_error;
    }
    if (k.busy_submissions > 0 && min_complete == 0 && !(flags & IORING_ENTER_GETEVENTS)) {
        k.busy_submissions--;
        return -EBUSY;
    }
    int rc = __real_coil_kernel_ring_enter(
            ring, to_submit, min_complete, flags, argument, argument_bytes);
    unsigned tail = __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE);
    for (; k.edit && k.seen_completions != tail; k.seen_completions++)
        k.edit(&ring->cq.cqes[k.seen_completions & ring->cq.ring_mask]);
    k.seen_completions = tail;
    return rc;
}

int __wrap_coil_kernel_ring_register(
        struct io_uring *ring, unsigned opcode, const void *argument, unsigned count)
{
    KernelDouble &k = kernel_double;
    if (static_cast<int>(opcode) == k.refused_registration)
        return -EINVAL;
    if (opcode == IORING_REGISTER_PBUF_RING && k.refuses_incremental_buffers &&
            static_cast<const struct io_uring_buf_reg *>(argument)->flags != 0)
        return -EINVAL;
    return __real_coil_kernel_ring_register(ring, opcode, argument, count);
}

int __wrap_coil_kernel_ring_tell(int fd, uint64_t user_data)
{
    KernelDouble &k = kernel_double;
    if (k.refuses_messages)
        return -ENOMEM;
    if (k.before_wake)
        k.before_wake();
    k.message_count++;
    return k.last_wake_result = __real_coil_kernel_ring_tell(fd, user_data);
}

int __wrap_coil_kernel_eventfd_add(int fd, uint64_t count)
{
    KernelDouble &k = kernel_double;
    if (k.before_wake)
        k.before_wake();
    return k.last_wake_result = __real_coil_kernel_eventfd_add(fd, count);
}

/* Is it this one's turn to fail? */
static bool fails()
{
    return ++kernel_double.allocation_count == kernel_double.failing_allocation;
}

void *__wrap_coil_kernel_pages(size_t size_bytes)
{
    return fails() ? nullptr : __real_coil_kernel_pages(size_bytes);
}

void *__wrap_malloc(size_t size_bytes)
{
    return fails() ? nullptr : __real_malloc(size_bytes);
}

void *__wrap_calloc(size_t count, size_t size_bytes)
{
    return fails() ? nullptr : __real_calloc(count, size_bytes);
}

void *__wrap_aligned_alloc(size_t alignment_bytes, size_t size_bytes)
{
    return fails() ? nullptr : __real_aligned_alloc(alignment_bytes, size_bytes);
}
}
