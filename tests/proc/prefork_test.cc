/* SPDX-License-Identifier: MIT */
/* coil/prefork.h: what its signals do, while clients count what fails. */
#include "prefork_stage.h"

namespace
{

class PreforkOf : public Prefork, public testing::WithParamInterface<const char *>
{
};

INSTANTIATE_TEST_SUITE_P(Sockets, PreforkOf, testing::Values("", "d"),
        [](const testing::TestParamInfo<const char *> &flags) {
            return *flags.param == '\0' ? "Shared" : "Dealt";
        });

TEST_P(PreforkOf, WorkersServeAndTheMasterDoesNot)
{
    start(3, GetParam());
    for (int i = 0; i < 20; i++) {
        Reply reply;
        ASSERT_TRUE(ask(&reply));
        EXPECT_EQ(1, reply.version);
        EXPECT_EQ(1, reply.generation);
        EXPECT_NE(master, reply.pid);
        EXPECT_GT(3, reply.number);
    }
}

TEST_P(PreforkOf, ReloadsFailNoRequest)
{
    start(2, GetParam());
    const unsigned failed = under_load([&] {
        for (int i = 0; i < 6; i++) {
            kill(master, SIGHUP);
            wait_for("reloaded");
        }
    });
    EXPECT_EQ(0u, failed) << "of " << requests;
    EXPECT_LT(0u, requests);
    EXPECT_TRUE(ask_until([](const Reply &reply) { return reply.generation == 7; }));
    EXPECT_EQ(0, counts["died"]);
}

TEST_P(PreforkOf, UpgradesFailNoRequest)
{
    start(2, GetParam());
    const unsigned failed = under_load([&] {
        for (int i = 0; i < 3; i++) {
            kill(master, SIGUSR2);
            master = pid_of(wait_for("upgraded"));
            wait_for("end");
        }
    });
    EXPECT_EQ(0u, failed) << "of " << requests;
    Reply reply;
    ASSERT_TRUE(ask(&reply));
    EXPECT_EQ(4, reply.version);
    EXPECT_EQ(0, counts["died"]);
}

TEST_P(PreforkOf, ScalingFailsNoRequest)
{
    start(1, GetParam());
    const bool is_dealt = *GetParam() != '\0';
    const unsigned failed = under_load([&] {
        for (int signo : {SIGTTIN, SIGTTIN, SIGTTOU, SIGTTIN, SIGTTOU, SIGTTOU}) {
            kill(master, signo);
            wait_for(is_dealt ? "reloaded" : signo == SIGTTIN ? "ready" : "left");
        }
        kill(master, SIGTTOU); /* One stays. */
    });
    EXPECT_EQ(0u, failed) << "of " << requests;
    EXPECT_EQ(0, counts["died"]);
}

TEST_F(Prefork, WorkersThatAreKilledAreReplacedAndNobodyIsRefused)
{
    start(2, "");
    std::atomic<unsigned> refused(0);
    (void)under_load([&] {
        for (int i = 0; i < 4; i++) {
            Reply reply;
            while (!ask(&reply))
                continue; /* Those of the one who is killed may fail. */
            kill(reply.pid, SIGKILL);
            wait_for("died");
            const int fd = say("hello\n");
            refused += fd < 0;
            if (fd >= 0)
                close(fd);
            wait_for("ready");
        }
    });
    EXPECT_EQ(0u, refused);
    Reply reply;
    EXPECT_TRUE(ask(&reply));
}

TEST_F(Prefork, AReloadThatFailsLeavesTheOldWorkers)
{
    start(2, "");
    make_broken();
    const unsigned failed = under_load([&] {
        kill(master, SIGHUP);
        wait_for("reload-failed");
    });
    EXPECT_EQ(0u, failed);
    Reply reply;
    ASSERT_TRUE(ask(&reply));
    EXPECT_EQ(1, reply.generation);
    unlink(broken.c_str());
    kill(master, SIGHUP);
    wait_for("reloaded");
    EXPECT_TRUE(ask_until([](const Reply &later) { return later.generation == 3; }));
}

TEST_F(Prefork, AnUpgradeThatFailsLeavesTheOldMaster)
{
    start(2, "");
    make_broken();
    const unsigned failed = under_load([&] {
        kill(master, SIGUSR2);
        wait_for("upgrade-failed");
    });
    EXPECT_EQ(0u, failed);
    Reply reply;
    ASSERT_TRUE(ask(&reply));
    EXPECT_EQ(1, reply.version);
    unlink(broken.c_str());
    kill(master, SIGUSR2);
    master = pid_of(wait_for("upgraded"));
    EXPECT_TRUE(ask_until([](const Reply &later) { return later.version == 2; }));
}

TEST_F(Prefork, AWorkerThatHangsIsAbortedAndReplaced)
{
    start(1, "h");
    const int fd = say("hang\n");
    ASSERT_LE(0, fd);
    wait_for("hung");
    EXPECT_NE(std::string::npos, wait_for("died").find("SIGABRT"));
    close(fd);
    wait_for("ready");
    Reply reply;
    EXPECT_TRUE(ask(&reply));
}

TEST_F(Prefork, AWorkerThatIsStoppedIsKilled)
{
    start(1, "h");
    Reply reply;
    ASSERT_TRUE(ask(&reply));
    kill(reply.pid, SIGSTOP);
    wait_for("hung");
    EXPECT_NE(std::string::npos, wait_for("died").find("SIGKILL"));
    wait_for("ready");
    EXPECT_TRUE(ask(&reply));
}

TEST_F(Prefork, CrashLoopsAreSlowedDown)
{
    start(1, "");
    make_broken();
    const int fd = say("die\n");
    ASSERT_LE(0, fd);
    wait_for("died");
    close(fd);
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 3; i++)
        wait_for("unready");
    EXPECT_LT(std::chrono::milliseconds(300), std::chrono::steady_clock::now() - begun);
    unlink(broken.c_str());
    wait_for("ready");
    Reply reply;
    EXPECT_TRUE(ask(&reply)) << "what was refused by nobody waits";
}

