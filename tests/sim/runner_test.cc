/* SPDX-License-Identifier: MIT */
/* coil_sim_main(), as its user sees it: what it prints, and how it ends. */
#include "sanitized.h"

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <csignal>
#include <vector>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

struct Outcome {
    int status = -1;
    std::string output; /* Of both streams. */
};

Outcome shell(const std::string &command)
{
    Outcome outcome;
    FILE *pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr)
        return outcome;
    char line[4096];
    while (fgets(line, sizeof(line), pipe) != nullptr) {
        if (std::string(line).find("==WARNING: ASan") == std::string::npos) /* Of swapcontext(3). */
            outcome.output += line;
    }
    const int status = pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return outcome;
}

Outcome run(const std::string &options)
{
    return shell(RUNNER_SCENARIOS " " + options);
}

bool has(const Outcome &outcome, const std::string &text)
{
    return outcome.output.find(text) != std::string::npos;
}

/* What lies between two texts. "": they are not there. */
std::string between(const std::string &whole, const std::string &before, const std::string &after)
{
    const size_t found = whole.find(before);
    if (found == std::string::npos)
        return "";
    const size_t from = found + before.size();
    const size_t to = whole.find(after, from);
    return to == std::string::npos ? "" : whole.substr(from, to - from);
}

/* It fails, and says all of this. */
void expect_failure(const std::string &options, std::initializer_list<const char *> texts)
{
    const Outcome found = run(options);
    EXPECT_EQ(1, found.status);
    for (const char *text : texts)
        EXPECT_TRUE(has(found, text)) << text << " is not in:\n" << found.output;
}

/* The command that a report has. */
std::string command_in(const std::string &report)
{
    return between(report, "again: ", "\n");
}

/* --------------------------------------------------------------------------------- passing -- */

TEST(SimRunner, ListsItsScenarios)
{
    const Outcome outcome = run("--list");
    EXPECT_EQ(0, outcome.status);
    EXPECT_EQ(0U, outcome.output.find("sound\ntalk\n")) << outcome.output;
}

TEST(SimRunner, RefusesWhatItDoesNotKnow)
{
    for (const char *option : {"--seeds=x", "--profile=rude", "--fault=short-read",
                 "--fault=nothing:1", "--scenario=none", "--fail-allocation=0", "--torture=all",
                 "--only=short-read:x", "--jobs=0", "--what", "sound"})
        EXPECT_EQ(2, run(option).status) << option;
}

TEST(SimRunner, RunsManySeedsAndSaysHowMany)
{
    for (const char *profile : {"kind", "flaky", "swarm"}) {
        const Outcome outcome =
                run(std::string("--scenario=sound --seeds=30 --profile=") + profile);
        EXPECT_EQ(0, outcome.status) << outcome.output;
        EXPECT_TRUE(has(outcome, "passed: 30 runs, 0 failed")) << outcome.output;
    }
}

TEST(SimRunner, TheDirectorChangesTheWorldWhileItRuns)
{
    const Outcome outcome = run("--scenario=director --seeds=20 --profile=swarm"
                                " --fault=no-memory:0 --fault=ring-setup:0");
    EXPECT_EQ(0, outcome.status) << outcome.output;
}

TEST(SimRunner, ANumberOfJobsChangesNothingButTheTime)
{
    const Outcome one = run("--scenario=sound --seeds=8 --fingerprints --profile=flaky");
    const Outcome other =
            run("--scenario=sound --seeds=4 --first=5 --fingerprints --profile=flaky");
    EXPECT_EQ(0, one.status);
    const size_t from = one.output.find("sound 5 ");
    ASSERT_NE(std::string::npos, from) << one.output;
    EXPECT_EQ(one.output.substr(from, one.output.find("passed:") - from),
            other.output.substr(0, other.output.find("passed:")));
}

TEST(SimRunner, ASwarmHasOtherFaultsForEachSeed)
{
    std::set<std::string> seen;
    for (int seed = 1; seed <= 10; seed++) {
        const Outcome outcome =
                run("--scenario=weather --profile=swarm --fault=no-memory:0 --fault=ring-setup:0"
                    " --fault=no-descriptor:0 --seed=" +
                        std::to_string(seed));
        EXPECT_EQ(0, outcome.status) << outcome.output;
        seen.insert(between(outcome.output, "faults: ", "\n"));
    }
    EXPECT_GT(seen.size(), 5U);
}

