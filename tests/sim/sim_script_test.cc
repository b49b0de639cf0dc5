/* SPDX-License-Identifier: MIT */
/* What goes wrong by command: this submission, that completion, that link. */
#include "sim_stage.h"

#include <coil/kernel.h>

#include <coil/sim_disk.h>
#include <coil/sim_network.h>

#include <string>
#include <vector>

#include <fcntl.h>

#include <coil/sugar.h>

namespace
{

/* ------------------------------------------------------------------------------- the n-th -- */

enum { WRITES = 5, NOTHING = -1 };

/* Which write has failed, and how. */
struct {
    int place;
    int error;
} failed;

async(int, writes_one_by_one)
{
    vars(int fd; int i; ssize_t count);
    attempt(my->fd, coil_openat(AT_FDCWD, "/tmp/file", O_WRONLY | O_CREAT, 0600));
    defer(coil_close_later(coil_loop_current(), my->fd));
    for (my->i = 0; my->i < WRITES; my->i++) {
        await(my->count, coil_pwrite(my->fd, "x", 1, my->i));
        if (my->count == 1)
            continue;
        failed.place = my->i;
        failed.error = (int)my->count;
    }
    return 0;
}

int writer(int, char **)
{
    return -(int)coil_run(writes_one_by_one());
}

typedef void Script(coil_sim *sim, pid_t pid, uint64_t count, int error);

/* What is in the file when the n-th has failed with this error. */
std::string written(Script *script, uint64_t count, int error)
{
    World world(count);
    const pid_t pid = world.start(writer);
    failed = {NOTHING, 0};
    script(world.sim, pid, count, error);
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    size_t size_bytes = 0;
    char *bytes = coil_sim_get_file(world.sim, "alpha", "/tmp/file", &size_bytes);
    const std::string text = bytes == nullptr ? "" : std::string(bytes, size_bytes);
    coil_sim_free_file(bytes);
    return text;
}

/* Of the first 20, one is the first write, one the second ...; what has failed is not written. */
void expect_each_to_fail_once(Script *script, int error, int expected)
{
    std::vector<int> times(WRITES);
    for (uint64_t count = 1; count <= 20; count++) {
        const std::string text = written(script, count, error);
        if (failed.place == NOTHING)
            continue;
        EXPECT_EQ(expected, failed.error);
        times[(size_t)failed.place]++;
        std::string others(WRITES, 'x');
        others[(size_t)failed.place] = '\0';
        if (failed.place == WRITES - 1)
            others.pop_back();
        EXPECT_EQ(others, text) << failed.place;
    }
    EXPECT_EQ(std::vector<int>(WRITES, 1), times);
}

TEST(SimScript, FailsTheNthSubmission)
{
    expect_each_to_fail_once(coil_sim_fail_submission, -EXDEV, -EXDEV);
    expect_each_to_fail_once(coil_sim_fail_submission, 0, -ENOMEM);
}

TEST(SimScript, FailsTheNthCompletion)
{
    expect_each_to_fail_once(coil_sim_fail_completion, -EXDEV, -EXDEV);
    expect_each_to_fail_once(coil_sim_fail_completion, 0, -EIO);
}

TEST(SimScript, FailsNoneIfThatIsWanted)
{
    for (Script *script : {coil_sim_fail_submission, coil_sim_fail_completion}) {
        EXPECT_EQ("xxxxx", written(script, 0, -EXDEV));
        EXPECT_EQ(NOTHING, failed.place);
    }
}

/* -------------------------------------------------------------------------------- the links -- */

struct {
    coil_time asked, heard, answered, understood;
} moments;

async(int, answers)
{
    vars(coil_listener *listener; coil_stream *peer; coil_slice in; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(my->peer, coil_accept(my->listener));
    defer(coil_stream_close(my->peer));
    attempt(my->in, coil_read_some(my->peer));
    coil_slice_release(&my->in);
    moments.heard = moments.answered = coil_kernel_now();
    attempt(coil_write_all(my->peer, coil_text("yes")));
    return 0;
}

async(int, asks)
{
    vars(coil_stream *peer; coil_slice in);
    await(coil_sleep(coil_ms(50)));
    attempt(my->peer, coil_connect("10.0.0.1:7000"));
    defer(coil_stream_close(my->peer));
    moments.asked = coil_kernel_now();
    attempt(coil_write_all(my->peer, coil_text("well?")));
    attempt(my->in, coil_read_some(my->peer));
    coil_slice_release(&my->in);
    moments.understood = coil_kernel_now();
    return 0;
}

/* So long the question takes, and so long the answer, with what comes between in the programs. */
void expect_ways(coil_sim *sim, coil_duration there, coil_duration back)
{
    moments = {};
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(sim, coil_s(60)));
    EXPECT_GE(moments.heard - moments.asked, there);
    EXPECT_LT(moments.heard - moments.asked, there + coil_ms(1));
    EXPECT_GE(moments.understood - moments.answered, back);
    EXPECT_LT(moments.understood - moments.answered, back + coil_ms(1));
}

coil_sim_link latency(coil_duration duration)
{
    coil_sim_link link = {};
    link.latency_least = link.latency_most = duration;
    return link;
}

void start_both(coil_sim *sim)
{
    coil_sim_program(sim, "/bin/server", [](int, char **) { return -(int)coil_run(answers()); });
    coil_sim_program(sim, "/bin/client", [](int, char **) { return -(int)coil_run(asks()); });
    (void)coil_sim_start(sim, "server", "/bin/server", nullptr);
    (void)coil_sim_start(sim, "client", "/bin/client", nullptr);
}

TEST(SimScript, SetsALinkOneWay)
{
    World world;
    const coil_sim_link there = latency(coil_ms(100));
    const coil_sim_link back = latency(coil_ms(3));
    start_both(world.sim);
    coil_sim_set_link_one_way(world.sim, "client", "server", &there);
    coil_sim_set_link_one_way(world.sim, "server", "client", &back);
    expect_ways(world.sim, coil_ms(100), coil_ms(3));
}

/* Also of hosts that are there already; but not what was said of two of them. */
TEST(SimScript, SetsAllLinksButThoseOfWhichSomethingWasSaid)
{
    World world;
    const coil_sim_link all = latency(coil_ms(30));
    const coil_sim_link one = latency(coil_ms(7));
    start_both(world.sim);
    coil_sim_set_link_one_way(world.sim, "client", "server", &one);
    coil_sim_set_all_links(world.sim, &all);
    expect_ways(world.sim, coil_ms(7), coil_ms(30));
}

/* --------------------------------------------------------------------------------- reports -- */

int loses_memory_and_a_descriptor(int, char **)
{
    char *volatile lost = static_cast<char *>(malloc(10));
    return lost == nullptr || coil_kernel_eventfd() < 0;
}

TEST(SimScript, ReportsLeaksOfWhomItIsToldTo)
{
    for (const bool is_told : {false, true}) {
        World world;
        const pid_t pid = world.start(loses_memory_and_a_descriptor);
        if (is_told)
            coil_sim_report_leaks(world.sim, pid);
        testing::internal::CaptureStderr();
        EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
        const std::string report = testing::internal::GetCapturedStderr();
        EXPECT_EQ(1U, coil_sim_leaks(world.sim, pid));
        EXPECT_EQ(is_told, report.find("10 bytes") != std::string::npos) << report;
        EXPECT_EQ(is_told, report.find("eventfd") != std::string::npos) << report;
    }
}

} // namespace
