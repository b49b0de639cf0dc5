/* SPDX-License-Identifier: MIT */
/* Words to spell Thrift packets byte by byte, independently of the writer under test. */
#ifndef THRIFT_PACKETS_H
#define THRIFT_PACKETS_H

#include <cstdint>
#include <string>

namespace packet
{

inline std::string big_endian(uint64_t value, int size)
{
    std::string bytes;
    for (int shift = (size - 1) * 8; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<char>(value >> shift));
    return bytes;
}

inline std::string i8(int value)
{
    return big_endian(static_cast<uint64_t>(value), 1);
}
inline std::string i16(int value)
{
    return big_endian(static_cast<uint64_t>(value), 2);
}
inline std::string i32(int64_t value)
{
    return big_endian(static_cast<uint64_t>(value), 4);
}
inline std::string i64(int64_t value)
{
    return big_endian(static_cast<uint64_t>(value), 8);
}

inline std::string text(const std::string &value)
{
    return i32(static_cast<int64_t>(value.size())) + value;
}

inline std::string field(int type, int id)
{
    return i8(type) + i16(id);
}

inline std::string stop()
{
    return std::string(1, '\0');
}

inline std::string list(int element, int64_t count)
{
    return i8(element) + i32(count);
}

inline std::string map(int key, int value, int64_t count)
{
    return i8(key) + i8(value) + i32(count);
}

inline std::string message(int type, const std::string &name, int seqid)
{
    return i32(0x80010000LL | type) + text(name) + i32(seqid);
}

inline std::string call(const std::string &name, const std::string &arguments)
{
    return message(1, name, 7) + arguments;
}

inline std::string reply(const std::string &name, const std::string &result)
{
    return message(2, name, 7) + result;
}

inline std::string old_message(int type, const std::string &name, int seqid)
{
    return text(name) + i8(type) + i32(seqid);
}

inline std::string repeat(const std::string &bytes, int count)
{
    std::string all;
    for (int i = 0; i < count; i++)
        all += bytes;
    return all;
}

} // namespace packet

#endif