/* ---------------------------------------------------------------------------------- failing -- */

TEST(SimRunner, FindsABugAndSaysHowToSeeItAgain)
{
    const Outcome found = run("--scenario=talk --seeds=300 --profile=flaky");
    ASSERT_EQ(1, found.status) << found.output;
    EXPECT_TRUE(has(found, "not so: my->count == 5: ")) << found.output;
    EXPECT_TRUE(has(found, "complete recv")) << found.output;
    EXPECT_TRUE(has(found, "\nTasks:\nprocess 2 (/bin/hasty on one)\ntask talks_to_itself"))
            << found.output;

    const std::string command = command_in(found.output);
    const Outcome again = shell(command);
    EXPECT_EQ(1, again.status) << command;
    EXPECT_TRUE(has(again, "not so: my->count == 5: ")) << again.output;
    EXPECT_EQ(again.output, shell(command).output);
}

TEST(SimRunner, ShrinksAFailureToTheFaultThatItTakes)
{
    const Outcome found = run("--scenario=talk --seeds=300 --profile=hostile --fault=no-memory:0"
                              " --fault=ring-setup:0");
    ASSERT_EQ(1, found.status) << found.output;
    const std::string command = command_in(found.output);
    const std::string only = between(command + "\n", "--only=short-", "\n");
    EXPECT_NE("", only) << command;
    EXPECT_EQ(std::string::npos, only.find(',')) << command;
}

/* What it takes is that another thread runs at one moment: which, is a number, too. */
TEST(SimRunner, ShrinksAnOrderToTheTurnThatItTakes)
{
    const Outcome found = run("--scenario=bank --seeds=200 --fault=preempt:20000");
    ASSERT_EQ(1, found.status) << found.output;
    EXPECT_TRUE(has(found, " and 0 faults, in an order of ")) << found.output;
    const std::string only = between(command_in(found.output) + "\n", "--only=preempt:", "\n");
    ASSERT_NE("", only) << found.output;
    EXPECT_TRUE(has(found, "\n  preempt:" + only.substr(0, only.find(',')) + " at "))
            << found.output;
    const Outcome again = shell(command_in(found.output));
    EXPECT_EQ(1, again.status) << again.output;
    EXPECT_TRUE(has(again, "not so: balance == 20")) << again.output;
}

TEST(SimRunner, SaysWhatALossOfPowerHasTaken)
{
    const Outcome found = run("--scenario=power --seeds=10 --no-shrink --keep-going");
    ASSERT_EQ(1, found.status);
    for (const char *text : {"one loses power", "  process 2 (/bin/writer) ends",
                 "  the name /tmp/journal is not there any more",
                 "  /tmp/journal: of the pages not synced "})
        EXPECT_TRUE(has(found, text)) << text << " is not in:\n" << found.output;
}

TEST(SimRunner, AFailureThatTakesNoFaultIsShrunkToNone)
{
    const Outcome found = run("--scenario=leak --seeds=1 --profile=flaky");
    ASSERT_EQ(1, found.status) << found.output;
    EXPECT_TRUE(has(found, "has not freed 1 allocations")) << found.output;
    EXPECT_TRUE(has(found, "--only=none\n")) << found.output;
    EXPECT_EQ(0, run("--scenario=leak-allowed --seeds=1").status);
}

TEST(SimRunner, ReportsACrash)
{
    const Outcome found = run("--scenario=crash --seeds=2 --no-shrink");
    EXPECT_EQ(1, found.status);
    EXPECT_TRUE(has(found, "2 runs, 2 failed")) << found.output;
    EXPECT_TRUE(has(found, "SIGSEGV") || has(found, "oad of null pointer")) << found.output;
    EXPECT_TRUE(has(found, "/bin/crasher")) << found.output;
}

TEST(SimRunner, ReportsACheckThatFails)
{
    expect_failure(
            "--scenario=check --seeds=1", {"a check has failed in process 2 (/bin/careless",
                                                  "coil_sim_current() == NULL", "submit   poll"});
}

/* The number could have been given to somebody else meanwhile. */
TEST(SimRunner, ReportsADescriptorThatIsClosedTwice)
{
    expect_failure("--scenario=closes-twice --seeds=1 --no-shrink",
            {"process 2 (/bin/closer) closes descriptor 3, which is not open"});
}

