/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to send a datagram of 64 B, or 1400 B, by UDP over loopback and to receive it?
 * Batches of 32, so that nothing is lost; sending and receiving both count. Per datagram.
 *
 *     datagram_64          each with a send of its own
 *     datagram_1400        the same, of 1400 B
 *     datagram_1400_cut    the kernel cuts them, and hands them over joined (GSO, GRO)
 */
#include "measure.h"

#include <coil/check.h>
#include <coil/datagram.h>
#include <coil/loop.h>
#include <coil/stream.h>

#include <coil/sugar.h>

enum { BATCH = 32, LARGE_BYTES = 1400, SMALL_BYTES = 64 };

static char payload[BATCH * LARGE_BYTES];

async(int, send_one_by_one, (coil_datagram_socket *) from, (coil_datagram_socket *) to,
        (size_t) size_bytes)
{
    vars(int i);
    for (my->i = 0; my->i < BATCH; my->i++)
        attempt(coil_datagram_send(from, coil_datagram_local(to), coil_bytes(payload, size_bytes)));
    return 0;
}

async(int, exchange, (size_t) size_bytes, (bool) is_cut, (int64_t) count)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in[BATCH];
            int64_t i; int got; int rc);
    const coil_datagram_options options = {
            .local = "127.0.0.1:0", .max_bytes = 2048, .joins_segments = is_cut};

    COIL_CHECK(coil_datagram_open(&options, &my->server) == 0);
    defer(coil_datagram_close(my->server));
    COIL_CHECK(coil_datagram_open(&options, &my->client) == 0);
    defer(coil_datagram_close(my->client));
    for (my->i = 0; my->i < count;) {
        if (is_cut) {
            attempt(coil_datagram_send_segments(my->client, coil_datagram_local(my->server),
                    coil_bytes(payload, BATCH * size_bytes), size_bytes));
        } else {
            attempt(send_one_by_one(my->client, my->server, size_bytes));
        }
        for (my->got = 0; my->got < BATCH; my->got += my->rc) {
            attempt(my->rc,
                    within(coil_s(10), coil_datagram_receive_some(my->server, my->in, BATCH)));
            for (int k = 0; k < my->rc; k++) {
                COIL_CHECK((size_t)my->in[k].bytes.size_bytes == size_bytes);
                coil_datagram_release(&my->in[k]);
            }
        }
        my->i += BATCH;
    }
    return 0;
}

static double run(size_t size_bytes, bool is_cut, int64_t count)
{
    coil_loop *loop;
    char reason[COIL_REASON_BYTES];

    if (coil_loop_create(&loop, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    double start_ns = measure_now_ns();
    COIL_CHECK(coil_spawn(coil_loop_root(loop), exchange(size_bytes, is_cut, count)));
    COIL_CHECK(coil_loop_run(loop) == 0);
    double spent_ns = measure_now_ns() - start_ns;
    coil_loop_destroy(loop);
    return spent_ns;
}

static double run_64(int64_t count)
{
    return run(SMALL_BYTES, false, count);
}

static double run_1400(int64_t count)
{
    return run(LARGE_BYTES, false, count);
}

static double run_1400_cut(int64_t count)
{
    return run(LARGE_BYTES, true, count);
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"datagram_64", "coil", run_64, 0, MEASURE_NS},
            {"datagram_1400", "coil", run_1400, 0, MEASURE_NS},
            {"datagram_1400_cut", "coil", run_1400_cut, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
