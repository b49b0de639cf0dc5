/* SPDX-License-Identifier: MIT */
/* Recordings that are imposed on the simulated kernel. */
#include "occurrences.h"
#include "sim_stage.h"

#include <coil/recorder.h>
#include <coil/sim_scenario.h>

#include <cinttypes>
#include <cstdio>
#include <sstream>
#include <vector>

#include <unistd.h>

#include <coil/sugar.h>

namespace
{

/* ------------------------------------------------------------------------------- the stage -- */

/* The program that is recorded: what it does is `body`. */
struct {
    size_t entries;  /* Of the recorder. */
    FILE *out;       /* Where it writes its recording at the end: a real file. */
    std::string log; /* What it has seen. */
    int style;       /* The same program, or another one. */
} stage;

using Body = int (*)(coil_loop *loop);
Body body;

int program(int, char **)
{
    coil_loop *loop;
    if (coil_loop_create(&loop, nullptr) < 0)
        return 100;
    if (coil_recorder_start(loop, stage.entries) < 0)
        return 101;
    const int rc = body(loop);
    coil_recorder_print(loop, SIZE_MAX, stage.out);
    coil_loop_destroy(loop);
    return rc;
}

std::string rest_of(FILE *file)
{
    std::string text;
    char bytes[4096];
    rewind(file);
    for (size_t count; (count = fread(bytes, 1, sizeof(bytes), file)) > 0;)
        text.append(bytes, count);
    return text;
}

struct Outcome {
    int status;
    std::string recording;
    std::string log;
};

/* Others that run beside the program. */
using Others = void (*)(coil_sim *sim);

Outcome run(Body what, uint64_t seed, coil_sim_profile profile, const std::string &recording = "",
        Others others = nullptr)
{
    World world(seed, profile);
    body = what;
    stage.out = tmpfile();
    stage.log.clear();
    if (others != nullptr)
        others(world.sim);
    const pid_t pid = world.start(program);
    if (!recording.empty()) {
        EXPECT_EQ(0, coil_sim_replay(world.sim, pid, recording.c_str()));
    }
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    const Outcome result = {coil_sim_status(world.sim, pid), rest_of(stage.out), stage.log};
    (void)fclose(stage.out);
    return result;
}

/* What happened, in its order, without when. */
std::string order_of(const std::string &recording)
{
    std::string order;
    std::istringstream lines(recording);
    for (std::string line; std::getline(lines, line);) {
        uint64_t number;
        int begin = 0;
        if (sscanf(line.c_str(), "%" SCNu64 " %*u.%*u %*u %n", &number, &begin) == 1 && begin > 0)
            order += std::to_string(number) + " " + line.substr(static_cast<size_t>(begin)) + "\n";
    }
    return order;
}

class Replay : public testing::Test
{
protected:
    Replay()
    {
        stage = {1 << 16, nullptr, "", 0};
    }

    /* Recorded with one seed, it is the same with any other. */
    static void replays_exactly(Body what, coil_sim_profile profile, Others others = nullptr)
    {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            const Outcome first = run(what, seed, profile, "", others);
            ASSERT_NE("", first.recording) << seed;
            for (uint64_t other = 100; other < 103; other++) {
                const Outcome again =
                        run(what, seed + other, COIL_SIM_KIND, first.recording, others);
                ASSERT_EQ(order_of(first.recording), order_of(again.recording)) << seed;
                EXPECT_EQ(first.status, again.status) << seed;
                EXPECT_EQ(first.log, again.log) << seed;
            }
        }
    }
};

/* ------------------------------------------------------------------------------- operations -- */

enum { CHUNK_BYTES = 1000, CHUNK_COUNT = 20 };

async(int, sends, (int) fd)
{
    vars(char bytes[CHUNK_BYTES]; int i; ssize_t count; ssize_t sent);
    for (my->i = 0; my->i < CHUNK_COUNT; my->i++) {
        for (my->sent = 0; my->sent < CHUNK_BYTES; my->sent += my->count)
            attempt(my->count, coil_send(fd, my->bytes, (size_t)(CHUNK_BYTES - my->sent), 0));
        await(coil_sleep(coil_us(300)));
    }
    attempt(coil_shutdown(fd, SHUT_WR));
    return 0;
}

