/* SPDX-License-Identifier: MIT */
/* Children that outlive us: known to the keeper before they are there. */
#include "adoption_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <string.h>

/* The pipes of a child, made before it. */
typedef struct birth {
    coil_child child; /* What we will have of it. */
    int theirs[2];
    coil_spawn_plan plan;
} birth;

static int make_pipe(
        const coil_stdio *wanted, coil_stdio *out_stdio, int *out_ours, int *out_theirs)
{
    int ends[2];
    if (wanted->mode != COIL_STDIO_PIPE)
        return 0;
    const int rc = coil_kernel_pipe(ends);
    if (rc < 0)
        return rc;
    *out_ours = ends[0];
    *out_theirs = ends[1];
    *out_stdio = (coil_stdio){COIL_STDIO_FD, ends[1]};
    return 0;
}

static void close_theirs(birth *one)
{
    for (int i = 0; i < 2; i++) {
        if (one->theirs[i] >= 0)
            (void)coil_kernel_close(one->theirs[i]);
        one->theirs[i] = -1;
    }
}

static int conceive(birth *one, const coil_spawn_plan *plan)
{
    one->plan = *plan;
    one->plan.death_signal = COIL_SPAWN_OUTLIVE;
    one->theirs[0] = one->theirs[1] = -1;
    one->child = (coil_child){.pidfd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int rc = make_pipe(&plan->out, &one->plan.out, &one->child.stdout_fd, &one->theirs[0]);
    if (rc == 0)
        rc = make_pipe(&plan->err, &one->plan.err, &one->child.stderr_fd, &one->theirs[1]);
    return rc;
}

/* The pipes stay in `one->child`, beside what the spawn has made. */
static int bear(birth *one, coil_spawn_error *out_error)
{
    coil_child made;
    const int rc = coil_child_spawn(&one->plan, &made, out_error);
    close_theirs(one);
    if (rc < 0)
        return rc;
    made.stdout_fd = one->child.stdout_fd;
    made.stderr_fd = one->child.stderr_fd;
    one->child = made;
    return 0;
}

/* The keeper knows of its pipes before it is there. */
/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_async(int, announce, (coil_adoption *) adoption, (adoption_entry *) entry,
        (const coil_spawn_plan *) plan, (birth *) one, (coil_spawn_error *) out_error)
{
    coil_vars(int rc; int keep_rc);

    my->rc = conceive(one, plan);
    if (my->rc == 0)
        my->rc = adoption_copy(entry, &one->child);
    if (my->rc < 0)
        return my->rc;
    coil_attempt(adoption_keep(adoption, entry->name, &one->child, 0));
    my->rc = bear(one, out_error);
    if (my->rc < 0)
        coil_await(my->keep_rc, adoption_unkeep(adoption, entry->name));
    return my->rc;
}

/* It has a pipe to be found by; a terminal would end with us, who have its other side. */
static bool may_outlive(const coil_spawn_plan *plan)
{
    const bool has_terminal = plan->in.mode == COIL_STDIO_PTY || plan->out.mode == COIL_STDIO_PTY ||
                              plan->err.mode == COIL_STDIO_PTY;

    return !has_terminal &&
           (plan->out.mode == COIL_STDIO_PIPE || plan->err.mode == COIL_STDIO_PIPE);
}

/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_define(int, coil_adoption_spawn, (coil_adoption *) adoption, (const char *) name,
        (const coil_spawn_plan *) plan, (coil_child *) out_child, (coil_spawn_error *) out_error)
{
    coil_vars(birth birth; adoption_entry *entry; int rc; bool is_done);

    if (!may_outlive(plan) || !adoption_is_name(name, strlen(name)))
        return -EINVAL;
    if (adoption_find(adoption, name) != NULL)
        return -EEXIST;
    my->entry = adoption_add(adoption, name);
    if (my->entry == NULL)
        return -ENOMEM;
    coil_defer(if (!my->is_done) {
        close_theirs(&my->birth);
        coil_child_fini(&my->birth.child);
        coil_await(adoption_settled(adoption));
        adoption_drop(my->entry);
    });
    coil_attempt(announce(adoption, my->entry, plan, &my->birth, out_error));
    my->is_done = true;
    (void)coil_child_identity(&my->birth.child, &my->entry->identity);
    (void)adoption_copy(my->entry, &my->birth.child);
    my->entry->pid = my->birth.child.pid;
    *out_child = my->birth.child;
    adoption_changed(adoption);
    /* Without a keeper it is in the state file all the same. */
    coil_await(my->rc,
            coil_shield(adoption_keep(adoption, name, &my->birth.child, my->entry->identity)));
    return 0;
}

coil_define(int, coil_adoption_forget, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(int rc);

    coil_await(adoption_settled(adoption));
    adoption_entry *known = adoption_find(adoption, name);
    if (known == NULL)
        return -ENOENT;
    adoption_drop(known);
    adoption_changed(adoption);
    coil_await(my->rc, adoption_unkeep(adoption, name));
    return my->rc;
}
