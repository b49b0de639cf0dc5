/* SPDX-License-Identifier: MIT */
/* waitid(2): as a call that waits, as one that does not, and as an operation of the ring. */
#include "family.h"
#include "operation_table.h"

#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

/* --------------------------------------------------------------------------------- children -- */

static int check(const sim_wait *wait)
{
    const int events = WEXITED | WSTOPPED | WCONTINUED;
    const int known = events | WNOHANG | WNOWAIT | (int)(__WNOTHREAD | __WCLONE | __WALL);

    if ((wait->options & ~known) != 0 || (wait->options & events) == 0)
        return -EINVAL;
    switch (wait->type) {
    case P_ALL:
        return 0;
    case P_PID:
        return (pid_t)wait->id > 0 ? 0 : -EINVAL;
    case P_PGID:
    case P_PIDFD:
        return (int)wait->id >= 0 ? 0 : -EINVAL;
    }
    return -EINVAL;
}

/* What is said by a descriptor is said by a number from now on: the descriptor may be closed. */
static int resolve(const sim_process *process, sim_wait *wait)
{
    sim_process *child;
    const int rc = check(wait);
    if (rc < 0 || wait->type != P_PIDFD)
        return rc;
    if (!sim_pidfd_process(sim_descriptor_file(process, (int)wait->id), &child))
        return -EBADF;
    wait->type = P_PID;
    wait->id = child == NULL ? (id_t)INT_MAX : (id_t)child->id; /* Reaped: there is none. */
    return 0;
}

static bool is_meant(sim_process *process, sim_process *child, const sim_wait *wait)
{
    switch (wait->type) {
    case P_PID:
        return child->id == (pid_t)wait->id;
    case P_PGID:
        return sim_family_of(child)->group ==
               (wait->id == 0 ? sim_family_of(process)->group : (pid_t)wait->id);
    default:
        return true;
    }
}

static void describe(sim_process *child, int code, int signo, siginfo_t *out_status)
{
    out_status->si_signo = SIGCHLD;
    out_status->si_code = code;
    out_status->si_status = signo;
    out_status->si_pid = child->id;
    out_status->si_uid = sim_family_of(child)->users[0];
}

/* Something that it has done without ending, told once. False: nothing. */
static bool has_changed(sim_process *child, int options, siginfo_t *out_status)
{
    sim_family *family = sim_family_of(child);
    const bool keeps = (options & WNOWAIT) != 0;

    if ((options & WSTOPPED) != 0 && family->stop_signal != 0) {
        describe(child, CLD_STOPPED, family->stop_signal, out_status);
        family->stop_signal = keeps ? family->stop_signal : 0;
        return true;
    }
    if ((options & WCONTINUED) != 0 && family->has_continued) {
        describe(child, CLD_CONTINUED, SIGCONT, out_status);
        family->has_continued = keeps;
        return true;
    }
    return false;
}

int sim_wait_for(sim_process *process, const sim_wait *wait, siginfo_t *out_status)
{
    int rc = -ECHILD;

    memset(out_status, 0, sizeof(*out_status));
    for (coil_list *at = process->children.next; at != &process->children; at = at->next) {
        sim_process *child = coil_container_of(at, sim_process, sibling);
        if (!is_meant(process, child, wait) || sim_family_of(child)->is_unwanted)
            continue;
        rc = 0;
        if (!child->has_ended && has_changed(child, wait->options, out_status))
            return child->id;
        if (!child->has_ended || (wait->options & WEXITED) == 0)
            continue;
        *out_status = child->status;
        rc = child->id;
        sim_trace(process->world, "process %d sees the end of %d%s", (int)process->id,
                (int)child->id, (wait->options & WNOWAIT) != 0 ? "" : ", and reaps it");
        if ((wait->options & WNOWAIT) == 0)
            sim_process_reap(child);
        return rc;
    }
    return rc;
}

/* ------------------------------------------------------------------------------------ calls -- */

int coil_kernel_reap(int pidfd, siginfo_t *out_status)
{
    sim_fiber_pass();
    sim_process *process = sim_process_current();
    sim_wait wait = {(idtype_t)P_PIDFD, (id_t)pidfd, WEXITED | WNOHANG};

    int rc = resolve(process, &wait);
    if (rc == 0)
        rc = sim_wait_for(process, &wait, out_status);
    return rc < 0 ? rc : 0;
}

