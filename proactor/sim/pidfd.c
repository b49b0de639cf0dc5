/* SPDX-License-Identifier: MIT */
/*
 * pidfd_open(2): a file that stands for a process, also when that is gone.
 *
 * Observed on Linux 6.18 by a probe: POLLIN from the end on, with POLLHUP once it has been reaped;
 * a signal to a zombie succeeds and does nothing, one to a reaped process is -ESRCH, as is
 * pidfd_open() of it; of the number of a thread that is not the first it is -ENOENT. The status of
 * a process that has been reaped, by whomever, is told by every pidfd that was open then.
 */
#include "family.h"

#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>

typedef struct sim_pidfd {
    sim_file file;
    coil_list link;       /* In family->pidfds. */
    sim_process *process; /* NULL: it has been reaped. */
    pid_t identity;       /* A simulated world gives each number once. */
    siginfo_t status;     /* Of one that has been reaped. */
} sim_pidfd;

static sim_pidfd *pidfd_of(sim_file *file)
{
    return coil_container_of(file, sim_pidfd, file);
}

static short poll_process(sim_file *file)
{
    const sim_process *process = pidfd_of(file)->process;
    if (process == NULL)
        return POLLIN | POLLHUP;
    return process->has_ended ? POLLIN : 0;
}

static ssize_t refuse(sim_file *file, sim_io *io)
{
    (void)file;
    (void)io;
    return -EINVAL;
}

static void release(sim_file *file)
{
    sim_pidfd *pidfd = pidfd_of(file);
    coil_list_remove(&pidfd->link);
    sim_delete(pidfd);
}

static const sim_file_type pidfd_type = {
        .name = "pidfd",
        .poll = poll_process,
        .read = refuse,
        .release = release,
};

sim_file *sim_pidfd_create(sim_process *process)
{
    sim_pidfd *pidfd = sim_new(sizeof(*pidfd));
    sim_file_init(&pidfd->file, &pidfd_type, process->world);
    pidfd->process = process;
    pidfd->identity = process->id;
    coil_list_init(&pidfd->link);
    coil_list_append(&sim_family_of(process)->pidfds, &pidfd->link);
    return &pidfd->file;
}

bool sim_pidfd_process(sim_file *file, sim_process **out_process)
{
    if (file == NULL || file->type != &pidfd_type)
        return false;
    *out_process = pidfd_of(file)->process;
    return true;
}

void sim_pidfds_changed(sim_family *family)
{
    for (coil_list *at = family->pidfds.next; at != &family->pidfds; at = at->next)
        sim_file_changed(&coil_container_of(at, sim_pidfd, link)->file);
}

void sim_pidfds_forget(sim_family *family)
{
    coil_list *link;
    while ((link = coil_list_take_first(&family->pidfds)) != NULL) {
        sim_pidfd *pidfd = coil_container_of(link, sim_pidfd, link);
        pidfd->status = pidfd->process->status;
        pidfd->process = NULL;
        sim_file_changed(&pidfd->file);
    }
}

/* ------------------------------------------------------------------------------------ calls -- */

static bool is_other_thread(sim_process *caller, pid_t id)
{
    for (coil_list *at = caller->fibers.next; at != &caller->fibers; at = at->next) {
        if (coil_container_of(at, sim_fiber, link)->id == id)
            return true;
    }
    return false;
}

int coil_kernel_pidfd_open(pid_t pid)
{
    sim_fiber_pass();
    sim_process *caller = sim_process_current();
    if (pid <= 0)
        return -EINVAL;
    sim_process *process = sim_process_with(caller->world, pid);
    if (process == NULL || process->host != caller->host)
        return is_other_thread(caller, pid) ? -ENOENT : -ESRCH;
    return sim_descriptor_install(caller, sim_pidfd_create(process), 0);
}

static sim_pidfd *pidfd_at(int fd)
{
    sim_file *file = sim_descriptor_file(sim_process_current(), fd);
    return file == NULL || file->type != &pidfd_type ? NULL : pidfd_of(file);
}

/* As wait(2) has it: a signal in the low bits, or an exit status above them. */
int coil_kernel_pidfd_exit(int fd, int *out_wait_status)
{
    sim_fiber_pass();
    const sim_pidfd *pidfd = pidfd_at(fd);
    if (pidfd == NULL)
        return sim_descriptor_file(sim_process_current(), fd) == NULL ? -EBADF : -EOPNOTSUPP;
    if (pidfd->process != NULL)
        return -EAGAIN;
    const bool has_exited = pidfd->status.si_code == CLD_EXITED;
    *out_wait_status = has_exited ? pidfd->status.si_status << 8 : pidfd->status.si_status;
    return 0;
}

int coil_kernel_pidfd_identity(int fd, uint64_t *out_identity)
{
    sim_fiber_pass();
    const sim_pidfd *pidfd = pidfd_at(fd);
    if (pidfd == NULL)
        return sim_descriptor_file(sim_process_current(), fd) == NULL ? -EBADF : -EOPNOTSUPP;
    *out_identity = (uint64_t)pidfd->identity;
    return 0;
}

int coil_kernel_pidfd_signal_group(int fd, int signo)
{
    sim_fiber_pass();
    const sim_pidfd *pidfd = pidfd_at(fd);
    if (pidfd == NULL)
        return -EBADF;
    const int rc = sim_kill(sim_process_current(), -pidfd->identity, signo);
    sim_signals_deliver(sim_fiber_current());
    return rc;
}

int coil_kernel_pidfd_signal(int fd, int signo)
{
    sim_fiber_pass();
    sim_process *caller = sim_process_current();
    sim_process *process;

    if (!sim_pidfd_process(sim_descriptor_file(caller, fd), &process))
        return -EBADF;
    if (process == NULL)
        return -ESRCH;
    const int rc = sim_may_signal(caller, process, signo);
    if (rc < 0 || signo == 0)
        return rc;
    const siginfo_t signal = sim_signal_from(caller, signo);
    sim_signal_send(process, &signal);
    sim_signals_deliver(sim_fiber_current());
    return 0;
}
