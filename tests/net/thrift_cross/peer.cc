/* SPDX-License-Identifier: MIT */
/*
 * ThriftTest by Apache Thrift's C++ library, as a client or as a server:
 *
 *     cross_peer client|server HOST PORT|PATH TRANSPORT PROTOCOL [multiplexed] [ssl=DIRECTORY]
 *     [zlib]
 *
 * TRANSPORT is buffered, framed, http or header, for a server also nonblocking; PROTOCOL is
 * binary, compact, json or header. A client calls everything once and exits with 0 if all results
 * are right. A server says its port on a line of its own and serves until it is killed.
 */
#include "gen-cpp/SecondService.h"
#include "gen-cpp/ThriftTest.h"

#include <thrift/processor/TMultiplexedProcessor.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/protocol/THeaderProtocol.h>
#include <thrift/protocol/TJSONProtocol.h>
#include <thrift/protocol/TMultiplexedProtocol.h>
#include <thrift/server/TNonblockingServer.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/TOutput.h>
#include <thrift/transport/THttpClient.h>
#include <thrift/transport/THttpServer.h>
#include <thrift/transport/TNonblockingServerSocket.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>
#include <thrift/transport/TSSLServerSocket.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TZlibTransport.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::transport;
using namespace thrift::test;

namespace
{

struct Options {
    std::string role, host, place, transport, protocol, keys;
    bool multiplexed = false, ssl = false, zlib = false;

    bool is_path() const
    {
        return place.find_first_not_of("0123456789") != std::string::npos;
    }
    int port() const
    {
        return std::atoi(place.c_str());
    }
};

Options read_options(int argc, char **argv)
{
    Options options;
    if (argc < 6) {
        std::cerr << "usage: see the head of peer.cc\n";
        std::exit(2);
    }
    options.role = argv[1];
    options.host = argv[2];
    options.place = argv[3];
    options.transport = argv[4];
    options.protocol = argv[5];
    for (int i = 6; i < argc; i++) {
        const std::string word = argv[i];
        options.multiplexed |= word == "multiplexed";
        options.zlib |= word == "zlib";
        if (word.compare(0, 4, "ssl=") == 0) {
            options.ssl = true;
            options.keys = word.substr(4);
        }
    }
    return options;
}

/* --------------------------------------------------------------------------------- client -- */

std::shared_ptr<TTransport> open_socket(const Options &options)
{
    std::shared_ptr<TSocket> socket;
    if (options.ssl) {
        TSSLSocketFactory factory;
        factory.loadTrustedCertificates((options.keys + "/CA.pem").c_str());
        factory.loadCertificate((options.keys + "/client.crt").c_str());
        factory.loadPrivateKey((options.keys + "/client.key").c_str());
        factory.authenticate(true);
        socket = factory.createSocket(options.host, options.port());
    } else if (options.is_path()) {
        socket = std::make_shared<TSocket>(options.place);
    } else {
        socket = std::make_shared<TSocket>(options.host, options.port());
    }
    socket->setRecvTimeout(20000);
    return socket;
}

std::shared_ptr<TProtocol> open_protocol(
        const Options &options, const std::shared_ptr<TTransport> &raw)
{
    std::shared_ptr<TTransport> transport = raw;
    if (options.transport == "http") {
        transport = std::make_shared<THttpClient>(raw, options.host, "/service");
    } else if (options.transport == "framed") {
        transport = std::make_shared<TFramedTransport>(raw);
    } else if (options.transport == "buffered") {
        transport = std::make_shared<TBufferedTransport>(raw);
    }
    if (options.zlib)
        transport = std::make_shared<TZlibTransport>(transport);
    if (options.protocol == "header")
        return std::make_shared<THeaderProtocol>(transport);
    if (options.protocol == "compact")
        return std::make_shared<TCompactProtocol>(transport);
    if (options.protocol == "json")
        return std::make_shared<TJSONProtocol>(transport);
    return std::make_shared<TBinaryProtocol>(transport);
}

class Caller
{
public:
    Caller(const Options &options, const std::shared_ptr<TProtocol> &protocol)
        : main(options.multiplexed ? std::make_shared<TMultiplexedProtocol>(protocol, "ThriftTest")
                                   : protocol)
    {
    }

    void expect(bool is_right, const std::string &what)
    {
        if (!is_right) {
            std::cerr << "cross_peer: " << what << "\n";
            failures++;
        }
    }

