/* SPDX-License-Identifier: MIT */
/*
 * A state that is replaced again and again while others read it, by a process that is killed or
 * whose power fails: what is found is always one whole version, not older than the last that was
 * acknowledged; and the directory tells all its names.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { VERSIONS_MAX = 40, BODY_MAX_BYTES = 20000, LIVES = 4 };

static struct {
    corpus_lives lives;
    uint64_t acknowledged; /* The last version that was replaced without an error. */
    uint64_t written;      /* The last that was tried. */
} ledger;

typedef struct version {
    uint64_t number; /* From 1. */
    uint64_t size_bytes;
    char body[BODY_MAX_BYTES];
} version;

enum { HEAD_BYTES = offsetof(version, body) };

/* -------------------------------------------------------------------------------- reading -- */

static uint64_t number_of(const coil_slice *state)
{
    version head = {0};
    corpus_expect(state->size_bytes >= HEAD_BYTES, "a state of %ld bytes", (long)state->size_bytes);
    memcpy(&head, state->bytes, HEAD_BYTES);
    corpus_expect(
            (uint64_t)state->size_bytes == HEAD_BYTES + head.size_bytes &&
                    corpus_matches(state->bytes + HEAD_BYTES, head.size_bytes, head.number, 0),
            "version %lu is torn", (unsigned long)head.number);
    return head.number;
}

/* The number of the version that is there; 0: none; or an error that the weather causes. */
async(int64_t, look, (uint64_t) at_least)
{
    vars(coil_slice state);

    await(my->state, coil_read_file("/var/state", sizeof(version)));
    if (my->state.size_bytes < 0 && my->state.size_bytes != -ENOENT)
        return my->state.size_bytes;
    defer(coil_slice_release(&my->state));
    const uint64_t number = my->state.size_bytes > 0 ? number_of(&my->state) : 0;
    corpus_expect(number >= at_least && number <= ledger.written,
            "version %lu, where %lu was acknowledged, and %lu written last", (unsigned long)number,
            (unsigned long)at_least, (unsigned long)ledger.written);
    return (int64_t)number;
}

async(int, read_all_the_time)
{
    vars(int64_t rc);

    for (;;) {
        await(my->rc, look(ledger.acknowledged));
        corpus_expect(corpus_is_weather(my->rc), "reading: %s", coil_error_name((int)my->rc));
        await(coil_sleep(corpus_moment(coil_ms(1))));
    }
}

/* ------------------------------------------------------------------------------ replacing -- */

async(int, write_version, (uint64_t) number)
{
    vars(version *next; int rc);

    my->next = malloc(sizeof(*my->next));
    if (my->next == NULL)
        return -ENOMEM;
    defer(free(my->next));
    my->next->number = number;
    my->next->size_bytes = corpus_draw(BODY_MAX_BYTES);
    corpus_fill(my->next->body, my->next->size_bytes, number, 0);
    ledger.written = number;
    await(my->rc, within(corpus_deadline(20, coil_ms(2)),
                          coil_replace_file("/var/state",
                                  coil_bytes(my->next, HEAD_BYTES + my->next->size_bytes), 0644)));
    if (my->rc == 0)
        ledger.acknowledged = number;
    return my->rc;
}

async(int, count_names)
{
    vars(coil_directory *directory; coil_directory_entry entry; int rc; int state_count);

    attempt(my->directory, coil_directory_open(AT_FDCWD, "/var"));
    defer(coil_directory_close(my->directory));
    for (;;) {
        attempt(my->rc, coil_directory_next(my->directory, &my->entry));
        if (my->rc == 0)
            break;
        my->state_count += strcmp(my->entry.name, "state") == 0;
        corpus_expect(strcmp(my->entry.name, "state") == 0 || strcmp(my->entry.name, "keep") == 0 ||
                              ledger.lives.was_hurt || !corpus_is_fair(),
                "there is a %s, which nobody can have left behind", my->entry.name);
    }
    corpus_expect(my->state_count == (ledger.acknowledged > 0) || ledger.written > 0,
            "%d states are told of", my->state_count);
    return 0;
}

async(int, keep_state)
{
    vars(coil_group readers; int64_t number; int rc);

    attempt(my->number, look(ledger.acknowledged));
    attempt(count_names());
    open_group(&my->readers);
    spawn(&my->readers, read_all_the_time());
    while (my->number < VERSIONS_MAX) {
        my->number++;
        await(my->rc, write_version((uint64_t)my->number));
        corpus_expect_success(my->rc == -ETIME ? 0 : my->rc, false, "replacing");
    }
    attempt(count_names());
    return 0;
}

CORPUS_MAIN(replace_main, keep_state())

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
    ledger.lives = (corpus_lives){.host = "disk", .path = "/bin/state", .most = coil_ms(60)};
    ledger.lives.pid = corpus_start(sim, "disk", "/bin/state", replace_main);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.lives.pid, "the state");
    coil_sim_expect(sim, !corpus_is_fair() || ledger.written == VERSIONS_MAX, "%lu versions",
            (unsigned long)ledger.written);
}

const coil_sim_scenario scenario_replace = {.name = "replace",
        .build = build,
        .direct = coil_handler(direct, coil_sim *),
        .check = check};