async(int, receives, (int) fd)
{
    vars(char bytes[300]; ssize_t count);
    for (;;) {
        await(my->count, within(coil_us(200), coil_recv(fd, my->bytes, sizeof(my->bytes), 0)));
        stage.log += std::to_string(my->count) + " ";
        if (my->count == 0)
            return 0;
        if (my->count < 0 && my->count != -ETIME)
            return (int)my->count;
    }
}

async(int, exchanges)
{
    vars(int ends[2]; coil_group group; int rc);
    my->rc = coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, my->ends);
    if (my->rc < 0)
        return my->rc;
    defer(coil_kernel_close(my->ends[0]), coil_kernel_close(my->ends[1]));
    open_group(&my->group);
    spawn(&my->group, sends(my->ends[0]));
    spawn(&my->group, receives(my->ends[1]));
    attempt(coil_group_join(&my->group));
    return 0;
}

int exchange(coil_loop *loop)
{
    return (int)coil_loop_run_until(loop, exchanges());
}

TEST_F(Replay, AKindRunReplaysExactly)
{
    replays_exactly(exchange, COIL_SIM_KIND);
}

TEST_F(Replay, ShortCountsAndLateCancellationsDoSo)
{
    replays_exactly(exchange, COIL_SIM_FLAKY);
}

async(int, keeps_a_file)
{
    vars(int fd; char bytes[3000]; ssize_t count; int i);
    await(my->fd, coil_openat(AT_FDCWD, "/log", O_RDWR | O_CREAT, 0600));
    if (my->fd < 0)
        return my->fd;
    for (my->i = 0; my->i < 10; my->i++) {
        await(my->count, coil_pwrite(my->fd, my->bytes, sizeof(my->bytes), my->i * 3000));
        stage.log += std::to_string(my->count) + " ";
        attempt(coil_fsync(my->fd, my->i % 2 == 0));
    }
    await(my->count, coil_pread(my->fd, my->bytes, 1000, 29500));
    stage.log += std::to_string(my->count) + " ";
    await(my->i, coil_openat(AT_FDCWD, "/nowhere/else", O_RDWR, 0600));
    stage.log += std::to_string(my->i) + " ";
    attempt(coil_close(my->fd));
    return 0;
}

int keep_a_file(coil_loop *loop)
{
    return (int)coil_loop_run_until(loop, keeps_a_file());
}

TEST_F(Replay, FilesDoSo)
{
    replays_exactly(keep_a_file, COIL_SIM_FLAKY);
}

/* ---------------------------------------------------------------------------------- streams -- */

enum { CLIENT_COUNT = 4 };

async(int, echoes, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(peer));
        stage.log += std::to_string(my->in.size_bytes) + " ";
        if (coil_slice_empty(&my->in))
            return 0;
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
}

