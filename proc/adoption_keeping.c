/* SPDX-License-Identifier: MIT */
/* What the keeper has of an adoption: its children, its journal, and what it holds besides. */
#include "adoption_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_KEY "journal"
#define CHILD_PREFIX "c:"
#define HELD_PREFIX "h:"
#define NUMBER_PREFIX "n:"

typedef enum note_kind {
    NOTE_STARTING = 1,
    NOTE_RUNNING,
    NOTE_JOURNAL,
    NOTE_HELD,
    NOTE_NUMBER, /* Without descriptors; `identity` is the number. */
} note_kind;

/* What is kept beside the descriptors, in their order: pidfd, if it runs; stdout; stderr. */
typedef struct adoption_note {
    uint8_t kind;
    uint8_t has_out;
    uint8_t has_err;
    uint8_t unused;
    int32_t pid;
    uint64_t identity;
} adoption_note;

static_assert(sizeof(adoption_note) <= COIL_KEEPER_NOTE_BYTES, "it fits");

/* --------------------------------------------------------------------------------- telling -- */

static void label(coil_kept *kept, const char *prefix, const char *name, const adoption_note *note)
{
    memset(kept, 0, sizeof(*kept));
    (void)snprintf(kept->key, sizeof(kept->key), "%s%s", prefix, name);
    memcpy(kept->note, note, sizeof(*note));
}

static void add_fd(coil_kept *kept, int fd)
{
    if (fd >= 0)
        kept->fds[kept->fd_count++] = fd;
}

/* Without a pid it is about to be spawned. */
static void describe(coil_kept *kept, const char *name, const coil_child *child, uint64_t identity)
{
    const adoption_note note = {
            .kind = child->pid > 0 ? NOTE_RUNNING : NOTE_STARTING,
            .has_out = child->stdout_fd >= 0,
            .has_err = child->stderr_fd >= 0,
            .pid = child->pid,
            .identity = identity,
    };
    label(kept, CHILD_PREFIX, name, &note);
    if (child->pid > 0)
        add_fd(kept, child->pidfd);
    add_fd(kept, child->stdout_fd);
    add_fd(kept, child->stderr_fd);
}

coil_define(int, adoption_keep, (coil_adoption *) adoption, (const char *) name,
        (const coil_child *) child, (uint64_t) identity)
{
    coil_vars(coil_kept kept; int rc);

    describe(&my->kept, name, child, identity);
    coil_await(my->rc, adoption_put(adoption, &my->kept));
    return my->rc;
}

coil_async(int, remove_key, (coil_adoption *) adoption, (const char *) prefix, (const char *) name)
{
    coil_vars(char key[COIL_KEEPER_KEY_BYTES]; int rc);

    (void)snprintf(my->key, sizeof(my->key), "%s%s", prefix, name);
    coil_await(my->rc, adoption_remove(adoption, my->key));
    return my->rc;
}

coil_define(int, adoption_unkeep, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(int rc);
    coil_await(my->rc, remove_key(adoption, CHILD_PREFIX, name));
    return my->rc;
}

static adoption_held *find_held(coil_adoption *adoption, const char *name)
{
    for (coil_list *at = adoption->held.next; at != &adoption->held; at = at->next) {
        adoption_held *each = coil_container_of(at, adoption_held, link);
        if (strcmp(each->name, name) == 0)
            return each;
    }
    return NULL;
}

static adoption_held *add_held(coil_adoption *adoption, const char *name)
{
    adoption_held *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    (void)snprintf(made->name, sizeof(made->name), "%s", name);
    made->fd = made->offered = -1;
    coil_list_append(&adoption->held, &made->link);
    return made;
}

static void forget_held(adoption_held *old)
{
    if (old->fd >= 0)
        (void)coil_kernel_close(old->fd);
    old->fd = -1;
    if (old->offered >= 0)
        return;
    coil_list_remove(&old->link);
    free(old);
}

/* A copy, for another keeper, in place of what there was. */
static int remember(coil_adoption *adoption, const char *name, int fd)
{
    const int copy = coil_kernel_dup_above(fd, 0);
    if (copy < 0)
        return copy;
    adoption_held *held = find_held(adoption, name);
    if (held == NULL)
        held = add_held(adoption, name);
    if (held == NULL) {
        (void)coil_kernel_close(copy);
        return -ENOMEM;
    }
    if (held->fd >= 0)
        (void)coil_kernel_close(held->fd);
    held->fd = copy;
    return 0;
}

static void describe_held(coil_kept *kept, const char *name, int fd)
{
    const adoption_note note = {.kind = NOTE_HELD};
    label(kept, HELD_PREFIX, name, &note);
    add_fd(kept, fd);
}