    void scalars()
    {
        main.testVoid();
        expect(main.testBool(true) && !main.testBool(false), "testBool");
        for (int64_t bits : {7, 15, 31, 63}) {
            const int64_t most = static_cast<int64_t>((1ULL << bits) - 1);
            for (int64_t number : {most, -most - 1, int64_t{0}, int64_t{-1}}) {
                const auto small = static_cast<int8_t>(number);
                const auto middle = static_cast<int32_t>(number);
                expect(main.testByte(small) == small, "testByte");
                expect(main.testI32(middle) == middle, "testI32");
                expect(main.testI64(number) == number, "testI64");
                expect(main.testTypedef(number) == number, "testTypedef");
            }
        }
        for (double number : {0.0, -1.0, -5.2098523, -0.000341012439638598279, 9007199254740991.0,
                     1e307, 1e-292, 0.1})
            expect(main.testDouble(number) == number, "testDouble " + std::to_string(number));
        expect(main.testEnum(Numberz::FIVE) == Numberz::FIVE, "testEnum");
    }

    void texts()
    {
        for (const char *text :
                {"", "Test", "quote \" backslash \\ slash / \b\f\n\r\t", "]] \"]] \\\" \\\" \\\\ /",
                        "Ελληνικά, עברית, العربية, 中文, 日本語, 한국어, 😀🎉𝄞"}) {
            std::string back;
            main.testString(back, text);
            expect(back == text, std::string("testString ") + text);
        }
        for (size_t size : {0, 1, 2, 4, 6, 16, 33, 255, 1024, 65537, 131072}) {
            std::string bytes(size, ' ');
            std::string back;
            for (size_t i = 0; i < size; i++)
                bytes[i] = static_cast<char>(i);
            main.testBinary(back, bytes);
            expect(back == bytes, "testBinary " + std::to_string(size));
        }
    }

    static Xtruct xtruct(const std::string &text, int8_t i8, int32_t i32, int64_t i64)
    {
        Xtruct made;
        made.__set_string_thing(text);
        made.__set_byte_thing(i8);
        made.__set_i32_thing(i32);
        made.__set_i64_thing(i64);
        return made;
    }

    void structs()
    {
        const Xtruct some = xtruct("Zero", 1, -3, -5);
        Xtruct back;
        main.testStruct(back, some);
        expect(back == some, "testStruct");
        Xtruct2 outer;
        Xtruct2 outer_back;
        outer.__set_byte_thing(1);
        outer.__set_struct_thing(some);
        outer.__set_i32_thing(5);
        main.testNest(outer_back, outer);
        expect(outer_back == outer, "testNest");
        main.testMulti(back, 42, 4242, 424242, {{1, "abc"}}, Numberz::FIVE, 0xf0f0f0);
        expect(back == xtruct("Hello2", 42, 4242, 424242), "testMulti");
    }

    void containers()
    {
        for (const std::map<int32_t, int32_t> &map :
                {std::map<int32_t, int32_t>{}, {{0, -10}, {1, -9}, {-7, 2}}}) {
            std::map<int32_t, int32_t> back;
            main.testMap(back, map);
            expect(back == map, "testMap");
        }
        const std::map<std::string, std::string> words = {
                {"a", "2"}, {"b", "blah"}, {"some", "thing"}, {"", "\"\\"}};
        std::map<std::string, std::string> words_back;
        main.testStringMap(words_back, words);
        expect(words_back == words, "testStringMap");
        const std::set<int32_t> set = {-2, 8, 42};
        std::set<int32_t> set_back;
        main.testSet(set_back, set);
        expect(set_back == set, "testSet");
        for (const std::vector<int32_t> &list :
                {std::vector<int32_t>{}, {1, 4, 9, -42}, std::vector<int32_t>(1000, 7)}) {
            std::vector<int32_t> back;
            main.testList(back, list);
            expect(back == list, "testList");
        }
        std::map<int32_t, std::map<int32_t, int32_t>> maps;
        main.testMapMap(maps, 1);
        expect(maps == decltype(maps){{-4, {{-4, -4}, {-3, -3}, {-2, -2}, {-1, -1}}},
                               {4, {{1, 1}, {2, 2}, {3, 3}, {4, 4}}}},
                "testMapMap");
        Insanity argument;
        argument.__set_userMap({{Numberz::FIVE, 5}, {Numberz::EIGHT, 8}});
        argument.__set_xtructs({xtruct("Goodbye4", 4, 4, 4), xtruct("Hello2", 2, 2, 2)});
        std::map<UserId, std::map<Numberz::type, Insanity>> insane;
        main.testInsanity(insane, argument);
        expect(insane.size() == 2 && insane[1].size() == 2 && insane[1][Numberz::TWO] == argument &&
                        insane[1][Numberz::THREE] == argument && insane[2].size() == 1 &&
                        insane[2][Numberz::SIX].xtructs.empty(),
                "testInsanity");
    }

