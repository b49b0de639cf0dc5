/* SPDX-License-Identifier: MIT */
/* The client against servers that do what they like, and against ours. */
#include "served.h"

#include <coil/connection_pool.h>
#include <coil/fb303_service.h>

#include <cerrno>

namespace
{

using packet::field;
using packet::frame;
using packet::i32;
using packet::message;
using packet::stop;
using packet::text;

std::string string_of(coil_thrift_text value)
{
    return std::string(value.bytes, value.size);
}

/* -------------------------------------------------------------------- scripted servers -- */

std::string answer_to(const std::string &call, const std::string &word, int seqid_offset = 0)
{
    const Answer asked(call);
    return frame(message(2, asked.name, asked.seqid + seqid_offset) + field(11, 0) + text(word) +
                 stop());
}

/* What a test lets the client do, and what comes of it. */
struct Attempt {
    const char *address = "";
    coil_duration limit = coil_s(5);
    int rc = 1;
    std::string text = "";
    std::string what = "";
    int exception = -1;
};

int take_text(coil_thrift_client *client, std::string *out_text)
{
    coil_thrift_reader *reply = coil_thrift_client_reply(client);
    coil_thrift_field field;
    coil_thrift_text word = {};

    while (coil_thrift_read_field(reply, &field)) {
        if (field.id == 0)
            coil_thrift_get_string(reply, &word);
    }
    *out_text = string_of(word);
    return coil_thrift_reader_finish(reply);
}

async(int, ask, (coil_thrift_client *) client, (Attempt *) attempted)
{
    vars();
    coil_thrift_put_string(
            coil_thrift_client_begin(client, "ask"), 1, coil_thrift_text_of("question"));
    await(attempted->rc, within(attempted->limit, coil_thrift_client_call(client)));
    if (attempted->rc == 0)
        return take_text(client, &attempted->text);
    if (attempted->rc == -EREMOTEIO) {
        attempted->exception = coil_thrift_client_exception(client)->type;
        attempted->what = string_of(coil_thrift_client_exception(client)->message);
    }
    return 0;
}

/* Ask `count` times on one connection. */
async(int, ask_all, (Attempt *) attempts, (int) count)
{
    vars(coil_thrift_client *client; int i);

    attempt(my->client, coil_thrift_connect(attempts[0].address));
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < count; my->i++)
        attempt(ask(my->client, &attempts[my->i]));
    return 0;
}

/* Attempts on one connection to a server that `serves` scripts. */
class ThriftClient : public testing::Test
{
protected:
    std::vector<Attempt> attempts(size_t count)
    {
        return std::vector<Attempt>(count, Attempt{listener.address.c_str()});
    }

    void run(std::vector<Attempt> &all, const std::function<void(Peer &)> &serves)
    {
        const Thread server([&] {
            Peer peer = listener.accepted();
            serves(peer);
        });
        EXPECT_EQ(0, coil_run(ask_all(all.data(), static_cast<int>(all.size()))));
    }

    Attempt run_one(const std::function<void(Peer &)> &serves)
    {
        std::vector<Attempt> one = attempts(1);
        run(one, serves);
        return one[0];
    }

    Attempt get(const std::string &answer)
    {
        return run_one([&](Peer &peer) {
            (void)peer.receive_frame();
            peer.send(answer);
            peer.end();
            (void)peer.at_end();
        });
    }

    PeerListener listener;
};

TEST_F(ThriftClient, SendsWhatWasPutAndReadsTheReply)
{
    std::string call;
    const Attempt attempted = run_one([&](Peer &peer) {
        call = peer.receive_frame();
        peer.send(answer_to(call, "answer"));
    });
    EXPECT_EQ(0, attempted.rc);
    EXPECT_EQ("answer", attempted.text);
    EXPECT_EQ(message(1, "ask", 1) + field(11, 1) + text("question") + stop(), call);
}

