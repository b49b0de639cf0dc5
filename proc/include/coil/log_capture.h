/* SPDX-License-Identifier: MIT */
/*
 * coil/log_capture.h - what children write, line by line, in files that are rotated.
 *
 *     coil_log_options options = {.path = "/var/log/publisher/current", .timestamps = true};
 *     int rc = coil_log_open(&options, &log);
 *     ...
 *     plan.out.mode = plan.err.mode = COIL_STDIO_PIPE;
 *     rc = coil_child_spawn(&plan, &child, &error);
 *     rc = coil_log_attach(log, child.stdout_fd, "out: ");      the log has the pipes now
 *     rc = coil_log_attach(log, child.stderr_fd, "err: ");
 *     child.stdout_fd = child.stderr_fd = -1;
 *     ...
 *     coil_ignore(coil_log_drain(log));                         what was written is in the file
 *     coil_ignore(coil_log_close(log));
 *
 *     2026-11-21T18:30:56.123456Z out: ready
 *     2026-11-21T18:30:56.123456Z err: cannot open cache
 *
 * A log belongs to a service and outlives its instances: each new one attaches its pipes. The end
 * of a pipe is not the death of a child, nor the other way round: a grandchild may go on writing
 * long after, and is read until nobody has the pipe open any more.
 *
 * Invariants
 *   - Every line is stored once, whole, and in one file; those of one pipe in their order. Rotation
 *     cuts between lines only. What is not stored is counted, and the log says so in its place.
 *   - A line that is longer than the limit is stored in pieces, each but the last marked at its end
 *     with COIL_LOG_CUT_MARK; a last line without a newline gets COIL_LOG_END_MARK. Joining them
 *     gives back every byte.
 *   - A disk that hangs or is full stalls this log alone. The loop runs on, and what the log holds
 *     in memory is bounded (COIL_LOG_HELD_BYTES). What comes then stays in the pipe, which holds
 *     back those who write (COIL_LOG_HOLD), or is dropped and counted (COIL_LOG_DROP).
 *   - Each log has a thread of the kernel to wait for its disk, if it has to (coil/io.h,
 *     coil_io_worker_add()): as many disks may hang as there are logs, up to RLIMIT_NPROC. Another
 *     log may be held up by them for a fifth of a second, once for each file that it begins.
 *   - A pipe that is silent costs no buffer, no task and no wake-up: about half a KiB.
 *
 * Reading is lazy: after it has read less than there might have been, the log waits for a few
 * hundred microseconds before it reads again. Else a child that writes line by line would wake the
 * reader, and be interrupted by it, for each of them. So a line is stored a moment after it was
 * written; its time is that of the read which brought it, one look at the clock for each read.
 *
 * Files: the current one has the name that was given. When it is full, it gets the next number for
 * ever: "current.000017", and is never renamed again; the oldest are removed. The successor is open
 * before the predecessor is closed, and if that fails, the predecessor is used on. A file that
 * somebody has moved or removed meanwhile is opened anew, within a second of the next line.
 *
 * On the loop's thread only. Logs do not keep a loop running, but for what they are about to store.
 */
#ifndef COIL_LOG_CAPTURE_H
#define COIL_LOG_CAPTURE_H

#include <coil/coro.h>
#include <coil/loop.h>

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

typedef struct coil_log coil_log;
typedef struct coil_log_options coil_log_options;
typedef struct coil_log_line coil_log_line;
typedef struct coil_log_line_hook coil_log_line_hook;
typedef struct coil_log_stats coil_log_stats;
typedef struct coil_log_journal coil_log_journal; /* coil/log_journal.h */

#define COIL_LOG_CUT_MARK " [...]"
#define COIL_LOG_END_MARK " [no newline]"

enum {
    COIL_LOG_TIME_BYTES = 28,         /* "2026-11-21T18:30:56.123456Z " */
    COIL_LOG_PREFIX_BYTES_MAX = 64,   /* More of it is cut off. */
    COIL_LOG_HELD_BYTES = 768 * 1024, /* What a log has in memory at most, but for `tail_bytes`. */
};

/* What happens to lines for which there is no room: the disk is full, or fails. */
typedef enum coil_log_full {
    COIL_LOG_HOLD, /* They wait, and so do those who write them. Tried again once a second. */
    COIL_LOG_DROP, /* They are lost, and counted: "[17 lines dropped: no space left on device]". */
} coil_log_full;

/* A line, or a piece of a long one, as the hook gets it: borrowed for the call. */
struct coil_log_line {
    const char *bytes; /* As it was written, without the newline; anything may be in it. */
    size_t size_bytes;
    const char *prefix; /* That of its pipe. */
    int64_t time_us;    /* Since 1970. */
    bool continues;     /* The next line of this prefix is more of this one. */
    bool unended;       /* The pipe has ended without a newline. */
};

/* Called for each line, outside of tasks: it may do anything that does not wait. */
struct coil_log_line_hook {
    void (*line)(coil_log_line_hook *hook, const coil_log_line *line);
};

