/* SPDX-License-Identifier: MIT */
/* proc/log_lines.h: what becomes of the bytes of a pipe, however they are cut into reads. */
#include "log_lines.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

namespace
{

/* Input that ends where memory ends. */
class Guarded
{
public:
    explicit Guarded(const std::string &bytes)
    {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        size = (bytes.size() + page - 1) / page * page + page;
        base = static_cast<char *>(
                mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        EXPECT_EQ(0, mprotect(base + size - page, page, PROT_NONE));
        start = base + size - page - bytes.size();
        memcpy(start, bytes.data(), bytes.size());
    }

    Guarded(const Guarded &) = delete;
    Guarded &operator=(const Guarded &) = delete;

    ~Guarded()
    {
        munmap(base, size);
    }

    char *start;

private:
    char *base;
    size_t size;
};

struct Seen {
    log_sink sink;
    std::vector<std::string> lines;
    bool keep = true;
};

bool see(log_sink *sink, log_job *, const coil_log_line *line)
{
    Seen *seen = reinterpret_cast<Seen *>(sink);
    std::string text(line->bytes, line->size_bytes);
    seen->lines.push_back(text + (line->continues ? "+" : "") + (line->unended ? "!" : ""));
    return seen->keep;
}

class LogLines : public testing::Test
{
protected:
    ~LogLines() override
    {
        log_rest_clear(&rest);
    }

    /* All of it, in reads of this size. */
    std::string take(const std::string &bytes, size_t read_bytes = SIZE_MAX)
    {
        std::string stored;
        for (size_t at = 0; at < bytes.size(); at += std::min(read_bytes, bytes.size() - at)) {
            const std::string part = bytes.substr(at, read_bytes);
            const Guarded in(part);
            log_job job = job_of(in.start, part.size());
            while (job.in_bytes > 0) {
                log_lines_take(&rules, &rest, &job);
                stored.append(job.out, job.out_bytes);
                job.out_bytes = 0;
            }
            lines += job.line_count;
        }
        return stored;
    }

    std::string end()
    {
        log_job job = job_of("", 0);
        log_lines_end(&rules, &rest, &job);
        return std::string(job.out, job.out_bytes);
    }

    log_job job_of(const char *in, size_t size_bytes)
    {
        log_job job = {};
        job.in = in;
        job.in_bytes = size_bytes;
        job.out = out.data();
        job.out_room_bytes = out.size();
        job.head = head.data();
        job.head_bytes = head.size();
        job.prefix = "";
        return job;
    }

