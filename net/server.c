/* SPDX-License-Identifier: MIT */
#include <coil/server.h>

#include "listener_private.h"
#include "server_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/shutdown.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>

enum {
    REST_TURNS = 8, /* Of the loop, to take what the kernel has completed before we stop. */
};

/* ------------------------------------------------------------------------------- waiting -- */

coil_define(void, coil_session_ending, (coil_session *) session)
{
    coil_vars();

    if (!session->server->is_draining)
        coil_ignore(coil_waiter_wait(&session->server->drain_waiters));
}

/* ------------------------------------------------------------------------------- draining -- */

static void drain_until(coil_server *server, coil_time deadline)
{
    if (deadline < server->deadline) {
        server->deadline = deadline;
        (void)coil_timeout_move(&server->overdue, deadline);
    }
    if (server->is_draining)
        return;
    server->is_draining = true;
    coil_waiter_grant_all(&server->drain_waiters, 0);
}

void coil_server_drain(coil_server *server, coil_duration grace)
{
    drain_until(server, coil_time_after(coil_now(), grace));
}

/* The end of the loop is the end of the server. */
coil_async(int, follow_shutdown, (coil_server *) server)
{
    coil_vars();

    coil_await(coil_shutdown_requested());
    drain_until(server, coil_shutdown_of(coil_loop_of(coil_self))->deadline);
    coil_await(coil_shutdown_overdue());
    drain_until(server, coil_now());
    return 0;
}

/* ------------------------------------------------------------------------------ accepting -- */

