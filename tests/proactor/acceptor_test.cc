/* SPDX-License-Identifier: MIT */
/* coil/acceptor.h: every connection is delivered once, or closed. */
#include "stage.h"

#include <coil/acceptor.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <vector>

#include <sys/resource.h>

#include <coil/sugar.h>

namespace
{

/* Take `count` connections as they come. */
async(int, takes_all, (coil_acceptor *) acceptor, (int) count, (std::vector<int> *) fds)
{
    vars(int fd; int i);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->fd, coil_acceptor_next(acceptor));
        fds->push_back(my->fd);
    }
    return 0;
}

class Acceptor : public Proactor, public testing::WithParamInterface<coil_accept_as>
{
protected:
    Acceptor() : Proactor(coil_test_loop_create)
    {
        listening = listen_on(0, 4000);
        port = port_of(listening);
        EXPECT_EQ(0, coil_acceptor_create(loop, listening, GetParam(), &acceptor));
    }

    ~Acceptor() override
    {
        coil_acceptor_close(acceptor);
        end();
    }

    void connect_many(int count)
    {
        for (int i = 0; i < count; i++)
            clients.emplace_back(connect_to(port));
    }

    void idle(coil_duration duration = coil_ms(3))
    {
        later(duration, [] {});
        run();
    }

    int next()
    {
        return static_cast<int>(RUN(coil_acceptor_next(acceptor)));
    }

    void close_all(const std::vector<int> &fds)
    {
        for (int fd : fds)
            coil_close_later(loop, fd);
    }

    /* How many clients find out that the other end is gone. */
    int count_hung_up(size_t first = 0)
    {
        int count = 0;
        for (size_t i = first; i < clients.size(); i++) {
            pollfd one = {clients[i], POLLIN, 0};
            char byte;
            count += poll(&one, 1, 1000) == 1 && recv(clients[i], &byte, 1, MSG_DONTWAIT) <= 0 ? 1
                                                                                               : 0;
        }
        return count;
    }

    int listening; /* The acceptor's. */
    int port;
    coil_acceptor *acceptor = nullptr;
    std::vector<Fd> clients;
};

TEST_P(Acceptor, DeliversEveryConnectionOnce)
{
    const int count = 400;
    std::vector<int> fds;
    int64_t result = -1;
    START(result, takes_all(acceptor, count, &fds));
    connect_many(100);
    for (int i = 1; i <= 3; i++)
        later(coil_ms(i), [this] { connect_many(100); });
    run();
    EXPECT_EQ(0, result);
    ASSERT_EQ(static_cast<size_t>(count), fds.size());
    EXPECT_EQ(fds.size(), std::set<int>(fds.begin(), fds.end()).size());
    for (int fd : fds)
        EXPECT_EQ(GetParam() == COIL_ACCEPT_DIRECT, coil_fd_is_direct(fd));

    std::set<int> seen;
    for (size_t i = 0; i < clients.size(); i++)
        EXPECT_EQ(4, send(clients[i], &i, 4, 0));
    for (int fd : fds) {
        int name = -1;
        EXPECT_EQ(4, RUN(coil_recv(fd, &name, 4, MSG_WAITALL)));
        seen.insert(name);
    }
    EXPECT_EQ(static_cast<size_t>(count), seen.size());
    close_all(fds);
    idle();
    EXPECT_EQ(count, count_hung_up());
}

TEST_P(Acceptor, GivesTheRestOfABurstWithoutWaiting)
{
    EXPECT_EQ(-EAGAIN, coil_acceptor_take(acceptor)) << "nobody has asked for the first";
    connect_many(20);
    std::vector<int> fds = {next()};
    idle();
    for (int fd; (fd = coil_acceptor_take(acceptor)) >= 0;)
        fds.push_back(fd);
    EXPECT_EQ(20u, std::set<int>(fds.begin(), fds.end()).size());
    EXPECT_EQ(-EAGAIN, coil_acceptor_take(acceptor));
    connect_many(1);
    fds.push_back(next());
    close_all(fds);
    idle();
    EXPECT_EQ(21, count_hung_up());
}

TEST_P(Acceptor, GoesOnAfterAPauseThatTakingHasEnded)
{
    connect_many(1);
    std::vector<int> fds = {next()};
    for (int i = 0; i < 10; i++) {
        connect_many(40);
        idle(coil_us(300));
    }
    while (fds.size() < 401) {
        for (int fd; (fd = coil_acceptor_take(acceptor)) >= 0;)
            fds.push_back(fd);
        if (fds.size() < 401)
            fds.push_back(next());
    }
    EXPECT_EQ(401u, std::set<int>(fds.begin(), fds.end()).size());
    close_all(fds);
}

