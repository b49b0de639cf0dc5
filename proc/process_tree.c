/* SPDX-License-Identifier: MIT */
#include "process_tree.h"

#include "cgroup_private.h"
#include "owned.h"

#include <coil/kernel.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* Rounds of SIGSTOP: each finds fewer, as only those that were not found yet can fork. */
enum { FREEZE_ROUNDS_MAX = 64 };

/* A list of numbers that grows until all have room. */
typedef struct pid_list {
    pid_t *pids;
    int count;
    int capacity;
} pid_list;

void process_tree_fini(process_tree *tree)
{
    free(tree->members);
    tree->members = NULL;
    tree->count = tree->capacity = 0;
}

static bool grow(pid_list *list)
{
    const int capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
    pid_t *pids = realloc(list->pids, (size_t)capacity * sizeof(*pids));
    if (pids == NULL)
        return false;
    list->pids = pids;
    list->capacity = capacity;
    return true;
}

/* Those of `parent`, or all if it is 0. */
static int list_processes(pid_t parent, pid_list *list)
{
    for (;;) {
        if (list->count == list->capacity && !grow(list))
            return -ENOMEM;
        list->count = parent == 0
                              ? coil_kernel_processes(list->pids, list->capacity)
                              : coil_kernel_process_children(parent, list->pids, list->capacity);
        if (list->count < list->capacity)
            return list->count;
    }
}

/* --------------------------------------------------------------------------------- members -- */

static process_tree_member *find_member(const process_tree *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->members[i].pid == pid)
            return &tree->members[i];
    }
    return NULL;
}

static int add_member(process_tree *tree, const coil_kernel_process *process)
{
    if (tree->count == tree->capacity) {
        const size_t capacity = tree->capacity == 0 ? 16 : 2 * tree->capacity;
        process_tree_member *members = realloc(tree->members, capacity * sizeof(*members));
        if (members == NULL)
            return -ENOMEM;
        tree->members = members;
        tree->capacity = capacity;
    }
    tree->members[tree->count++] = (process_tree_member){.pid = process->pid,
            .start_time = process->start_time,
            .was_ours = process->parent == coil_kernel_getpid(),
            .is_in_group = process->group == tree->child->pid};
    return 0;
}

/*
 * An orphan that has become ours: nobody else will reap it. Who was ours when we met may be a child
 * that somebody here waits for, as it is in the same group or cgroup; only a subreaper knows.
 */
static void reap_orphan(const process_tree_member *member, const coil_kernel_process *process)
{
    siginfo_t status;
    if (process->parent != coil_kernel_getpid())
        return;
    if (member->was_ours && !owned_is_orphan(process->pid))
        return;
    const int pidfd = coil_kernel_pidfd_open(process->pid);
    if (pidfd < 0)
        return;
    (void)coil_kernel_reap(pidfd, &status);
    (void)coil_kernel_close(pidfd);
}

static bool is_alive(const process_tree_member *member)
{
    coil_kernel_process process;
    if (coil_kernel_process_look(member->pid, &process) < 0)
        return false;
    if (process.start_time != member->start_time)
        return false;
    if (!process.has_ended)
        return true;
    reap_orphan(member, &process);
    return false;
}

static void forget_the_ended(process_tree *tree)
{
    size_t kept = 0;
    for (size_t i = 0; i < tree->count; i++) {
        if (is_alive(&tree->members[i]))
            tree->members[kept++] = tree->members[i];
    }
    tree->count = kept;
}

/* --------------------------------------------------------------------------------- looking -- */

/* The child is there, if only as a zombie: its number is nobody else's. */
static bool holds_number(const process_tree *tree)
{
    return !tree->child->exit.ended && coil_kernel_pidfd_signal(tree->child->pidfd, 0) != -ESRCH;
}

/* 0; -EPERM: somebody is in it, of another user; -ESRCH: nobody; -EINVAL: nobody can say. */
static int ask_group(const process_tree *tree)
{
    if (tree->child->group == COIL_SPAWN_GROUP_INHERIT || tree->child->pidfd < 0)
        return -ESRCH;
    return coil_kernel_pidfd_signal_group(tree->child->pidfd, 0);
}

/* Before Linux 6.9 a group is known by its number alone: that of the child, until it is reaped. */
static bool has_group(const process_tree *tree)
{
    const int rc = ask_group(tree);
    return rc == 0 || rc == -EPERM || (rc == -EINVAL && holds_number(tree));
}

/* They may be in the group, and their parents were gone before we looked. */
static bool has_orphans(const process_tree *tree)
{
    return has_group(tree) && (tree->child->exit.ended || ask_group(tree) == -EINVAL);
}

static bool belongs(const process_tree *tree, const coil_kernel_process *process)
{
    const coil_child *child = tree->child;
    const bool has_number = holds_number(tree);

    if (process->pid == child->pid || process->has_ended)
        return false;
    if (find_member(tree, process->parent) != NULL || (process->parent == child->pid && has_number))
        return true;
    if (process->group == child->pid && has_group(tree))
        return true;
    return process->session == child->pid && has_number && child->group == COIL_SPAWN_SESSION_NEW;
}

