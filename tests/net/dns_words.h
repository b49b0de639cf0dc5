/* SPDX-License-Identifier: MIT */
/* Messages of name servers, written by hand, so that they can be wrong in every way. */
#ifndef DNS_WORDS_H
#define DNS_WORDS_H

#include <arpa/inet.h>

#include <cstdint>
#include <string>

namespace dns
{

enum { A = 1, CNAME = 5, SOA = 6, AAAA = 28, SRV = 33 };

inline std::string u16(unsigned value)
{
    return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

inline std::string u32(uint32_t value)
{
    return u16(value >> 16) + u16(value & 0xffff);
}

inline std::string name(const std::string &text)
{
    std::string bytes;
    size_t at = 0;
    while (at < text.size()) {
        size_t dot = text.find('.', at);
        if (dot == std::string::npos)
            dot = text.size();
        bytes += static_cast<char>(dot - at) + text.substr(at, dot - at);
        at = dot + 1;
    }
    return bytes + '\0';
}

inline std::string record(
        const std::string &owner, unsigned type, uint32_t ttl_s, const std::string &contents)
{
    return name(owner) + u16(type) + u16(1) + u32(ttl_s) +
           u16(static_cast<unsigned>(contents.size())) + contents;
}

inline std::string a(const std::string &owner, uint32_t ttl_s, const char *address)
{
    char bytes[4];
    inet_pton(AF_INET, address, bytes);
    return record(owner, A, ttl_s, std::string(bytes, sizeof(bytes)));
}

inline std::string aaaa(const std::string &owner, uint32_t ttl_s, const char *address)
{
    char bytes[16];
    inet_pton(AF_INET6, address, bytes);
    return record(owner, AAAA, ttl_s, std::string(bytes, sizeof(bytes)));
}

inline std::string cname(const std::string &owner, uint32_t ttl_s, const std::string &to)
{
    return record(owner, CNAME, ttl_s, name(to));
}

inline std::string soa(uint32_t ttl_s, uint32_t minimum_s)
{
    return record("test", SOA, ttl_s,
            name("ns.test") + name("who.test") + u32(1) + u32(2) + u32(3) + u32(4) +
                    u32(minimum_s));
}

inline std::string srv(const std::string &owner, uint32_t ttl_s, unsigned priority, unsigned weight,
        unsigned port, const std::string &target)
{
    return record(owner, SRV, ttl_s, u16(priority) + u16(weight) + u16(port) + name(target));
}

/* An answer: how many records are in each section, and all of them. */
struct Answer {
    unsigned code = 0;
    unsigned answers = 0;
    unsigned authorities = 0;
    unsigned additionals = 0;
    std::string records = {};
    unsigned flags = 0x8180; /* An answer; recursion was wanted, and is there. */

    Answer &add(const std::string &bytes)
    {
        answers++;
        records += bytes;
        return *this;
    }

    std::string message(uint16_t id, const std::string &asked, unsigned type) const
    {
        return u16(id) + u16(flags | code) + u16(1) + u16(answers) + u16(authorities) +
               u16(additionals) + name(asked) + u16(type) + u16(1) + records;
    }
};

inline Answer nothing(unsigned code, uint32_t ttl_s)
{
    Answer answer;
    answer.code = code;
    answer.authorities = 1;
    answer.records = soa(ttl_s, ttl_s);
    return answer;
}

} // namespace dns

#endif
