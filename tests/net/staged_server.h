/* SPDX-License-Identifier: MIT */
/* A server on a loop of its own thread: what it serves, and what it has done. */
#ifndef STAGED_SERVER_H
#define STAGED_SERVER_H

#include "peer.h"

#include <coil/server.h>

#include <atomic>
#include <memory>
#include <vector>

#include <coil/sugar.h>

namespace
{

struct Stage;

/* Where handlers find the state that is around their server. */
struct StagedServer {
    coil_server server;
    Stage *stage;
};

/* A server on a loop of its own thread, and what a test says to it from outside. */
struct Stage {
    StagedServer staged = {{}, this};
    coil_server &server = staged.server;
    std::vector<std::string> addresses = {"127.0.0.1:0"};
    std::function<void(coil_server *)> configure = [](coil_server *) {};
    coil_listen_options listen = {};
    coil_handler handler = {};
    coil_duration work = 0; /* What an answer takes. */
    std::function<void()> before_idle = [] {};
    std::function<void()> after_idle = [] {};

    std::promise<void> listening;
    std::vector<uint16_t> ports;
    std::vector<std::string> bound;
    std::atomic<uint64_t> active{0};
    std::atomic<uint64_t> served{0};
    std::atomic<int> last_failure{0};
    std::atomic<int> endings{0};
    std::atomic<int> rc{1};
    coil_server_stats stats = {}; /* At its end. */
    coil_loop *loop = nullptr;
};

Stage *stage_of(coil_session *session)
{
    return coil_container_of(session->server, StagedServer, server)->stage;
}

/* Answer each byte by its like, after a while; idle in between. */
async(int, answer, (coil_session *) session)
{
    vars(coil_slice in; Stage *stage);

    my->stage = stage_of(session);
    my->stage->active++;
    defer(my->stage->active--);
    defer(coil_slice_release(&my->in));
    for (;;) {
        coil_session_idle(session);
        attempt(my->in, coil_read_some(session->stream));
        coil_session_busy(session);
        if (coil_slice_empty(&my->in))
            return 0;
        await(coil_sleep(my->stage->work));
        attempt(coil_write_all(session->stream, my->in));
        my->stage->served++;
        coil_slice_release(&my->in);
    }
}

void note_failure(coil_server *server, const coil_session *session, int error)
{
    (void)session;
    coil_container_of(server, StagedServer, server)->stage->last_failure = error;
}

async(int, play, (Stage *) stage)
{
    vars(int rc);

    coil_server_init(&stage->server, stage->handler);
    defer({
        stage->stats = stage->server.stats;
        coil_server_fini(&stage->server);
    });
    stage->server.on_failure = note_failure;
    stage->configure(&stage->server);
    for (const std::string &address : stage->addresses)
        EXPECT_EQ(0, coil_server_listen(&stage->server, address.c_str(), &stage->listen))
                << address;
    for (unsigned i = 0; coil_server_address(&stage->server, i) != nullptr; i++) {
        const coil_address *at = coil_server_address(&stage->server, i);
        char text[COIL_ADDRESS_TEXT_BYTES];
        stage->ports.push_back(coil_address_port(at));
        stage->bound.emplace_back(coil_address_format(at, text));
    }
    stage->loop = coil_loop_of(coil_self);
    stage->listening.set_value();
    await(stage->rc, coil_server_serve(&stage->server));
    return 0;
}

/* A function for the loop's thread. */
struct Message {
    coil_post post;
    const std::function<void()> *act;
    std::promise<void> *done;
};

/* A server on a thread of its own, from start() to stop(). */
class StagedThread
{
public:
    ~StagedThread()
    {
        stop();
        EXPECT_EQ(stage.stats.active, 0u);
    }

    void start(coil_handler handler)
    {
        stage.handler = handler;
        thread = std::make_unique<LoopThread>(
                [this](coil_group *root) { coil_spawn(root, play(&stage)); });
        stage.listening.get_future().wait();
        port = stage.ports.empty() ? 0 : stage.ports[0];
    }

    void start()
    {
        start(coil_handler(answer, coil_session *));
    }

    void stop()
    {
        if (thread)
            thread->stop();
        thread.reset();
    }

    /* It ends by itself. What it has counted may be looked at then. */
    bool ends()
    {
        const bool has_ended = soon([&] { return stage.rc != 1; });
        if (has_ended)
            stop();
        return has_ended;
    }

    void on_loop(const std::function<void()> &act)
    {
        std::promise<void> done;
        Message message = {{}, &act, &done};
        message.post.run = [](coil_post *post) {
            Message *self = coil_container_of(post, Message, post);
            (*self->act)();
            self->done->set_value();
        };
        ASSERT_EQ(0, coil_loop_post(stage.loop, &message.post));
        done.get_future().wait();
    }

    void drain(coil_duration grace)
    {
        on_loop([&] { coil_server_drain(&stage.server, grace); });
    }

    coil_server_stats statistics()
    {
        coil_server_stats stats;
        on_loop([&] { stats = stage.server.stats; });
        return stats;
    }

    Peer talking()
    {
        Peer peer = Peer::connected(port);
        EXPECT_TRUE(peer.send("a"));
        EXPECT_EQ("a", peer.receive(1));
        return peer;
    }

    Stage stage;
    std::unique_ptr<LoopThread> thread;
    uint16_t port = 0;
};

} // namespace

#endif
