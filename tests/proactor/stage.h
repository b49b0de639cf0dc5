/* SPDX-License-Identifier: MIT */
/*
 * The stage of the proactor tests: a loop on the real kernel, descriptors that close themselves,
 * and RUN(call), which runs one awaitable as a task of its own. An operation of coil/io.h is an
 * awaitable like any other, so most tests need no coroutine.
 */
#ifndef STAGE_H
#define STAGE_H

#include "sanitized.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>
#include <coil/receiver.h>
#include <coil/test_loop.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <liburing.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include "loop_private.h"
}

/*
 * Strict builds tell the locals of coroutines by their address (coil_not_local). To find uses after
 * return, the address sanitizer moves the locals of tests to a fake stack, and there that check
 * takes them for locals of coroutines. So this one search is off here.
 */
#if COIL_TESTS_ASAN
extern "C" int __asan_option_detect_stack_use_after_return;
inline const int without_fake_stacks = __asan_option_detect_stack_use_after_return = 0;
#endif

/* ---------------------------------------------------------------------------- descriptors -- */

class Fd
{
public:
    explicit Fd(int owned = -1) : number(owned) {}

    Fd(Fd &&other) noexcept : number(other.release()) {}

    Fd &operator=(Fd &&other) noexcept
    {
        std::swap(number, other.number);
        return *this;
    }

    ~Fd()
    {
        reset();
    }

    operator int() const
    {
        return number;
    }

    int release()
    {
        return std::exchange(number, -1);
    }

    void reset()
    {
        if (number >= 0) {
            EXPECT_EQ(0, close(number)) << number;
        }
        number = -1;
    }

private:
    int number;
};

/* Two ends: what is written to `in` is read from `out`. Sockets and terminals work both ways. */
struct Ends {
    Fd out;
    Fd in;
};

inline Ends make_pipe()
{
    int fds[2] = {-1, -1};
    EXPECT_EQ(0, pipe2(fds, O_CLOEXEC));
    return {Fd(fds[0]), Fd(fds[1])};
}

inline Ends make_unix()
{
    int fds[2] = {-1, -1};
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    return {Fd(fds[0]), Fd(fds[1])};
}

/* `out` is the terminal in raw mode, `in` its master. */
inline Ends make_terminal()
{
    int master = -1;
    int slave = -1;
    struct termios raw = {};
    cfmakeraw(&raw);
    EXPECT_EQ(0, openpty(&master, &slave, nullptr, &raw, nullptr));
    return {Fd(slave), Fd(master)};
}

inline sockaddr_in loopback(int port)
{
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline const sockaddr *any(const sockaddr_in *address)
{
    return reinterpret_cast<const sockaddr *>(address);
}

/* Without SO_REUSEADDR, so that whoever still listens is found out; -1 and errno if so. */
inline int listen_on(int port, int backlog = 128)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(port);
    if (bind(fd, any(&address), sizeof(address)) == 0 && listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

inline int port_of(int fd)
{
    sockaddr_in address = {};
    socklen_t size_bytes = sizeof(address);
    EXPECT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size_bytes));
    return ntohs(address.sin_port);
}