    /* Whether it raises such a one, which `is_right` likes. */
    template <class Raised, class Call, class Right> static bool raises(Call call, Right is_right)
    {
        try {
            call();
        } catch (const Raised &raised) {
            return is_right(raised);
        }
        return false;
    }

    void exceptions()
    {
        Xtruct back;
        expect(raises<Xception>([&] { main.testException("Xception"); },
                       [](const Xception &it) {
                           return it.errorCode == 1001 && it.message == "Xception";
                       }),
                "testException: Xception");
        expect(raises<TException>([&] { main.testException("TException"); },
                       [](const TException &) { return true; }),
                "testException: TException");
        main.testException("success");
        expect(raises<Xception>([&] { main.testMultiException(back, "Xception", "1"); },
                       [](const Xception &it) {
                           return it.errorCode == 1001 && it.message == "This is an Xception";
                       }),
                "testMultiException: Xception");
        expect(raises<Xception2>([&] { main.testMultiException(back, "Xception2", "2"); },
                       [](const Xception2 &it) {
                           return it.errorCode == 2002 &&
                                  it.struct_thing.string_thing == "This is an Xception2";
                       }),
                "testMultiException: Xception2");
        main.testMultiException(back, "success", "3");
        expect(back.string_thing == "3", "testMultiException: success");
    }

