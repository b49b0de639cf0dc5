/* SPDX-License-Identifier: MIT */
/*
 * Apache Thrift's C++ library as one side of an interoperability test.
 *
 *     interop_peer client <port>
 *     interop_peer server simple|threaded|nonblocking      says "port N" when it listens
 */
#include "Interop.h"

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TSimpleServer.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>
#ifdef WITH_NONBLOCKING
#include <thrift/server/TNonblockingServer.h>
#include <thrift/transport/TNonblockingServerSocket.h>
#endif

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <thread>

using apache::thrift::TApplicationException;
using apache::thrift::TProcessor;
using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::protocol::TBinaryProtocolFactory;
using apache::thrift::server::TServerEventHandler;
using apache::thrift::server::TSimpleServer;
using apache::thrift::server::TThreadedServer;
using apache::thrift::transport::TFramedTransport;
using apache::thrift::transport::TFramedTransportFactory;
using apache::thrift::transport::TServerSocket;
using apache::thrift::transport::TSocket;
using namespace interop;

namespace fb303 = facebook::fb303;

namespace
{

int wrong_count;

void expect(bool right, const char *what)
{
    if (right)
        return;
    wrong_count++;
    std::cerr << "not so: " << what << "\n";
}

#define EXPECT(condition) expect((condition), #condition)

Point point(int32_t x, int32_t y)
{
    Point made;
    made.x = x;
    made.y = y;
    return made;
}

Everything everything()
{
    Everything all;
    all.yes = true;
    all.tiny = std::numeric_limits<int8_t>::min();
    all.small = std::numeric_limits<int16_t>::min();
    all.medium = std::numeric_limits<int32_t>::min();
    all.large = std::numeric_limits<int64_t>::min();
    all.real = 0.5;
    all.text = "gr\xc3\xbc\xc3\x9f dich";
    all.bytes = std::string("\0\1\2\377\376", 5);
    all.colour = Colour::BLUE;
    all.words = {"one", "", "three"};
    all.numbers = {-7, 8, std::numeric_limits<int32_t>::max()};
    all.prices = {{"egg", std::numeric_limits<int64_t>::max()}, {"", 0}};
    all.path = {point(1, 2), point(3, 4)};
    all.paths = {{5, {point(6, 7)}}, {-5, {}}};
    all.__set_place(point(8, 9));
    all.flags = {false, true};
    all.deep = {{"a", {{"b", {1e-292, -std::numeric_limits<double>::infinity()}}}}, {"c", {}}};
    return all;
}

/* --------------------------------------------------------------------------------- client -- */

void ask_fb303(InteropClient &client)
{
    std::string text;
    std::map<std::string, int64_t> counters;
    std::map<std::string, std::string> options;

    client.getName(text);
    EXPECT(text == "interop");
    client.getVersion(text);
    EXPECT(text == "1.0");
    EXPECT(client.getStatus() == fb303::fb_status::ALIVE);
    client.getStatusDetails(text);
    EXPECT(text.empty());
    EXPECT(client.getCounter("answers") == 42);
    EXPECT(client.getCounter("nothing") == 0);
    client.getCounters(counters);
    EXPECT(counters.at("answers") == 42);
    client.setOption("colour", "red");
    client.getOption(text, "colour");
    EXPECT(text == "red");
    client.getOptions(options);
    EXPECT(options == (std::map<std::string, std::string>{{"colour", "red"}}));
    client.getCpuProfile(text, 1);
    EXPECT(text.empty());
    EXPECT(std::abs(client.aliveSince() - time(nullptr)) < 60);
    client.reinitialize();
}

void call_types(InteropClient &client)
{
    Everything echoed;
    std::string words;

    client.echo(echoed, everything());
    EXPECT(echoed == everything());
    client.echo(echoed = Everything(), Everything());
    EXPECT(echoed == Everything());
    Everything large;
    large.bytes.assign(4000000, 'x');
    client.echo(echoed, large);
    EXPECT(echoed == large);
    client.describe(words, everything());
    EXPECT(words == "true -128 -32768 -2147483648 -9223372036854775808 0.5 "
                    "gr\xc3\xbc\xc3\x9f dich 5 bytes colour 40");
    EXPECT(client.sum({1000000000000, -1}, {10, 20}, {{"x", -300}}) == 999999999729);
}

void call_exceptions(InteropClient &client)
{
    client.check("fine");
    try {
        client.check("declared");
        EXPECT(!"declared");
    } catch (const Failure &failure) {
        EXPECT(failure.code == 1001);
        EXPECT(failure.reason == "declared");
    }
    try {
        client.check("undeclared");
        EXPECT(!"undeclared");
    } catch (const TApplicationException &error) {
        EXPECT(error.getType() == TApplicationException::INTERNAL_ERROR);
    }
}

int run_client(int port)
{
    auto socket = std::make_shared<TSocket>("127.0.0.1", port);
    socket->setRecvTimeout(10000);
    auto transport = std::make_shared<TFramedTransport>(socket);
    InteropClient client(std::make_shared<TBinaryProtocol>(transport));
    std::vector<std::string> told;

    transport->open();
    ask_fb303(client);
    call_types(client);
    call_exceptions(client);
    client.tell("from C++");
    client.tell("from C++");
    client.told(told);
    EXPECT(told == (std::vector<std::string>{"from C++", "from C++"}));
    client.shutdown();
    transport->close();
    return wrong_count > 0;
}

/* --------------------------------------------------------------------------------- server -- */

class Handler : public InteropIf
{
public:
    void getName(std::string &result) override
    {
        result = "interop";
    }
    void getVersion(std::string &result) override
    {
        result = "1.0";
    }
    fb303::fb_status::type getStatus() override
    {
        return fb303::fb_status::ALIVE;
    }
    void getStatusDetails(std::string &) override {}
    void getCounters(std::map<std::string, int64_t> &result) override
    {
        result = {{"answers", 42}};
    }
    int64_t getCounter(const std::string &key) override
    {
        return key == "answers" ? 42 : 0;
    }
    void setOption(const std::string &key, const std::string &value) override
    {
        options[key] = value;
    }
    void getOption(std::string &result, const std::string &key) override
    {
        result = options[key];
    }
    void getOptions(std::map<std::string, std::string> &result) override
    {
        result = options;
    }
    void getCpuProfile(std::string &, int32_t) override {}
    int64_t aliveSince() override
    {
        return time(nullptr);
    }
    void reinitialize() override {}
    void shutdown() override
    {
        _exit(wrong_count > 0);
    }
    void echo(Everything &result, const Everything &value) override
    {
        EXPECT(value.text == everything().text);
        EXPECT(value.bytes == everything().bytes);
        result = value;
    }
    void describe(std::string &result, const Everything &value) override
    {
        char words[400];
        snprintf(words, sizeof(words), "%s %d %d %d %lld %.17g %s %zu bytes colour %d",
                value.yes ? "true" : "false", value.tiny, value.small, value.medium,
                static_cast<long long>(value.large), value.real, value.text.c_str(),
                value.bytes.size(), static_cast<int>(value.colour));
        result = words;
    }
    int64_t sum(const std::vector<int64_t> &numbers, const std::set<int32_t> &more,
            const std::map<std::string, int16_t> &named) override
    {
        int64_t total = std::accumulate(numbers.begin(), numbers.end(), int64_t(0));
        total = std::accumulate(more.begin(), more.end(), total);
        for (const auto &entry : named)
            total += entry.second;
        return total;
    }
    void check(const std::string &how) override
    {
        if (how == "undeclared")
            throw std::runtime_error(how);
        if (how != "declared")
            return;
        Failure failure;
        failure.code = 1001;
        failure.reason = how;
        throw failure;
    }
    void tell(const std::string &word) override
    {
        words.push_back(word);
    }
    void told(std::vector<std::string> &result) override
    {
        result = words;
    }

private:
    std::map<std::string, std::string> options;
    std::vector<std::string> words;
};

/* Says the port as soon as the server listens. */
class SayPort : public TServerEventHandler
{
public:
    explicit SayPort(std::function<int()> port_of) : port(std::move(port_of)) {}

