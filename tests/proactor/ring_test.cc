/* SPDX-License-Identifier: MIT */
/* What happens where io_uring is old, small, forbidden or busy. */
#include "kernel_double.h"
#include "stage.h"

#include <coil/acceptor.h>
#include <coil/fd_watch.h>

#include <atomic>
#include <thread>
#include <vector>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

extern "C" {
#include "pool.h"
}

#include <coil/sugar.h>

namespace
{

const uid_t NOBODY = 65534;

/* -------------------------------------------------------------------------------- the work -- */

/* Everything that a loop does, in small: timers, files, accept, receive, many operations. */
async(int, fetches, (int) port, (char *) bytes)
{
    vars(int fd; ssize_t size_bytes; struct sockaddr_in address);
    my->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    defer(ignore(coil_close(my->fd)));
    my->address = loopback(port);
    attempt(coil_connect_fd(my->fd, any(&my->address), sizeof(my->address)));
    attempt(coil_send(my->fd, "question", 8, 0));
    await(coil_sleep(coil_us(100)));
    attempt(my->size_bytes, coil_recv(my->fd, bytes, 8, MSG_WAITALL));
    return static_cast<int>(my->size_bytes);
}

async(int, answers_one, (coil_loop *) loop, (int) fd)
{
    vars(coil_slice slice; coil_receiver *receiver; int64_t got_bytes);
    if (coil_receiver_create(loop, fd, COIL_TRANSPORT_SOCKET, &my->receiver) < 0)
        return -ENOMEM;
    defer(coil_receiver_close(my->receiver));
    while (my->got_bytes < 8) {
        attempt(my->slice, coil_receiver_next(my->receiver));
        if (my->slice.size_bytes == 0)
            return -EPIPE;
        my->got_bytes += my->slice.size_bytes;
        coil_slice_release(&my->slice);
    }
    attempt(coil_send(fd, "response", 8, 0));
    return 0;
}

async(int, serves, (coil_loop *) loop, (int) listener, (int) count, (coil_accept_as) as)
{
    vars(coil_acceptor *acceptor; int fd; int i; coil_group sessions; int rc);
    if (coil_acceptor_create(loop, listener, as, &my->acceptor) < 0)
        return -ENOMEM;
    defer(coil_acceptor_close(my->acceptor));
    open_group(&my->sessions);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->fd, coil_acceptor_next(my->acceptor));
        spawn(&my->sessions, answers_one(loop, my->fd));
    }
    await(my->rc, coil_group_join(&my->sessions));
    return my->rc;
}

/* Serve `count` connections at once on `loop`; the number of those that got their answer. */
int work(coil_loop *loop, int count, coil_accept_as as = COIL_ACCEPT_DIRECT)
{
    int listener = listen_on(0, count);
    int port = port_of(listener);
    std::vector<int64_t> results(static_cast<size_t>(count));
    std::vector<std::array<char, 8>> bytes(static_cast<size_t>(count));
    int64_t served = -1;
    START(served, serves(loop, listener, count, as));
    for (size_t i = 0; i < results.size(); i++)
        START(results[i], fetches(port, bytes[i].data()));
    (void)coil_loop_run(loop);
    int good = 0;
    for (size_t i = 0; i < results.size(); i++)
        good += results[i] == 8 && memcmp(bytes[i].data(), "response", 8) == 0 ? 1 : 0;
    return served == 0 ? good : static_cast<int>(served);
}

class Ring : public testing::Test
{
protected:
    Ring()
    {
        alarm(20);
        kernel_double = KernelDouble();
    }

    ~Ring() override
    {
        coil_loop_destroy(loop);
        kernel_double = KernelDouble();
        alarm(0);
    }

    int create()
    {
        return coil_loop_create(&loop, reason);
    }

