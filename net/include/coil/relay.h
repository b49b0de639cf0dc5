/* SPDX-License-Identifier: MIT */
/*
 * coil/relay.h - bytes from one descriptor to another, without a look at them: files to streams,
 * and streams to each other.
 *
 *     coil_attempt(my->sent_bytes, coil_send_file(stream, my->file, 0, my->size_bytes));
 *
 *     coil_await(my->rc, coil_relay(my->client, my->server, &options, &my->counts));     a proxy
 *
 * How: what the kernel can move by itself it does (splice(2), by a thread of the ring); what it
 * cannot goes through the receive buffers, with the copies that recv(2) and send(2) make anyhow.
 * For what is small, copying is the quicker way, so a relay splices only if it is asked to (see
 * docs/decisions/0019-no-zero-copy-send.md).
 *
 * On the loop's thread only.
 */
#ifndef COIL_RELAY_H
#define COIL_RELAY_H

#include <coil/stream.h>

COIL_BEGIN_DECLS

/*
 * Send `size_bytes` of a file from `offset` on, as one write: other writers of the stream wait.
 * Files that cannot be spliced, or for which there is no pipe, are read and written; so are all for
 * a layered stream, where others may write between two pieces of 64 KiB. Result: how many bytes
 * have been sent, fewer where the file ends; -EINVAL the offset is negative; errors of pread(2),
 * splice(2) and coil_write_all(). If it is cancelled or fails after a part is out, the stream is
 * cut, like by any other write: all others are -EPIPE, and TLS says no close_notify. The file's
 * position is not used and does not move.
 */
coil_declare(int64_t, coil_send_file, (coil_stream *) stream, (int) fd, (off_t) offset,
        (int64_t) size_bytes);

typedef struct coil_relay_options {
    coil_duration idle_limit; /* No byte in either direction for so long: -ETIME. 0: no limit. */
    bool splices;             /* By splice(2), where no stream is layered: a pipe per direction. */
} coil_relay_options;

/* Bytes that the one who should get them has: the kernel has taken them from us. */
typedef struct coil_relay_counts {
    uint64_t forth_bytes; /* From the first stream to the second. */
    uint64_t back_bytes;
} coil_relay_counts;

/*
 * One direction: until `from` ends. Then `to` is told (shutdown(2), where it is a socket), and the
 * result is 0. Else the error of the one or the other, as of coil_relay(). What has gone is added
 * to `*bytes`, as it goes. Nobody else reads `from`. Others may write to `to`, but between which
 * bytes is chance.
 *
 * Cancellation loses nothing: what was read and not written is there for the next read of `from`,
 * and `to` has not been cut. Where there is no memory for that, the next read of `from` says so:
 * -ENOMEM, and never what comes behind the gap.
 */
coil_declare(int, coil_relay_one_way, (coil_stream *) from, (coil_stream *) to,
        (const coil_relay_options *) options, (uint64_t *) bytes);

/*
 * Both directions at once, until both have ended; when one has, the other goes on (TCP's half-close
 * reaches the other side). Result: 0; -ETIME, idle for too long; -EMFILE, -ENOMEM, or the error of
 * one stream, upon which both directions stop. `options` NULL: none. `counts`, unless NULL, are set
 * as bytes go, and right whatever the result. The streams stay open, and the caller's.
 */
coil_declare(int, coil_relay, (coil_stream *) one, (coil_stream *) other,
        (const coil_relay_options *) options, (coil_relay_counts *) counts);

COIL_END_DECLS

#endif
