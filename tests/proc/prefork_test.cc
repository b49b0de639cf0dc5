/* SPDX-License-Identifier: MIT */
/* coil/prefork.h: a real master, real workers, and clients that count what fails. */
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

/* Longer than anything takes that is not stuck. */
const int PATIENCE_MS = 20000;

struct Reply {
    int version = 0;
    int generation = 0;
    int number = -1;
    pid_t pid = 0;
};

class Prefork : public testing::Test
{
protected:
    Prefork()
    {
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* Masters whose masters are gone are ours. */
        broken = testing::TempDir() + "prefork_broken_" + std::to_string(getpid());
        unlink(broken.c_str());
    }

    ~Prefork() override
    {
        if (master > 0)
            kill(master, SIGINT);
        reap_all();
        if (events >= 0)
            close(events);
        unlink(broken.c_str());
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    }

    void start(int workers, const char *flags)
    {
        int ends[2] = {-1, -1};
        ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        const std::string count = std::to_string(workers);
        const char *argv[] = {PREFORK_HELPER, "1", count.c_str(), flags, broken.c_str(), nullptr};
        ASSERT_EQ(0, posix_spawn(&master, PREFORK_HELPER, &actions, nullptr,
                             const_cast<char *const *>(argv), environ));
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        if (events >= 0)
            close(events);
        events = ends[0];
        buffered.clear();
        const std::string where = wait_for("at");
        port = std::stoi(where.substr(where.rfind(':') + 1));
        for (int i = 0; i < workers; i++)
            wait_for("ready");
    }

    /* The next line of the masters that begins with this word; those before it are counted. */
    std::string wait_for(const std::string &word)
    {
        for (;;) {
            const std::string line = next_line();
            if (line.empty()) {
                ADD_FAILURE() << "no '" << word << "' comes";
                return "0 0:0";
            }
            const std::string first = line.substr(0, line.find(' '));
            counts[first]++;
            if (first == word)
                return line;
        }
    }

    std::string next_line()
    {
        size_t end;
        while ((end = buffered.find('\n')) == std::string::npos) {
            struct pollfd watched = {events, POLLIN, 0};
            char bytes[4096];
            if (poll(&watched, 1, PATIENCE_MS) <= 0)
                return "";
            const ssize_t size = read(events, bytes, sizeof(bytes));
            if (size <= 0)
                return "";
            buffered.append(bytes, static_cast<size_t>(size));
        }
        const std::string line = buffered.substr(0, end);
        buffered.erase(0, end + 1);
        return line;
    }

    static pid_t pid_of(const std::string &line)
    {
        return static_cast<pid_t>(std::stol(line.substr(line.find(' ') + 1)));
    }

    /* A connection that has said this; -1: refused. */
    int say(const std::string &line) const
    {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval patience = {PATIENCE_MS / 1000, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0 &&
                send(fd, line.data(), line.size(), MSG_NOSIGNAL) ==
                        static_cast<ssize_t>(line.size()))
            return fd;
        close(fd);
        return -1;
    }

    static std::string hear(int fd)
    {
        std::string all;
        char bytes[256];
        ssize_t size;
        while ((size = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
            all.append(bytes, static_cast<size_t>(size));
            if (all.back() == '\n')
                break;
        }
        return all;
    }

    /* One request. False: it has failed. */
    bool ask(Reply *reply) const
    {
        const int fd = say("hello\n");
        if (fd < 0)
            return false;
        std::istringstream words(hear(fd));
        close(fd);
        return static_cast<bool>(
                words >> reply->version >> reply->generation >> reply->number >> reply->pid);
    }

    /* The old ones serve until they have drained; then others answer. */
    bool ask_until(const std::function<bool(const Reply &)> &is_new) const
    {
        for (int i = 0; i < PATIENCE_MS; i++) {
            Reply reply;
            if (ask(&reply) && is_new(reply))
                return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

    /* Clients that ask all the time, while `act` is done. How many requests have failed. */
    unsigned under_load(const std::function<void()> &act)
    {
        std::atomic<bool> is_over(false);
        std::atomic<unsigned> failed(0);
        std::vector<std::thread> clients;
        requests = 0;
        for (int i = 0; i < 4; i++) {
            clients.emplace_back([&] {
                while (!is_over) {
                    Reply reply;
                    failed += !ask(&reply);
                    requests++;
                }
            });
        }
        act();
        is_over = true;
        for (std::thread &client : clients)
            client.join();
        return failed;
    }

    void reap_all()
    {
        for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 5) {
            int status;
            const pid_t pid = waitpid(-1, &status, WNOHANG);
            if (pid < 0)
                return;
            if (pid == 0)
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        ADD_FAILURE() << "somebody has not ended";
        kill(master, SIGKILL);
    }

    void make_broken() const
    {
        FILE *file = fopen(broken.c_str(), "we");
        ASSERT_NE(nullptr, file);
        fclose(file);
    }

    pid_t master = -1;
    int events = -1;
    int port = 0;
    std::string buffered;
    std::string broken;
    std::map<std::string, int> counts;
    std::atomic<unsigned> requests{0};
};

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
