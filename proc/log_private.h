/* SPDX-License-Identifier: MIT */
/*
 * log_private.h - a log from inside: its pipes, and the pump that empties them.
 *
 *     silent --something comes--> ready --read, and it was all--> resting --a moment--> ready
 *        ^                          |  \
 *        +------nothing is there----+   +--the end--> gone
 *
 * A silent pipe is watched by the loop. As long as a pipe of the log is not silent, the pump runs,
 * a task: it reads those that are ready into a block, makes lines of it there, stores them, and
 * lets the pipes rest. Blocks are shared by all logs of a thread: one that waits for nothing has
 * none.
 */
#ifndef LOG_PRIVATE_H
#define LOG_PRIVATE_H

#include "log_file.h"
#include "log_lines.h"

#include <coil/fd_watch.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

enum {
    LOG_IN_BYTES = 256 * 1024,
    LOG_OUT_BYTES = 512 * 1024,
    LOG_OUT_ENOUGH_BYTES = 256 * 1024, /* No further pipe is read then. */
};

static_assert(LOG_IN_BYTES + LOG_OUT_BYTES == COIL_LOG_HELD_BYTES, "as the contract says");
static_assert(LOG_OUT_BYTES - LOG_OUT_ENOUGH_BYTES > 2 * LOG_LINE_BYTES_MAX, "room for a line");

typedef struct log_slot log_slot; /* log_journal.h */

typedef struct log_pipe {
    coil_list link;
    coil_log *log;
    coil_fd_watch_hook readable;
    coil_fd_watch *watch; /* NULL: it is not silent. */
    log_rest rest;
    int fd;
    uint32_t room_bytes; /* How much it can hold, as far as we know. */
    uint32_t come_bytes; /* Read since it has rested. */
    uint64_t inode;      /* For the journal. */
    log_slot *slot;      /* What a predecessor has left of it, for the pump to take. */
    uint8_t draining;    /* A drain waits until it has been read so often, or is empty. */
    char prefix[];
} log_pipe;

/* What is between a pipe and the file. */
typedef struct log_block {
    size_t used_bytes; /* As much of its memory as has been touched, about. */
    char *in;          /* LOG_IN_BYTES */
    char *out;         /* LOG_OUT_BYTES */
    char *next_rest;   /* LOG_LINE_LIMIT_MAX. The journal's. */
    log_slot *slot;    /* NULL: no journal. */
    char head[LOG_HEAD_BYTES_MAX];
} log_block;

/* Lines that were not stored, and nobody has been told yet. */
typedef struct log_drops {
    uint64_t count;
    uint64_t told_count; /* Of these, in the line that is on its way to the file. */
} log_drops;

struct coil_log {
    coil_loop *loop;
    coil_group group; /* Of the pump: nobody else's cancellation ends it. */
    coil_list silent;
    coil_list ready;
    coil_list resting;
    size_t pipe_count;
    size_t draining_count;

    log_rules rules;
    log_sink sink;
    log_file file;
    log_block *block;
    log_job job;         /* What is in the block. */
    size_t done_bytes;   /* Of its output: they are in the file. */
    log_pipe *job_pipe;  /* Where the rest of its input came from. */
    log_pipe *last_pipe; /* Of whose bytes it is, if it has not ended. */
    uint64_t last_inode;
    coil_log_journal *journal;

    coil_log_line_hook *on_line;
    char *tail; /* A ring of bytes. */
    size_t tail_bytes;
    uint64_t tail_end; /* Of all that was ever put there. */
    char *said;        /* Lines of our own, to be stored. */
    size_t said_bytes;

    unsigned lines_per_second; /* 0: no limit. */
    int64_t allowance;         /* Lines, in millionths. */
    int64_t allowed_us;        /* The time it is of. */
    log_drops rated;
    log_drops refused; /* By the file. */
    int refused_error;
    coil_time refused_until;

    coil_list drains; /* Those who wait for what they have asked for. */
    coil_list rotations;
    coil_list nudges;  /* The pump, for its next try. */
    coil_list endings; /* For the end of the pump. */
    coil_duration pause;
    coil_time read_at;
    coil_log_stats stats;
    coil_log_full when_full;
    bool timestamps;
    bool wants_rotation;
    bool is_pumping;
    bool is_abandoned; /* What the file refuses is lost. */
};

/* The pump runs now or soon. -ENOMEM. */
int log_pump_start(coil_log *log);

/* The pipe, which is in no list, becomes silent; or rests, if there is no memory to watch it. */
void log_pipe_watch(log_pipe *pipe);

/* It is watched no more. */
void log_pipe_unwatch(log_pipe *pipe);

/* Close and free it. */
void log_pipe_destroy(log_pipe *pipe);

/* Every pipe of the log, whatever it does, is ready. */
void log_wake_all(coil_log *log);

/* End the pipes, as if they had ended by themselves, as many as the job has room for. */
void log_end_all(coil_log *log);

/* Close all pipes; what they have is lost. */
void log_drop_pipes(coil_log *log);

/* Blocks are kept as long as a log of this thread is open. */
void log_blocks_open(void);
void log_blocks_close(void);

/* Give the log a block, with an empty job. -ENOMEM. And back. */
int log_block_take(coil_log *log);
void log_block_release(coil_log *log);

/* Store what is in the job. 0, or why some of it is lost. */
coil_declare_private(int, log_store, (coil_log *)log);

/* What is in the job will not be stored. */
void log_give_up(coil_log *log);

/* The sink of logs that do more than to store (log_notice.c), and lines about what is not there. */
bool log_sink_line(log_sink *sink, log_job *job, const coil_log_line *line);
void log_put_notices(coil_log *log, bool is_last);
void log_remember(coil_log *log, const char *bytes, size_t size_bytes);

/* Of an error or a rate: the allowance of now. */
void log_allow(coil_log *log, int64_t time_us);

COIL_END_DECLS

#endif
