/* SPDX-License-Identifier: MIT */
/* Pools of TLS connections: where the context comes from, and how they end. */
#include "ports.h"
#include "tls_cast.h"

#include <coil/connection_pool.h>
#include <coil/listener.h>

#include <coil/sugar.h>

namespace
{

/* What a pool's connections need is around its hooks. */
struct SecureHooks {
    coil_pool_hooks hooks;
    coil_tls_context *context;
};

async(int, secure, (coil_pooled *) pooled)
{
    vars(int rc; SecureHooks *self);
    my->self = coil_container_of(pooled->hooks, SecureHooks, hooks);
    await(my->rc, coil_tls_connect(&pooled->stream, my->self->context, "localhost", nullptr));
    return my->rc;
}

struct Scene {
    SecureHooks client;
    coil_tls_context *server;
    std::vector<int64_t> ends; /* What the server's last read of each connection has said. */
};

async(int, answer_until_the_end, (Scene *) scene, (coil_stream *) plain)
{
    vars(coil_stream *peer; coil_slice in);

    my->peer = plain;
    defer(coil_stream_close(my->peer));
    attempt(coil_tls_accept(&my->peer, scene->server, nullptr));
    defer(coil_slice_release(&my->in));
    do {
        coil_slice_release(&my->in);
        await(my->in, coil_read_some(my->peer));
    } while (my->in.size_bytes > 0);
    scene->ends.push_back(my->in.size_bytes);
    return 0;
}

async(int, answer_all, (Scene *) scene, (coil_listener *) listener)
{
    vars(coil_group sessions; coil_stream *peer);

    open_group(&my->sessions);
    for (;;) {
        attempt(my->peer, coil_accept(listener));
        spawn(&my->sessions, answer_until_the_end(scene, my->peer));
    }
}

async(int, use_one, (coil_connection_pool *) pool, (bool) is_fit)
{
    vars(coil_pooled *server);

    attempt(my->server, coil_connection_pool_checkout(pool));
    defer(coil_pooled_give_back(my->server));
    attempt(coil_write_all(my->server->stream, coil_text("hello")));
    my->server->reusable = is_fit;
    return 0;
}

int create_pool(
        Scene *scene, const char *address, coil_group *group, coil_connection_pool **out_pool)
{
    coil_connection_pool_options options = {};
    options.idle_limit = coil_ms(50);
    options.hooks = &scene->client.hooks;
    options.group = group;
    return coil_connection_pool_create(coil_loop_current(), address, &options, out_pool);
}

/* One connection that has been idle for too long, one that is shut, one that is not fit. */
async(int, play_pool, (Scene *) scene)
{
    vars(coil_listener *listener; coil_group group; char address[COIL_ADDRESS_TEXT_BYTES];
            coil_connection_pool *pool; int rc);

    my->rc = coil_listen("127.0.0.1:0", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    coil_address_format(coil_listener_address(my->listener), my->address);
    open_group(&my->group);
    spawn(&my->group, answer_all(scene, my->listener));

    my->rc = create_pool(scene, my->address, &my->group, &my->pool);
    if (my->rc < 0)
        return my->rc;
    defer(coil_connection_pool_destroy(my->pool));
    attempt(use_one(my->pool, true));
    while (scene->ends.empty())
        await(coil_sleep(coil_ms(10)));
    EXPECT_EQ(1u, coil_connection_pool_statistics(my->pool).closed_idle);

    attempt(use_one(my->pool, false));
    while (scene->ends.size() < 2)
        await(coil_sleep(coil_ms(10)));
    EXPECT_EQ(1u, coil_connection_pool_statistics(my->pool).closed_broken);

    attempt(use_one(my->pool, true)); /* Shut in the turn that it has been written to. */
    coil_connection_pool_shutdown(my->pool);
    EXPECT_EQ(1u, coil_connection_pool_statistics(my->pool).closed_shutdown);
    while (scene->ends.size() < 3)
        await(coil_sleep(coil_ms(10)));
    return 0;
}

TEST_F(Tls, OfAPoolEndsCleanlyUnlessItIsNotFit)
{
    const Issued issued = authority().issue();
    serve(issued);
    trust(authority());
    Scene scene = {};
    scene.client.hooks.prepare = coil_handler(secure, coil_pooled *);
    scene.client.context = client.context;
    scene.server = server.context;
    EXPECT_EQ(0, RUN_AT_ONCE(within(coil_s(100), play_pool(&scene))));
    ASSERT_EQ(3u, scene.ends.size());
    EXPECT_EQ(0, scene.ends[0]);
    EXPECT_GT(0, scene.ends[1]) << "-ECONNABORTED, or reset because of a ticket on its way";
    EXPECT_EQ(0, scene.ends[2]);
}

} // namespace
