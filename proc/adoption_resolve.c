/* SPDX-License-Identifier: MIT */
/* Children that a predecessor has left: which process is it? */
#include "adoption_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>

/*
 * What the process of a kept pidfd leads, if it still runs. Without an identity (before Linux 6.9)
 * whoever has its number now is looked at: that is it, as long as it has not been reaped.
 */
static void look_at_group(adoption_entry *each)
{
    coil_child seen;

    if (coil_child_adopt(each->pid, each->identity, &seen) < 0)
        return;
    if (coil_kernel_pidfd_signal(each->child.pidfd, 0) != -ESRCH)
        each->child.group = seen.group;
    coil_child_fini(&seen);
}

/*
 * The process that writes to the pipe. -ESRCH: there is none that can be seen, or it has ended
 * meanwhile, which is why we look twice: its number may have become another's.
 */
static int take_writer(adoption_entry *each, int pipe)
{
    coil_child writer;

    const int pid = adoption_find_writer(pipe);
    if (pid < 0)
        return pid;
    const int rc = coil_child_adopt(pid, 0, &writer);
    if (rc < 0)
        return rc;
    if (adoption_find_writer(pipe) != pid) {
        coil_child_fini(&writer);
        return -ESRCH;
    }
    writer.stdout_fd = each->child.stdout_fd;
    writer.stderr_fd = each->child.stderr_fd;
    each->child = writer;
    each->pid = pid;
    (void)coil_child_identity(&each->child, &each->identity);
    return 0;
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
    coil_vars(int tries; int pipe; int is_gone; int seen; int rc);

    my->pipe = each->child.stdout_fd >= 0 ? each->child.stdout_fd : each->child.stderr_fd;
    for (my->tries = 0; my->tries < ADOPTION_START_TRIES; my->tries++) {
        my->seen = take_writer(each, my->pipe);
        if (my->seen == 0) {
            (void)adoption_copy(each, &each->child);
            coil_await(my->rc, adoption_keep(adoption, each->name, &each->child, each->identity));
            return my->rc;
        }
        coil_await(my->is_gone, has_no_writer(my->pipe));
        if (my->is_gone)
            break;
        if (my->seen != -ESRCH)
            return my->seen; /* It runs, and there is no room for it: nobody may think it ended. */
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
            look_at_group(each);
            continue;
        }
        coil_attempt(resolve(adoption, coil_container_of(my->at, adoption_entry, link)));
    }
    return 0;
}
