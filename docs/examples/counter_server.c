/* SPDX-License-Identifier: MIT */
/*
 * counter_server - one replica of a counter (counter.h).
 *
 *     counter_server [--port P] [--no-sync] [--acks N] LOG PEER...
 *
 * Serves at port P (9090), keeps what it knows in the file LOG, and has the PEERs, addresses of the
 * other replicas. The last two options make it lose increments; that is what they are for, see
 * counter_sim.c: it does not wait for the disk, or acknowledges what N replicas have.
 */
#include "counter.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

typedef struct replica {
    counter_Counter thrift;
    const char *const *peers;
    unsigned peer_count;
    unsigned majority;
    bool is_synced;

    counter_table table; /* What is on the disk, and no more. */
    coil_mutex writing;
    const char *path;
    int log;
    off_t end; /* Of the log. */
    int failure;
    coil_event has_failed;
} replica;

/* ----------------------------------------------------------------------------------- the log -- */

/*
 * Records in any order, of which the higher number counts. One that was being written when the
 * power went has a wrong sum; so has what lies between others, and it does not matter.
 */
typedef struct record {
    counter_entry entry;
    uint64_t sum;
} record;

static uint64_t sum_of(counter_entry entry)
{
    const uint64_t odd = 0x9e3779b97f4a7c15;
    const uint64_t sum = ((uint64_t)entry.client + 1) * odd ^ (uint64_t)entry.number;
    return (sum ^ sum >> 29) * odd + 1;
}

async(int, write_record, (replica *) self, (counter_entry) entry)
{
    vars(record record; size_t done; ssize_t count);

    my->record = (record){entry, sum_of(entry)};
    while (my->done < sizeof(my->record)) {
        attempt(my->count, coil_pwrite(self->log, (const char *)&my->record + my->done,
                                   sizeof(my->record) - my->done, self->end + (off_t)my->done));
        my->done += (size_t)my->count;
    }
    self->end += (off_t)sizeof(my->record);
    return 0;
}

