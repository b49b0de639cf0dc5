/* SPDX-License-Identifier: MIT */
#include "adoption_private.h"

#include <coil/check.h>
#include <coil/file.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MORE_PATH_BYTES = 16, LOCK_TRIES = 300 };

/* --------------------------------------------------------------------------------- entries -- */

adoption_entry *adoption_find(coil_adoption *adoption, const char *name)
{
    for (coil_list *at = adoption->entries.next; at != &adoption->entries; at = at->next) {
        adoption_entry *each = coil_container_of(at, adoption_entry, link);
        if (strcmp(each->name, name) == 0)
            return each;
    }
    return NULL;
}

adoption_entry *adoption_add(coil_adoption *adoption, const char *name)
{
    adoption_entry *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    (void)snprintf(made->name, sizeof(made->name), "%s", name);
    made->child = (coil_child){.pidfd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    made->copies[ADOPTION_PIDFD] = -1;
    made->copies[ADOPTION_STDOUT] = made->copies[ADOPTION_STDERR] = -1;
    coil_list_append(&adoption->entries, &made->link);
    return made;
}

void adoption_drop(adoption_entry *old)
{
    if (old->is_offered)
        coil_child_fini(&old->child);
    for (int i = 0; i < ADOPTION_COPIES; i++) {
        if (old->copies[i] >= 0)
            (void)coil_kernel_close(old->copies[i]);
    }
    coil_list_remove(&old->link);
    free(old);
}

int adoption_copy(adoption_entry *of, const coil_child *child)
{
    const int fds[ADOPTION_COPIES] = {child->pidfd, child->stdout_fd, child->stderr_fd};
    for (int i = 0; i < ADOPTION_COPIES; i++) {
        if (fds[i] < 0 || of->copies[i] >= 0)
            continue;
        const int copy = coil_kernel_dup_above(fds[i], 0);
        if (copy < 0)
            return copy;
        of->copies[i] = copy;
    }
    return 0;
}

bool coil_adoption_take_like(
        coil_adoption *adoption, const char *beginning, coil_adopted *out_adopted)
{
    const size_t size_bytes = strlen(beginning);
    for (coil_list *at = adoption->entries.next; at != &adoption->entries; at = at->next) {
        adoption_entry *each = coil_container_of(at, adoption_entry, link);
        if (!each->is_offered || strncmp(each->name, beginning, size_bytes) != 0)
            continue;
        each->is_offered = false;
        memcpy(out_adopted->name, each->name, sizeof(each->name));
        out_adopted->child = each->child;
        return true;
    }
    return false;
}

void adoption_offer_again(coil_adoption *adoption, const coil_adopted *adopted)
{
    adoption_entry *entry = adoption_find(adoption, adopted->name);

    COIL_CHECK(entry != NULL);
    entry->child = adopted->child;
    entry->is_offered = true;
}

bool coil_adoption_take(coil_adoption *adoption, coil_adopted *out_adopted)
{
    return coil_adoption_take_like(adoption, "", out_adopted);
}

int coil_adoption_take_held(coil_adoption *adoption, const char *name)
{
    for (coil_list *at = adoption->held.next; at != &adoption->held; at = at->next) {
        adoption_held *each = coil_container_of(at, adoption_held, link);
        if (strcmp(each->name, name) != 0 || each->offered < 0)
            continue;
        const int fd = each->offered;
        each->offered = -1;
        return fd;
    }
    return -ENOENT;
}

coil_log_journal *coil_adoption_journal(coil_adoption *adoption)
{
    return adoption->journal;
}

/* -------------------------------------------------------------------------- opening, closing -- */

static void forget_all(coil_adoption *adoption)
{
    coil_list *at;
    while ((at = coil_list_take_first(&adoption->entries)) != NULL)
        adoption_drop(coil_container_of(at, adoption_entry, link));
    while ((at = coil_list_take_first(&adoption->held)) != NULL) {
        adoption_held *held = coil_container_of(at, adoption_held, link);
        if (held->offered >= 0)
            (void)coil_kernel_close(held->offered);
        if (held->fd >= 0)
            (void)coil_kernel_close(held->fd);
        free(held);
    }
    while ((at = coil_list_take_first(&adoption->numbers)) != NULL)
        free(coil_container_of(at, adoption_number, link));
    coil_log_journal_close(adoption->journal);
    if (adoption->lock >= 0)
        (void)coil_kernel_close(adoption->lock);
    free(adoption->state_path);
    free(adoption);
}

static coil_adoption *make(coil_task *self, const char *directory)
{
    coil_adoption *adoption = calloc(1, sizeof(*adoption));
    const size_t path_bytes = strlen(directory) + MORE_PATH_BYTES;
    if (adoption == NULL)
        return NULL;
    coil_group_init(&adoption->group, self->sched);
    adoption->group.keep_going = true;
    coil_list_init(&adoption->entries);
    coil_list_init(&adoption->held);
    coil_list_init(&adoption->numbers);
    coil_list_init(&adoption->waiters);
    adoption->lock = -1;
    adoption->state_path = malloc(path_bytes);
    if (adoption->state_path == NULL) {
        free(adoption);
        return NULL;
    }
    (void)snprintf(adoption->state_path, path_bytes, "%s/state", directory);
    return adoption;
}

/*
 * Who can put a file there, a state or a socket of his own, could have us adopt, and end, whatever
 * he likes.
 */
coil_async(int, check_directory, (const char *) directory, (char *) out_reason)
{
    coil_vars(struct statx status);

    coil_attempt(coil_statx(AT_FDCWD, directory, 0, STATX_MODE, &my->status));
    if ((my->status.stx_mode & (S_IWGRP | S_IWOTH)) == 0)
        return 0;
    if (out_reason != NULL) {
        (void)snprintf(out_reason, COIL_ADOPTION_TEXT_BYTES,
                "others than its owner may write to directory %s", directory);
    }
    return -EPERM;
}

/* One supervisor at a time; the children of one that was killed have it until their exec. */
coil_async(int, lock, (coil_adoption *) adoption, (const char *) directory)
{
    coil_vars(char path[PATH_MAX]; int tries; int rc);

    (void)snprintf(my->path, sizeof(my->path), "%s/lock", directory);
    coil_attempt(
            adoption->lock, coil_openat(AT_FDCWD, my->path, O_RDWR | O_CREAT, ADOPTION_STATE_MODE));
    for (;;) {
        my->rc = coil_kernel_lock(adoption->lock);
        if (my->rc != -EWOULDBLOCK)
            return my->rc;
        if (my->tries++ == LOCK_TRIES)
            return -EBUSY;
        coil_await(coil_sleep(ADOPTION_TRY_AGAIN));
    }
}

coil_async(int, reach_keeper, (coil_adoption *) adoption, (const coil_adoption_options *) options)
{
    coil_vars(char path[PATH_MAX]; coil_keeper_options keeper; int tries; int rc);

    (void)snprintf(my->path, sizeof(my->path), "%s/keeper", options->directory);
    my->keeper = (coil_keeper_options){
            .path = my->path, .patience = options->patience, .kills = options->kills};
    for (;;) { /* It may not know yet that the predecessor is gone. */
        coil_await(my->rc, coil_keeper_open(&my->keeper, &adoption->keeper));
        if (my->rc != -EBUSY || my->tries++ == LOCK_TRIES)
            return my->rc;
        coil_await(coil_sleep(ADOPTION_TRY_AGAIN));
    }
}

coil_async(int, begin, (coil_adoption *) adoption, (const coil_adoption_options *) options,
        (char *) out_reason)
{
    coil_vars();

    coil_attempt(check_directory(options->directory, out_reason));
    coil_attempt(lock(adoption, options->directory));
    coil_attempt(reach_keeper(adoption, options));
    coil_attempt(adoption_fetch(adoption, out_reason));
    coil_attempt(adoption_begin_journal(adoption));
    coil_attempt(adoption_resolve_all(adoption));
    coil_attempt(adoption_read_state(adoption, out_reason));
    adoption_changed(adoption);
    adoption_begin_watch(adoption);
    return 0;
}

coil_define(int, coil_adoption_open, (const coil_adoption_options *) options,
        (coil_adoption **) out_adoption, (char *) out_reason)
{
    coil_vars(coil_adoption *adoption; int rc);

    if (out_reason != NULL)
        out_reason[0] = '\0';
    if (strlen(options->directory) + MORE_PATH_BYTES > PATH_MAX)
        return -ENAMETOOLONG;
    my->adoption = make(coil_self, options->directory);
    if (my->adoption == NULL)
        return -ENOMEM;
    coil_defer(if (my->adoption != NULL) {
        coil_await(coil_keeper_close(my->adoption->keeper, COIL_KEEPER_STAYS));
        forget_all(my->adoption);
    });
    coil_attempt(begin(my->adoption, options, out_reason));
    int count = 0;
    for (coil_list *at = my->adoption->entries.next; at != &my->adoption->entries; at = at->next)
        count++;
    *out_adoption = my->adoption;
    my->adoption = NULL;
    return count;
}

coil_define(void, coil_adoption_close, (coil_adoption *) adoption, (coil_keeper_end) end)
{
    coil_vars(int rc);

    if (adoption == NULL)
        return;
    coil_defer({
        coil_await(adoption_end_tasks(adoption));
        if (end == COIL_KEEPER_ENDS)
            coil_await(my->rc, coil_unlinkat(AT_FDCWD, adoption->state_path, 0));
        coil_await(coil_keeper_close(adoption->keeper, end));
        forget_all(adoption);
    });
    coil_await(coil_yield());
}