    /* `body` in a forked child, which no longer matters afterwards. What it wrote to stderr. */
    std::string in_child(const std::function<int()> &body, int *out_code)
    {
        Ends err = make_pipe();
        pid_t pid = fork();
        if (pid == 0) {
            dup2(err.in, STDERR_FILENO);
            _exit(body());
        }
        err.in.reset();
        std::string text;
        for (std::string more; !(more = take(err.out)).empty();)
            text += more;
        int status = 0;
        EXPECT_EQ(pid, waitpid(pid, &status, 0));
        *out_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        return text;
    }

    coil_loop *loop = nullptr;
    char reason[COIL_REASON_BYTES] = "";
};

/* -------------------------------------------------------------------------------- the ladder -- */

TEST_F(Ring, TakesAllThatThisKernelHas)
{
    ASSERT_EQ(0, create());
    EXPECT_EQ(20, work(loop, 20));
    EXPECT_EQ(0u, coil_loop_statistics(loop).stale);
}

TEST_F(Ring, WorksWithoutNoSqarray)
{
    kernel_double.refused_setup_flags = IORING_SETUP_NO_SQARRAY;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_FALSE(kernel_double.last_setup_flags & IORING_SETUP_NO_SQARRAY);
    EXPECT_EQ(300, work(loop, 300)) << "more than the queue has entries";
}

TEST_F(Ring, WorksWithoutARegisteredWaitRegion)
{
    kernel_double.refused_registration = IORING_REGISTER_MEM_REGION;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_EQ(nullptr, loop->ring.wait_region);
    EXPECT_EQ(20, work(loop, 20));
}

TEST_F(Ring, WorksWithoutDirectDescriptors)
{
    kernel_double.refused_registration = IORING_REGISTER_FILES2;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_EQ(20, work(loop, 20));
}

TEST_F(Ring, WorksWithoutIncrementalBuffers)
{
    kernel_double.refuses_incremental_buffers = true;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_EQ(50, work(loop, 50));
    ASSERT_NE(nullptr, loop->buffers);
}

TEST_F(Ring, WorksWithoutAnyBufferRing)
{
    kernel_double.refused_registration = IORING_REGISTER_PBUF_RING;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_EQ(50, work(loop, 50));
    EXPECT_EQ(nullptr, loop->buffers);
}

TEST_F(Ring, DoesNotAskAgainAndAgainForABufferRingThatIsRefused)
{
    kernel_double.refused_registration = IORING_REGISTER_PBUF_RING;
    ASSERT_EQ(0, create()) << reason;
    (void)work(loop, 2);
    kernel_double.allocation_count = 0;
    (void)loop_buffers(loop);
    EXPECT_EQ(0, kernel_double.allocation_count);
}

TEST_F(Ring, WorksWithEverythingOfLinux61Only)
{
    kernel_double.refused_setup_flags = IORING_SETUP_NO_SQARRAY;
    kernel_double.refused_registration = IORING_REGISTER_MEM_REGION;
    kernel_double.refuses_incremental_buffers = true;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_EQ(100, work(loop, 100, COIL_ACCEPT_ORDINARY));
}

TEST_F(Ring, SaysThatTheKernelIsTooOld)
{
    kernel_double.refused_setup_flags = IORING_SETUP_DEFER_TASKRUN;
    EXPECT_EQ(-EINVAL, create());
    EXPECT_STREQ(
            "cannot set up io_uring: this kernel is too old; Linux 6.1 or newer is needed (EINVAL)",
            reason);
}

TEST_F(Ring, GivesEverythingBackIfTheRingCannotBeEnabled)
{
    kernel_double.refused_registration = IORING_REGISTER_ENABLE_RINGS;
    EXPECT_EQ(-EINVAL, create());
    EXPECT_EQ(nullptr, loop);
}

/* ------------------------------------------------------------------------------ small rings -- */

TEST_F(Ring, AsksForLessWhenMemoryIsShort)
{
    kernel_double.setup_error = -ENOMEM;
    kernel_double.setup_error_above_entries = 16;
    ASSERT_EQ(0, create()) << reason;
    EXPECT_EQ(16u, kernel_double.last_entries);
    EXPECT_EQ(100, work(loop, 100));
}