    int failures = 0;
    ThriftTestClient main;
};

int call_everything(const Options &options)
{
    const auto raw = open_socket(options);
    const auto protocol = open_protocol(options, raw);
    protocol->getTransport()->open();
    Caller caller(options, protocol);
    caller.scalars();
    caller.texts();
    caller.structs();
    caller.containers();
    caller.exceptions();
    if (options.transport != "http") /* Its answer is not read before 0.24. */
        caller.main.testOneway(0);
    caller.expect(caller.main.testI32(-1) == -1, "testI32 after testOneway");
    if (options.multiplexed) {
        SecondServiceClient second(
                std::make_shared<TMultiplexedProtocol>(protocol, "SecondService"));
        std::string back;
        second.secondtestString(back, "2nd");
        caller.expect(back == "testString(\"2nd\")", "secondtestString");
    }
    protocol->getTransport()->close();
    return caller.failures == 0 ? 0 : 1;
}

/* --------------------------------------------------------------------------------- server -- */

class Handler : public ThriftTestIf
{
public:
    void testVoid() override {}
    void testString(std::string &back, const std::string &thing) override
    {
        back = thing;
    }
    bool testBool(bool thing) override
    {
        return thing;
    }
    int8_t testByte(int8_t thing) override
    {
        return thing;
    }
    int32_t testI32(int32_t thing) override
    {
        return thing;
    }
    int64_t testI64(int64_t thing) override
    {
        return thing;
    }
    double testDouble(double thing) override
    {
        return thing;
    }
    void testBinary(std::string &back, const std::string &thing) override
    {
        back = thing;
    }
    void testStruct(Xtruct &back, const Xtruct &thing) override
    {
        back = thing;
    }
    void testNest(Xtruct2 &back, const Xtruct2 &thing) override
    {
        back = thing;
    }
    void testMap(std::map<int32_t, int32_t> &back, const std::map<int32_t, int32_t> &thing) override
    {
        back = thing;
    }
    void testStringMap(std::map<std::string, std::string> &back,
            const std::map<std::string, std::string> &thing) override
    {
        back = thing;
    }
    void testSet(std::set<int32_t> &back, const std::set<int32_t> &thing) override
    {
        back = thing;
    }
    void testList(std::vector<int32_t> &back, const std::vector<int32_t> &thing) override
    {
        back = thing;
    }
    Numberz::type testEnum(Numberz::type thing) override
    {
        return thing;
    }
    UserId testTypedef(UserId thing) override
    {
        return thing;
    }
    void testMapMap(std::map<int32_t, std::map<int32_t, int32_t>> &back, int32_t) override
    {
        for (int32_t i = 1; i <= 4; i++) {
            back[4][i] = i;
            back[-4][-i] = -i;
        }
    }
    void testInsanity(std::map<UserId, std::map<Numberz::type, Insanity>> &back,
            const Insanity &argument) override
    {
        back[1][Numberz::TWO] = argument;
        back[1][Numberz::THREE] = argument;
        back[2][Numberz::SIX] = Insanity();
    }
    void testMulti(Xtruct &back, int8_t arg0, int32_t arg1, int64_t arg2,
            const std::map<int16_t, std::string> &, Numberz::type, UserId) override
    {
        back = Caller::xtruct("Hello2", arg0, arg1, arg2);
    }
    void testException(const std::string &arg) override
    {
        if (arg == "Xception") {
            Xception raised;
            raised.errorCode = 1001;
            raised.message = arg;
            throw raised;
        }
        if (arg == "TException")
            throw TException("what nobody has declared");
    }
    void testMultiException(Xtruct &back, const std::string &arg0, const std::string &arg1) override
    {
        if (arg0 == "Xception") {
            Xception raised;
            raised.errorCode = 1001;
            raised.message = "This is an Xception";
            throw raised;
        }
        if (arg0 == "Xception2") {
            Xception2 raised;
            raised.errorCode = 2002;
            raised.struct_thing.__set_string_thing("This is an Xception2");
            throw raised;
        }
        back.__set_string_thing(arg1);
    }
    void testOneway(int32_t) override {}
};

class SecondHandler : public SecondServiceIf
{
public:
    void secondtestString(std::string &back, const std::string &thing) override
    {
        back = "testString(\"" + thing + "\")";
    }
};

std::shared_ptr<TProtocolFactory> protocols_of(const Options &options)
{
    if (options.protocol == "header")
        return std::make_shared<THeaderProtocolFactory>();
    if (options.protocol == "compact")
        return std::make_shared<TCompactProtocolFactory>();
    if (options.protocol == "json")
        return std::make_shared<TJSONProtocolFactory>();
    return std::make_shared<TBinaryProtocolFactory>();
}

std::shared_ptr<TTransportFactory> transports_of(const Options &options)
{
    std::shared_ptr<TTransportFactory> factory = std::make_shared<TTransportFactory>();
    if (options.transport == "http") {
        factory = std::make_shared<THttpServerTransportFactory>();
    } else if (options.transport == "framed") {
        factory = std::make_shared<TFramedTransportFactory>();
    } else if (options.transport == "buffered") {
        factory = std::make_shared<TBufferedTransportFactory>();
    }
    if (options.zlib)
        factory = std::make_shared<TZlibTransportFactory>(factory);
    return factory;
}

std::shared_ptr<TServerSocket> listener_of(const Options &options)
{
    if (options.is_path())
        return std::make_shared<TServerSocket>(options.place);
    if (!options.ssl)
        return std::make_shared<TServerSocket>(options.host, options.port());
    auto factory = std::make_shared<TSSLSocketFactory>();
    factory->loadCertificate((options.keys + "/server.crt").c_str());
    factory->loadPrivateKey((options.keys + "/server.key").c_str());
    factory->server(true);
    return std::make_shared<TSSLServerSocket>(options.host, options.port(), factory);
}

/* Says where it listens, once it does. */
template <class Listener> class Announcer : public server::TServerEventHandler
{
public:
    explicit Announcer(std::shared_ptr<Listener> of) : listener(std::move(of)) {}
    void preServe() override
    {
        std::cout << listener->getPort() << std::endl;
    }

private:
    std::shared_ptr<Listener> listener;
};

void serve(const Options &options)
{
    auto processor = std::make_shared<TMultiplexedProcessor>();
    auto main = std::make_shared<ThriftTestProcessor>(std::make_shared<Handler>());
    processor->registerProcessor("ThriftTest", main);
    processor->registerProcessor("SecondService",
            std::make_shared<SecondServiceProcessor>(std::make_shared<SecondHandler>()));
    processor->registerDefault(main);
    if (options.transport == "nonblocking") {
        auto listener = std::make_shared<TNonblockingServerSocket>(options.host, options.port());
        server::TNonblockingServer server(processor, protocols_of(options), listener);
        server.setServerEventHandler(
                std::make_shared<Announcer<TNonblockingServerSocket>>(listener));
        server.serve();
        return;
    }
    auto listener = listener_of(options);
    server::TThreadedServer server(
            processor, listener, transports_of(options), protocols_of(options));
    server.setServerEventHandler(std::make_shared<Announcer<TServerSocket>>(listener));
    server.serve();
}

} // namespace

int main(int argc, char **argv)
{
    const Options options = read_options(argc, argv);

    GlobalOutput.setOutputFunction([](const char *) {});
    try {
        if (options.role == "client")
            return call_everything(options);
        serve(options);
    } catch (const std::exception &raised) {
        std::cerr << "cross_peer: " << raised.what() << "\n";
        return 1;
    }
    return 0;
}