TEST_F(ThriftClient, TakesAReplyInSmallPieces)
{
    const Attempt attempted = run_one([](Peer &peer) {
        for (const char byte : answer_to(peer.receive_frame(), "in pieces")) {
            peer.send(std::string(1, byte));
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    EXPECT_EQ("in pieces", attempted.text);
}

TEST_F(ThriftClient, ReportsAnExceptionAndGoesOn)
{
    std::vector<Attempt> all = attempts(2);
    run(all, [](Peer &peer) {
        (void)peer.receive_frame();
        peer.send(frame(message(3, "ask", 1) + field(11, 1) + text("no such thing") + field(8, 2) +
                        i32(1) + stop()));
        peer.send(answer_to(peer.receive_frame(), "but this"));
    });
    EXPECT_EQ(-EREMOTEIO, all[0].rc);
    EXPECT_EQ(COIL_THRIFT_UNKNOWN_METHOD, all[0].exception);
    EXPECT_EQ("no such thing", all[0].what);
    EXPECT_EQ("but this", all[1].text);
}

TEST_F(ThriftClient, TakesAnExceptionAboutAFrameThatTheServerCouldNotRead)
{
    const Attempt attempted = get(frame(
            message(3, "", 0) + field(11, 1) + text("what?") + field(8, 2) + i32(7) + stop()));
    EXPECT_EQ(-EREMOTEIO, attempted.rc);
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, attempted.exception);
}

TEST_F(ThriftClient, CanBeUsedAfterADeadlineAndDropsTheLateReply)
{
    std::vector<Attempt> all = attempts(4);
    all[0].limit = coil_ms(20);
    all[1].limit = coil_ms(20);
    run(all, [](Peer &peer) {
        const std::string first = peer.receive_frame();
        const std::string second = peer.receive_frame();
        const std::string third = peer.receive_frame();
        peer.send(answer_to(first, "late") + answer_to(second, "late, too") +
                  answer_to(third, "in time"));
        peer.send(answer_to(peer.receive_frame(), "again"));
    });
    EXPECT_EQ(-ETIME, all[0].rc);
    EXPECT_EQ(-ETIME, all[1].rc);
    EXPECT_EQ("in time", all[2].text);
    EXPECT_EQ("again", all[3].text);
}

TEST_F(ThriftClient, CanBeUsedAfterADeadlineInTheMiddleOfAReply)
{
    /* Wherever the first reply is cut: in its length, in its header, in its text. */
    for (const size_t size : {1u, 3u, 4u, 5u, 12u, 30u}) {
        std::vector<Attempt> all = attempts(2);
        all[0].limit = coil_ms(20);
        run(all, [=](Peer &peer) {
            const std::string late = answer_to(peer.receive_frame(), "cut in the middle");
            peer.send(late.substr(0, size));
            const std::string second = peer.receive_frame();
            peer.send(late.substr(size) + answer_to(second, "whole"));
        });
        EXPECT_EQ(-ETIME, all[0].rc) << size;
        EXPECT_EQ("whole", all[1].text) << size;
    }
}

TEST_F(ThriftClient, RefusesAReplyThatNobodyHasAskedFor)
{
    std::vector<Attempt> all = attempts(2);
    run(all, [](Peer &peer) {
        peer.send(answer_to(peer.receive_frame(), "wrong", 1));
        (void)peer.at_end();
    });
    EXPECT_EQ(-EBADMSG, all[0].rc);
    EXPECT_EQ(-ENOTCONN, all[1].rc) << "after that, the client can only be closed";
}

TEST_F(ThriftClient, ReportsAServerThatIsGone)
{
    std::vector<Attempt> all = attempts(2);
    run(all, [](Peer &peer) { (void)peer.receive_frame(); });
    EXPECT_EQ(-ENOTCONN, all[0].rc);
    EXPECT_EQ(-ENOTCONN, all[1].rc);
}

TEST_F(ThriftClient, ReportsAServerThatIsGoneInTheMiddle)
{
    for (const size_t size : {1u, 4u, 10u}) {
        const Attempt attempted = run_one([=](Peer &peer) {
            peer.send(answer_to(peer.receive_frame(), "word").substr(0, size));
        });
        EXPECT_EQ(-ENODATA, attempted.rc) << size;
    }
}

TEST_F(ThriftClient, ReportsAServerThatResets)
{
    const Attempt attempted = run_one([](Peer &peer) {
        (void)peer.receive(6);
        const linger now = {1, 0};
        setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    });
    EXPECT_EQ(-ECONNRESET, attempted.rc);
}

TEST_F(ThriftClient, ReportsAServerThatDoesNotSpeakThrift)
{
    EXPECT_EQ(-EMSGSIZE, get("HTTP/1.1 400 Bad Request\r\n\r\n").rc);
    EXPECT_EQ(-EMSGSIZE, get(i32(0x7fffffff)).rc);
    EXPECT_EQ(-EBADMSG, get(i32(0)).rc);
    EXPECT_EQ(-EBADMSG, get(frame("\x82\x21\x01\x04 compact")).rc);
    EXPECT_EQ(-EBADMSG, get(frame(message(1, "ask", 1) + stop())).rc) << "a call";
    EXPECT_EQ(-EBADMSG, get(frame(message(3, "ask", 1) + field(11, 1) + i32(-1) + stop())).rc);
}

TEST_F(ThriftClient, FailsToConnectWhereNobodyListens)
{
    std::vector<Attempt> one = attempts(1);
    EXPECT_EQ(-ECONNREFUSED, ([&] {
        const std::string nobody = std::exchange(listener.address, "");
        close(listener.fd);
        listener.fd = -1;
        one[0].address = nobody.c_str();
        return coil_run(ask_all(one.data(), 1));
    }()));
}

/* --------------------------------------------------------------------------------- our own -- */

async(int, count_letters, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);
    coil_thrift_field field;

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &my->text);
    }
    coil_thrift_put_i32(coil_thrift_reply(call), 0, static_cast<int32_t>(my->text.size));
    return 0;
}