/* One more of them, perhaps. 1: it is; 0; -ENOMEM. */
static int consider(process_tree *tree, pid_t pid)
{
    coil_kernel_process process;
    if (find_member(tree, pid) != NULL || coil_kernel_process_look(pid, &process) < 0)
        return 0;
    if (!belongs(tree, &process))
        return 0;
    const int rc = add_member(tree, &process);
    return rc < 0 ? rc : 1;
}

/* 1: there may be more to find. */
static int consider_all(process_tree *tree, const pid_list *list)
{
    int found = 0;
    for (int i = 0; i < list->count; i++) {
        const int rc = consider(tree, list->pids[i]);
        if (rc < 0)
            return rc;
        found |= rc;
    }
    return found;
}

static int look_at_children(process_tree *tree, pid_t parent, pid_list *list)
{
    const int rc = list_processes(parent, list);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0 && rc != -ESRCH)
        tree->is_wide = true; /* A kernel that does not tell children. */
    return rc <= 0 ? 0 : consider_all(tree, list);
}

/* Children, and theirs; members that are found while we go through them come later in the list. */
static int look_down(process_tree *tree, pid_list *list)
{
    int rc = holds_number(tree) ? look_at_children(tree, tree->child->pid, list) : 0;
    for (size_t i = 0; i < tree->count && rc >= 0; i++)
        rc = look_at_children(tree, tree->members[i].pid, list);
    return rc;
}

/* Until one more look finds nobody: a child may have a lower number than its parent. */
static int look_around(process_tree *tree, pid_list *list)
{
    int rc = list_processes(0, list);
    while (rc > 0)
        rc = consider_all(tree, list);
    return rc == -ENOENT ? 0 : rc;
}

/* Who is in the cgroup or below it belongs, wherever it comes from. */
static int look_into_cgroup(process_tree *tree, pid_list *list)
{
    do {
        if (list->count == list->capacity && !grow(list))
            return -ENOMEM;
        list->count = coil_cgroup_tree_processes(tree->child->cgroup, list->pids, list->capacity);
    } while (list->count == list->capacity);
    for (int i = 0; i < list->count; i++) {
        coil_kernel_process process;
        const pid_t pid = list->pids[i];
        if (pid == tree->child->pid || find_member(tree, pid) != NULL ||
                coil_kernel_process_look(pid, &process) < 0)
            continue;
        const int rc = add_member(tree, &process);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int process_tree_look(process_tree *tree)
{
    pid_list list = {0};

    forget_the_ended(tree);
    int rc = tree->child->cgroup == NULL ? 0 : look_into_cgroup(tree, &list);
    if (rc >= 0)
        rc = look_down(tree, &list);
    if (tree->child->group == COIL_SPAWN_SESSION_NEW && tree->count > 0)
        tree->is_wide = true;
    if (has_orphans(tree))
        tree->is_wide = true;
    if (rc >= 0 && tree->is_wide)
        rc = look_around(tree, &list);
    free(list.pids);
    return rc < 0 ? rc : (int)tree->count;
}

/* ---------------------------------------------------------------------------------- telling -- */

int process_tree_open(const process_tree *tree, size_t place)
{
    const process_tree_member *member = &tree->members[place];
    coil_kernel_process process;

    const int pidfd = coil_kernel_pidfd_open(member->pid);
    if (pidfd < 0)
        return pidfd == -ENOENT ? -ESRCH : pidfd;
    if (coil_kernel_process_look(member->pid, &process) == 0 &&
            process.start_time == member->start_time)
        return pidfd;
    (void)coil_kernel_close(pidfd);
    return -ESRCH;
}

static void tell_member(process_tree *tree, size_t place, int signo)
{
    const int pidfd = process_tree_open(tree, place);
    const int rc = pidfd < 0 ? pidfd : coil_kernel_pidfd_signal(pidfd, signo);
    if (pidfd >= 0)
        (void)coil_kernel_close(pidfd);
    if (rc < 0 && rc != -ESRCH && tree->refusal == 0)
        tree->refusal = rc;
}

/* A group gets it as a whole, so that nobody in it can fork away. */
void process_tree_tell(process_tree *tree, int signo)
{
    coil_child *child = tree->child;
    const bool leads = child->group != COIL_SPAWN_GROUP_INHERIT && child->pidfd >= 0;
    const bool group_told = leads && coil_kernel_pidfd_signal_group(child->pidfd, signo) == 0;

    if (signo == SIGKILL && child->cgroup != NULL)
        (void)coil_cgroup_kill(child->cgroup); /* At once; else one after the other, below. */

    if (!group_told)
        (void)coil_child_signal(child, signo);
    for (size_t i = 0; i < tree->count; i++) {
        process_tree_member *member = &tree->members[i];
        if (member->told == signo)
            continue;
        if (!group_told || !member->is_in_group)
            tell_member(tree, i, signo);
        member->told = signo == SIGCONT ? member->told : signo;
    }
}

void process_tree_freeze(process_tree *tree)
{
    for (int round = 0; round < FREEZE_ROUNDS_MAX; round++) {
        const size_t before = tree->count;
        process_tree_tell(tree, SIGSTOP);
        if (process_tree_look(tree) < 0 || tree->count <= before)
            return;
    }
}
