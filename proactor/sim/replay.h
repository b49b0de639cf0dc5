/* SPDX-License-Identifier: MIT */
/*
 * replay.h - a recording of a real kernel is imposed on one ring.
 *
 *     the n-th submission of the ring -> matched with one of the recording -> HELD
 *     all recorded before has happened, and it is time -> tried, with the recorded result -> told
 *
 * The recording says which completion comes next, with which result, and when. What is behind it
 * (bytes of a peer, a connection, a file) is that of the simulation: it is waited for. When the
 * program submits something else, or the simulation cannot bring about what is recorded, the run
 * fails and says where; nothing is guessed. Behind the last entry the ring is a simulated one like
 * any other, as it is before the first one, if the recording does not have the beginning.
 *
 * Left to the simulation: polls of eventfds, which is how threads wake each other; completions of
 * what was submitted before the recording begins.
 */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "recording.h"
#include "request.h"

typedef struct sim_replay sim_replay;

/* Of the next ring that the process sets up, `ring`. NULL: there is nothing to be replayed. */
sim_replay *sim_replay_create(sim_ring *ring);

/* All but sim_replay_create() take a ring without a replay. */

/* The program enters the kernel, and submits so many: not before the time at which it has. */
void sim_replay_enter(sim_ring *ring, unsigned to_submit);

/* The number of the entry that is like this one; 0: it is none of the replay's business. */
uint64_t sim_replay_match(sim_ring *ring, const struct io_uring_sqe *sqe);

/* The request is the one that has been matched. False: it goes its own way. */
bool sim_replay_hold(sim_request *request);

/* Let what is next happen, if it can. */
void sim_replay_deliver(sim_ring *ring);

/* Does the recorded enter bring something that has not happened yet? Then that is waited for. */
bool sim_replay_goes_on(const sim_ring *ring);

/* What a request that is tried results in: the result to be told. */
int sim_replay_settle(sim_request *request, int result, bool has_more);

/* The ring is closed, by the program or with it. */
void sim_replay_close(sim_ring *ring);
void sim_replay_drop(sim_ring *ring);

/* The run has come to its end: fails if that of a recording has not been reached. */
void sim_replays_check(sim_world *world);

#endif
