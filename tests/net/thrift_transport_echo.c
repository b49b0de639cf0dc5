/* SPDX-License-Identifier: MIT */
/*
 * The other side of thrift_transport_apache_test.py, over sockets on loopback.
 *
 *     thrift_transport_echo serve
 *         Prints its port. Sends every message back, decoded and encoded again, in the kind in
 *         which it came; with the headers that came, too. What is refused is answered in words.
 *     thrift_transport_echo call <port> <transport> <protocol> <compression>
 *         Reads messages from stdin, binary in frames; calls with each, and prints what comes back
 *         in the same form.
 */
#include "http_message.h"
#include "thrift_transport.h"
#include "thrift_walk.h"

#include <coil/arena.h>
#include <coil/error.h>

#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECEIVE_BYTES = 4093, /* Odd, so that pieces end anywhere. */
    HEADERS_MAX = 16,
};

static void check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, coil_error_name(rc));
        exit(1);
    }
}

/* A connection: what has arrived and was not taken. */
typedef struct connection {
    int fd;
    thrift_transport transport;
    byte_store received;
    coil_thrift_writer writer;
    coil_arena arena;
} connection;

static void send_all(connection *peer, coil_thrift_text bytes)
{
    coil_thrift_text packed;

    check(thrift_transport_pack(&peer->transport, bytes, &packed), "pack");
    for (uint32_t sent = 0; sent < packed.size;) {
        ssize_t rc = send(peer->fd, packed.bytes + sent, packed.size - sent, MSG_NOSIGNAL);
        if (rc <= 0)
            return;
        sent += (uint32_t)rc;
    }
}

static void send_written(connection *peer)
{
    send_all(peer, (coil_thrift_text){(const char *)peer->writer.bytes, peer->writer.size});
    coil_thrift_writer_reset(&peer->writer);
}

/* The next message: 1; 0, the peer has ended; or its error. */
static int receive(connection *peer, thrift_envelope *out_envelope)
{
    for (;;) {
        int rc = thrift_transport_next(
                &peer->transport, peer->received.bytes, peer->received.size, out_envelope);
        if (rc != 0)
            return rc;
        byte_store_drop(&peer->received, peer->transport.taken);
        if (peer->transport.interim.size > 0)
            send_all(peer, peer->transport.interim);
        uint8_t *room = byte_store_room(&peer->received, RECEIVE_BYTES);
        if (room == NULL)
            exit(1);
        ssize_t count = recv(peer->fd, room, RECEIVE_BYTES, 0);
        if (count <= 0) {
            return thrift_transport_end(
                    &peer->transport, peer->received.bytes, peer->received.size, out_envelope);
        }
        peer->received.size += (size_t)count;
    }
}

/* Decode a message and encode it again. */
static void copy(connection *peer, coil_thrift_writer *writer, enum coil_thrift_protocol from,
        const uint8_t *bytes, uint32_t size)
{
    coil_thrift_reader reader;
    thrift_walk walk = {.reader = &reader, .writer = writer};
    char what[128];

    coil_arena_reset(&peer->arena);
    coil_thrift_reader_init_as(&reader, from, bytes, size, NULL, &peer->arena);
    int rc = thrift_walk_message(&walk);
    check(rc, coil_thrift_reader_what(&reader, what, sizeof(what)));
}

static void open_connection(connection *peer, int fd)
{
    peer->fd = fd;
    peer->received = (byte_store){NULL, 0, 0};
    coil_thrift_writer_init(&peer->writer, NULL);
    coil_arena_init(&peer->arena, SIZE_MAX);
}

static void close_connection(connection *peer)
{
    close(peer->fd);
    byte_store_fini(&peer->received);
    coil_thrift_writer_fini(&peer->writer);
    coil_arena_fini(&peer->arena);
    thrift_transport_fini(&peer->transport);
}

/* Encode into the writer what is to be sent in that kind. */
static void seal_copy(connection *peer, const thrift_kind *kind, const thrift_extra *extra,
        enum coil_thrift_protocol from, const uint8_t *bytes, uint32_t size)
{
    int room = thrift_transport_room(&peer->transport, kind, extra);

    check(room, "room");
    coil_thrift_writer_set_protocol(&peer->writer, (enum coil_thrift_protocol)kind->protocol);
    coil_thrift_writer_set_envelope_room(&peer->writer, (uint32_t)room);
    copy(peer, &peer->writer, from, bytes, size);
    check(thrift_transport_seal(&peer->transport, kind, extra, &peer->writer, peer->writer.size),
            "seal");
}

/* ----------------------------------------------------------------------------------- serving -- */

static void echo(connection *peer, const thrift_envelope *envelope)
{
    coil_thrift_header headers[HEADERS_MAX];
    thrift_extra extra = {headers, 0};
    coil_thrift_headers rest = envelope->headers;

    if (envelope->kind.transport == COIL_THRIFT_TRANSPORT_HEADER) {
        while (extra.count < HEADERS_MAX && coil_thrift_headers_next(&rest, &headers[extra.count]))
            extra.count++;
    }
    seal_copy(peer, &envelope->kind, &extra, (enum coil_thrift_protocol)envelope->kind.protocol,
            envelope->message, envelope->size);
    send_written(peer);
}

