/* SPDX-License-Identifier: MIT */
/* Of coil/thrift_server.h: one call, from when it is run to its outcome. */
#include "http_message.h"
#include "thrift_private.h"
#include "thrift_server_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEEP_BYTES = 64 * 1024 /* Of a call's arena, for later ones. */ };

coil_thrift_writer *coil_thrift_reply(coil_thrift_call *call)
{
    COIL_CHECK(!call->replying);
    thrift_call *self = coil_container_of(call, thrift_call, call);
    coil_thrift_message reply = call->message;

    reply.type = COIL_THRIFT_REPLY;
    call->writer = thrift_order_writer(self);
    if (call->writer == NULL) {
        coil_thrift_writer_init(&self->no_writer, call->server->limits);
        self->no_writer.error = -ENOMEM;
        call->writer = &self->no_writer;
    }
    coil_thrift_writer_begin(call->writer, &reply);
    call->replying = true;
    return call->writer;
}

void coil_thrift_no_reply(coil_thrift_call *call)
{
    COIL_CHECK(!call->replying);
    thrift_call *self = coil_container_of(call, thrift_call, call);

    call->message.type = COIL_THRIFT_ONEWAY;
    if (self->kind.transport == COIL_THRIFT_TRANSPORT_HTTP) {
        thrift_order_acknowledge(self, /* now_or_later= */ true);
    } else {
        thrift_order_forget(self);
    }
}

int coil_thrift_fail(coil_thrift_call *call, int32_t type, const char *what)
{
    const size_t size = strlen(what);
    char *copy = coil_arena_take(call->arena, size + 1, 1);

    call->exception = type;
    call->what = coil_thrift_text_of("");
    if (copy != NULL) {
        memcpy(copy, what, size + 1);
        call->what = (coil_thrift_text){copy, (uint32_t)size};
    }
    return -EREMOTEIO;
}

coil_address coil_thrift_call_address(const coil_thrift_call *call)
{
    coil_address address = {.size_bytes = 0};
    if (call->session != NULL)
        return *coil_session_peer(call->session);
    const int fd = coil_stream_fd(call->peer);
    if (fd < 0 || coil_fd_is_direct(fd))
        return address;
    address.size_bytes = sizeof(address.storage);
    if (coil_kernel_getpeername(fd, &address.socket, &address.size_bytes) < 0)
        address.size_bytes = 0;
    return address;
}

/* ---------------------------------------------------------------------------------- memory -- */

thrift_call *thrift_call_take(thrift_connection *peer)
{
    coil_thrift_server *server = peer->server;
    thrift_call *call = server->state->free_calls;

    if (coil_likely(call != NULL)) {
        server->state->free_calls = call->next_free;
    } else {
        call = calloc(1, sizeof(*call));
        if (call == NULL)
            return NULL;
        coil_arena_init(&call->arena, thrift_arena_max(server));
    }
    call->peer = peer;
    call->call.server = server;
    call->call.session = peer->session;
    call->call.peer = peer->stream;
    call->call.arena = &call->arena;
    call->call.service = NULL;
    call->call.method = NULL;
    call->call.replying = false;
    call->call.exception = -1;
    call->call.arrived = coil_now();
    call->call.deadline = COIL_NEVER;
    call->state = THRIFT_CALL_RUNS;
    call->is_cut = false;
    call->is_acknowledged = false;
    call->kind = peer->envelope.kind;
    call->rule = NULL;
    call->reply_start = 0;
    call->before_count = 0;
    call->outcome = (coil_thrift_outcome){.exception = -1};
    return call;
}

void thrift_free_calls(thrift_call *first)
{
    while (first != NULL) {
        thrift_call *next = first->next_free;
        coil_arena_fini(&first->arena);
        free(first);
        first = next;
    }
}

void thrift_call_drop_arguments(thrift_call *call)
{
    coil_slice_release(&call->frame);
    if (coil_unlikely(coil_arena_taken(&call->arena) > KEEP_BYTES)) {
        coil_arena_fini(&call->arena); /* One large call is no reason to keep so much. */
    } else {
        coil_arena_reset(&call->arena);
    }
}

