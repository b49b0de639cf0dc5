/* SPDX-License-Identifier: MIT */
/*
 * TLS on connections that are slow, cut, changed or silent, with tasks that are cancelled, and
 * without memory.
 */
#include "tls_cast.h"

#include <cstdlib>
#include <random>

#include <coil/sugar.h>

/* The program is linked with --wrap for these. OpenSSL takes them, too, as main() below sees to. */
static bool counts_down;
static int64_t allocations_left;

static bool has_memory()
{
    return !counts_down || allocations_left-- != 0;
}

extern "C" {
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return has_memory() ? __real_malloc(size) : nullptr;
}
void *__wrap_calloc(size_t count, size_t size)
{
    return has_memory() ? __real_calloc(count, size) : nullptr;
}
void *__wrap_realloc(void *old, size_t size)
{
    return has_memory() ? __real_realloc(old, size) : nullptr;
}

static void *openssl_allocate(size_t size, const char *, int)
{
    return malloc(size);
}
static void *openssl_reallocate(void *old, size_t size, const char *, int)
{
    return realloc(old, size);
}
static void openssl_release(void *memory, const char *, int)
{
    free(memory);
}
}

/* (Before anything of OpenSSL has run.) */
static const int hooked =
        CRYPTO_set_mem_functions(openssl_allocate, openssl_reallocate, openssl_release);

namespace
{

/* ------------------------------------------------------------------------------- the wire -- */

/* One direction of it. */
struct Lane {
    size_t piece_bytes = 100000; /* At most so many at a time; */
    bool is_random = false;      /* or any number up to that. */
    coil_duration delay = 0;     /* Of each piece. */
    size_t ends_at = SIZE_MAX;   /* The receiver sees an end there, */
    size_t stalls_at = SIZE_MAX; /* or nothing more, */
    size_t flips_at = SIZE_MAX;  /* or a bit that is not what it was. */
    size_t carried = 0;
    std::mt19937 random{1};

    size_t next(size_t have_bytes)
    {
        const size_t wants = is_random ? 1 + random() % piece_bytes : piece_bytes;
        const size_t stop = std::min(ends_at, stalls_at);
        return std::min({wants, have_bytes, stop - carried});
    }
};

async(int, carry, (Lane *) lane, (coil_stream *) from, (coil_stream *) to)
{
    vars(coil_slice slice; char piece[4096]; size_t size; int rc);
    defer(coil_slice_release(&my->slice));
    for (;;) {
        coil_slice_release(&my->slice);
        await(my->slice, coil_read_some(from));
        if (my->slice.size_bytes <= 0)
            break;
        while (my->slice.size_bytes > 0) {
            my->size = lane->next(
                    std::min(sizeof(my->piece), static_cast<size_t>(my->slice.size_bytes)));
            if (my->size == 0)
                break;
            memcpy(my->piece, my->slice.bytes, my->size);
            if (lane->flips_at - lane->carried < my->size)
                my->piece[lane->flips_at - lane->carried] ^= 0x10;
            coil_slice_consume(&my->slice, static_cast<int64_t>(my->size));
            lane->carried += my->size;
            if (lane->delay > 0)
                await(coil_sleep(lane->delay));
            await(my->rc, coil_write_all(to, coil_bytes(my->piece, my->size)));
        }
        if (lane->carried == lane->stalls_at)
            await(coil_sleep(coil_s(1000)));
        if (lane->carried == lane->ends_at)
            break; /* What the sender still says is lost. */
    }
    coil_slice_release(&my->slice);
    await(my->rc, coil_stream_shutdown(to));
    for (;;) { /* Like a pipe whose other end is open. */
        await(my->slice, coil_read_some(from));
        if (my->slice.size_bytes <= 0)
            break;
        coil_slice_release(&my->slice);
    }
    return 0;
}

async(int, relay, (Lane *) there, (Lane *) back, (coil_stream *) near, (coil_stream *) far)
{
    vars(coil_group group);
    defer(coil_stream_close(far));
    defer(coil_stream_close(near));
    open_group(&my->group);
    spawn(&my->group, carry(there, near, far));
    spawn(&my->group, carry(back, far, near));
    attempt(coil_group_join(&my->group));
    return 0;
}

struct Scene {
    Side *client;
    Side *server;
    Lane there;
    Lane back;
    int64_t memory_ends_at = -1; /* Allocations from then on; -1: there is memory. */
};

async(int, perform, (Scene *) scene)
{
    vars(coil_stream *ends[4]; coil_group players; coil_group wire);
    EXPECT_EQ(0, coil_stream_pair(&my->ends[0], &my->ends[1]));
    EXPECT_EQ(0, coil_stream_pair(&my->ends[2], &my->ends[3]));
    open_group(&my->wire);
    open_group(&my->players);
    spawn(&my->wire, relay(&scene->there, &scene->back, my->ends[1], my->ends[2]));
    spawn(&my->players, play(scene->client, my->ends[0]));
    spawn(&my->players, play(scene->server, my->ends[3]));
    allocations_left = scene->memory_ends_at;
    counts_down = scene->memory_ends_at >= 0;
    attempt(coil_group_join(&my->players));
    coil_group_cancel(&my->wire);
    ignore(coil_group_join(&my->wire));
    return 0;
}

class TlsFaults : public Tls
{
protected:
    TlsFaults()
    {
        coil_tls_options options = {};
        options.refuses_resumption = true; /* Each time the same bytes, nearly. */
        serve(authority().issue(), options);
        trust(authority(), options);
    }

