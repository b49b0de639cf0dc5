/* SPDX-License-Identifier: MIT */
/*
 * thrift_transport.h - what lies around Thrift's messages on a connection: frames, THeader, HTTP,
 * zlib, or nothing. Both sides of it, and no I/O.
 *
 *     bytes that arrive --- thrift_transport_next() ---> messages, for a reader (coil/thrift.h)
 *     messages of a writer --- thrift_transport_seal(), thrift_transport_pack() ---> bytes to send
 *
 * A server does not know what its peer will speak. It learns it from the first bytes, at most six,
 * and answers in kind:
 *
 *     78 01|5e|9c|da      zlib: the whole connection is one deflate stream in either direction, and
 *                         what is inside is told apart like this again ("TZlibTransport")
 *     'A'..'Z'            HTTP
 *     80 01, 82 x1, "[1"  an unframed message: binary, compact, JSON
 *     length, 0f ff       THeader, in a frame
 *     length, 78 ..       frames whose contents are pieces of one deflate stream: what Apache's
 *                         test programs make of "--transport framed --zlib"
 *     length, protocol    a frame: binary, strict or old, compact, JSON
 *     length, a letter    an unframed message, binary without a version: the length is its name's
 *     16 03               TLS: refused, in words
 *
 * The transport, once detected, stays for the connection, but for THeader, which may alternate with
 * frames that have none. The protocol may change with each message.
 *
 * Bounds, whatever the bytes are:
 *   - Nothing is allocated by a declared size. Frames and unframed messages are used where they
 *     lie; the buffers for what is inflated, or arrives by HTTP, grow with the bytes, by doubling.
 *   - A message is at most limits->frame_max bytes, also after inflating, and then at most
 *     THRIFT_INFLATE_FREE_BYTES + THRIFT_INFLATE_RATIO times the bytes it came as.
 *   - Headers are at most COIL_THRIFT_HEADERS_MAX and THRIFT_HEADER_BYTES_MAX; HTTP's request line
 *     counts in.
 *   - The work is linear in the bytes received and inflated.
 */
#ifndef COIL_THRIFT_TRANSPORT_H
#define COIL_THRIFT_TRANSPORT_H

#include "byte_store.h"

#include <coil/thrift.h>
#include <coil/thrift_headers.h>
#include <coil/thrift_scan.h>

enum {
    THRIFT_HEADER_BYTES_MAX = 32 * 1024,
    THRIFT_INFLATE_FREE_BYTES = 160 * 1024,
    THRIFT_INFLATE_RATIO = 32,
    THRIFT_KEEP_BYTES = 64 * 1024,
    THRIFT_WHAT_BYTES = 160, /* Hold the words of thrift_transport_what(). */
};

/* Where a message is compressed. */
enum thrift_zlib_use {
    THRIFT_ZLIB_NONE,
    THRIFT_ZLIB_ALONE,  /* By itself: THeader's transform. */
    THRIFT_ZLIB_STREAM, /* It is the next piece of a deflate stream that goes on. */
};

/* How a message is wrapped: a small value. The reply has the kind of its call. */
typedef struct thrift_kind {
    uint8_t transport; /* enum coil_thrift_transport */
    uint8_t protocol;  /* enum coil_thrift_protocol */
    uint8_t zlib;      /* enum thrift_zlib_use */
    bool last;         /* HTTP: the connection ends behind the reply. */
    bool old_http;     /* HTTP/1.0 */
    uint16_t flags;    /* THeader: the peer's, to be returned. */
    int32_t seqid;     /* THeader: its own; it need not be the message's. */
} thrift_kind;

enum { THRIFT_FLAG_OUT_OF_ORDER = 1 }; /* thrift_kind.flags: the peer matches replies by seqid. */

/*
 * A whole message that has arrived. Good until the next thrift_transport_next(), and as long as the
 * bytes that were given to it.
 */
