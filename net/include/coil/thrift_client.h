/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_client.h - call the methods of a Thrift server: binary protocol, framed transport.
 *
 *     coil_attempt(my->client, coil_thrift_connect("127.0.0.1:9090"));
 *     coil_defer(coil_thrift_client_close(my->client));
 *
 *     coil_thrift_writer *arguments = coil_thrift_client_begin(my->client, "add");
 *     coil_thrift_put_i32(arguments, 1, 2);
 *     coil_thrift_put_i32(arguments, 2, 3);
 *     coil_attempt(coil_within(coil_s(2), coil_thrift_client_call(my->client)));
 *     read the fields of the result from coil_thrift_client_reply(my->client)
 *
 * One call at a time. A deadline or a cancellation while a reply is awaited leaves the client
 * usable: a late reply is told by its number, and dropped.
 *
 * On the loop's thread only.
 */
#ifndef COIL_THRIFT_CLIENT_H
#define COIL_THRIFT_CLIENT_H

#include <coil/stream.h>
#include <coil/thrift.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_client coil_thrift_client;

/* Connect to an address (coil/address.h). A failure is an error pointer, as of coil_connect(). */
coil_declare(coil_thrift_client *, coil_thrift_connect, (const char *) address);

/*
 * A client on a stream that is connected, and remains the caller's: he closes it after the client.
 * For connections of a pool (coil/connection_pool.h): made in `prepare`, closed in `dispose`, and
 * reusable as long as coil_thrift_client_is_idle(). 0, or -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_thrift_client_create(
        coil_stream *stream, coil_thrift_client **out_client);

/* Whether another call may be made, and no reply to an abandoned one is still to come. */
COIL_API bool coil_thrift_client_is_idle(const coil_thrift_client *client);

/*
 * Close the connection, unless it is the caller's. Does not wait. No call may be in progress. Takes
 * NULL.
 */
COIL_API void coil_thrift_client_close(coil_thrift_client *client);

/* Begin a call; put its arguments into the writer that is returned, without a stop. */
COIL_API coil_thrift_writer *coil_thrift_client_begin(
        coil_thrift_client *client, const char *method);

/*
 * Send the call that was begun and await its reply. -EREMOTEIO the server answered with an
 * exception: see coil_thrift_client_exception(). -EBADMSG, -EMSGSIZE, -ELOOP, -ENODATA the server
 * does not speak this protocol, -ENOTCONN it has ended the connection; -ENOMEM; the errors of
 * coil_read_block() and coil_write_all(). After any of these but -EREMOTEIO, and after a
 * cancellation while the call was being sent, the client can only be closed: further calls fail
 * with -ENOTCONN. The errors of the writer (-EMSGSIZE and -ENOBUFS: the arguments are too large)
 * come before anything is sent, and another call may follow.
 */
coil_declare(int, coil_thrift_client_call, (coil_thrift_client *) client);

/* Send the call that was begun as a oneway one: there is no reply. Errors as above. */
coil_declare(int, coil_thrift_client_send, (coil_thrift_client *) client);

/*
 * The result of the last call, at its first field. Good until the next one begins. A result with
 * neither the field 0 nor a declared exception is for the caller to notice.
 */
COIL_API coil_thrift_reader *coil_thrift_client_reply(coil_thrift_client *client);

/* After -EREMOTEIO: what the server said. Good until the next call begins. */
COIL_API const coil_thrift_exception *coil_thrift_client_exception(
        const coil_thrift_client *client);

COIL_END_DECLS

#endif
