/* SPDX-License-Identifier: MIT */
/*
 * coil/log_journal.h - what logs have read and not stored yet, in memory that outlives the process.
 *
 *     coil_log_journal_create(&journal)                   options.journal = journal, for all logs
 *     coil_log_journal_fds(journal, fds)                  hand them to a keeper (coil/keeper.h)
 *         ... kill -9 ...
 *     coil_log_journal_open(fds, &journal)                the next process: the same logs, and
 *     coil_log_attach(log, pipe_fd, prefix)               the same pipes, also those at their end
 *
 * A process that is killed loses what it has read from a pipe and not written to a file. With a
 * journal it does not: each line is stored once, whole, by this process or the next, whenever that
 * is killed. (Not if the machine stops: for that, coil_log_options.sync.)
 *
 * How it works. Bytes go from the pipe by way of a second one, which nobody else writes to, into
 * memory of memfd_create(2); so how many have been taken can be seen even if we were killed before
 * we knew. Then each step is written down before it is done, and can be done again: a share of
 * lines has its file and its offset, and is written there as often as necessary.
 *
 * It costs two more system calls for each read, and pipes are read one at a time. Logs that differ
 * are free to use it or not. At most COIL_LOG_JOURNAL_PIPES pipes, of which COIL_LOG_JOURNAL_LOGS
 * logs may be storing something at a time.
 *
 * On the loop's thread only: one for each loop. Not in a simulation: -ENOSYS.
 *
 * Sources: memfd_create(2), splice(2), FIONREAD of ioctl(2); pipe(7).
 */
#ifndef COIL_LOG_JOURNAL_H
#define COIL_LOG_JOURNAL_H

#include <coil/log_capture.h>

COIL_BEGIN_DECLS

enum {
    COIL_LOG_JOURNAL_FDS = 3,
    COIL_LOG_JOURNAL_PIPES = 16384,
    COIL_LOG_JOURNAL_LOGS = 1024,
};

/* An empty one. -ENOMEM, -EMFILE, -ENFILE, -ENOSYS. */
COIL_API int coil_log_journal_create(coil_log_journal **out_journal);

/*
 * That of a predecessor, which has ended. It owns the descriptors, also if it fails. -EINVAL: they
 * are none, or of another version.
 */
COIL_API int coil_log_journal_open(
        const int fds[COIL_LOG_JOURNAL_FDS], coil_log_journal **out_journal);

/* Its descriptors, borrowed. */
COIL_API void coil_log_journal_fds(
        const coil_log_journal *journal, int out_fds[COIL_LOG_JOURNAL_FDS]);

/* After all of its logs. What is not stored stays in its memory, as long as somebody keeps that. */
COIL_API void coil_log_journal_close(coil_log_journal *journal);

COIL_END_DECLS

#endif
