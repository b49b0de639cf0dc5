/* SPDX-License-Identifier: MIT */
/*
 * Once a server has seen its connections and their load, a request allocates nothing: no memory of
 * the heap, no slab, no page. Server and clients are tasks of one loop, on TCP over loopback, so
 * the clients are held to the same.
 */
#include "echo_stream.h"
#include "thrift_packets.h"
#include "typed_service.h"

#include <coil/coil.h>
#include <coil/fb303_service.h>

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <sys/mman.h>

#include <string>
#include <vector>

#include <coil/sugar.h>

/* ------------------------------------------------------------------------------- counting -- */

namespace
{

struct Counter {
    bool counting = false;
    size_t count = 0;
    size_t first_bytes = 0;
    void *first_caller = nullptr;
};

Counter allocations;
size_t send_count; /* Of all system calls that send at once. */

void counted(size_t size_bytes, void *caller)
{
    if (!allocations.counting)
        return;
    if (allocations.count++ == 0) {
        allocations.first_bytes = size_bytes;
        allocations.first_caller = caller;
    }
}

/* For `addr2line -f -e steady_test`. */
std::string first_allocation()
{
    Dl_info where = {};
    if (allocations.count == 0 || dladdr(allocations.first_caller, &where) == 0)
        return "none";
    const size_t offset = static_cast<size_t>(
            static_cast<char *>(allocations.first_caller) - static_cast<char *>(where.dli_fbase));
    char text[100];
    (void)snprintf(text, sizeof(text), "the first: %zu bytes, from %s+0x%zx",
            allocations.first_bytes, where.dli_fname, offset);
    return text;
}

} // namespace

/* The program is linked with --wrap of each of these. */
extern "C" {

void *__real_malloc(size_t);
void *__wrap_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__wrap_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__wrap_realloc(void *, size_t);
void *__real_aligned_alloc(size_t, size_t);
void *__wrap_aligned_alloc(size_t, size_t);
void __real_free(void *);
void __wrap_free(void *);
ssize_t __real_send(int, const void *, size_t, int);
ssize_t __wrap_send(int, const void *, size_t, int);
void *__real_mmap(void *, size_t, int, int, int, off_t);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);

void *__wrap_malloc(size_t size_bytes)
{
    counted(size_bytes, __builtin_return_address(0));
    return __real_malloc(size_bytes);
}

void *__wrap_calloc(size_t count, size_t size_bytes)
{
    counted(count * size_bytes, __builtin_return_address(0));
    return __real_calloc(count, size_bytes);
}

void *__wrap_realloc(void *memory, size_t size_bytes)
{
    counted(size_bytes, __builtin_return_address(0));
    return __real_realloc(memory, size_bytes);
}

void *__wrap_aligned_alloc(size_t alignment_bytes, size_t size_bytes)
{
    counted(size_bytes, __builtin_return_address(0));
    return __real_aligned_alloc(alignment_bytes, size_bytes);
}

void __wrap_free(void *memory)
{
    if (memory != nullptr)
        counted(0, __builtin_return_address(0));
    __real_free(memory);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size_bytes, int flags)
{
    send_count++;
    return __real_send(fd, bytes, size_bytes, flags);
}

void *__wrap_mmap(void *at, size_t size_bytes, int protection, int flags, int fd, off_t offset)
{
    counted(size_bytes, __builtin_return_address(0));
    return __real_mmap(at, size_bytes, protection, flags, fd, offset);
}
}