TEST_F(Ring, SaysThatMemoryIsTooShort)
{
    kernel_double.setup_error = -ENOMEM;
    EXPECT_EQ(-ENOMEM, create());
    EXPECT_STREQ(
            "cannot set up io_uring: not enough lockable memory; raise RLIMIT_MEMLOCK (ulimit -l) "
            "(ENOMEM)",
            reason);
}

TEST_F(Ring, OverflowsATinyCompletionQueueWithoutLosingAnything)
{
    kernel_double.sq_entries = 4;
    kernel_double.cq_entries = 8;
    ASSERT_EQ(0, create()) << reason;
    ASSERT_EQ(8u, loop->ring.uring.cq.ring_entries);
    EXPECT_EQ(200, work(loop, 200));
    EXPECT_EQ(200, work(loop, 200, COIL_ACCEPT_ORDINARY));
    EXPECT_EQ(0u, coil_loop_statistics(loop).stale);
}

TEST_F(Ring, ABusyKernelIsAskedAgain)
{
    kernel_double.sq_entries = 8;
    ASSERT_EQ(0, create()) << reason;
    for (int error : {-EBUSY, -EAGAIN, -EINTR}) {
        kernel_double.busy_submissions = 20;
        kernel_double.enter_error = error;
        kernel_double.enter_error_count = 10;
        EXPECT_EQ(100, work(loop, 100));
    }
    EXPECT_LT(0u, coil_loop_statistics(loop).backlogged);
    EXPECT_EQ(0u, coil_loop_statistics(loop).stale);
}

