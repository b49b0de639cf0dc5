/* SPDX-License-Identifier: MIT */

/*
 * An echo server as good libuv code writes it: one shared receive buffer, uv_try_write() first, and
 * a write request only for what a full socket did not take; reading stops until that has gone out.
 */
#include "serve.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

enum { BUFFER_BYTES = 256 * 1024 };

struct connection {
    uv_tcp_t tcp;
    uv_write_t write;
    char *rest; /* what uv_try_write() left, or NULL */
};

static _Alignas(4096) char buffer[BUFFER_BYTES];
static uv_loop_t loop;
static uv_tcp_t listener;
static uv_signal_t terminate;

static void check(const char *who, int rc)
{
    if (rc < 0)
        serve_die(who, -rc);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;

    free(connection->rest);
    free(connection);
}

static void connection_close(struct connection *connection)
{
    if (!uv_is_closing((uv_handle_t *)&connection->tcp))
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out_buffer)
{
    (void)handle;
    (void)suggested;
    *out_buffer = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *bytes);

static void on_written(uv_write_t *write, int rc)
{
    struct connection *connection = write->handle->data;

    if (rc < 0) {
        connection_close(connection);
        return;
    }
    free(connection->rest);
    connection->rest = NULL;
    check("uv_read_start", uv_read_start(write->handle, on_buffer, on_read));
}

static void write_rest(struct connection *connection, const char *bytes, size_t count)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;

    connection->rest = malloc(count);
    if (!connection->rest)
        serve_die("malloc", -UV_ENOMEM);
    memcpy(connection->rest, bytes, count);
    uv_buf_t rest = uv_buf_init(connection->rest, (unsigned)count);
    uv_read_stop(stream);
    if (uv_write(&connection->write, stream, &rest, 1, on_written) < 0)
        connection_close(connection);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *bytes)
{
    struct connection *connection = stream->data;

    if (got < 0) {
        connection_close(connection);
        return;
    }
    if (got == 0)
        return;
    uv_buf_t reply = uv_buf_init(bytes->base, (unsigned)got);
    int sent = uv_try_write(stream, &reply, 1);
    if (sent == got)
        return;
    if (sent < 0 && sent != UV_EAGAIN) {
        connection_close(connection);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    write_rest(connection, bytes->base + taken, (size_t)got - taken);
}

static void on_connection(uv_stream_t *server, int rc)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    (void)rc;
    if (!connection)
        serve_die("calloc", -UV_ENOMEM);
    check("uv_tcp_init", uv_tcp_init(&loop, &connection->tcp));
    connection->tcp.data = connection;
    if (uv_accept(server, (uv_stream_t *)&connection->tcp) < 0) {
        connection_close(connection);
        return;
    }
    uv_tcp_nodelay(&connection->tcp, 1);
    check("uv_read_start", uv_read_start((uv_stream_t *)&connection->tcp, on_buffer, on_read));
}

static void on_terminate(uv_signal_t *signal, int number)
{
    (void)signal;
    (void)number;
    uv_stop(&loop);
}

int main(int argc, char **argv)
{
    const struct serve_option options[] = {{0}};
    int port = serve_options(argc, argv, options);
    struct sockaddr_in address;

    check("uv_loop_init", uv_loop_init(&loop));
    check("uv_signal_init", uv_signal_init(&loop, &terminate));
    check("uv_signal_start", uv_signal_start(&terminate, on_terminate, SIGTERM));
    check("uv_tcp_init", uv_tcp_init(&loop, &listener));
    check("uv_ip4_addr", uv_ip4_addr("127.0.0.1", port, &address));
    check("uv_tcp_bind", uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0));
    check("uv_listen", uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_connection));
    (void)signal(SIGPIPE, SIG_IGN);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
