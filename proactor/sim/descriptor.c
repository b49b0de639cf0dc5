/* SPDX-License-Identifier: MIT */
/* The descriptor table of a process. */
#include "process.h"

#include <errno.h>
#include <string.h>

sim_file *sim_descriptor_file(const sim_process *process, int fd)
{
    if (fd < 0 || (unsigned)fd >= process->descriptor_count)
        return NULL;
    return process->descriptors[fd].file;
}

static void grow(sim_process *process, unsigned count)
{
    const unsigned before = process->descriptor_count;
    if (count <= before)
        return;
    count = count < 2 * before ? 2 * before : count;
    process->descriptors = sim_grown(process->descriptors, count * sizeof(sim_descriptor));
    memset(process->descriptors + before, 0, (count - before) * sizeof(sim_descriptor));
    process->descriptor_count = count;
}

static unsigned lowest_free(const sim_process *process, unsigned fd)
{
    while (fd < process->descriptor_count && process->descriptors[fd].file != NULL)
        fd++;
    return fd;
}

int sim_descriptor_reserve(sim_process *process, int lowest)
{
    const unsigned fd = lowest_free(process, (unsigned)lowest);
    if (fd >= process->descriptor_limit || sim_fault(process->world, SIM_FAULT_NO_DESCRIPTOR))
        return -EMFILE;
    return (int)fd;
}

void sim_descriptor_fill(sim_process *process, int fd, sim_file *file)
{
    grow(process, (unsigned)fd + 1);
    process->descriptors[fd] = (sim_descriptor){.file = file, .close_on_exec = true};
}

int sim_descriptor_install(sim_process *process, sim_file *file, int lowest)
{
    const int fd = sim_descriptor_reserve(process, lowest);
    if (fd < 0) {
        sim_file_drop(file);
    } else {
        sim_descriptor_fill(process, fd, file);
    }
    return fd;
}

void sim_descriptor_check_open(const sim_process *process, int fd)
{
    SIM_CHECK(process->world,
            !process->world->forbids_leaks || fd < 0 || sim_descriptor_file(process, fd) != NULL,
            "process %d (%s) closes descriptor %d, which is not open", (int)process->id,
            process->path, fd);
}

int sim_descriptor_close(sim_process *process, int fd)
{
    sim_file *file = sim_descriptor_file(process, fd);
    if (file == NULL)
        return -EBADF;
    process->descriptors[fd] = (sim_descriptor){.file = NULL};
    if (file->type->closed != NULL)
        file->type->closed(file, process);
    sim_file_drop(file);
    return 0;
}

int sim_descriptor_copy(sim_process *process, int from, int to)
{
    sim_file *file = sim_descriptor_file(process, from);
    if (file == NULL || to < 0 || (unsigned)to >= process->descriptor_limit)
        return -EBADF;
    if (from == to)
        return to;
    (void)sim_file_hold(file);
    (void)sim_descriptor_close(process, to);
    grow(process, (unsigned)to + 1);
    process->descriptors[to] = (sim_descriptor){.file = file, .close_on_exec = false};
    return to;
}
