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
    const struct coil_thrift_server_state *state = server->state;

    return state->waiting_calls + state->turn_count < limit_of(server->calls_max, CALLS_MAX);
}

/* May no more handlers of this method wait? */
static bool is_full(const coil_thrift_method_rule *rule)
{
    return rule != NULL && rule->calls_max > 0 && rule->waiting_calls >= rule->calls_max;
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
    if (coil_now() >= call->call.deadline) {
        thrift_call_refuse(call, -ETIME, COIL_THRIFT_TIMEOUT, "the time for this call is over");
    } else {
        thrift_call_refuse(
                call, -EBUSY, COIL_THRIFT_LOADSHEDDING, "overloaded: waited too long for its turn");
    }
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
    coil_time until = coil_time_after(coil_now(), limit);
    if (until > call->call.deadline)
        until = call->call.deadline;
    coil_timer_arm(wheel_of(call), &call->queue_timer, until);
    thrift_order_link(call);
    return 0;
}

int thrift_queue_admit(thrift_call *call)
{
    if (coil_unlikely(is_full(call->rule)))
        return -EBUSY;
    if (coil_likely(call->peer->server->state->queue_count == 0 && has_room(call->peer->server)))
        return 1;
    return wait_in_queue(call);
}

/* Who has a turn counts as if he waited already: before he does, others may have theirs. */
static void take_turn(thrift_call *call)
{
    call->holds |= THRIFT_HOLDS_TURN;
    call->peer->server->state->turn_count++;
    if (call->rule != NULL)
        call->rule->waiting_calls++;
}

static void give_turn_back(const thrift_call *call)
{
    call->peer->server->state->turn_count--;
    if (call->rule != NULL)
        call->rule->waiting_calls--;
}

void thrift_queue_enter(thrift_call *call)
{
    coil_thrift_server *server = call->peer->server;

    if (coil_unlikely((call->holds & THRIFT_HOLDS_TURN) != 0)) {
        call->holds &= (uint8_t)~THRIFT_HOLDS_TURN;
        give_turn_back(call);
    }
    if (call->rule != NULL)
        call->rule->waiting_calls++;
    server->stats.waiting_calls = ++server->state->waiting_calls;
    if (server->stats.most_waiting < server->stats.waiting_calls)
        server->stats.most_waiting = server->stats.waiting_calls;
}

/* Its turn has come, and it cannot be called all the same. */
static COIL_COLD void refuse(thrift_call *call, int error, int32_t type, const char *what)
{
    thrift_connection *peer = call->peer;

    thrift_call_refuse(call, error, type, what);
    (void)thrift_spawn(peer, NULL);
}

static void start(thrift_call *call)
{
    thrift_queue_remove(call);
    if (is_full(call->rule)) {
        refuse(call, -EBUSY, COIL_THRIFT_LOADSHEDDING,
                "overloaded: too many calls are waiting already");
        return;
    }
    if (thrift_spawn(call->peer, call) == NULL) {
        refuse(call, -ENOMEM, COIL_THRIFT_INTERNAL_ERROR, "no memory");
        return;
    }
    take_turn(call);
}

/* Nobody stays in the queue while there is room: who has his turn need not wait in his handler. */
static COIL_NOINLINE void start_next(coil_thrift_server *server)
{
    struct coil_thrift_server_state *state = server->state;

    while (state->queue_count > 0 && has_room(server))
        start(coil_container_of(state->queue.next, thrift_call, queue_link));
}

void thrift_queue_leave(thrift_call *call)
{
    coil_thrift_server *server = call->peer->server;
    struct coil_thrift_server_state *state = server->state;

    if (call->rule != NULL)
        call->rule->waiting_calls--;
    server->stats.waiting_calls = --state->waiting_calls;
    if (coil_unlikely(state->queue_count > 0))
        start_next(server);
}

void thrift_queue_end_turn(thrift_call *call)
{
    give_turn_back(call);
    start_next(call->peer->server);
}