typedef struct thrift_envelope {
    const uint8_t *message;
    uint32_t size;
    bool copied;   /* The message lies in memory of the transport's, not in the bytes. */
    bool inflated; /* And came as so many bytes: */
    uint32_t deflated_size;
    thrift_kind kind; /* For the reply. */
    coil_thrift_headers
            headers; /* In memory of the transport's with HTTP, else beside the message. */
    coil_thrift_text http_method; /* HTTP: "POST", or with thrift_transport.pages something else, */
    coil_thrift_text http_target; /* and what for: "/service". */
} thrift_envelope;

typedef struct http_message http_message;
typedef struct thrift_inflater thrift_inflater;
typedef struct thrift_deflater thrift_deflater;

/* What a client speaks. */
typedef struct thrift_dialect {
    enum coil_thrift_transport transport;
    enum coil_thrift_protocol protocol;
    bool zlib;        /* The connection is one deflate stream in either direction. */
    bool zlib_inside; /* With frames and HTTP: what is inside of them is. */
    bool zlib_alone;  /* With THeader: each message is compressed by itself. */
    const char
            *host; /* With HTTP: for "Host:", and the path. Both stay as long as the transport. */
    const char *path; /* NULL: "/" */
} thrift_dialect;

typedef struct thrift_transport {
    /* After each thrift_transport_next(): */
    size_t taken;             /* So many of the bytes are done with. */
    size_t wanted;            /* After 0: come back with so many bytes, not counting those taken. */
    coil_thrift_text interim; /* Not empty: bytes to be sent now (HTTP's "100 Continue"). */

    /* After an error: */
    int answer_status; /* Of the http_refusal() to be sent before hanging up; 0: an exception. */
    enum coil_thrift_exception_type exception;
    thrift_kind kind; /* The kind of the last message, and of the one that failed. */

    /* After a failure to seal: nothing can be sent any more, hang up. */
    bool is_torn;

    /* Set between init and the first bytes. */
    bool pages; /* A server's: HTTP requests other than POST are given out, not refused. */
    bool compress_replies; /* A server's, with THeader: where the call was compressed. See below. */

    /* Private. */
    const coil_thrift_limits *limits;
    uint8_t state;   /* What was detected. */
    uint8_t fault;   /* What was wrong. */
    uint8_t seen[4]; /* The bytes that it was about. */
    bool is_client;
    bool is_inflating;       /* The connection is one deflate stream. */
    bool in_pieces;          /* The contents of frames or bodies are pieces of one. */
    bool is_scanning;        /* The end of an unframed message has not come. */
    int inflate_error;       /* It comes when the bytes before it are used up. */
    size_t inflated_used;    /* Of the bytes in `inflated`, so many were taken. */
    uint64_t inflated_bytes; /* For the message that is arriving, so many have become of */
    uint64_t deflated_bytes; /* so many. */
    const thrift_dialect *dialect;
    byte_store inflated; /* The connection's, where it is one deflate stream. */
    byte_store message;  /* A message that was inflated. */
    byte_store sealed;   /* A message that was compressed. */
    byte_store packed;   /* What was compressed for the connection. */
    coil_thrift_scan *scan;
    http_message *http;
    thrift_inflater *inflater; /* Of the connection, or of the pieces: it has one of them. */
    thrift_deflater *deflater;
    thrift_inflater *inflater_alone; /* Of messages that are compressed by themselves. */
    thrift_deflater *deflater_alone;
} thrift_transport;

/*
 * Of THeader a reply has protocol, flags and seqid of its call, but not its transforms, unless
 * compress_replies is set: so do the servers of Apache, whose clients in C++ (0.17) write beyond
 * their buffer when they inflate what is larger than the frame that it came in.
 */

/* A server's, for one connection. Borrows `limits` (NULL: the defaults). Allocates nothing yet. */
void thrift_transport_init(thrift_transport *transport, const coil_thrift_limits *limits);

/* A client's, which takes replies in the dialect that it speaks. Borrows `dialect`, too. */
void thrift_transport_init_client(thrift_transport *transport, const thrift_dialect *dialect,
        const coil_thrift_limits *limits);

/* Release the memory. Fine on NULL, on zeros, and twice. */
void thrift_transport_fini(thrift_transport *transport);

