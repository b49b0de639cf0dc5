/* SPDX-License-Identifier: MIT */
/*
 * log_journal.h - the journal from inside: a slot for each log that stores something now.
 *
 *     FREE --> STAGING --> READING --> FORMAT --> STORE --> COMMIT --> FREE
 *                  from the pipe         ^                     |
 *                                        +---- more input -----+
 *
 *     STAGING  bytes go from the pipe to the stage, a pipe of ours: what is there is from this pipe
 *     READING  from the stage into `in`: what is not there any more is in `in`
 *     FORMAT   lines are made of `in` from `in_used` on, and of the pipe's rest
 *     STORE    `out` goes to files, a share at a time; `next_rest` is what the rest will be
 *     COMMIT   the rest and `in_used` become what they will be
 *
 * Each step may be repeated, and the state says which one it is.
 */
#ifndef LOG_JOURNAL_PRIVATE_H
#define LOG_JOURNAL_PRIVATE_H

#include "log_private.h"

#include <coil/log_journal.h>

COIL_BEGIN_DECLS

typedef enum log_slot_state {
    LOG_SLOT_FREE,
    LOG_SLOT_STAGING,
    LOG_SLOT_READING,
    LOG_SLOT_FORMAT,
    LOG_SLOT_STORE,
    LOG_SLOT_COMMIT,
} log_slot_state;

/* In shared memory. */
struct log_slot {
    uint32_t state;
    uint32_t ends;  /* The pipe has ended: the commit forgets it. */
    uint64_t inode; /* The pipe's. 0: lines of our own alone. */
    uint64_t staged_bytes;
    uint64_t in_bytes;
    uint64_t in_used;
    uint64_t next_used;
    uint64_t next_rest_bytes;
    uint64_t out_bytes;
    int64_t time_us;
    log_share share;
};

/* Bytes of `fd` into the slot of the log's block. As coil_kernel_read_now(). */
ssize_t log_journal_read(coil_log *log, const log_pipe *pipe);

/* The output is complete, and will be stored. `pipe` NULL: it has ended, or there was none. */
void log_journal_store(coil_log *log, const log_pipe *pipe, uint64_t inode);

/* It has been stored. */
void log_journal_commit(coil_log *log);

/* A slot for a block: its parts of it. -ENOBUFS. And back. */
int log_journal_take(coil_log_journal *journal, log_block *block);
void log_journal_release(coil_log_journal *journal, log_block *block);

/*
 * A pipe is attached: what the predecessor has left of it. 1: there is a slot, which `pipe` has now
 * and the pump has to take next; 0: only its rest, or nothing; -ENOBUFS, -ENOMEM.
 */
int log_journal_attach(coil_log_journal *journal, log_pipe *pipe);

/* That came to nothing: what was left of the pipe stays, for another try. */
void log_journal_detach(coil_log_journal *journal, log_pipe *pipe);

/* The block of a log with such a pipe: its slot, and the job that was interrupted. */
void log_journal_resume(coil_log *log, log_pipe *pipe);

/* Was the end of this file being written? True: from where. It is to be cut off, and then */
bool log_journal_is_torn(
        const coil_log_journal *journal, uint64_t inode, uint64_t device, uint64_t *out_offset);
/* no longer. */
void log_journal_mended(coil_log_journal *journal, uint64_t inode, uint64_t device);

COIL_END_DECLS

#endif
