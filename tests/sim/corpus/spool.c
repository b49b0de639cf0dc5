/* SPDX-License-Identifier: MIT */
/*
 * A spool directory: one process puts files into it, another one watches it, and takes them out;
 * now and then it is killed, and started again. Each file is taken once, whole. Events may get
 * lost, but then it is told so, and looks at all names.
 */
#include "corpus.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

enum { FILES = 40, BODY_MAX_BYTES = 6000, PATH_BYTES = 64 };

static struct {
    pid_t writer, taker;
    unsigned put;   /* Files whose putting was acknowledged, */
    unsigned tried; /* and that were begun. */
    unsigned taken[FILES];
    bool is_over;    /* No more will come. */
    bool was_killed; /* One may have been taken that nobody has counted. */
} ledger;

/* --------------------------------------------------------------------------------- putting -- */

async(int, put_file, (unsigned) number)
{
    vars(char path[PATH_BYTES]; char *body; size_t size_bytes; int rc);

    my->body = malloc(BODY_MAX_BYTES);
    if (my->body == NULL)
        return -ENOMEM;
    defer(free(my->body));
    my->size_bytes = 1 + corpus_draw(BODY_MAX_BYTES - 1);
    corpus_fill(my->body, my->size_bytes, number, 0);
    (void)snprintf(my->path, sizeof(my->path), "/var/spool/%u", number);
    attempt(coil_replace_file(my->path, coil_bytes(my->body, my->size_bytes), 0644));
    return 0;
}

async(int, put_all)
{
    vars(unsigned i);

    for (my->i = 0; my->i < FILES; my->i++) {
        ledger.tried = my->i + 1;
        attempt(put_file(my->i));
        ledger.put = my->i + 1;
        if (corpus_chance(40))
            await(coil_sleep(corpus_moment(coil_ms(3))));
    }
    return 0;
}

CORPUS_MAIN(writer_main, put_all())

/* ---------------------------------------------------------------------------------- taking -- */

/* It may have been taken already: what was seen in the directory comes as an event, too. */
async(int, take_file, (const char *) name)
{
    vars(char path[PATH_BYTES]; coil_slice body; unsigned number; char *end);

    my->number = (unsigned)strtoul(name, &my->end, 10);
    if (*my->end != '\0' || my->end == name)
        return 0; /* The writer's, before it has its name. */
    (void)snprintf(my->path, sizeof(my->path), "/var/spool/%u", my->number);
    await(my->body, coil_read_file(my->path, BODY_MAX_BYTES));
    if (my->body.size_bytes == -ENOENT)
        return 0;
    if (my->body.size_bytes < 0)
        return (int)my->body.size_bytes;
    defer(coil_slice_release(&my->body));
    corpus_expect(my->number < ledger.tried, "nobody has put a file %u", my->number);
    corpus_expect(corpus_matches(my->body.bytes, (size_t)my->body.size_bytes, my->number, 0),
            "file %u has other bytes than were put into it", my->number);
    attempt(coil_unlinkat(AT_FDCWD, my->path, 0));
    corpus_expect(ledger.taken[my->number]++ == 0, "file %u is there again", my->number);
    return 0;
}

async(int, take_all_names)
{
    vars(coil_directory *directory; coil_directory_entry entry; int rc);

    attempt(my->directory, coil_directory_open(AT_FDCWD, "/var/spool"));
    defer(coil_directory_close(my->directory));
    for (;;) {
        attempt(my->rc, coil_directory_next(my->directory, &my->entry));
        if (my->rc == 0)
            return 0;
        attempt(take_file(my->entry.name));
    }
}

/* The watch comes first, so that nothing is between it and the look at what is there. */
async(int, take_all)
{
    vars(coil_file_watch *watch; coil_file_event event; char name[PATH_BYTES]; int rc);

    my->rc = coil_file_watch_create(coil_loop_current(), &my->watch);
    if (my->rc < 0)
        return my->rc;
    defer(coil_file_watch_close(my->watch));
    my->rc = coil_file_watch_add(my->watch, "/var/spool", IN_MOVED_TO | IN_ONLYDIR);
    if (my->rc < 0)
        return my->rc;
    attempt(take_all_names());
    for (;;) {
        await(my->rc, within(coil_s(1), coil_file_watch_next(my->watch, &my->event)));
        if (my->rc == -ETIME && ledger.is_over)
            return 0;
        if (my->rc == -ETIME)
            continue;
        if (my->rc < 0)
            return my->rc;
        if ((my->event.mask & IN_Q_OVERFLOW) != 0) {
            attempt(take_all_names());
            continue;
        }
        (void)snprintf(my->name, sizeof(my->name), "%.40s", my->event.name);
        attempt(take_file(my->name));
        if (corpus_chance(20)) /* So that one read has several events. */
            await(coil_sleep(corpus_moment(coil_ms(30))));
    }
}

CORPUS_MAIN(taker_main, take_all())

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars();

    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_ms(60))));
        (void)coil_sim_kill(sim, ledger.taker, SIGKILL);
        ignore(corpus_await_end(sim, ledger.taker));
        ledger.was_killed = true;
        ledger.taker = coil_sim_start(sim, "disk", "/bin/taker", NULL);
    }
    ignore(corpus_await_end(sim, ledger.writer));
    ledger.is_over = true;
    ignore(corpus_await_end(sim, ledger.taker));
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    (void)coil_sim_put_file(sim, "disk", "/var/spool/keep", "", 0, 0644);
    ledger.writer = corpus_start(sim, "disk", "/bin/writer", writer_main);
    ledger.taker = corpus_start(sim, "disk", "/bin/taker", taker_main);
}

static void check(coil_sim *sim)
{
    unsigned missing = 0;

    corpus_expect_end(sim, ledger.writer, "the writer");
    corpus_expect_end(sim, ledger.taker, "the taker");
    for (unsigned i = 0; i < FILES; i++)
        missing += ledger.taken[i] == 0;
    coil_sim_expect(sim, ledger.put == FILES || !corpus_is_fair(), "%u files were put", ledger.put);
    coil_sim_expect(sim, missing <= ledger.was_killed || !corpus_is_fair(), "%u files are missing",
            missing);
}

const coil_sim_scenario scenario_spool = {.name = "spool",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
