/* SPDX-License-Identifier: MIT */
#include <coil/subreaper.h>

#include "owned.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long to wait for the owner of a child that has ended, at first and at last. */
#define OWNER_WAIT_MIN coil_ms(1)
#define OWNER_WAIT_MAX coil_s(1)

/* Our children. To be freed; after an error there is nothing. */
typedef struct child_list {
    pid_t *pids;
    int count;
} child_list;

static int list_children(child_list *out_list)
{
    child_list list = {.pids = NULL};
    int rc = -ENOMEM;
    *out_list = list;
    for (int capacity = 256;; capacity *= 2) {
        pid_t *pids = realloc(list.pids, (size_t)capacity * sizeof(*pids));
        if (pids == NULL)
            break;
        list.pids = pids;
        rc = coil_kernel_process_children(coil_kernel_getpid(), pids, capacity);
        if (rc < 0)
            break;
        if (rc < capacity) {
            list.count = rc;
            *out_list = list;
            return 0;
        }
        rc = -ENOMEM;
    }
    free(list.pids);
    return rc;
}

/* True: it was an orphan that had ended. */
static bool reap_and_tell(pid_t pid, coil_orphan_hook *hook)
{
    siginfo_t status;
    coil_exit exit = {.ended = true, .has_usage = true};
    const int pidfd = coil_kernel_pidfd_open(pid);
    if (pidfd < 0)
        return false;
    memset(&status, 0, sizeof(status));
    const int rc = coil_kernel_reap_usage(pidfd, &status, &exit.usage);
    (void)coil_kernel_close(pidfd);
    if (rc < 0 || status.si_pid == 0)
        return false;
    exit.signaled = status.si_code != CLD_EXITED;
    exit.dumped_core = status.si_code == CLD_DUMPED;
    exit.code = status.si_status;
    if (hook != NULL)
        hook->reaped(hook, pid, &exit);
    return true;
}

/* True: at least one was. */
static bool reap_orphans(coil_orphan_hook *hook)
{
    child_list list;
    bool any = false;
    if (list_children(&list) < 0)
        return false;
    for (int i = 0; i < list.count; i++) {
        if (!owned_has(list.pids[i]))
            any |= reap_and_tell(list.pids[i], hook);
    }
    free(list.pids);
    return any;
}

static int begin(void)
{
    child_list list;
    int rc = owned_begin();
    if (rc < 0)
        return rc;
    rc = list_children(&list);
    if (rc == 0)
        rc = coil_kernel_set_subreaper(true);
    if (rc < 0) {
        free(list.pids);
        owned_end();
        return rc;
    }
    for (int i = 0; i < list.count; i++)
        owned_add(list.pids[i]);
    free(list.pids);
    return 0;
}

static void end(void)
{
    (void)coil_kernel_set_subreaper(false);
    owned_end();
}

/*
 * A wait for any child tells of one that has ended; again and again of the same, as long as its
 * owner leaves it there. -ECHILD: we have none, so nobody can be orphaned.
 */
coil_define(int, coil_subreaper_run, (coil_orphan_hook *) hook)
{
    coil_vars(siginfo_t status; coil_duration pause; int rc);

    my->rc = begin();
    if (my->rc < 0)
        return my->rc;
    coil_defer(end());
    my->pause = OWNER_WAIT_MIN;
    for (;;) {
        coil_await(my->rc, coil_waitid(P_ALL, 0, &my->status, WEXITED | WNOWAIT));
        if (my->rc < 0 && my->rc != -ECHILD)
            return my->rc;
        if (my->rc == 0 && reap_orphans(hook)) {
            my->pause = OWNER_WAIT_MIN;
            continue;
        }
        coil_await(coil_sleep(my->pause));
        my->pause = 2 * my->pause < OWNER_WAIT_MAX ? 2 * my->pause : OWNER_WAIT_MAX;
    }
}

coil_async(int, stop_orphan, (pid_t) pid, (coil_duration) grace)
{
    coil_vars(coil_child orphan; int rc);

    my->rc = coil_child_adopt(pid, 0, &my->orphan);
    if (my->rc < 0)
        return my->rc == -ESRCH ? 0 : my->rc;
    coil_defer(coil_child_fini(&my->orphan));
    coil_await(my->rc, coil_child_stop_tree(&my->orphan, grace));
    return my->rc == -ECHILD ? 0 : my->rc;
}

coil_define(int, coil_subreaper_stop_orphans, (coil_duration) grace)
{
    coil_vars(child_list list; int place; int count; coil_group all);

    const int rc = list_children(&my->list);
    if (rc < 0)
        return rc;
    coil_defer(free(my->list.pids));
    coil_open_group(&my->all);
    my->all.keep_going = true;
    for (my->place = 0; my->place < my->list.count; my->place++) {
        if (owned_has(my->list.pids[my->place]))
            continue;
        my->count++;
        coil_spawn(&my->all, stop_orphan(my->list.pids[my->place], grace));
    }
    coil_attempt(coil_group_join(&my->all));
    return my->all.error < 0 ? my->all.error : my->count;
}
