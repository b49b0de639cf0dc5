/* SPDX-License-Identifier: MIT */
/*
 * The peer of a server that is being stepped: N connections that ask in rounds. In each, every
 * connection sends `depth` requests at once; the round is over when all replies have come, checked
 * byte by byte. So the work of a round is the same each time, however slow the server is.
 *
 * With `churn` every round has connections of its own: each is made when it asks, and closed when
 * it has its replies.
 */
#ifndef PERF_STEP_CLIENT_H
#define PERF_STEP_CLIENT_H

#include "../load/codec.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct client client;

struct client {
    const struct codec *codec;
    int port;
    int connection_count;
    int depth;
    bool churn;
    struct connection *connections;
    unsigned char *out; /* What one connection sends in a round. */
    size_t outstanding_count;
};

/*
 * Connects, unless `churn`. Whoever connects first waits up to 5 s for somebody to listen. Exits
 * with 1 on failure, as all here do.
 */
void client_connect(client *self);

/* Sends the requests of the next round. All replies of the last one must have come. */
void client_ask(client *self);

/* Takes what has come; never waits. Returns true if the round is over. */
bool client_take(client *self);

_Noreturn void step_die(const char *what, int error);

#endif
