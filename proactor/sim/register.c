/* SPDX-License-Identifier: MIT */
/* io_uring_register(2): direct descriptors, provided buffers, the wait argument. */
#include "fiber.h"
#include "process.h"
#include "ring.h"

#include <errno.h>

enum { DIRECT_COUNT_MAX = 1 << 20, BUFFER_ENTRIES_MAX = 1 << 15, PAGE_BYTES = 4096 };

/* ------------------------------------------------------------------------ direct descriptors -- */

sim_file *sim_direct_file(const sim_ring *ring, unsigned index)
{
    return index < ring->direct_count ? ring->direct[index] : NULL;
}

/* Draws the lot first: a table that is full, or the kernel without memory, is the same. */
int sim_direct_install(sim_ring *ring, sim_file *file, unsigned index)
{
    int rc = -ENFILE;

    if (index == IORING_FILE_INDEX_ALLOC) {
        if (ring->direct_free_from > ring->direct_count)
            ring->direct_free_from = 0;
        index = ring->direct_free_from;
        while (index < ring->direct_count && ring->direct[index] != NULL)
            index++;
        ring->direct_free_from = index;
    } else if (index >= ring->direct_count) {
        rc = -EINVAL;
    }
    if (index >= ring->direct_count || sim_fault(ring->process->world, SIM_FAULT_NO_DESCRIPTOR)) {
        sim_file_drop(file);
        return rc;
    }
    sim_file_drop(ring->direct[index]);
    ring->direct[index] = file;
    return (int)index;
}

void sim_direct_check_open(const sim_ring *ring, unsigned index)
{
    const sim_process *process = ring->process;
    SIM_CHECK(process->world,
            !process->world->forbids_leaks || sim_direct_file(ring, index) != NULL,
            "process %d (%s) closes direct descriptor %u, which is not open", (int)process->id,
            process->path, index);
}

int sim_direct_close(sim_ring *ring, unsigned index)
{
    if (ring->direct_count == 0)
        return -ENXIO;
    if (index >= ring->direct_count)
        return -EINVAL;
    sim_file *file = ring->direct[index];
    if (file == NULL)
        return -EBADF;
    ring->direct[index] = NULL;
    if (index < ring->direct_free_from)
        ring->direct_free_from = index;
    sim_file_drop(file);
    return 0;
}

static int register_table(sim_ring *ring, const struct io_uring_rsrc_register *table)
{
    if (ring->direct_count > 0)
        return -EBUSY;
    if (table->nr == 0 || (table->flags & ~IORING_RSRC_REGISTER_SPARSE) != 0)
        return -EINVAL;
    if ((table->flags & IORING_RSRC_REGISTER_SPARSE) == 0)
        return -EINVAL; /* Not modelled: nobody fills it at once. */
    if (table->nr > DIRECT_COUNT_MAX || table->nr > ring->process->descriptor_limit)
        return -EMFILE; /* Pitfall 23. */
    ring->direct = sim_new(table->nr * sizeof(sim_file *));
    ring->direct_count = table->nr;
    return 0;
}

static int update_table(sim_ring *ring, const struct io_uring_rsrc_update *update, unsigned count)
{
    const int *fds = sim_memory_at(update->data);

    if (ring->direct_count == 0)
        return -ENXIO;
    for (unsigned i = 0; i < count; i++) {
        const unsigned index = update->offset + i;
        if (index >= ring->direct_count)
            return i > 0 ? (int)i : -EINVAL;
        sim_file *file = NULL;
        if (fds[i] >= 0 && (file = sim_descriptor_file(ring->process, fds[i])) == NULL)
            return i > 0 ? (int)i : -EBADF;
        if (ring->direct[index] != NULL)
            (void)sim_direct_close(ring, index);
        if (file != NULL)
            ring->direct[index] = sim_file_hold(file);
    }
    return (int)count;
}

/* -------------------------------------------------------------------------- provided buffers -- */

sim_buffers *sim_buffers_of(sim_ring *ring, uint16_t group)
{
    for (coil_list *link = ring->buffers.next; link != &ring->buffers; link = link->next) {
        sim_buffers *buffers = coil_container_of(link, sim_buffers, link);
        if (buffers->group == group)
            return buffers;
    }
    return NULL;
}

static struct io_uring_buf *first_of(const sim_buffers *buffers)
{
    return &buffers->ring->bufs[buffers->head & (buffers->entry_count - 1)];
}

int sim_buffers_peek(sim_buffers *buffers, size_t limit_bytes, struct iovec *out_part)
{
    const uint16_t tail = __atomic_load_n(&buffers->ring->tail, __ATOMIC_ACQUIRE);
    if (tail == buffers->head)
        return -ENOBUFS;
    const struct io_uring_buf *buffer = first_of(buffers);
    out_part->iov_base = sim_memory_at(buffer->addr);
    out_part->iov_len = limit_bytes == 0 || limit_bytes > buffer->len ? buffer->len : limit_bytes;
    return 0;
}

