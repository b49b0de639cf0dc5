/* SPDX-License-Identifier: MIT */
/* thrift_pipeline_private.h - what the two directions of a pipeline know of its calls. */
#ifndef COIL_THRIFT_PIPELINE_PRIVATE_H
#define COIL_THRIFT_PIPELINE_PRIVATE_H

#include "thrift_transport.h"

#include <coil/thrift_pipeline.h>

/* What lies around the messages of a connection, in either direction. */
struct coil_thrift_wire {
    thrift_transport transport;
    thrift_dialect dialect;
    bool is_plain; /* Framed, and not compressed: the writer does it. */
};

/*
 * A call, on the frame stack of its task. It is in a list of its pipeline until it has an outcome;
 * from then on it does not know the pipeline any more, which may be gone before its task runs.
 */
typedef struct pipeline_call {
    coil_list link;
    coil_list waiter;               /* Its task, while it sleeps. */
    coil_thrift_pipeline *pipeline; /* NULL: it has its outcome. */
    coil_thrift_invocation *invocation;
    uint64_t begin_bytes; /* Where its frame lies in all that is sent. */
    uint64_t end_bytes;
    int32_t seqid;   /* 0: none, it has not been sent or is a oneway one. */
    bool is_waiting; /* For room. */
    int outcome;
} pipeline_call;

/* What becomes of a number. */
struct coil_thrift_slot {
    pipeline_call *call; /* NULL: it was abandoned. */
    int32_t seqid;       /* 0: the slot is free. */
};

/*
 * The frame of the call, behind the others. Its size; or an error, and nothing is behind them.
 * `deadline` is for the server to know, where it can be told.
 */
int pipeline_encode(coil_thrift_pipeline *pipeline, const coil_thrift_invocation *invocation,
        int32_t seqid, coil_time deadline);

/*
 * Send the call and await its outcome. Whoever asks sees to its timeout; `was_sent` of the
 * invocation is set, and never reset.
 */
coil_declare_private(int, pipeline_exchange, (coil_thrift_pipeline *)pipeline,
        (coil_thrift_invocation *)invocation);

/* How long the call may take: by its own timeout, or the table. COIL_FOREVER: no limit. */
coil_duration pipeline_limit_of(
        const coil_thrift_pipeline_options *options, const coil_thrift_invocation *invocation);

/* A number that is not in use; -ENOMEM. */
int pipeline_draw_seqid(coil_thrift_pipeline *pipeline);

/* Where that number has its place, whoever has it now. */
struct coil_thrift_slot *pipeline_slot_of(const coil_thrift_pipeline *pipeline, int32_t seqid);

/* Give the number back. */
void pipeline_free_slot(struct coil_thrift_slot *slot);

/* The slot of a call that is in flight, or was abandoned; NULL. */
struct coil_thrift_slot *pipeline_find_slot(const coil_thrift_pipeline *pipeline, int32_t seqid);

/* Have part in what the pipeline has room for. */
void pipeline_take_room(pipeline_call *call);

/* There may be room: for those who wait for it, or to finish. */
void pipeline_admit(coil_thrift_pipeline *pipeline);

/* No call is under way. */
bool pipeline_is_empty(const coil_thrift_pipeline *pipeline);

/* Sleep until there is room (0), or until the call has its outcome. */
coil_declare_private(int, pipeline_sleep, (pipeline_call *)call);

/* This is how the call ends that is in flight. Those behind it may have its room. */
void pipeline_settle(pipeline_call *call, int outcome);

/* It is a oneway one, and has been sent. */
void pipeline_settle_oneway(pipeline_call *call);

/*
 * The connection is over, for this reason in words; all calls have their outcome. Returns `error`.
 * Whoever reads or writes still has to end.
 */
int pipeline_fail(coil_thrift_pipeline *pipeline, int error, const char *what);

/* The same with -ENOTCONN, by HTTP: no error if no call was sent that has no reply. */
int pipeline_use_up(coil_thrift_pipeline *pipeline, const char *what);

/* The replies, one after the other, until one does not come. */
coil_declare_private(int, pipeline_read, (coil_thrift_pipeline *)pipeline);

#endif
