/* SPDX-License-Identifier: MIT */

/*
 * The closed loop: N connections, each with D requests outstanding. A new request goes out for each
 * reply, so the latencies are service times under this load and not those of an open stream of
 * arrivals: a server that stalls is asked nothing meanwhile.
 */
#include "stream.h"

#include <errno.h>

static bool measuring;

/* All requests of a turn go out together, and are stamped with the time at which it began to
 * answer: the moment of sending, to a microsecond. */
static void closed_replied(
        struct engine *self, struct stream *stream, uint64_t stamp_ns, uint64_t now_ns)
{
    if (measuring) {
        stream->served = true;
        coil_histogram_add(&self->latencies, now_ns - stamp_ns);
    }
    stream_allow(self, stream, now_ns);
}

static void closed_for(struct engine *engine, double seconds)
{
    uint64_t end_ns = load_now_ns() + (uint64_t)(seconds * 1e9);
    int64_t timeout_ns = engine->options->spin ? 0 : LOAD_STALL_MS * 1000000LL;

    while (engine->errors == 0 && load_now_ns() < end_ns) {
        if (engine_turn(engine, timeout_ns) == 0 && timeout_ns > 0)
            engine_fail(engine, NULL, "no reply", ETIMEDOUT);
    }
}

int closed_run(const load_options *options, const struct codec *codec)
{
    static struct engine engine = {.replied = closed_replied};
    load_result result = {.options = options,
            .latencies = &engine.latencies,
            .request_bytes = codec->request_bytes};

    engine_init(&engine, options, codec, options->depth);
    for (int i = 0; i < options->connections; i++) {
        for (int k = 0; k < options->depth; k++)
            stream_allow(&engine, &engine.streams[i], load_now_ns());
        stream_pump(&engine, &engine.streams[i]);
    }
    closed_for(&engine, options->warmup_s);
    result.from = load_read(options->server_pid);
    measuring = true;
    closed_for(&engine, options->measured_s);
    result.to = load_read(options->server_pid);
    result.served = engine_served(&engine);
    result.errors = engine.errors;
    load_report(&result);
    return engine.errors ? 1 : 0;
}
