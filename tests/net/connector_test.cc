/* SPDX-License-Identifier: MIT */
/* Addresses that connect, refuse or say nothing, on a clock that jumps. */
#include "ports.h"

#include <coil/random.h>
#include <coil/sched.h>

#include "../sync/seeds.h"

#include <sys/resource.h>

#include <algorithm>

#include <coil/sugar.h>

namespace
{

/* What is to be tried, and what has come of it. */
struct Trial {
    coil_connect_options options = {};
    std::vector<coil_address> addresses = {};
    const char *target = nullptr; /* In place of addresses. */
    coil_duration limit = COIL_FOREVER;
    coil_connect_report report = {};
    int rc = 1;
    coil_duration took = -1;

    void add(const Port &port)
    {
        addresses.push_back(port.address);
    }
};

async(coil_stream *, call, (Trial *) trial)
{
    vars(coil_stream *stream);
    if (trial->target != nullptr) {
        await(my->stream, coil_connect_to(&trial->options, trial->target, &trial->report));
    } else {
        await(my->stream, coil_connect_addresses(&trial->options, trial->addresses.data(),
                                  static_cast<unsigned>(trial->addresses.size()), &trial->report));
    }
    return my->stream;
}

async(int, try_it, (Trial *) trial)
{
    vars(coil_stream *stream; coil_time began);
    trial->rc = -ECANCELED;
    my->began = coil_now();
    defer(trial->took = coil_now() - my->began);
    await(my->stream, within(trial->limit, call(trial)));
    trial->rc = coil_pointer_error(my->stream);
    if (trial->rc == 0)
        coil_stream_close(my->stream);
    return 0;
}

class Connector : public OnTestLoop
{
protected:
    void run(Trial *trial)
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, try_it(trial)));
    }
};

/* --------------------------------------------------------------------------- the order -- */

std::vector<unsigned> order_of(const std::string &families)
{
    std::vector<coil_address> addresses(families.size());
    for (size_t i = 0; i < families.size(); i++)
        addresses[i].storage.ss_family = families[i] == '6' ? AF_INET6 : AF_INET;
    unsigned order[COIL_CONNECT_ATTEMPTS];
    const unsigned count =
            coil_connect_order(addresses.data(), static_cast<unsigned>(families.size()), order);
    return {order, order + count};
}

TEST(ConnectOrder, AlternatesTheFamiliesBeginningWithTheFirst)
{
    EXPECT_EQ((std::vector<unsigned>{0, 3, 1, 4, 2}), order_of("66644"));
    EXPECT_EQ((std::vector<unsigned>{0, 1, 3, 2, 4}), order_of("46644"));
    EXPECT_EQ((std::vector<unsigned>{0, 1, 2}), order_of("444"));
    EXPECT_EQ((std::vector<unsigned>{0}), order_of("6"));
    EXPECT_EQ((std::vector<unsigned>{}), order_of(""));
}

TEST(ConnectOrder, LooksForTheOtherFamilyBehindTheLimitToo)
{
    const std::vector<unsigned> order = order_of(std::string(40, '6') + "44");
    ASSERT_EQ(size_t{COIL_CONNECT_ATTEMPTS}, order.size());
    EXPECT_EQ((std::vector<unsigned>{0, 40, 1, 41, 2, 3, 4}),
            (std::vector<unsigned>{order.begin(), order.begin() + 7}));
}

/* ------------------------------------------------------------------------- one by one -- */

TEST_F(Connector, TakesTheFirstAndLeavesTheOthersAlone)
{
    const OpenPort first;
    const OpenPort second;
    Trial trial;
    trial.add(first);
    trial.add(second);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(1u, trial.report.attempt_count);
    EXPECT_EQ(0, trial.report.attempts[0].error);
    EXPECT_EQ(1u, first.drain());
    EXPECT_EQ(0u, second.drain());
}

TEST_F(Connector, TriesTheNextAtOnceWhenOneRefuses)
{
    const ClosedPort first;
    const OpenPort second;
    Trial trial;
    trial.add(first);
    trial.add(second);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(0, trial.took);
    EXPECT_EQ(2u, trial.report.attempt_count);
    EXPECT_EQ(-ECONNREFUSED, trial.report.attempts[0].error);
}