const coil_thrift_method letter_methods[] = {
        {"countLetters", coil_handler(count_letters, coil_thrift_call *), NULL},
};

async(int, count_many, (const char *) address, (int) count)
{
    vars(coil_thrift_client *client; int i; int32_t letters);
    static const char letters[1000] = {};
    coil_thrift_field field;

    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < count; my->i++) {
        coil_thrift_put_string(coil_thrift_client_begin(my->client, "countLetters"), 1,
                {letters, static_cast<uint32_t>(my->i)});
        attempt(coil_thrift_client_call(my->client));
        while (coil_thrift_read_field(coil_thrift_client_reply(my->client), &field))
            coil_thrift_get_i32(coil_thrift_client_reply(my->client), &my->letters);
        EXPECT_EQ(my->i, my->letters);
    }
    return 0;
}

TEST(ThriftClientAndServer, AgreeAThousandTimes)
{
    coil_thrift_service service = {"Letters", letter_methods, 1};
    Served served({&service});
    EXPECT_EQ(0, coil_run(count_many(served.address.c_str(), 1000)));
}

/* ------------------------------------------------------------------------------- a pool -- */

async(int, make_client, (coil_pooled *) pooled)
{
    vars();
    coil_thrift_client *client = nullptr;
    const int rc = coil_thrift_client_create(pooled->stream, &client);
    pooled->session = client;
    return rc;
}

void drop_client(coil_pool_hooks *, coil_pooled *pooled)
{
    coil_thrift_client_close(static_cast<coil_thrift_client *>(pooled->session));
}

/* Each call on a connection of the pool; one in `hasty` is not waited for. */
async(int, count_on_pool, (coil_connection_pool *) pool, (int) count, (int) hasty)
{
    vars(int i; int rc; coil_pooled *pooled; coil_thrift_client *client);
    static const char letters[1000] = {};

    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->pooled, coil_connection_pool_checkout(pool));
        my->client = static_cast<coil_thrift_client *>(my->pooled->session);
        coil_thrift_put_string(coil_thrift_client_begin(my->client, "countLetters"), 1,
                {letters, static_cast<uint32_t>(my->i)});
        await(my->rc,
                within(my->i % hasty == 1 ? 0 : COIL_FOREVER, coil_thrift_client_call(my->client)));
        EXPECT_EQ(my->rc == 0, coil_thrift_client_is_idle(my->client));
        my->pooled->reusable = coil_thrift_client_is_idle(my->client);
        coil_pooled_give_back(my->pooled);
    }
    return 0;
}

