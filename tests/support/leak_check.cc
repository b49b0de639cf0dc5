/* SPDX-License-Identifier: MIT */
#include "leak_check.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

/* The library's own counts; null if the test does not link the part that has them. */
extern "C" size_t coil_debug_live_tasks(void) __attribute__((weak));
extern "C" size_t coil_debug_pending_ops(void) __attribute__((weak));

namespace
{

namespace fs = std::filesystem;

using descriptors = std::map<std::string, std::string>; /* Number to what it refers to. */

descriptors open_descriptors()
{
    const fs::path own_directory = fs::canonical("/proc/self/fd");
    descriptors found;
    for (const fs::directory_entry &entry : fs::directory_iterator(own_directory)) {
        const fs::path target = fs::read_symlink(entry.path());
        if (target != own_directory)
            found[entry.path().filename()] = target;
    }
    return found;
}

/*
 * Does the kernel reap it, because SIGCHLD is ignored? It says so before it has done it: state X,
 * "dead", in proc_pid_stat(5). Or it has done it meanwhile.
 */
bool is_gone(long pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(") ");
    return name_end == std::string::npos || stat[name_end + 2] == 'X';
}

/* Children belong to the thread that forked them. A zombie is still listed. */
std::set<long> children()
{
    std::set<long> found;
    for (const fs::directory_entry &thread : fs::directory_iterator("/proc/self/task")) {
        std::ifstream list(thread.path() / "children");
        for (long pid; list >> pid;)
            if (!is_gone(pid))
                found.insert(pid);
    }
    return found;
}

struct census {
    descriptors fds = open_descriptors();
    std::set<long> pids = children();
    size_t tasks = coil_debug_live_tasks == nullptr ? 0 : coil_debug_live_tasks();
    size_t ops = coil_debug_pending_ops == nullptr ? 0 : coil_debug_pending_ops();
};

void compare_descriptors(const descriptors &before, const descriptors &after)
{
    for (const auto &[number, target] : after) {
        const auto known = before.find(number);
        if (known == before.end())
            ADD_FAILURE() << "leaked descriptor " << number << " -> " << target;
        else if (known->second != target)
            ADD_FAILURE() << "descriptor " << number << " was " << known->second << ", is now "
                          << target;
    }
    for (const auto &[number, target] : before)
        if (after.count(number) == 0)
            ADD_FAILURE() << "closed descriptor " << number << " of somebody else: " << target;
}

void compare_children(const std::set<long> &before, const std::set<long> &after)
{
    for (const long pid : after)
        if (before.count(pid) == 0)
            ADD_FAILURE() << "leaked child process " << pid;
}

class LeakCheck : public testing::EmptyTestEventListener
{
    census before;

    void OnTestStart(const testing::TestInfo &) override
    {
        before = census();
    }

    void OnTestEnd(const testing::TestInfo &) override
    {
        const census after;
        compare_descriptors(before.fds, after.fds);
        compare_children(before.pids, after.pids);
        EXPECT_EQ(before.tasks, after.tasks) << "live tasks before and after the test";
        EXPECT_EQ(before.ops, after.ops) << "pending operations before and after the test";
    }
};

} // namespace

void install_leak_check()
{
    testing::UnitTest::GetInstance()->listeners().Append(new LeakCheck);
}
