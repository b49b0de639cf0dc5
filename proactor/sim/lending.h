/* SPDX-License-Identifier: MIT */
/*
 * lending.h - the memory that a request has borrowed.
 *
 * From submission to the final completion it is the kernel's. What will be written is filled with
 * junk, so that whoever reads it too early, or counts on what was there, is found; what will be
 * read is summed up, so that whoever changes it is found. Memory that has been freed meanwhile is
 * found by AddressSanitizer, because both touch it.
 */
#ifndef SIM_LENDING_H
#define SIM_LENDING_H

#include "request.h"

/* It is the kernel's now. */
void lending_begin(sim_request *request);

/*
 * It is the program's again: what the result does not cover is as it was before, because a short
 * read leaves the rest of a buffer alone. Verifies, too.
 */
void lending_end(sim_request *request, int result);

/* It must be as it was. Fails the simulation if not. */
void lending_verify(sim_request *request);

#endif
