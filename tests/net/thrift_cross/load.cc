/* SPDX-License-Identifier: MIT */
/*
 * Calls ThriftTest without end, by Apache Thrift's C++ library, over a pool of connections that
 * makes a call again where one has ended:
 *
 *     cross_load PORT framed|buffered
 *
 * Says how many calls have been answered, a line for each hundred, until its input ends; then
 * exits with 0 if none has failed.
 */
#include "gen-cpp/ThriftTest.h"

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/TOutput.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::transport;
using namespace thrift::test;

namespace
{

constexpr int THREADS = 4;
constexpr int TRIES_MAX = 2 * THREADS; /* Each connection of the pool may be stale once. */

class Pool
{
public:
    Pool(int port_number, bool framed) : port(port_number), is_framed(framed) {}

    /* Make the call on a connection, and on another one if that has ended. */
    template <class Call> bool make(Call call)
    {
        for (int tries = 0; tries < TRIES_MAX; tries++) {
            try {
                std::unique_ptr<ThriftTestClient> client = take();
                call(*client);
                give_back(std::move(client));
                return true;
            } catch (const TTransportException &ended) {
                moved++;
                last_words = ended.what();
            }
        }
        return false;
    }

    std::string words()
    {
        return last_words;
    }

    std::atomic<uint64_t> moved{0};

private:
    std::unique_ptr<ThriftTestClient> take()
    {
        {
            const std::lock_guard<std::mutex> guard(lock);
            if (!idle.empty()) {
                std::unique_ptr<ThriftTestClient> client = std::move(idle.back());
                idle.pop_back();
                return client;
            }
        }
        auto socket = std::make_shared<TSocket>("127.0.0.1", port);
        socket->setRecvTimeout(20000);
        std::shared_ptr<TTransport> transport = std::make_shared<TBufferedTransport>(socket);
        if (is_framed)
            transport = std::make_shared<TFramedTransport>(socket);
        transport->open();
        return std::make_unique<ThriftTestClient>(std::make_shared<TBinaryProtocol>(transport));
    }

    void give_back(std::unique_ptr<ThriftTestClient> client)
    {
        const std::lock_guard<std::mutex> guard(lock);
        idle.push_back(std::move(client));
    }

    const int port;
    const bool is_framed;
    std::mutex lock;
    std::vector<std::unique_ptr<ThriftTestClient>> idle;
    thread_local static std::string last_words;
};

thread_local std::string Pool::last_words;

class Load
{
public:
    Load(int port, bool is_framed) : pool(port, is_framed) {}

    void call_until_done()
    {
        for (int32_t number = 0; !is_done; number++) {
            const std::string word = "word " + std::to_string(number);
            bool is_right = false;
            std::string what;
            try {
                what = pool.make([&](ThriftTestClient &client) {
                    std::string back;
                    client.testString(back, word);
                    is_right = back == word && client.testI32(number) == number;
                })
                               ? "another answer"
                               : pool.words();
            } catch (const std::exception &raised) {
                what = raised.what();
                is_right = false;
            }
            count(is_right, what);
        }
    }

    std::atomic<bool> is_done{false};
    std::atomic<uint64_t> failed{0};
    Pool pool;

private:
    void count(bool is_right, const std::string &what)
    {
        const std::lock_guard<std::mutex> guard(lock);
        if (!is_right) {
            failed++;
            std::cerr << "cross_load: " << what << std::endl;
        } else if (++answered % 100 == 0) {
            std::cout << answered << std::endl;
        }
    }

    std::mutex lock;
    uint64_t answered = 0;
};

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::cerr << "usage: see the head of load.cc\n";
        return 2;
    }
    GlobalOutput.setOutputFunction([](const char *) {});
    Load load(std::atoi(argv[1]), std::string(argv[2]) == "framed");
    std::vector<std::thread> threads;
    for (int i = 0; i < THREADS; i++)
        threads.emplace_back([&] { load.call_until_done(); });
    while (std::cin.get() != EOF)
        ;
    load.is_done = true;
    for (std::thread &thread : threads)
        thread.join();
    std::cerr << load.failed << " calls failed, " << load.pool.moved << " were made again\n";
    return load.failed == 0 ? 0 : 1;
}
