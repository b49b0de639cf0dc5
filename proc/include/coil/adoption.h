/* SPDX-License-Identifier: MIT */
/*
 * coil/adoption.h - children that outlive their supervisor, and are taken over by the next one.
 *
 *     coil_adoption_open(&options, &adoption)                how many a predecessor has left
 *     while (coil_adoption_take(adoption, &adopted))         each: a coil_child, with its pipes
 *         ...
 *     coil_adoption_spawn(adoption, "web/1", &plan, &child, &error)  instead of coil_child_spawn()
 *     coil_adoption_forget(adoption, "web/1")                        its exit has been dealt with
 *     coil_adoption_close(adoption, COIL_KEEPER_STAYS)
 *
 *     spawned --kill -9 of the supervisor--> kept --the next one--> taken --its exit--> forgotten
 *
 * Invariants
 *   - Never a second copy: whatever was spawned and not forgotten is offered to the next
 *     supervisor, even if we are killed while it is being spawned. And there is one supervisor at a
 *     time: another gets -EBUSY.
 *   - The same process: a pidfd is kept, not a number; the status of its end is its own, also if it
 *     ends while nobody supervises it. (Linux 6.15; and whoever is its parent by then, init or a
 *     subreaper, has to reap it.)
 *   - The same pipes: what is in them waits, and who writes to them gets no SIGPIPE. With
 *     coil_adoption_journal() in the options of the logs, no line is lost or doubled either.
 *
 * Descriptors and pidfds are with a keeper (coil/keeper.h). Should that be killed, we start another
 * and tell it everything; for that, copies of the descriptors of each child are ours, too: as many
 * as it has pipes, and one. Only if both of us are killed at the same time, there is the state
 * file, by which children are found without their pipes. It is written a moment after each change,
 * as a whole, with a checksum; what makes no sense in it is refused.
 *
 * The policy "die" is that of coil/spawn.h: use coil_child_spawn(), whose children get SIGKILL when
 * their parent dies.
 *
 * On the loop's thread only. Sources: pidfd_open(2), pidfs; unix(7); proc_pid_fd(5).
 */
#ifndef COIL_ADOPTION_H
#define COIL_ADOPTION_H

#include <coil/child.h>
#include <coil/keeper.h>
#include <coil/log_journal.h>

COIL_BEGIN_DECLS

enum {
    COIL_ADOPTION_NAME_BYTES = 60, /* With its end. Printable, without blanks. */
    COIL_ADOPTION_TEXT_BYTES = 160,
};

typedef struct coil_adoption coil_adoption;
typedef struct coil_adoption_options coil_adoption_options;
typedef struct coil_adopted coil_adopted;

struct coil_adoption_options {
    /* It exists, and is for this user alone: "keeper", "lock" and "state" will be in it. */
    const char *directory;
    coil_duration patience; /* As of coil_keeper_options. */
    bool kills;
};

/* A child that a predecessor has started. */
struct coil_adopted {
    char name[COIL_ADOPTION_NAME_BYTES];
    coil_child child; /* The caller's, with the pipes that it had. Maybe it has ended: await it. */
};

/*
 * Find what a predecessor has left. Result: how many children; or -EBUSY, there is another
 * supervisor, which was given three seconds to go; -EPERM, others than the owner of the directory
 * may write to it; errors of coil_keeper_open(), openat(2); -EMFILE or -ENOMEM, somebody runs who
 * could not be taken: he runs on, for another try.
 * `out_reason` (COIL_ADOPTION_TEXT_BYTES), unless NULL: of -EPERM, one line; and if something was
 * not used, even though this succeeds: the state file, which is damaged, or the journal, which a
 * predecessor of another version has left; else "". Then children are adopted all the same, and
 * there is a new journal; of each log, the bytes that were on their way to its file may be lost.
 */
coil_declare(int, coil_adoption_open, (const coil_adoption_options *) options,
        (coil_adoption **) out_adoption, (char *) out_reason);

/* The next of them: true, and *out_adopted is the caller's. */
COIL_API bool coil_adoption_take(coil_adoption *adoption, coil_adopted *out_adopted);

/* The next of those whose name begins like this. */
COIL_API bool coil_adoption_take_like(
        coil_adoption *adoption, const char *beginning, coil_adopted *out_adopted);

/*
 * As coil_child_spawn(), for a child that outlives us. -EINVAL: neither .out nor .err of the plan
 * is COIL_STDIO_PIPE, by which it is found if we are killed meanwhile; or one of its streams is
 * COIL_STDIO_PTY, which would end with us; or the name is no name.
 * -EEXIST: there is one of this name. -EPIPE, or errors of coil_keeper_open(): the keeper is gone,
 * and there cannot be another one now. -EMFILE.
 */
coil_declare(int, coil_adoption_spawn, (coil_adoption *) adoption, (const char *) name,
        (const coil_spawn_plan *) plan, (coil_child *) out_child, (coil_spawn_error *) out_error);

/* It has ended, and its pipes have been read. 0; -ENOENT: no such name; -EPIPE. */
coil_declare(int, coil_adoption_forget, (coil_adoption *) adoption, (const char *) name);

/*
 * Descriptors of the supervisor itself, such as a listening socket, for the next one: held under a
 * name of their own, in place of what had it. `fd` stays the caller's, too; it may be closed.
 * -EINVAL, that is no name; -EMFILE, -ENOMEM; without a keeper, as coil_adoption_spawn().
 */
coil_declare(int, coil_adoption_hold, (coil_adoption *) adoption, (const char *) name, (int) fd);

/* Not any more. Nothing if there is no such name. -EPIPE */
coil_declare(int, coil_adoption_release, (coil_adoption *) adoption, (const char *) name);

/* What a predecessor has held under that name: the caller's, once; it is still held. -ENOENT. */
COIL_API int coil_adoption_take_held(coil_adoption *adoption, const char *name);

/* For coil_log_options. Of this adoption; until it is closed, after the logs. */
COIL_API coil_log_journal *coil_adoption_journal(coil_adoption *adoption);

/* Children that were not taken are left to the next. Takes NULL. */
coil_declare(void, coil_adoption_close, (coil_adoption *) adoption, (coil_keeper_end) end);

/* ------------------------------------------------------------------------- the state file -- */
/*
 *     coil-children 1
 *     4711 88231 web/1                     pid, identity (coil_child_identity()), name
 *     end 1c291ca3                         CRC-32 of all before
 */

typedef struct coil_child_record {
    char name[COIL_ADOPTION_NAME_BYTES];
    pid_t pid;
    uint64_t identity;
} coil_child_record;

typedef struct coil_child_records {
    coil_child_record *records; /* malloc(3) */
    size_t count;
} coil_child_records;

/*
 * Read a state file. -EBADMSG, and `out_reason` (COIL_ADOPTION_TEXT_BYTES; may be NULL) says what
 * is wrong where; -ENOMEM. Pure; any thread.
 */
COIL_API int coil_child_records_parse(
        const char *bytes, size_t size_bytes, coil_child_records *out_records, char *out_reason);

/* The bytes of such a file, malloc(3). -ENOMEM. Pure. */
COIL_API int coil_child_records_format(
        const coil_child_records *records, char **out_bytes, size_t *out_size_bytes);

COIL_END_DECLS

#endif
