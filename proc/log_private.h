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
    LOG_HALF_BYTES = LOG_OUT_BYTES / 2,
    LOG_NOTICE_BYTES_MAX = 256,
    LOG_OUT_ENOUGH_BYTES = 160 * 1024, /* No further pipe is read then. */
};

static_assert(LOG_IN_BYTES + LOG_OUT_BYTES == COIL_LOG_HELD_BYTES, "as the contract says");
static_assert(LOG_HALF_BYTES - LOG_OUT_ENOUGH_BYTES > LOG_LINE_BYTES_MAX + 2 * LOG_NOTICE_BYTES_MAX,
        "room for a line");

typedef struct log_slot log_slot; /* log_journal.h */

typedef struct log_pipe {
    coil_list link;
    coil_log *log;
    coil_fd_watch_hook readable;
    coil_fd_watch *watch; /* NULL: it is not silent. */
    log_rest rest;
    int fd;
    uint32_t room_bytes;  /* How much it can hold, as far as we know. */
    uint32_t come_bytes;  /* Read since it has rested. */
    bool is_draining;     /* A drain wants one look more, for its end, */
    size_t drain_bytes;   /* when it has had these. */
    uint64_t inode;       /* For the journal. */
    log_slot *slot;       /* What a predecessor has left of it, for the pump to take. */
    uint64_t first_round; /* Of draining, before which it is not read. */
    char prefix[];
} log_pipe;

/*
 * What is between a pipe and the file. One half of the output is stored while the other one is
 * being filled; with a journal, which sees to one thing at a time, it is not divided.
 */
typedef struct log_block {
    size_t used_bytes; /* As much of its memory as has been touched, about. */
    char *in;          /* LOG_IN_BYTES */
    char *out;         /* LOG_OUT_BYTES */
    char *next_rest;   /* LOG_LINE_LIMIT_MAX. The journal's. */
    log_slot *slot;    /* NULL: no journal. */
    char head[LOG_HEAD_BYTES_MAX];
} log_block;

/* Lines that were not stored. */
typedef struct log_drops {
    uint64_t rated;   /* By the limit of lines per second. */
    uint64_t refused; /* By the file. */
} log_drops;

/* Lines that say so, among others. */
typedef struct log_notices {
    uint64_t count;
    log_drops told;
} log_notices;

/* Lines on their way to the file. */
typedef struct log_output {
    const char *bytes;
    size_t size_bytes;
    size_t done_bytes; /* Of these: they are in the file. */
    int64_t time_us;
    log_notices notices;
} log_output;

struct coil_log {
    coil_loop *loop;
    coil_group group; /* Of the pump: nobody else's cancellation ends it. */
    coil_list silent;
    coil_list ready;
    coil_list resting;
    size_t pipe_count;

    log_rules rules;
    log_sink sink;
    log_file file;
    log_block *block;
    log_job job; /* Lines are being made in the block. */
    log_notices job_notices;
    log_pipe *job_pipe;  /* Where the rest of its input came from. */
    log_pipe *last_pipe; /* Of whose bytes it is, if it has not ended. */
    uint64_t last_inode;
    log_output output; /* Lines are being stored. */
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
    log_drops untold;
    int refused_error;
    coil_time refused_until;

    coil_list drains;          /* Those who wait for the end of a round, this one or a later. */
    size_t drain_count;        /* What has to be read in this round: pipes, and what was said. */
    uint64_t drain_round;      /* How many there have been. */
    uint64_t wanted_rounds;    /* How many somebody has asked for. */
    uint64_t last_first_round; /* Of all pipes. */
    bool is_draining;
    bool is_draining_said;

    coil_list rotations;
    coil_list nudges;  /* Who stores, for the next try. */
    coil_list pauses;  /* The pump, for the end of what is being stored. */
    coil_list endings; /* For the end of both. */
    coil_duration pause;
    coil_time read_at;
    coil_log_stats stats;
    coil_log_full when_full;
    bool timestamps;
    bool wants_rotation;
    bool is_pumping;
    bool is_storing;   /* By a task of its own. */
    bool is_closing;   /* The pump ends with the round. */
    bool is_abandoned; /* What the file refuses is lost. */
};

/* As coil_log_attach(), but if it fails, the pipe stays the caller's. */
int log_attach(coil_log *log, int pipe_fd, const char *prefix);

/* The pump runs now or soon. -ENOMEM. */
int log_pump_start(coil_log *log);

/* The pipe, which is in no list, becomes silent; or rests, if there is no memory to watch it. */
void log_pipe_watch(log_pipe *pipe);

/* Close and free it. */
void log_pipe_destroy(log_pipe *pipe);

/* Every pipe of the log, whatever it does, is ready. */
void log_wake_all(coil_log *log);

/* All that is in the one list goes to the end of the other. */
void log_list_move(coil_list *from, coil_list *to);

/* End the pipes, as if they had ended by themselves, as many as the job has room for. */
void log_end_all(coil_log *log);

/* Close all pipes; what they have is lost. */
void log_drop_pipes(coil_log *log);

/* What coil_log_say() has left for us, into the job, if it has room for it. */
void log_put_said(coil_log *log);

/*
 * A round of draining: everything that the pipes have now is to be read, and nothing more, until
 * that is stored. Those who come meanwhile wait for the next round, so that each has an end.
 */
void log_drain_begin(coil_log *log);

/*
 * A pipe that is attached while others are drained comes behind them, and behind all rounds that
 * somebody has asked for: what the instance of a service says comes behind the last words of the
 * one before.
 */
void log_drain_attach(log_pipe *pipe);

/* Ask for the rounds that all pipes of now take part in: until so many have been. */
uint64_t log_drain_want(coil_log *log);

/* Until then. As coil_log_drain(). */
coil_declare_private(int, log_drain_until, (coil_log *)log, (uint64_t)round_count);

/* It is not its turn yet. */
bool log_drain_holds_back(const log_pipe *pipe);

/* So much of the pipe has been read; 0: nothing was there. True: a drain wants another look. */
bool log_drain_read(log_pipe *pipe, size_t size_bytes);

/* The pipe ends. */
void log_drain_forget(log_pipe *pipe);

/* Everything has been read. */
bool log_drain_is_read(const coil_log *log);

/* Everything has been stored: this round is over. */
void log_drain_end(coil_log *log);

/* Blocks are kept as long as a log of this thread is open. */
void log_blocks_open(void);
void log_blocks_close(void);

/* Give the log a block, with an empty job. -ENOMEM. And back. */
int log_block_take(coil_log *log);
void log_block_release(coil_log *log);

/* How much of the output a job may fill: a notice fits in besides. */
size_t log_block_room(const coil_log *log);

/* The lines of the job become the output, which is empty; and the job is. */
void log_output_begin(coil_log *log);

/* Store the output. 0, or why some of it is lost. */
coil_declare_private(int, log_store, (coil_log *)log);

/* The output and the job will not be stored. */
void log_give_up(coil_log *log);

/* The sink of logs that do more than to store (log_notice.c). */
bool log_sink_line(log_sink *sink, log_job *job, const coil_log_line *line);

/* A line for the hook, if there is one, and for coil_log_tail(). */
void log_pass_on(coil_log *log, const coil_log_line *line);

/*
 * Lines about what is not there: what was too much, behind what is in the job, once there may be
 * lines again; and what the file has refused, before all that is in it.
 */
void log_put_rated(coil_log *log, bool is_last);
void log_put_refused(coil_log *log);

/* Of an error or a rate: the allowance of now. */
void log_allow(coil_log *log, int64_t time_us);

COIL_END_DECLS

#endif