TEST_F(Ring, CancelsWhatWaitsInTheBacklogAndWhatFindsNoRoomForTheRequest)
{
    kernel_double.sq_entries = 4;
    ASSERT_EQ(0, create()) << reason;
    Ends ends = make_pipe();
    char byte;
    std::vector<int64_t> results(100, 0);
    std::vector<coil_task *> tasks;
    coil_loop_root(loop)->keep_going = true;
    for (int64_t &result : results)
        tasks.push_back(START(result, coil_read(ends.out, &byte, 1)));
    std::function<void()> cancel = [&] {
        kernel_double.busy_submissions = 30;
        for (coil_task *task : tasks)
            coil_task_cancel(task);
    };
    std::function<void()> fill = [] { kernel_double.busy_submissions = 1000; };
    coil_spawn(coil_loop_root(loop), act_after(coil_ms(2), &cancel));
    EXPECT_EQ(0, coil_loop_run(loop));
    for (int64_t result : results)
        EXPECT_EQ(-ECANCELED, result);

    /* And these are cancelled before they have left the backlog. */
    tasks.clear();
    for (int64_t &result : results)
        tasks.push_back(START(result, coil_read(ends.out, &byte, 1)));
    coil_spawn(coil_loop_root(loop), act_after(0, &cancel));
    kernel_double.busy_submissions = 1000;
    EXPECT_EQ(0, coil_loop_run(loop));
    for (int64_t result : results)
        EXPECT_EQ(-ECANCELED, result);
    kernel_double.busy_submissions = 0;
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

TEST_F(Ring, AnInterruptionThatNobodyAskedForIsNotReported)
{
    ASSERT_EQ(0, create());
    Ends ends = make_pipe();
    put(ends.in, "ab");
    char byte = 0;
    int edits = 1;
    kernel_double.edit = [&](struct io_uring_cqe *cqe) {
        if (cqe->res == 1 && edits > 0) {
            edits--;
            cqe->res = -EINTR;
        }
    };
    int64_t result = 0;
    START(result, coil_read(ends.out, &byte, 1));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(0, edits);
    EXPECT_EQ(1, result);
    EXPECT_EQ('b', byte) << "started again";
}

TEST_F(Ring, AnInterruptedWatchOfADescriptorGoesOn)
{
    struct Seen {
        coil_fd_watch_hook hook;
        int count;
        int events;
    } seen = {};
    seen.hook.ready = [](coil_fd_watch_hook *hook, int events) {
        auto *self = coil_container_of(hook, Seen, hook);
        self->count++;
        self->events = events;
    };
    ASSERT_EQ(0, create());
    Ends ends = make_pipe();
    put(ends.in, "a");
    int edits = 2;
    kernel_double.edit = [&](struct io_uring_cqe *cqe) {
        if (cqe->res == POLLIN && edits > 0) {
            edits--;
            cqe->res = -EINTR;
        }
    };
    coil_fd_watch *watch = nullptr;
    ASSERT_EQ(0, coil_fd_watch_create(loop, ends.out, POLLIN, &seen.hook, &watch));
    std::function<void()> stop = [&] { coil_fd_watch_close(watch); };
    coil_spawn(coil_loop_root(loop), act_after(coil_ms(20), &stop));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(0, edits);
    EXPECT_LE(1, seen.count);
    EXPECT_EQ(POLLIN, seen.events);
}

TEST_F(Ring, AnInterruptedTaskThatIsCancelledBeforeItRunsDoesNotStartAgain)
{
    ASSERT_EQ(0, create());
    Ends ends = make_pipe();
    put(ends.in, "a");
    char byte = 0;
    int64_t result = 0;
    coil_task *task = nullptr;
    kernel_double.edit = [&](struct io_uring_cqe *cqe) {
        if (cqe->res == 1)
            cqe->res = -EINTR;
    };
    std::function<void()> start = [&] {
        task = START(result, coil_within(0, coil_read(ends.out, &byte, 1)));
    };
    coil_loop_root(loop)->keep_going = true;
    coil_spawn(coil_loop_root(loop), act_after(0, &start));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(-ETIME, result);
}

TEST_F(Ring, MultishotThatEndsWithASuccessIsArmedAgain)
{
    ASSERT_EQ(0, create());
    int listener = listen_on(0);
    int port = port_of(listener);
    coil_acceptor *acceptor = nullptr;
    ASSERT_EQ(0, coil_acceptor_create(loop, listener, COIL_ACCEPT_ORDINARY, &acceptor));
    for (int i = 0; i < 5; i++) {
        Fd client(connect_to(port));
        int64_t fd = -1;
        START(fd, coil_acceptor_next(acceptor));
        EXPECT_EQ(0, coil_loop_run(loop));
        ASSERT_LE(0, fd);
        close(static_cast<int>(fd));
    }
    coil_acceptor_close(acceptor);
}

/* ------------------------------------------------------------------------------- messages -- */

TEST_F(Ring, AMessageThatComesWhenAllOperationsHaveEndedIsRefused)
{
    ASSERT_EQ(0, create());
    coil_post message = {[](coil_post *) { FAIL(); }, nullptr};
    int rc = 0;
    kernel_double.before_enter = [&] {
        if (loop->pending_count == 0)
            rc = coil_loop_post(loop, &message);
    };
    coil_loop_destroy(loop);
    loop = nullptr;
    EXPECT_EQ(-ESHUTDOWN, rc);
}

/* How a loop that sleeps is woken: by a message to its ring, or by its eventfd. */
class RingWoken : public Ring, public testing::WithParamInterface<bool>
{
protected:
    /* Post once to `loop`, which sleeps for so long, and run it. */
    void wake_once(coil_duration sleep)
    {
        coil_post message = {[](coil_post *) {}, nullptr};
        coil_spawn(coil_loop_root(loop), coil_sleep(sleep));
        std::thread sender([&] {
            while (!__atomic_load_n(&loop->asleep, __ATOMIC_RELAXED))
                usleep(100);
            EXPECT_EQ(0, coil_loop_post(loop, &message));
        });
        EXPECT_EQ(0, coil_loop_run(loop));
        coil_loop_destroy(loop);
        sender.join();
        loop = nullptr;
    }
};

TEST_P(RingWoken, TheLoopDoesNotEndUnderAThreadThatIsPosting)
{
    ASSERT_EQ(0, create());
    kernel_double.refuses_messages = GetParam();
    kernel_double.before_wake = [&] {
        usleep(100000); /* A deadline wakes the loop, which finds the message, and ends. */
    };
    wake_once(coil_ms(50));
    EXPECT_EQ(kernel_double.message_count > 0 ? 0 : 8, kernel_double.last_wake_result)
            << "its descriptors were still open";
}

TEST(RingMessages, AreNotTrustedToKernelsThatFreeThemTooEarly)
{
    for (const char *release : {"6.16.0", "6.16-rc7", "6.18.44-x", "7.0.1", "10.2"})
        EXPECT_TRUE(coil_kernel_delivers_messages(release)) << release;
    for (const char *release : {"6.1.0-9-amd64", "6.13.4", "6.15.11", "5.19.0", "6", "", "x.99"})
        EXPECT_FALSE(coil_kernel_delivers_messages(release)) << release;
}

TEST_P(RingWoken, ByOneSystemCall)
{
    ASSERT_EQ(0, create());
    kernel_double.refuses_messages = GetParam();
    const bool has_descriptor = loop->ring.uring.ring_fd >= 0; /* Since Linux 6.16. */
    unsigned wake_count = 0;
    kernel_double.before_wake = [&] { wake_count++; };
    wake_once(coil_ms(20));
    EXPECT_EQ(1u, wake_count);
    EXPECT_EQ(has_descriptor && !GetParam() ? 1u : 0u, kernel_double.message_count);
}

TEST_P(RingWoken, StopsItWhereverItSleeps)
{
    ASSERT_EQ(0, create());
    kernel_double.refuses_messages = GetParam();
    coil_task *sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(coil_s(15)));
    std::thread stopper([&] {
        usleep(10000);
        coil_loop_stop(loop);
    });
    const coil_time start = coil_kernel_now();
    EXPECT_EQ(-EINTR, coil_loop_run(loop));
    EXPECT_GT(coil_s(10), coil_kernel_now() - start);
    stopper.join();
    coil_task_cancel(sleeper);
    (void)coil_loop_run(loop);
}

