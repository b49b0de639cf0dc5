/* SPDX-License-Identifier: MIT */
/* Calls over a pool of connections, again or twice, and servers that answer them. */
#ifndef THRIFT_WAYS_H
#define THRIFT_WAYS_H

#include "oracle_calls.h"

#include <coil/thrift_backup.h>
#include <coil/thrift_pool.h>
#include <coil/thrift_retrying.h>

#include <algorithm>
#include <atomic>

namespace
{

/* ---------------------------------------------------------------------------- the servers -- */

/* An Oracle of ours on a thread, which says its name, after a while if it is asked to. */
struct Oracle {
    coil_thrift_service service = {};
    std::string name;
    std::atomic<int> asked{0};
    std::atomic<int> slow_ms{0};
    std::atomic<bool> has_deadline{false}; /* Of the last call. */
};

async(int, say_name, (coil_thrift_call *) call)
{
    vars(Oracle *oracle);
    my->oracle = coil_container_of(call->service, Oracle, service);
    my->oracle->asked++;
    my->oracle->has_deadline = call->deadline != COIL_NEVER;
    if (my->oracle->slow_ms > 0)
        await(coil_sleep(coil_ms(my->oracle->slow_ms)));
    coil_thrift_put_string(
            coil_thrift_reply(call), 0, coil_thrift_text_of(my->oracle->name.c_str()));
    return 0;
}

async(int, be_told, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    coil_container_of(call->service, Oracle, service)->asked++;
    return 0;
}

const coil_thrift_method oracle_methods[] = {
        {"ask", coil_handler(say_name, coil_thrift_call *), nullptr},
        {"look", coil_handler(say_name, coil_thrift_call *), nullptr},
        {"tell", coil_handler(be_told, coil_thrift_call *), nullptr},
};

class Shrine
{
public:
    explicit Shrine(const std::string &name)
    {
        oracle.name = name;
        oracle.service = {"Oracle", oracle_methods, 3};
        served = std::make_unique<Served>(std::vector<coil_thrift_service *>{&oracle.service});
    }

    const char *address() const
    {
        return served->address.c_str();
    }

    Oracle oracle;
    std::unique_ptr<Served> served;
};

/* ------------------------------------------------------------------------------ the calls -- */

/* How calls go: over a pool; then again, or twice. */
struct Way {
    std::vector<std::string> addresses;
    coil_thrift_pool_options options = {};
    bool again = false;
    coil_duration backup_delay = 0;
    coil_retry_budget *budget = nullptr;
    unsigned at_once = 1; /* So many at a time. */

    coil_thrift_pool_stats stats = {};
    coil_thrift_retrying retrying = {};
    coil_thrift_backup backup = {};
};

inline coil_thrift_channel *channel_of(Way *way, coil_thrift_pool *pool)
{
    coil_thrift_channel *channel = coil_thrift_pool_channel(pool);
    if (way->backup_delay > 0) {
        coil_thrift_backup_init(&way->backup, channel, way->backup_delay);
        way->backup.budget = way->budget;
        channel = &way->backup.channel;
    }
    if (way->again) {
        coil_thrift_retrying_init(&way->retrying, channel);
        way->retrying.budget = way->budget;
        channel = &way->retrying.channel;
    }
    return channel;
}

inline coil_thrift_pool *make_pool(Way *way)
{
    std::vector<coil_address> addresses;
    coil_thrift_pool *pool = nullptr;

    if (way->addresses.size() == 1) {
        EXPECT_EQ(0, coil_thrift_pool_create(
                             coil_loop_current(), way->addresses[0].c_str(), &way->options, &pool));
        return pool;
    }
    EXPECT_EQ(0, coil_thrift_pool_create(coil_loop_current(), nullptr, &way->options, &pool));
    for (const std::string &text : way->addresses) {
        coil_address address;
        EXPECT_EQ(0, coil_address_parse(text.c_str(), &address));
        addresses.push_back(address);
    }
    EXPECT_EQ(0, coil_thrift_pool_set_addresses(
                         pool, addresses.data(), static_cast<unsigned>(addresses.size())));
    return pool;
}

async(int, call_over, (Way *) way, (std::vector<Call> *) calls)
{
    vars(coil_thrift_pool *pool; coil_thrift_channel *channel; coil_group group; size_t i);

    open_group(&my->group);
    my->pool = make_pool(way);
    defer(coil_thrift_pool_destroy(my->pool));
    my->channel = channel_of(way, my->pool);
    my->group.limit = way->at_once;
    for (my->i = 0; my->i < calls->size(); my->i++)
        spawn(&my->group, make_call(my->channel, &(*calls)[my->i]));
    attempt(coil_group_join(&my->group));
    way->stats = coil_thrift_pool_statistics(my->pool);
    EXPECT_EQ(0u, way->stats.in_flight);
    EXPECT_EQ(0u, way->stats.waiting);
    attempt(coil_thrift_pool_close(my->pool));
    EXPECT_EQ(0u, coil_thrift_pool_statistics(my->pool).live);
    return 0;
}

inline void run(Way *way, std::vector<Call> *calls)
{
    EXPECT_EQ(0, coil_run(call_over(way, calls)));
}

inline size_t answered(const std::vector<Call> &calls, const char *name)
{
    return static_cast<size_t>(std::count_if(calls.begin(), calls.end(),
            [&](const Call &call) { return call.rc == 0 && call.answer == name; }));
}

inline Way to(std::vector<std::string> addresses)
{
    Way way;
    way.addresses = std::move(addresses);
    return way;
}

/* An address where nobody listens. */
inline std::string nobody()
{
    const PeerListener gone;
    return gone.address;
}

} // namespace

#endif