namespace
{

/* ------------------------------------------------------------------------------- the cast -- */

/* A load, and the server that it is for. */
struct Load {
    std::string requests;                 /* What a connection sends at once. */
    size_t replies_bytes;                 /* What it then waits for. */
    size_t connection_count;              /* At the same time. */
    size_t round_count;                   /* On each connection, in a period. */
    coil_thrift_server *thrift = nullptr; /* NULL: echo. */
    bool with_client = false;             /* The requests are calls of coil/thrift_client.h, */
    bool with_pool = false;               /* or of all channels one upon the other. */
    std::string address = "";
};

async(int, ask_bytes, (coil_stream *) stream, (const Load *) load, (size_t) round_count)
{
    vars(coil_slice in; size_t i; size_t got_bytes);

    defer(coil_slice_release(&my->in));
    for (; my->i < round_count; my->i++) {
        attempt(coil_write_all(stream, coil_bytes(load->requests.data(), load->requests.size())));
        for (my->got_bytes = 0; my->got_bytes < load->replies_bytes;) {
            attempt(my->in, coil_read_some(stream));
            if (coil_slice_empty(&my->in))
                return -ENODATA;
            my->got_bytes += static_cast<size_t>(my->in.size_bytes);
            coil_slice_release(&my->in);
        }
    }
    return 0;
}

async(int, ask_calls, (coil_thrift_client *) client, (size_t) round_count)
{
    vars(size_t i);
    for (; my->i < round_count; my->i++)
        attempt(coil_fb303_get_status(client));
    return 0;
}

/* i32 getStatus() (idempotent), as coil-thrift would have it. */
struct StatusResult {
    int32_t success;
    uint32_t has;
};
const coil_thrift_struct_schema no_arguments = {
        "getStatus_args", 4, 0, false, false, 0, nullptr, 0, nullptr, nullptr};
const coil_thrift_field_schema status_fields[] = {
        {"success", &coil_thrift_i32_type, 0, 0, COIL_THRIFT_OPTIONAL}};
const coil_thrift_struct_schema status_result = {"getStatus_result", sizeof(StatusResult), 1, false,
        false, offsetof(StatusResult, has), nullptr, 0, status_fields, nullptr};
const coil_thrift_method_schema get_status = {
        "getStatus", &no_arguments, &status_result, false, true, 0, 0, 0};

/* A pool, calls that are made twice if need be, and again. */
struct Channels {
    coil_thrift_pool *pool = nullptr;
    coil_thrift_backup backup = {};
    coil_thrift_retrying retrying = {};
    coil_arena arena = {};

    int open(const char *address)
    {
        coil_arena_init(&arena, 4096);
        const int rc = coil_thrift_pool_create(coil_loop_current(), address, nullptr, &pool);
        if (rc == 0) {
            coil_thrift_backup_init(&backup, coil_thrift_pool_channel(pool), coil_s(10));
            coil_thrift_retrying_init(&retrying, &backup.channel);
        }
        return rc;
    }

    void close()
    {
        coil_thrift_pool_destroy(pool);
        coil_arena_fini(&arena);
    }
};

async(int, ask_channels, (Channels *) channels, (size_t) round_count)
{
    vars(size_t i; coil_thrift_invocation invocation; StatusResult result);

    my->invocation.method = &get_status;
    my->invocation.result = &my->result;
    my->invocation.arena = &channels->arena;
    my->invocation.timeout = coil_s(10);
    for (; my->i < round_count; my->i++) {
        attempt(coil_thrift_invoke(&channels->retrying.channel, &my->invocation));
        EXPECT_EQ(COIL_FB303_ALIVE, my->result.success);
        coil_arena_reset(&channels->arena);
    }
    return 0;
}

struct Connection {
    coil_stream *stream = nullptr;
    coil_thrift_client *client = nullptr;
    Channels channels;

    void close()
    {
        channels.close();
        coil_stream_close(stream);
        coil_thrift_client_close(client);
    }
};

async(int, ask, (const Load *) load, (Connection *) connection, (size_t) round_count)
{
    vars();
    if (load->with_client)
        attempt(ask_calls(connection->client, round_count));
    else if (load->with_pool)
        attempt(ask_channels(&connection->channels, round_count));
    else
        attempt(ask_bytes(connection->stream, load, round_count));
    return 0;
}

async(int, ask_on_all, (const Load *) load, (std::vector<Connection> *) all, (size_t) round_count)
{
    vars(coil_group group; size_t i);

    open_group(&my->group);
    for (; my->i < all->size(); my->i++)
        spawn(&my->group, ask(load, &(*all)[my->i], round_count));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, connect, (const Load *) load, (Connection *) connection)
{
    vars();
    if (load->with_client)
        attempt(connection->client, coil_thrift_connect(load->address.c_str()));
    else if (load->with_pool)
        return connection->channels.open(load->address.c_str());
    else
        attempt(connection->stream, coil_connect(load->address.c_str()));
    return 0;
}

void close_all(std::vector<Connection> *all)
{
    for (Connection &connection : *all)
        connection.close();
}

/*
 * The load comes in periods, until one of them allocates nothing. In the first few something does:
 * each time, tasks get in one piece what those of the time before needed, a frame deeper; and where
 * a message lies in two buffers, even in its length, it is put together in a block of a size that
 * nobody may have asked for before. What a request allocates is seen in every period.
 */
enum { PERIODS_MAX = 20 };

/* How often the kernel was entered in the last period, and in how many turns of the loop. */
struct Entries {
    uint64_t turns = 0;
    uint64_t enters = 0;
    size_t sends = 0;

