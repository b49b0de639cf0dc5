/* SPDX-License-Identifier: MIT */
/* Recordings of a program on the real kernel, imposed on the simulated one. */
#include "occurrences.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

struct Shell {
    int status;
    std::string output;
};

Shell shell(const std::string &command)
{
    Shell result = {-1, ""};
    char bytes[4096];
    FILE *pipe = popen((command + " 2>&1").c_str(), "r");
    EXPECT_NE(nullptr, pipe);
    for (size_t size; (size = fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
        result.output.append(bytes, size);
    const int status = pclose(pipe);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return result;
}

/* The lines of the ledger: what it has taken for records, in its order. */
std::string ledger_of(const std::string &output)
{
    std::string ledger;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        if (line.size() > 1 && line[1] == ':' && (line[0] == 'a' || line[0] == 'b'))
            ledger += line + " ";
    }
    return ledger;
}

std::string simulated(const std::string &options)
{
    return LEDGER_SIM " --replay-program=/usr/bin/ledger --no-shrink --jobs=1 " + options;
}

/* A peer that pays the second account first, and the other one in two parts. */
class Payer
{
public:
    Payer()
    {
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size_bytes = sizeof(address);
        auto *any = reinterpret_cast<sockaddr *>(&address);
        EXPECT_EQ(0, bind(listener, any, size_bytes));
        EXPECT_EQ(0, listen(listener, 2));
        EXPECT_EQ(0, getsockname(listener, any, &size_bytes));
        thread = std::thread([this] { pay(); });
    }
    ~Payer()
    {
        thread.join();
        (void)close(listener);
    }
    Payer(const Payer &) = delete;
    Payer &operator=(const Payer &) = delete;

    int port() const
    {
        return ntohs(address.sin_port);
    }

private:
    static void send(int fd, const std::string &bytes)
    {
        char receipt;
        EXPECT_EQ(static_cast<ssize_t>(bytes.size()), write(fd, bytes.data(), bytes.size()));
        EXPECT_EQ(1, read(fd, &receipt, 1));
    }

    void pay() const
    {
        const int a = accept(listener, nullptr, nullptr);
        const int b = accept(listener, nullptr, nullptr);
        char name;
        EXPECT_EQ(1, read(a, &name, 1));
        EXPECT_EQ(1, read(b, &name, 1));
        send(b, "2000");
        send(a, "10");
        send(a, "00");
        (void)close(a);
        (void)close(b);
    }

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    std::thread thread;
};

TEST(ReplayOfTheRealKernel, ABugThatAKindWorldDoesNotShowIsSeenAgainAndAgain)
{
    char path[] = "/tmp/recording-XXXXXX";
    (void)close(mkstemp(path));
    Shell real;
    {
        Payer payer;
        real = shell(std::string(LEDGER " ") + std::to_string(payer.port()) + " 127.0.0.1 " + path);
    }
    ASSERT_EQ("b:2000 a:10 a:00 ", ledger_of(real.output)) << real.output;
    EXPECT_NE(0, real.status);

    const Shell without = shell(simulated("--seeds=20"));
    EXPECT_EQ(0, without.status) << without.output;
    for (int seed = 1; seed <= 5; seed++) {
        const Shell again = shell(
                simulated("--seed=" + std::to_string(seed) + " --replay=" + std::string(path)));
        EXPECT_EQ(1, again.status) << again.output;
        EXPECT_EQ(ledger_of(real.output), ledger_of(again.output)) << again.output;
        EXPECT_EQ(1u, count(again.output, "a check has failed in process 3")) << again.output;
    }
    EXPECT_EQ(0, unlink(path));
}

/* The same run in every build: this recording was made once, on Linux 6.18. */
TEST(ReplayOfTheRealKernel, ARecordingIsGoodForAnyBuild)
{
    const Shell again = shell(simulated(std::string("--seed=1 --replay=") + LEDGER_RECORDING));
    EXPECT_EQ(1, again.status) << again.output;
    EXPECT_EQ("b:2000 a:10 a:00 ", ledger_of(again.output)) << again.output;
}

TEST(ReplayOfTheRealKernel, TheCommandThatRunsItAgainHasTheRecording)
{
    const std::string option = std::string("--replay=") + LEDGER_RECORDING;
    const Shell again = shell(simulated("--seeds=1 " + option));
    EXPECT_EQ(1, again.status) << again.output;
    EXPECT_EQ(1u, count(again.output, option)) << again.output;
    EXPECT_EQ(2, shell(simulated("--replay=/nowhere")).status);
}

} // namespace