/* An incremental buffer is used up from its start, in the memory that the program sees. */
uint32_t sim_buffers_consume(sim_buffers *buffers, size_t used_bytes)
{
    struct io_uring_buf *buffer = first_of(buffers);
    const uint32_t flags = IORING_CQE_F_BUFFER | (uint32_t)buffer->bid << IORING_CQE_BUFFER_SHIFT;

    if (buffers->is_incremental && used_bytes < buffer->len) {
        buffer->addr += used_bytes;
        buffer->len -= (uint32_t)used_bytes;
        return flags | IORING_CQE_F_BUF_MORE;
    }
    buffers->head++;
    return flags;
}

static int register_buffers(sim_ring *ring, const struct io_uring_buf_reg *registration)
{
    const unsigned count = registration->ring_entries;

    if (registration->ring_addr == 0 || registration->ring_addr % PAGE_BYTES != 0 ||
            (registration->flags & ~IOU_PBUF_RING_INC) != 0)
        return -EINVAL;
    if (count == 0 || (count & (count - 1)) != 0 || count > BUFFER_ENTRIES_MAX)
        return -EINVAL;
    if (sim_buffers_of(ring, registration->bgid) != NULL)
        return -EEXIST;
    sim_buffers *buffers = sim_new(sizeof(*buffers));
    buffers->ring = sim_memory_at(registration->ring_addr);
    buffers->entry_count = (uint16_t)count;
    buffers->group = registration->bgid;
    buffers->is_incremental = (registration->flags & IOU_PBUF_RING_INC) != 0;
    coil_list_append(&ring->buffers, &buffers->link);
    return 0;
}

static int unregister_buffers(sim_ring *ring, const struct io_uring_buf_reg *registration)
{
    sim_buffers *buffers = sim_buffers_of(ring, registration->bgid);
    if (buffers == NULL)
        return -ENOENT;
    coil_list_remove(&buffers->link);
    sim_delete(buffers);
    return 0;
}

/* ------------------------------------------------------------------------------------- rest -- */

static int enable(sim_ring *ring)
{
    if (!ring->is_disabled)
        return -EBADFD;
    ring->is_disabled = false;
    ring->owner = sim_fiber_current();
    return 0;
}

static int register_wait_region(sim_ring *ring, const struct io_uring_mem_region_reg *registration)
{
    const struct io_uring_region_desc *region = sim_memory_at(registration->region_uptr);

    if (ring->wait_region != NULL)
        return -EBUSY;
    if ((registration->flags & IORING_MEM_REGION_REG_WAIT_ARG) != 0 && !ring->is_disabled)
        return -EINVAL;
    if ((region->flags & IORING_MEM_REGION_TYPE_USER) == 0 || region->size % 4096 != 0)
        return -EINVAL;
    ring->wait_region = sim_memory_at(region->user_addr);
    ring->wait_region_bytes = region->size;
    return 0;
}

/*
 * How many threads the kernel may have for bounded and for unbounded work. Here each operation has
 * one of its own, so that none waits for another.
 */
static int register_workers(sim_ring *ring, unsigned *counts)
{
    for (int i = 0; i < 2; i++) {
        const unsigned before = ring->worker_limits[i];
        if (counts[i] > 0)
            ring->worker_limits[i] = counts[i];
        counts[i] = before;
    }
    return 0;
}

static int register_one(sim_ring *ring, unsigned opcode, const void *argument, unsigned count)
{
    switch (opcode) {
    case IORING_REGISTER_ENABLE_RINGS:
        return enable(ring);
    case IORING_REGISTER_FILES2:
        return count == sizeof(struct io_uring_rsrc_register) ? register_table(ring, argument)
                                                              : -EINVAL;
    case IORING_REGISTER_FILES_UPDATE:
        return update_table(ring, argument, count);
    case IORING_REGISTER_PBUF_RING:
        return count == 1 ? register_buffers(ring, argument) : -EINVAL;
    case IORING_UNREGISTER_PBUF_RING:
        return count == 1 ? unregister_buffers(ring, argument) : -EINVAL;
    case IORING_REGISTER_MEM_REGION:
        return count == 1 ? register_wait_region(ring, argument) : -EINVAL;
    case IORING_REGISTER_IOWQ_MAX_WORKERS:
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): what the limits were is written there. */
        return count == 2 ? register_workers(ring, (unsigned *)(uintptr_t)argument) : -EINVAL;
    default:
        return -EINVAL;
    }
}

/* What a program can do without. */
static bool is_optional(unsigned opcode)
{
    return opcode == IORING_REGISTER_FILES2 || opcode == IORING_REGISTER_PBUF_RING ||
           opcode == IORING_REGISTER_MEM_REGION;
}

int coil_kernel_ring_register(
        struct io_uring *uring, unsigned opcode, const void *argument, unsigned count)
{
    sim_ring *ring = uring->sq.ring_ptr;
    sim_world *world = ring->process->world;

    sim_fiber_pass();
    if (is_optional(opcode) && sim_fault(world, SIM_FAULT_RING_REGISTER))
        return -ENOMEM;
    if (!ring->is_disabled && ring->owner != sim_fiber_current())
        return -EINVAL; /* To another thread, its registered number is none (observed). */
    const int rc = register_one(ring, opcode, argument, count);
    sim_trace(world, "register %u: %d", opcode, rc);
    return rc;
}
