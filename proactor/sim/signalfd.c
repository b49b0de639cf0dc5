/* SPDX-License-Identifier: MIT */
/*
 * signalfd(2): a file that reads as the signals that its reader has pending.
 *
 * Which thread's? That which reads, or polls: in a ring the one that runs the task work. So the
 * same descriptor gives different signals to different threads, and to a child that inherits it.
 */
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <sys/signalfd.h>

typedef struct sim_signalfd {
    sim_file file;
    coil_list link; /* In signals->files of its maker; unlinked when that has ended. */
    sim_process *process;
    sim_signal_set set;
} sim_signalfd;

static sim_signalfd *signalfd_of(sim_file *file)
{
    return coil_container_of(file, sim_signalfd, file);
}

/* Those who wait are being told: it is not the current thread, the sender, that asks. */
static bool is_announcing;

/* Asked for nobody in particular: whether any thread of its maker would have something. */
static short poll_signals(sim_file *file)
{
    const sim_signalfd *signalfd = signalfd_of(file);
    const sim_fiber *fiber = is_announcing ? NULL : sim_fiber_current();
    sim_process *process = fiber != NULL ? fiber->process : signalfd->process;

    if (process == NULL)
        return 0;
    return (sim_signal_pending(process, fiber) & signalfd->set) != 0 ? POLLIN : 0;
}

/* signalfd_copyinfo() of fs/signalfd.c: which fields are set depends on who has sent it. */
static struct signalfd_siginfo describe(const siginfo_t *signal)
{
    struct signalfd_siginfo record;
    memset(&record, 0, sizeof(record));
    record.ssi_signo = (uint32_t)signal->si_signo;
    record.ssi_errno = signal->si_errno;
    record.ssi_code = signal->si_code;
    record.ssi_pid = (uint32_t)signal->si_pid;
    record.ssi_uid = signal->si_uid;
    if (signal->si_signo == SIGCHLD && signal->si_code > 0) {
        record.ssi_status = signal->si_status;
    } else if (signal->si_code == SI_QUEUE) {
        record.ssi_int = signal->si_int;
        record.ssi_ptr = (uint64_t)(uintptr_t)signal->si_ptr;
    }
    return record;
}

/* As many as there are and fit; -EINVAL if not even one fits (observed). */
static ssize_t read_signals(sim_file *file, sim_io *io)
{
    const sim_signalfd *signalfd = signalfd_of(file);
    const sim_fiber *fiber = sim_fiber_current();
    siginfo_t signal;
    ssize_t count = 0;

    if (sim_io_left(io) < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    while (sim_io_left(io) >= sizeof(struct signalfd_siginfo)) {
        const sim_fiber *reader = fiber != NULL && fiber->process == io->process ? fiber : NULL;
        if (sim_signal_take(io->process, reader, signalfd->set, &signal) == 0)
            break;
        const struct signalfd_siginfo record = describe(&signal);
        count += (ssize_t)sim_io_put(io, &record, sizeof(record));
    }
    return count == 0 ? -EAGAIN : count;
}

static void release(sim_file *file)
{
    sim_signalfd *signalfd = signalfd_of(file);
    coil_list_remove(&signalfd->link);
    sim_delete(signalfd);
}

static const sim_file_type signalfd_type = {
        .name = "signalfd",
        .has_messages = true,
        .poll = poll_signals,
        .read = read_signals,
        .release = release,
};

sim_file *sim_signalfd_create(sim_process *process, sim_signal_set set)
{
    sim_signalfd *signalfd = sim_new(sizeof(*signalfd));
    sim_file_init(&signalfd->file, &signalfd_type, process->world);
    signalfd->process = process;
    signalfd->set = set;
    coil_list_init(&signalfd->link);
    coil_list_append(&sim_signals_of(process)->files, &signalfd->link);
    return &signalfd->file;
}

void sim_signalfds_changed(sim_signals *signals, int signo)
{
    is_announcing = true;
    for (coil_list *at = signals->files.next; at != &signals->files; at = at->next) {
        sim_signalfd *signalfd = coil_container_of(at, sim_signalfd, link);
        if ((signalfd->set & sim_signal_bit(signo)) != 0)
            sim_file_changed(&signalfd->file);
    }
    is_announcing = false;
}

void sim_signalfds_forget(sim_signals *signals)
{
    coil_list *link;
    while ((link = coil_list_take_first(&signals->files)) != NULL)
        coil_container_of(link, sim_signalfd, link)->process = NULL;
}