    void begin()
    {
        const coil_loop_stats stats = coil_loop_statistics(coil_loop_current());
        *this = {stats.turns, stats.enters, send_count};
    }

    void end()
    {
        const coil_loop_stats stats = coil_loop_statistics(coil_loop_current());
        *this = {stats.turns - turns, stats.enters - enters, send_count - sends};
    }
};

Entries entries;

async(int, warm_up_and_count, (const Load *) load, (std::vector<Connection> *) all)
{
    vars(size_t i; int period);

    defer(close_all(all));
    for (; my->i < all->size(); my->i++)
        attempt(connect(load, &(*all)[my->i]));
    for (; my->period < PERIODS_MAX; my->period++) {
        allocations = Counter();
        entries.begin();
        allocations.counting = true;
        attempt(ask_on_all(load, all, load->round_count));
        allocations.counting = false;
        entries.end();
        if (allocations.count == 0)
            break;
    }
    return 0;
}

async(int, serve_and_ask, (Load *) load, (std::vector<Connection> *) all)
{
    vars(coil_listener *listener; coil_group group; char address[COIL_ADDRESS_TEXT_BYTES]);

    my->listener = nullptr;
    EXPECT_EQ(0, coil_listen("127.0.0.1:0", nullptr, &my->listener));
    defer(coil_listener_close(my->listener));
    load->address = coil_address_format(coil_listener_address(my->listener), my->address);
    open_group(&my->group);
    if (load->thrift != nullptr)
        spawn(&my->group, coil_thrift_serve(my->listener, load->thrift));
    else
        spawn(&my->group, coil_serve(my->listener, coil_handler(echo_stream, coil_stream *)));
    attempt(warm_up_and_count(load, all));
    return 0;
}

void expect_no_allocation(Load load)
{
    std::vector<Connection> all(load.connection_count);

    EXPECT_EQ(0, coil_run(serve_and_ask(&load, &all)));
    allocations.counting = false;
    EXPECT_EQ(0u, allocations.count) << "in " << load.connection_count * load.round_count
                                     << " rounds, each time; " << first_allocation();
}

Load echo_load(size_t connection_count, size_t size_bytes, size_t depth)
{
    const size_t all_bytes = size_bytes * depth;
    return {std::string(all_bytes, 'e'), all_bytes, connection_count, 4000 / connection_count};
}

/* The others are worth nothing if this is not seen. */
TEST(SteadyCounter, SeesWhatTheLibraryAllocates)
{
    std::vector<Connection> none;
    Load idle = echo_load(1, 64, 1);

    allocations = Counter();
    allocations.counting = true;
    EXPECT_EQ(0, coil_run(ask_on_all(&idle, &none, 0)));
    allocations.counting = false;
    EXPECT_LT(0u, allocations.count) << "a loop was created and destroyed";
    EXPECT_NE("none", first_allocation());
}

/* ----------------------------------------------------------------------------------- echo -- */

TEST(SteadyEcho, AllocatesNothingPerRequest)
{
    expect_no_allocation(echo_load(1, 64, 1));
}

TEST(SteadyEcho, AllocatesNothingPerRequestOfMany)
{
    expect_no_allocation(echo_load(1, 64, 16));
}

TEST(SteadyEcho, AllocatesNothingPerLargeRequest)
{
    expect_no_allocation(echo_load(1, 4096, 1));
}

TEST(SteadyEcho, AllocatesNothingOnFiftyConnections)
{
    expect_no_allocation(echo_load(50, 64, 1));
}

TEST(SteadyEcho, AllocatesNothingOnFiftyConnectionsWithManyRequests)
{
    expect_no_allocation(echo_load(50, 64, 16));
}

TEST(SteadyEcho, AllocatesNothingOnFiftyConnectionsWithLargeRequests)
{
    expect_no_allocation(echo_load(50, 4096, 1));
}

/* ------------------------------------------------------------------------------------ RPC -- */

/* A server of one service. */
class SteadyServer : public testing::Test
{
protected:
    explicit SteadyServer(coil_thrift_service *service) : services{service}
    {
        server.services = services;
        server.service_count = 1;
    }

