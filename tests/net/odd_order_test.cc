/* SPDX-License-Identifier: MIT */
/*
 * Servers and pools, in orders that nobody has thought of, with limits as small as they can be,
 * cancelled at each of their awaits. What is held is that nothing crashes, hangs or
 * is left; the leak check and the sanitizers look on.
 */
#include "echo_stream.h"

#include <coil/admission.h>
#include <coil/balancer.h>
#include <coil/connection_pool.h>
#include <coil/server.h>
#include <coil/stream_options.h>
#include <coil/test_loop.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* Has ended by itself before it was cancelled. */
struct Outcome {
    bool is_over;
};

async(int, cancel_after, (coil_task *) task, (unsigned) turns, (const Outcome *) outcome)
{
    vars(unsigned i);
    for (my->i = 0; my->i < turns; my->i++)
        await(coil_yield());
    if (!outcome->is_over)
        coil_task_cancel(task);
    return 0;
}

async(int, note_end, (coil_handler) scene, (Outcome *) outcome)
{
    vars(int rc);
    await(my->rc, coil_handler_call(scene, outcome));
    outcome->is_over = true;
    return my->rc;
}

async(int, play_and_cancel, (coil_handler) scene, (unsigned) turns, (Outcome *) outcome)
{
    vars(coil_group group; coil_task *task);

    open_group(&my->group);
    my->group.keep_going = true;
    my->task = coil_spawn(&my->group, note_end(scene, outcome));
    ignore(within(coil_s(100), cancel_after(my->task, turns, outcome)));
    ignore(within(coil_s(100), coil_group_join(&my->group)));
    return 0;
}

/* Cancel it at the first await, the second, and so on, until it ends before that. */
void play_to_each_await(coil_handler scene)
{
    Outcome outcome = {false};
    unsigned turns = 0;
    for (; !outcome.is_over && turns < 2000; turns++) {
        coil_loop *loop = nullptr;
        ASSERT_EQ(0, coil_test_loop_create(&loop, nullptr));
        (void)coil_loop_run_until(loop, play_and_cancel(scene, turns, &outcome));
        ASSERT_EQ(0, coil_loop_close(&loop));
    }
    EXPECT_TRUE(outcome.is_over);
    EXPECT_GT(turns, 1u);
}

#define PLAY(scene) play_to_each_await(coil_handler(scene, Outcome *))

/* -------------------------------------------------------------------------------- servers -- */

async(int, echo, (coil_session *) session)
{
    vars(coil_slice in);
    defer(coil_slice_release(&my->in));
    for (;;) {
        coil_session_idle(session);
        attempt(my->in, coil_read_some(session->stream));
        coil_session_busy(session);
        if (coil_slice_empty(&my->in))
            return 0;
        attempt(coil_write_all(session->stream, my->in));
        coil_slice_release(&my->in);
    }
}

async(int, ask, (const char *) address)
{
    vars(coil_stream *server; coil_slice answer);
    attempt(my->server, coil_connect(address));
    defer(coil_stream_close(my->server));
    attempt(coil_write_all(my->server, coil_text("x")));
    attempt(my->answer, coil_read_some(my->server));
    coil_slice_release(&my->answer);
    return 0;
}

/* Does what it has with the stream, and gives it back in another state. */
async(int, odd_session, (coil_session *) session)
{
    vars(int rc);
    (void)coil_session_peer(session);
    switch (session->number % 4) {
    case 0:
        coil_stream_abort(session->stream);
        session->stream = nullptr;
        return 0;
    case 1:
        coil_stream_close(session->stream);
        session->stream = nullptr;
        (void)coil_session_peer(session);
        await(coil_yield());
        return -EPROTO;
    case 2:
        coil_server_drain(session->server, 0);
        await(coil_session_ending(session));
        return 0;
    default:
        await(my->rc, echo(session));
        return my->rc;
    }
}

