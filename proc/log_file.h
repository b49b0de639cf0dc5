/* SPDX-License-Identifier: MIT */
/*
 * log_file.h - the files of one log: the current one, and the full ones, which have numbers.
 *
 *     log_file_open()    appends to what is there; finds the full ones
 *     log_file_put()     whole lines; in between, when it has to, a rotation
 *     log_file_close()
 *
 * What has been written ends at file->size_bytes, and what is written next starts there: a write
 * that has failed half-way is simply repeated.
 */
#ifndef LOG_FILE_H
#define LOG_FILE_H

#include <coil/blocking.h>
#include <coil/log_capture.h>

#include <sys/stat.h>

COIL_BEGIN_DECLS

typedef struct log_full {
    uint64_t size_bytes;
    uint32_t number;
} log_full;

/*
 * Lines that are being written, where they can be read after we have been killed: `done_bytes` of
 * all are in files; if `is_active`, the next may be in this file, from this offset on.
 */
typedef struct log_share {
    uint64_t inode;
    uint64_t device;
    uint64_t offset;
    uint64_t progress; /* done_bytes * 2 + is_active: they change together. */
} log_share;

typedef struct log_file {
    log_share *share; /* NULL: nobody wants to know. */
    coil_log_journal *journal;
    char *path; /* NULL: there is no file. */
    int fd;     /* -1: not open. */
    mode_t mode;
    unsigned keep_files;
    uint64_t keep_bytes;
    uint64_t rotate_bytes;
    coil_duration rotate_age;
    bool sync;

    uint64_t size_bytes;
    uint64_t inode;
    uint64_t device;
    int64_t born_us;     /* Since 1970. */
    coil_time looked_at; /* When we last saw that the path still leads to it. */
    coil_time rotate_at; /* After a failure: not before. */
    uint32_t next_number;
    int sync_error;             /* Of files that have been left. */
    coil_blocking_pool *detour; /* See write_lines(). NULL: it is not needed. */
    uint64_t stored_bytes;
    uint64_t rotation_count;
    uint64_t reopening_count;
    log_full *full; /* Oldest first. */
    unsigned full_count;
    unsigned full_room;
} log_file;

/* `file` has what the options say, and zeroes. Errors as coil_log_open(). */
coil_declare_private(int, log_file_open, (log_file *)file);

/*
 * Store whole lines, all of the same time, from *done_bytes on, which moves as they are stored: it
 * is right also after an error, and if this is cancelled.
 */
coil_declare_private(int, log_file_put, (log_file *)file, (const char *)lines, (size_t)size_bytes,
        (int64_t)time_us, (size_t *)done_bytes);

/* Begin a new file, even in a cancelled task. An error: the old one is used on. */
coil_declare_private(int, log_file_rotate, (log_file *)file);

/* Also of one that has never been opened. An error: some of what was written may not be there. */
coil_declare_private(int, log_file_close, (log_file *)file);

COIL_END_DECLS

#endif