TEST_F(Prefork, FollowsTheLoad)
{
    start(1, "l");
    std::vector<int> held;
    for (int i = 0; i < 8; i++) {
        held.push_back(say("hold\n"));
        EXPECT_EQ("held\n", hear(held.back()));
    }
    for (int i = 0; i < 2; i++)
        wait_for("ready");
    for (int fd : held) {
        EXPECT_EQ(2, send(fd, "x\n", 2, MSG_NOSIGNAL));
        EXPECT_NE("", hear(fd));
        close(fd);
    }
    for (int i = 0; i < 4;
            i++) { /* What the workers say of their load is as of their last session. */
        Reply reply;
        EXPECT_TRUE(ask(&reply));
    }
}

TEST_F(Prefork, SigtermLetsSessionsEndAndSigintDoesNot)
{
    start(2, "");
    const int fd = say("hold\n");
    EXPECT_EQ("held\n", hear(fd));
    kill(master, SIGTERM);
    wait_for("left"); /* The other one. */
    EXPECT_EQ(2, send(fd, "x\n", 2, MSG_NOSIGNAL));
    EXPECT_EQ('1', hear(fd)[0]);
    close(fd);
    wait_for("end");
    int status = -1;
    EXPECT_EQ(master, waitpid(master, &status, 0));
    EXPECT_EQ(0, status);
    master = -1;

    start(2, "");
    const int other = say("hold\n");
    EXPECT_EQ("held\n", hear(other));
    kill(master, SIGINT);
    wait_for("end");
    EXPECT_EQ("", hear(other));
    close(other);
}

TEST_F(Prefork, FirstWorkersThatDoNotStartEndTheMaster)
{
    make_broken();
    int ends[2] = {-1, -1};
    ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    const char *argv[] = {PREFORK_HELPER, "1", "2", "", broken.c_str(), nullptr};
    ASSERT_EQ(0, posix_spawn(&master, PREFORK_HELPER, &actions, nullptr,
                         const_cast<char *const *>(argv), environ));
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    events = ends[0];
    wait_for("unready");
    wait_for("end");
    int status = 0;
    EXPECT_EQ(master, waitpid(master, &status, 0));
    EXPECT_EQ(1, WEXITSTATUS(status));
    master = -1;
}

TEST_F(Prefork, WorkersEndWithTheirMaster)
{
    start(2, "");
    Reply reply;
    ASSERT_TRUE(ask(&reply));
    kill(master, SIGKILL);
    reap_all(); /* All of them: we are the subreaper. */
    master = -1;
    int fd = -1;
    for (int i = 0; i < PATIENCE_MS && (fd = say("hello\n")) >= 0; i++) {
        close(fd); /* What their rings had lives a little longer than they do. */
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(-1, fd);
}

} // namespace