void thrift_call_release(thrift_call *call)
{
    struct coil_thrift_server_state *state = call->peer->server->state;

    thrift_order_unlink(call);
    if (coil_unlikely(call->own != NULL)) {
        thrift_give_writer(call->peer->server, call->own);
        call->own = NULL;
    }
    call->next_free = state->free_calls;
    state->free_calls = call;
}

/* -------------------------------------------------------------------------------- outcomes -- */

static COIL_NOINLINE void tell_interceptors(thrift_call *call)
{
    while (call->before_count > 0) {
        coil_thrift_interceptor *inner = call->peer->server->interceptors;
        for (unsigned i = 1; i < call->before_count; i++)
            inner = inner->next;
        call->before_count--;
        if (inner->after != NULL)
            inner->after(inner, &call->call, &call->outcome);
    }
}

static void tell_observers(thrift_call *call)
{
    coil_thrift_observer *observer = call->peer->server->observer;

    call->outcome.latency = coil_kernel_now() - call->call.arrived;
    if (coil_unlikely(call->before_count > 0))
        tell_interceptors(call);
    if (observer != NULL)
        observer->ended(observer, &call->call, &call->outcome);
}

/* What has been kept from others for it is theirs. */
static COIL_NOINLINE void let_go(thrift_call *call)
{
    const unsigned holds = call->holds;

    call->holds = 0;
    if ((holds & THRIFT_HOLDS_READER) != 0)
        call->peer->hold_count--;
    if ((holds & THRIFT_HOLDS_TURN) != 0)
        thrift_queue_end_turn(call);
}

/* Nothing more happens to the call but that its reply leaves. */
static void conclude(thrift_call *call, int error)
{
    const coil_thrift_server *server = call->peer->server;

    call->outcome.error = error;
    if (server->observer != NULL || call->before_count > 0)
        tell_observers(call);
    thrift_call_drop_arguments(call);
    if (coil_unlikely(call->holds != 0))
        let_go(call);
}

void thrift_call_abandon(thrift_call *call)
{
    call->peer->server->stats.cancelled++;
    conclude(call, -ECANCELED);
    thrift_call_release(call);
}

static COIL_COLD void write_exception(
        thrift_call *call, coil_thrift_writer *writer, int32_t type, coil_thrift_text what)
{
    static const coil_thrift_header headers[] = {
            {{"ex", 2}, {"1", 1}}, /* Overload, and a deadline, as fbthrift has them. */
            {{"ex", 2}, {"2", 1}},
    };
    const bool is_overload = type == COIL_THRIFT_LOADSHEDDING;
    const thrift_extra extra = {.headers = is_overload ? &headers[0] : &headers[1], .count = 1};
    const coil_thrift_exception exception = {.type = type, .message = what};
    coil_thrift_message reply = call->call.message;

    reply.type = COIL_THRIFT_EXCEPTION;
    coil_thrift_writer_begin(writer, &reply);
    coil_thrift_write_exception(writer, &exception);
    const int size = thrift_order_seal(call, writer, coil_thrift_writer_finish(writer),
            is_overload || type == COIL_THRIFT_TIMEOUT ? &extra : NULL);
    if (size < 0) {
        thrift_connection_break(call->peer, size); /* It would wait for its answer for ever. */
    } else {
        call->outcome.sent_bytes = (uint32_t)size;
        call->peer->server->stats.exceptions++;
    }
}

/* HTTP wants an answer all the same. */
static void end_oneway(thrift_call *call)
{
    if (call->call.message.type == COIL_THRIFT_ONEWAY)
        thrift_order_acknowledge(call, /* now_or_later= */ false);
}

/* It ends with an exception. */
static COIL_COLD void refuse(thrift_call *call, int error, int32_t type, coil_thrift_text what)
{
    coil_thrift_server_stats *stats = &call->peer->server->stats;

    stats->overloaded += type == COIL_THRIFT_LOADSHEDDING;
    stats->timed_out += type == COIL_THRIFT_TIMEOUT;
    if (call->call.message.type != COIL_THRIFT_ONEWAY) {
        coil_thrift_writer *writer = thrift_order_writer(call);
        call->outcome.exception = type;
        if (writer == NULL) {
            thrift_connection_break(call->peer, -ENOMEM);
        } else {
            write_exception(call, writer, type, what);
        }
    }
    end_oneway(call);
    conclude(call, error);
    thrift_order_deliver(call);
}