int open_pool(const char *address, coil_pool_hooks *hooks, coil_connection_pool **out_pool)
{
    coil_connection_pool_options options = {};
    hooks->prepare = coil_handler(make_client, coil_pooled *);
    hooks->dispose = drop_client;
    options.max = 3;
    options.hooks = hooks;
    return coil_connection_pool_create(coil_loop_current(), address, &options, out_pool);
}

void expect_no_loss(const coil_connection_pool *pool)
{
    const coil_connection_pool_stats stats = coil_connection_pool_statistics(pool);
    EXPECT_EQ(500u, stats.checkouts);
    EXPECT_EQ(stats.opened, stats.idle + stats.closed_broken);
}

async(int, count_on_pools, (const char *) address)
{
    vars(coil_pool_hooks hooks; coil_group group; coil_connection_pool *pool; int i);

    EXPECT_EQ(0, open_pool(address, &my->hooks, &my->pool));
    defer(coil_connection_pool_destroy(my->pool));
    open_group(&my->group);
    for (my->i = 0; my->i < 10; my->i++)
        spawn(&my->group, count_on_pool(my->pool, 50, 7));
    attempt(coil_group_join(&my->group));
    expect_no_loss(my->pool);
    attempt(coil_connection_pool_close(my->pool));
    return 0;
}

TEST(ThriftClientAndServer, AgreeOverAPoolWhereCallsAreAbandoned)
{
    coil_thrift_service service = {"Letters", letter_methods, 1};
    Served served({&service});
    EXPECT_EQ(0, coil_run(count_on_pools(served.address.c_str())));
}

/* -------------------------------------------------------------------------------- fb303 -- */

struct Fb303 {
    coil_fb303_service service;
    int shutdowns;
    int reinitializations;
};

class Fb303Service : public testing::Test
{
protected:
    Fb303Service()
    {
        coil_fb303_service_init(&fb303.service, "tester", "1.2.3");
        fb303.service.shutdown = [](coil_fb303_service *service) {
            coil_container_of(service, Fb303, service)->shutdowns++;
        };
        fb303.service.reinitialize = [](coil_fb303_service *service) {
            coil_container_of(service, Fb303, service)->reinitializations++;
        };
    }

    ~Fb303Service() override
    {
        coil_fb303_service_fini(&fb303.service);
        coil_fb303_service_fini(&fb303.service);
    }

    /* The results of some calls on one connection. */
    inline std::vector<std::string> ask(const std::vector<coil_fb303_call> &calls);

    Fb303 fb303 = {};
};

/* A result in words. */
std::string words_of(enum coil_fb303_method method, coil_fb303_result *result)
{
    std::string words = string_of(result->text);
    coil_fb303_pair pair;

    if (method == COIL_FB303_GET_STATUS || method == COIL_FB303_GET_COUNTER ||
            method == COIL_FB303_ALIVE_SINCE)
        return std::to_string(result->number);
    while (coil_fb303_next_pair(result, &pair)) {
        words += string_of(pair.name) + "=";
        words += method == COIL_FB303_GET_COUNTERS ? std::to_string(pair.number)
                                                   : string_of(pair.text);
        words += " ";
    }
    return words;
}

async(int, ask_fb303, (const char *) address, (const std::vector<coil_fb303_call> *) calls,
        (std::vector<std::string> *) results)
{
    vars(coil_thrift_client *client; size_t i; coil_fb303_result result; int rc);

    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    for (my->i = 0; my->i < calls->size(); my->i++) {
        await(my->rc, coil_fb303_ask(my->client, &(*calls)[my->i], &my->result));
        results->push_back(my->rc < 0 ? coil_error_name(my->rc)
                                      : words_of((*calls)[my->i].method, &my->result));
    }
    return 0;
}

std::vector<std::string> Fb303Service::ask(const std::vector<coil_fb303_call> &calls)
{
    std::vector<std::string> results;
    Served served({&fb303.service.thrift}, [&](coil_thrift_server *server) {
        fb303.service.server = server;
        server->without_fb303 = true; /* Only what the program has set. */
    });
    EXPECT_EQ(0, coil_run(ask_fb303(served.address.c_str(), &calls, &results)));
    return results;
}

