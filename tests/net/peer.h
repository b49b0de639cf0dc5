/* SPDX-License-Identifier: MIT */
/*
 * The other side of the tests: plain blocking sockets, and a loop on a thread of its own, so that
 * what Coil does is seen by somebody who does not use it.
 */
#ifndef PEER_H
#define PEER_H

#include <coil/listener.h>
#include <coil/loop.h>

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

enum { PATIENCE_MS = 10000 }; /* Nothing here takes so long, unless it hangs. */

/* A blocking connection. Owns the descriptor. */
class Peer
{
public:
    explicit Peer(int descriptor) : fd(descriptor)
    {
        const timeval limit = {PATIENCE_MS / 1000, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        const int now = 1; /* Else what follows something unanswered waits for a delayed ACK. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof(now));
    }

    Peer(Peer &&other) noexcept : fd(std::exchange(other.fd, -1)) {}

    ~Peer()
    {
        close();
    }

    static Peer connected(uint16_t port)
    {
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to))) << strerror(errno);
        return Peer(fd);
    }

    /* Whether all of it could be sent: a peer that was closed may refuse. */
    bool send(const std::string &bytes)
    {
        for (size_t sent = 0; sent < bytes.size();) {
            const ssize_t count =
                    ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (count < 0 && errno == EINTR) /* With a timeout, it is not restarted. */
                continue;
            if (count <= 0)
                return false;
            sent += static_cast<size_t>(count);
        }
        return true;
    }

    /* So many bytes, or fewer if the stream ends; `broken` tells a reset or a hang. */
    std::string receive(size_t size)
    {
        std::string bytes(size, '\0');
        size_t have = 0;
        while (have < size) {
            const ssize_t count = recv(fd, &bytes[have], size - have, 0);
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                broken = errno;
            if (count <= 0)
                break;
            have += static_cast<size_t>(count);
        }
        bytes.resize(have);
        return bytes;
    }

    /* The next frame without its length; empty if the stream ends. */
    std::string receive_frame()
    {
        const std::string length = receive(4);
        if (length.size() < 4)
            return "";
        uint32_t size;
        memcpy(&size, length.data(), 4);
        return receive(ntohl(size));
    }

    /* The stream ends here, properly: no bytes, no reset, no hang. */
    testing::AssertionResult at_end()
    {
        const std::string more = receive(1);
        if (!more.empty())
            return testing::AssertionFailure() << "a byte more";
        if (broken != 0)
            return testing::AssertionFailure() << strerror(broken);
        return testing::AssertionSuccess();
    }

    bool readable_within(int ms)
    {
        pollfd one = {fd, POLLIN, 0};
        return poll(&one, 1, ms) == 1;
    }

    void end()
    {
        shutdown(fd, SHUT_WR);
    }

    void close()
    {
        if (fd >= 0)
            ::close(fd);
        fd = -1;
    }

    int fd;
    int broken = 0;
};

/* A listening blocking socket, on a port that the kernel has chosen. */
class PeerListener
{
public:
    PeerListener() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in at = {};
        socklen_t size = sizeof(at);
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&at), size));
        EXPECT_EQ(0, listen(fd, 10));
        EXPECT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr *>(&at), &size));
        address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    }

    ~PeerListener()
    {
        close(fd);
    }

    Peer accepted() const
    {
        return Peer(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
    }

    int fd;
    std::string address;
};

/* A thread that is joined at the end of the scope. */
class Thread
{
public:
    explicit Thread(std::function<void()> body) : thread(std::move(body)) {}

    ~Thread()
    {
        thread.join();
    }

private:
    std::thread thread;
};

/* A loop on a thread, with the tasks that `start` spawns, until stop() cancels them. */
class LoopThread
{
public:
    explicit LoopThread(const std::function<void(coil_group *)> &start)
        : thread([this, start] { run(start); })
    {
    }

    ~LoopThread()
    {
        stop();
        coil_loop_release(loop);
    }

    int stop()
    {
        if (thread.joinable()) {
            loop_exists.get_future().wait();
            coil_loop_post(loop, &cancel.post);
            thread.join();
        }
        return result;
    }

private:
    struct cancellation {
        coil_post post;
        coil_loop *loop;
    };

    void run(const std::function<void(coil_group *)> &start)
    {
        ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
        cancel.post.run = [](coil_post *post) {
            cancellation *self = coil_container_of(post, cancellation, post);
            coil_group_cancel(coil_loop_root(self->loop));
        };
        cancel.loop = loop;
        coil_loop_hold(loop); /* It may have ended by itself when it is stopped. */
        start(coil_loop_root(loop));
        loop_exists.set_value();
        result = coil_loop_run(loop);
        coil_loop_destroy(loop);
    }

    coil_loop *loop = nullptr;
    cancellation cancel = {};
    std::promise<void> loop_exists;
    int result = 0;
    std::thread thread;
};

/* Whether it becomes true soon. */
inline bool soon(const std::function<bool()> &condition)
{
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        if (condition())
            return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

#endif
