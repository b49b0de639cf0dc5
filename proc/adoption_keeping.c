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

typedef enum note_kind { NOTE_STARTING = 1, NOTE_RUNNING, NOTE_JOURNAL, NOTE_HELD } note_kind;

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

coil_define(int, adoption_keep, (coil_adoption *) adoption, (const char *) name,
        (const coil_child *) child, (uint64_t) identity)
{
    coil_vars(coil_kept kept; int rc);

    const adoption_note note = {
            .kind = child->pid > 0 ? NOTE_RUNNING : NOTE_STARTING,
            .has_out = child->stdout_fd >= 0,
            .has_err = child->stderr_fd >= 0,
            .pid = child->pid,
            .identity = identity,
    };
    label(&my->kept, CHILD_PREFIX, name, &note);
    if (child->pid > 0)
        add_fd(&my->kept, child->pidfd);
    add_fd(&my->kept, child->stdout_fd);
    add_fd(&my->kept, child->stderr_fd);
    coil_await(my->rc, coil_keeper_put(adoption->keeper, &my->kept));
    return my->rc;
}

coil_async(int, remove_key, (coil_adoption *) adoption, (const char *) prefix, (const char *) name)
{
    coil_vars(char key[COIL_KEEPER_KEY_BYTES]; int rc);

    (void)snprintf(my->key, sizeof(my->key), "%s%s", prefix, name);
    coil_await(my->rc, coil_keeper_remove(adoption->keeper, my->key));
    return my->rc;
}

coil_define(int, adoption_unkeep, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(int rc);
    coil_await(my->rc, remove_key(adoption, CHILD_PREFIX, name));
    return my->rc;
}

coil_define(int, coil_adoption_hold, (coil_adoption *) adoption, (const char *) name, (int) fd)
{
    coil_vars(coil_kept kept; int rc);

    if (!adoption_is_name(name, strlen(name)))
        return -EINVAL;
    const adoption_note note = {.kind = NOTE_HELD};
    label(&my->kept, HELD_PREFIX, name, &note);
    add_fd(&my->kept, fd);
    coil_await(my->rc, coil_keeper_put(adoption->keeper, &my->kept));
    return my->rc;
}

coil_define(int, coil_adoption_release, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(int rc);
    coil_await(my->rc, remove_key(adoption, HELD_PREFIX, name));
    return my->rc;
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
    return true;
}

static bool accept_held(coil_adoption *adoption, const coil_kept *kept)
{
    const char *name = kept->key + sizeof(HELD_PREFIX) - 1;
    if (strncmp(kept->key, HELD_PREFIX, sizeof(HELD_PREFIX) - 1) != 0 ||
            !adoption_is_name(name, strlen(name)) || kept->fd_count != 1)
        return false;
    adoption_held *held = calloc(1, sizeof(*held));
    if (held == NULL)
        return false;
    (void)snprintf(held->name, sizeof(held->name), "%s", name);
    held->fd = kept->fds[0];
    coil_list_append(&adoption->held, &held->link);
    return true;
}

static int accept_kept(coil_adoption *adoption, const coil_kept *kept)
{
    adoption_note note;
    memcpy(&note, kept->note, sizeof(note));
    if (note.kind == NOTE_JOURNAL && kept->fd_count == COIL_LOG_JOURNAL_FDS &&
            adoption->journal == NULL)
        return coil_log_journal_open(kept->fds, &adoption->journal);
    if ((note.kind == NOTE_RUNNING || note.kind == NOTE_STARTING) &&
            accept_child(adoption, kept, &note))
        return 0;
    if (note.kind == NOTE_HELD && accept_held(adoption, kept))
        return 0;
    close_kept(kept);
    return 0;
}

coil_define(int, adoption_fetch, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    coil_attempt(coil_keeper_list(adoption->keeper));
    for (;;) {
        coil_attempt(my->rc, coil_keeper_next(adoption->keeper, &adoption->received));
        if (my->rc == 0)
            return 0;
        const int rc = accept_kept(adoption, &adoption->received);
        if (rc < 0)
            return rc;
    }
}

coil_define(int, adoption_begin_journal, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    if (adoption->journal != NULL)
        return 0;
    my->rc = coil_log_journal_create(&adoption->journal);
    if (my->rc < 0)
        return my->rc;
    coil_kept *kept = &adoption->received;
    const adoption_note note = {.kind = NOTE_JOURNAL};
    memset(kept, 0, sizeof(*kept));
    memcpy(kept->key, JOURNAL_KEY, sizeof(JOURNAL_KEY));
    memcpy(kept->note, &note, sizeof(note));
    coil_log_journal_fds(adoption->journal, kept->fds);
    kept->fd_count = COIL_LOG_JOURNAL_FDS;
    coil_await(my->rc, coil_keeper_put(adoption->keeper, kept));
    return my->rc;
}