async(int, be_odd, (Outcome *) outcome)
{
    vars(coil_server server; coil_admission *admission; coil_group group; int rc; unsigned i;
            char address[COIL_ADDRESS_TEXT_BYTES]);
    (void)outcome;
    static const coil_admission_options few = {1, 1, 0, 0};

    EXPECT_EQ(0, coil_admission_create(&few, &my->admission));
    defer(coil_admission_destroy(my->admission));
    coil_server_init(&my->server, coil_handler(odd_session, coil_session *));
    defer(coil_server_fini(&my->server));
    my->server.admission = my->admission;
    my->server.max_sessions = 1;
    my->server.turns_away = true;
    my->rc = coil_server_listen(&my->server, "127.0.0.1:0", nullptr);
    EXPECT_EQ(0, my->rc);
    coil_address_format(coil_server_address(&my->server, 0), my->address);
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < 4; my->i++)
        spawn(&my->group, ask(my->address));
    await(my->rc, within(coil_s(10), coil_server_serve(&my->server)));
    coil_server_drain(&my->server, coil_s(1));
    coil_server_drain(&my->server, 0);
    return 0;
}

TEST(OddServer, IsCancelledAtAnyAwait)
{
    PLAY(be_odd);
}

async(int, drain_first, (Outcome *) outcome)
{
    vars(coil_server server);
    (void)outcome;
    coil_server_init(&my->server, coil_handler(echo, coil_session *));
    defer(coil_server_fini(&my->server));
    EXPECT_EQ(0, coil_server_listen(&my->server, "127.0.0.1:0", nullptr));
    EXPECT_EQ(0, coil_server_listen(&my->server, "unix:@odd-order", nullptr));
    EXPECT_EQ(-EINVAL, coil_server_listen(&my->server, "localhost", nullptr));
    coil_server_drain(&my->server, COIL_FOREVER);
    coil_server_drain(&my->server, -1);
    attempt(within(coil_s(10), coil_server_serve(&my->server)));
    await(coil_yield());
    return 0;
}

TEST(OddServer, MayBeDrainedBeforeItServes)
{
    PLAY(drain_first);
}

/* ---------------------------------------------------------------------------------- pools -- */

/* Hooks that do what hooks may do, in turn. */
struct OddHooks {
    coil_pool_hooks hooks;
    unsigned count;
};

async(int, odd_prepare, (coil_pooled *) pooled)
{
    vars();
    await(coil_yield());
    switch (coil_container_of(pooled->hooks, OddHooks, hooks)->count++ % 4) {
    case 0:
        coil_stream_close(pooled->stream);
        pooled->stream = nullptr;
        return -EPROTO;
    case 1:
        return -EACCES;
    default:
        return 7;
    }
}

async(int, odd_check, (coil_pooled *) pooled)
{
    vars();
    await(coil_yield());
    return coil_container_of(pooled->hooks, OddHooks, hooks)->count++ % 3 == 0 ? -EIO : 0;
}

async(int, use_oddly, (coil_connection_pool *) pool, (unsigned) how)
{
    vars(coil_pooled *got; coil_slice in);
    attempt(my->got, coil_connection_pool_checkout(pool));
    defer(coil_pooled_give_back(my->got));
    my->got->reusable = how % 2;
    if (how % 3 == 0)
        coil_connection_pool_shutdown(pool);
    attempt(coil_write_all(my->got->stream, coil_text("x")));
    if (how % 5 == 0)
        coil_connection_pool_terminate(pool);
    if (how % 4 != 0)
        attempt(my->in, coil_read_some(my->got->stream));
    coil_slice_release(&my->in);
    return 0;
}

int create_oddly(unsigned how, const char *address, OddHooks *hooks, coil_group *group,
        coil_connection_pool **out_pool)
{
    coil_connection_pool_options options = {};
    options.max = 1;
    options.min = how % 2;
    options.waiters_max = 2;
    options.idle_limit = 1;
    options.age_limit = how % 3 == 0 ? 1 : COIL_FOREVER;
    options.check_limit = 1;
    options.backoff_base = options.backoff_cap = 1;
    options.hooks = &hooks->hooks;
    options.group = group;
    return coil_connection_pool_create(coil_loop_current(), address, &options, out_pool);
}