void thrift_call_refuse(thrift_call *call, int error, int32_t type, const char *what)
{
    refuse(call, error, type, coil_thrift_text_of(what));
}

/* It ends with an answer that is none of Thrift: HTTP's. */
static COIL_COLD void refuse_by_http(thrift_call *call, int error, int status)
{
    char answer[HTTP_REFUSAL_BYTES];

    thrift_order_say_as(call, http_refusal(status, answer));
    conclude(call, error);
    thrift_order_deliver(call);
}

COIL_COLD void thrift_refuse_bytes(thrift_connection *peer, int error)
{
    const thrift_transport *transport = &peer->transport;
    char what[THRIFT_WHAT_MAX];

    peer->envelope = (thrift_envelope){.kind = transport->kind};
    thrift_call *call = thrift_call_take(peer);
    if (call == NULL)
        return;
    thrift_call_forget_message(call);
    if (transport->answer_status != 0) {
        refuse_by_http(call, error, transport->answer_status);
    } else {
        thrift_call_refuse(call, error, transport->exception,
                thrift_transport_what(transport, what, sizeof(what)));
    }
}

/* ------------------------------------------------------------------------------------- run -- */

static COIL_COLD int ask_interceptors(thrift_call *call)
{
    coil_thrift_interceptor *link = call->peer->server->interceptors;
    int rc = 0;

    for (; link != NULL && rc >= 0; link = link->next) {
        call->before_count++;
        if (link->before != NULL)
            rc = link->before(link, &call->call);
    }
    return rc;
}

/* What the handler takes; or why it is not called. */
static int prepare(thrift_call *call)
{
    int rc = 0;

    if (coil_unlikely(call->peer->server->interceptors != NULL))
        rc = ask_interceptors(call);
    if (rc < 0)
        return rc;
    call->argument = &call->call;
    if (call->call.method->schema == NULL)
        return 0;
    return thrift_typed_begin(&call->call, call->charged_bytes, &call->argument);
}

/* The handler has to wait: it goes on in this task, and others read. */
static COIL_NOINLINE coil_turn wait_for_handler(
        coil_task *task, coil_frame *leaf, thrift_call *call)
{
    thrift_connection *peer = call->peer;

    call->state = THRIFT_CALL_WAITS;
    call->task = task;
    call->leaf = leaf;
    if (!call->is_linked)
        thrift_order_link(call);
    if (peer->current == call)
        peer->current = NULL;
    thrift_queue_enter(call);
    if (!thrift_order_detach(call))
        thrift_connection_break(peer, -ENOMEM);
    thrift_connection_hand_over(peer, task);
    return COIL_WAIT;
}

/* The handler has returned, or has been unwound, after it had waited. */
static COIL_NOINLINE bool has_been_cut(coil_task *task, coil_frame *leaf, thrift_call *call)
{
    bool is_unwound = false;

    call->state = THRIFT_CALL_ENDS;
    call->task = NULL;
    thrift_queue_leave(call);
    return call->is_cut && coil_task_absorb(task, leaf, &is_unwound) && is_unwound;
}

static coil_turn run_step(coil_task *task, coil_frame *leaf)
{
    thrift_call *call = coil_arguments(thrift_call_run, leaf)->call;
    int *result = &coil_result(thrift_call_run, leaf);

    if (leaf->at == NULL) {
        const coil_fn *fn = call->call.method->handler.fn;
        *result = prepare(call);
        if (*result < 0)
            return coil_leave(task, leaf);
        coil_frame *callee = coil_push(task, fn->frame_bytes);
        leaf->at = &coil_leaf_site;
        coil_frame_push(task, callee, fn, leaf);
        memcpy((char *)callee + fn->arguments_at, &call->argument, sizeof(call->argument));
        if (fn->step(task, callee) == COIL_WAIT)
            return wait_for_handler(task, leaf, call);
    }
    const coil_frame *callee = (const coil_frame *)(const void *)task->sp;
    if (call->task != NULL && has_been_cut(task, leaf, call)) {
        *result = -ECANCELED;
    } else if (!task->unwinding) {
        *result = (int)coil_frame_result(callee);
    }
    return coil_leave(task, leaf);
}

