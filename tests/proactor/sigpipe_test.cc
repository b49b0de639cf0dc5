/* SPDX-License-Identifier: MIT */
/* Writing to a pipe that nobody reads: an error, and never a signal. */
#include "stage.h"

#include <csignal>

namespace
{

sigset_t only(int signo)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    return set;
}

bool blocked(int signo)
{
    sigset_t mask;
    EXPECT_EQ(0, pthread_sigmask(SIG_BLOCK, nullptr, &mask));
    return sigismember(&mask, signo) == 1;
}

bool pending(int signo)
{
    sigset_t set;
    EXPECT_EQ(0, sigpending(&set));
    return sigismember(&set, signo) == 1;
}

volatile sig_atomic_t sigpipe_count;

/* Every test ends with SIGPIPE as it was: not blocked, not pending, never delivered. */
class Sigpipe : public Proactor
{
protected:
    Sigpipe() : Proactor(coil_test_loop_create)
    {
        ends.out.reset();
        sigpipe_count = 0;
        before = signal(SIGPIPE, [](int) { sigpipe_count = sigpipe_count + 1; });
    }

    ~Sigpipe() override
    {
        EXPECT_FALSE(blocked(SIGPIPE));
        EXPECT_FALSE(pending(SIGPIPE));
        EXPECT_EQ(0, sigpipe_count);
        signal(SIGPIPE, before);
    }

    Ends ends = make_pipe();
    void (*before)(int);
};

TEST_F(Sigpipe, WriteToAPipeThatNobodyReadsIsAnErrorAndNoSignal)
{
    EXPECT_EQ(-EPIPE, RUN(coil_write(ends.in, "x", 1)));
    EXPECT_EQ(-EPIPE, RUN(coil_write(ends.in, "x", 1)));
}

TEST_F(Sigpipe, WriteOfPartsIsNoSignalEither)
{
    const struct iovec part = {const_cast<char *>("x"), 1};
    EXPECT_EQ(-EPIPE, RUN(coil_writev(ends.in, &part, 1, -1)));
    EXPECT_EQ(-EPIPE, RUN(coil_write(make_direct(Fd(dup(ends.in))), "x", 1)));
}

TEST_F(Sigpipe, SpliceIntoAPipeThatNobodyReadsIsNoSignalEither)
{
    Ends source = make_pipe();
    put(source.in, "abc");
    EXPECT_EQ(-EPIPE, RUN(coil_splice(source.out, -1, ends.in, -1, 3, 0)));
}

TEST_F(Sigpipe, WriteThatWaitsForRoomIsAnErrorWhenTheReaderGoes)
{
    Ends full = make_pipe();
    const int flags = fcntl(full.in, F_GETFL);
    ASSERT_EQ(0, fcntl(full.in, F_SETFL, flags | O_NONBLOCK));
    static const char zeros[65536] = {};
    while (write(full.in, zeros, sizeof(zeros)) > 0)
        continue;
    ASSERT_EQ(0, fcntl(full.in, F_SETFL, flags));

    later(coil_ms(5), [&] { full.out.reset(); });
    EXPECT_EQ(-EPIPE, RUN(coil_write(full.in, zeros, sizeof(zeros))));
}

TEST_F(Sigpipe, WriteToASocketWhosePeerHasGoneIsNoSignal)
{
    Ends socket = make_unix();
    socket.out.reset();
    EXPECT_EQ(-EPIPE, RUN(coil_write(socket.in, "x", 1)));
    EXPECT_EQ(-EPIPE, RUN(coil_send(socket.in, "x", 1, 0)));
}

TEST_F(Sigpipe, IsBlockedWhileTheLoopRunsAndNotAfterwards)
{
    bool meanwhile = false;
    later(0, [&] { meanwhile = blocked(SIGPIPE); });
    run();
    EXPECT_TRUE(meanwhile);
    EXPECT_FALSE(blocked(SIGPIPE));
}

TEST_F(Sigpipe, StaysBlockedIfItWasBlocked)
{
    sigset_t set = only(SIGPIPE);
    ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, nullptr));
    EXPECT_EQ(-EPIPE, RUN(coil_write(ends.in, "x", 1)));
    EXPECT_TRUE(blocked(SIGPIPE));
    EXPECT_FALSE(pending(SIGPIPE)) << "ours is dropped all the same";
    ASSERT_EQ(0, pthread_sigmask(SIG_UNBLOCK, &set, nullptr));
}

TEST_F(Sigpipe, OneThatWasPendingBeforeStaysPending)
{
    sigset_t set = only(SIGPIPE);
    ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, nullptr));
    raise(SIGPIPE);
    EXPECT_EQ(-EPIPE, RUN(coil_write(ends.in, "x", 1)));
    EXPECT_TRUE(pending(SIGPIPE));
    int signo = 0;
    ASSERT_EQ(0, sigwait(&set, &signo));
    ASSERT_EQ(0, pthread_sigmask(SIG_UNBLOCK, &set, nullptr));
}

TEST_F(Sigpipe, OtherSignalsAreLeftAlone)
{
    bool meanwhile = true;
    later(0, [&] { meanwhile = blocked(SIGTERM) || blocked(SIGCHLD); });
    run();
    EXPECT_FALSE(meanwhile);

    /* A task may change the mask to stay. */
    sigset_t set = only(SIGUSR1);
    later(0, [&] { ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, nullptr)); });
    run();
    EXPECT_TRUE(blocked(SIGUSR1));
    ASSERT_EQ(0, pthread_sigmask(SIG_UNBLOCK, &set, nullptr));
}

} // namespace