TEST_P(Acceptor, OrdinaryDescriptorsAreCloseOnExec)
{
    connect_many(1);
    int fd = next();
    if (!coil_fd_is_direct(fd)) {
        EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    }
    close_all({fd});
}

TEST_P(Acceptor, CloseClosesWhatNobodyHasTakenAndTheListener)
{
    connect_many(1);
    int first = next();
    connect_many(50);
    idle(); /* They are accepted, and wait in the queue. */
    coil_acceptor_close(std::exchange(acceptor, nullptr));
    idle();
    EXPECT_EQ(50, count_hung_up(1));
    EXPECT_EQ(-1, connect_to(port));
    EXPECT_EQ(ECONNREFUSED, errno);
    EXPECT_EQ(1, RUN(coil_send(first, "x", 1, 0))) << "what was taken lives on";
    EXPECT_EQ("x", take(clients[0]));
    close_all({first});
}

/*
 * Of two who wait at one socket the kernel wakes one, here us, who end in that moment. Whoever has
 * connected is ours, then: the other one will not be told.
 */
TEST_P(Acceptor, EndLosesNoConnectionThatItWasWokenFor)
{
    Fd ours(listen_on(0));
    Fd theirs(dup(ours));
    port = port_of(ours);
    coil_acceptor *acceptors[2] = {};
    std::vector<int> taken;
    std::vector<int64_t> results(2, 1);
    int fds[] = {ours.release(), theirs.release()};
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(0, coil_acceptor_create(loop, fds[i], GetParam(), &acceptors[i]));
    coil_task *tasks[2];
    for (int i = 0; i < 2; i++)
        tasks[i] = START(results[static_cast<size_t>(i)], takes_all(acceptors[i], 1, &taken));
    later(coil_ms(1), [&] {
        connect_many(1);
        coil_acceptor_end(acceptors[0]);
        coil_acceptor_end(acceptors[1]);
    });
    (void)tasks;
    run();
    EXPECT_EQ(1u, taken.size());
    std::sort(results.begin(), results.end());
    EXPECT_EQ(-ESHUTDOWN, results[0]);
    EXPECT_EQ(0, results[1]);
    for (coil_acceptor *one : acceptors)
        coil_acceptor_close(one);
    idle();
    close_all(taken);
}

TEST_P(Acceptor, EndOfTheLoopClosesWhatNobodyHasTaken)
{
    connect_many(1);
    close_all({next()});
    connect_many(50);
    idle();
    coil_acceptor_close(std::exchange(acceptor, nullptr));
    end(); /* Without a turn in between. */
    EXPECT_EQ(51, count_hung_up());
    Fd again(listen_on(port, 1));
    EXPECT_TRUE(again >= 0 || errno == EADDRINUSE) << "connections in TIME_WAIT may hold it";
}

/*
 * Of those who accept at one socket the kernel wakes one, the first (EPOLLEXCLUSIVE). What that was
 * woken for and leaves behind would stay there until the next connection wakes another one.
 */
TEST_P(Acceptor, TakesWhatItWasWokenForBeforeItEnds)
{
    connect_many(1);
    std::vector<int> fds = {next()};
    coil_acceptor *other = nullptr;
    const int same = fcntl(listening, F_DUPFD_CLOEXEC, 0);
    ASSERT_EQ(0, coil_acceptor_create(loop, same, GetParam(), &other));
    int64_t result = -1;
    START(result, within(coil_ms(20), takes_all(other, 4, &fds)));
    later(coil_ms(3), [this] {
        connect_many(3);
        coil_acceptor_end(acceptor);
    });
    run();
    for (int fd; (fd = next()) >= 0;)
        fds.push_back(fd);
    EXPECT_EQ(4u, fds.size());
    EXPECT_EQ(-ESHUTDOWN, next());
    coil_acceptor_close(other);
    close_all(fds);
}

TEST_P(Acceptor, AWaitThatIsCutLosesNoConnection)
{
    Random random = {99};
    const int count = 60;
    std::vector<int> fds;
    for (int i = 0; i < count; i++)
        later(coil_us(static_cast<int64_t>(random.below(20000))), [this] { connect_many(1); });
    while (fds.size() < static_cast<size_t>(count)) {
        int64_t fd = INT64_MIN;
        START(fd, within(static_cast<coil_duration>(random.below(500000)),
                          coil_acceptor_next(acceptor)));
        run();
        if (fd >= 0)
            fds.push_back(static_cast<int>(fd));
        else
            ASSERT_EQ(-ETIME, fd);
    }
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(3), coil_acceptor_next(acceptor))));
    close_all(fds);
}

