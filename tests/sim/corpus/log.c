/* SPDX-License-Identifier: MIT */
/*
 * A log of records that is appended to, synced, and read again after the process has died or the
 * power has gone: what was synced is there, whole and in order; what was not may be there.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { RECORD_BYTES = 700, RECORDS_MAX = 60, LIVES = 4 };

typedef struct record {
    uint64_t number; /* From 1. */
    char body[RECORD_BYTES - 8];
} record;

static struct {
    corpus_lives lives;
    uint64_t acknowledged; /* Records that were synced. */
    uint64_t written;      /* Records that may be there. */
} ledger;

/* -------------------------------------------------------------------------------- recovery -- */

async(ssize_t, read_record, (int) fd, (record *) into, (uint64_t) number)
{
    vars(ssize_t count; size_t done_bytes);

    while (my->done_bytes < sizeof(record)) {
        attempt(my->count,
                coil_pread(fd, (char *)into + my->done_bytes, sizeof(record) - my->done_bytes,
                        (off_t)((number - 1) * sizeof(record) + my->done_bytes)));
        if (my->count == 0)
            break;
        my->done_bytes += (size_t)my->count;
    }
    return (ssize_t)my->done_bytes;
}

static bool is_intact(const record *one, uint64_t number)
{
    return one->number == number && corpus_matches(one->body, sizeof(one->body), number, 0);
}

/* The last record that is there, or an error. */
async(int64_t, recover, (int) fd)
{
    vars(record one; uint64_t number; ssize_t count);

    for (my->number = 1;; my->number++) {
        attempt(my->count, read_record(fd, &my->one, my->number));
        const bool is_there = my->count == sizeof(record) && is_intact(&my->one, my->number);
        corpus_expect(is_there || my->number > ledger.acknowledged,
                "record %lu is lost, and %lu were synced", (unsigned long)my->number,
                (unsigned long)ledger.acknowledged);
        if (!is_there)
            return (int64_t)my->number - 1;
        corpus_expect(my->number <= ledger.written, "nobody has written record %lu",
                (unsigned long)my->number);
    }
}

/* ----------------------------------------------------------------------------------- write -- */

async(int, append, (int) fd, (uint64_t) number)
{
    vars(record one; ssize_t count; size_t done_bytes);

    my->one.number = number;
    corpus_fill(my->one.body, sizeof(my->one.body), number, 0);
    if (number > ledger.written)
        ledger.written = number;
    while (my->done_bytes < sizeof(record)) {
        await(my->count, within(corpus_deadline(5, coil_ms(1)),
                                 coil_pwrite(fd, (char *)&my->one + my->done_bytes,
                                         sizeof(record) - my->done_bytes,
                                         (off_t)((number - 1) * sizeof(record) + my->done_bytes))));
        if (my->count == -ETIME)
            continue;
        if (my->count < 0)
            return (int)my->count;
        my->done_bytes += (size_t)my->count;
    }
    return 0;
}

static void acknowledge(int64_t last)
{
    if (ledger.acknowledged < (uint64_t)last)
        ledger.acknowledged = (uint64_t)last;
}

/*
 * What was found may have been in the page cache alone, where an fsync(2) that has failed leaves it
 * as if it were on the disk: only what is written again is certain to be synced.
 */
async(int, secure, (int) fd, (int64_t) last)
{
    vars(int64_t number);

    for (my->number = 1; my->number <= last; my->number++)
        attempt(append(fd, (uint64_t)my->number));
    attempt(coil_fsync(fd, false));
    acknowledge(last);
    return 0;
}

async(int, sync_directory)
{
    vars(int fd);

    attempt(my->fd, coil_openat(AT_FDCWD, "/var", O_RDONLY | O_DIRECTORY, 0));
    defer(ignore(coil_close(my->fd)));
    attempt(coil_fsync(my->fd, false));
    return 0;
}

async(int, keep_log)
{
    vars(int fd; int64_t last; struct statx status);

    attempt(my->fd, coil_openat(AT_FDCWD, "/var/log", O_RDWR | O_CREAT, 0644));
    defer(ignore(coil_close(my->fd)));
    attempt(my->last, recover(my->fd));
    attempt(sync_directory());
    attempt(secure(my->fd, my->last));
    while (my->last < RECORDS_MAX) {
        my->last++;
        attempt(append(my->fd, (uint64_t)my->last));
        if (!corpus_chance(40))
            continue;
        attempt(coil_fsync(my->fd, corpus_chance(50))); /* An error: nothing is known any more. */
        acknowledge(my->last);
    }
    attempt(coil_statx(my->fd, "", AT_EMPTY_PATH, STATX_SIZE, &my->status));
    corpus_expect(my->status.stx_size >= RECORDS_MAX * sizeof(record), "a file of %lu bytes",
            (unsigned long)my->status.stx_size);
    return 0;
}

CORPUS_MAIN(log_main, keep_log())

/* -------------------------------------------------------------------------------- scenario -- */

async(int, direct, (coil_sim *) sim)
{
    vars();
    attempt(corpus_live(sim, &ledger.lives, LIVES));
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    (void)coil_sim_put_file(sim, "disk", "/var/keep", "", 0, 0644);
    ledger.lives = (corpus_lives){.host = "disk", .path = "/bin/log", .most = coil_ms(40)};
    ledger.lives.pid = corpus_start(sim, "disk", "/bin/log", log_main);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.lives.pid, "the log");
    coil_sim_expect(sim, ledger.acknowledged <= RECORDS_MAX, "too many");
    coil_sim_expect(sim, !corpus_is_fair() || ledger.written == RECORDS_MAX, "%lu records",
            (unsigned long)ledger.written);
}

const coil_sim_scenario scenario_log = {
        .name = "log", .build = build, .direct = coil_handler(direct, coil_sim *), .check = check};