coil_fb303_call call_of(enum coil_fb303_method method, const char *key = "", const char *value = "")
{
    coil_fb303_call call = {};
    call.method = method;
    call.key = coil_thrift_text_of(key);
    call.value = coil_thrift_text_of(value);
    call.duration_s = 1;
    return call;
}

using Words = std::vector<std::string>;

TEST_F(Fb303Service, SaysWhoItIs)
{
    const int64_t before = time(nullptr);
    fb303.service.status_details = "all is well";
    const Words words = ask({call_of(COIL_FB303_GET_NAME), call_of(COIL_FB303_GET_VERSION),
            call_of(COIL_FB303_GET_STATUS), call_of(COIL_FB303_GET_STATUS_DETAILS),
            call_of(COIL_FB303_GET_CPU_PROFILE), call_of(COIL_FB303_ALIVE_SINCE)});
    ASSERT_EQ(6u, words.size());
    EXPECT_EQ((Words{"tester", "1.2.3", "2", "all is well", ""}),
            Words(words.begin(), words.end() - 1));
    EXPECT_LE(before - 1, std::stoll(words[5]));
    EXPECT_GE(before + 1, std::stoll(words[5]));
}

TEST_F(Fb303Service, SaysWhatTheProgramHasSet)
{
    fb303.service.status = COIL_FB303_WARNING;
    EXPECT_EQ(0, coil_fb303_service_count(&fb303.service, "eggs", 3));
    EXPECT_EQ(0, coil_fb303_service_count(&fb303.service, "eggs", -1));
    EXPECT_EQ(0, coil_fb303_service_set_counter(&fb303.service, "spam", 40));
    EXPECT_EQ((Words{"5", "2", "0",
                      "eggs=2 spam=40 thrift.connections=1 thrift.open_connections=1 "
                      "thrift.calls=4 thrift.exceptions=0 thrift.protocol_errors=0 "}),
            ask({call_of(COIL_FB303_GET_STATUS), call_of(COIL_FB303_GET_COUNTER, "eggs"),
                    call_of(COIL_FB303_GET_COUNTER, "nothing"), call_of(COIL_FB303_GET_COUNTERS)}));
}

TEST_F(Fb303Service, KeepsOptions)
{
    EXPECT_EQ((Words{"", "", "", "", "red", "colour=red size=big ", ""}),
            ask({call_of(COIL_FB303_GET_OPTION, "colour"),
                    call_of(COIL_FB303_SET_OPTION, "colour", "green"),
                    call_of(COIL_FB303_SET_OPTION, "size", "big"),
                    call_of(COIL_FB303_SET_OPTION, "colour", "red"),
                    call_of(COIL_FB303_GET_OPTION, "colour"), call_of(COIL_FB303_GET_OPTIONS),
                    call_of(COIL_FB303_GET_OPTION, "")}));
    EXPECT_STREQ("red", coil_fb303_service_option(&fb303.service, "colour"));
    EXPECT_EQ(nullptr, coil_fb303_service_option(&fb303.service, "weight"));
}

TEST_F(Fb303Service, BoundsWhatPeersCanStore)
{
    std::vector<std::string> names;
    std::vector<coil_fb303_call> calls;
    for (int i = 0; i < COIL_FB303_OPTION_COUNT_MAX + 1; i++)
        names.push_back("option " + std::to_string(i));
    for (const std::string &name : names)
        calls.push_back(call_of(COIL_FB303_SET_OPTION, name.c_str(), "x"));
    const std::string longest(COIL_FB303_TEXT_BYTES_MAX, 'y');
    const std::string longer = longest + "y";
    calls.push_back(call_of(COIL_FB303_SET_OPTION, "option 0", longest.c_str()));
    calls.push_back(call_of(COIL_FB303_SET_OPTION, "option 0", longer.c_str()));
    calls.push_back(call_of(COIL_FB303_SET_OPTION, longer.c_str(), "x"));
    calls.push_back(call_of(COIL_FB303_GET_OPTION, "option 0"));
    const Words words = ask(calls);
    for (size_t i = 0; i < COIL_FB303_OPTION_COUNT_MAX; i++)
        EXPECT_EQ("", words[i]);
    EXPECT_EQ((Words{"EREMOTEIO", "", "EREMOTEIO", "EREMOTEIO", longest}),
            Words(words.begin() + COIL_FB303_OPTION_COUNT_MAX, words.end()));
}

