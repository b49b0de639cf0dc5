/* SPDX-License-Identifier: MIT */
/* thrift_pool_private.h - a pool's connections, for its calls. */
#ifndef COIL_THRIFT_POOL_PRIVATE_H
#define COIL_THRIFT_POOL_PRIVATE_H

#include <coil/random.h>
#include <coil/thrift_pool.h>

/* What is known of an address: one that a line goes to, or went to. */
typedef struct pool_endpoint {
    uint64_t pool_number; /* Of the balancer's pool for it. 0: none yet. */
    unsigned user_count;  /* Lines and calls. */
    coil_circuit_breaker breaker;
} pool_endpoint;

/* A connection, or the place for one. */
typedef struct pool_line {
    coil_thrift_pool *pool;
    coil_task *task; /* NULL: it is free. */
    bool is_live;    /* It can carry calls. */
    bool is_retired; /* It takes no further ones. */
    uint32_t number; /* From 1, of each connection another: invocations remember it. */
    pool_endpoint *endpoint;
    coil_time expires_at;
    coil_thrift_pipeline pipeline;
} pool_line;

struct coil_thrift_pool {
    coil_thrift_channel channel;
    coil_loop *loop;
    coil_thrift_pool_options options;
    coil_thrift_pool_stats stats;
    coil_random random;
    coil_balancer *balancer;
    pool_endpoint *endpoints; /* As many as lines. */
    unsigned line_count;
    uint32_t last_number;
    unsigned turn;     /* Where the search for a line begins. */
    coil_list waiters; /* For a line. */
    coil_list closers; /* For the last one to end. */
    size_t user_count; /* Tasks of lines, and calls. */
    bool is_closed;
    bool is_destroyed;
    pool_line lines[];
};

coil_time pool_now(const coil_thrift_pool *pool);

/* Tasks and calls that use the pool count in user_count, and leave; the last one may free it. */
void pool_leave(coil_thrift_pool *pool);

/* A line for one more call, if there is another than that to avoid; -EAGAIN: not yet. */
int pool_choose(coil_thrift_pool *pool, uint32_t avoid, pool_line **out_line);

#endif