async(int, serves)
{
    vars(coil_listener *listener; coil_group group; coil_stream *peer; int i; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    for (my->i = 0; my->i < CLIENT_COUNT; my->i++) {
        attempt(my->peer, coil_accept(my->listener));
        spawn(&my->group, echoes(my->peer));
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

int serve(coil_loop *loop)
{
    return (int)coil_loop_run_until(loop, serves());
}

async(int, asks, (coil_sim *) sim)
{
    vars(coil_stream *peer; int i; coil_slice in; size_t missing_bytes);
    do {
        await(coil_sleep((coil_duration)coil_sim_random(sim, 500000)));
        await(my->peer, coil_connect("10.0.0.1:7000"));
    } while (coil_pointer_error(my->peer) < 0);
    defer(coil_stream_close(my->peer));
    defer(coil_slice_release(&my->in));
    for (my->i = 0; my->i < 10; my->i++) {
        attempt(coil_write_all(my->peer, coil_text("0123456789")));
        await(coil_sleep((coil_duration)coil_sim_random(sim, 300000)));
    }
    for (my->missing_bytes = 100; my->missing_bytes > 0;) {
        coil_slice_release(&my->in);
        attempt(my->in, coil_read_some(my->peer));
        if (coil_slice_empty(&my->in))
            return -EIO;
        my->missing_bytes -= (size_t)my->in.size_bytes;
    }
    return 0;
}

int client(int, char **)
{
    return coil_run(asks(coil_sim_current())) < 0;
}

void start_clients(coil_sim *sim)
{
    coil_sim_program(sim, "/bin/client", client);
    static const char *const hosts[CLIENT_COUNT] = {"b", "c", "d", "e"};
    coil_sim_program(sim, "/bin/none", [](int, char **) { return 0; });
    (void)coil_sim_start(sim, "alpha", "/bin/none", nullptr); /* The first host is 10.0.0.1. */
    for (const char *host : hosts)
        (void)coil_sim_start(sim, host, "/bin/client", nullptr);
}

TEST_F(Replay, AServerIsReplayedWithClientsThatDoOtherwise)
{
    replays_exactly(serve, COIL_SIM_KIND, start_clients);
}

/* --------------------------------------------------------------------------- the beginning -- */

TEST_F(Replay, ARecordingWithoutItsBeginningIsUsedFromItsFirstEntryOn)
{
    const Outcome whole = run(exchange, 3, COIL_SIM_FLAKY);
    stage.entries = 64;
    const Outcome end = run(exchange, 3, COIL_SIM_FLAKY);
    ASSERT_EQ(whole.log, end.log);
    ASSERT_EQ(64u, count(order_of(end.recording), "\n"));
    EXPECT_EQ(0u, count(end.recording, " before 0 "));

    /* The same seed, so that what comes before is the same, too; then a kind kernel. */
    stage.entries = 1 << 16;
    const Outcome again = run(exchange, 3, COIL_SIM_FLAKY, end.recording);
    EXPECT_EQ(0, again.status);
}

/* ------------------------------------------------------------------------------- divergence -- */

async(int, reads_other_sizes)
{
    vars(int ends[2]; char bytes[16]; int rc);
    my->rc = coil_kernel_pipe(my->ends);
    if (my->rc < 0)
        return my->rc;
    defer(coil_kernel_close(my->ends[0]), coil_kernel_close(my->ends[1]));
    attempt(coil_write(my->ends[1], "0123456789", stage.style == 3 ? 3 : 10));
    if (stage.style == 2)
        return 0;
    if (stage.style == 4)
        attempt(coil_write(my->ends[1], "0123456789", 10));
    attempt(coil_read(my->ends[0], my->bytes, stage.style == 1 ? 7 : 8));
    return 0;
}

int read_other_sizes(coil_loop *loop)
{
    return (int)coil_loop_run_until(loop, reads_other_sizes());
}

TEST_F(Replay, SaysWhereTheProgramDoesSomethingElse)
{
    const Outcome first = run(read_other_sizes, 1, COIL_SIM_KIND);
    ASSERT_EQ(0, first.status);
    EXPECT_EQ(0, run(read_other_sizes, 2, COIL_SIM_KIND, first.recording).status);
    stage.style = 1;
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, first.recording),
            "the replay diverges at entry 4 .* recorded is: submit read fd [0-9]+ size 8 at -1; "
            "instead: submit read fd [0-9]+ size 7 at -1");
    stage.style = 2;
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, first.recording),
            "the replay diverges at entry 4 .* instead: ");
    stage.style = 3;
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, first.recording),
            "the replay diverges at entry 2 .* recorded is: submit write fd [0-9]+ size 10 at -1; "
            "instead: submit write fd [0-9]+ size 3 at -1");
    stage.style = 4;
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, first.recording),
            "the replay diverges at entry 4 .* instead: submit write fd [0-9]+ size 10 at -1");
}

/* With another text in place of the first one that is `old`. */
std::string changed(std::string recording, const std::string &old, const std::string &now)
{
    const size_t at = recording.find(old);
    EXPECT_NE(std::string::npos, at) << old << recording;
    return at == std::string::npos ? recording : recording.replace(at, old.size(), now);
}

