/* SPDX-License-Identifier: MIT */
/*
 * coil/stream.h - a connection or a pipe as a stream of bytes.
 *
 *     coil_attempt(my->peer, coil_connect("127.0.0.1:9090"));
 *     coil_defer(coil_stream_close(my->peer));
 *     coil_attempt(coil_write_all(my->peer, coil_text("hello\n")));
 *     coil_attempt(my->line, coil_read_until(my->peer, '\n', 4096));
 *     coil_defer(coil_slice_release(&my->line));
 *
 * Reading borrows: what comes back is a slice of a receive buffer (coil/buffer.h), to be released.
 * Writing sends at once; writers of one stream take turns, first come first served.
 *
 * Cancellation and deadlines lose nothing that has arrived: what a cancelled read had gathered is
 * there for the next one. A write that is cancelled after a part of it is out is the last: those
 * that wait behind it, and those to come, are -EPIPE. Close the stream then.
 *
 * Errors are those of recv(2), read(2), send(2) and write(2); EPIPE raises no signal. -ENOMEM from
 * a read is for good: bytes are lost, and nothing is given that came behind them. One task at a
 * time may read: a second reader ends the program (COIL_CHECK). On the loop's thread only.
 *
 * That a connection is lost (-ECONNRESET, -ETIMEDOUT ...) the kernel says once, to a read or to a
 * write. If it was a write, reads give that error, too, where they would come to the end: behind
 * all bytes that have come, so that nobody takes for complete what was cut off. A reset in the
 * middle of a large write the kernel tells nobody: first how much got out, then -EPIPE, as to those
 * who write to a peer that has properly ended. Which of both it was is asked then
 * (coil_kernel_loss()): has the peer's FIN come? If so, the end stays an end, also if a reset has
 * followed it. (On direct descriptors nobody can ask: there, an end after -EPIPE may be either.)
 */
#ifndef COIL_STREAM_H
#define COIL_STREAM_H

#include <coil/address.h>
#include <coil/buffer.h>
#include <coil/coro.h>
#include <coil/loop.h>
#include <coil/receiver.h>

#include <string.h>

COIL_BEGIN_DECLS

/* A receiver (coil/receiver.h) on which one can send, too: both are one object. */
typedef coil_receiver coil_stream;

/* Bytes of the caller's as a slice, to be written. */
static inline coil_slice coil_bytes(const void *bytes, size_t size_bytes)
{
    coil_slice slice = {(int64_t)size_bytes, (const char *)bytes, NULL};
    return slice;
}

static inline coil_slice coil_text(const char *text)
{
    return coil_bytes(text, strlen(text));
}

/*
 * Connect to an address (coil/address.h), or to a name: "localhost:9090". A failure is an error
 * pointer (coil_pointer_error()): the errors of coil_address_parse(), socket(2) and connect(2),
 * -ENOMEM; for names those of coil_connect_to() (coil/connector.h), which can do more.
 */
coil_declare(coil_stream *, coil_connect, (const char *) address);

/*
 * A stream on a descriptor that is already connected, ordinary or direct, on the loop of this
 * thread. Owns `fd` from here on, also if it fails. -ENOMEM.
 */
COIL_API int coil_stream_create(int fd, coil_transport transport, coil_stream **out_stream);

/*
 * Two streams on the loop of this thread that are connected to each other, as socketpair(2) makes
 * them: in memory, without an address. For tests, and between tasks. -EMFILE, -ENFILE, -ENOMEM.
 */
COIL_API int coil_stream_pair(coil_stream **out_one, coil_stream **out_other);

/* Close the stream. Does not wait, the loop does the work. Nobody may be using it. Takes NULL. */
COIL_API void coil_stream_close(coil_stream *stream);

/* What has arrived, as much as there is. Empty: the peer has ended its side. */
coil_declare_eager_leaf(coil_slice, coil_read_some, coil_receiver_begin, (coil_stream *) stream);

/*
 * Exactly `size_bytes`, as one slice; no copy if they lie in one buffer. Empty: the stream ended
 * before the first of them. -ENODATA: it ended among them.
 */
coil_declare(coil_slice, coil_read_block, (coil_stream *) stream, (size_t) size_bytes);

/* The same, into the caller's memory. Result: `size_bytes`, 0, or an error as above. */
coil_declare(ssize_t, coil_read_exact, (coil_stream *) stream, (void *) bytes, (size_t) size_bytes);

/*
 * Up to and including the next `delimiter`. At the end of the stream: what is left, without it;
 * then empty. -EMSGSIZE: `limit_bytes` have come without one; they are still there to be read.
 */
coil_declare(
        coil_slice, coil_read_until, (coil_stream *) stream, (char) delimiter, (size_t) limit_bytes);

