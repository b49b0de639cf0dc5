/* SPDX-License-Identifier: MIT */
/* One generation after the other of a service that hands its sockets over (coil/handover.h). */
#ifndef GENERATION_H
#define GENERATION_H

#include "peer.h"

#include <coil/handover.h>
#include <coil/server.h>

#include <atomic>
#include <memory>
#include <vector>

#include <coil/sugar.h>

namespace
{

struct Generation;

struct NumberedServer {
    coil_server server;
    Generation *generation;
};

/* One process of the service; here, a thread with its loop. */
struct Generation {
    explicit Generation(const std::string &at) : address(at) {}

    std::string address; /* Where sockets are handed over. */
    std::function<std::shared_ptr<void>()> go_there = [] { return nullptr; }; /* Its thread. */
    std::string number = "0";
    std::vector<std::pair<std::string, std::string>> sockets = {{"echo", "127.0.0.1:0"}};
    bool becomes_ready = true;

    NumberedServer numbered = {{}, this};
    std::promise<void> is_up;
    std::vector<uint16_t> ports;
    int inherited = 1000;
    std::atomic<int> rc{1};
    coil_server_stats stats = {};
};

/* Echo one word, with our number before it. */
async(int, answer, (coil_session *) session)
{
    vars(coil_slice in; Generation *generation);
    attempt(my->in, coil_read_some(session->stream));
    defer(coil_slice_release(&my->in));
    if (coil_slice_empty(&my->in))
        return 0;
    my->generation = coil_container_of(session->server, NumberedServer, server)->generation;
    attempt(coil_write_all(session->stream, coil_text(my->generation->number.c_str())));
    attempt(coil_write_all(session->stream, my->in));
    return 0;
}

async(int, step_down, (coil_handover *) handover, (Generation *) self)
{
    vars();
    attempt(coil_handover_ready(handover));
    self->is_up.set_value();
    attempt(coil_handover_requested(handover));
    coil_server_drain(&self->numbered.server, coil_s(10));
    return 0;
}

int listen_all(coil_handover *handover, Generation *self)
{
    for (const auto &[name, address] : self->sockets) {
        coil_listener *listener = nullptr;
        int rc = coil_handover_listen(handover, name.c_str(), address.c_str(), nullptr, &listener);
        if (rc < 0)
            return rc;
        coil_server_add(&self->numbered.server, listener);
        self->ports.push_back(coil_address_port(coil_listener_address(listener)));
    }
    return 0;
}

async(int, live, (Generation *) self)
{
    vars(coil_handover *handover; coil_group group; int rc);

    coil_server_init(&self->numbered.server, coil_handler(answer, coil_session *));
    await(self->inherited, coil_handover_open(self->address.c_str(), &my->handover));
    if (self->inherited < 0)
        return self->inherited;
    defer(coil_handover_close(my->handover));
    defer({
        self->stats = self->numbered.server.stats;
        coil_server_fini(&self->numbered.server);
    });
    my->rc = listen_all(my->handover, self);
    if (my->rc < 0)
        return my->rc;
    open_group(&my->group);
    if (self->becomes_ready)
        spawn(&my->group, step_down(my->handover, self));
    else
        self->is_up.set_value();
    attempt(coil_server_serve(&self->numbered.server));
    return 0;
}

async(int, live_and_tell, (Generation *) self)
{
    vars(int rc);
    defer(self->rc = self->rc == 1 ? -ECANCELED : self->rc.load());
    await(my->rc, live(self));
    self->rc = my->rc;
    if (self->inherited < 0)
        self->is_up.set_value();
    return 0;
}

/* A generation that runs. */
class Running
{
public:
    explicit Running(std::unique_ptr<Generation> generation)
        : self(std::move(generation)), thread([this](coil_group *root) {
              there = self->go_there();
              coil_spawn(root, live_and_tell(self.get()));
          })
    {
        self->is_up.get_future().wait();
    }

    bool ends()
    {
        return soon([&] { return self->rc != 1; });
    }

    void stop()
    {
        thread.stop();
    }

    std::unique_ptr<Generation> self;

private:
    std::shared_ptr<void> there; /* Of the thread: it stays there. */
    LoopThread thread;
};

} // namespace

#endif
