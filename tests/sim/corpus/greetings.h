/* SPDX-License-Identifier: MIT */
/*
 * greetings.h - what a server and its callers have between them in scenarios that are about
 * connections: each connection that is accepted is greeted once, with a number of its own.
 */
#ifndef GREETINGS_H
#define GREETINGS_H

#include "corpus.h"

enum { GREETINGS_MAX = 1000 };

/* Zeroed memory that all processes see. */
typedef struct greetings {
    uint32_t next_number;
    unsigned sent[GREETINGS_MAX];     /* By a server, completely. */
    unsigned received[GREETINGS_MAX]; /* By a client. */
} greetings;

/* Greet, wait until the client goes, and close the stream. */
coil_declare(int, greetings_give, (greetings *) all, (coil_stream *) peer);

/* Be greeted. -ENODATA: the server has closed what it had not accepted, or not greeted. */
coil_declare(int, greetings_take, (greetings *) all, (coil_stream *) peer);

/* How many have come. */
unsigned greetings_count(const greetings *all);

#endif