    std::string head = "> ";
    std::vector<char> out = std::vector<char>(LOG_LINE_BYTES_MAX + 100);
    log_rules rules = {16, true, nullptr};
    log_rest rest = {};
    uint64_t lines = 0;
};

TEST_F(LogLines, StoresLinesWithTheirHead)
{
    EXPECT_EQ("> one\n> \n> two\n", take("one\n\ntwo\n"));
    EXPECT_EQ(3u, lines);
    EXPECT_EQ("", end());
}

TEST_F(LogLines, MakesTheSameOfAllWaysToReadIt)
{
    std::string bytes;
    for (int i = 0; i < 40; i++)
        bytes += std::string(static_cast<size_t>(i), static_cast<char>('a' + i % 26)) + "\n";
    const std::string expected = take(bytes);
    for (size_t read_bytes = 1; read_bytes < 60; read_bytes++)
        EXPECT_EQ(expected, take(bytes, read_bytes)) << read_bytes;
}

TEST_F(LogLines, CutsLongLinesIntoMarkedPieces)
{
    EXPECT_EQ("> 0123456789abcdef\n", take("0123456789abcdef\n"));
    EXPECT_EQ("> 0123456789abcdef [...]\n> g\n", take("0123456789abcdefg\n"));
    EXPECT_EQ("> 0123456789abcdef [...]\n> 0123456789abcdef [...]\n",
            take("0123456789abcdef0123456789abcdef0"));
    EXPECT_EQ("> 0 [no newline]\n", end());
}

TEST_F(LogLines, LosesNoByteOfALongLine)
{
    std::string bytes(1000, 'x');
    for (size_t i = 0; i < bytes.size(); i++)
        bytes[i] = static_cast<char>('a' + i % 26);
    for (size_t read_bytes : {1, 7, 16, 17, 33, 1000}) {
        std::string stored = take(bytes + "\n", read_bytes);
        std::string joined;
        while (!stored.empty()) {
            std::string line = stored.substr(2, stored.find('\n') - 2);
            stored.erase(0, stored.find('\n') + 1);
            if (line.size() > 6 && line.compare(line.size() - 6, 6, COIL_LOG_CUT_MARK) == 0)
                line.resize(line.size() - 6);
            joined += line;
        }
        EXPECT_EQ(bytes, joined) << read_bytes;
    }
}

TEST_F(LogLines, KeepsEveryByteButTheNewline)
{
    std::string bytes;
    for (int i = 0; i < 256; i++)
        bytes += i == '\n' ? '.' : static_cast<char>(i);
    rules.line_limit_bytes = 1000;
    EXPECT_EQ("> " + bytes + "\n", take(bytes + "\n", 3));
}

TEST_F(LogLines, FreesTheRestOnceItHasItsEnd)
{
    take("abc");
    EXPECT_EQ(3u, rest.size_bytes);
    take("\n");
    EXPECT_EQ(nullptr, rest.bytes);
}

TEST_F(LogLines, TellsTheSinkWhatItStores)
{
    Seen seen = {{see}, {}, true};
    rules.sink = &seen.sink;
    EXPECT_EQ("> one\n> 0123456789abcdef [...]\n> gh\n", take("one\n0123456789abcdefgh\nrest", 2));
    EXPECT_EQ("> rest [no newline]\n", end());
    EXPECT_EQ((std::vector<std::string>{"one", "0123456789abcdef+", "gh", "rest!"}), seen.lines);
}

TEST_F(LogLines, StoresNotWhatTheSinkRefuses)
{
    Seen seen = {{see}, {}, false};
    rules.sink = &seen.sink;
    EXPECT_EQ("", take("one\ntwo\n"));
    EXPECT_EQ(0u, lines);
    EXPECT_EQ(2u, seen.lines.size());
}

TEST_F(LogLines, StopsWhenThereIsNoRoom)
{
    std::string bytes;
    for (int i = 0; i < 1000; i++)
        bytes += std::to_string(i) + "\n";
    const std::string stored = take(bytes);
    EXPECT_EQ(1000, std::count(stored.begin(), stored.end(), '\n'));
    EXPECT_EQ(1000u, lines);
}

std::string time_of(int64_t time_us)
{
    char text[COIL_LOG_TIME_BYTES];
    log_time_format(time_us, text);
    return std::string(text, sizeof(text));
}

TEST(LogTime, IsIso8601InUtc)
{
    EXPECT_EQ("1970-01-01T00:00:00.000000Z ", time_of(0));
    EXPECT_EQ("1969-12-31T23:59:59.999999Z ", time_of(-1));
    EXPECT_EQ("2000-02-29T12:34:56.000789Z ", time_of(951827696000789));
    EXPECT_EQ("2026-11-21T18:30:56.123456Z ", time_of(1795285856123456));
}

TEST(LogTime, AgreesWithTheCLibraryOnEveryDay)
{
    for (int64_t day = -30000; day < 60000; day++) {
        const time_t second =
                static_cast<time_t>(day) * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        struct tm parts = {};
        gmtime_r(&second, &parts);
        char text[64];
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000000Z ", &parts);
        ASSERT_EQ(text, time_of(static_cast<int64_t>(second) * 1000000)) << day;
    }
}

} // namespace
