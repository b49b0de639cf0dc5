/* SPDX-License-Identifier: MIT */

/*
 * An echo server on libevent, in the two ways that it has:
 *
 *   --api event       its events around recv(2) and send(2) into one shared buffer: the faster one,
 *                     and therefore the default. One edge-triggered read event serves a connection
 *                     for ever; a write event exists only while a full socket is waited for.
 *   --api buffer      bufferevents, as most programs have them: what came in is moved, not copied,
 *                     to what goes out. Each reply costs a turn of the loop and two epoll_ctl(2).
 */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { BUFFER_BYTES = 256 * 1024, UNSENT_MAX_BYTES = 256 * 1024 };
enum api { API_EVENT, API_BUFFER };

struct connection {
    struct event readable;
    struct event writable;
    char *rest; /* what a full socket did not take, or NULL */
    size_t rest_bytes;
    size_t rest_sent;
};

static _Alignas(4096) char buffer[BUFFER_BYTES];
static struct event_base *base;
static int api = API_EVENT;

static void need(bool fine, const char *who)
{
    if (!fine)
        serve_die(who, errno ? errno : EINVAL);
}

/* ---- Events ---- */

static void connection_close(struct connection *connection)
{
    evutil_socket_t fd = event_get_fd(&connection->readable);

    (void)event_del(&connection->readable);
    (void)event_del(&connection->writable);
    close(fd);
    free(connection->rest);
    free(connection);
}

/* Keeps what the socket did not take. Until it has gone out nothing more is read. */
static void set_aside(struct connection *connection, const char *bytes, size_t count)
{
    connection->rest = malloc(count);
    need(connection->rest != NULL, "malloc");
    memcpy(connection->rest, bytes, count);
    connection->rest_bytes = count;
    connection->rest_sent = 0;
    need(event_add(&connection->writable, NULL) == 0, "event_add");
}

/* Returns false when the connection is broken. */
static bool echo(struct connection *connection, int fd, size_t count)
{
    ssize_t sent = send(fd, buffer, count, MSG_NOSIGNAL);

    if (sent == (ssize_t)count)
        return true;
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    set_aside(connection, buffer + taken, count - taken);
    return true;
}

/* `last`: the peer may have closed its side, so there may be no further edge. */
static void read_and_echo(struct connection *connection, int fd, bool last)
{
    ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || !echo(connection, fd, (size_t)got)) {
        connection_close(connection);
        return;
    }
    /* A short read emptied the socket: the next byte makes a new edge. After another it is read
     * again, when the others have had their turn. */
    if (!connection->rest && (got == BUFFER_BYTES || last))
        event_active(&connection->readable, EV_READ | (last ? EV_CLOSED : 0), 1);
}

static void on_readable(evutil_socket_t fd, short events, void *argument)
{
    struct connection *connection = argument;

    if (!connection->rest)
        read_and_echo(connection, fd, (events & EV_CLOSED) != 0);
}

static void on_writable(evutil_socket_t fd, short events, void *argument)
{
    struct connection *connection = argument;

    (void)events;
    while (connection->rest_sent < connection->rest_bytes) {
        ssize_t sent = send(fd, connection->rest + connection->rest_sent,
                connection->rest_bytes - connection->rest_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) {
            connection_close(connection);
            return;
        }
        connection->rest_sent += (size_t)sent;
    }
    free(connection->rest);
    connection->rest = NULL;
    (void)event_del(&connection->writable);
    event_active(&connection->readable, EV_READ, 1); /* The edge of what came has passed. */
}

static void accept_events(evutil_socket_t fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    const short forever = EV_PERSIST | EV_ET;

    need(connection != NULL, "calloc");
    event_assign(&connection->readable, base, fd, EV_READ | EV_CLOSED | forever, on_readable,
            connection);
    event_assign(&connection->writable, base, fd, EV_WRITE | forever, on_writable, connection);
    need(event_add(&connection->readable, NULL) == 0, "event_add");
}

/* ---- Bufferevents ---- */

static void on_bytes(struct bufferevent *stream, void *argument)
{
    struct evbuffer *out = bufferevent_get_output(stream);

    (void)argument;
    (void)evbuffer_add_buffer(out, bufferevent_get_input(stream));
    if (evbuffer_get_length(out) >= UNSENT_MAX_BYTES)
        (void)bufferevent_disable(stream, EV_READ);
}

static void on_drained(struct bufferevent *stream, void *argument)
{
    (void)argument;
    if (!(bufferevent_get_enabled(stream) & EV_READ))
        (void)bufferevent_enable(stream, EV_READ);
}

static void on_end(struct bufferevent *stream, short what, void *argument)
{
    (void)what;
    (void)argument;
    bufferevent_free(stream);
}

static void accept_buffers(evutil_socket_t fd)
{
    struct bufferevent *stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    need(stream != NULL, "bufferevent_socket_new");
    (void)bufferevent_set_max_single_read(stream, BUFFER_BYTES);
    (void)bufferevent_set_max_single_write(stream, BUFFER_BYTES);
    bufferevent_setcb(stream, on_bytes, on_drained, on_end, NULL);
    (void)bufferevent_enable(stream, EV_READ | EV_WRITE);
}

/* ---- Both ---- */

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
        struct sockaddr *address, int address_bytes, void *argument)
{
    (void)listener;
    (void)address;
    (void)address_bytes;
    (void)argument;
    serve_nodelay(fd);
    if (api == API_EVENT)
        accept_events(fd);
    else
        accept_buffers(fd);
}

static void on_terminate(evutil_socket_t number, short events, void *argument)
{
    (void)number;
    (void)events;
    (void)argument;
    (void)event_base_loopbreak(base);
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();

    need(config != NULL, "event_config_new");
    need(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0, "event_config_set_flag");
    struct event_base *made = event_base_new_with_config(config);
    need(made != NULL, "event_base_new_with_config");
    event_config_free(config);
    return made;
}

int main(int argc, char **argv)
{
    static const char *const apis[] = {"event", "buffer", NULL};
    const struct serve_option options[] = {{"api", apis, &api}, {0}};
    int port = serve_options(argc, argv, options);

    (void)signal(SIGPIPE, SIG_IGN);
    base = new_base();
    struct evconnlistener *listener = evconnlistener_new(
            base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 0, serve_listen(port, SOCK_NONBLOCK));
    need(listener != NULL, "evconnlistener_new");
    struct event *terminate = evsignal_new(base, SIGTERM, on_terminate, NULL);
    need(terminate != NULL && event_add(terminate, NULL) == 0, "evsignal_new");
    (void)event_base_dispatch(base);
    event_free(terminate);
    evconnlistener_free(listener);
    event_base_free(base);
    return 0;
}
