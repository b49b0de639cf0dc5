/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include <sys/wait.h>

struct outcome {
    int status;
    std::string output;
};

static outcome run_leaky(const std::string &test)
{
    const std::string command =
            std::string(LEAKY) + " --gtest_filter='" + test + "' </dev/null 2>&1";
    outcome result = {};
    FILE *pipe = popen(command.c_str(), "r");
    EXPECT_NE(nullptr, pipe);
    std::array<char, 4096> bytes;
    for (size_t count; (count = fread(bytes.data(), 1, bytes.size(), pipe)) > 0;)
        result.output.append(bytes.data(), count);
    const int status = pclose(pipe);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

static void expect_caught(const std::string &test, const std::string &message)
{
    const outcome result = run_leaky(test);
    EXPECT_EQ(1, result.status);
    EXPECT_NE(std::string::npos, result.output.find(message)) << result.output;
    EXPECT_NE(std::string::npos, result.output.find("1 FAILED TEST")) << result.output;
}

TEST(LeakCheck, CatchesAnOpenDescriptorAndSaysWhichFile)
{
    expect_caught("Leaky.OpensAFile", "-> /dev/null");
}

TEST(LeakCheck, CatchesTheClosingOfAForeignDescriptor)
{
    expect_caught("Leaky.ClosesAForeignDescriptor", "closed descriptor 0 of somebody else");
}

TEST(LeakCheck, CatchesADescriptorThatRefersToSomethingElse)
{
    expect_caught("Leaky.ReplacesADescriptor", "descriptor 0 was /dev/null, is now socket:");
}

TEST(LeakCheck, CatchesAChildThatNobodyWaitedFor)
{
    expect_caught("Leaky.LeavesAZombie", "leaked child process");
}

TEST(LeakCheck, CatchesALiveTask)
{
    expect_caught("Leaky.LeavesATask", "live tasks before and after");
}

TEST(LeakCheck, CatchesAPendingOperation)
{
    expect_caught("Leaky.LeavesAnOperation", "pending operations before and after");
}

TEST(LeakCheck, CatchesWhatAFixtureLeaks)
{
    expect_caught("LeakyFixture.*", "leaked descriptor");
}

TEST(LeakCheck, LetsTestsPassThatCleanUp)
{
    const outcome result = run_leaky("CleanSuite.*");
    EXPECT_EQ(0, result.status) << result.output;
    EXPECT_NE(std::string::npos, result.output.find("PASSED  ] 2 tests")) << result.output;
}
