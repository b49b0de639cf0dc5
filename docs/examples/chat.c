/* SPDX-License-Identifier: MIT */
/*
 * chat - a chat server: rooms, a task that writes for each member, slow members dropped; a restart
 * that nobody who connects notices.
 */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum { LINE_BYTES = 1024, NAME_BYTES = 32, LINES_MAX = 64, IDLE_S = 30 * 60 };

/* What somebody has said, on its way to all who are in the room. */
typedef struct line {
    unsigned reader_count; /* Those who have not written it yet. */
    size_t size_bytes;
    char text[];
} line;

typedef coil_queue_of(line *) line_queue;

typedef struct room {
    coil_list link; /* In the chat's list. */
    coil_list members;
    char name[NAME_BYTES];
} room;

typedef struct member {
    coil_list link; /* In its room. */
    room *room;
    coil_session *session;
    coil_task *task;
    bool is_slow;
    bool is_reading;
    bool is_writing;
    line_queue lines; /* For it to read. */
    line *slots[LINES_MAX];
} member;

typedef struct chat {
    coil_server server;
    coil_list rooms;
    uint64_t dropped_count;
} chat;

/* ------------------------------------------------------------------------------------ lines -- */

static void release_line(line *said)
{
    if (said != NULL && --said->reader_count == 0)
        free(said);
}

/*
 * Put it into the queue of everybody in the room. That does not wait: who has as many lines before
 * it as it may have does not read, and has to go.
 */
static void say(room *to, unsigned long from, const char *text, int size_bytes)
{
    line *said = malloc(sizeof(*said) + NAME_BYTES + (size_t)size_bytes);
    if (said == NULL)
        return;
    size_t head_bytes = (size_t)snprintf(said->text, NAME_BYTES, "%lu: ", from);
    memcpy(said->text + head_bytes, text, (size_t)size_bytes);
    said->size_bytes = head_bytes + (size_t)size_bytes;
    said->reader_count = 1;
    for (coil_list *link = to->members.next; link != &to->members; link = link->next) {
        member *reader = coil_container_of(link, member, link);
        if (coil_queue_try_put(&reader->lines, &said) == 0) {
            said->reader_count++;
            coil_session_busy(reader->session);
        } else if (!reader->is_slow) {
            reader->is_slow = true;
            coil_task_cancel(reader->task);
        }
    }
    release_line(said);
}

/* A restart need not wait for a member that has nothing to say, and has read all. */
static void rest_if_quiet(member *self)
{
    if (self->is_reading && !self->is_writing && self->lines.queue.count == 0)
        coil_session_idle(self->session);
}

/* The task beside each session: write what comes out of its queue. */
async(int, write_lines, (member *) self)
{
    vars(line *said; int rc);

    defer(release_line(my->said));
    for (;;) {
        attempt(coil_queue_get(&self->lines, &my->said));
        if (my->said == NULL)
            continue;
        self->is_writing = true;
        await(my->rc, coil_write_all(self->session->stream,
                              coil_bytes(my->said->text, my->said->size_bytes)));
        self->is_writing = false;
        release_line(my->said);
        my->said = NULL;
        if (my->rc < 0)
            return my->rc;
        rest_if_quiet(self);
    }
}

/* ------------------------------------------------------------------------------------ rooms -- */

static void leave_room(member *self)
{
    room *left = self->room;
    if (left == NULL)
        return;
    self->room = NULL;
    coil_list_remove(&self->link);
    if (coil_list_empty(&left->members)) {
        coil_list_remove(&left->link);
        free(left);
    }
}

static room *find_room(chat *all, const char *name)
{
    for (coil_list *link = all->rooms.next; link != &all->rooms; link = link->next) {
        room *found = coil_container_of(link, room, link);
        if (strcmp(found->name, name) == 0)
            return found;
    }
    room *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    snprintf(made->name, sizeof(made->name), "%s", name);
    coil_list_init(&made->members);
    coil_list_append(&all->rooms, &made->link);
    return made;
}

static int enter_room(member *self, const char *name)
{
    chat *all = coil_container_of(self->session->server, chat, server);

    leave_room(self);
    self->room = find_room(all, name);
    if (self->room == NULL)
        return -ENOMEM;
    coil_list_append(&self->room->members, &self->link);
    return 0;
}

/* --------------------------------------------------------------------------------- sessions -- */