/* Nothing here uses anything. */
int coil_kernel_reap_usage(int pidfd, siginfo_t *out_status, struct rusage *out_usage)
{
    memset(out_usage, 0, sizeof(*out_usage));
    return coil_kernel_reap(pidfd, out_status);
}

int coil_kernel_reap_soon(int pidfd, siginfo_t *out_status)
{
    sim_fiber_pass();
    sim_process *process = sim_process_current();
    sim_wait wait = {(idtype_t)P_PIDFD, (id_t)pidfd, WEXITED};

    int rc = resolve(process, &wait);
    if (rc == 0)
        rc = sim_wait_for(process, &wait, out_status);
    while (rc == 0) {
        (void)sim_fiber_wait(&sim_family_of(process)->changed, COIL_NEVER, "waitid");
        rc = sim_wait_for(process, &wait, out_status);
    }
    return rc < 0 ? rc : 0;
}

/* -------------------------------------------------------------------------------- operation -- */

typedef struct sim_waiting {
    sim_extra extra; /* First: see request.h. */
    sim_wait wait;
    siginfo_t *status; /* Memory of the process; may be NULL. */
} sim_waiting;

/*
 * io_uring_prep_waitid() of liburing: the id is `fd`, its type `len`, the options are `file_index`.
 * Whatever else an entry may say must be 0 ("multishot" of the man page is -EINVAL: pitfall 8).
 */
static int prepare(sim_request *request)
{
    const struct io_uring_sqe *sqe = &request->sqe;
    sim_waiting *waiting = sim_new(sizeof(*waiting));

    waiting->extra.name = "waitid";
    waiting->wait = (sim_wait){(idtype_t)sqe->len, (id_t)sqe->fd, (int)sqe->file_index};
    waiting->status = sim_memory_at(sqe->addr2);
    request->extra = &waiting->extra;
    if (sqe->addr != 0 || sqe->buf_index != 0 || sqe->addr3 != 0 || sqe->waitid_flags != 0)
        return -EINVAL;
    return resolve(sim_request_process(request), &waiting->wait);
}

static unsigned answers(const sim_request *request, struct iovec out_parts[SIM_ANSWERS_MAX])
{
    const sim_waiting *waiting = coil_container_of(request->extra, sim_waiting, extra);
    out_parts[0] = (struct iovec){waiting->status, sizeof(*waiting->status)};
    return waiting->status != NULL;
}

/* The kernel writes these members one by one, and no other (io_waitid_copy_si). */
static void tell(const sim_waiting *waiting, const siginfo_t *status)
{
    siginfo_t *told = waiting->status;
    if (told == NULL)
        return;
    told->si_signo = status->si_signo;
    told->si_errno = 0;
    told->si_code = status->si_code;
    told->si_pid = status->si_pid;
    told->si_uid = status->si_uid;
    told->si_status = status->si_status;
}

/* Also -ECHILD and WNOHANG in vain write: zeros (observed). */
static int attempt(sim_request *request)
{
    const sim_waiting *waiting = coil_container_of(request->extra, sim_waiting, extra);
    sim_process *process = sim_request_process(request);
    siginfo_t status;

    const int rc = sim_wait_for(process, &waiting->wait, &status);
    if (rc == 0 && (waiting->wait.options & WNOHANG) == 0) {
        sim_request_wait(request, &sim_family_of(process)->changed);
        return SIM_AGAIN;
    }
    tell(waiting, &status);
    return rc < 0 ? rc : 0;
}

/* Observed: a wait that is cancelled leaves zeros behind, too. */
static int cancelled(sim_request *request)
{
    const sim_waiting *waiting = coil_container_of(request->extra, sim_waiting, extra);
    siginfo_t nothing;
    memset(&nothing, 0, sizeof(nothing));
    tell(waiting, &nothing);
    return -ECANCELED;
}

const sim_operation sim_operation_waitid = {
        .name = "waitid",
        .prepare = prepare,
        .attempt = attempt,
        .cancelled = cancelled,
        .answers = answers,
        .found = 1, /* Pitfall 5. */
};
