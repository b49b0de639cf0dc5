/* SPDX-License-Identifier: MIT */
/* The stack of a task and the tree of all tasks, to the letter. */
#include "virtual_time.h"

#include <coil/trace.h>

#include <coil/sugar.h>

namespace
{

using Trace = VirtualTime;

/* Their lines are in the expected text. */
async(void, naps, (coil_duration) duration)
{
    vars();
    await(coil_sleep(duration));
}
constexpr int naps_line = __LINE__ - 2;

async(int, works, (int) depth)
{
    vars(int result);
    if (depth > 0)
        attempt(my->result, works(depth - 1));
    await(within(coil_s(1), naps(coil_ms(10))));
    return 0;
}
constexpr int works_line = __LINE__ - 4;

async(int, opens_groups)
{
    vars(coil_group older; coil_group younger);
    open_group(&my->older);
    open_group(&my->younger);
    spawn(&my->older, works(0));
    spawn(&my->younger, naps(coil_ms(10)));
    spawn(&my->younger, coil_sleep(coil_ms(10)));
    await(coil_sleep(coil_ms(10)));
    return 0;
}
constexpr int opens_line = __LINE__ - 3;

async(int, leaves_slowly)
{
    vars(coil_group group);
    defer(await(naps(coil_ms(10))));
    open_group(&my->group);
    spawn(&my->group, works(0));
    await(coil_yield());
    return 0;
}
constexpr int leaves_line = __LINE__ - 6;

template <class Write> std::string written(Write write)
{
    char *text = nullptr;
    size_t size_bytes = 0;
    FILE *out = open_memstream(&text, &size_bytes);
    write(out);
    fclose(out);
    std::string copy(text, size_bytes);
    free(text);
    return copy;
}

std::string trace(const coil_task *task)
{
    return written([&](FILE *out) { coil_trace(task, out); });
}

std::string trace(const coil_group *group)
{
    return written([&](FILE *out) { coil_trace_group(group, out); });
}

/* One line of a stack, as it is printed. */
std::string frame(const char *name, int line, const char *what)
{
    return std::string(name) + " (" __FILE__ ":" + std::to_string(line) + ")  await (" + what +
           ")\n";
}

TEST_F(Trace, PrintsTheFramesOfATaskInnermostFirst)
{
    coil_task *task = spawn(&sched.root, works(2));
    settle();
    EXPECT_EQ("    coil_sleep\n"
              "    " + frame("naps", naps_line, "coil_sleep(duration)") +
                      "    " +
                      frame("works", works_line + 1, "within(coil_s(1), naps(coil_ms(10)))") +
                      "    " + frame("works", works_line, "my->result, works(depth - 1)") + "    " +
                      frame("works", works_line, "my->result, works(depth - 1)"),
            trace(task));
}

TEST_F(Trace, PrintsTheNameOfATaskThatHasNotStarted)
{
    EXPECT_EQ("    works\n", trace(spawn(&sched.root, works(2))));
}

TEST_F(Trace, ShowsTheGroupThatALeavingCoroutineWaitsForAndThenItsDefer)
{
    coil_task *task = spawn(&sched.root, leaves_slowly());
    coil_sched_run(&sched, 3);
    coil_sched_run(&sched, 1); /* It has left, its task is cancelled and has not run yet. */
    EXPECT_EQ("    coil_group_join\n"
              "    (leaving)\n"
              "    " + frame("leaves_slowly", leaves_line + 3, "coil_yield()"),
            trace(task));
    settle();
    EXPECT_EQ("    coil_sleep\n"
              "    " + frame("naps", naps_line, "coil_sleep(duration)") +
                      "    " + frame("leaves_slowly", leaves_line, "naps(coil_ms(10))"),
            trace(task));
}

TEST_F(Trace, PrintsTheTreeOfAGroup)
{
    spawn(&sched.root, opens_groups());
    spawn(&sched.root, coil_sleep(coil_ms(10)));
    settle();
    std::string naps_frame = frame("naps", naps_line, "coil_sleep(duration)");
    EXPECT_EQ("task opens_groups\n"
              "    coil_sleep\n"
              "    " + frame("opens_groups", opens_line, "coil_sleep(coil_ms(10))") +
                      "    task naps\n"
                      "        coil_sleep\n"
                      "        " +
                      naps_frame +
                      "    task coil_sleep\n"
                      "        coil_sleep\n"
                      "    task works\n"
                      "        coil_sleep\n"
                      "        " +
                      naps_frame + "        " +
                      frame("works", works_line + 1, "within(coil_s(1), naps(coil_ms(10)))") +
                      "task coil_sleep\n"
                      "    coil_sleep\n",
            trace(&sched.root));
}

TEST_F(Trace, PrintsNothingForAnEmptyGroup)
{
    EXPECT_EQ("", trace(&sched.root));
}

std::string tree(const coil_group *group)
{
    return written([&](FILE *out) { coil_trace_tree(group, out); });
}

async(int, holds, (coil_group *) group)
{
    vars(coil_group own);
    open_group(&my->own);
    spawn(&my->own, naps(COIL_FOREVER));
    spawn(&my->own, coil_sleep(coil_s(90)));
    ignore(within(coil_s(5), coil_group_join(&my->own)));
    return group == nullptr;
}
constexpr int holds_line = __LINE__ - 3;

TEST_F(Trace, DrawsTheTreeWithAgesDeadlinesAndWhatIsWaitedFor)
{
    spawn(&sched.root, holds(nullptr));
    settle();
    coil_sched_advance(&sched, coil_time_after(sched.now, coil_ms(2050)));
    coil_task *named = spawn(&sched.root, coil_yield());
    ASSERT_EQ(0, coil_task_set_name(named, "idler"));
    const std::string text = tree(&sched.root);
    EXPECT_EQ("├─ holds, 2.0 s old, 2.9 s left\n"
              "│  │  coil_group_join  for 2 tasks\n"
              "│  │  " +
                      frame("holds", holds_line, "within(coil_s(5), coil_group_join(&my->own))") +
                      "│  ├─ naps, 2.0 s old\n"
                      "│  │     coil_sleep  for ever\n"
                      "│  │     " +
                      frame("naps", naps_line, "coil_sleep(duration)") +
                      "│  └─ coil_sleep, 2.0 s old\n"
                      "│        coil_sleep  for another 1 min 27 s\n"
                      "└─ idler, 0 ms old, is ready\n"
                      "      coil_yield\n",
            text);
    coil_group_cancel(&sched.root);
    EXPECT_NE(std::string::npos, tree(&sched.root).find("holds, 2.0 s old, 2.9 s left, is being"))
            << tree(&sched.root);
}

TEST_F(Trace, DrawsNothingForAnEmptyGroup)
{
    EXPECT_EQ("", tree(&sched.root));
}

std::string duration(coil_duration of)
{
    return written([&](FILE *out) { coil_trace_duration(of, out); });
}

TEST_F(Trace, WritesDurationsForPeople)
{
    EXPECT_EQ("0 ms", duration(0));
    EXPECT_EQ("999 ms", duration(coil_ms(999)));
    EXPECT_EQ("1.0 s", duration(coil_s(1)));
    EXPECT_EQ("59.9 s", duration(coil_ms(59999)));
    EXPECT_EQ("1 min 0 s", duration(coil_s(60)));
    EXPECT_EQ("2 h 3 min", duration(coil_s(2 * 3600 + 3 * 60 + 59)));
}

async(int, nests, (int) depth)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    if (depth > 0) {
        spawn(&my->group, nests(depth - 1));
        spawn(&my->group, nests(depth - 1));
    }
    await(coil_sleep(coil_ms(1)));
    return 0;
}

