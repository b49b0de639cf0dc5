/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of Thrift's transports. An input is all that a connection receives, as a server and
 * as clients of each dialect. Beside not crashing it must hold that
 *
 *   - the pieces in which the bytes arrive change neither the messages nor the error
 *   - no message is above frame_max, and no buffer above what the bytes received account for
 *   - every error has words, and an exception or bytes that tell the peer
 *   - a message, sealed in the kind in which it came, is read as the same by a client
 */
#include "thrift_transport.h"

#include <coil/check.h>

#include <errno.h>
#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    FRAME_MAX = 40000,
    OVERHEAD_BYTES = 512 * 1024, /* What may be inflated for nothing, and doubling. */
};

/* What became of the bytes. */
struct outcome {
    uint64_t hash; /* Of all messages and headers. */
    uint32_t count;
    int error;
    bool too_much; /* A deflate stream became more than its size accounts for, so far. */
    bool is_http;
};

static const coil_thrift_limits limits = {
        .frame_max = FRAME_MAX,
        .string_max = FRAME_MAX,
        .container_max = FRAME_MAX,
        .depth_max = COIL_THRIFT_DEPTH_MAX,
        .buffer_max = 1 << 20,
};

static void add(struct outcome *outcome, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < size; i++)
        outcome->hash = (outcome->hash ^ byte[i]) * 0x100000001b3;
    outcome->hash = (outcome->hash ^ size) * 0x100000001b3;
}

static void check_memory(const thrift_transport *transport, size_t received)
{
    size_t most = OVERHEAD_BYTES + received * THRIFT_INFLATE_RATIO * 2;

    COIL_CHECK(transport->inflated.capacity <= most);
    COIL_CHECK(transport->message.capacity <= most);
    COIL_CHECK(transport->message.size <= FRAME_MAX + 1);
}

/* Seal the message in its kind; a client that speaks like that has to read the same. */
static void check_reply(thrift_transport *transport, const thrift_envelope *envelope)
{
    const thrift_kind *kind = &envelope->kind;
    thrift_dialect dialect = {
            .transport = (enum coil_thrift_transport)kind->transport,
            .protocol = (enum coil_thrift_protocol)kind->protocol,
            .zlib_inside = kind->zlib == THRIFT_ZLIB_STREAM,
            .host = "there",
    };
    coil_thrift_message reply = {.type = COIL_THRIFT_REPLY, .name = coil_thrift_text_of("reply")};
    coil_thrift_writer writer;
    thrift_transport client;
    thrift_envelope returned;

    if (kind->zlib == THRIFT_ZLIB_STREAM) /* The stream would have to be followed as a whole. */
        return;
    coil_thrift_writer_init(&writer, &limits);
    coil_thrift_writer_set_protocol(&writer, dialect.protocol);
    coil_thrift_writer_begin(&writer, &reply);
    coil_thrift_write_stop(&writer);
    int size = coil_thrift_writer_finish(&writer);
    COIL_CHECK(size > 0);
    size = thrift_transport_seal(transport, kind, NULL, &writer, (uint32_t)size);
    COIL_CHECK(size > 0);
    COIL_CHECK((uint32_t)size == writer.size);

    thrift_transport_init_client(&client, &dialect, &limits);
    COIL_CHECK(thrift_transport_next(&client, writer.bytes, writer.size, &returned) == 1);
    COIL_CHECK(client.taken == writer.size);
    COIL_CHECK(returned.kind.protocol == kind->protocol);
    COIL_CHECK(returned.kind.seqid == kind->seqid ||
               dialect.transport != COIL_THRIFT_TRANSPORT_HEADER);
    thrift_transport_fini(&client);
    coil_thrift_writer_fini(&writer);
}

static void take(
        thrift_transport *transport, const thrift_envelope *envelope, struct outcome *outcome)
{
    coil_thrift_headers headers = envelope->headers;
    coil_thrift_header header;

    COIL_CHECK(envelope->size <= FRAME_MAX);
    add(outcome, envelope->message, envelope->size);
    add(outcome, envelope->http_target.bytes, envelope->http_target.size);
    while (coil_thrift_headers_next(&headers, &header)) {
        add(outcome, header.name.bytes, header.name.size);
        add(outcome, header.value.bytes, header.value.size);
    }
    if (outcome->count++ == 0 && !transport->is_client)
        check_reply(transport, envelope);
}

