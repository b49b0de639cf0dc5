/* SPDX-License-Identifier: MIT */
/*
 * adoption_private.h - what the parts of adoption share.
 *
 *     adoption.c          opening and closing; taking
 *     adoption_keeping.c  what the keeper has of it
 *     adoption_renewing.c and another keeper, should that be killed
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
#define ADOPTION_KEEPER_AGAIN coil_s(1) /* There was no memory, or the like, for another one. */

/* Of a child, in the order in which the keeper has them. */
enum { ADOPTION_PIDFD, ADOPTION_STDOUT, ADOPTION_STDERR, ADOPTION_COPIES };

/* A child, from before its spawn until it is forgotten. */
typedef struct adoption_entry {
    coil_list link;
    coil_child child; /* While it is offered. */
    uint64_t identity;
    pid_t pid;                   /* 0: it is being spawned, as far as we know. */
    int copies[ADOPTION_COPIES]; /* Of its descriptors, for another keeper. -1: none. */
    bool is_offered;
    char name[COIL_ADOPTION_NAME_BYTES];
} adoption_entry;

/* The last number of something that is numbered: it goes on from there. */
typedef struct adoption_number {
    coil_list link;
    uint64_t last;
    char name[COIL_ADOPTION_NAME_BYTES];
} adoption_number;

/* A descriptor that is held. */
typedef struct adoption_held {
    coil_list link;
    int fd;      /* For another keeper. -1: none. */
    int offered; /* From a predecessor, until somebody asks for it. -1: none. */
    char name[COIL_ADOPTION_NAME_BYTES];
} adoption_held;

struct coil_adoption {
    coil_group group; /* Of the tasks that save, and look after the keeper. */
    coil_list entries;
    coil_list held;
    coil_list numbers;
    coil_keeper *keeper;
    coil_log_journal *journal;
    coil_kept received;
    coil_list waiters;  /* Until the keeper is renewed. */
    coil_task *watch;   /* Looks after the keeper. */
    coil_task *resting; /* Could not save, and will try again. NULL: none. */
    char *state_path;
    int lock;
    bool is_dirty;
    bool is_saving;
    bool is_renewing;
};

/* ------------------------------------------------------------------------------ adoption.c -- */

adoption_entry *adoption_find(coil_adoption *adoption, const char *name);

/* It could not be taken: it is offered as before. */
void adoption_offer_again(coil_adoption *adoption, const coil_adopted *adopted);

/* A new one without a child. NULL: no memory. */
adoption_entry *adoption_add(coil_adoption *adoption, const char *name);
void adoption_drop(adoption_entry *old);

/* Have copies of the descriptors of `child`, those that are missing. -EMFILE. */
int adoption_copy(adoption_entry *of, const coil_child *child);

/* ----------------------------------------------------------------------- adoption_keeping.c -- */

/* What `child` has now; without a pid, it is about to be spawned. 0; -EPIPE. */
coil_declare_private(int, adoption_keep, (coil_adoption *)adoption, (const char *)name,
        (const coil_child *)child, (uint64_t)identity);
coil_declare_private(int, adoption_unkeep, (coil_adoption *)adoption, (const char *)name);

/*
 * Numbers that are not given twice: the last one of `name`, 0 if there is none; and have the keeper
 * know that it was given. Of both being killed at once it is forgotten.
 */
uint64_t adoption_last_number(const coil_adoption *adoption, const char *name);
coil_declare_private(
        int, adoption_keep_number, (coil_adoption *)adoption, (const char *)name, (uint64_t)number);

/*
 * Get all that the keeper has; and see to it that there is a journal. That of another version is
 * not used: `out_reason` says so.
 */
coil_declare_private(int, adoption_fetch, (coil_adoption *)adoption, (char *)out_reason);
coil_declare_private(int, adoption_begin_journal, (coil_adoption *)adoption);

/* Put everything that there is, once more: this keeper knows nothing. */
coil_declare_private(int, adoption_keep_all, (coil_adoption *)adoption);

/* ---------------------------------------------------------------------- adoption_renewing.c -- */

/* As those of coil/keeper.h, but if the keeper has gone there is another one first. */
coil_declare_private(int, adoption_put, (coil_adoption *)adoption, (const coil_kept *)thing);
coil_declare_private(int, adoption_remove, (coil_adoption *)adoption, (const char *)key);

/* Nobody goes through what there is: entries may be dropped. */
coil_declare_private(void, adoption_settled, (coil_adoption *)adoption);

/* Look after the keeper; and no longer: nor is the state file written any more. */
void adoption_begin_watch(coil_adoption *adoption);
coil_declare_private(void, adoption_end_tasks, (coil_adoption *)adoption);

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
