/* SPDX-License-Identifier: MIT */
/*
 * lending.h - the memory that a request has borrowed.
 *
 * From submission to the final completion it is the kernel's. What will be written is filled with
 * junk, so that whoever reads it too early, or counts on what was there, is found; and so is who
 * writes there, because the junk has to be there still. What will be read is summed up, so that
 * whoever changes it is found. This goes for the bytes of transfers, and for what other operations
 * answer in: addresses, headers of messages, states of files and of children.
 *
 * Whoever frees memory with any of this in it is found at once, and so is who frees a ring of
 * buffers, or a buffer in it, that the kernel may take.
 */
#ifndef SIM_LENDING_H
#define SIM_LENDING_H

#include "request.h"

/* It is the kernel's now. */
void lending_begin(sim_request *request);

/*
 * For as long as the request is tried: what it answers in is as the program has left it, and the
 * operation may write there. Verifies, too.
 */
void lending_pause(sim_request *request);
void lending_go_on(sim_request *request);

/*
 * It is the program's again: what the result does not cover is as it was before, because a short
 * read leaves the rest of a buffer alone. Verifies, too.
 */
void lending_end(sim_request *request, int result);

/* The request is gone, and perhaps its process: nothing is looked at. */
void lending_forget(sim_request *request);

/* The process frees this memory. Fails the simulation if there is something lent in it. */
void lending_check_freed(const sim_process *process, const void *memory, size_t size_bytes);

#endif