static bool is_out_of_descriptors(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

static bool has_reserve(const coil_server *server)
{
    return server->reserve_fd >= 0 || server->turned_away != NULL;
}

static void take_reserve(coil_server *server)
{
    if (!server->turns_away || has_reserve(server))
        return;
    int fd = coil_kernel_eventfd();
    server->reserve_fd = fd < 0 ? -1 : fd;
}

static void give_up_reserve(coil_server *server)
{
    if (server->reserve_fd >= 0)
        (void)coil_kernel_close(server->reserve_fd);
    server->reserve_fd = -1;
    coil_stream_close(server->turned_away);
    server->turned_away = NULL;
}

/* What the system lacks may come back with a session that ends; or it comes from elsewhere. */
coil_async(int, pause_accepting, (coil_server *) server)
{
    coil_vars();

    server->stats.pauses++;
    coil_ignore(coil_within(coil_ms(LISTENER_PAUSE_MS), coil_waiter_wait(&server->room_waiters)));
    take_reserve(server);
    return 0;
}

/* The next connection on the descriptor that was kept for it, unless somebody else takes that. */
coil_async(coil_stream *, accept_on_reserve, (coil_server *) server, (coil_listener *) listener)
{
    coil_vars(coil_stream *stream);

    give_up_reserve(server);
    coil_await(my->stream, coil_within(coil_ms(LISTENER_PAUSE_MS), coil_accept(listener)));
    take_reserve(server);
    return my->stream;
}

/*
 * Has this connection the last descriptor? Whichever listener it came by: when the reserve of one
 * is given up, another's multishot accept may be quicker.
 */
static bool has_taken_reserve(coil_server *server)
{
    take_reserve(server);
    return server->turns_away && !has_reserve(server);
}

/*
 * It is shut down, and keeps the descriptor until the next one comes: closed now, that would be
 * anybody's, and above all the multishot accept's, which goes on. (At once, if that can be: another
 * listener may give the reserve up while the ring has not done it yet, which then finds whoever has
 * got the number.)
 */
coil_async(int, turn_away, (coil_server *) server, (coil_stream *) stream)
{
    coil_vars();
    const int fd = coil_stream_fd(stream);

    server->stats.accepted++;
    server->stats.refused_by_files++;
    server->turned_away = stream;
    if (coil_fd_is_direct(fd)) {
        coil_ignore(coil_shutdown(fd, SHUT_RDWR));
    } else {
        (void)coil_kernel_shutdown(fd, SHUT_RDWR);
    }
    return 0;
}

/* One that may stay, as far as descriptors go; or an error that does not pass. */
coil_async(coil_stream *, next_connection, (coil_server *) server, (coil_listener *) listener)
{
    coil_vars(coil_stream *stream);

    for (;;) {
        my->stream = listener_accept_now(listener);
        if (my->stream == NULL)
            coil_await(my->stream, coil_accept(listener));
        if (is_out_of_descriptors(coil_pointer_error(my->stream)) && has_reserve(server))
            coil_await(my->stream, accept_on_reserve(server, listener));
        const int error = coil_pointer_error(my->stream);
        if (error == 0 && !has_taken_reserve(server))
            return my->stream;
        if (error == 0) {
            coil_ignore(turn_away(server, my->stream));
        } else if (listener_error_passes(error)) {
            coil_ignore(pause_accepting(server));
        } else if (error != -ETIME) { /* The one for whom the reserve was meant has gone. */
            return my->stream;
        }
    }
}

static bool is_full(const coil_server *server)
{
    return server->max_sessions > 0 && server->stats.active >= server->max_sessions;
}

/* One that has come while another listener has filled the last place. */
coil_async(int, take_in_turn, (coil_server *) server, (coil_stream *) stream)
{
    coil_vars(bool is_taken);

    coil_defer(if (!my->is_taken) coil_stream_close(stream));
    while (is_full(server))
        coil_attempt(coil_waiter_wait(&server->room_waiters));
    my->is_taken = true;
    server_take(server, stream);
    return 0;
}

/* Until the listener has ended. The last one of them ends the server. */
coil_async(int, accept_all, (coil_server *) server, (coil_listener *) listener)
{
    coil_vars(coil_stream *stream);

    for (;;) {
        while (is_full(server))
            coil_attempt(coil_waiter_wait(&server->room_waiters));
        coil_await(my->stream, next_connection(server, listener));
        const int error = coil_pointer_error(my->stream);
        if (error == -ESHUTDOWN)
            break;
        if (error < 0)
            return error;
        if (is_full(server)) {
            coil_attempt(take_in_turn(server, my->stream));
        } else {
            server_take(server, my->stream);
        }
    }
    if (--server->accepting_count == 0)
        drain_until(server, COIL_NEVER);
    return 0;
}

static void start_accepting(coil_server *server, coil_listener *listener)
{
    server->accepting_count++;
    coil_spawn(&server->accepting, accept_all(server, listener));
}

static coil_listener *listener_at(coil_list *link)
{
    return coil_container_of(link, coil_listener, link);
}

/*
 * Those that have connected, or have sent a request, do not know that we are about to stop: give
 * the kernel, and loops that accept for us, the time to bring them; then listen no more. What has
 * come by then is ours.
 */
coil_async(int, stop_listening, (coil_server *) server)
{
    coil_vars(int turn);

    for (my->turn = 0; my->turn < REST_TURNS; my->turn++)
        coil_await(coil_yield());
    server_end_idle(server);
    for (coil_list *link = server->listeners.next; link != &server->listeners; link = link->next)
        listener_end(listener_at(link));
    return 0;
}

/* ---------------------------------------------------------------------------------- serving -- */

/* -ETIME: they have not all ended in time. */
coil_async(int, finish, (coil_server *) server)
{
    coil_vars();

    coil_open_timeout_at(&server->overdue, server->deadline);
    coil_attempt(stop_listening(server));
    coil_attempt(coil_group_join(&server->accepting));
    while (server->stats.active > 0) /* A join that is late would cancel them before we count. */
        coil_ignore(coil_waiter_wait(&server->room_waiters));
    coil_attempt(coil_group_join(&server->lingering));
    return 0;
}

static void begin_serving(coil_server *server)
{
    COIL_CHECK(!server->is_serving && server->handler.fn != NULL);
    server->is_serving = true;
    take_reserve(server);
}

static void end_serving(coil_server *server)
{
    server->is_serving = false;
    server->is_draining = true;
    for (coil_list *link = server->listeners.next; link != &server->listeners; link = link->next)
        listener_end(listener_at(link));
    give_up_reserve(server);
}

static void open_tasks(coil_server *server)
{
    server->lingering.keep_going = true;
    server->tasks.keep_going = true;
    for (coil_list *link = server->listeners.next; link != &server->listeners; link = link->next)
        start_accepting(server, listener_at(link));
}

coil_define(int, coil_server_serve, (coil_server *) server)
{
    coil_vars(coil_group watching; int rc);

    if (coil_list_empty(&server->listeners))
        return -EINVAL;
    begin_serving(server);
    coil_defer(end_serving(server));
    coil_open_group(&server->lingering);
    coil_open_group(&server->tasks);
    coil_open_group(&server->accepting);
    open_tasks(server);
    coil_open_group(&my->watching);
    coil_spawn(&my->watching, follow_shutdown(server));
    if (!server->is_draining)
        coil_ignore(coil_waiter_wait(&server->drain_waiters));
    coil_await(my->rc, finish(server));
    if (my->rc != -ETIME)
        return my->rc;
    server->stats.cancelled += server->stats.active;
    return 0;
}

/* -------------------------------------------------------------------------------- lifecycle -- */

void coil_server_init(coil_server *server, coil_handler handler)
{
    *server = (coil_server){.handler = handler, .deadline = COIL_NEVER, .reserve_fd = -1};
    coil_list_init(&server->sessions);
    coil_list_init(&server->listeners);
    coil_list_init(&server->drain_waiters);
    coil_list_init(&server->room_waiters);
}

int coil_server_add(coil_server *server, coil_listener *listener)
{
    if (server->is_draining) {
        coil_listener_close(listener);
        return -ESHUTDOWN;
    }
    coil_list_init(&listener->link);
    coil_list_append(&server->listeners, &listener->link);
    if (server->is_serving)
        start_accepting(server, listener);
    return 0;
}

int coil_server_listen(coil_server *server, const char *address, const coil_listen_options *options)
{
    coil_listener *listener;

    if (server->is_draining)
        return -ESHUTDOWN; /* Without a moment in which somebody could connect. */
    int rc = coil_listen(address, options, &listener);
    return rc < 0 ? rc : coil_server_add(server, listener);
}

const coil_address *coil_server_address(const coil_server *server, unsigned index)
{
    coil_list *link = server->listeners.next;
    for (; link != &server->listeners; link = link->next) {
        if (index-- == 0)
            return &listener_at(link)->address;
    }
    return NULL;
}

void coil_server_fini(coil_server *server)
{
    if (server->listeners.next == NULL)
        return;
    COIL_CHECK(!server->is_serving);
    while (!coil_list_empty(&server->listeners)) {
        coil_listener *listener = listener_at(server->listeners.next);
        coil_list_remove(&listener->link);
        coil_listener_close(listener);
    }
}
