/* SPDX-License-Identifier: MIT */

/*
 * The open loop: requests go out at scheduled times, whatever the replies do, and a latency counts
 * from the *scheduled* time. A server that stalls is asked on meanwhile, and each of those requests
 * shows how long it had to wait: the coordinated omission of the closed loop is corrected. The same
 * holds when it is the generator that is late.
 *
 * Measured are the requests that were due in the measured period. Those that have no reply
 * DRAIN_S after it has ended count with the time that they have waited until then.
 */
#include "stream.h"

#include <errno.h>
#include <math.h>

#include <sys/prctl.h>

enum {
    OUTSTANDING_MAX = 4000000, /* of requests: the server cannot follow at all */
    BURST_MAX = 64,            /* due requests that go out before replies are looked at */
};

#define DRAIN_S 2.0

struct schedule {
    struct engine engine; /* first: `replied` gets this */
    uint64_t random;
    double next_ns; /* when the next request is due */
    uint64_t from_ns;
    uint64_t to_ns;
    uint64_t issued;  /* requests so far */
    uint64_t pending; /* that count and have no reply */
};

/* splitmix64: evenly in (0, 1]. */
static double random_share(struct schedule *self)
{
    uint64_t mixed = (self->random += 0x9e3779b97f4a7c15ULL);

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    mixed ^= mixed >> 31;
    return ((double)(mixed >> 11) + 1) / 9007199254740992.0;
}

static double gap_ns(struct schedule *self)
{
    const load_options *options = self->engine.options;
    double mean_ns = 1e9 / options->rate;

    return options->poisson ? -log(random_share(self)) * mean_ns : mean_ns;
}

static bool counts(const struct schedule *self, uint64_t due_ns)
{
    return due_ns >= self->from_ns && due_ns < self->to_ns;
}

static void open_replied(
        struct engine *engine, struct stream *stream, uint64_t stamp_ns, uint64_t now_ns)
{
    struct schedule *self = (struct schedule *)engine;

    if (!counts(self, stamp_ns))
        return;
    stream->served = true;
    self->pending--;
    coil_histogram_add(&engine->latencies, now_ns - stamp_ns);
}

/* The connections take turns. */
static void issue(struct schedule *self)
{
    struct engine *engine = &self->engine;
    struct stream *stream =
            &engine->streams[self->issued++ % (uint64_t)engine->options->connections];
    uint64_t due_ns = (uint64_t)self->next_ns;

    if (counts(self, due_ns))
        self->pending++;
    stream_allow(engine, stream, due_ns);
    if (engine->outstanding > OUTSTANDING_MAX)
        engine_fail(engine, stream, "far too many requests have no reply", EOVERFLOW);
    else if (!stream->waits_for_room)
        stream_pump(engine, stream);
    self->next_ns += gap_ns(self);
}

static void issue_due(struct schedule *self)
{
    uint64_t now_ns = load_now_ns();

    for (int i = 0; i < BURST_MAX && self->next_ns <= (double)now_ns && self->engine.errors == 0;
            i++)
        issue(self);
}

static int64_t until_ns(const struct schedule *self, uint64_t end_ns)
{
    uint64_t now_ns = load_now_ns();
    uint64_t next_ns = (uint64_t)self->next_ns < end_ns ? (uint64_t)self->next_ns : end_ns;

    return self->engine.options->spin || next_ns <= now_ns ? 0 : (int64_t)(next_ns - now_ns);
}

static void open_until(struct schedule *self, uint64_t end_ns)
{
    while (self->engine.errors == 0 && load_now_ns() < end_ns) {
        issue_due(self);
        (void)engine_turn(&self->engine, until_ns(self, end_ns));
    }
}

/* What the replies that are still missing have waited for. */
static void count_unanswered(struct schedule *self, uint64_t now_ns)
{
    for (int i = 0; i < self->engine.options->connections; i++) {
        const struct stream *stream = &self->engine.streams[i];
        for (uint64_t at = stream->in.sequence; at < stream->limit; at++) {
            uint64_t due_ns = stream->stamp_ns[at & (stream->stamps - 1)];
            if (counts(self, due_ns))
                coil_histogram_add(&self->engine.latencies, now_ns - due_ns);
        }
    }
}

/* Those that were due in the measured period and are late because we are. */
static void issue_rest(struct schedule *self)
{
    while (self->next_ns < (double)self->to_ns && self->engine.errors == 0)
        issue(self);
}

static void drain(struct schedule *self)
{
    uint64_t end_ns = load_now_ns() + (uint64_t)(DRAIN_S * 1e9);

    for (uint64_t now_ns; self->engine.errors == 0 && self->pending > 0;) {
        if ((now_ns = load_now_ns()) >= end_ns)
            break;
        (void)engine_turn(&self->engine, (int64_t)(end_ns - now_ns));
    }
    if (self->pending > 0)
        count_unanswered(self, load_now_ns());
}

int open_run(const load_options *options, const struct codec *codec)
{
    static struct schedule self = {.engine.replied = open_replied};
    struct engine *engine = &self.engine;
    load_result result = {.options = options,
            .latencies = &engine->latencies,
            .request_bytes = codec->request_bytes};

    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    self.random = options->seed;
    engine_init(engine, options, codec, 16);
    uint64_t now_ns = load_now_ns();
    self.next_ns = (double)now_ns;
    self.from_ns = now_ns + (uint64_t)(options->warmup_s * 1e9);
    self.to_ns = self.from_ns + (uint64_t)(options->measured_s * 1e9);
    open_until(&self, self.from_ns);
    result.from = load_read(options->server_pid);
    open_until(&self, self.to_ns);
    result.to = load_read(options->server_pid);
    issue_rest(&self);
    drain(&self);
    result.served = engine_served(engine);
    result.unanswered = self.pending;
    result.errors = engine->errors;
    load_report(&result);
    return engine->errors ? 1 : 0;
}
