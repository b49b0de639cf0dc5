/* SPDX-License-Identifier: MIT */
/* Bytes through the simulated kernel: short transfers, MSG_WAITALL, provided buffers, the end. */
#include "sim_stage.h"
#include "stream_double.h"

#include <cstring>

#include <coil/sugar.h>

namespace
{

enum { SIZE_BYTES = 1000 };

char letter(int place)
{
    return (char)('a' + place % 26);
}

/* ------------------------------------------------------------------------- all or nothing -- */

async(int, sends_all, (int) fd)
{
    vars(char bytes[SIZE_BYTES]; int i; ssize_t rc);
    for (my->i = 0; my->i < SIZE_BYTES; my->i++)
        my->bytes[my->i] = letter(my->i);
    await(my->rc, coil_send(fd, my->bytes, SIZE_BYTES, MSG_WAITALL));
    if (my->rc != SIZE_BYTES)
        return -EIO;
    attempt(coil_shutdown(fd, SHUT_RDWR));
    return 0;
}

async(int, exchanges, (int) flags)
{
    vars(coil_group group; int fd; char bytes[SIZE_BYTES]; int i; ssize_t rc; size_t count);
    my->fd = stream_double();
    defer(ignore(coil_close(my->fd)));
    open_group(&my->group);
    spawn(&my->group, sends_all(my->fd));
    do {
        await(my->rc, coil_recv(my->fd, my->bytes + my->count, SIZE_BYTES - my->count, flags));
        if (my->rc <= 0)
            break;
        my->count += (size_t)my->rc;
        if (flags == MSG_WAITALL && my->count != SIZE_BYTES)
            return 2;
    } while (my->count < SIZE_BYTES);
    for (my->i = 0; my->i < SIZE_BYTES; my->i++) {
        if (my->bytes[my->i] != letter(my->i))
            return 3;
    }
    attempt(coil_group_join(&my->group));
    await(my->rc, coil_recv(my->fd, my->bytes, 1, 0));
    return my->rc == 0 ? 0 : 4; /* The end. */
}

TEST(SimTransfer, WaitingForAllGetsAll)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        World world(seed, seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY);
        ASSERT_EQ(0, world.run([](int, char **) { return (int)coil_run(exchanges(MSG_WAITALL)); }))
                << seed;
    }
}

TEST(SimTransfer, ShortTransfersLoseNothing)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        World world(seed, seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY);
        ASSERT_EQ(0, world.run([](int, char **) { return (int)coil_run(exchanges(0)); })) << seed;
    }
}

/* Pitfall 7: what has been transferred is delivered. */
async(int, gives_up_half_way)
{
    vars(int fd; char bytes[SIZE_BYTES]; ssize_t rc);
    my->fd = stream_double();
    defer(ignore(coil_close(my->fd)));
    if (coil_kernel_send_now(my->fd, "abc", 3) != 3)
        return 1;
    await(my->rc, within(coil_ms(1), coil_recv(my->fd, my->bytes, SIZE_BYTES, MSG_WAITALL)));
    return my->rc == 3 && memcmp(my->bytes, "abc", 3) == 0 ? 0 : 2;
}

TEST(SimTransfer, ACancelledTransferDeliversWhatItHas)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed);
        ASSERT_EQ(0, world.run([](int, char **) { return (int)coil_run(gives_up_half_way()); }))
                << seed;
    }
}

/* ------------------------------------------------------------------------ provided buffers -- */

async(int, receives_slices)
{
    vars(coil_group group; int fd; coil_receiver *receiver; coil_slice slice; int place; int64_t i;
            int rc);
    my->fd = stream_double();
    my->rc =
            coil_receiver_create(coil_loop_current(), my->fd, COIL_TRANSPORT_SOCKET, &my->receiver);
    if (my->rc < 0)
        return my->rc;
    defer(coil_receiver_close(my->receiver));
    open_group(&my->group);
    spawn(&my->group, sends_all(my->fd));
    for (;;) {
        await(my->slice, coil_receiver_next(my->receiver));
        if (my->slice.size_bytes <= 0)
            break;
        for (my->i = 0; my->i < my->slice.size_bytes; my->i++) {
            if (my->slice.bytes[my->i] != letter(my->place++))
                return 3;
        }
        coil_slice_release(&my->slice);
    }
    attempt(coil_group_join(&my->group));
    return my->slice.size_bytes == 0 && my->place == SIZE_BYTES ? 0 : 2;
}

TEST(SimTransfer, AReceiverGetsEveryByteInOrder)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        World world(seed, seed % 2 == 0 ? COIL_SIM_KIND : COIL_SIM_FLAKY);
        ASSERT_EQ(0, world.run([](int, char **) { return (int)coil_run(receives_slices()); }))
                << seed;
    }
}

} // namespace
