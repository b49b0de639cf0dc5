/* SPDX-License-Identifier: MIT */
/*
 * ports.h - addresses on loopback that behave in one way: they connect, refuse, or say nothing. And
 * a loop with virtual time to meet them on.
 */
#ifndef PORTS_H
#define PORTS_H

#include <coil/connector.h>
#include <coil/test_loop.h>

#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

/* A TCP socket on loopback, at a port that the kernel has chosen. */
class Port
{
public:
    explicit Port(int family = AF_INET, int socket_flags = SOCK_NONBLOCK)
        : fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | socket_flags, 0))
    {
        EXPECT_EQ(0, coil_address_parse(family == AF_INET ? "127.0.0.1:0" : "[::1]:0", &address));
        EXPECT_EQ(0, bind(fd, &address.socket, address.size_bytes)) << strerror(errno);
        EXPECT_EQ(0, getsockname(fd, &address.socket, &address.size_bytes));
        char bytes[COIL_ADDRESS_TEXT_BYTES];
        text = coil_address_format(&address, bytes);
    }

    Port(const Port &) = delete;
    Port &operator=(const Port &) = delete;

    ~Port()
    {
        close(fd);
    }

    int fd;
    coil_address address;
    std::string text;
};

/* Connects. Takes what has come only when it is asked to. */
class OpenPort : public Port
{
public:
    explicit OpenPort(int family = AF_INET) : Port(family)
    {
        EXPECT_EQ(0, listen(fd, 4096));
    }

    /* How many connections have come since the last time; they are closed. */
    unsigned drain() const
    {
        unsigned count = 0;
        for (int peer; (peer = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; count++)
            close(peer);
        return count;
    }
};

/* Refuses: bound, so that nobody else can be there, and not listening. */
using ClosedPort = Port;

/* Says nothing: its backlog is full, so the kernel drops who comes. */
class SilentPort : public Port
{
public:
    explicit SilentPort(int family = AF_INET) : Port(family)
    {
        EXPECT_EQ(0, listen(fd, 0));
        for (bool full = false; !full && fillers.size() < 16;) {
            fillers.push_back(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            EXPECT_EQ(-1, connect(fillers.back(), &address.socket, address.size_bytes));
            pollfd one = {fillers.back(), POLLOUT, 0};
            full = poll(&one, 1, 50) == 0;
        }
    }

    ~SilentPort()
    {
        for (const int filler : fillers)
            close(filler);
    }

private:
    std::vector<int> fillers;
};

/* Is there an IPv6 loopback? */
inline bool has_ipv6()
{
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    coil_address any = {};
    EXPECT_EQ(0, coil_address_parse("[::1]:0", &any));
    const bool is_there = fd >= 0 && bind(fd, &any.socket, any.size_bytes) == 0;
    if (fd >= 0)
        close(fd);
    return is_there;
}

inline unsigned open_descriptors()
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory) != nullptr)
        count++;
    closedir(directory);
    return count;
}

/* A loop whose time jumps, for each test. */
class OnTestLoop : public testing::Test
{
protected:
    void SetUp() override
    {
        ASSERT_EQ(0, coil_test_loop_create(&loop, nullptr));
    }

    void TearDown() override
    {
        coil_loop_destroy(loop);
    }

    coil_loop *loop = nullptr;
};

#endif
