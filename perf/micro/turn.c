/* SPDX-License-Identifier: MIT */
/*
 * What a message costs on a real loop: received, and sent back, as docs/examples/echo does it. Two
 * such tasks hand a message of 64 bytes to each other through a pair of sockets; each hand-over is
 * one operation, a receive and a send. What the kernel takes is in the time, and not in the
 * instructions.
 *
 *     recv_send         one pair: a turn of the loop for each message
 *     recv_send_50      50 pairs: as many messages a turn
 *     rpc_call          a call of getStatus and its reply, client and server, over TCP
 */
#include "measure.h"

#include <coil/coil.h>
#include <coil/fb303_service.h>

#include <coil/sugar.h>

enum { MESSAGE_BYTES = 64, PAIRS = 50 };

static const char message[MESSAGE_BYTES];

async(int, relay, (coil_stream *) peer, (int64_t) count)
{
    vars(coil_slice in; int64_t i);

    defer(coil_slice_release(&my->in));
    for (; my->i < count; my->i++) {
        attempt(my->in, coil_read_some(peer));
        COIL_CHECK(my->in.size_bytes == MESSAGE_BYTES);
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
    return 0;
}

/* `count` hand-overs, there and back. The last message stays with the first. */
async(int, bounce, (int64_t) count)
{
    vars(coil_stream *one; coil_stream *other; coil_group group);

    COIL_CHECK(coil_stream_pair(&my->one, &my->other) == 0);
    defer(coil_stream_close(my->one));
    defer(coil_stream_close(my->other));
    open_group(&my->group);
    spawn(&my->group, relay(my->one, count / 2));
    spawn(&my->group, relay(my->other, count / 2));
    attempt(coil_write_all(my->one, coil_bytes(message, sizeof(message))));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, bounce_50, (int64_t) count)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    for (; my->i < PAIRS; my->i++)
        spawn(&my->group, bounce(count / PAIRS));
    attempt(coil_group_join(&my->group));
    return 0;
}

static coil_fb303_service service;
static coil_thrift_service *services[] = {&service.thrift};
static coil_thrift_server server = {.services = services, .service_count = 1};

async(int, call_all, (const char *) address, (int64_t) count)
{
    vars(coil_thrift_client *client; int64_t i);

    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    for (; my->i < count; my->i++)
        attempt(coil_fb303_get_status(my->client));
    return 0;
}

async(int, serve_calls, (int64_t) count)
{
    vars(coil_listener *listener; coil_group group; char address[COIL_ADDRESS_TEXT_BYTES]);

    COIL_CHECK(coil_listen("127.0.0.1:0", NULL, &my->listener) == 0);
    defer(coil_listener_close(my->listener));
    (void)coil_address_format(coil_listener_address(my->listener), my->address);
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &server));
    attempt(call_all(my->address, count));
    return 0;
}

#define RUN(name)                               \
    static double run_##name(int64_t count)     \
    {                                           \
        double start_ns = measure_now_ns();     \
        COIL_CHECK(coil_run(name(count)) == 0); \
        return measure_now_ns() - start_ns;     \
    }

RUN(bounce)
RUN(bounce_50)
RUN(serve_calls)

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"recv_send", "coil", run_bounce, 0, MEASURE_NS},
            {"recv_send_50", "coil", run_bounce_50, 0, MEASURE_NS},
            {"rpc_call", "coil", run_serve_calls, 0, MEASURE_NS},
    };
    coil_fb303_service_init(&service, "turn", "1");
    int rc = measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
    coil_fb303_service_fini(&service);
    return rc;
}