    /* Frames as they are on the wire; `depth` of them at once. */
    Load load_of(const std::string &call, size_t reply_bytes, size_t connection_count, size_t depth)
    {
        Load made = {"", depth * reply_bytes, connection_count, 4000 / connection_count};
        for (size_t i = 0; i < depth; i++)
            made.requests += call;
        made.thrift = &server;
        return made;
    }

    coil_thrift_service *services[1];
    coil_thrift_server server = {};
};

class SteadyThrift : public SteadyServer
{
protected:
    SteadyThrift() : SteadyServer(&service.thrift)
    {
        coil_fb303_service_init(&service, "steady", "1");
    }

    ~SteadyThrift() override
    {
        coil_fb303_service_fini(&service);
    }

    Load load(enum coil_fb303_method method, size_t connection_count, size_t depth)
    {
        coil_fb303_call call = {};
        call.method = method;
        return load_of(request(call), reply_bytes(call), connection_count, depth);
    }

    coil_fb303_service service = {};

private:
    static std::string request(const coil_fb303_call &call)
    {
        coil_thrift_writer writer;
        coil_thrift_writer_init(&writer, nullptr);
        EXPECT_GT(coil_fb303_write_call(&writer, 1, &call), 0);
        std::string bytes(reinterpret_cast<const char *>(writer.bytes), writer.size);
        coil_thrift_writer_fini(&writer);
        return bytes;
    }

    static size_t reply_bytes(const coil_fb303_call &call)
    {
        const coil_fb303_result result = {};
        coil_thrift_message message = {};
        coil_thrift_writer writer;
        message.name = coil_thrift_text_of(coil_fb303_method_name(call.method));
        message.type = COIL_THRIFT_REPLY;
        coil_thrift_writer_init(&writer, nullptr);
        const int size = coil_fb303_write_result(&writer, &message, call.method, &result);
        EXPECT_GT(size, 0);
        coil_thrift_writer_fini(&writer);
        return static_cast<size_t>(size);
    }
};

TEST_F(SteadyThrift, AllocatesNothingPerCall)
{
    expect_no_allocation(load(COIL_FB303_GET_STATUS, 1, 1));
}

TEST_F(SteadyThrift, AllocatesNothingPerCallOfMany)
{
    expect_no_allocation(load(COIL_FB303_GET_STATUS, 1, 16));
}

TEST_F(SteadyThrift, AllocatesNothingOnFiftyConnections)
{
    expect_no_allocation(load(COIL_FB303_GET_STATUS, 50, 1));
}

TEST_F(SteadyThrift, AllocatesNothingOnFiftyConnectionsWithManyCalls)
{
    expect_no_allocation(load(COIL_FB303_GET_STATUS, 50, 16));
}

TEST_F(SteadyThrift, AllocatesNothingInAClient)
{
    Load calls = load(COIL_FB303_GET_STATUS, 1, 1);
    calls.with_client = true;
    expect_no_allocation(calls);
}

TEST_F(SteadyThrift, AllocatesNothingInFiftyClients)
{
    Load calls = load(COIL_FB303_GET_STATUS, 50, 1);
    calls.with_client = true;
    expect_no_allocation(calls);
}

TEST_F(SteadyThrift, AllocatesNothingOverChannels)
{
    Load calls = load(COIL_FB303_GET_STATUS, 1, 1);
    calls.with_pool = true;
    expect_no_allocation(calls);
}

TEST_F(SteadyThrift, AllocatesNothingOverFiftyPools)
{
    Load calls = load(COIL_FB303_GET_STATUS, 50, 1);
    calls.with_pool = true;
    expect_no_allocation(calls);
}

/* ------------------------------------------------------------------- RPC that has to wait -- */

async(int, answer_later, (coil_thrift_call *) call)
{
    vars();
    await(coil_yield());
    EXPECT_NE(nullptr, coil_arena_take(call->arena, 100, 8));
    return 0;
}

class SteadyWaitingThrift : public SteadyServer
{
protected:
    SteadyWaitingThrift() : SteadyServer(&service) {}

