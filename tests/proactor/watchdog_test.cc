/* SPDX-License-Identifier: MIT */
/*
 * The watchdog and dumps on request, as somebody sees them who runs a program: what watchdog_child
 * writes to stderr.
 */
#include "sanitized.h"

#include <coil/dump.h>
#include <coil/loop.h>
#include <coil/watchdog.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <regex.h>

#include <sys/wait.h>

namespace
{

struct Output {
    int status;
    std::string text;
};

/* What the child says, on both streams. `environment` is "NAME=value" and so on. */
Output run(const std::string &arguments, const std::string &environment = "")
{
    Output result = {-1, ""};
    char bytes[4096];
    const std::string command = environment + " " WATCHDOG_CHILD " " + arguments + " 2>&1";
    FILE *output = popen(command.c_str(), "r");
    EXPECT_NE(nullptr, output);
    for (size_t count; (count = fread(bytes, 1, sizeof(bytes), output)) > 0;)
        result.text.append(bytes, count);
    result.status = pclose(output);
    return result;
}

/* An extended regular expression; ^ and $ are the ends of the text. */
bool has(const Output &result, const std::string &pattern)
{
    regex_t compiled;
    EXPECT_EQ(0, regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB)) << pattern;
    const bool found = regexec(&compiled, result.text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return found;
}

size_t count(const Output &result, const std::string &wanted)
{
    size_t number = 0;
    for (size_t at = result.text.find(wanted); at != std::string::npos;
            at = result.text.find(wanted, at + 1))
        number++;
    return number;
}

class Watchdog : public testing::Test
{
protected:
#if COIL_TESTS_TSAN /* It delays signals. */
    void SetUp() override
    {
        GTEST_SKIP() << "ThreadSanitizer delivers signals when it likes";
    }
#endif
};

TEST_F(Watchdog, NamesTheFunctionThatSleepsAndTheAwaitBeforeIt)
{
    const Output result = run("sleep once");
    EXPECT_EQ(0, result.status) << result.text;
    EXPECT_TRUE(
            has(result, "^coil: loop 1 \\(thread [0-9]+, watchdog_child\\) has been blocked for "
                        "0\\.[0-9]+ s by task calls; sleeps\n"))
            << result.text;
    EXPECT_TRUE(
            has(result, "\n    sleeps_inside \\(tests/proactor/watchdog_child.c:[0-9]+\\)  runs on "
                        "after await \\(coil_sleep\\(coil_ms\\(1\\)\\)\\)\n"
                        "    calls \\(tests/proactor/watchdog_child.c:[0-9]+\\)  await "
                        "\\(sleeps_inside\\(\\)\\)\n"))
            << result.text;
    EXPECT_TRUE(has(result, "\n    #[0-9]+ +sleep_in_the_kernel[ +]")) << result.text;
    EXPECT_EQ(1u, count(result, "has been blocked")) << result.text;
}

TEST_F(Watchdog, NamesTheFunctionThatSpins)
{
    const Output result = run("spin once");
    EXPECT_TRUE(has(result, "by task calls; computes\n")) << result.text;
    EXPECT_TRUE(
            has(result, "\n    spins_inside \\(tests/proactor/watchdog_child.c:[0-9]+\\)  runs on"))
            << result.text;
    EXPECT_TRUE(has(result, "\n    #[0-9]+ +spin_in_a_loop[ +]")) << result.text;
}

TEST_F(Watchdog, ReportsAgainAtDoubleTheTimeAndOnceAtTheEndWithTheTotal)
{
    const Output result = run("sleep plain");
    EXPECT_LE(2u, count(result, "has been blocked")) << result.text;
    EXPECT_GE(3u, count(result, "has been blocked")) << result.text;
    EXPECT_TRUE(
            has(result, "\ncoil: loop 1 \\(thread [0-9]+, watchdog_child\\) goes on after about "
                        "0\\.[2345][0-9]+ s\n$"))
            << result.text;
}

TEST_F(Watchdog, NamesATaskThatBlocksBeforeItsFirstAwait)
{
    const Output result = run("first once");
    EXPECT_TRUE(has(result, "\n    blocks_before_any_await \\(tests/proactor/watchdog_child.c\\)  "
                            "runs, before its first await\n"))
            << result.text;
}

TEST_F(Watchdog, NamesStaticFunctionsWithoutDebuggingInformation)
{
    const Output result = run("sleep plain once");
    EXPECT_TRUE(has(result, "\n    #[0-9]+ +sleep_in_the_kernel\\+0x[0-9a-f]+ \\(program\\)\n"))
            << result.text;
}

TEST_F(Watchdog, ShowsTheAsyncStackWithoutASignal)
{
    const Output result = run("sleep blind once");
    EXPECT_TRUE(has(
            result, "by task calls; sleeps\n  async stack, innermost first\n    sleeps_inside "))
            << result.text;
    EXPECT_FALSE(has(result, "C stack")) << result.text;
}

TEST_F(Watchdog, HandsReportsToAHook)
{
    const Output result = run("sleep hook once 2>/dev/null");
    EXPECT_TRUE(has(result, "^coil: loop 1 .* has been blocked")) << result.text;
}

TEST_F(Watchdog, IsStartedByTheEnvironment)
{
    EXPECT_TRUE(has(run("sleep", "COIL_WATCHDOG=0.05"), "sleep_in_the_kernel"));
    EXPECT_EQ("coil: COIL_WATCHDOG is a number of seconds, not \"soon\"\n",
            run("wait", "COIL_WATCHDOG=soon").text);
    EXPECT_EQ("", run("wait", "COIL_WATCHDOG=").text);
}

TEST_F(Watchdog, SaysNothingOfALoopThatWaits)
{
    EXPECT_EQ("", run("wait watched").text);
}

TEST_F(Watchdog, SaysNothingOfALoopThatIsBusyWithShortSteps)
{
    EXPECT_EQ("", run("short watched").text);
}

TEST_F(Watchdog, DumpsTheTreeOfTasksOnASignal)
{
    for (const Output &result : {run("dump dump"), run("dump", "COIL_DUMP_SIGNAL=SIGUSR2")}) {
        EXPECT_EQ(0, result.status);
        EXPECT_TRUE(has(result,
                "^coil: loop 1 \\(thread [0-9]+, watchdog_child\\): 3 tasks, [0-9]+ operations in "
                "the kernel\n"
                "└─ is_dumped[^\n]*\n"
                "   │  coil_sleep  for another [0-9]+ ms\n"
                "   │  is_dumped \\(tests/proactor/watchdog_child.c:[0-9]+\\)  await "
                "\\(coil_sleep\\(coil_ms\\(100\\)\\)\\)\n"
                "   ├─ session[^\n]*\n"
                "   │     coil_read\n"
                "   │     session \\(tests/proactor/watchdog_child.c:[0-9]+\\)  await [^\n]*\n"
                "   └─ coil_sleep[^\n]*\n"
                "         coil_sleep  for another 1 min 39 s\n$"))
                << result.text;
    }
}

TEST(DumpOnRequest, OfManyLoopsMissesNone)
{
    const Output result = run("dump-crowd dump");
    EXPECT_EQ(0, result.status) << result.text;
    EXPECT_EQ(15u, count(result, "is not being run\n")) << result.text;
    EXPECT_TRUE(has(result, "coil: loop 16 .*\n└─ is_dumped")) << result.text;
}

TEST_F(Watchdog, DumpsABlockedLoopFromOutsideAndItsTreeLater)
{
    const Output result = run("dump-blocked dump");
    EXPECT_TRUE(has(result, "^coil: loop 1 .* is blocked; its tasks follow when it goes on\n"
                            "  async stack, innermost first\n    is_dumped_while_blocked "))
            << result.text;
    EXPECT_TRUE(has(result, "\n    #[0-9]+ +sleep_in_the_kernel[ +]")) << result.text;
    EXPECT_TRUE(has(result, "\ncoil: loop 1 .*: 1 tasks, .*\n└─ is_dumped_while_blocked"))
            << result.text;
}

/* Its threads block all signals, so they are looked at without. */
TEST(WatchdogChurn, LoopsMayComeAndGoWhileTheyAreLookedAt)
{
#if COIL_TESTS_TSAN
    GTEST_SKIP() << "ThreadSanitizer does not see that a ring is unmapped before the next is there";
#endif
    const Output result = run("churn blind plain soon dump");
    EXPECT_EQ(0, result.status) << result.text;
    EXPECT_LT(20u, count(result, " operations in the kernel")) << result.text;
    EXPECT_LT(5u, count(result, " has been blocked for ")) << result.text;
}

TEST_F(Watchdog, RefusesASignalThatTheProgramHandlesAndAThresholdThatIsTooSmall)
{
    coil_watchdog_options options = {};
    options.threshold = coil_us(1);
    EXPECT_EQ(-EINVAL, coil_watchdog_start(&options));
    options = {};
    options.signo = SIGUSR1;
    signal(SIGUSR1, SIG_IGN);
    EXPECT_EQ(-EBUSY, coil_watchdog_start(&options));
    EXPECT_EQ(-EBUSY, coil_dump_on_signal(SIGUSR1));
    signal(SIGUSR1, SIG_DFL);
    EXPECT_EQ(-EINVAL, coil_dump_on_signal(SIGKILL));
}

TEST_F(Watchdog, MayBeStartedAndStoppedAgainAndAgain)
{
    coil_watchdog_stop();
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(0, coil_watchdog_start(nullptr));
        EXPECT_EQ(-EALREADY, coil_watchdog_start(nullptr));
        coil_watchdog_stop();
    }
    coil_watchdog_stop();
}

} // namespace
