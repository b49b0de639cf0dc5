/* SPDX-License-Identifier: MIT */
/* ThriftTest, served by Apache Thrift's C++ library. */
#include "gen-cpp/SecondService.h"
#include "gen-cpp/ThriftTest.h"
#include "peer.h"

#include <thrift/processor/TMultiplexedProcessor.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/protocol/THeaderProtocol.h>
#include <thrift/protocol/TJSONProtocol.h>
#include <thrift/server/TNonblockingServer.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/THttpServer.h>
#include <thrift/transport/TNonblockingServerSocket.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSSLServerSocket.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TZlibTransport.h>

#include <iostream>

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::transport;
using namespace thrift::test;

namespace
{

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
        back = xtruct("Hello2", arg0, arg1, arg2);
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

} // namespace

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