    Load load(size_t connection_count, size_t depth)
    {
        const std::string call = packet::text(packet::call("later", packet::stop()));
        return load_of(call, call.size(), connection_count, depth); /* Its reply is as empty. */
    }

    coil_thrift_method methods[1] = {
            {"later", coil_handler(answer_later, coil_thrift_call *), nullptr}};
    coil_thrift_service service = {"Later", methods, 1};
};

TEST_F(SteadyWaitingThrift, AllocatesNothingPerCall)
{
    expect_no_allocation(load(1, 1));
}

TEST_F(SteadyWaitingThrift, AllocatesNothingPerCallOfMany)
{
    expect_no_allocation(load(1, 16));
}

TEST_F(SteadyWaitingThrift, AllocatesNothingOnFiftyConnectionsWithManyCalls)
{
    expect_no_allocation(load(50, 16));
}

/* ---------------------------------------------- RPC with structs, as coil-thrift makes it -- */

/* The sum of the lengths. */
async(int, weigh, (words::WeighCall *) call)
{
    vars();
    for (uint32_t i = 0; i < call->arguments.words.count; i++)
        call->result.success += call->arguments.words.items[i].text.size;
    return 0;
}

class SteadyTypedThrift : public SteadyServer
{
protected:
    SteadyTypedThrift() : SteadyServer(&service) {}

    Load load(size_t connection_count, size_t depth)
    {
        using namespace packet;
        const std::string word = field(11, 1) + text("word") + field(8, 2) + i32(2) + stop();
        /* (A frame, too, is bytes behind their size.) */
        const std::string call = text(
                packet::call("weigh", field(15, 1) + list(12, 3) + word + word + word + stop()));
        const std::string reply = text(packet::reply("weigh", field(10, 0) + i64(12) + stop()));
        return load_of(call, reply.size(), connection_count, depth);
    }

    coil_thrift_method methods[1] = {
            {"weigh", coil_handler(weigh, words::WeighCall *), &words::weigh_schema}};
    coil_thrift_service service = {"Words", methods, 1};
};

TEST_F(SteadyTypedThrift, AllocatesNothingPerCall)
{
    expect_no_allocation(load(1, 1));
}

TEST_F(SteadyTypedThrift, AllocatesNothingPerCallOfMany)
{
    expect_no_allocation(load(1, 16));
}

TEST_F(SteadyTypedThrift, AllocatesNothingOnFiftyConnections)
{
    expect_no_allocation(load(50, 1));
}

TEST_F(SteadyTypedThrift, AllocatesNothingOnFiftyConnectionsWithManyCalls)
{
    expect_no_allocation(load(50, 16));
}

/* Client and server share the loop, so a turn has the sends of both. */
TEST_F(SteadyTypedThrift, EntersTheKernelAtMostTwiceInATurn)
{
    expect_no_allocation(load(1, 1));
    EXPECT_LT(0u, entries.sends);
    EXPECT_LE(entries.enters + entries.sends, 2 * entries.turns);
}

TEST_F(SteadyTypedThrift, SendsAllRepliesOfATurnAtOnce)
{
    const Load calls = load(1, 16);
    expect_no_allocation(calls);
    EXPECT_LE(entries.enters + entries.sends, 2 * entries.turns);
    /* One of the client's and one of ours for 16 calls; a few rounds may come in two parts. */
    EXPECT_LE(entries.sends, 2 * calls.round_count + calls.round_count / 4);
}

/* However many are answered in a turn. (The clients send once for each call, at once.) */
TEST_F(SteadyTypedThrift, EntersTwiceForAllConnections)
{
    for (const size_t connection_count : {16, 64}) {
        const Load calls = load(connection_count, 1);
        expect_no_allocation(calls);
        const size_t call_count = calls.connection_count * calls.round_count;
        EXPECT_LE(entries.sends, call_count + entries.turns);
        EXPECT_LE(entries.enters, entries.turns + entries.turns / 4);
    }
}

} // namespace