TEST_P(Acceptor, ACancelledTaskGetsNothingAndTheConnectionStays)
{
    coil_task *task = coil_spawn(coil_loop_root(loop), coil_acceptor_next(acceptor));
    later(coil_ms(1), [task] { coil_task_cancel(task); });
    run();
    connect_many(1);
    task = coil_spawn(coil_loop_root(loop), coil_acceptor_next(acceptor));
    coil_task_cancel(task);
    run();
    int fd = next();
    ASSERT_LE(0, fd);
    close_all({fd});
}

TEST_P(Acceptor, PausesWhenManyWaitToBeTaken)
{
    connect_many(1);
    std::vector<int> fds = {next()};
    for (int i = 0; i < 20; i++) {
        connect_many(40);
        idle(coil_us(300));
    }
    if (GetParam() == COIL_ACCEPT_ORDINARY) {
        auto open = std::filesystem::directory_iterator("/proc/self/fd");
        auto count = std::distance(std::filesystem::begin(open), std::filesystem::end(open));
        EXPECT_GT(801 + COIL_ACCEPTOR_LIMIT_COUNT + 80 + 30, count);
    }
    EXPECT_EQ(0, RUN(takes_all(acceptor, 800, &fds)));
    EXPECT_EQ(801u, std::set<int>(fds.begin(), fds.end()).size());
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(1), coil_acceptor_next(acceptor))));
    close_all(fds);
}

TEST_P(Acceptor, ErrorsAreToldOnceEachAndEndNothing)
{
    coil_acceptor *broken = nullptr;
    ASSERT_EQ(0, coil_acceptor_create(loop, make_file().release(), GetParam(), &broken));
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(-ENOTSOCK, RUN(coil_acceptor_next(broken)));
    coil_acceptor_close(broken);
    ASSERT_EQ(0, coil_acceptor_create(loop, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         GetParam(), &broken));
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(-EINVAL, RUN(coil_acceptor_next(broken)));
    coil_acceptor_close(broken);
}

/* In a process of its own: the limit is lowered, and the loop made afterwards. */
int runs_out_of_descriptors(coil_accept_as as)
{
    struct rlimit few = {60, 60};
    int listener = fcntl(listen_on(0, 200), F_DUPFD_CLOEXEC, 50);
    int port = port_of(listener);
    for (int i = 0; i < 100; i++) /* Above the limit, where they disturb nobody. */
        if (fcntl(connect_to(port), F_DUPFD_CLOEXEC, 500) < 0)
            return 1;
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return 1;
    for (int fd = 3; fd < 500; fd++)
        if (fd != listener)
            close(fd);
    coil_loop *loop = nullptr;
    if (coil_loop_create(&loop, nullptr) < 0)
        return 2;
    coil_acceptor *acceptor = nullptr;
    if (coil_acceptor_create(loop, listener, as, &acceptor) < 0)
        return 3;
    std::vector<int> fds;
    int64_t error = 0;
    START(error, takes_all(acceptor, 100, &fds));
    (void)coil_loop_run(loop);
    if (error != (as == COIL_ACCEPT_DIRECT ? -ENFILE : -EMFILE) || fds.size() < 20)
        return 4;
    for (int fd : fds)
        coil_close_later(loop, fd);
    size_t before = fds.size();
    error = 0;
    START(error, takes_all(acceptor, 20, &fds)); /* There is room again. */
    (void)coil_loop_run(loop);
    if (error != 0 || fds.size() != before + 20)
        return 5;
    for (size_t i = before; i < fds.size(); i++)
        coil_close_later(loop, fds[i]);
    coil_acceptor_close(acceptor);
    coil_loop_destroy(loop);
    return 0;
}

TEST_P(Acceptor, GoesOnAfterDescriptorsHaveRunOut)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        _exit(runs_out_of_descriptors(GetParam()));
    }
    int status = 0;
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(0, WEXITSTATUS(status));
}

INSTANTIATE_TEST_SUITE_P(As, Acceptor, testing::Values(COIL_ACCEPT_ORDINARY, COIL_ACCEPT_DIRECT),
        [](const auto &one) { return one.param == COIL_ACCEPT_DIRECT ? "direct" : "ordinary"; });

} // namespace