/* Each field's zero is the usual choice, but there has to be a path or a hook. */
struct coil_log_options {
    const char *path;            /* The current file, in an existing directory. NULL: none. */
    coil_log_line_hook *on_line; /* NULL: nobody is told. Must outlive the log. */
    uint64_t rotate_bytes;       /* Begin a new file before this one is larger. 0: 16 MiB. */
    coil_duration rotate_age;    /* ... or, when a line comes, older. 0: any age. */
    unsigned keep_files;         /* Full ones, besides the current one. 0: 10. */
    uint64_t keep_bytes;         /* In full ones; the newest stays in any case. 0: no limit. */
    mode_t mode;                 /* Of new files, less the umask. 0: 0640. */
    bool timestamps;             /* ISO 8601, UTC, microseconds, and a blank before each line. */
    bool sync;                   /* fdatasync(2) a file before it is left, wherever it is. */
    size_t line_limit_bytes;     /* Longer lines are cut. 0: 8192. At most 65536, at least 16. */
    size_t tail_bytes;           /* What coil_log_tail() remembers. 0: nothing. */
    unsigned lines_per_second;   /* More are dropped and counted, once twice as many came at a
                                     time: "[17 lines dropped: too many]". 0: no limit. */
    coil_log_full when_full;
    coil_log_journal *journal; /* See coil/log_journal.h. NULL: none. */
};

struct coil_log_stats {
    uint64_t read_bytes;    /* Taken from pipes, */
    uint64_t stored_bytes;  /* written to files. */
    uint64_t lines;         /* Stored, or given to the hook; pieces count. */
    uint64_t dropped_lines; /* By either rule. */
    uint64_t cut_lines;     /* Longer than the limit. */
    uint64_t rotations;
    uint64_t reopenings; /* Somebody else had moved or removed the file. */
    int error;           /* Why nothing can be stored now; 0: it can. */
};

/*
 * Open the file for appending, after what it has, and look for its predecessors. The options are
 * copied. A file that ends in the middle of a line gets a newline first. -ENOENT, -EACCES, ... as
 * openat(2); -ENAMETOOLONG, -EINVAL: a limit is out of its range; -ENOMEM.
 */
coil_declare(int, coil_log_open, (const coil_log_options *) options, (coil_log **) out_log);

/*
 * From now on, read this pipe until its end. The log owns `pipe_fd` from here, also if this fails:
 * then it is closed, and who writes to it gets SIGPIPE. `prefix` is put before each line, and
 * copied; NULL: nothing. Any number of pipes; other streams, such as a terminal, will do. -ENOMEM;
 * -ENOBUFS: the journal has COIL_LOG_JOURNAL_PIPES pipes.
 */
COIL_API int coil_log_attach(coil_log *log, int pipe_fd, const char *prefix);

/* Pipes that have not ended. */
COIL_API size_t coil_log_attached_count(const coil_log *log);

/*
 * A line of our own, between those of children, with time and prefix as they have it; the hook is
 * called before this returns. -ENOBUFS: too many wait to be stored; -ENOMEM.
 */
COIL_API int coil_log_say(coil_log *log, const char *prefix, const char *text);

/*
 * Until everything has been stored that was in the pipes when this was called, and lines of our
 * own; a line that has no end yet stays, as more of it may come. What is written later is not
 * waited for, however fast it comes; one that is called while another one waits does so after it.
 * With COIL_LOG_HOLD a disk that is full or hangs makes it wait. Result: 0; -ETIME by a deadline;
 * -ENOMEM; -ESHUTDOWN the log was closed meanwhile, without waiting for that.
 */
coil_declare(int, coil_log_drain, (coil_log *) log);

/* Begin a new file now, if there is anything in this one. 0, or the error of renameat2(2) or
 * openat(2), or -ESHUTDOWN the log was closed meanwhile: it has not been done. */
coil_declare(int, coil_log_rotate, (coil_log *) log);

/*
 * Drain, mark lines without an end, close the pipes, also those that are still written to: who
 * does so gets SIGPIPE. And free the log. If this is cancelled, what could not be stored is lost;
 * but a write that has begun is waited for, as the kernel gives nothing back before. With a
 * journal, pipes and lines without an end are left to the next process. Takes NULL. Result: 0, or
 * why some of what was to be stored here is lost, or may be: -ENOSPC and whatever else pwrite(2)
 * says, fdatasync(2) of any file with coil_log_options.sync, -ENOMEM.
 */
coil_declare(int, coil_log_close, (coil_log *) log);

/*
 * The last whole lines that were stored or given to the hook, at most `size_bytes` of them: for
 * the report of a crash. Each, also those of coil_log_say(), has its prefix, and a newline; times
 * and marks are left out. Returns how many bytes; nothing is put behind them.
 */
COIL_API size_t coil_log_tail(const coil_log *log, char *out_bytes, size_t size_bytes);

COIL_API coil_log_stats coil_log_statistics(const coil_log *log);

COIL_END_DECLS

#endif
