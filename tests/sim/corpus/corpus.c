/* SPDX-License-Identifier: MIT */
#include "corpus.h"

#include <stdio.h>

#include <coil/sugar.h>

/* Outside of its processes, too: in check(). */
static coil_sim *world;

/* ---------------------------------------------------------------------------------- chance -- */

uint64_t corpus_draw(uint64_t limit)
{
    coil_sim *current = coil_sim_current();
    return coil_sim_random(current == NULL ? world : current, limit);
}

bool corpus_chance(unsigned percent)
{
    return corpus_draw(100) < percent;
}

coil_duration corpus_moment(coil_duration most)
{
    return (coil_duration)corpus_draw((uint64_t)most);
}

coil_duration corpus_deadline(unsigned percent, coil_duration most)
{
    return corpus_chance(percent) ? corpus_moment(most) : COIL_FOREVER;
}

/* --------------------------------------------------------------------------------- weather -- */

bool corpus_is_fair(void)
{
    /* What may make a program fail that does all right. */
    static const char *const grave[] = {"ring-setup", "no-descriptor", "no-thread", "no-memory",
            "connect-refused", "reset", "accept-aborted", "disk-full", "disk-error", "no-process",
            "nth-allocation", "nth-submission", "nth-completion"};
    for (size_t i = 0; i < sizeof(grave) / sizeof(grave[0]); i++) {
        if (coil_sim_fault_count(world, grave[i]) > 0)
            return false;
    }
    return true;
}

bool corpus_is_weather(int64_t rc)
{
    static const int errors[] = {ENOMEM, EMFILE, ENFILE, ENOBUFS, EAGAIN, EIO, ENOSPC, ECONNRESET,
            ECONNREFUSED, ECONNABORTED, EPIPE, ENODATA, ENOTCONN, ETIMEDOUT, ETIME, EHOSTUNREACH,
            ENETUNREACH, ECANCELED, ESHUTDOWN, EBUSY, EDQUOT};
    if (rc >= 0)
        return true;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (rc == -errors[i])
            return true;
    }
    return false;
}

void corpus_expect_success(int64_t rc, bool excused, const char *what)
{
    corpus_expect(corpus_is_weather(rc), "%s: %s, which no weather causes", what,
            coil_error_name((int)rc));
    corpus_expect(rc >= 0 || excused || !corpus_is_fair(), "%s: %s in a fair world", what,
            coil_error_name((int)rc));
}

/* ---------------------------------------------------------------------------------- bytes -- */

static unsigned char byte_at(uint64_t stream, uint64_t offset)
{
    return (unsigned char)(stream * 151 + offset * 31 + (offset >> 8) * 17);
}

void corpus_fill(void *bytes, size_t size_bytes, uint64_t stream, uint64_t offset)
{
    unsigned char *at = bytes;
    for (size_t i = 0; i < size_bytes; i++)
        at[i] = byte_at(stream, offset + i);
}

bool corpus_matches(const void *bytes, size_t size_bytes, uint64_t stream, uint64_t offset)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        if (at[i] != byte_at(stream, offset + i))
            return false;
    }
    return true;
}

/* -------------------------------------------------------------------------------- programs -- */

static void look_at_descriptors(uint64_t open[4])
{
    memset(open, 0, 4 * sizeof(open[0]));
    for (int fd = 0; fd < 256; fd++) {
        if (coil_kernel_is_device(fd) >= 0)
            open[fd / 64] |= UINT64_C(1) << fd % 64;
    }
}

corpus_start_state corpus_begin(void)
{
    corpus_start_state start;
    look_at_descriptors(start.open_descriptors);
    return start;
}