TEST_F(Connector, TriesTheNextAfterADelayWhenOneSaysNothing)
{
    const SilentPort first;
    const OpenPort second;
    Trial trial;
    trial.add(first);
    trial.add(second);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(coil_ms(250), trial.took);
    EXPECT_EQ(-ECANCELED, trial.report.attempts[0].error);
    EXPECT_EQ(coil_ms(250), trial.report.attempts[0].took);
    EXPECT_EQ(coil_ms(250), trial.report.attempts[1].began);
    EXPECT_EQ(0, trial.report.attempts[1].error);
}

TEST_F(Connector, KeepsTheDelayBetweenAllThatSayNothing)
{
    const SilentPort silent;
    const OpenPort last;
    Trial trial;
    trial.options.attempt_delay = coil_ms(100);
    for (int i = 0; i < 5; i++)
        trial.add(silent);
    trial.add(last);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(coil_ms(500), trial.took);
    EXPECT_EQ(1u, last.drain());
}

TEST_F(Connector, HasAnotherFamilyInTwoHundredAndFiftyMilliseconds)
{
    if (!has_ipv6())
        GTEST_SKIP() << "no IPv6 on loopback";
    const SilentPort six(AF_INET6);
    const OpenPort four(AF_INET);
    Trial trial;
    for (int i = 0; i < 4; i++)
        trial.add(six);
    trial.add(four);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(coil_ms(250), trial.took);
    EXPECT_EQ(2u, trial.report.attempt_count);
}

TEST_F(Connector, KeepsTheOrderIfToldTo)
{
    if (!has_ipv6())
        GTEST_SKIP() << "no IPv6 on loopback";
    const SilentPort six(AF_INET6);
    const OpenPort four(AF_INET);
    Trial trial;
    trial.options.in_order = true;
    for (int i = 0; i < 4; i++)
        trial.add(six);
    trial.add(four);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(coil_s(1), trial.took);
    EXPECT_EQ(5u, trial.report.attempt_count);
}

/* ---------------------------------------------------------------------------- failures -- */

struct CountingHook {
    coil_socket_hook hook;
    int count;
    int refuses; /* The attempt with this number. */
};

TEST_F(Connector, ReportsEachAttemptWhenAllFail)
{
    const ClosedPort first;
    const ClosedPort second;
    Trial trial;
    trial.add(first);
    trial.add(second);
    run(&trial);
    EXPECT_EQ(-ECONNREFUSED, trial.rc);
    ASSERT_EQ(2u, trial.report.attempt_count);
    EXPECT_EQ(-ECONNREFUSED, trial.report.attempts[0].error);
    EXPECT_EQ(-ECONNREFUSED, trial.report.attempts[1].error);

    char *text = nullptr;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    coil_connect_report_print(&trial.report, out);
    EXPECT_EQ(0, fclose(out));
    EXPECT_EQ(first.text + " after 0 ms: Connection refused (took 0 ms)\n" + second.text +
                      " after 0 ms: Connection refused (took 0 ms)\n",
            text);
    free(text);
}

TEST_F(Connector, GivesTheErrorThatTellsMost)
{
    const SilentPort silent;
    const ClosedPort closed;
    Trial trial;
    trial.options.attempt_limit = coil_s(3);
    trial.add(silent);
    trial.add(closed);
    trial.add(silent);
    run(&trial);
    EXPECT_EQ(-ECONNREFUSED, trial.rc);
    EXPECT_EQ(-ETIME, trial.report.attempts[0].error);
    EXPECT_EQ(coil_s(3), trial.report.attempts[0].took);
    EXPECT_EQ(-ETIME, trial.report.attempts[2].error);
    EXPECT_EQ(coil_ms(3250), trial.took);
}

TEST_F(Connector, GivesUpAtItsDeadlineAndTheReportSaysWhere)
{
    const SilentPort silent;
    Trial trial;
    trial.limit = coil_ms(600);
    for (int i = 0; i < 5; i++)
        trial.add(silent);
    run(&trial);
    EXPECT_EQ(-ETIME, trial.rc);
    EXPECT_EQ(coil_ms(600), trial.took);
    EXPECT_EQ(3u, trial.report.attempt_count);
    EXPECT_EQ(-ECANCELED, trial.report.attempts[2].error);
}

