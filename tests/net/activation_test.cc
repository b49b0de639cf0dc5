/* SPDX-License-Identifier: MIT */
#include <coil/activation.h>
#include <coil/loop.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>

#include <coil/sugar.h>

namespace
{

/*
 * Descriptors are passed at 3, which is somebody else's in this process: so each check runs in a
 * child that has nothing else. It ends with the number of what is wrong.
 */
int in_child(const std::function<int()> &check)
{
    const pid_t pid = fork();
    if (pid == 0) {
        for (int fd = 3; fd < 200; fd++)
            close(fd);
        _exit(check());
    }
    int status = -1;
    EXPECT_EQ(pid, waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

int listening_socket()
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)) != 0 || listen(fd, 5) != 0)
        return -1;
    return fd;
}

void announce(int count, const char *names)
{
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
    if (names != nullptr)
        setenv("LISTEN_FDNAMES", names, 1);
}

bool is_forgotten()
{
    return getenv("LISTEN_PID") == nullptr && getenv("LISTEN_FDS") == nullptr &&
           getenv("LISTEN_FDNAMES") == nullptr;
}

TEST(Activation, IsNothingIfNothingWasPassed)
{
    EXPECT_EQ(0, in_child([] {
        coil_activation passed;
        if (coil_activation_take(&passed) != 0 || passed.count != 0)
            return 1;
        if (coil_activation_fd(&passed, nullptr) != -ENOENT)
            return 2;
        coil_activation_release(&passed);
        return 0;
    }));
}

TEST(Activation, GivesDescriptorsByTheirNames)
{
    EXPECT_EQ(0, in_child([] {
        coil_activation passed;
        if (listening_socket() != 3 || listening_socket() != 4 || listening_socket() != 5)
            return 1;
        announce(3, "http:https:http");
        if (coil_activation_take(&passed) != 3 || passed.count != 3 || !is_forgotten())
            return 2;
        if ((fcntl(3, F_GETFD) & FD_CLOEXEC) == 0 || (fcntl(5, F_GETFD) & FD_CLOEXEC) == 0)
            return 3;
        if (coil_activation_fd(&passed, "http") != 3 || coil_activation_fd(&passed, "http") != 5)
            return 4;
        if (coil_activation_fd(&passed, "http") != -ENOENT)
            return 5;
        coil_activation_release(&passed);
        if (fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) != -1 || fcntl(5, F_GETFD) < 0)
            return 6; /* What was taken is the taker's. */
        return 0;
    }));
}

TEST(Activation, IsNotForOthers)
{
    EXPECT_EQ(0, in_child([] {
        coil_activation passed;
        announce(1, nullptr);
        setenv("LISTEN_PID", "1", 1);
        return coil_activation_take(&passed) == 0 && is_forgotten() ? 0 : 1;
    }));
}

TEST(Activation, ReportsWhatMakesNoSense)
{
    const struct {
        const char *pid;
        const char *count;
        const char *names;
        int error;
    } cases[] = {
            {nullptr, "", nullptr, -EINVAL},
            {nullptr, "0", nullptr, -EINVAL},
            {nullptr, "-1", nullptr, -EINVAL},
            {nullptr, "1x", nullptr, -EINVAL},
            {nullptr, "99999999999", nullptr, -EINVAL},
            {"12 ", "1", nullptr, -EINVAL},
            {nullptr, "2", nullptr, -EBADF},
            {nullptr, "2000000000", nullptr, -EBADF},
            {nullptr, "1", "one:two", -EINVAL},
    };
    for (const auto &each : cases) {
        EXPECT_EQ(0, in_child([&] {
            coil_activation passed;
            if (listening_socket() != 3)
                return 1;
            announce(1, each.names);
            setenv("LISTEN_FDS", each.count, 1);
            if (each.pid != nullptr)
                setenv("LISTEN_PID", each.pid, 1);
            if (coil_activation_take(&passed) != each.error)
                return 2;
            return passed.count == 0 && is_forgotten() ? 0 : 3;
        })) << each.count;
    }
}

async(int, listen_passed, (coil_activation *) passed, (int *) out_rc)
{
    vars(coil_listener *listener);
    *out_rc = coil_activation_listen(passed, "unknown", NULL, &my->listener);
    if (*out_rc < 0)
        return 0;
    if (coil_address_port(coil_listener_address(my->listener)) == 0)
        *out_rc = 100;
    coil_listener_close(my->listener);
    return 0;
}

TEST(Activation, MakesListeners)
{
    EXPECT_EQ(0, in_child([] {
        coil_activation passed;
        int rc = 1;
        if (listening_socket() != 3 || socket(AF_INET, SOCK_STREAM, 0) != 4)
            return 1;
        announce(2, nullptr);
        if (coil_activation_take(&passed) != 2)
            return 2;
        if (coil_run(listen_passed(&passed, &rc)) < 0 || rc != 0)
            return 3;
        if (coil_run(listen_passed(&passed, &rc)) < 0 || rc != -EINVAL)
            return 4; /* One that does not listen. */
        if (coil_run(listen_passed(&passed, &rc)) < 0 || rc != -ENOENT)
            return 5;
        coil_activation_release(&passed);
        return fcntl(3, F_GETFD) == -1 && fcntl(4, F_GETFD) == -1 ? 0 : 6;
    }));
}

TEST(Activation, PassesOnlyWhatMakesSense)
{
    char program[] = "/bin/true";
    char *const arguments[] = {program, nullptr};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (const char *name : {"", "a:b", "a\n"}) {
        const coil_passed_fd wrong = {fd, name};
        EXPECT_EQ(-EINVAL, coil_activation_exec(&wrong, 1, program, arguments)) << name;
    }
    const coil_passed_fd right = {fd, "http"};
    EXPECT_EQ(-EINVAL, coil_activation_exec(&right, 0, program, arguments));
    EXPECT_EQ(-ENOENT, coil_activation_exec(&right, 1, "/nowhere/service", arguments));
    EXPECT_EQ(-EACCES, coil_activation_exec(&right, 1, "/etc/passwd", arguments));
    const coil_passed_fd closed = {-1, "http"};
    EXPECT_EQ(-EBADF, coil_activation_exec(&closed, 1, program, arguments));
    EXPECT_TRUE(is_forgotten()) << "nothing has happened";
    close(fd);
}

} // namespace
