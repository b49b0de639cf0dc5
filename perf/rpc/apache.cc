/* SPDX-License-Identifier: MIT */
/*
 * rpc.thrift by Apache Thrift's C++ servers: TNonblockingServer, or with --threads a thread each.
 */
#include "gen-cpp/Rpc.h"

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TNonblockingServer.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/TOutput.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TNonblockingServerSocket.h>
#include <thrift/transport/TServerSocket.h>

#include <cstdlib>
#include <iostream>
#include <string>

using namespace apache::thrift;

namespace
{

class Handler : public rpc::RpcIf
{
public:
    void ping() override {}
    void echo(std::string &back, const std::string &text) override
    {
        back = text;
    }
};

} // namespace

int main(int argc, char **argv)
{
    bool has_threads = false;
    int port = 0;

    for (int i = 1; i < argc; i++) {
        const std::string word = argv[i];
        has_threads |= word == "--threads";
        if (word == "--port" && i + 1 < argc)
            port = std::atoi(argv[++i]);
    }
    GlobalOutput.setOutputFunction([](const char *) {});
    auto processor = std::make_shared<rpc::RpcProcessor>(std::make_shared<Handler>());
    auto protocols = std::make_shared<protocol::TBinaryProtocolFactory>();
    if (has_threads) {
        server::TThreadedServer server(processor,
                std::make_shared<transport::TServerSocket>("127.0.0.1", port),
                std::make_shared<transport::TFramedTransportFactory>(), protocols);
        server.serve();
    } else {
        server::TNonblockingServer server(processor, protocols,
                std::make_shared<transport::TNonblockingServerSocket>("127.0.0.1", port));
        server.serve();
    }
    return 0;
}
