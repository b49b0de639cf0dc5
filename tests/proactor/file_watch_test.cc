/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <coil/file_watch.h>

#include <vector>

#include <coil/sugar.h>

namespace
{

struct Seen {
    int watch;
    uint32_t mask;
    uint32_t cookie;
    std::string name;
};

/* `count` events, or as many as come until nothing has come for a while. */
async(int, gather, (coil_file_watch *) watch, (size_t) count, (std::vector<Seen> *) out_seen)
{
    vars(coil_file_event event; size_t i);

    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_file_watch_next(watch, &my->event));
        out_seen->push_back({my->event.watch, my->event.mask, my->event.cookie, my->event.name});
    }
    return 0;
}

class FileWatch : public Scratch
{
protected:
    FileWatch()
    {
        EXPECT_EQ(0, coil_file_watch_create(loop, &watch));
    }

    ~FileWatch() override
    {
        coil_file_watch_close(watch);
    }

    int add(const std::string &at, uint32_t mask)
    {
        return coil_file_watch_add(watch, at.c_str(), mask);
    }

    const std::vector<Seen> &events(size_t count)
    {
        seen.clear();
        EXPECT_EQ(0, RUN(within(coil_s(10), gather(watch, count, &seen))));
        return seen;
    }

    coil_file_watch *watch = nullptr;
    std::vector<Seen> seen;
};

TEST_F(FileWatch, TellsWhatHappensInADirectory)
{
    const int number = add(root, IN_CREATE | IN_CLOSE_WRITE | IN_DELETE);
    ASSERT_LE(0, number);
    make("a", "x");
    std::filesystem::remove(path("a"));
    const auto &found = events(3);
    ASSERT_EQ(3u, found.size());
    const uint32_t expected[] = {IN_CREATE, IN_CLOSE_WRITE, IN_DELETE};
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(number, found[i].watch);
        EXPECT_EQ(expected[i], found[i].mask);
        EXPECT_EQ("a", found[i].name);
    }
}

TEST_F(FileWatch, TellsBothNamesOfARename)
{
    make("old");
    ASSERT_LE(0, add(root, IN_MOVE));
    std::filesystem::rename(path("old"), path("new"));
    const auto &found = events(2);
    ASSERT_EQ(2u, found.size());
    EXPECT_EQ(static_cast<uint32_t>(IN_MOVED_FROM), found[0].mask);
    EXPECT_EQ(static_cast<uint32_t>(IN_MOVED_TO), found[1].mask);
    EXPECT_EQ("old", found[0].name);
    EXPECT_EQ("new", found[1].name);
    EXPECT_NE(0u, found[0].cookie);
    EXPECT_EQ(found[0].cookie, found[1].cookie);
}

TEST_F(FileWatch, WakesTheTaskThatWaits)
{
    ASSERT_LE(0, add(root, IN_CREATE));
    later(coil_ms(5), [&] { make("late"); });
    EXPECT_EQ("late", events(1)[0].name);
}

TEST_F(FileWatch, OfAFileTellsNoName)
{
    ASSERT_LE(0, add(make("file"), IN_CLOSE_WRITE));
    make("file", "again");
    EXPECT_EQ("", events(1)[0].name);
}

TEST_F(FileWatch, EndsWithAWord)
{
    const int number = add(root, IN_CREATE);
    make("before");
    EXPECT_EQ(0, coil_file_watch_remove(watch, number));
    make("after");
    const auto &found = events(2);
    ASSERT_EQ(2u, found.size());
    EXPECT_EQ("before", found[0].name);
    EXPECT_EQ(static_cast<uint32_t>(IN_IGNORED), found[1].mask);
    EXPECT_EQ(-EINVAL, coil_file_watch_remove(watch, number));
}

TEST_F(FileWatch, CannotWatchWithAReason)
{
    EXPECT_EQ(-ENOENT, add(path("nothing"), IN_CREATE));
    EXPECT_EQ(-EINVAL, add(root, 0));
    EXPECT_EQ(-ENOTDIR, add(make("file"), IN_CREATE | IN_ONLYDIR));
}

TEST_F(FileWatch, LosesNothingByCancellation)
{
    ASSERT_LE(0, add(root, IN_CREATE));
    std::vector<Seen> found;
    const size_t count = 300;
    for (size_t i = 0; found.size() < count; i++) {
        if (i < count)
            later(coil_us(i % 70), [this, i] { make(std::to_string(i)); });
        const int64_t rc = RUN(within(coil_us(i % 50), gather(watch, 1, &found)));
        EXPECT_TRUE(rc == 0 || rc == -ETIME) << rc;
    }
    for (size_t i = 0; i < count; i++)
        EXPECT_EQ(std::to_string(i), found[i].name);
}

TEST_F(FileWatch, ThousandsOfEventsComeInTheirOrder)
{
    ASSERT_LE(0, add(root, IN_CREATE | IN_DELETE));
    const size_t count = 3000;
    for (size_t i = 0; i < count; i++) {
        make("f" + std::to_string(i));
        std::filesystem::remove(path("f" + std::to_string(i)));
    }
    const auto &found = events(2 * count);
    ASSERT_EQ(2 * count, found.size());
    for (size_t i = 0; i < 2 * count; i++)
        EXPECT_EQ("f" + std::to_string(i / 2), found[i].name);
}

TEST_F(FileWatch, SaysThatItHasMissedSomething)
{
    size_t limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    if (limit == 0 || limit > 100000)
        GTEST_SKIP() << "there is no limit that is worth reaching: " << limit;
    ASSERT_LE(0, add(root, IN_CREATE | IN_DELETE));
    for (size_t i = 0; i <= limit / 2; i++) {
        make("f");
        std::filesystem::remove(path("f"));
    }
    const auto &found = events(limit + 1);
    ASSERT_EQ(limit + 1, found.size());
    EXPECT_EQ(static_cast<uint32_t>(IN_Q_OVERFLOW), found.back().mask);
    EXPECT_EQ(-1, found.back().watch);
}

} // namespace
