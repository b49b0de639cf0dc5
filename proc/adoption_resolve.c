/* SPDX-License-Identifier: MIT */
/* Children that a predecessor has left: which process is it? */
#include "adoption_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <poll.h>

/* What the process of a kept pidfd leads is found out by who adopts it, if it still runs. */
static void know_better(adoption_entry *each)
{
    coil_child better;
    if (each->pid <= 0 || coil_child_adopt(each->pid, each->identity, &better) < 0)
        return;
    if (each->child.pidfd >= 0)
        (void)coil_kernel_close(each->child.pidfd);
    better.stdout_fd = each->child.stdout_fd;
    better.stderr_fd = each->child.stderr_fd;
    each->child = better;
}

/* Nobody can write to the pipe: whoever had it has ended, or never was. */
coil_async(int, has_no_writer, (int) fd)
{
    coil_vars(int events);

    coil_await(my->events, coil_within(ADOPTION_TRY_AGAIN, coil_poll(fd, POLLHUP)));
    return my->events > 0 && (my->events & POLLHUP) != 0;
}

/*
 * The predecessor was killed while it spawned this one. It runs if, and only if, somebody has the
 * other end of its pipe: that can only be it. Until its exec it is hard to see.
 */
coil_async(int, resolve, (coil_adoption *) adoption, (adoption_entry *) each)
{
    coil_vars(int tries; int pipe; int is_gone; int rc);

    my->pipe = each->child.stdout_fd >= 0 ? each->child.stdout_fd : each->child.stderr_fd;
    for (my->tries = 0; my->tries < ADOPTION_START_TRIES; my->tries++) {
        const int pid = adoption_find_writer(my->pipe);
        if (pid > 0) {
            each->pid = pid;
            know_better(each);
            (void)coil_child_identity(&each->child, &each->identity);
            (void)adoption_copy(each, &each->child);
            coil_await(my->rc, adoption_keep(adoption, each->name, &each->child, each->identity));
            return my->rc;
        }
        coil_await(my->is_gone, has_no_writer(my->pipe));
        if (my->is_gone)
            break;
        coil_await(coil_sleep(ADOPTION_TRY_AGAIN));
    }
    each->child.exit = (coil_exit){.ended = true, .lost = true};
    return 0;
}

coil_define(int, adoption_resolve_all, (coil_adoption *) adoption)
{
    coil_vars(coil_list *at; int rc);

    for (my->at = adoption->entries.next; my->at != &adoption->entries; my->at = my->at->next) {
        adoption_entry *each = coil_container_of(my->at, adoption_entry, link);
        if (each->pid > 0) {
            know_better(each);
            continue;
        }
        coil_attempt(resolve(adoption, coil_container_of(my->at, adoption_entry, link)));
    }
    return 0;
}
