/* SPDX-License-Identifier: MIT */
/* Of hostile_target.h: what an answer says, whatever it is wrapped in. */
#include "hostile_target.h"

#include <coil/thrift.h>
#include <coil/thrift_scan.h>

#ifdef COIL_HAS_ZLIB
#include <zlib.h>
#endif

#include <cctype>
#include <iterator>

namespace
{

size_t number(const std::string &bytes, size_t at, size_t size)
{
    size_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
}

#ifdef COIL_HAS_ZLIB
std::string inflated(const std::string &bytes)
{
    std::string out(1 << 20, '\0');
    z_stream stream = {};

    inflateInit(&stream);
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
    stream.avail_in = static_cast<unsigned>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef *>(&out[0]);
    stream.avail_out = static_cast<unsigned>(out.size());
    inflate(&stream, Z_SYNC_FLUSH);
    out.resize(out.size() - stream.avail_out);
    inflateEnd(&stream);
    return out;
}
#else
std::string inflated(const std::string &)
{
    return "";
}
#endif

const char *name_of(int32_t exception)
{
    static const char *const names[] = {"UNKNOWN", "UNKNOWN_METHOD", "INVALID_MESSAGE_TYPE",
            "WRONG_METHOD_NAME", "BAD_SEQUENCE_ID", "MISSING_RESULT", "INTERNAL_ERROR",
            "PROTOCOL_ERROR", "INVALID_TRANSFORM", "INVALID_PROTOCOL", "UNSUPPORTED_CLIENT_TYPE",
            "LOADSHEDDING", "TIMEOUT"};
    return exception >= 0 && static_cast<size_t>(exception) < std::size(names) ? names[exception]
                                                                               : "?";
}

class Answers
{
public:
    explicit Answers(HostileOutcome *outcome) : said(outcome) {}

    /* All messages in these bytes. */
    void describe(const std::string &bytes)
    {
        size_t at = 0;
        while (at < bytes.size()) {
            const size_t taken = one(bytes.substr(at));
            if (taken == 0)
                break;
            at += taken;
        }
        if (at < bytes.size())
            add("garbage");
    }

    void finish()
    {
        if (count > 1)
            said->answer += " x " + std::to_string(count);
    }

private:
    void add(const std::string &word)
    {
        if (word == last) {
            count++;
            return;
        }
        finish();
        said->answer += (said->answer.empty() ? "" : ", ") + word;
        last = word;
        count = 1;
    }

    static bool is_zlib(const std::string &bytes)
    {
        return bytes.size() >= 2 && (bytes[0] & 0x8f) == 8 && number(bytes, 0, 2) % 31 == 0;
    }

    size_t one(const std::string &bytes)
    {
        if (bytes.rfind("HTTP/1.", 0) == 0)
            return http(bytes);
        if (is_zlib(bytes)) {
            describe(inflated(bytes));
            return bytes.size();
        }
        if (bytes.size() > 4 && bytes[0] == 0 &&
                (isalpha(bytes[4]) == 0 || is_zlib(bytes.substr(4))))
            return frame(bytes);
        return message(bytes);
    }

    size_t http(const std::string &bytes)
    {
        const size_t end = bytes.find("\r\n\r\n");
        const size_t length = bytes.find("Content-Length: ");
        if (end == std::string::npos)
            return 0;
        size_t size = 0;
        if (length < end)
            size = std::stoul(bytes.substr(length + 16));
        const std::string body = bytes.substr(end + 4, size);
        if (bytes.compare(9, 3, "200") == 0 && bytes.find("application/x-thrift") < end &&
                size > 0) {
            describe(body);
        } else {
            add("HTTP " + bytes.substr(9, 3));
        }
        return end + 4 + size;
    }

    size_t frame(const std::string &bytes)
    {
        const size_t size = number(bytes, 0, 4);
        if (bytes.size() < 4 + size)
            return 0;
        std::string inside = bytes.substr(4, size);
        if (size > 10 && number(inside, 0, 2) == 0x0fff)
            inside = inside.substr(10 + 4 * number(inside, 8, 2));
        describe(inside);
        return 4 + size;
    }

    size_t message(const std::string &bytes)
    {
        coil_thrift_scan scan;
        coil_thrift_scan_init(&scan, nullptr);
        const int size =
                coil_thrift_scan_go_on(&scan, reinterpret_cast<const uint8_t *>(bytes.data()),
                        static_cast<uint32_t>(bytes.size()));
        if (size <= 0)
            return 0;

        coil_thrift_reader reader;
        coil_thrift_message message;
        coil_arena arena;
        coil_arena_init(&arena, 1 << 20);
        coil_thrift_reader_init_as(&reader, static_cast<coil_thrift_protocol>(scan.protocol),
                bytes.data(), static_cast<uint32_t>(size), nullptr, &arena);
        if (coil_thrift_read_message(&reader, &message))
            describe_message(&reader, message);
        coil_arena_fini(&arena);
        return static_cast<size_t>(size);
    }

    void describe_message(coil_thrift_reader *reader, const coil_thrift_message &message)
    {
        coil_thrift_exception exception = {};

        if (message.type != COIL_THRIFT_EXCEPTION) {
            add(message.type == COIL_THRIFT_REPLY ? "REPLY" : "no reply");
            return;
        }
        coil_thrift_read_exception(reader, &exception);
        said->words.assign(exception.message.bytes, exception.message.size);
        add(name_of(exception.type));
    }

    HostileOutcome *said;
    std::string last;
    size_t count = 0;
};

} // namespace

void hostile_describe(const std::string &received, HostileOutcome *outcome)
{
    Answers answers(outcome);
    answers.describe(received);
    answers.finish();
}