TEST_F(Connector, StopsWhenDescriptorsRunOut)
{
    const OpenPort port;
    rlimit before;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const int lowest = fcntl(port.fd, F_DUPFD_CLOEXEC, 0);
    close(lowest);
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(lowest);
    Trial trial;
    trial.add(port);
    trial.add(port);
    coil_loop *const here = loop; /* Sanitizers, too, need descriptors to look at `this`. */
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    const int64_t rc = coil_loop_run_until(here, try_it(&trial));
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    EXPECT_EQ(0, rc);
    EXPECT_EQ(-EMFILE, trial.rc);
    EXPECT_EQ(1u, trial.report.attempt_count);
}

TEST_F(Connector, WaitsForThoseUnderWayWhenDescriptorsRunOut)
{
    const SilentPort silent;
    CountingHook counting = {{[](coil_socket_hook *hook, int, const coil_address *) {
                                 CountingHook *self = coil_container_of(hook, CountingHook, hook);
                                 return self->count++ == self->refuses ? -EMFILE : 0;
                             }},
            0, 1};
    Trial trial;
    trial.options.attempt_limit = coil_s(3);
    trial.options.prepare = &counting.hook;
    for (int i = 0; i < 3; i++)
        trial.add(silent);
    run(&trial);
    EXPECT_EQ(-EMFILE, trial.rc);
    EXPECT_EQ(2u, trial.report.attempt_count);
    EXPECT_EQ(coil_s(3), trial.took);
}

TEST_F(Connector, WithoutAddressesItIsInvalid)
{
    Trial trial;
    run(&trial);
    EXPECT_EQ(-EINVAL, trial.rc);
}

/* ------------------------------------------------------------------------------- options -- */

TEST_F(Connector, BindsToALocalAddressOfTheSameFamily)
{
    if (!has_ipv6())
        GTEST_SKIP() << "no IPv6 on loopback";
    const OpenPort six(AF_INET6);
    const OpenPort four;
    coil_address local;
    ASSERT_EQ(0, coil_address_parse("127.0.0.2:0", &local));
    Trial trial;
    trial.options.local = &local;
    trial.add(six);
    trial.add(four);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(-EAFNOSUPPORT, trial.report.attempts[0].error);
    coil_address from = {};
    from.size_bytes = sizeof(from.storage);
    const int peer = accept4(four.fd, &from.socket, &from.size_bytes, SOCK_CLOEXEC);
    char text[COIL_ADDRESS_TEXT_BYTES];
    EXPECT_EQ(0u, std::string(coil_address_format(&from, text)).find("127.0.0.2:"));
    close(peer);
}

TEST_F(Connector, AsksTheHookForEachSocket)
{
    const OpenPort port;
    CountingHook counting = {{[](coil_socket_hook *hook, int fd, const coil_address *) {
                                 CountingHook *self = coil_container_of(hook, CountingHook, hook);
                                 EXPECT_GE(fd, 0);
                                 return self->count++ == self->refuses ? -EPERM : 0;
                             }},
            0, 0};
    Trial trial;
    trial.options.prepare = &counting.hook;
    trial.add(port);
    trial.add(port);
    run(&trial);
    EXPECT_EQ(0, trial.rc);
    EXPECT_EQ(2, counting.count);
    EXPECT_EQ(-EPERM, trial.report.attempts[0].error);
}

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

TEST_F(Connector, DoesNotConnectASocketToItself)
{
    Trial trial;
    {
        const Port closed;
        trial.add(closed);
    }
    /* Whatever else there is, our end is to have the port that we connect to. */
    coil_socket_hook hook = {[](coil_socket_hook *, int fd, const coil_address *to) {
        const uint32_t port = coil_address_port(to);
        const uint32_t range = port | port << 16;
        return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)) == 0 ? 0
                                                                                           : -errno;
    }};
    trial.options.prepare = &hook;
    run(&trial);
    if (trial.rc == -ENOPROTOOPT)
        GTEST_SKIP() << "before Linux 6.3";
    EXPECT_EQ(-ECONNREFUSED, trial.rc);
}

