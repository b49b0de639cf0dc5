/* SPDX-License-Identifier: MIT */
/* splice.h - splice(2), at once. */
#ifndef SIM_SPLICE_H
#define SIM_SPLICE_H

#include "file.h"

typedef struct sim_splicing {
    sim_file *from, *to;
    int64_t from_offset, to_offset; /* -1: the position. */
    size_t size_bytes;
    unsigned flags; /* SPLICE_F_... */
    sim_process *process;
} sim_splicing;

/*
 * How many bytes were moved. -EAGAIN: the pipe is empty, or full; `*out_file` is what must change
 * first, and may be waited for if neither side is non-blocking.
 */
ssize_t sim_splice(const sim_splicing *splicing, sim_file **out_file);

/* May a caller wait, or is -EAGAIN the result? */
bool sim_splice_waits(const sim_splicing *splicing);

#endif
