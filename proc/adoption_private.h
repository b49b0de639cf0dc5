/* SPDX-License-Identifier: MIT */
/*
 * adoption_private.h - what the parts of adoption share.
 *
 *     adoption.c          opening and closing; taking
 *     adoption_keeping.c  what the keeper has of it
 *     adoption_resolve.c  children whose supervisor was killed while it spawned them
 *     adoption_saving.c   the state file, written and believed
 *     adoption_spawn.c    children that outlive us
 *     adoption_find.c     who is at the other end of a pipe
 *     adoption_state.c    the text of the state file
 */
#ifndef ADOPTION_PRIVATE_H
#define ADOPTION_PRIVATE_H

#include <coil/adoption.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

enum { ADOPTION_STATE_MODE = 0600, ADOPTION_START_TRIES = 1000 /* An exec may be slow. */ };

#define ADOPTION_TRY_AGAIN coil_ms(10)

/* A child, from before its spawn until it is forgotten. */
typedef struct adoption_entry {
    coil_list link;
    coil_child child; /* While it is offered. */
    uint64_t identity;
    pid_t pid; /* 0: it is being spawned, as far as we know. */
    bool is_offered;
    char name[COIL_ADOPTION_NAME_BYTES];
} adoption_entry;

/* A descriptor that a predecessor has held, until somebody asks for it. */
typedef struct adoption_held {
    coil_list link;
    int fd;
    char name[COIL_ADOPTION_NAME_BYTES];
} adoption_held;

struct coil_adoption {
    coil_group group; /* Of the task that saves. */
    coil_list entries;
    coil_list held;
    coil_keeper *keeper;
    coil_log_journal *journal;
    coil_kept received;
    char *state_path;
    int lock;
    bool is_dirty;
    bool is_saving;
};

/* ------------------------------------------------------------------------------ adoption.c -- */

adoption_entry *adoption_find(coil_adoption *adoption, const char *name);

/* A new one without a child. NULL: no memory. */
adoption_entry *adoption_add(coil_adoption *adoption, const char *name);
void adoption_drop(adoption_entry *old);

/* ----------------------------------------------------------------------- adoption_keeping.c -- */

/* What `child` has now; without a pid, it is about to be spawned. 0; -EPIPE. */
coil_declare_private(int, adoption_keep, (coil_adoption *)adoption, (const char *)name,
        (const coil_child *)child, (uint64_t)identity);
coil_declare_private(int, adoption_unkeep, (coil_adoption *)adoption, (const char *)name);

/* Get all that the keeper has; and see to it that there is a journal. */
coil_declare_private(int, adoption_fetch, (coil_adoption *)adoption);
coil_declare_private(int, adoption_begin_journal, (coil_adoption *)adoption);

/* ----------------------------------------------------------------------- adoption_resolve.c -- */

/* All that were fetched: who of them is there? */
coil_declare_private(int, adoption_resolve_all, (coil_adoption *)adoption);

/* ------------------------------------------------------------------------ adoption_saving.c -- */

/* Entries have come or gone: the state file is written soon. */
void adoption_changed(coil_adoption *adoption);

/* Children that only the state file knows. */
coil_declare_private(int, adoption_read_state, (coil_adoption *)adoption, (char *)out_reason);

/* -------------------------------------------------------------------------- others of them -- */

/* Printable, without blanks, not empty and not too long. */
bool adoption_is_name(const char *name, size_t size_bytes);

/*
 * Which process has the pipe that `read_fd` reads as its stdout or stderr: the eldest of those that
 * do, as the others have it from that. Its pid, or -ESRCH.
 */
int adoption_find_writer(int read_fd);

COIL_END_DECLS

#endif