int corpus_end(const corpus_start_state *start, int rc)
{
    uint64_t open[4];

    look_at_descriptors(open);
    for (int i = 0; i < 4; i++) {
        corpus_expect(open[i] == start->open_descriptors[i],
                "descriptors of word %d: at first %llx, left %llx", i,
                (unsigned long long)start->open_descriptors[i], (unsigned long long)open[i]);
    }
    corpus_expect(coil_debug_live_tasks() == 0, "%zu tasks are left", coil_debug_live_tasks());
    corpus_expect(
            coil_debug_pending_ops() == 0, "%zu operations are left", coil_debug_pending_ops());
    corpus_expect(corpus_is_weather(rc), "the program ends with %s", coil_error_name(rc));
    return rc < 0;
}

pid_t corpus_start(
        coil_sim *sim, const char *host, const char *path, int (*main)(int argc, char **argv))
{
    world = sim;
    coil_sim_program(sim, path, main);
    return coil_sim_start(sim, host, path, NULL);
}

/*
 * SIGABRT is allowed where memory has failed. That does not hide a failed check, which fails the
 * run by itself (coil_sim_may_abort()); and what else aborts does so in worlds with memory, too.
 */
void corpus_expect_end(coil_sim *sim, pid_t pid, const char *name)
{
    const int status = coil_sim_status(sim, pid);
    if (status == -SIGABRT && (coil_sim_fault_count(sim, "no-memory") > 0 ||
                                      coil_sim_fault_count(sim, "nth-allocation") > 0))
        return; /* See no_stack() in frame_stack.c: a callee without a frame returns no error. */
    coil_sim_expect(sim, status == 0 || status == 1 || status == -SIGTERM, "%s ended with %d", name,
            status);
}

const char *corpus_address(coil_sim *sim, const char *host, unsigned port)
{
    static char texts[8][64];
    static unsigned next;
    char *text = texts[next++ % 8];
    (void)snprintf(text, sizeof(texts[0]), "%s:%u", coil_sim_address(sim, host), port);
    return text;
}

coil_define(coil_stream *, corpus_connect, (const char *) address)
{
    vars(coil_stream *peer; int tries);
    for (;;) {
        await(my->peer, coil_connect(address));
        if (coil_pointer_error(my->peer) != -ECONNREFUSED || ++my->tries > 100)
            return my->peer;
        await(coil_sleep(coil_ms(5)));
    }
}

coil_define(int, corpus_drain, (int) fd)
{
    vars(char bytes[512]; ssize_t count; int sum);

    do {
        attempt(my->count, coil_read(fd, my->bytes, sizeof(my->bytes)));
        my->sum += (int)my->count;
    } while (my->count > 0);
    return my->sum;
}

coil_define(int, corpus_be_crowd, (corpus_crowd *) crowd)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < crowd->count; my->i++)
        (void)coil_spawn_handler(&my->group, crowd->member, crowd);
    ignore(coil_group_join(&my->group));
    return 0;
}

coil_define(int, corpus_await_end, (coil_sim *) sim, (pid_t) pid)
{
    vars();
    while (coil_sim_status(sim, pid) == -EBUSY)
        await(coil_sleep(coil_ms(20)));
    return coil_sim_status(sim, pid);
}

coil_define(int, corpus_live, (coil_sim *) sim, (corpus_lives *) lives, (unsigned) count)
{
    vars(unsigned i);

    for (my->i = 1; my->i < count; my->i++) {
        await(coil_sleep(corpus_moment(lives->most)));
        lives->was_hurt = true;
        if (corpus_chance(60)) {
            coil_sim_cut_power(sim, lives->host);
        } else {
            (void)coil_sim_kill(sim, lives->pid, SIGKILL);
            ignore(corpus_await_end(sim, lives->pid));
        }
        lives->pid = coil_sim_start(sim, lives->host, lives->path, NULL);
    }
    ignore(corpus_await_end(sim, lives->pid));
    return 0;
}

/* ------------------------------------------------------------------------------------ main -- */

#define ENTRY(name) scenario_##name,

int main(int argc, char **argv)
{
    const coil_sim_scenario scenarios[] = {CORPUS_SCENARIOS(ENTRY)};

    return coil_sim_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
