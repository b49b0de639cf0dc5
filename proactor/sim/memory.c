/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include "fault.h"
#include "fiber.h"
#include "kernel_calls.h"

#include <coil/kernel.h>

#include <errno.h>
#include <unistd.h>

#include <sys/mman.h>

typedef struct sim_memory {
    sim_file file;
    int real_fd;
    size_t size_bytes;
    size_t position;
    unsigned writable_count; /* Mappings. */
    bool is_sealed;          /* F_SEAL_WRITE */
} sim_memory;

typedef struct sim_mapping {
    coil_list link;     /* In process->mappings. */
    sim_memory *memory; /* Has a reference. */
    void *bytes;
    size_t size_bytes;
    bool is_writable;
} sim_mapping;

/* -------------------------------------------------------------------------------- the file -- */

static sim_memory *memory_of(sim_file *file)
{
    return coil_container_of(file, sim_memory, file);
}

static size_t rest_from(const sim_memory *memory, size_t from, const sim_io *io)
{
    const size_t rest_bytes = from < memory->size_bytes ? memory->size_bytes - from : 0;
    return sim_io_left(io) < rest_bytes ? sim_io_left(io) : rest_bytes;
}

/* Where the transfer begins. */
static size_t place_of(const sim_memory *memory, const sim_io *io)
{
    return io->offset == -1 ? memory->position : (size_t)io->offset;
}

static ssize_t ended(sim_memory *memory, const sim_io *io, size_t done_bytes)
{
    if (io->offset == -1)
        memory->position += done_bytes;
    return (ssize_t)done_bytes;
}

static ssize_t read_memory(sim_file *file, sim_io *io)
{
    sim_memory *memory = memory_of(file);
    const size_t from = place_of(memory, io);
    const size_t rest_bytes = rest_from(memory, from, io);
    size_t done_bytes = 0;
    char page[4096];

    while (done_bytes < rest_bytes) {
        const size_t wanted = rest_bytes - done_bytes;
        const ssize_t count = pread(memory->real_fd, page,
                wanted < sizeof(page) ? wanted : sizeof(page), (off_t)(from + done_bytes));
        SIM_CHECK(file->world, count > 0, "the real kernel does not read shared memory");
        done_bytes += sim_io_put(io, page, (size_t)count);
    }
    return ended(memory, io, done_bytes);
}

/* It does not grow: what is behind its end is not permitted (observed: memory_is_written). */
static ssize_t write_memory(sim_file *file, sim_io *io)
{
    sim_memory *memory = memory_of(file);
    const size_t from = place_of(memory, io);
    const size_t rest_bytes = rest_from(memory, from, io);
    size_t done_bytes = 0;
    char page[4096];

    if (sim_io_left(io) == 0)
        return 0;
    if (memory->is_sealed || rest_bytes == 0)
        return -EPERM;
    while (done_bytes < rest_bytes) {
        const size_t wanted = rest_bytes - done_bytes;
        const size_t taken = sim_io_take(io, page, wanted < sizeof(page) ? wanted : sizeof(page));
        const ssize_t count = pwrite(memory->real_fd, page, taken, (off_t)(from + done_bytes));
        SIM_CHECK(file->world, count == (ssize_t)taken,
                "the real kernel does not write shared memory");
        done_bytes += taken;
    }
    return ended(memory, io, done_bytes);
}

static void release_memory(sim_file *file)
{
    sim_memory *memory = memory_of(file);
    (void)close(memory->real_fd);
    sim_delete(memory);
}

static const sim_file_type memory_type = {
        .name = "shared memory",
        .read = read_memory,
        .write = write_memory,
        .has_offset = true,
        .release = release_memory,
};

sim_file *sim_memory_create(sim_world *world, size_t size_bytes)
{
    const int real_fd = memfd_create("simulated memory", MFD_CLOEXEC);

    if (real_fd < 0)
        return NULL;
    if (ftruncate(real_fd, (off_t)size_bytes) < 0) {
        (void)close(real_fd);
        return NULL;
    }
    sim_memory *memory = sim_new(sizeof(*memory));
    sim_file_init(&memory->file, &memory_type, world);
    memory->real_fd = real_fd;
    memory->size_bytes = size_bytes;
    return &memory->file;
}

/* -------------------------------------------------------------------------------- mappings -- */

unsigned sim_mapping_count(const sim_process *process)
{
    unsigned count = 0;
    for (const coil_list *at = process->mappings.next; at != &process->mappings; at = at->next)
        count++;
    return count;
}