/*
 * The next message among the `size` bytes that have arrived and were not taken.
 *
 *     1    *out_envelope has it; when it has been used, the bytes taken may be dropped
 *     0    more bytes are needed: drop those taken, and come back with at least `wanted`
 *     < 0  the peer cannot go on: refuse it, or send an exception in kind, and hang up. -EBADMSG,
 *          what it sends is not Thrift; -EMSGSIZE, a limit; -ELOOP, an unframed message is nested
 *          too deep; -EPROTONOSUPPORT, Coil or this build does not speak that; -EPROTO, a client
 *          was answered by HTTP with another status than 200; -ENODATA, see
 *          thrift_transport_end(); -ENOMEM
 *
 * After an error only what, seal, pack and fini may be called.
 */
COIL_MUST_USE int thrift_transport_next(thrift_transport *transport, const uint8_t *bytes,
        size_t size, thrift_envelope *out_envelope);

/*
 * The peer has ended its side, and `size` bytes are left. 0: between two messages. 1: *out_envelope
 * is the last message, whose end was this (a body of HTTP/1.0). -ENODATA: within a message.
 */
COIL_MUST_USE int thrift_transport_end(thrift_transport *transport, const uint8_t *bytes,
        size_t size, thrift_envelope *out_envelope);

/*
 * The message has been used, and it may be long until the next: give back what large ones took. A
 * connection keeps at most THRIFT_KEEP_BYTES for each of its buffers.
 */
void thrift_transport_rest(thrift_transport *transport);

/* Say in words what the error is about: "this looks like TLS, and the port speaks none". Cuts the
 * words to `text_size` bytes and returns `text`. */
const char *thrift_transport_what(const thrift_transport *transport, char *text, size_t text_size);

/* The kind of a client's call, in its dialect. */
thrift_kind thrift_transport_call_kind(const thrift_transport *transport, int32_t seqid);

/* Headers to be sent with a message: of THeader and HTTP; the others have no room for them. */
typedef struct thrift_extra {
    const coil_thrift_header *headers;
    uint32_t count;
} thrift_extra;

/*
 * How many bytes go before a message of that kind: the room that a writer is to leave
 * (coil_thrift_writer_set_envelope_room()), so that sealing moves nothing. `extra` may be NULL.
 * -EINVAL: HTTP cannot carry such a header; -EMSGSIZE: above THRIFT_HEADER_BYTES_MAX.
 */
COIL_MUST_USE int thrift_transport_room(
        const thrift_transport *transport, const thrift_kind *kind, const thrift_extra *extra);

/*
 * Wrap the message that the writer has just finished: its last `size` bytes, as
 * coil_thrift_writer_finish() returned. Afterwards the writer ends with what the peer is to get,
 * and the result is how many bytes that is. -EMSGSIZE, -ENOBUFS, -ENOMEM, or as above: then the
 * message is gone. Any room will do: if the message has another than it needs, it is moved.
 *
 * With THRIFT_ZLIB_STREAM in the order in which messages are sent; else in any. If such a message
 * is lost, nothing behind it can be inflated: is_torn is set, and all others fail, -EPIPE.
 */
COIL_MUST_USE int thrift_transport_seal(thrift_transport *transport, const thrift_kind *kind,
        const thrift_extra *extra, coil_thrift_writer *writer, uint32_t size);

/*
 * What a peer gets for a call that has no reply: nothing, but HTTP wants to hear that it arrived.
 * Appends it to the writer and returns how many bytes it is.
 */
COIL_MUST_USE int thrift_transport_acknowledge(
        thrift_transport *transport, const thrift_kind *kind, coil_thrift_writer *writer);

/*
 * The last step for all that is to be sent, in the order in which it is sent: sealed messages,
 * answers and interims, as many as there are. Where the connection is one deflate stream it
 * compresses them, up to a point from which the peer can inflate all of it, into memory of the
 * transport's, good until the next call; elsewhere the bytes are returned as they are. -ENOMEM.
 */
COIL_MUST_USE int thrift_transport_pack(
        thrift_transport *transport, coil_thrift_text bytes, coil_thrift_text *out_packed);

#endif