    void preServe() override
    {
        std::cout << "port " << port() << std::endl;
    }

private:
    std::function<int()> port;
};

template <class Server> int run_blocking(const std::shared_ptr<TProcessor> &processor)
{
    auto socket = std::make_shared<TServerSocket>("127.0.0.1", 0);
    Server server(processor, socket, std::make_shared<TFramedTransportFactory>(),
            std::make_shared<TBinaryProtocolFactory>());
    server.setServerEventHandler(std::make_shared<SayPort>([&] { return socket->getPort(); }));
    server.serve();
    return 0;
}

int run_nonblocking(const std::shared_ptr<TProcessor> &processor)
{
#ifdef WITH_NONBLOCKING
    auto socket =
            std::make_shared<apache::thrift::transport::TNonblockingServerSocket>("127.0.0.1", 0);
    apache::thrift::server::TNonblockingServer server(
            processor, std::make_shared<TBinaryProtocolFactory>(), socket);
    server.setServerEventHandler(
            std::make_shared<SayPort>([&] { return socket->getListenPort(); }));
    server.serve();
    return 0;
#else
    (void)processor;
    std::cout << "skipped: built without libevent" << std::endl;
    return 77;
#endif
}

int run_server(const std::string &kind)
{
    auto processor = std::make_shared<InteropProcessor>(std::make_shared<Handler>());
    if (kind == "simple")
        return run_blocking<TSimpleServer>(processor);
    if (kind == "threaded")
        return run_blocking<TThreadedServer>(processor);
    return run_nonblocking(processor);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::cerr << "usage: " << argv[0] << " client <port> | server <kind>\n";
        return 2;
    }
    try {
        if (std::string(argv[1]) == "client")
            return run_client(std::stoi(argv[2]));
        return run_server(argv[2]);
    } catch (const std::exception &error) {
        std::cerr << "ended with " << error.what() << "\n";
        return 1;
    }
}