coil_define(int, coil_adoption_hold, (coil_adoption *) adoption, (const char *) name, (int) fd)
{
    coil_vars(coil_kept kept; int rc);

    if (!adoption_is_name(name, strlen(name)))
        return -EINVAL;
    coil_await(adoption_settled(adoption));
    my->rc = remember(adoption, name, fd);
    if (my->rc < 0)
        return my->rc;
    describe_held(&my->kept, name, fd);
    coil_await(my->rc, adoption_put(adoption, &my->kept));
    return my->rc;
}

coil_define(int, coil_adoption_release, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(int rc);

    coil_await(adoption_settled(adoption));
    adoption_held *held = find_held(adoption, name);
    if (held != NULL)
        forget_held(held);
    coil_await(my->rc, remove_key(adoption, HELD_PREFIX, name));
    return my->rc;
}

/* ---------------------------------------------------------------------------------- numbers -- */

static adoption_number *find_number(const coil_adoption *adoption, const char *name)
{
    for (coil_list *at = adoption->numbers.next; at != &adoption->numbers; at = at->next) {
        adoption_number *each = coil_container_of(at, adoption_number, link);
        if (strcmp(each->name, name) == 0)
            return each;
    }
    return NULL;
}

uint64_t adoption_last_number(const coil_adoption *adoption, const char *name)
{
    const adoption_number *found = find_number(adoption, name);
    return found == NULL ? 0 : found->last;
}

static bool remember_number(coil_adoption *adoption, const char *name, uint64_t number)
{
    adoption_number *found = find_number(adoption, name);
    if (found == NULL) {
        found = calloc(1, sizeof(*found));
        if (found == NULL)
            return false;
        (void)snprintf(found->name, sizeof(found->name), "%s", name);
        coil_list_append(&adoption->numbers, &found->link);
    }
    if (found->last < number)
        found->last = number;
    return true;
}

static void describe_number(coil_kept *kept, const char *name, uint64_t number)
{
    const adoption_note note = {.kind = NOTE_NUMBER, .identity = number};
    label(kept, NUMBER_PREFIX, name, &note);
}

coil_define(
        int, adoption_keep_number, (coil_adoption *) adoption, (const char *) name, (uint64_t) number)
{
    coil_vars(coil_kept kept; int rc);

    coil_await(adoption_settled(adoption));
    if (!remember_number(adoption, name, number))
        return -ENOMEM;
    describe_number(&my->kept, name, adoption_last_number(adoption, name));
    coil_await(my->rc, adoption_put(adoption, &my->kept));
    return my->rc;
}

static bool accept_number(coil_adoption *adoption, const coil_kept *kept, const adoption_note *note)
{
    const char *name = kept->key + sizeof(NUMBER_PREFIX) - 1;
    return strncmp(kept->key, NUMBER_PREFIX, sizeof(NUMBER_PREFIX) - 1) == 0 &&
           adoption_is_name(name, strlen(name)) && kept->fd_count == 0 &&
           remember_number(adoption, name, note->identity);
}

/* --------------------------------------------------------------------------------- fetching -- */

static void close_kept(const coil_kept *kept)
{
    for (unsigned i = 0; i < kept->fd_count; i++)
        (void)coil_kernel_close(kept->fds[i]);
}

/* Its descriptors are the entry's now; false, and they are not: it is not of ours. */
static bool accept_child(coil_adoption *adoption, const coil_kept *kept, const adoption_note *note)
{
    const bool runs = note->kind == NOTE_RUNNING;
    const unsigned fd_count = (unsigned)runs + (note->has_out != 0) + (note->has_err != 0);
    const char *name = kept->key + sizeof(CHILD_PREFIX) - 1;

    if (strncmp(kept->key, CHILD_PREFIX, sizeof(CHILD_PREFIX) - 1) != 0 ||
            !adoption_is_name(name, strlen(name)) || kept->fd_count != fd_count)
        return false;
    adoption_entry *made = adoption_add(adoption, name);
    if (made == NULL)
        return false;
    unsigned next = 0;
    made->is_offered = true;
    made->pid = runs ? note->pid : 0;
    made->identity = note->identity;
    made->child.pid = made->pid;
    if (runs)
        made->child.pidfd = kept->fds[next++];
    if (note->has_out)
        made->child.stdout_fd = kept->fds[next++];
    if (note->has_err)
        made->child.stderr_fd = kept->fds[next];
    (void)adoption_copy(made, &made->child); /* Else there is the keeper that has them. */
    return true;
}

static bool accept_held(coil_adoption *adoption, const coil_kept *kept)
{
    const char *name = kept->key + sizeof(HELD_PREFIX) - 1;
    if (strncmp(kept->key, HELD_PREFIX, sizeof(HELD_PREFIX) - 1) != 0 ||
            !adoption_is_name(name, strlen(name)) || kept->fd_count != 1)
        return false;
    adoption_held *held = add_held(adoption, name);
    if (held == NULL)
        return false;
    held->offered = kept->fds[0];
    held->fd = coil_kernel_dup_above(held->offered, 0);
    return true;
}