static void check_error(const thrift_transport *transport, int error)
{
    char words[THRIFT_WHAT_BYTES];

    thrift_transport_what(transport, words, sizeof(words));
    COIL_CHECK(strlen(words) > 0);
    COIL_CHECK(strlen(words) < sizeof(words) - 1);
    COIL_CHECK(strcmp(words, "no error") != 0);
    COIL_CHECK(error < 0);
    COIL_CHECK(error != -ENOMEM);
    COIL_CHECK(transport->exception <= COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE);
}

/* Feed the bytes in pieces of so many, each in memory of its own, which ends where they do. */
static struct outcome feed(
        thrift_transport *transport, const uint8_t *bytes, size_t size, size_t piece)
{
    struct outcome outcome = {.hash = 0xcbf29ce484222325};
    size_t start = 0;
    size_t arrived = 0;
    thrift_envelope envelope;
    int rc = 0;

    while (rc >= 0 && (arrived < size || rc > 0)) {
        if (rc == 0)
            arrived = size - arrived > piece ? arrived + piece : size;
        uint8_t *copy = malloc(arrived - start + 1);
        COIL_CHECK(copy != NULL);
        memcpy(copy, bytes + start, arrived - start);
        copy = realloc(copy, arrived - start == 0 ? 1 : arrived - start);
        rc = thrift_transport_next(transport, copy, arrived - start, &envelope);
        check_memory(transport, arrived);
        if (rc > 0)
            take(transport, &envelope, &outcome);
        if (rc < 0)
            check_error(transport, rc);
        COIL_CHECK(transport->taken <= arrived - start);
        start += transport->taken;
        free(copy);
        if (rc == 0)
            COIL_CHECK(transport->wanted > 0);
    }
    outcome.error = rc < 0 ? rc : 0;
    outcome.too_much = rc == -EMSGSIZE && transport->is_inflating;
    outcome.is_http = transport->kind.transport == COIL_THRIFT_TRANSPORT_HTTP;
    if (rc == 0) {
        rc = thrift_transport_end(transport, bytes + start, size - start, &envelope);
        add(&outcome, &rc, sizeof(rc));
    }
    return outcome;
}

static struct outcome converse(
        const thrift_dialect *dialect, const uint8_t *bytes, size_t size, size_t piece)
{
    thrift_transport transport;

    if (dialect == NULL) {
        thrift_transport_init(&transport, &limits);
        transport.pages = size % 2 == 0;
    } else {
        thrift_transport_init_client(&transport, dialect, &limits);
    }
    struct outcome outcome = feed(&transport, bytes, size, piece);
    thrift_transport_fini(&transport);
    return outcome;
}

/*
 * Of a header that is malformed and one too many, the parser tells before it has seen the rest of
 * its name only if that comes in another piece.
 */
static bool end_alike(const struct outcome *one, const struct outcome *other)
{
    if (one->error == other->error)
        return true;
    return one->is_http && other->is_http &&
           ((one->error == -EMSGSIZE && other->error == -EBADMSG) ||
                   (one->error == -EBADMSG && other->error == -EMSGSIZE));
}

static void check_pieces(const thrift_dialect *dialect, const uint8_t *bytes, size_t size)
{
    struct outcome whole = converse(dialect, bytes, size, SIZE_MAX);
    size_t sizes[] = {1, 3, size / 2 + 1};

    for (size_t i = size > 4096; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct outcome pieces = converse(dialect, bytes, size, sizes[i]);
        if (whole.too_much || pieces.too_much)
            continue;
        COIL_CHECK(pieces.count == whole.count);
        COIL_CHECK(pieces.hash == whole.hash);
        COIL_CHECK(end_alike(&pieces, &whole));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const thrift_dialect dialects[] = {
            {.transport = COIL_THRIFT_TRANSPORT_FRAMED},
            {.transport = COIL_THRIFT_TRANSPORT_FRAMED, .zlib_inside = true},
            {.transport = COIL_THRIFT_TRANSPORT_UNFRAMED, .zlib = true},
            {.transport = COIL_THRIFT_TRANSPORT_HTTP, .host = "there"},
    };

    check_pieces(NULL, bytes, size);
    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
        check_pieces(&dialects[i], bytes, size);
    return 0;
}
