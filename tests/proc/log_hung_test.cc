/* SPDX-License-Identifier: MIT */
/* Logs whose disk hangs, and others beside them. */
#include "log_stage.h"

#include "hung_disk.h"

#include <memory>

namespace
{

/*
 * More than the kernel has threads for such operations by itself, and so many that whatever they
 * may share by chance is taken.
 */
const size_t HUNG_COUNT = 100;

class HungLogs : public LogCapture
{
protected:
    void SetUp() override
    {
        LogCapture::SetUp();
        disk = std::make_unique<HungDisk>();
        if (!disk->why.empty())
            GTEST_SKIP() << disk->why;
        open_log();
        for (size_t i = 0; i < HUNG_COUNT; i++)
            hang();
        for (int tries = 0; disk->held_count() < HUNG_COUNT && tries < 1000; tries++)
            UNTIL(coil_sleep(coil_ms(5)));
    }

    void TearDown() override
    {
        if (disk->why.empty()) {
            disk->recover();
            for (coil_log *each : hung)
                EXPECT_EQ(0, UNTIL(coil_log_close(each)));
            close_log();
        }
        writers.clear();
        disk.reset();
        LogCapture::TearDown();
    }

    /* One log more, with a line that it cannot store. */
    void hang()
    {
        const std::string name = disk->directory + "/" + std::to_string(hung.size());
        coil_log_options on_disk = {};
        coil_log *opened = nullptr;
        on_disk.path = name.c_str();
        ASSERT_EQ(0, UNTIL(coil_log_open(&on_disk, &opened)));
        hung.push_back(opened);
        Ends ends = make_pipe();
        ASSERT_EQ(0, coil_log_attach(opened, ends.out.release(), ""));
        put(ends.in, "hung\n");
        writers.push_back(std::move(ends.in));
    }

    std::unique_ptr<HungDisk> disk;
    std::vector<coil_log *> hung;
    std::vector<Fd> writers;
};

TEST_F(HungLogs, EachWaitsForItsOwnDiskAlone)
{
    EXPECT_EQ(HUNG_COUNT, disk->held_count());
    for (coil_log *each : hung)
        EXPECT_EQ(0u, coil_log_statistics(each).stored_bytes);
}

/* Each rotation makes a file that may share what those of the hung disk have taken. */
TEST_F(HungLogs, HoldUpNobodyElse)
{
    Fd in = attach();
    std::string written;
    for (int i = 0; i < 100; i++) {
        const std::string line = "line " + std::to_string(i) + "\n";
        put(in, line);
        written += line;
        ASSERT_EQ(0, UNTIL(within(coil_s(5), coil_log_drain(log)))) << i;
        if (i % 25 == 24) {
            ASSERT_EQ(0, UNTIL(within(coil_s(5), coil_log_rotate(log))));
        }
    }
    EXPECT_EQ(written, all());
    EXPECT_EQ(4u, stats().rotations);
}

TEST_F(HungLogs, StoreAllOnceTheDiskAnswers)
{
    disk->recover();
    for (coil_log *each : hung) {
        EXPECT_EQ(0, UNTIL(coil_log_drain(each)));
        EXPECT_EQ(strlen("hung\n"), coil_log_statistics(each).stored_bytes);
        EXPECT_EQ(0u, coil_log_statistics(each).dropped_lines);
    }
}

} // namespace