static void refuse(connection *peer)
{
    thrift_transport *transport = &peer->transport;
    coil_thrift_message nothing = {.type = COIL_THRIFT_CALL};
    char what[THRIFT_WHAT_BYTES];

    if (transport->answer_status != 0) {
        char place[HTTP_REFUSAL_BYTES];
        send_all(peer, http_refusal(transport->answer_status, place));
        return;
    }
    coil_thrift_writer_set_protocol(
            &peer->writer, (enum coil_thrift_protocol)transport->kind.protocol);
    int size = coil_thrift_reply_exception(&peer->writer, &nothing, transport->exception,
            coil_thrift_text_of(thrift_transport_what(transport, what, sizeof(what))));
    check(size, "exception");
    check(thrift_transport_seal(transport, &transport->kind, NULL, &peer->writer, (uint32_t)size),
            "seal");
    send_written(peer);
}

static void serve_connection(int fd)
{
    connection peer;
    thrift_envelope envelope;
    int rc;

    open_connection(&peer, fd);
    thrift_transport_init(&peer.transport, NULL);
    while ((rc = receive(&peer, &envelope)) > 0) {
        echo(&peer, &envelope);
        byte_store_drop(&peer.received, peer.transport.taken);
        if (envelope.kind.last)
            break;
    }
    if (rc < 0)
        refuse(&peer);
    close_connection(&peer);
}

/* An address on loopback. */
typedef union loopback {
    struct sockaddr_in in;
    struct sockaddr any;
} loopback;

static loopback loopback_of(int port)
{
    loopback address = {.in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int serve(void)
{
    loopback address = loopback_of(0);
    socklen_t size = sizeof(address.in);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, &address.any, size) != 0 || listen(listener, 16) != 0 ||
            getsockname(listener, &address.any, &size) != 0)
        return 1;
    printf("%d\n", ntohs(address.in.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return 1;
        serve_connection(fd);
    }
}

/* ----------------------------------------------------------------------------------- calling -- */

static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    fprintf(stderr, "unknown: %s\n", word);
    exit(2);
}

static thrift_dialect dialect_of(char **words)
{
    static const char *const transports[] = {"framed", "unframed", "header", "http", NULL};
    static const char *const protocols[] = {"binary", "compact", "json", NULL};

    int transport = index_of(words[0], transports);
    int protocol = index_of(words[1], protocols);
    return (thrift_dialect){
            .transport = (enum coil_thrift_transport)transport,
            .protocol = (enum coil_thrift_protocol)protocol,
            .zlib = strcmp(words[2], "beneath") == 0,
            .zlib_inside = strcmp(words[2], "inside") == 0,
            .zlib_alone = strcmp(words[2], "alone") == 0,
            .host = "127.0.0.1",
            .path = "/service",
    };
}

static void dial(connection *peer, int port, const thrift_dialect *dialect)
{
    loopback address = loopback_of(port);

    open_connection(peer, socket(AF_INET, SOCK_STREAM, 0));
    thrift_transport_init_client(&peer->transport, dialect, NULL);
    if (connect(peer->fd, &address.any, sizeof(address.in)) != 0)
        exit(1);
}

static bool read_message(byte_store *message)
{
    uint8_t first[COIL_THRIFT_LENGTH_BYTES];

    if (fread(first, 1, sizeof(first), stdin) != sizeof(first))
        return false;
    int size = coil_thrift_frame_size(first, NULL);
    check(size, "stdin");
    message->size = 0;
    uint8_t *room = byte_store_room(message, (size_t)size);
    if (room == NULL || fread(room, 1, (size_t)size, stdin) != (size_t)size)
        exit(1);
    message->size = (size_t)size;
    return true;
}

/* One call; then the reply on stdout, as binary in a frame. */
static void call(connection *peer, const byte_store *message, int32_t seqid)
{
    char what[THRIFT_WHAT_BYTES];
    thrift_envelope envelope;
    coil_thrift_writer reply;
    thrift_kind kind = thrift_transport_call_kind(&peer->transport, seqid);

    seal_copy(peer, &kind, NULL, COIL_THRIFT_PROTOCOL_BINARY, message->bytes,
            (uint32_t)message->size);
    send_written(peer);
    int rc = receive(peer, &envelope);
    check(rc < 0 ? rc : rc - 1, thrift_transport_what(&peer->transport, what, sizeof(what)));

    coil_thrift_writer_init(&reply, NULL);
    copy(peer, &reply, (enum coil_thrift_protocol)envelope.kind.protocol, envelope.message,
            envelope.size);
    fwrite(reply.bytes, 1, reply.size, stdout);
    fflush(stdout);
    coil_thrift_writer_fini(&reply);
    byte_store_drop(&peer->received, peer->transport.taken);
}

static int call_all(int port, const thrift_dialect *dialect)
{
    connection peer;
    byte_store message = {NULL, 0, 0};
    bool is_open = false;

    for (int32_t seqid = 1; read_message(&message); seqid++) {
        if (!is_open)
            dial(&peer, port, dialect);
        call(&peer, &message, seqid);
        is_open = !peer.transport.kind.last;
        if (!is_open)
            close_connection(&peer);
    }
    if (is_open)
        close_connection(&peer);
    byte_store_fini(&message);
    return 0;
}

int main(int count, char **words)
{
    if (count == 2 && strcmp(words[1], "serve") == 0)
        return serve();
    if (count == 6 && strcmp(words[1], "call") == 0) {
        thrift_dialect dialect = dialect_of(words + 3);
        return call_all((int)strtol(words[2], NULL, 10), &dialect);
    }
    return 2;
}