coil_define_leaf(thrift_call_run, run_step, NULL);

/* ------------------------------------------------------------------------------------- end -- */

/* Is it what the bytes were, rather than what the handler did? */
bool thrift_is_protocol_error(int error)
{
    return error == -EBADMSG || error == -ENODATA || error == -EMSGSIZE || error == -ELOOP;
}

/* What was wrong with the arguments. A handler that has not read them all does not want to. */
static int arguments_error(coil_thrift_reader *arguments)
{
    if (arguments->error == 0 && arguments->depth > 0)
        return 0;
    return coil_thrift_reader_finish(arguments);
}

/* The handler has begun a reply that is not sent. */
static void abandon_reply(thrift_call *call)
{
    if (call->call.replying)
        coil_thrift_writer_abandon(call->call.writer);
}

/* They make sense, but say too little; or too much, for a limit of ours. The next call may not. */
static bool can_go_on(const coil_thrift_reader *arguments)
{
    return arguments->fault == THRIFT_FAULT_MISSING || arguments->fault == THRIFT_FAULT_UNION ||
           !thrift_is_protocol_error(arguments->error);
}

static COIL_COLD int end_malformed(thrift_call *call, int error)
{
    char what[THRIFT_WHAT_MAX];

    abandon_reply(call);
    (void)coil_thrift_reader_what(&call->call.arguments, what, sizeof(what));
    thrift_call_refuse(call, error, COIL_THRIFT_PROTOCOL_ERROR, what);
    return can_go_on(&call->call.arguments) ? 0 : error;
}

static COIL_COLD void end_failed(thrift_call *call, int error)
{
    char what[THRIFT_WHAT_MAX];

    abandon_reply(call);
    if (error == -EREMOTEIO && call->call.exception >= 0) {
        refuse(call, error, call->call.exception, call->call.what);
        return;
    }
    if (error == -ETIME && coil_now() >= call->call.deadline) {
        thrift_call_refuse(call, error, COIL_THRIFT_TIMEOUT, "the time for this call is over");
        return;
    }
    (void)snprintf(
            what, sizeof(what), "%s failed: %s", call->call.method->name, coil_error_text(error));
    thrift_call_refuse(call, error,
            thrift_is_protocol_error(error) ? COIL_THRIFT_PROTOCOL_ERROR
                                            : COIL_THRIFT_INTERNAL_ERROR,
            what);
}

static COIL_COLD void end_unsent(thrift_call *call, int error)
{
    char what[THRIFT_WHAT_MAX];

    (void)snprintf(what, sizeof(what), "the reply of %s: %s", call->call.method->name,
            coil_error_text(error));
    thrift_call_refuse(call, error, COIL_THRIFT_INTERNAL_ERROR, what);
}

/* Complete the reply. Its size, or why there is none. */
static int write_reply(thrift_call *call)
{
    if (!call->call.replying)
        (void)coil_thrift_reply(&call->call);
    if (call->call.method->schema != NULL) {
        call->outcome.declared = thrift_typed_end(&call->call, call->call.writer, call->argument);
    } else {
        coil_thrift_write_stop(call->call.writer);
    }
    return thrift_order_seal(
            call, call->call.writer, coil_thrift_writer_finish(call->call.writer), NULL);
}

int thrift_call_end(thrift_call *call, int result)
{
    if (call->is_cut && result == -ECANCELED) {
        abandon_reply(call);
        call->peer->server->stats.cancelled++;
        conclude(call, result);
        thrift_give_writer(call->peer->server, call->own);
        call->own = NULL;
        thrift_order_deliver(call);
        return 0;
    }
    int rc = arguments_error(&call->call.arguments);
    if (rc < 0)
        return end_malformed(call, rc);
    if (result < 0) {
        end_failed(call, result);
        return 0;
    }
    if (call->call.message.type == COIL_THRIFT_ONEWAY) {
        abandon_reply(call);
        end_oneway(call);
        conclude(call, 0);
        thrift_order_deliver(call);
        return 0;
    }
    rc = write_reply(call);
    if (rc < 0) {
        end_unsent(call, rc);
        return 0;
    }
    call->outcome.sent_bytes = (uint32_t)rc;
    conclude(call, 0);
    thrift_order_deliver(call);
    return 0;
}
