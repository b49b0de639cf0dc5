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
#include "peer.h"

#include <thrift/TOutput.h>

#include <iostream>

namespace
{

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

} // namespace

int main(int argc, char **argv)
{
    const Options options = read_options(argc, argv);

    apache::thrift::GlobalOutput.setOutputFunction([](const char *) {});
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
