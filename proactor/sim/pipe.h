/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - pipes: pipe(7), and what was observed of Linux where that is vague. There are no FIFOs:
 * nothing in the seam makes one.
 *
 * A pipe has 16 slots of a page each. A write begins a new slot, unless the last part of it (its
 * size modulo a page) fits behind what is in the last slot; so 64,000 bytes fill a pipe in writes
 * of 1,000, and it is writable as long as one slot is free, not one byte. A write of at most
 * PIPE_BUF bytes is all or nothing because it never needs more than one slot.
 */
#ifndef SIM_PIPE_H
#define SIM_PIPE_H

#include "file.h"
#include "ledger.h"
#include "process.h"

enum { SIM_PIPE_SLOT_COUNT = 16, SIM_PIPE_SLOT_BYTES = 4096 };

typedef struct sim_pipe_slot {
    unsigned start, size; /* In bytes. */
    char bytes[SIM_PIPE_SLOT_BYTES];
} sim_pipe_slot;

typedef struct sim_pipe {
    sim_ledger ledger;
    coil_list ends; /* sim_pipe_end, by time of opening. */
    unsigned reader_count, writer_count;
    unsigned first, count; /* Slots in use. */
    sim_pipe_slot slots[SIM_PIPE_SLOT_COUNT];
} sim_pipe;

/* An open description: it reads or it writes. */
typedef struct sim_pipe_end {
    sim_file file;
    sim_pipe *pipe;
    coil_list link;
    bool reads, writes;
} sim_pipe_end;

extern const sim_file_type sim_pipe_type;

/* pipe2(2): [0] reads, [1] writes; the caller has a reference to each. */
void sim_pipe_create(sim_world *world, bool is_nonblocking, sim_file *out_files[2]);

/* NULL: it is no pipe. */
sim_pipe_end *sim_pipe_end_of(sim_file *file);

/* Bytes that can be read, and the most that a write would take now. */
size_t sim_pipe_filled_bytes(const sim_pipe *pipe);
size_t sim_pipe_room_bytes(const sim_pipe *pipe);

/* Copy what is first in it, and leave it there: how many bytes. */
size_t sim_pipe_peek(const sim_pipe *pipe, sim_io *io);

#endif
