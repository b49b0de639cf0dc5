/* SPDX-License-Identifier: MIT */
/* Of coil/thrift_server.h: how many calls there may be, and those that wait for their turn. */
#include "thrift_server_private.h"

#include <coil/loop.h>
#include <coil/sched.h>

#include <errno.h>

enum {
    CALLS_MAX = 10 * 1000, /* The defaults. */
    QUEUE_MAX = 1000,
    QUEUE_LIMIT_S = 1,
};

static unsigned limit_of(unsigned limit, unsigned default_limit)
{
    return limit > 0 ? limit : default_limit;
}

static bool has_room(const coil_thrift_server *server)
{
    return server->state->waiting_calls < limit_of(server->calls_max, CALLS_MAX);
}

static coil_timer_wheel *wheel_of(const thrift_call *call)
{
    return &call->peer->tasks.sched->wheel;
}

void thrift_queue_remove(thrift_call *call)
{
    struct coil_thrift_server_state *state = call->peer->server->state;

    coil_timer_disarm(wheel_of(call), &call->queue_timer);
    coil_list_remove(&call->queue_link);
    call->state = THRIFT_CALL_RUNS;
    call->outcome.queued = coil_now() - call->call.arrived;
    call->peer->server->stats.queued_calls = --state->queue_count;
}

/* Its turn has not come in time. */
static void give_up(coil_timer *timer)
{
    thrift_call *call = coil_container_of(timer, thrift_call, queue_timer);
    thrift_connection *peer = call->peer;

    thrift_queue_remove(call);
    thrift_call_refuse(
            call, -EBUSY, COIL_THRIFT_LOADSHEDDING, "overloaded: waited too long for its turn");
    (void)thrift_spawn(peer, NULL); /* Its answer is to be sent, and more may be read. */
}

static int wait_in_queue(thrift_call *call)
{
    const coil_thrift_server *server = call->peer->server;
    struct coil_thrift_server_state *state = server->state;
    coil_duration limit = thrift_limit_of(server->queue_limit, QUEUE_LIMIT_S);

    if (call->queue_limit > 0 && call->queue_limit < limit)
        limit = call->queue_limit;
    if (state->queue_count >= limit_of(server->queue_max, QUEUE_MAX))
        return -EBUSY;
    call->state = THRIFT_CALL_QUEUED;
    coil_list_append(&state->queue, &call->queue_link);
    call->peer->server->stats.queued_calls = ++state->queue_count;
    coil_timer_init(&call->queue_timer, give_up);
    coil_timer_arm(wheel_of(call), &call->queue_timer, coil_time_after(coil_now(), limit));
    thrift_order_link(call);
    return 0;
}

int thrift_queue_admit(thrift_call *call)
{
    const coil_thrift_method_rule *rule = call->rule;

    if (coil_unlikely(
                rule != NULL && rule->calls_max > 0 && rule->waiting_calls >= rule->calls_max))
        return -EBUSY;
    if (coil_likely(call->peer->server->state->queue_count == 0 && has_room(call->peer->server)))
        return 1;
    return wait_in_queue(call);
}

void thrift_queue_enter(thrift_call *call)
{
    coil_thrift_server *server = call->peer->server;

    if (call->rule != NULL)
        call->rule->waiting_calls++;
    server->stats.waiting_calls = ++server->state->waiting_calls;
    if (server->stats.most_waiting < server->stats.waiting_calls)
        server->stats.most_waiting = server->stats.waiting_calls;
}

void thrift_queue_leave(thrift_call *call)
{
    const coil_thrift_server *server = call->peer->server;
    struct coil_thrift_server_state *state = server->state;

    if (call->rule != NULL)
        call->rule->waiting_calls--;
    call->peer->server->stats.waiting_calls = --state->waiting_calls;
    if (coil_likely(state->queue_count == 0) || !has_room(server))
        return;
    thrift_call *next = coil_container_of(state->queue.next, thrift_call, queue_link);
    thrift_queue_remove(next);
    if (thrift_spawn(next->peer, next) == NULL)
        thrift_call_refuse(next, -ENOMEM, COIL_THRIFT_INTERNAL_ERROR, "no memory");
}
