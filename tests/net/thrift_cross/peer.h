/* SPDX-License-Identifier: MIT */
/* What the two sides of peer.cc have in common. */
#ifndef PEER_H
#define PEER_H

#include "gen-cpp/thrift_test_types.h"

#include <cstdlib>
#include <string>

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

inline thrift::test::Xtruct xtruct(const std::string &text, int8_t i8, int32_t i32, int64_t i64)
{
    thrift::test::Xtruct made;
    made.__set_string_thing(text);
    made.__set_byte_thing(i8);
    made.__set_i32_thing(i32);
    made.__set_i64_thing(i64);
    return made;
}

/* The exit status. */
int call_everything(const Options &options);

/* Does not return. */
void serve(const Options &options);

#endif