async(int, pool_oddly, (Outcome *) outcome)
{
    vars(coil_listener *listener; coil_group group; char address[COIL_ADDRESS_TEXT_BYTES];
            coil_connection_pool *pool; OddHooks hooks; coil_group users; unsigned i; int rc);
    (void)outcome;

    my->rc = coil_listen("127.0.0.1:0", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    coil_address_format(coil_listener_address(my->listener), my->address);
    open_group(&my->group);
    my->group.keep_going = true;
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo_stream, coil_stream *)));
    for (my->i = 0; my->i < 12; my->i++) {
        my->hooks.hooks.prepare = coil_handler(odd_prepare, coil_pooled *);
        my->hooks.hooks.check = coil_handler(odd_check, coil_pooled *);
        my->rc = create_oddly(my->i, my->address, &my->hooks, &my->group, &my->pool);
        EXPECT_EQ(0, my->rc);
        defer({
            coil_connection_pool_destroy(my->pool);
            my->pool = nullptr;
        });
        open_group(&my->users);
        my->users.keep_going = true;
        for (unsigned k = 0; k < 4; k++)
            spawn(&my->users, use_oddly(my->pool, my->i * 4 + k));
        ignore(within(coil_s(1), coil_group_join(&my->users)));
        ignore(within(coil_s(1), coil_connection_pool_close(my->pool)));
        coil_connection_pool_shutdown(my->pool);
        coil_connection_pool_destroy(my->pool);
        my->pool = nullptr;
    }
    return 0;
}

TEST(OddPool, IsCancelledAtAnyAwait)
{
    PLAY(pool_oddly);
}

/* A balancer whose addresses change while it is used. */
async(int, take_one, (coil_balancer *) balancer)
{
    vars(coil_pooled *got);
    attempt(my->got, within(coil_ms(50), coil_balancer_checkout(balancer)));
    await(coil_yield());
    my->got->reusable = true;
    coil_pooled_give_back(my->got);
    return 0;
}

int create_balancer(coil_group *group, coil_balancer **out_balancer)
{
    coil_balancer_options options = {};
    options.pool.max = 1;
    options.pool.group = group;
    options.tries = 1;
    return coil_balancer_create(coil_loop_current(), nullptr, &options, out_balancer);
}

async(int, balance_oddly, (Outcome *) outcome)
{
    vars(coil_listener *listener; coil_group group; coil_balancer *balancer; unsigned i; int rc;
            coil_group users; coil_address both[2]);
    (void)outcome;

    my->rc = coil_listen("127.0.0.1:0", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    my->both[0] = my->both[1] = *coil_listener_address(my->listener);
    EXPECT_EQ(0, coil_address_parse("127.0.0.1:1", &my->both[1]));
    open_group(&my->group);
    my->group.keep_going = true;
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo_stream, coil_stream *)));
    my->rc = create_balancer(&my->group, &my->balancer);
    EXPECT_EQ(0, my->rc);
    defer(coil_balancer_destroy(my->balancer));
    open_group(&my->users);
    my->users.keep_going = true;
    for (my->i = 0; my->i < 8; my->i++) {
        EXPECT_LE(0, coil_balancer_set_addresses(my->balancer, my->both, my->i % 3));
        spawn(&my->users, take_one(my->balancer));
        spawn(&my->users, take_one(my->balancer));
        await(coil_yield());
        EXPECT_LE(0, coil_balancer_set_addresses(my->balancer, &my->both[1], my->i % 2));
    }
    ignore(within(coil_s(1), coil_group_join(&my->users)));
    return 0;
}

TEST(OddBalancer, IsCancelledAtAnyAwait)
{
    PLAY(balance_oddly);
}

} // namespace
