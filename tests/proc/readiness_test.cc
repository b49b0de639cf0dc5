/* SPDX-License-Identifier: MIT */
/* coil/readiness.h: what a service notifies, which may be anything. */
#include <gtest/gtest.h>

#include <random>
#include <string>

#include <coil/readiness.h>

#include <sys/mman.h>
#include <unistd.h>

namespace
{

/* Where reading one byte too many is a fault. */
coil_notice parse(const std::string &message)
{
    const size_t page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t room_bytes = (message.size() / page_bytes + 1) * page_bytes;
    char *memory = static_cast<char *>(mmap(nullptr, room_bytes + page_bytes,
            PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_EQ(0, mprotect(memory + room_bytes, page_bytes, PROT_NONE));
    char *bytes = memory + room_bytes - message.size();
    message.copy(bytes, message.size());
    coil_notice notice;
    coil_notice_parse(bytes, message.size(), &notice);
    munmap(memory, room_bytes + page_bytes);
    return notice;
}

TEST(Notice, HasAWordForEachLine)
{
    EXPECT_EQ(0u, parse("").words);
    EXPECT_EQ(static_cast<unsigned>(COIL_NOTICE_READY), parse("READY=1").words);
    EXPECT_EQ(static_cast<unsigned>(COIL_NOTICE_READY), parse("READY=1\n").words);
    EXPECT_EQ(static_cast<unsigned>(COIL_NOTICE_TRIGGER), parse("WATCHDOG=trigger").words);
    const coil_notice all = parse("RELOADING=1\nMONOTONIC_USEC=17\n\nSTOPPING=1\nWATCHDOG=1\n"
                                  "STATUS=two left\nEXTEND_TIMEOUT_USEC=1500\nREADY=1");
    EXPECT_EQ(static_cast<unsigned>(COIL_NOTICE_RELOADING | COIL_NOTICE_STOPPING |
                                    COIL_NOTICE_WATCHDOG | COIL_NOTICE_STATUS |
                                    COIL_NOTICE_EXTEND_USEC | COIL_NOTICE_READY),
            all.words);
    EXPECT_STREQ("two left", all.status);
    EXPECT_EQ(coil_us(1500), all.extend);
}

TEST(Notice, PassesOverWhatItDoesNotKnow)
{
    for (const char *text : {"READY=0", "READY=11", "READY", "READY=1 ", " READY=1", "ready=1",
                 "XREADY=1", "WATCHDOG=2", "WATCHDOG_USEC=", "WATCHDOG_USEC=-1", "WATCHDOG_USEC=1s",
                 "WATCHDOG_USEC=99999999999999999999", "=", "\n\n\n"})
        EXPECT_EQ(0u, parse(text).words) << text;
    EXPECT_EQ(0u, parse(std::string("READY=1\0", 8)).words);
}

TEST(Notice, ATimeThatIsTooLongIsForEver)
{
    const coil_notice notice = parse("WATCHDOG_USEC=9223372036854775807");
    EXPECT_EQ(static_cast<unsigned>(COIL_NOTICE_WATCHDOG_USEC), notice.words);
    EXPECT_LE(coil_s(86400) * 365, notice.watchdog);
}

TEST(Notice, AStatusIsCutAndSafeForATerminal)
{
    const coil_notice notice = parse("STATUS=\x1b[2J\t" + std::string(500, 'x'));
    EXPECT_EQ(static_cast<size_t>(COIL_NOTICE_STATUS_BYTES - 1), strlen(notice.status));
    EXPECT_EQ(0, strncmp("?[2J?xxx", notice.status, 8));
}

TEST(Notice, AnythingMayCome)
{
    std::mt19937 random(1);
    const std::string pieces[] = {"READY=1", "\n", "WATCHDOG_USEC=", "12", "STATUS=", "=", "\0",
            "EXTEND_TIMEOUT_USEC=", "\xff", "WATCHDOG=", "trigger"};
    for (int i = 0; i < 5000; i++) {
        std::string text;
        for (unsigned pieces_left = random() % 8; pieces_left > 0; pieces_left--)
            text += pieces[random() % 11];
        const coil_notice notice = parse(text);
        EXPECT_GT(static_cast<size_t>(COIL_NOTICE_STATUS_BYTES), strlen(notice.status));
        EXPECT_LE(0, notice.watchdog);
        EXPECT_LE(0, notice.extend);
    }
}

} // namespace