static void leave(member *self)
{
    line *said;

    leave_room(self);
    while (coil_queue_try_get(&self->lines, &said) == 0)
        release_line(said);
    if (self->is_slow)
        coil_container_of(self->session->server, chat, server)->dropped_count++;
}

/* "/join <room>", or something for all to read. */
static int hear(member *self, const char *text, int size_bytes)
{
    char name[NAME_BYTES];
    char copy[NAME_BYTES + 8];

    snprintf(copy, sizeof(copy), "%.*s", size_bytes, text);
    if (sscanf(copy, "/join %31s", name) == 1)
        return enter_room(self, name);
    say(self->room, (unsigned long)self->session->number, text, size_bytes);
    return 0;
}

async(int, talk, (coil_session *) session)
{
    vars(member self; coil_group writer; coil_slice heard; int rc);

    my->self.session = session;
    my->self.task = coil_self;
    coil_queue_init(&my->self.lines, my->self.slots, LINES_MAX);
    defer(leave(&my->self));
    defer(coil_slice_release(&my->heard));
    open_group(&my->writer);
    spawn(&my->writer, write_lines(&my->self));
    my->rc = enter_room(&my->self, "lobby");
    while (my->rc == 0) {
        my->self.is_reading = true;
        rest_if_quiet(&my->self);
        attempt(my->heard,
                within(coil_s(IDLE_S), coil_read_until(session->stream, '\n', LINE_BYTES)));
        coil_session_busy(session);
        my->self.is_reading = false;
        if (coil_slice_empty(&my->heard))
            return 0;
        my->rc = hear(&my->self, my->heard.bytes, (int)my->heard.size_bytes);
        coil_slice_release(&my->heard);
        await(coil_yield()); /* So that one who says much does not fill the queues of all. */
    }
    return my->rc;
}

/* ----------------------------------------------------------------------------------- server -- */

async(int, drain_at_signal, (coil_server *) server)
{
    vars();
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    coil_server_drain(server, coil_s(5));
    return 0;
}

async(int, step_down, (coil_handover *) handover, (coil_server *) server)
{
    vars();
    attempt(coil_handover_ready(handover));
    attempt(coil_handover_requested(handover));
    coil_server_drain(server, coil_s(5));
    return 0;
}

/* Until a signal, or until a successor serves. */
async(int, serve, (chat *) self, (coil_handover *) handover)
{
    vars(coil_group group);

    open_group(&my->group);
    spawn(&my->group, drain_at_signal(&self->server));
    if (handover != NULL)
        spawn(&my->group, step_down(handover, &self->server));
    attempt(coil_server_serve(&self->server));
    fprintf(stderr, "chat: %lu connections, %lu of them dropped for not reading\n",
            (unsigned long)self->server.stats.accepted, (unsigned long)self->dropped_count);
    return 0;
}

static int listen_at(chat *self, const char *address, coil_handover *handover)
{
    coil_listener *listener;
    int rc = handover == NULL ? coil_listen(address, NULL, &listener)
                              : coil_handover_listen(handover, "chat", address, NULL, &listener);
    if (rc < 0) {
        fprintf(stderr, "chat: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    return coil_server_add(&self->server, listener);
}

async(int, run_chat, (const char *) address, (const char *) handover_address)
{
    vars(chat self; coil_handover *handover; int rc);

    coil_list_init(&my->self.rooms);
    coil_server_init(&my->self.server, coil_handler(talk, coil_session *));
    my->self.server.max_sessions = 10000;
    if (handover_address != NULL)
        attempt(coil_handover_open(handover_address, &my->handover));
    defer(coil_handover_close(my->handover));
    defer(coil_server_fini(&my->self.server));
    my->rc = listen_at(&my->self, address, my->handover);
    if (my->rc < 0)
        return my->rc;
    attempt(serve(&my->self, my->handover));
    return 0;
}

int main(int argc, char **argv)
{
    char address[64];
    const struct options options = read_options(argc, argv,
            "chat --port N [unix:PATH]\n\n"
            "A chat server on 127.0.0.1:N, until SIGINT or SIGTERM. What a member says is read by\n"
            "all in its room; \"/join ROOM\" goes to another. With the path of a socket, a chat "
            "that\n"
            "is started with the same path takes over, and nobody who connects is refused.\n");

    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    return coil_run(run_chat(address, options.arguments[0])) < 0;
}
