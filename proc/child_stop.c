/* SPDX-License-Identifier: MIT */
/* The ladder: ask, wait, kill; for a child, and for all that it has started. */
#include <coil/child.h>

#include "process_tree.h"

#include <coil/cgroup.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>

coil_define(int, coil_child_stop, (coil_child *) child, (coil_duration) grace)
{
    coil_vars(int rc);

    if (child->exit.ended)
        return child->exit.lost ? -ECHILD : 0;
    coil_defer(if (!child->exit.ended) {
        (void)coil_child_signal(child, SIGKILL);
        coil_await(my->rc, coil_child_wait(child));
    });
    (void)coil_child_signal(child, SIGTERM);
    (void)coil_child_signal(child, SIGCONT);
    coil_await(my->rc, coil_within(grace, coil_child_wait(child)));
    if (my->rc == -ETIME) {
        (void)coil_child_signal(child, SIGKILL);
        coil_await(my->rc, coil_child_wait(child));
    }
    return my->rc;
}

/* -------------------------------------------------------------------------- the whole tree -- */

/* SIGKILL ends what runs; but not what the kernel does not give back. */
#define KILL_LIMIT coil_s(10)

coil_async(int, await_end, (process_tree *) tree, (size_t) place)
{
    coil_vars(int pidfd; int rc);

    my->pidfd = process_tree_open(tree, place);
    if (my->pidfd < 0)
        return my->pidfd == -ESRCH ? 0 : my->pidfd;
    coil_defer((void)coil_kernel_close(my->pidfd));
    coil_await(my->rc, coil_poll(my->pidfd, POLLIN));
    return my->rc < 0 ? my->rc : 0;
}

/*
 * Nobody but the child is to be seen. It is reaped last: until then its number is nobody else's,
 * and so is that of its group. In its cgroup somebody may be left who is nested too deep to be
 * seen. 1: look again.
 */
coil_async(int, await_rest, (process_tree *) tree)
{
    coil_vars(int rc);

    coil_child *child = tree->child;
    if (!child->exit.ended) {
        coil_await(my->rc, coil_child_wait(child));
        return my->rc < 0 && my->rc != -ECHILD ? my->rc : 1;
    }
    my->rc = child->cgroup == NULL ? 0 : coil_cgroup_is_populated(child->cgroup);
    if (my->rc <= 0)
        return my->rc;
    coil_attempt(coil_cgroup_wait_empty(child->cgroup));
    return 1;
}

/* Until nothing of it runs. Whatever is found meanwhile is told what the others have been. */
coil_async(int, await_tree, (process_tree *) tree)
{
    coil_vars(size_t place; int rc);

    for (;;) {
        for (my->place = 0; my->place < tree->count; my->place++)
            coil_attempt(await_end(tree, my->place));
        if (!tree->child->exit.ended)
            coil_attempt(coil_poll(tree->child->pidfd, POLLIN));
        my->rc = process_tree_look(tree);
        if (my->rc == 0)
            coil_await(my->rc, await_rest(tree));
        if (my->rc <= 0)
            return my->rc;
        process_tree_tell(tree, tree->signo);
    }
}

/* First nobody can fork any more, then nobody is left. */
coil_async(int, kill_tree, (process_tree *) tree)
{
    coil_vars(int rc);

    process_tree_freeze(tree);
    tree->signo = SIGKILL;
    process_tree_tell(tree, SIGKILL);
    coil_await(my->rc, coil_within(KILL_LIMIT, await_tree(tree)));
    return my->rc == -ETIME ? -EBUSY : my->rc;
}

coil_define(int, coil_child_stop_tree, (coil_child *) child, (coil_duration) grace)
{
    coil_vars(process_tree tree; int rc; bool is_over);

    my->tree.child = child;
    coil_defer(process_tree_fini(&my->tree));
    coil_defer(if (!my->is_over) coil_ignore(kill_tree(&my->tree)));

    my->tree.signo = SIGTERM;
    my->rc = process_tree_look(&my->tree);
    if (my->rc >= 0) {
        process_tree_tell(&my->tree, SIGTERM);
        process_tree_tell(&my->tree, SIGCONT);
        coil_await(my->rc, coil_within(grace, await_tree(&my->tree)));
    }
    if (my->rc < 0)
        coil_await(my->rc, kill_tree(&my->tree));
    my->is_over = true;
    if (my->rc < 0)
        return my->tree.refusal < 0 ? my->tree.refusal : my->rc;
    return child->exit.lost ? -ECHILD : 0;
}