#if COIL_TESTS_ASAN

TEST(SimRunner, ReportsWhatASanitizerFinds)
{
    expect_failure("--scenario=late-read --seeds=1",
            {"a sanitizer has found something", "heap-use-after-free", "/bin/late-reader"});
}

#endif

TEST(SimRunner, PrintsEachEntryAsItGoes)
{
    const Outcome outcome = run("--scenario=sound --seed=3 --trace");
    EXPECT_EQ(0, outcome.status);
    EXPECT_TRUE(has(outcome, "complete poll #1")) << outcome.output;
    EXPECT_TRUE(has(outcome, "process 3 ends: exit 0")) << outcome.output;
}

TEST(SimRunner, ReportsAHangInRealTime)
{
    expect_failure(
            "--scenario=hang --seeds=1 --timeout=1", {"does not end in real time", "/bin/hanger"});
}

/* All that we start is on one processor, and shares it with others, while it lives. */
class CrowdedProcessor
{
public:
    CrowdedProcessor()
    {
        cpu_set_t one;
        CPU_ZERO(&one);
        EXPECT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
        for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
            if (CPU_ISSET(cpu, &all))
                CPU_SET(cpu, &one);
        }
        EXPECT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
        for (int i = 0; i < 5; i++) {
            const pid_t pid = fork();
            volatile bool for_ever = true;
            while (pid == 0 && for_ever)
                continue;
            others.push_back(pid);
        }
    }
    ~CrowdedProcessor()
    {
        for (const pid_t pid : others) {
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, 0);
        }
        sched_setaffinity(0, sizeof(all), &all);
    }
    CrowdedProcessor(const CrowdedProcessor &) = delete;
    CrowdedProcessor &operator=(const CrowdedProcessor &) = delete;

private:
    cpu_set_t all = {};
    std::vector<pid_t> others;
};

TEST(SimRunner, DoesNotTakeABusyMachineForAHang)
{
    if (access("/proc/self/schedstat", R_OK) != 0)
        GTEST_SKIP() << "this kernel does not count how long one waits for a processor";
    const CrowdedProcessor crowded;
    const Outcome outcome = run("--scenario=toil --seeds=1 --timeout=1 --jobs=1");
    EXPECT_EQ(0, outcome.status) << outcome.output;
}

TEST(SimRunner, ReportsAWaitWithoutAnEnd)
{
    expect_failure("--scenario=stuck --seeds=1 --no-shrink",
            {"nothing can happen any more", "waits_for_nobody"});
}

TEST(SimRunner, ReportsARunThatDoesNotEnd)
{
    expect_failure("--scenario=late --seeds=1 --no-shrink", {"its time is over"});
}

/* ---------------------------------------------------------------------------------- torture -- */

/* Beside one run for each, there is one for each seed that counts them. */
TEST(SimRunner, TorturesEachOfAllOnce)
{
    for (const char *what : {"allocation", "submission", "completion"}) {
        for (const char *jobs : {"1", "3"}) {
            const Outcome outcome = run(
                    std::string("--scenario=talk --seeds=2 --jobs=") + jobs + " --torture=" + what);
            EXPECT_EQ(0, outcome.status) << outcome.output;
            const std::string runs = between(outcome.output, "passed: ", " runs");
            const std::string failed = between(outcome.output, "per second and core\n", " of ");
            EXPECT_GT(atoi(failed.c_str()), 10) << what;
            EXPECT_EQ(atoi(failed.c_str()) + 2, atoi(runs.c_str())) << outcome.output;
            EXPECT_TRUE(has(outcome, failed + " of " + failed + " were made to fail"))
                    << outcome.output;
        }
    }
}

/* ------------------------------------------------------------------------------- everywhere -- */

/*
 * The same on every machine and with every compiler. Whoever changes the library or the simulated
 * kernel changes the runs, and this list with them:
 *
 *     runner_scenarios --scenario=sound --scenario=talk --seeds=10 --fingerprints
 */
TEST(SimRunner, RunsAreTheSameWithAllCompilers)
{
    const Outcome runs = run("--scenario=sound --scenario=talk --seeds=10 --fingerprints");
    const Outcome list = shell("cat " RUNNER_FINGERPRINTS);
    EXPECT_EQ(list.output, runs.output.substr(0, runs.output.find("passed:")));
}

} // namespace
