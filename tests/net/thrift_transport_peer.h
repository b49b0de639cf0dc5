/* SPDX-License-Identifier: MIT */
/* One side of a connection over a transport, for tests: takes bytes in any pieces. */
#ifndef THRIFT_TRANSPORT_PEER_H
#define THRIFT_TRANSPORT_PEER_H

#include "guarded_bytes.h"

#include <map>
#include <string>
#include <vector>

extern "C" {
#include "http_message.h"
#include "thrift_transport.h"
}

struct Received {
    std::string message;
    thrift_kind kind;
    std::map<std::string, std::string> headers;
    std::string method;
    std::string target;

    std::string header(const std::string &name) const
    {
        auto found = headers.find(name);
        return found == headers.end() ? "none" : found->second;
    }
};

class TransportPeer
{
public:
    /* A server's side. */
    explicit TransportPeer(const coil_thrift_limits *limits = nullptr)
    {
        thrift_transport_init(&transport, limits);
    }
    /* A client's. */
    explicit TransportPeer(
            const thrift_dialect &dialect, const coil_thrift_limits *limits = nullptr)
        : dialect_(dialect)
    {
        thrift_transport_init_client(&transport, &dialect_, limits);
    }
    ~TransportPeer()
    {
        thrift_transport_fini(&transport);
    }
    TransportPeer(const TransportPeer &) = delete;
    TransportPeer &operator=(const TransportPeer &) = delete;

    /* These bytes have arrived: take all messages that are whole. Returns the last result. */
    int feed(const std::string &bytes)
    {
        pending_ += bytes;
        while (error == 0) {
            if (wanted_ > pending_.size())
                return 0;
            int rc = next();
            if (rc <= 0)
                return rc;
        }
        return error;
    }

    /* The other side has ended. */
    int end()
    {
        GuardedBytes guarded(pending_);
        thrift_envelope envelope;
        int rc = thrift_transport_end(&transport, guarded.bytes(), guarded.size(), &envelope);
        if (rc > 0)
            keep(envelope);
        if (rc < 0)
            error = rc;
        return rc;
    }

    std::string what() const
    {
        char words[THRIFT_WHAT_BYTES];
        return thrift_transport_what(&transport, words, sizeof(words));
    }

    std::string answer() const
    {
        char place[HTTP_REFUSAL_BYTES];
        if (transport.answer_status == 0)
            return "";
        const coil_thrift_text refusal = http_refusal(transport.answer_status, place);
        return std::string(refusal.bytes, refusal.size);
    }

    /* Wrap messages that are already encoded; what is to be sent. */
    std::string send(const thrift_kind &kind, const std::vector<std::string> &messages,
            const thrift_extra *extra = nullptr, bool leave_room = true);

    std::string call(const std::string &message, const thrift_extra *extra = nullptr)
    {
        return send(thrift_transport_call_kind(&transport, 7), {message}, extra);
    }

    thrift_transport transport;
    std::vector<Received> received;
    std::string interim;
    int error = 0;

private:
    int next()
    {
        GuardedBytes guarded(
                pending_); /* What was given before is gone, and cannot be looked at. */
        thrift_envelope envelope;
        int rc = thrift_transport_next(&transport, guarded.bytes(), guarded.size(), &envelope);
        if (rc > 0)
            keep(envelope);
        if (rc < 0)
            error = rc;
        interim += std::string(transport.interim.bytes, transport.interim.size);
        pending_.erase(0, transport.taken);
        wanted_ = rc == 0 ? transport.wanted : 0;
        return rc;
    }

    void keep(const thrift_envelope &envelope)
    {
        Received one;
        if (envelope.size > 0)
            one.message.assign(reinterpret_cast<const char *>(envelope.message), envelope.size);
        one.kind = envelope.kind;
        one.method = std::string(envelope.http_method.bytes, envelope.http_method.size);
        one.target = std::string(envelope.http_target.bytes, envelope.http_target.size);
        coil_thrift_headers headers = envelope.headers;
        coil_thrift_header header;
        while (coil_thrift_headers_next(&headers, &header))
            one.headers[std::string(header.name.bytes, header.name.size)] =
                    std::string(header.value.bytes, header.value.size);
        received.push_back(one);
    }

    thrift_dialect dialect_{};
    std::string pending_;
    size_t wanted_ = 0;
};

/* The writer takes messages as they are: an empty struct is made, and the bytes put over it. */
inline std::string TransportPeer::send(const thrift_kind &kind,
        const std::vector<std::string> &messages, const thrift_extra *extra, bool leave_room)
{
    coil_thrift_writer writer;
    coil_thrift_writer_init(&writer, nullptr);
    int room = thrift_transport_room(&transport, &kind, extra);
    if (room >= 0 && leave_room)
        coil_thrift_writer_set_envelope_room(&writer, static_cast<uint32_t>(room));
    for (const std::string &message : messages) {
        /* The name takes the place of the message: its header is cut off in front of it. */
        const coil_thrift_message begun = {{message.data(), static_cast<uint32_t>(message.size())},
                COIL_THRIFT_CALL, 0, false};
        coil_thrift_writer_begin(&writer, &begun);
        uint32_t front = writer.envelope_bytes;
        int size = coil_thrift_writer_finish(&writer);
        if (size < 0)
            return "writer failed";
        uint8_t *start = writer.bytes + writer.size - size + front;
        memmove(start, start + 8, message.size());
        writer.size -= 12;
        writer.frame_start = writer.size;
        if (front == 4)
            coil_thrift_store_32(start - 4, static_cast<uint32_t>(message.size()));
        size = thrift_transport_seal(&transport, &kind, extra, &writer, size - 12);
        if (size < 0)
            return "seal failed " + std::to_string(size);
    }
    coil_thrift_text sealed = {reinterpret_cast<char *>(writer.bytes), writer.size};
    coil_thrift_text packed;
    std::string bytes = "pack failed";
    if (thrift_transport_pack(&transport, sealed, &packed) == 0)
        bytes.assign(packed.bytes, packed.size);
    coil_thrift_writer_fini(&writer);
    return bytes;
}

#endif
