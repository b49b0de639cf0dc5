/* SPDX-License-Identifier: MIT */
/* JSON: texts without an end, numbers beyond all bounds, brackets in brackets. */
#include "hostile_packets.h"

using namespace packet;

namespace
{

const char *const GROUP = "JSON";

std::string json(const std::string &method, const std::string &arguments)
{
    return "[1,\"" + method + "\",1,7," + arguments + "]";
}

std::string json_echo(const std::string &text)
{
    return json("echo", "{\"1\":{\"str\":" + text + "}}");
}

std::string json_take(const std::string &fields)
{
    return json("take", "{\"1\":{\"rec\":{" + fields + "}}}");
}

HostilePackets texts()
{
    return {
            {GROUP, "a string without an end", "PROTOCOL_ERROR", framed(json_echo("\"xxx"))},
            {GROUP, "a string without an end, unframed", "PROTOCOL_ERROR",
                    "[1,\"echo\",1,7,{\"1\":{\"str\":\"" + std::string(100000, 'x')},
            {GROUP, "200 kB of spaces, unframed", "PROTOCOL_ERROR",
                    "[1," + std::string(200000, ' ')},
            {GROUP, "an unknown escape", "PROTOCOL_ERROR", framed(json_echo("\"\\q\""))},
            {GROUP, "half a surrogate", "PROTOCOL_ERROR", framed(json_echo("\"\\ud800\""))},
            {GROUP, "surrogates in the wrong order", "PROTOCOL_ERROR",
                    framed(json_echo("\"\\udc00\\ud800\""))},
            {GROUP, "an escape that is cut", "PROTOCOL_ERROR", framed(json_echo("\"\\u00\""))},
            {GROUP, "zeros, escaped", "REPLY", framed(json_echo("\"\\u0000\\u0000\""))},
            {GROUP, "30,000 escapes", "REPLY",
                    framed(json_echo("\"" + repeat("\\n", 30000) + "\""))},
            {GROUP, "base64 that is none", "PROTOCOL_ERROR",
                    framed(json_take("\"8\":{\"str\":\"!!!!\"}"))},
            {GROUP, "base64 of one letter", "PROTOCOL_ERROR",
                    framed(json_take("\"8\":{\"str\":\"A\"}"))},
            {GROUP, "a name of escapes", "UNKNOWN_METHOD",
                    framed("[1,\"" + repeat("\\u0041", 10000) + "\",1,7,{}]")},
            {GROUP, "control characters", "REPLY", framed(json_echo("\"\1\2\3\""))},
    };
}

HostilePackets numbers()
{
    return {
            {GROUP, "version 2", "PROTOCOL_ERROR", framed("[2,\"ping\",1,7,{}]")},
            {GROUP, "version 10000 digits long", "PROTOCOL_ERROR",
                    framed("[1" + std::string(10000, '1') + ",\"ping\",1,7,{}]")},
            {GROUP, "seqid above 32 bits", "PROTOCOL_ERROR",
                    framed("[1,\"ping\",1,5000000000,{}]")},
            {GROUP, "type 77", "PROTOCOL_ERROR", framed("[1,\"ping\",77,7,{}]")},
            {GROUP, "a number of 10,000 digits", "PROTOCOL_ERROR",
                    framed(json_take("\"5\":{\"i64\":" + std::string(10000, '9') + "}"))},
            {GROUP, "a double of 10,000 digits", "PROTOCOL_ERROR",
                    framed(json_take("\"6\":{\"dbl\":0." + std::string(10000, '9') + "}"))},
            {GROUP, "1e999999999", "PROTOCOL_ERROR",
                    framed(json_take("\"6\":{\"dbl\":1e999999999}"))},
            {GROUP, "minus, and no digit", "PROTOCOL_ERROR",
                    framed(json_take("\"5\":{\"i64\":-}"))},
            {GROUP, "a field with the id x", "PROTOCOL_ERROR",
                    framed(json("ping", "{\"x\":{\"str\":\"\"}}"))},
            {GROUP, "a field with the id 99999", "PROTOCOL_ERROR",
                    framed(json("ping", "{\"99999\":{\"str\":\"\"}}"))},
            {GROUP, "an unknown type", "PROTOCOL_ERROR",
                    framed(json("ping", "{\"1\":{\"xyz\":1}}"))},
    };
}

HostilePackets containers()
{
    return {
            {GROUP, "list of 2^31-1", "PROTOCOL_ERROR",
                    framed(json_take("\"10\":{\"lst\":[\"i64\",2147483647]}"))},
            {GROUP, "list of 2^31-1, unframed", "PROTOCOL_ERROR",
                    json_take("\"10\":{\"lst\":[\"i64\",2147483647]}")},
            {GROUP, "list of -1", "PROTOCOL_ERROR",
                    framed(json_take("\"10\":{\"lst\":[\"i64\",-1]}"))},
            {GROUP, "map of 2^31-1", "PROTOCOL_ERROR",
                    framed(json_take("\"12\":{\"map\":[\"str\",\"lst\",2147483647,{}]}"))},
            {GROUP, "list with more than it says", "PROTOCOL_ERROR",
                    framed(json_take("\"10\":{\"lst\":[\"i64\",1,1,2,3]}"))},
            {GROUP, "30,000 empty structs", "PROTOCOL_ERROR",
                    framed(json_take(
                            "\"15\":{\"lst\":[\"rec\",30000" + repeat(",{}", 30000) + "]}"))},
            {GROUP, "100,000 brackets", "PROTOCOL_ERROR", framed(std::string(100000, '['))},
            {GROUP, "100,000 brackets, unframed", "PROTOCOL_ERROR",
                    "[1,\"ping\",1,7," + std::string(100000, '{')},
            {GROUP, "100,000 structs, unknown", "PROTOCOL_ERROR",
                    framed(json("ping",
                            repeat("{\"9\":{\"rec\":", 100000) + "{}" + repeat("}}", 100000)))},
            {GROUP, "100,000 closing brackets", "PROTOCOL_ERROR",
                    framed("[1,\"ping\",1,7,{}" + std::string(100000, ']'))},
            {GROUP, "no closing bracket", "PROTOCOL_ERROR", framed("[1,\"ping\",1,7,{}")},
    };
}

} // namespace

HostilePackets hostile_json()
{
    HostilePackets all = texts();
    for (const HostilePackets &some : {numbers(), containers()})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}