TEST_F(Trace, FindsItsWayThroughADeepTree)
{
    spawn(&sched.root, nests(6));
    settle();
    std::string text = trace(&sched.root);
    size_t count = 0;
    for (size_t at = text.find("task nests\n"); at != std::string::npos;
            at = text.find("task nests\n", at + 1))
        count++;
    EXPECT_EQ(127u, count);

    text = tree(&sched.root);
    count = 0;
    for (size_t at = text.find("─ nests"); at != std::string::npos;
            at = text.find("─ nests", at + 1))
        count++;
    EXPECT_EQ(127u, count);
}

async(int, checks, (int) depth)
{
    vars(int rc);
    if (depth > 0)
        attempt(my->rc, checks(depth - 1));
    await(coil_yield());
    COIL_CHECK(depth < 0);
    return my->rc;
}

using TraceDeath = Trace;

TEST_F(TraceDeath, AFailedCheckPrintsWhereTheRunningTaskIs)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, checks(1));
                settle();
            },
            "^tests/core/trace_test.cc:[0-9]+: check failed: depth < 0\n"
            "in task checks\n"
            "    checks \\(tests/core/trace_test.cc:[0-9]+\\)  await \\(coil_yield\\(\\)\\)\n"
            "    checks \\(tests/core/trace_test.cc:[0-9]+\\)  await \\(my->rc, checks\\(depth - "
            "1\\)\\)\n");
    EXPECT_DEATH(COIL_CHECK(sched.now < 0), "check failed: sched.now < 0\n$");
}

} // namespace