    void say_something(size_t size_bytes)
    {
        std::mt19937 random(7);
        client.says.clear();
        server.says.clear();
        for (size_t i = 0; i < size_bytes; i++) {
            client.says.push_back(static_cast<char>(random()));
            server.says.push_back(static_cast<char>(random()));
        }
        client.hears = server.hears = size_bytes;
    }

    /* Everything as before a performance. */
    void forget()
    {
        for (Side *side : {&client, &server}) {
            side->heard.clear();
            side->failure = {};
            side->shaken = 1;
            side->said_rc = side->end_rc = 1;
        }
    }

    int run(Scene *scene, coil_duration limit = coil_s(500))
    {
        forget();
        return static_cast<int>(RUN_AT_ONCE(within(limit, perform(scene))));
    }

    Scene scene(const Lane &lane = {})
    {
        return {&client, &server, lane, lane, -1};
    }

    static void expect_prefix(const std::string &part, const std::string &whole)
    {
        EXPECT_EQ(0, whole.compare(0, part.size(), part));
    }
};

/* A multiple of the usual number: COIL_TEST_SEEDS. */
unsigned seeds(unsigned usual)
{
    const char *times = getenv("COIL_TEST_SEEDS");
    return usual * (times != nullptr ? static_cast<unsigned>(std::max(1, atoi(times))) : 1);
}

TEST_F(TlsFaults, AreNotCausedByPiecesOfAnySize)
{
    say_something(3000);
    for (unsigned seed = 0; seed < seeds(10); seed++) {
        Lane lane;
        lane.is_random = seed > 0;
        lane.piece_bytes = seed == 0 ? 1 : 1 + (seed * seed * 7) % 300;
        lane.random.seed(seed);
        Scene now = scene(lane);
        EXPECT_EQ(0, run(&now));
        expect_success();
        EXPECT_TRUE(client.heard == server.says && server.heard == client.says) << seed;
    }
}

TEST_F(TlsFaults, AnEndAtAnyByteIsSeen)
{
    say_something(500);
    Scene whole = scene();
    EXPECT_EQ(0, run(&whole));
    for (const bool is_there : {true, false}) {
        const size_t total = is_there ? whole.there.carried : whole.back.carried;
        for (size_t at = 0; at<total - 60; at += seeds(1)> 1 ? 1 : 1 + at / 20) {
            Scene now = scene();
            (is_there ? now.there : now.back).ends_at = at;
            EXPECT_EQ(0, run(&now));
            const Side &hit = is_there ? server : client;
            if (hit.shaken == 0) {
                EXPECT_EQ(-ECONNABORTED, hit.end_rc) << at;
                EXPECT_EQ(COIL_TLS_TRUNCATED, hit.failure.reason) << at;
            } else {
                EXPECT_EQ(-ECONNABORTED, hit.shaken) << at << " " << hit.failure.text;
            }
            expect_prefix(client.heard, server.says);
            expect_prefix(server.heard, client.says);
        }
    }
}

TEST_F(TlsFaults, NoChangedBitIsTakenForTheTruth)
{
    say_something(500);
    std::mt19937 random(3);
    unsigned clean_count = 0;
    for (unsigned seed = 0; seed < seeds(100); seed++) {
        Scene now = scene();
        (seed % 2 == 0 ? now.there : now.back).flips_at = random() % 2000;
        EXPECT_EQ(0, run(&now));
        expect_prefix(client.heard, server.says);
        expect_prefix(server.heard, client.says);
        const bool is_clean = client.end_rc == 0 && server.end_rc == 0;
        clean_count += is_clean;
        if (is_clean) {
            EXPECT_EQ(client.says, server.heard);
            EXPECT_EQ(server.says, client.heard);
        }
    }
    EXPECT_LT(clean_count, seeds(60)); /* Behind all that was said, or where it does not matter. */
}

/* The handshake is given up at its limit, whichever byte is not followed by another. */
TEST_F(TlsFaults, ASilentPeerIsGivenUp)
{
    client.limit = server.limit = coil_s(5);
    client.hears = server.hears = 1; /* Until it is silent. */
    client.reads_end = server.reads_end = false;
    client.patience = server.patience = coil_s(1);
    Scene whole = scene();
    EXPECT_EQ(0, run(&whole));
    for (const bool is_there : {true, false}) {
        const Side &waits = is_there ? server : client;
        const size_t total = is_there ? whole.there.carried : whole.back.carried;
        ASSERT_GT(total, 300u);
        for (size_t at = 0; at<total; at += seeds(1)> 1 ? 1 : 1 + at / 20) {
            Scene now = scene();
            (is_there ? now.there : now.back).stalls_at = at;
            (void)run(&now, coil_s(20));
            EXPECT_TRUE(waits.shaken == -ETIME || waits.shaken == 0) << at << " " << waits.shaken;
            EXPECT_TRUE(waits.shaken == -ETIME || at > 300) << at;
        }
    }
}

TEST_F(TlsFaults, CancelledReadsLoseNothing)
{
    say_something(30000);
    client.patience = server.patience = coil_us(1500);
    for (unsigned seed = 0; seed < seeds(5); seed++) {
        Lane lane;
        lane.is_random = true;
        lane.piece_bytes = 1500;
        lane.delay = coil_ms(1);
        lane.random.seed(seed);
        Scene now = scene(lane);
        EXPECT_EQ(0, run(&now));
        expect_success();
        EXPECT_TRUE(client.heard == server.says && server.heard == client.says) << seed;
    }
}

TEST_F(TlsFaults, CancellationAtAnyTimeLeavesNothing)
{
    say_something(20000);
    std::mt19937 random(5);
    unsigned cancelled_count = 0;
    for (unsigned seed = 0; seed < seeds(150); seed++) {
        Lane lane;
        lane.is_random = true;
        lane.piece_bytes = 1200;
        lane.delay = coil_ms(1);
        lane.random.seed(seed);
        Scene now = scene(lane);
        const int rc = run(&now, coil_us(random() % 40000));
        EXPECT_TRUE(rc == 0 || rc == -ETIME) << rc;
        cancelled_count += rc != 0;
        expect_prefix(client.heard, server.says);
        expect_prefix(server.heard, client.says);
    }
    EXPECT_GT(cancelled_count, 20u);
}

/* One allocation fails, whichever it is: of ours, of the relay's, of OpenSSL's. */
TEST_F(TlsFaults, NoMemoryIsAnError)
{
    EXPECT_EQ(1, hooked) << "OpenSSL has its own memory";
    say_something(2000);
    unsigned failed_count = 0;
    unsigned named_count = 0;
    for (int64_t at = 0; at < 100000; at += 1 + at / 25) {
        Scene now = scene();
        now.memory_ends_at = at;
        const int rc = run(&now);
        const bool has_failed = allocations_left < 0;
        counts_down = false;
        expect_prefix(client.heard, server.says);
        expect_prefix(server.heard, client.says);
        if (!has_failed) {
            EXPECT_EQ(0, rc);
            expect_success();
            break;
        }
        failed_count++;
        named_count += client.shaken == -ENOMEM || server.shaken == -ENOMEM;
    }
    EXPECT_GT(failed_count, 50u);
    EXPECT_GT(named_count, 20u);
}

} // namespace
