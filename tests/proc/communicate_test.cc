/* SPDX-License-Identifier: MIT */
/* coil_child_communicate() of coil/child.h, and coil/spawner.h. */
#include "cast.h"

#include <coil/spawner.h>

#include <coil/sugar.h>

namespace
{

const coil_duration SHORT = coil_ms(30);

class Communicate : public Children
{
protected:
    Communicate()
    {
        plan.in = plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    }

    ~Communicate() override
    {
        coil_communication_fini(&talk);
    }

    void say(const std::string &input)
    {
        words = input;
        talk.input = words.data();
        talk.input_bytes = words.size();
    }

    std::string output() const
    {
        return std::string(talk.output == nullptr ? "" : talk.output, talk.output_bytes);
    }

    std::string words;
    coil_communication talk = {};
};

TEST_F(Communicate, WhatGoesInComesOut)
{
    std::string all;
    for (uint64_t i = 0; i < 3 * 1024 * 1024 + 5; i++)
        all.push_back(pattern(i));
    say(all);
    coil_child child = start({"cat"});
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_TRUE(all == output());
    EXPECT_EQ(0u, talk.errors_bytes);
    EXPECT_EQ("exited with status 0", text(child));
    finish(&child);
}

TEST_F(Communicate, OutputAndErrorsAreApart)
{
    coil_child child = start({"say", "good", "bad"});
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_STREQ("good", talk.output);
    EXPECT_STREQ("bad", talk.errors);
    EXPECT_FALSE(talk.was_cut);
    finish(&child);
}

TEST_F(Communicate, WhatIsBeyondTheLimitIsDroppedAndTheChildEnds)
{
    talk.limit_bytes = 1000;
    coil_child child = start({"spew", "5000000"});
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_EQ(1000u, talk.output_bytes);
    EXPECT_EQ('\0', talk.output[1000]);
    EXPECT_TRUE(talk.was_cut);
    EXPECT_EQ("exited with status 0", text(child));
    finish(&child);
}

TEST_F(Communicate, ChildThatDoesNotReadIsNoError)
{
    say(std::string(1000000, 'x'));
    coil_child child = start({"say", "good", ""});
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_STREQ("good", talk.output);
    finish(&child);
}

TEST_F(Communicate, DeadlineLeavesWhatCameAndTheChild)
{
    coil_child child = start({"stubborn"});
    EXPECT_EQ(-ETIME, RUN(within(coil_s(1), coil_child_communicate(&child, &talk))));
    EXPECT_STREQ("ready\n", talk.output);
    EXPECT_FALSE(child.exit.ended);
    EXPECT_EQ(-1, child.stdout_fd);
    EXPECT_EQ(0, RUN(coil_child_stop(&child, 0)));
    finish(&child);
}

TEST_F(Communicate, DaemonThatHoldsTheOutputIsNotWaitedFor)
{
    std::vector<pid_t> relatives;
    plan.in = {COIL_STDIO_NULL, 0};
    plan.shell = "sleep 1000 & echo $!";
    coil_child child = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    plan.shell = nullptr;
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_EQ("exited with status 0", text(child));
    const pid_t daemon = static_cast<pid_t>(std::stoi(output()));
    EXPECT_FALSE(is_gone(daemon));
    kill(daemon, SIGKILL);
    finish(&child);
}

TEST_F(Communicate, DaemonThatTalksOnIsNotListenedTo)
{
    talk.limit_bytes = 10;
    coil_child child = start_shell("echo begin; yes &");
    EXPECT_EQ(0, RUN(within(coil_s(5), coil_child_communicate(&child, &talk))));
    EXPECT_EQ("begin\ny\ny\n", output());
    finish(&child);
}

TEST_F(Communicate, ChildThatClosesItsStdoutIsAwaited)
{
    plan.shell = "echo one; exec >&- 2>&-; read line; exit 5";
    coil_child child = {};
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    plan.shell = nullptr;
    say("go\n");
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_STREQ("one\n", talk.output);
    EXPECT_EQ("exited with status 5", text(child));
    finish(&child);
}

TEST_F(Communicate, WithoutPipesItIsAWait)
{
    plan.in = plan.out = plan.err = {COIL_STDIO_NULL, 0};
    coil_child child = start({"exit", "4"});
    EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
    EXPECT_EQ(nullptr, talk.output);
    EXPECT_EQ("exited with status 4", text(child));
    finish(&child);
    coil_communication_fini(nullptr);
}

/* --------------------------------------------------------------------------------- spawner -- */

TEST_F(Communicate, SpawnerStartsChildrenThatOutliveItsCalls)
{
    coil_spawner *spawner = nullptr;
    ASSERT_EQ(0, coil_spawner_create(&spawner));
    plan.program = SPAWN_HELPER;
    const char *const argv[] = {"helper", "cat", nullptr};
    plan.argv = argv;
    coil_child children[5] = {};
    for (coil_child &child : children)
        ASSERT_EQ(0, RUN(coil_spawner_spawn(spawner, &plan, &child, nullptr)));
    for (coil_child &child : children) {
        coil_communication each = {};
        each.input = "hello";
        each.input_bytes = 5;
        EXPECT_EQ(0, RUN(coil_child_communicate(&child, &each)));
        EXPECT_STREQ("hello", each.output) << "the thread that has made it is still there";
        EXPECT_EQ("exited with status 0", text(child));
        coil_communication_fini(&each);
        coil_child_fini(&child);
    }
    coil_spawner_destroy(spawner);
    coil_spawner_destroy(nullptr);
}

TEST_F(Communicate, ChildrenOfASpawnerEndWithIt)
{
    coil_spawner *spawner = nullptr;
    ASSERT_EQ(0, coil_spawner_create(&spawner));
    const char *const argv[] = {"helper", "pause", nullptr};
    plan.program = SPAWN_HELPER;
    plan.argv = argv;
    coil_child child = {};
    ASSERT_EQ(0, RUN(coil_spawner_spawn(spawner, &plan, &child, nullptr)));
    EXPECT_EQ(-ETIME, RUN(within(SHORT, coil_child_wait(&child))));
    coil_spawner_destroy(spawner);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    finish(&child);
}

TEST_F(Communicate, SpawnerTellsWhyNothingStarted)
{
    coil_spawner *spawner = nullptr;
    ASSERT_EQ(0, coil_spawner_create(&spawner));
    plan.program = "/nowhere/tool";
    coil_child child = {};
    coil_spawn_error error = {};
    EXPECT_EQ(-ENOENT, RUN(coil_spawner_spawn(spawner, &plan, &child, &error)));
    EXPECT_STREQ("cannot run '/nowhere/tool': no such file or directory", error.text);
    coil_spawner_destroy(spawner);
}

} // namespace