INSTANTIATE_TEST_SUITE_P(ByItsEventfd, RingWoken, testing::Bool());

/* The rings of this process that it has a descriptor of. */
int descriptors_of_rings()
{
    char path[64];
    char target[64];
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        const ssize_t size_bytes = readlink(path, target, sizeof(target));
        const std::string name(target, static_cast<size_t>(size_bytes < 0 ? 0 : size_bytes));
        count += name == "anon_inode:[io_uring]";
    }
    return count;
}

TEST_F(Ring, AForkedChildHasNoneOfItsParents)
{
    ASSERT_EQ(0, create());
    coil_loop *second = nullptr;
    ASSERT_EQ(0, coil_loop_create(&second, reason));
    int code = -1;
    in_child([] { return descriptors_of_rings(); }, &code);
    EXPECT_EQ(0, code);
    in_child(
            [] { /* And has its own, as its own child has not. */
                coil_loop *own = nullptr;
                if (coil_loop_create(&own, nullptr) < 0 || work(own, 3) != 3)
                    return 100;
                const pid_t pid = fork();
                if (pid == 0)
                    _exit(descriptors_of_rings());
                int status = -1;
                (void)waitpid(pid, &status, 0);
                coil_loop_destroy(own);
                return status == 0 ? descriptors_of_rings() : 101;
            },
            &code);
    EXPECT_EQ(0, code);
    coil_loop_destroy(second);
    EXPECT_EQ(5, work(loop, 5)) << "nothing is closed here";
    coil_loop_destroy(loop);
    loop = nullptr;
    EXPECT_EQ(0, descriptors_of_rings());
}

TEST_F(Ring, AForkedChildHasNoneThatIsJustBeingMade)
{
    std::atomic<bool> is_over{false};
    std::thread maker([&] {
        while (!is_over) {
            coil_loop *made = nullptr;
            EXPECT_EQ(0, coil_loop_create(&made, nullptr));
            coil_loop_destroy(made);
        }
    });
    for (int i = 0; i < 100; i++) {
        const pid_t pid = fork();
        if (pid == 0)
            _exit(descriptors_of_rings());
        int status = -1;
        EXPECT_EQ(pid, waitpid(pid, &status, 0));
        EXPECT_EQ(0, status);
    }
    is_over = true;
    maker.join();
}

