/* SPDX-License-Identifier: MIT */
/* A service that is handed over from one process to the next; here, from a thread to another. */
#ifndef GENERATIONS_H
#define GENERATIONS_H

#include "peer.h"

#include <coil/handover.h>
#include <coil/server.h>

#include <sys/un.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <coil/sugar.h>

struct Generation;

struct NumberedServer {
    coil_server server;
    Generation *generation;
};

/* The number of the generation that the session is of. */
inline const char *number_of(const coil_session *session);

/* Echo one word, with our number before it. */
async(int, answer, (coil_session *) session)
{
    vars(coil_slice in);
    attempt(my->in, coil_read_some(session->stream));
    defer(coil_slice_release(&my->in));
    if (coil_slice_empty(&my->in))
        return 0;
    attempt(coil_write_all(session->stream, coil_text(number_of(session))));
    attempt(coil_write_all(session->stream, my->in));
    return 0;
}

/* One process of the service; here, a thread with its loop. */
struct Generation {
    explicit Generation(const std::string &at) : address(at) {}

    std::string address; /* Where sockets are handed over. */
    std::string number = "0";
    std::vector<std::pair<std::string, std::string>> sockets = {{"echo", "127.0.0.1:0"}};
    bool becomes_ready = true;
    std::function<std::shared_ptr<void>()> go_there = [] { return nullptr; }; /* Its thread. */
    coil_handler handler = coil_handler(answer, coil_session *);              /* Of its sessions. */

    NumberedServer numbered = {{}, this};
    std::promise<void> is_up;
    std::vector<uint16_t> ports;
    int inherited = 1000;
    std::atomic<int> rc{1};
    coil_server_stats stats = {};
};

const char *number_of(const coil_session *session)
{
    return coil_container_of(session->server, NumberedServer, server)->generation->number.c_str();
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

inline int listen_all(coil_handover *handover, Generation *self)
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

    coil_server_init(&self->numbered.server, self->handler);
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

class Handover : public testing::Test
{
protected:
    Handover()
    {
        char name[] = "/tmp/coil-handover-XXXXXX";
        directory = mkdtemp(name);
        path = directory + "/handover";
    }

    ~Handover() override
    {
        EXPECT_EQ(0, rmdir(directory.c_str())) << "a path is left";
    }

    std::unique_ptr<Generation> generation(const std::string &number)
    {
        auto made = std::make_unique<Generation>("unix:" + path);
        made->number = number;
        return made;
    }

    static std::string asked(uint16_t port)
    {
        Peer peer = Peer::connected(port);
        EXPECT_TRUE(peer.send("x"));
        return peer.receive(2);
    }

    std::string asked(const std::string &at)
    {
        Peer peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un to = {};
        to.sun_family = AF_UNIX;
        at.copy(to.sun_path, sizeof(to.sun_path) - 1);
        if (connect(peer.fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)) != 0)
            return strerror(errno);
        EXPECT_TRUE(peer.send("x"));
        return peer.receive(2);
    }

    std::string directory;
    std::string path;
};

#endif