TEST_F(Connector, TakesNamesAndLiterals)
{
    const OpenPort port;
    const std::string name = "localhost:" + std::to_string(coil_address_port(&port.address));
    Trial by_name;
    by_name.target = name.c_str();
    run(&by_name);
    EXPECT_EQ(0, by_name.rc);
    Trial literal;
    literal.target = port.text.c_str();
    run(&literal);
    EXPECT_EQ(0, literal.rc);
    Trial nonsense;
    nonsense.target = "..";
    run(&nonsense);
    EXPECT_EQ(-EINVAL, nonsense.rc);
    EXPECT_EQ(2u, port.drain());
}

async(int, simply, (const char *) address, (int *) out_rc)
{
    vars(coil_stream *stream);
    await(my->stream, coil_connect(address));
    *out_rc = coil_pointer_error(my->stream);
    if (*out_rc == 0)
        coil_stream_close(my->stream);
    return 0;
}

TEST_F(Connector, TheSimpleFormTakesNamesToo)
{
    const OpenPort port;
    const std::string name = "localhost:" + std::to_string(coil_address_port(&port.address));
    int rc = 1;
    EXPECT_EQ(0, coil_loop_run_until(loop, simply(name.c_str(), &rc)));
    EXPECT_EQ(0, rc);
}

/* ---------------------------------------------------------------------------- at random -- */

async(int, cancelled_after, (Trial *) trial, (coil_duration) delay)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, try_it(trial));
    await(coil_sleep(delay));
    coil_group_cancel(&my->group);
    ignore(coil_group_join(&my->group));
    return 0;
}

/*
 * Ten addresses of any kind, and a cancellation at any time: what comes out is what the rules say,
 * at the time that they say, and no descriptor is left.
 */
class Guess
{
public:
    enum Kind { OPEN, CLOSED, SILENT };

    /* When it connects; COIL_NEVER if it does not. */
    static coil_duration of(const std::vector<Kind> &kinds, coil_duration delay)
    {
        coil_duration now = 0;
        for (const Kind kind : kinds) {
            if (kind == OPEN)
                return now;
            now += kind == SILENT ? delay : 0;
        }
        return COIL_NEVER;
    }
};

TEST_F(Connector, KeepsItsRulesWhateverTheAddressesAndWheneverItIsCancelled)
{
    const OpenPort open;
    const ClosedPort closed;
    const SilentPort silent;
    const Port *ports[] = {&open, &closed, &silent};

    for (const unsigned seed : seeds(400)) {
        SCOPED_TRACE(seed);
        coil_random random;
        coil_random_init(&random, seed);
        Trial trial;
        std::vector<Guess::Kind> kinds;
        const uint64_t count = 1 + coil_random_below(&random, 10);
        const bool mostly_bad = coil_random_below(&random, 2) == 0;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t kind = coil_random_below(&random, 3);
            if (mostly_bad && kind == Guess::OPEN)
                kind = coil_random_below(&random, 3);
            kinds.push_back(static_cast<Guess::Kind>(kind));
            trial.add(*ports[kind]);
        }
        trial.options.attempt_delay =
                coil_ms(10 + static_cast<int64_t>(coil_random_below(&random, 300)));
        const coil_duration cancelled = coil_random_duration(&random, coil_s(2));
        const unsigned descriptors = open_descriptors();
        EXPECT_EQ(0, coil_loop_run_until(loop, cancelled_after(&trial, cancelled)));

        const coil_duration connects = Guess::of(kinds, trial.options.attempt_delay);
        if (connects < cancelled) {
            EXPECT_EQ(0, trial.rc);
            EXPECT_EQ(connects, trial.took);
        } else if (connects > cancelled) {
            const bool all_refuse =
                    std::find(kinds.begin(), kinds.end(), Guess::SILENT) == kinds.end();
            EXPECT_EQ(all_refuse ? -ECONNREFUSED : -ECANCELED, trial.rc);
        }
        coil_test_settle(loop);
        EXPECT_EQ(descriptors, open_descriptors());
        open.drain();
    }
}

} // namespace