static void drop_mapping(sim_mapping *mapping)
{
    mapping->memory->writable_count -= mapping->is_writable;
    (void)munmap(mapping->bytes, mapping->size_bytes);
    coil_list_remove(&mapping->link);
    sim_file_drop(&mapping->memory->file);
    sim_delete(mapping);
}

void sim_mappings_drop(sim_process *process)
{
    while (!coil_list_empty(&process->mappings))
        drop_mapping(coil_container_of(process->mappings.next, sim_mapping, link));
}

static int map(sim_process *process, sim_memory *memory, const sim_mapping *wanted, int protection)
{
    const int flags = wanted->is_writable ? MAP_SHARED : MAP_PRIVATE;
    void *bytes = mmap(NULL, wanted->size_bytes, protection, flags, memory->real_fd, 0);

    if (bytes == MAP_FAILED)
        return -errno;
    sim_mapping *mapping = sim_new(sizeof(*mapping));
    *mapping = *wanted;
    mapping->bytes = bytes;
    mapping->memory = memory;
    memory->writable_count += mapping->is_writable;
    (void)sim_file_hold(&memory->file);
    coil_list_append(&process->mappings, &mapping->link);
    return 0;
}

/* ------------------------------------------------------------------------ what is called so -- */

/* NULL: the descriptor is none, or of something else. */
static sim_memory *find(int fd, int otherwise, int *out_rc)
{
    sim_file *file = sim_call_file(fd);

    *out_rc = file == NULL ? -EBADF : otherwise;
    return file == NULL || file->type != &memory_type ? NULL : memory_of(file);
}

int coil_kernel_memory(const char *name, size_t size_bytes)
{
    (void)name;
    sim_fiber_pass();
    sim_world *world = sim_here();
    sim_file *file =
            sim_fault(world, SIM_FAULT_NO_MEMORY) ? NULL : sim_memory_create(world, size_bytes);
    return file == NULL ? -ENOMEM : sim_descriptor_install(sim_process_current(), file, 0);
}

int coil_kernel_memory_seal(int fd)
{
    int rc = 0;

    sim_fiber_pass();
    sim_memory *memory = find(fd, -EINVAL, &rc);
    if (memory == NULL)
        return rc;
    if (memory->is_sealed)
        return -EPERM; /* F_SEAL_SEAL */
    if (memory->writable_count > 0)
        return -EBUSY;
    memory->is_sealed = true;
    return 0;
}

ssize_t coil_kernel_memory_size(int fd, bool is_sealed)
{
    int rc = 0;

    sim_fiber_pass();
    const sim_memory *memory = find(fd, -EINVAL, &rc);
    if (memory == NULL)
        return rc;
    return is_sealed && !memory->is_sealed ? -EPERM : (ssize_t)memory->size_bytes;
}

int coil_kernel_memory_map(
        int fd, size_t size_bytes, coil_kernel_mapping mapping, void **out_memory)
{
    sim_mapping wanted = {.size_bytes = size_bytes, .is_writable = mapping != COIL_KERNEL_READS};
    int rc = 0;

    sim_fiber_pass();
    sim_process *process = sim_process_current();
    sim_memory *memory = find(fd, -ENODEV, &rc);
    if (memory == NULL)
        return rc;
    if (wanted.is_writable && memory->is_sealed)
        return -EPERM;
    if (sim_fault(process->world, SIM_FAULT_NO_MEMORY))
        return -ENOMEM;
    rc = map(process, memory, &wanted, wanted.is_writable ? PROT_READ | PROT_WRITE : PROT_READ);
    if (rc == 0)
        *out_memory = coil_container_of(process->mappings.prev, sim_mapping, link)->bytes;
    return rc;
}

void coil_kernel_memory_unmap(void *memory, size_t size_bytes)
{
    sim_fiber_pass();
    const sim_process *process = sim_process_current();

    for (coil_list *at = process->mappings.next; at != &process->mappings; at = at->next) {
        sim_mapping *mapping = coil_container_of(at, sim_mapping, link);
        if (mapping->bytes != memory)
            continue;
        SIM_CHECK(process->world, mapping->size_bytes == size_bytes, "a part of a mapping goes");
        drop_mapping(mapping);
        return;
    }
    sim_fail(process->world, "what is unmapped is not mapped");
}

void coil_kernel_memory_forget(void *memory, size_t size_bytes)
{
    sim_fiber_pass();
    (void)madvise(memory, size_bytes, MADV_REMOVE);
}
