/* SPDX-License-Identifier: MIT */
/* Sockets for datagrams, and what has come to them; everything runs in one loop. */
#ifndef DATAGRAM_STAGE_H
#define DATAGRAM_STAGE_H

#include "peer.h"

#include <coil/datagram.h>

#include <vector>

#include <coil/sugar.h>

namespace
{

inline const std::string &abstract_name()
{
    static const std::string name = "unix:@coil-datagram-" + std::to_string(getpid());
    return name;
}

/* What a test says and learns. */
struct Scene {
    std::string address = "127.0.0.1:0";
    coil_datagram_options options = {};
    std::vector<std::string> got = {};
    std::vector<int64_t> results = {};
    std::vector<uint32_t> whole = {};
    std::string from = "";
    std::string to = "";
    unsigned interface_index = 0;
    coil_datagram_counts counts = {};
    size_t count = 0;
    unsigned seed = 0;
};

inline std::string text_of(const coil_address &address)
{
    char text[COIL_ADDRESS_TEXT_BYTES];
    return coil_address_format(&address, text);
}

inline coil_slice slice_of(const std::string &text)
{
    return {static_cast<int64_t>(text.size()), text.data(), nullptr};
}

/* A literal stays. */
inline coil_slice slice_of(const char *text)
{
    return {static_cast<int64_t>(strlen(text)), text, nullptr};
}

inline int open_at(
        const char *local, const coil_datagram_options *options, coil_datagram_socket **out)
{
    coil_datagram_options own = options == nullptr ? coil_datagram_options{} : *options;
    own.local = *local == '\0' ? nullptr : local;
    return coil_datagram_open(&own, out);
}

/* A socket, or an error pointer. */
async(coil_datagram_socket *, opened_at, (const char *) local,
        (const coil_datagram_options *) options)
{
    vars();
    coil_datagram_socket *socket = nullptr;
    const int rc = open_at(local, options, &socket);
    return rc < 0 ? static_cast<coil_datagram_socket *>(coil_error_pointer(rc)) : socket;
}

async(coil_datagram_socket *, opened_to, (const char *) remote)
{
    vars();
    coil_datagram_options options = {};
    options.remote = remote;
    coil_datagram_socket *socket = nullptr;
    const int rc = coil_datagram_open(&options, &socket);
    return rc < 0 ? static_cast<coil_datagram_socket *>(coil_error_pointer(rc)) : socket;
}

inline void note(Scene *scene, coil_datagram *datagram)
{
    scene->got.emplace_back(datagram->bytes.bytes == nullptr ? "" : datagram->bytes.bytes,
            static_cast<size_t>(datagram->bytes.size_bytes));
    scene->whole.push_back(datagram->whole_bytes);
    if (datagram->from.size_bytes > 0)
        scene->from = text_of(datagram->from);
    if (datagram->to.size_bytes > 0)
        scene->to = text_of(datagram->to);
    scene->interface_index = datagram->interface_index;
    coil_datagram_release(datagram);
}

/* So many, within ten seconds each. */
async(int, receive_all, (coil_datagram_socket *) socket, (Scene *) scene, (size_t) count)
{
    vars(coil_datagram in; size_t i);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(within(coil_s(10), coil_datagram_receive(socket, &my->in)));
        note(scene, &my->in);
    }
    scene->counts = coil_datagram_count(socket);
    return 0;
}

/* Raw bytes from outside of Coil. */
struct RawSender {
    explicit RawSender(const coil_address *to)
        : peer(socket(to->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0))
    {
        EXPECT_EQ(0, connect(peer.fd, &to->socket, to->size_bytes)) << strerror(errno);
    }

    void send(const std::string &bytes) const
    {
        EXPECT_EQ(
                static_cast<ssize_t>(bytes.size()), ::send(peer.fd, bytes.data(), bytes.size(), 0))
                << strerror(errno);
    }

    Peer peer;
};

} // namespace

#endif