/*
 * The same for a delimiter of several bytes, such as coil_text("\r\n\r\n"), which must stay until
 * this returns. It counts in `limit_bytes`. -EINVAL: it is empty.
 */
coil_declare(coil_slice, coil_read_until_bytes, (coil_stream *) stream, (coil_slice) delimiter,
        (size_t) limit_bytes);

/*
 * What comes next, and at least `least_bytes` of it, without taking it: the next read gives it
 * again. No copy if it lies in one buffer; released like any other slice. Empty: the stream ended,
 * or `least_bytes` is 0 and nothing has come. -ENODATA: it ended with fewer bytes, which are still
 * there.
 */
coil_declare(coil_slice, coil_peek, (coil_stream *) stream, (size_t) least_bytes);

/* Send all of `bytes`, which must stay until this returns. Result: 0, or an error. */
coil_declare_eager(
        int, coil_write_all, coil_sender_begin, (coil_stream *) stream, (coil_slice) bytes);

/*
 * Send all of several slices in a row, as one write: nobody else's bytes get between them, and none
 * is copied. The array and what it names must stay until this returns. Result: 0, or an error.
 */
coil_declare(
        int, coil_write_parts, (coil_stream *) stream, (const coil_slice *) parts, (unsigned) count);

/*
 * Send a part of `bytes`, at least one: as many as the kernel takes. Result: how many, or an error.
 * If it is cancelled, none is out, and the stream can still be written to: for proxies and whoever
 * else has no messages that could be cut. (A layered stream takes 16 KiB at a time, and is cut if
 * that is cancelled in its middle.)
 */
coil_declare(ssize_t, coil_write_some, (coil_stream *) stream, (coil_slice) bytes);

/* Wait until all writes that began before this one have ended. Result: 0; -EPIPE, one was cut. */
coil_declare(int, coil_stream_flush, (coil_stream *) stream);

/*
 * For streams that are answered in the same turns of the loop, as those of a server: of what is
 * written to several of them in a turn, the first goes out at once, and the rest together, by one
 * entry of the kernel. See coil_sender_share_turns() (coil/sender.h). Thrift's servers do this.
 */
COIL_API void coil_stream_share_turns(coil_stream *stream);

/*
 * shutdown(2) of our side, behind all writes that began before: the peer reads the end of the
 * stream. 0; the errors of shutdown(2), such as -ENOTCONN, -ENOTSOCK; of a layered stream also
 * those of coil_write_all().
 */
coil_declare(int, coil_stream_shutdown, (coil_stream *) stream);

/*
 * Close the stream without telling the peer that this is the end: a TCP peer has its connection
 * reset (SO_LINGER of 0, socket(7)), and what it has not read is lost. Does not wait. Direct
 * descriptors and what is not TCP are closed as ever. Nobody may be using it. Takes NULL.
 */
COIL_API void coil_stream_abort(coil_stream *stream);

/*
 * Wait until no byte has been received or written for `limit`; then the result is -ETIME. Bytes
 * that nobody waits for may stay in the kernel: they do not count. What a peer takes by TCP does,
 * byte by byte; elsewhere, and on direct descriptors, a write counts when it is through, or 64 KiB
 * of one through TLS. To be spawned into the group of those who use the stream, who are cancelled
 * by that:
 *
 *     coil_spawn(&my->group, coil_stream_watch_idle(peer, coil_s(30)));
 *
 * It looks four times per `limit`, so it may be late by a quarter; reads and writes cost nothing
 * more. The stream must outlive it.
 */
coil_declare(int, coil_stream_watch_idle, (coil_stream *) stream, (coil_duration) limit);

/* Bytes that have arrived and that the next read gives without waiting, at least. */
COIL_API size_t coil_stream_unread(const coil_stream *stream);

/*
 * Put back what was read last, as if it had not been: `slice` becomes empty. For parsers that peek.
 * Bytes that are no buffer's (coil_bytes()) are copied. -ENOMEM: the slice is released, and its
 * bytes are lost.
 */
COIL_API int coil_stream_unread_again(coil_stream *stream, coil_slice *slice);

/*
 * Does what is read and written pass through a layer (coil/tls.h)? Then what needs the descriptor
 * itself is -EOPNOTSUPP, or is done by copying, as each call says.
 */
COIL_API bool coil_stream_is_layered(const coil_stream *stream);

/* The descriptor; a direct one has the bit COIL_DIRECT. Still the stream's. */
COIL_API int coil_stream_fd(const coil_stream *stream);

/* Bytes read and written since the stream was made. */
COIL_API uint64_t coil_stream_bytes_read(const coil_stream *stream);
COIL_API uint64_t coil_stream_bytes_written(const coil_stream *stream);

COIL_END_DECLS

#endif