/* Everything of `table` that is news, to the disk and then to our own table. */
async(int, write_news, (replica *) self, (const counter_table *) table)
{
    vars(uint32_t i; bool is_written);

    for (my->i = 0; my->i < table->count; my->i++) {
        if (counter_number(&self->table, table->entries[my->i].client) >=
                table->entries[my->i].number)
            continue;
        attempt(write_record(self, table->entries[my->i]));
        my->is_written = true;
    }
    if (my->is_written && self->is_synced)
        attempt(coil_fsync(self->log, true));
    for (my->i = 0; my->i < table->count; my->i++) {
        const int rc = counter_raise(&self->table, table->entries[my->i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/*
 * A disk that has failed once cannot be trusted: what the page cache has may never get there, and
 * a second fsync(2) says nothing about it. Then this replica ends; the next one reads what is left.
 */
async(int, keep, (replica *) self, (const counter_table *) table)
{
    vars(int rc);

    attempt(coil_mutex_lock(&self->writing));
    defer(coil_mutex_unlock(&self->writing));
    if (self->failure != 0)
        return self->failure;
    await(my->rc, write_news(self, table));
    if (my->rc < 0 && my->rc != -ECANCELED && my->rc != -ENOSPC) {
        self->failure = my->rc;
        coil_event_set(&self->has_failed);
    }
    return my->rc;
}

async(int, read_log, (replica *) self, (counter_table *) table)
{
    vars(record record; size_t done; ssize_t count; int rc);

    for (;;) {
        attempt(my->count, coil_pread(self->log, (char *)&my->record + my->done,
                                   sizeof(my->record) - my->done, self->end + (off_t)my->done));
        if (my->count == 0)
            return 0;
        my->done += (size_t)my->count;
        if (my->done < sizeof(my->record))
            continue;
        my->done = 0;
        self->end += (off_t)sizeof(my->record);
        if (my->record.sum != sum_of(my->record.entry))
            continue;
        my->rc = counter_raise(table, my->record.entry);
        if (my->rc < 0)
            return my->rc;
    }
}

/* The name of a new file is not on the disk before its directory is. */
async(int, sync_directory, (const char *) path)
{
    vars(char directory[256]);

    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        strcpy(my->directory, ".");
    } else if (slash == path) {
        strcpy(my->directory, "/");
    } else {
        snprintf(my->directory, sizeof(my->directory), "%.*s", (int)(slash - path), path);
    }
    attempt(coil_directory_sync(AT_FDCWD, my->directory));
    return 0;
}

/*
 * What a predecessor has written may be in the page cache alone. It is written once more, and
 * synced, before anybody is told of it.
 */
async(int, open_log, (replica *) self)
{
    vars(counter_table found);

    attempt(self->log, coil_openat(AT_FDCWD, self->path, O_RDWR | O_CREAT, 0644));
    attempt(sync_directory(self->path));
    attempt(read_log(self, &my->found));
    attempt(keep(self, &my->found));
    return 0;
}

/* ------------------------------------------------------------------------------ the majority -- */

/* One question to all replicas. */
typedef struct question {
    replica *self;
    const counter_table *table;
    counter_table answer; /* The higher numbers of all that have answered. */
    unsigned count;       /* Of those. */
    coil_event has_enough;
} question;

static void count_one(question *asked)
{
    if (++asked->count == asked->self->majority)
        coil_event_set(&asked->has_enough);
}

async(int, ask_peer, (question *) asked, (const char *) address)
{
    vars();
    attempt(counter_merge(address, asked->table, &asked->answer));
    count_one(asked);
    return 0;
}

async(int, ask_ourselves, (question *) asked)
{
    vars(uint32_t i);
    attempt(keep(asked->self, asked->table));
    for (my->i = 0; my->i < asked->self->table.count; my->i++) {
        const int rc = counter_raise(&asked->answer, asked->self->table.entries[my->i]);
        if (rc < 0)
            return rc;
    }
    count_one(asked);
    return 0;
}

/* 0: a majority has `table`. The others may have it, too; they are not waited for. */
async(int, ask_majority, (question *) asked)
{
    vars(coil_group group; unsigned i);

    coil_event_init(&asked->has_enough);
    open_group(&my->group);
    my->group.keep_going = true;
    spawn(&my->group, ask_ourselves(asked));
    for (my->i = 0; my->i < asked->self->peer_count; my->i++)
        spawn(&my->group, ask_peer(asked, asked->self->peers[my->i]));
    await(coil_event_wait(&asked->has_enough));
    return 0;
}

/* ------------------------------------------------------------------------------- the service -- */

static replica *replica_of(const coil_thrift_call *call)
{
    return coil_container_of(call->service, replica, thrift.service);
}

async(int, handle_increment, (counter_Counter_increment_call *) call)
{
    vars(counter_table table; question question);
    const counter_entry entry = {call->arguments.client, call->arguments.number};

    if (entry.number <= 0)
        return -EINVAL;
    (void)counter_raise(&my->table, entry);
    my->question.self = replica_of(call->context);
    my->question.table = &my->table;
    attempt(within(coil_s(1), ask_majority(&my->question)));
    return 0;
}

async(int, handle_value, (counter_Counter_value_call *) call)
{
    vars(counter_table nothing; question ask; question tell);

    my->ask.self = my->tell.self = replica_of(call->context);
    my->ask.table = &my->nothing;
    attempt(within(coil_s(1), ask_majority(&my->ask)));
    my->tell.table = &my->ask.answer;
    attempt(within(coil_s(1), ask_majority(&my->tell)));
    call->result.success = counter_sum(&my->ask.answer);
    return 0;
}

async(int, handle_merge, (counter_Counter_merge_call *) call)
{
    vars(counter_table table);
    const int rc = counter_raise_all(&my->table, call->arguments.entries);

    if (rc < 0)
        return rc;
    attempt(keep(replica_of(call->context), &my->table));
    return counter_list(
            &replica_of(call->context)->table, call->context->arena, &call->result.success);
}

async(int, stop_on_signal, (replica *) self)
{
    vars();
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    coil_event_set(&self->has_failed);
    return 0;
}

async(int, serve, (replica *) self, (const char *) address)
{
    vars(coil_listener *listener; coil_thrift_service *services[1]; coil_thrift_server server;
            coil_group group);

    self->log = -1;
    defer(if (self->log >= 0) ignore(coil_close(self->log)));
    attempt(open_log(self));
    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    my->services[0] = &self->thrift.service;
    my->server.services = my->services;
    my->server.service_count = 1;
    my->server.idle_limit = coil_s(30);
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    spawn(&my->group, stop_on_signal(self));
    await(coil_event_wait(&self->has_failed));
    return self->failure;
}

/* -------------------------------------------------------------------------- the command line -- */

static const char usage[] =
        "counter_server [--port P] [--no-sync] [--acks N] LOG PEER...\n\n"
        "One replica of a counter, at port P (9090). LOG is the file in which it keeps what it\n"
        "knows, the PEERs are the addresses of the others. To lose increments: --no-sync, it does\n"
        "not wait for the disk; --acks, N replicas are enough for it.\n";

static unsigned number_of(const char *text, unsigned long limit)
{
    char *end;
    const unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || number == 0 || number > limit) {
        fprintf(stderr, "counter_server: '%s' is not a number from 1 to %lu\n", text, limit);
        exit(2);
    }
    return (unsigned)number;
}

static void read_arguments(int argc, char **argv, replica *self, unsigned *out_port)
{
    static const struct option known[] = {
            {"port", required_argument, NULL, 'p'},
            {"no-sync", no_argument, NULL, 'n'},
            {"acks", required_argument, NULL, 'a'},
            {"help", no_argument, NULL, 'h'},
            {NULL, 0, NULL, 0},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "p:na:h", known, NULL)) != -1) {
        if (letter == 'p') {
            *out_port = number_of(optarg, 65535);
        } else if (letter == 'n') {
            self->is_synced = false;
        } else if (letter == 'a') {
            self->majority = number_of(optarg, COUNTER_REPLICA_COUNT_MAX);
        } else {
            fputs(usage, letter == 'h' ? stdout : stderr);
            exit(letter == 'h' ? 0 : 2);
        }
    }
    if (argc - optind < 1 || argc - optind > COUNTER_REPLICA_COUNT_MAX) {
        fputs(usage, stderr);
        exit(2);
    }
    self->path = argv[optind];
    self->peers = (const char *const *)&argv[optind + 1];
    self->peer_count = (unsigned)(argc - optind - 1);
    if (self->majority == 0)
        self->majority = (self->peer_count + 1) / 2 + 1;
}

int main(int argc, char **argv)
{
    static const counter_Counter_handlers handlers = {
            .increment = counter_Counter_increment_handler(handle_increment),
            .value = counter_Counter_value_handler(handle_value),
            .merge = counter_Counter_merge_handler(handle_merge),
    };
    replica self = {.is_synced = true};
    unsigned port = 9090;
    char address[32];

    read_arguments(argc, argv, &self, &port);
    counter_Counter_init(&self.thrift, &handlers);
    snprintf(address, sizeof(address), "*:%u", port);
    coil_mutex_init(&self.writing);
    coil_event_init(&self.has_failed);
    const int rc = coil_run(serve(&self, address));
    if (rc < 0)
        fprintf(stderr, "counter_server: %s\n", coil_error_text(rc));
    return rc < 0;
}
