/* SPDX-License-Identifier: MIT */
/* A Thrift server on a loop of its own thread, and what its answers say. */
#ifndef SERVED_H
#define SERVED_H

#include "peer.h"
#include "thrift_packets.h"

#include <coil/thrift_server.h>

#include <string>
#include <vector>

#include <coil/sugar.h>

namespace packet
{

inline std::string frame(const std::string &bytes)
{
    return i32(static_cast<int64_t>(bytes.size())) + bytes;
}

} // namespace packet

/* A message as its receiver sees it: the result is text, the exception one that all have. */
struct Answer {
    int type = 0; /* 0: no answer, or one that is malformed. */
    std::string name;
    int seqid = 0;
    int exception = -1;
    std::string what;
    std::string text;

    explicit Answer(const std::string &frame)
    {
        coil_thrift_reader reader;
        coil_thrift_message message;
        coil_thrift_exception said = {};
        coil_thrift_field field;
        coil_thrift_text result = {};

        coil_thrift_reader_init(
                &reader, frame.data(), static_cast<uint32_t>(frame.size()), nullptr);
        if (!coil_thrift_read_message(&reader, &message))
            return;
        name.assign(message.name.bytes, message.name.size);
        seqid = message.seqid;
        if (message.type == COIL_THRIFT_EXCEPTION) {
            coil_thrift_read_exception(&reader, &said);
            exception = said.type;
            what.assign(said.message.bytes, said.message.size);
        }
        while (message.type == COIL_THRIFT_REPLY && coil_thrift_read_field(&reader, &field)) {
            if (field.id == 0 && coil_thrift_get_string(&reader, &result))
                text.assign(result.bytes, result.size);
        }
        if (coil_thrift_reader_finish(&reader) == 0)
            type = message.type;
    }
};

/* A listener on loopback and a server on it. */
class Served
{
public:
    explicit Served(std::vector<coil_thrift_service *> offered,
            const std::function<void(coil_thrift_server *)> &configure = nullptr,
            const coil_listen_options &listen = {}, std::string at = "127.0.0.1:0")
        : options(listen), listens_at(std::move(at)), services(std::move(offered))
    {
        server.services = services.data();
        server.service_count = services.size();
        if (configure)
            configure(&server);
        start();
        port = listening.get_future().get();
        address = "127.0.0.1:" + std::to_string(port);
    }

    ~Served()
    {
        stop();
        EXPECT_EQ(0u, server.stats.open_connections);
    }

    void stop()
    {
        if (thread)
            thread->stop();
        thread.reset();
    }

    Peer connected() const
    {
        return Peer::connected(port);
    }

    coil_listen_options options; /* Of the listener, */
    std::string listens_at;      /* and its address. */
    uint16_t port;
    std::string address;
    coil_thrift_server server = {}; /* Its stats are to be read after stop(). */
    std::promise<uint16_t> listening;

private:
    inline void start();

    std::vector<coil_thrift_service *> services;
    std::unique_ptr<LoopThread> thread;
};

async(int, serves, (Served *) served)
{
    vars(coil_listener *listener; int rc);

    my->rc = coil_listen(served->listens_at.c_str(), &served->options, &my->listener);
    EXPECT_EQ(0, my->rc);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    served->listening.set_value(served->listens_at[0] == 'u'
                                        ? 0
                                        : coil_address_port(coil_listener_address(my->listener)));
    attempt(coil_thrift_serve(my->listener, &served->server));
    return 0;
}

inline void Served::start()
{
    thread = std::make_unique<LoopThread>(
            [this](coil_group *root) { coil_spawn(root, serves(this)); });
}

#endif