TEST_F(Replay, SaysWhatTheSimulationCannotBringAbout)
{
    const std::string recording = run(read_other_sizes, 1, COIL_SIM_KIND).recording;
    const std::string more = changed(recording, " = 8 flags", " = 16 flags");
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, more),
            "the replay diverges at entry 5 .* = 16; instead: ");
    const std::string end = changed(recording, " = 8 flags", " = 0 flags");
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, end),
            "the replay diverges at entry 5 .* = 0; instead: complete 4 read .* = 8");
    const std::string part = changed(recording, " = 10 flags", " = 9 flags");
    EXPECT_DEATH((void)run(read_other_sizes, 2, COIL_SIM_KIND, part), /* pipe(7): all, or none. */
            "the replay diverges at entry 3 .* = 9; instead: complete 2 write .* = 10");
}

TEST_F(Replay, DictatesErrorsAndSizes)
{
    const std::string recording = run(read_other_sizes, 1, COIL_SIM_KIND).recording;
    const Outcome error = run(
            read_other_sizes, 2, COIL_SIM_KIND, changed(recording, " = 8 flags", " = EIO flags"));
    EXPECT_EQ(-EIO, error.status - 256);
    const Outcome less =
            run(read_other_sizes, 2, COIL_SIM_KIND, changed(recording, " = 8 flags", " = 5 flags"));
    EXPECT_EQ(1u, count(less.recording, " = 5 flags")) << less.recording;
}

TEST_F(Replay, TimePassesAsItDidThen)
{
    const std::string recording = run(read_other_sizes, 1, COIL_SIM_KIND).recording;
    size_t at = recording.find("\n5 0.");
    ASSERT_NE(std::string::npos, at) << recording;
    std::string late = recording;
    late.replace(at + 3, 1, "7"); /* The fifth entry, seven seconds later. */
    World world;
    body = read_other_sizes;
    stage.out = tmpfile();
    const pid_t pid = world.start(program);
    ASSERT_EQ(0, coil_sim_replay(world.sim, pid, late.c_str()));
    EXPECT_EQ(COIL_SIM_ENDED, coil_sim_run(world.sim, COIL_FOREVER));
    EXPECT_GE(world.elapsed(), coil_s(7));
    EXPECT_LT(world.elapsed(), coil_s(8));
    (void)fclose(stage.out);
}

TEST_F(Replay, RefusesWhatIsNoRecording)
{
    const std::string recording = run(read_other_sizes, 1, COIL_SIM_KIND).recording;
    World world;
    body = read_other_sizes;
    const pid_t pid = world.start(program);
    EXPECT_EQ(-ESRCH, coil_sim_replay(world.sim, 4711, recording.c_str()));
    for (const char *text : {"", "coil recording 2\n", "coil recording 1\nloop 2 started "})
        EXPECT_EQ(-ENOENT, coil_sim_replay(world.sim, pid, text)) << text;
    const std::string head =
            "coil recording 1\nloop 1 started 0.000000000 first 1 count 1 before 0 0\n";
    for (const char *line : {"2 0.000000000 1 submit poll fd 3 size 1 flags 0x1\n",
                 "1 0.0 1 submit poll fd 3 size 1 flags 0x1\n",
                 "1 0.000000000 1 submit nothing fd 3 size 1 flags 0x1\n",
                 "1 0.000000000 1 submit poll fd x size 1 flags 0x1\n",
                 "1 0.000000000 1 complete 1 poll fd 3 = EWRONG flags 0x1\n",
                 "1 0.000000000 1 complete 1 poll fd 3 = 99999999999 flags 0x1\n",
                 "1 0.000000000 1 submit poll fd 3 size 1 flags 0x1 and more\n",
                 "1 99999999999.000000000 1 submit poll fd 3 size 1 flags 0x1\n"})
        EXPECT_EQ(-EINVAL, coil_sim_replay(world.sim, pid, (head + line).c_str())) << line;
}

} // namespace