TEST_F(Fb303Service, BoundsCountersAndTheirValues)
{
    for (int i = 0; i < COIL_FB303_COUNTER_COUNT_MAX; i++) {
        EXPECT_EQ(0, coil_fb303_service_count(&fb303.service, std::to_string(i).c_str(), i));
    }
    EXPECT_EQ(-ENOSPC, coil_fb303_service_count(&fb303.service, "one more", 1));
    EXPECT_EQ(0, coil_fb303_service_set_counter(&fb303.service, "0", INT64_MAX - 1));
    EXPECT_EQ(0, coil_fb303_service_count(&fb303.service, "0", 5));
    int64_t value = 0;
    EXPECT_EQ(0, coil_fb303_service_counter(&fb303.service, "0", &value));
    EXPECT_EQ(INT64_MAX, value);
    EXPECT_EQ(-ENOENT, coil_fb303_service_counter(&fb303.service, "one more", &value));
}

TEST_F(Fb303Service, TellsTheProgramToShutDownAndToReinitialize)
{
    EXPECT_EQ((Words{"", "", "", "tester"}),
            ask({call_of(COIL_FB303_SHUTDOWN), call_of(COIL_FB303_REINITIALIZE),
                    call_of(COIL_FB303_REINITIALIZE), call_of(COIL_FB303_GET_NAME)}));
    EXPECT_EQ(1, fb303.shutdowns);
    EXPECT_EQ(2, fb303.reinitializations);
}

TEST_F(Fb303Service, DoesNotAnswerAOnewayMethodThatIsCalledAsAnOrdinaryOne)
{
    Served served({&fb303.service.thrift});
    Peer peer = served.connected();
    ASSERT_TRUE(peer.send(
            frame(message(1, "shutdown", 1) + stop()) + frame(message(1, "getName", 2) + stop())));
    EXPECT_EQ(2, Answer(peer.receive_frame()).seqid);
}

TEST_F(Fb303Service, AnswersMalformedArgumentsWithAProtocolError)
{
    Served served({&fb303.service.thrift});
    Peer peer = served.connected();
    ASSERT_TRUE(peer.send(frame(message(1, "getCounter", 1) + field(11, 1) + i32(-1) + stop())));
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, Answer(peer.receive_frame()).exception);
    EXPECT_TRUE(peer.at_end());
}

async(int, get_status_from, (const char *) address)
{
    vars(coil_thrift_client *client; int status);
    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    await(my->status, coil_fb303_get_status(my->client));
    return my->status;
}

TEST_F(Fb303Service, IsAskedForItsStatus)
{
    fb303.service.status = COIL_FB303_STOPPING;
    Served served({&fb303.service.thrift});
    EXPECT_EQ(COIL_FB303_STOPPING, coil_run(get_status_from(served.address.c_str())));
}

TEST_F(ThriftClient, ReportsAStatusThatIsMissingOrNegative)
{
    const auto status_of = [&](const std::string &result) {
        const Thread server([&] {
            Peer peer = listener.accepted();
            (void)peer.receive_frame();
            peer.send(frame(message(2, "getStatus", 1) + result + stop()));
            (void)peer.at_end();
        });
        return coil_run(get_status_from(listener.address.c_str()));
    };
    EXPECT_EQ(2, status_of(field(8, 0) + i32(2)));
    EXPECT_EQ(77, status_of(field(8, 0) + i32(77)));
    EXPECT_EQ(-ENOMSG, status_of(""));
    EXPECT_EQ(-ENOMSG, status_of(field(10, 0) + packet::i64(2)));
    EXPECT_EQ(-EBADMSG, status_of(field(8, 0) + i32(-1)));
}

} // namespace