/*
 * A journal of another layout, because the predecessor was of another version, is of no use to us,
 * and must not keep us from starting: another one takes its place. Children and their pipes do not
 * depend on it; lost is what was between a pipe and its file when the predecessor was killed.
 */
static int accept_journal(coil_adoption *adoption, const coil_kept *kept, char *out_reason)
{
    const int rc = coil_log_journal_open(kept->fds, &adoption->journal);
    if (rc != -EINVAL)
        return rc;
    if (out_reason != NULL) {
        (void)snprintf(out_reason, COIL_ADOPTION_TEXT_BYTES,
                "the journal is of another version: lines that were being stored may be lost");
    }
    return 0;
}

static int accept_kept(coil_adoption *adoption, const coil_kept *kept, char *out_reason)
{
    adoption_note note;
    memcpy(&note, kept->note, sizeof(note));
    if (note.kind == NOTE_JOURNAL && kept->fd_count == COIL_LOG_JOURNAL_FDS &&
            adoption->journal == NULL)
        return accept_journal(adoption, kept, out_reason);
    if (note.kind == NOTE_NUMBER && accept_number(adoption, kept, &note))
        return 0;
    if ((note.kind == NOTE_RUNNING || note.kind == NOTE_STARTING) &&
            accept_child(adoption, kept, &note))
        return 0;
    if (note.kind == NOTE_HELD && accept_held(adoption, kept))
        return 0;
    close_kept(kept);
    return 0;
}

coil_define(int, adoption_fetch, (coil_adoption *) adoption, (char *) out_reason)
{
    coil_vars(int rc);

    coil_attempt(coil_keeper_list(adoption->keeper));
    for (;;) {
        coil_attempt(my->rc, coil_keeper_next(adoption->keeper, &adoption->received));
        if (my->rc == 0)
            return 0;
        const int rc = accept_kept(adoption, &adoption->received, out_reason);
        if (rc < 0)
            return rc;
    }
}

static void describe_journal(coil_kept *kept, const coil_log_journal *journal)
{
    const adoption_note note = {.kind = NOTE_JOURNAL};
    label(kept, JOURNAL_KEY, "", &note);
    coil_log_journal_fds(journal, kept->fds);
    kept->fd_count = COIL_LOG_JOURNAL_FDS;
}

coil_define(int, adoption_begin_journal, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    if (adoption->journal != NULL)
        return 0;
    my->rc = coil_log_journal_create(&adoption->journal);
    if (my->rc < 0)
        return my->rc;
    describe_journal(&adoption->received, adoption->journal);
    coil_await(my->rc, adoption_put(adoption, &adoption->received));
    return my->rc;
}

/* ------------------------------------------------------------------------------- once more -- */

/* False: there is nothing of it yet, or no room for a copy was left; the state file knows it. */
static bool describe_again(coil_kept *kept, const adoption_entry *each)
{
    const coil_child child = {
            .pid = each->pid,
            .pidfd = each->copies[ADOPTION_PIDFD],
            .stdout_fd = each->copies[ADOPTION_STDOUT],
            .stderr_fd = each->copies[ADOPTION_STDERR],
    };
    if (each->pid > 0 && child.pidfd < 0)
        return false;
    describe(kept, each->name, &child, each->identity);
    return kept->fd_count > 0;
}

coil_define(int, adoption_keep_all, (coil_adoption *) adoption)
{
    coil_vars(coil_list *at; coil_kept kept);

    if (adoption->journal != NULL) {
        describe_journal(&my->kept, adoption->journal);
        coil_attempt(coil_keeper_put(adoption->keeper, &my->kept));
    }
    for (my->at = adoption->held.next; my->at != &adoption->held; my->at = my->at->next) {
        const adoption_held *held = coil_container_of(my->at, adoption_held, link);
        if (held->fd < 0)
            continue;
        describe_held(&my->kept, held->name, held->fd);
        coil_attempt(coil_keeper_put(adoption->keeper, &my->kept));
    }
    for (my->at = adoption->numbers.next; my->at != &adoption->numbers; my->at = my->at->next) {
        const adoption_number *number = coil_container_of(my->at, adoption_number, link);
        describe_number(&my->kept, number->name, number->last);
        coil_attempt(coil_keeper_put(adoption->keeper, &my->kept));
    }
    for (my->at = adoption->entries.next; my->at != &adoption->entries; my->at = my->at->next) {
        if (describe_again(&my->kept, coil_container_of(my->at, adoption_entry, link)))
            coil_attempt(coil_keeper_put(adoption->keeper, &my->kept));
    }
    return 0;
}
