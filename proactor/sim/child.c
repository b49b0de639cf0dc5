/* SPDX-License-Identifier: MIT */
/*
 * clone(2) as a vfork, and exec.
 *
 *     parent's thread         child
 *     coil_kernel_clone() --> a process with copies of the descriptors; a fiber of its own runs
 *        waits                child->run() on the parent's memory, which makes system calls
 *        |                    (child_calls.c)
 *        +<-------------------execve: the fiber is dropped, another one runs main()
 *        +<-------------------exit, or killed
 *
 *     a process that has run: coil_kernel_exec() --> its threads, rings and memory are gone; its
 *                                                    children, and what is not close-on-exec, stay
 *
 * The child's fiber has thread-local and process-wide variables of its own, though in truth it
 * would have those of its parent: nobody can tell, as it must not touch them.
 */
#include "child.h"

#include "allocate.h"
#include "disk.h"
#include "memory.h"
#include "power.h"

#include <coil/kernel.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct sim_clone {
    coil_kernel_child *child;
    sim_process *parent;
    sim_waiters changed;
    bool is_done;
};

static void copy_descriptors(sim_process *child, const sim_process *parent)
{
    child->descriptor_count = parent->descriptor_count;
    child->descriptors = sim_new((parent->descriptor_count + 1) * sizeof(*child->descriptors));
    for (unsigned fd = 0; fd < parent->descriptor_count; fd++) {
        child->descriptors[fd] = parent->descriptors[fd];
        if (child->descriptors[fd].file != NULL)
            (void)sim_file_hold(child->descriptors[fd].file);
    }
}

static void run_child(sim_fiber *fiber)
{
    const sim_clone *clone = fiber->process->family->clone;
    clone->child->run(clone->child);
    sim_fail(fiber->process->world, "the child of a clone returns, instead of exec or exit");
}

/* The child goes on without the memory of its parent, or ends: the thread that waits may run. */
void sim_clone_end(sim_process *process)
{
    sim_clone *clone = process->family == NULL ? NULL : process->family->clone;
    if (clone == NULL)
        return;
    sim_family *family = sim_family_of(clone->parent);
    process->family->clone = NULL;
    clone->is_done = true;
    sim_waiters_notify(&clone->changed);
    family->clone_count--;
    if (family->is_ending && family->clone_count == 0)
        sim_at(process->world, sim_now(process->world), &family->ends);
}

static sim_process *fork_process(sim_process *parent, sim_clone *clone)
{
    sim_process *process = sim_process_create(parent->host, parent);

    sim_signals_inherit(process, parent, sim_fiber_current());
    sim_family_inherit(process, parent, sim_fiber_current());
    sim_working_directory_inherit(process, parent);
    sim_delete(process->path);
    process->path = sim_copy_text(parent->path);
    copy_descriptors(process, parent);
    sim_family_of(process)->clone = clone;
    sim_family_of(parent)->clone_count++;
    return process;
}

/*
 * The number of the pidfd is found before there is a process, so that a table that is full leaves
 * none behind.
 */
static int reserve_descriptor(sim_process *process)
{
    return sim_descriptor_install(process, sim_pidfd_create(process), 0);
}

static void fill_descriptor(sim_process *process, int fd, sim_file *file)
{
    sim_file *placeholder = process->descriptors[fd].file;
    process->descriptors[fd].file = file;
    sim_file_drop(placeholder);
}

pid_t coil_kernel_clone(coil_kernel_child *child, int *out_pidfd)
{
    sim_fiber_pass();
    sim_process *parent = sim_process_current();
    sim_clone clone = {.child = child, .parent = parent};

    if (sim_fault(parent->world, SIM_FAULT_NO_PROCESS))
        return -EAGAIN;
    const int pidfd = reserve_descriptor(parent);
    if (pidfd < 0)
        return pidfd;
    sim_waiters_init(&clone.changed);
    sim_process *process = fork_process(parent, &clone);
    const pid_t pid = process->id;
    (void)sim_descriptor_close(process, pidfd); /* It came after the copy. */
    fill_descriptor(parent, pidfd, sim_pidfd_create(process));
    sim_trace(parent->world, "process %d makes %d", (int)parent->id, (int)pid);
    sim_fiber_detach(sim_fiber_start(process, run_child, "child", 0));
    while (!clone.is_done)
        (void)sim_fiber_wait(&clone.changed, COIL_NEVER, "vfork: exec or exit of the child");
    *out_pidfd = pidfd;
    return pid;
}

/* ------------------------------------------------------------------------------------- exec -- */

static void close_on_exec(sim_process *process)
{
    for (unsigned fd = 0; fd < process->descriptor_count; fd++) {
        if (process->descriptors[fd].file != NULL && process->descriptors[fd].close_on_exec)
            (void)sim_descriptor_close(process, (int)fd);
    }
}

static void note_inherited(sim_process *process)
{
    for (unsigned fd = 0; fd < process->descriptor_count; fd++)
        process->descriptors[fd].is_inherited = process->descriptors[fd].file != NULL;
}

/* For the children of the thread that calls, nobody dies: it goes on as the first thread. */
static void keep_children(sim_process *process, const sim_fiber *caller)
{
    for (coil_list *at = process->children.next; at != &process->children; at = at->next) {
        sim_family *family = sim_family_of(coil_container_of(at, sim_process, sibling));
        if (family->parent_thread == caller->id)
            family->parent_thread = process->id;
    }
}

/*
 * A program that has run leaves as if it had been killed, but for what its successor inherits; and
 * the ring of the thread that calls is quiet before a descriptor is closed (io_uring_task_cancel()
 * in fs/exec.c of Linux), so that nothing of it lingers as at the end of a process. (Observed:
 * program_becomes_another, ..._by_thread.) A child between clone and exec has nothing of its own.
 */
static void leave_program(sim_process *process, const sim_fiber *caller)
{
    while (sim_family_of(process)->clone_count > 0) { /* They run on our memory. */
        const coil_time soon = coil_time_after(sim_now(process->world), coil_us(10));
        (void)sim_fiber_wait(NULL, soon, "exec: a child is about to exec");
    }
    sim_process_drop_threads(process);
    keep_children(process, caller);
    sim_power_linger(process, caller);
    sim_process_drop_rings(process);
}

static void forget_memory(sim_process *process)
{
    sim_mappings_drop(process);
    (void)allocations_free(process, false, false);
    fiber_renew_process(process);
}

/*
 * What runs is decided by sim_path_program() alone. Of the threads, and of what they have been
 * told, nothing is left afterwards; a success does not return.
 */
int sim_exec(sim_process *process, const char *path, char *const *arguments,
        const char *const *environment)
{
    sim_fiber *caller = sim_fiber_current();
    const sim_program *program = NULL;

    const int rc = sim_path_program(process, AT_FDCWD, path, &program);
    if (rc < 0)
        return rc;
    leave_program(process, caller);
    close_on_exec(process);
    note_inherited(process);
    sim_signals_exec(process, caller);
    sim_family_set_environment(process, environment);
    sim_process_exec(process, program, arguments);
    process->main_fiber->id = process->id; /* Whichever thread calls exec. */
    sim_fiber_detach(process->main_fiber);
    process->is_dumpable = true;
    forget_memory(process);
    caller->id = -1; /* Nobody's: its children have been kept. */
    caller->is_detached = true;
    sim_clone_end(process);
    sim_fiber_drop(caller);
    return 0;
}

int coil_kernel_exec(const char *path, char *const arguments[])
{
    sim_fiber_pass();
    return sim_exec(sim_process_current(), path, arguments, (const char *const *)environ);
}