/* Connected by the kernel, as long as there is room in the backlog. -1 and errno. */
inline int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(port);
    if (connect(fd, any(&address), sizeof(address)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

inline Ends make_tcp()
{
    Fd listener(listen_on(0));
    Fd client(connect_to(port_of(listener)));
    Fd server(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_LE(0, server);
    return {std::move(server), std::move(client)};
}

/* An anonymous file with `content`, positioned at its start. */
inline Fd make_file(const std::string &content = "")
{
    Fd file(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    EXPECT_LE(0, file);
    EXPECT_EQ(static_cast<ssize_t>(content.size()), write(file, content.data(), content.size()));
    EXPECT_EQ(0, lseek(file, 0, SEEK_SET));
    return file;
}

inline void put(int fd, const std::string &bytes)
{
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()), write(fd, bytes.data(), bytes.size()));
}

/* What is there now, at most 4 KiB. */
inline std::string take(int fd)
{
    char bytes[4096];
    ssize_t size_bytes = read(fd, bytes, sizeof(bytes));
    EXPECT_LE(0, size_bytes) << strerror(errno);
    return std::string(bytes, static_cast<size_t>(size_bytes > 0 ? size_bytes : 0));
}

/* ---------------------------------------------------------------------------------- random -- */

/* xorshift; the seed is in the test's name or output. */
struct Random {
    uint64_t state;

    uint64_t next()
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    }

    uint64_t below(uint64_t limit)
    {
        return next() % limit;
    }
};

/* ------------------------------------------------------------------------------------ loop -- */

/* One char per byte of a stream, the same for sender and receiver. */
inline char pattern(uint64_t offset)
{
    return static_cast<char>((offset * 131 + (offset >> 8) * 17 + (offset >> 16) * 7) & 0xff);
}

coil_async(void, act_after, (coil_duration) delay, (std::function<void()> *) action)
{
    coil_vars();
    coil_await(coil_sleep(delay));
    (*action)();
}

/* A loop as it is made. */
class BareLoop : public testing::Test
{
protected:
    using Create = int (*)(coil_loop **, char *);

    /* With coil_test_loop_create, waiting takes no time: where nobody outside of the test acts. */
    explicit BareLoop(Create create)
    {
        alarm(20); /* Less than the patience of ctest, so that the test that hangs is named. */
        char reason[COIL_REASON_BYTES] = "";
        EXPECT_EQ(0, create(&loop, reason)) << reason;
    }

    ~BareLoop() override
    {
        coil_loop_destroy(loop);
        alarm(0);
    }

    /* Of a test loop's time. */
    coil_duration elapsed() const
    {
        return coil_loop_now(loop) - COIL_TEST_EPOCH;
    }

    coil_loop *loop = nullptr;
};

/* A loop whose tasks fail without consequence for the others, and hands to act while it runs. */
class Proactor : public BareLoop
{
protected:
    explicit Proactor(Create create = coil_loop_create) : BareLoop(create)
    {
        coil_loop_root(loop)->keep_going = true;
    }

    ~Proactor() override
    {
        end();
    }

    /* Destroy the loop now instead of at the end of the test. */
    void end()
    {
        if (loop != nullptr) {
            EXPECT_EQ(0u, coil_loop_statistics(loop).stale);
        }
        coil_loop_destroy(loop);
        loop = nullptr;
    }

    /* Until all tasks have ended. */
    void run()
    {
        EXPECT_EQ(0, coil_loop_run(loop));
    }

    /* Do something to the world `delay` from now on, while the loop runs. */
    void later(coil_duration delay, std::function<void()> action)
    {
        actions.push_back(std::move(action));
        coil_spawn(coil_loop_root(loop), act_after(delay, &actions.back()));
    }

    /* A direct descriptor for the same file; `fd` itself is closed. */
    int make_direct(Fd fd)
    {
        int number = fd;
        int slot = next_slot++;
        struct io_uring_files_update update = {};
        update.offset = static_cast<unsigned>(slot);
        update.fds = reinterpret_cast<uintptr_t>(&number);
        EXPECT_EQ(1, coil_kernel_ring_register(
                             &loop->ring.uring, IORING_REGISTER_FILES_UPDATE, &update, 1));
        return slot | COIL_DIRECT_BIT;
    }

    static constexpr int COIL_DIRECT_BIT = 1 << 30;
    int next_slot = 100;
    std::deque<std::function<void()>> actions;
};

/* Inside a test: run the call as a task to its end, and the loop until all are. Its result. */
#define RUN(...)                                                           \
    __extension__({                                                        \
        int64_t run_result = INT64_MIN;                                    \
        coil_spawn_result(coil_loop_root(loop), &run_result, __VA_ARGS__); \
        run();                                                             \
        run_result;                                                        \
    })

/*
 * The same with a deadline that counts from the start of the call, not from when the loop last ran.
 * If it is 0, it passes after the operation was submitted, and before its completion is looked at:
 * what completes at once delivers its success all the same.
 */
#define RUN_WITHIN(limit, ...)                                                     \
    __extension__({                                                                \
        int64_t bounded_result = INT64_MIN;                                        \
        later(0, [&] { START(bounded_result, coil_within(limit, __VA_ARGS__)); }); \
        run();                                                                     \
        bounded_result;                                                            \
    })
#define RUN_TOO_LATE(...) RUN_WITHIN(0, __VA_ARGS__)

/* Start the call as a task; its result will be in `result`. */
#define START(result, ...) coil_spawn_result(coil_loop_root(loop), &(result), __VA_ARGS__)

#endif