/* Who counts holds the list of them, and the child has nobody who would let it go. */
TEST_F(Ring, AForkedChildDoesNotKnowTheLoopsOfItsParent)
{
    ASSERT_EQ(0, create());
    coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER));
    std::atomic<bool> is_over{false};
    std::thread counter([&] {
        while (!is_over)
            EXPECT_EQ(1U, coil_debug_live_tasks());
    });
    for (int i = 0; i < 100 && !HasFailure(); i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            coil_loop *own = nullptr;
            if (coil_debug_live_tasks() > 0 || coil_loop_create(&own, nullptr) < 0)
                _exit(1);
            coil_loop_destroy(own);
            _exit(0);
        }
        int status = -1;
        EXPECT_EQ(pid, waitpid(pid, &status, 0));
        EXPECT_EQ(0, status);
    }
    is_over = true;
    counter.join();
    EXPECT_EQ(0, coil_loop_shutdown(loop, coil_s(1)));
}

/* An enter reaps some twenty of them, and to cancel all the kernel looks at each that is left. */
TEST_F(Ring, ManyOperationsAreCancelledAtTheEndByFewRequests)
{
    ASSERT_EQ(0, create());
    struct Hook {
        coil_fd_watch_hook hook = {[](coil_fd_watch_hook *, int) {}};
        coil_fd_watch *watch = nullptr;
    };
    Ends ends = make_pipe();
    std::vector<Hook> hooks(3000);
    for (Hook &one : hooks)
        ASSERT_EQ(0, coil_fd_watch_create(loop, ends.out, POLLIN, &one.hook, &one.watch));
    coil_spawn(coil_loop_root(loop), coil_sleep(coil_ms(1)));
    ASSERT_EQ(0, coil_loop_run(loop));
    for (Hook &one : hooks)
        coil_fd_watch_close(one.watch);
    int enter_count = 0;
    int cancel_count = 0;
    kernel_double.before_enter = [&] {
        const struct io_uring_sq *sq = &loop->ring.uring.sq;
        enter_count++;
        for (unsigned at = loop->ring.submitted; at != sq->sqe_tail; at++) {
            const struct io_uring_sqe *sqe = &sq->sqes[at & sq->ring_mask];
            cancel_count += sqe->opcode == IORING_OP_ASYNC_CANCEL &&
                            (sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0;
        }
    };
    coil_loop_destroy(loop);
    loop = nullptr;
    kernel_double.before_enter = nullptr;
    EXPECT_LT(10, enter_count);
    EXPECT_GT(5, cancel_count);
}

/* The kernel may end a multishot poll at any time, for want of room or memory. */
TEST_F(Ring, ALoopWhoseWakeUpTheKernelHasDisarmedCanStillBeWoken)
{
    ASSERT_EQ(0, create());
    kernel_double.refuses_messages = true;
    int disarmed_count = 0;
    kernel_double.edit = [&](struct io_uring_cqe *cqe) {
        if (cqe->res != -ECANCELED || disarmed_count > 0)
            return;
        cqe->res = POLLIN; /* The last completion, as if we had not asked for it. */
        disarmed_count++;
    };
    coil_task *sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(coil_s(5)));
    op_cancel(&loop->wake);
    struct Waker {
        coil_post post;
        coil_task *sleeper;
    } waker = {{[](coil_post *post) {
                    coil_task_cancel(coil_container_of(post, Waker, post)->sleeper);
                },
                       nullptr},
            sleeper};
    std::thread sender([&] {
        usleep(20000);
        EXPECT_EQ(0, coil_loop_post(loop, &waker.post));
    });
    coil_time start = coil_kernel_now();
    (void)coil_loop_run(loop);
    sender.join();
    EXPECT_EQ(1, disarmed_count);
    EXPECT_GT(coil_s(4), coil_kernel_now() - start);
    EXPECT_EQ(0U, coil_loop_statistics(loop).stale);
    kernel_double.edit = nullptr; /* What it counts with is gone at the end. */
}

