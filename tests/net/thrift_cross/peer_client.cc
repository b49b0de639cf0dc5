/* SPDX-License-Identifier: MIT */
/* Everything is called by Apache Thrift's C++ library, once, and each result looked at. */
#include "gen-cpp/SecondService.h"
#include "gen-cpp/ThriftTest.h"
#include "peer.h"

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/protocol/THeaderProtocol.h>
#include <thrift/protocol/TJSONProtocol.h>
#include <thrift/protocol/TMultiplexedProtocol.h>
#include <thrift/transport/THttpClient.h>
#include <thrift/transport/TSocket.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TZlibTransport.h>

#include <algorithm>
#include <iostream>

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::transport;
using namespace thrift::test;

namespace
{

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

} // namespace

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