/* -------------------------------------------------------------------------------- forbidden -- */

/* From here on io_uring_setup(2) fails with `error` in this process. */
bool forbid_io_uring(int error)
{
    struct sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

async(int, answers_42)
{
    vars();
    await(coil_yield());
    return 42;
}

TEST_F(Ring, CoilRunReturnsTheResult)
{
    EXPECT_EQ(42, coil_run(answers_42()));
}

TEST_F(Ring, SaysInOneLineThatASeccompProfileForbidsIt)
{
    struct {
        int error;
        const char *line;
    } const cases[] = {
            {EPERM, "coil: cannot set up io_uring: forbidden, by a seccomp profile (containers) or "
                    "a "
                    "security module (EPERM)\n"},
            {EACCES, "coil: cannot set up io_uring: forbidden, by a seccomp profile (containers) "
                     "or a "
                     "security module (EACCES)\n"},
            {ENOSYS, "coil: cannot set up io_uring: this kernel has no io_uring, or a seccomp "
                     "profile "
                     "(containers) hides it (ENOSYS)\n"},
            {EMFILE, "coil: cannot set up io_uring: Too many open files (EMFILE)\n"},
    };
    for (const auto &one : cases) {
        int code = 0;
        std::string text = in_child(
                [&one] {
                    if (!forbid_io_uring(one.error))
                        return 99;
                    return coil_run(answers_42()) == -one.error ? 7 : 8;
                },
                &code);
        EXPECT_EQ(7, code);
        EXPECT_EQ(one.line, text);
    }
}

TEST_F(Ring, SaysThatDescriptorsHaveRunOut)
{
    int code = 0;
    std::string text = in_child(
            [] {
                struct rlimit none = {3, 3};
                for (int fd = 3; fd < 100; fd++)
                    close(fd);
                setrlimit(RLIMIT_NOFILE, &none);
                return coil_run(answers_42()) == -EMFILE ? 7 : 8;
            },
            &code);
    EXPECT_EQ(7, code);
    EXPECT_EQ("coil: cannot create a loop: Too many open files\n", text);
}

TEST_F(Ring, WorksForAnOrdinaryUserWithLittleLockableMemory)
{
    if (getuid() != 0) {
        GTEST_SKIP() << "needs root, to become somebody else";
    }
    for (rlim_t limit_kib : {64, 128, 256, 512, 1024, 8192}) {
        int code = 0;
        std::string text = in_child(
                [limit_kib] {
                    struct rlimit limit = {limit_kib * 1024, limit_kib * 1024};
                    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
                            setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        return 99;
                    coil_loop *small = coil_run_begin();
                    if (small == nullptr)
                        return coil_run_error() == -ENOMEM ? 1 : 2;
                    int good = work(small, 30);
                    coil_loop_destroy(small);
                    return good == 30 ? 0 : 3;
                },
                &code);
        EXPECT_EQ("", text) << limit_kib;
        EXPECT_EQ(0, code) << limit_kib << " KiB";
    }
}

TEST_F(Ring, SaysThatAnOrdinaryUserHasNoLockableMemory)
{
    if (getuid() != 0) {
        GTEST_SKIP() << "needs root, to become somebody else";
    }
    int code = 0;
    std::string text = in_child(
            [] {
                struct rlimit limit = {4096, 4096};
                if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                    return 99;
                return coil_run(answers_42()) == -ENOMEM ? 7 : 8;
            },
            &code);
    EXPECT_EQ(7, code);
    EXPECT_EQ("coil: cannot set up io_uring: not enough lockable memory; raise RLIMIT_MEMLOCK "
              "(ulimit -l) "
              "(ENOMEM)\n",
            text);
}

} // namespace
