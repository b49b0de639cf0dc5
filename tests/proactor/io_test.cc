/* SPDX-License-Identifier: MIT */
/* Every operation of coil/io.h on real descriptors: success, error, end, deadline, late success. */
#include "stage.h"

#include <limits>
#include <vector>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <coil/sugar.h>

namespace
{

/* Long enough for an operation to begin waiting. */
const coil_duration A_MOMENT = coil_ms(3);

class Io : public Proactor
{
protected:
    explicit Io(Create create = coil_test_loop_create) : Proactor(create) {}

    char bytes[256] = "";
};

/* ------------------------------------------------------------------------- read and write -- */

struct Kind {
    const char *name;
    Ends (*make)();
    int64_t end; /* What a read returns when the other end is gone. */
};

const Kind kinds[] = {
        {"pipe", make_pipe, 0},
        {"unix", make_unix, 0},
        {"tcp", make_tcp, 0},
        {"terminal", make_terminal, 0},
};

class Stream : public Io, public testing::WithParamInterface<std::tuple<Kind, bool>>
{
protected:
    Stream()
    {
        const auto &[kind, direct] = GetParam();
        ends = kind.make();
        end = kind.end;
        out = direct ? make_direct(Fd(ends.out.release())) : static_cast<int>(ends.out);
        in = direct ? make_direct(Fd(dup(ends.in))) : static_cast<int>(ends.in);
    }

    /* The writing end, and its direct double. */
    void hang_up()
    {
        if (coil_fd_is_direct(in)) {
            EXPECT_EQ(0, RUN(coil_close(in)));
        }
        ends.in.reset();
    }

    Ends ends;
    int out;
    int in;
    int64_t end;
};

TEST_P(Stream, ReadsWhatIsThere)
{
    put(ends.in, "abc");
    EXPECT_EQ(3, RUN(coil_read(out, bytes, sizeof(bytes))));
    EXPECT_STREQ("abc", bytes);
}

TEST_P(Stream, ReadsWhatComesLater)
{
    later(A_MOMENT, [this] { put(ends.in, "late"); });
    EXPECT_EQ(4, RUN(coil_read(out, bytes, sizeof(bytes))));
    EXPECT_STREQ("late", bytes);
}

TEST_P(Stream, ReadHasADeadlineAndLosesNothing)
{
    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_read(out, bytes, sizeof(bytes)))));
    put(ends.in, "abc");
    EXPECT_EQ(3, RUN(coil_read(out, bytes, sizeof(bytes))));
}

TEST_P(Stream, ReadThatSucceedsTooLateIsASuccess)
{
    put(ends.in, "abc");
    EXPECT_EQ(3, RUN_TOO_LATE(coil_read(out, bytes, sizeof(bytes))));
}

TEST_P(Stream, ReadFindsTheEnd)
{
    if (!coil_fd_is_direct(in)) {
        later(A_MOMENT, [this] { ends.in.reset(); });
        EXPECT_EQ(end, RUN(coil_read(out, bytes, sizeof(bytes))));
    }
    hang_up();
    EXPECT_EQ(end, RUN(coil_read(out, bytes, sizeof(bytes))));
}

TEST_P(Stream, Writes)
{
    EXPECT_EQ(3, RUN(coil_write(in, "xyz", 3)));
    EXPECT_EQ(3, RUN(coil_read(out, bytes, sizeof(bytes))));
    EXPECT_STREQ("xyz", bytes);
}

TEST_P(Stream, WritesFromAndReadsIntoParts)
{
    struct iovec from[2] = {{const_cast<char *>("one"), 3}, {const_cast<char *>("two"), 3}};
    struct iovec to[2] = {{bytes, 2}, {bytes + 2, 100}};
    EXPECT_EQ(6, RUN(coil_writev(in, from, 2, -1)));
    EXPECT_EQ(6, RUN(coil_readv(out, to, 2, -1)));
    EXPECT_STREQ("onetwo", bytes);
    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_readv(out, to, 2, -1))));
}

TEST_P(Stream, Polls)
{
    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_poll(out, POLLIN))));
    later(A_MOMENT, [this] { put(ends.in, "abc"); });
    EXPECT_EQ(POLLIN, RUN(coil_poll(out, POLLIN)) & POLLIN);
    EXPECT_EQ(POLLIN, RUN_TOO_LATE(coil_poll(out, POLLIN)) & POLLIN);
    EXPECT_EQ(POLLOUT, RUN(coil_poll(in, POLLOUT)) & POLLOUT);
}

TEST(Poll, IsWokenByUrgentDataAlone)
{
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    Ends ends = make_tcp();
    std::function<void()> send_it = [&] { EXPECT_EQ(1, send(ends.in, "!", 1, MSG_OOB)); };
    for (const bool has_come : {false, true}) {
        int64_t events = 0;
        coil_spawn_result(
                coil_loop_root(loop), &events, within(coil_s(10), coil_poll(ends.out, POLLPRI)));
        if (!has_come)
            coil_spawn(coil_loop_root(loop), act_after(coil_ms(1), &send_it));
        EXPECT_EQ(0, coil_loop_run(loop));
        EXPECT_EQ(POLLPRI, events) << "and nothing that was not asked for";
    }
    char byte;
    EXPECT_EQ(1, recv(ends.out, &byte, 1, MSG_OOB));
    EXPECT_EQ(0, coil_loop_close(&loop));
}

/* What it was cancelled for comes when something has just happened that was not asked for. */
int enter_with_another_event(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    int rc = coil_kernel_ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
    for (unsigned i = *ring->cq.khead; i != *ring->cq.ktail; i++) {
        struct io_uring_cqe *cqe = &ring->cq.cqes[i & ring->cq.ring_mask];
        if (cqe->res == -ECANCELED)
            cqe->res = POLLRDBAND;
    }
    return rc;
}

TEST(Poll, IsCancelledAlsoIfSomethingElseHasHappened)
{
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    Ends ends = make_tcp();
    loop->ring.enter = enter_with_another_event;
    int64_t events = 0;
    coil_spawn_result(
            coil_loop_root(loop), &events, within(coil_ms(1), coil_poll(ends.out, POLLPRI)));
    EXPECT_EQ(-ETIME, coil_loop_run(loop));
    loop->ring.enter = coil_kernel_ring_enter;
    EXPECT_EQ(-ETIME, events);
    EXPECT_EQ(0, coil_loop_close(&loop));
}

TEST_P(Stream, PollSeesTheOtherEndGo)
{
    if (coil_fd_is_direct(in)) {
        EXPECT_EQ(0, RUN(coil_close(in)));
    }
    later(A_MOMENT, [this] { ends.in.reset(); });
    EXPECT_NE(0, RUN(coil_poll(out, POLLIN)) & (POLLIN | POLLHUP));
}

TEST_P(Stream, DataIsReadOnceByManyReadersThatAreCancelled)
{
    int64_t results[10];
    for (int64_t &result : results)
        START(result, within(A_MOMENT, coil_read(out, bytes, 1)));
    later(A_MOMENT, [this] { put(ends.in, "123"); });
    run();
    int count = 0;
    for (int64_t result : results)
        count += result == 1 ? 1 : 0;
    for (int64_t rest; (rest = RUN(within(A_MOMENT, coil_read(out, bytes, 1)))) == 1;)
        count++;
    EXPECT_EQ(3, count);
}

INSTANTIATE_TEST_SUITE_P(Io, Stream, testing::Combine(testing::ValuesIn(kinds), testing::Bool()),
        [](const auto &one) {
            return std::string(std::get<0>(one.param).name) +
                   (std::get<1>(one.param) ? "_direct" : "");
        });

TEST_F(Io, WriteWaitsForRoomAndHasADeadline)
{
    for (auto make : {make_pipe, make_unix, make_tcp}) {
        Ends ends = make();
        std::vector<char> much(16 * 1024 * 1024);
        int64_t size_bytes =
                RUN(within(coil_ms(30), coil_write(ends.in, much.data(), much.size())));
        if (size_bytes > 0) /* A short one; now it is full. */
            size_bytes = RUN(within(A_MOMENT, coil_write(ends.in, much.data(), much.size())));
        while (size_bytes > 0)
            size_bytes = RUN(within(A_MOMENT, coil_write(ends.in, much.data(), much.size())));
        EXPECT_EQ(-ETIME, size_bytes);
    }
}

TEST_F(Io, BadDescriptorsAreReported)
{
    const int none = 19999;
    EXPECT_EQ(-EBADF, RUN(coil_read(none, bytes, 1)));
    EXPECT_EQ(-EBADF, RUN(coil_write(-1, bytes, 1)));
    EXPECT_EQ(-EBADF, RUN(coil_poll(none, POLLIN)));
    EXPECT_EQ(-EBADF, RUN(coil_recv(none, bytes, 1, 0)));
    EXPECT_EQ(-EBADF, RUN(coil_send(none, bytes, 1, 0)));
    EXPECT_EQ(-EBADF, RUN(coil_accept_fd(none, nullptr, nullptr)));
    EXPECT_EQ(-EBADF, RUN(coil_shutdown(none, SHUT_RD)));
    EXPECT_EQ(-EBADF, RUN(coil_fsync(none, false)));
    EXPECT_EQ(-EBADF, RUN(coil_close(none)));
    EXPECT_EQ(-EBADF, RUN(coil_read(none | COIL_DIRECT, bytes, 1)));
    EXPECT_EQ(-EBADF, RUN(coil_close(none | COIL_DIRECT)));
    EXPECT_EQ(-EBADF, RUN(coil_install(none | COIL_DIRECT)));
}

TEST_F(Io, WriteWithoutAReaderFailsWithoutASignal)
{
    for (auto make : {make_unix, make_tcp}) {
        Ends ends = make();
        ends.out.reset();
        EXPECT_LE(-1, RUN(coil_send(ends.in, "a", 1, 0)) < 0 ? -1 : 0);
        EXPECT_EQ(-EPIPE, RUN(coil_send(ends.in, "a", 1, 0)));
    }
}

/* ---------------------------------------------------------------------------------- files -- */

TEST_F(Io, ReadsAndWritesFilesAtThePositionAndAnywhere)
{
    for (bool direct : {false, true}) {
        SCOPED_TRACE(direct);
        Fd file = make_file("0123456789");
        int fd = direct ? make_direct(Fd(dup(file))) : static_cast<int>(file);
        EXPECT_EQ(4, RUN(coil_read(fd, bytes, 4)));
        EXPECT_EQ(6, RUN(coil_read(fd, bytes, sizeof(bytes))));
        EXPECT_EQ(std::string("456789"), std::string(bytes, 6));
        EXPECT_EQ(0, RUN(coil_read(fd, bytes, sizeof(bytes)))) << "the end of the file";
        EXPECT_EQ(3, RUN(coil_write(fd, "abc", 3)));
        EXPECT_EQ(2, RUN(coil_pwrite(fd, "XY", 2, 1)));
        EXPECT_EQ(13, RUN(coil_pread(fd, bytes, sizeof(bytes), 0)));
        EXPECT_EQ(std::string("0XY3456789abc"), std::string(bytes, 13));
        EXPECT_EQ(0, RUN(coil_pread(fd, bytes, 1, 1000)));
        EXPECT_EQ(-EINVAL, RUN(coil_pread(fd, bytes, 1, -2)));
        struct iovec parts[2] = {{bytes, 1}, {bytes + 1, 2}};
        EXPECT_EQ(3, RUN(coil_readv(fd, parts, 2, 4)));
        EXPECT_EQ(std::string("456"), std::string(bytes, 3));
        EXPECT_EQ(3, RUN(coil_writev(fd, parts, 2, 0)));
        EXPECT_EQ(0, RUN(coil_fsync(fd, false)));
        EXPECT_EQ(0, RUN(coil_fsync(fd, true)));
        if (direct) {
            EXPECT_EQ(0, RUN(coil_close(fd)));
        }
    }
}

TEST_F(Io, RefusesNegativeOffsetsAndDoesNotTakeThemForThePosition)
{
    for (bool direct : {false, true}) {
        SCOPED_TRACE(direct);
        Fd file = make_file("0123456789");
        int fd = direct ? make_direct(Fd(dup(file))) : static_cast<int>(file);
        EXPECT_EQ(3, RUN(coil_read(fd, bytes, 3)));
        for (off_t offset : {off_t{-1}, off_t{-2}, std::numeric_limits<off_t>::min()}) {
            EXPECT_EQ(-EINVAL, RUN(coil_pread(fd, bytes, 1, offset))) << offset;
            EXPECT_EQ(-EINVAL, RUN(coil_pwrite(fd, "X", 1, offset))) << offset;
        }
        EXPECT_EQ(7, RUN(coil_read(fd, bytes, sizeof(bytes)))) << "the position has not moved";
        EXPECT_EQ(std::string("3456789"), std::string(bytes, 7));
        if (direct) {
            EXPECT_EQ(0, RUN(coil_close(fd)));
        }
    }
}

TEST_F(Io, IgnoresTheOffsetOfAPipe)
{
    int ends[2];
    ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
    Fd from(ends[0]);
    Fd to(ends[1]);
    EXPECT_EQ(3, RUN(coil_pwrite(to, "abc", 3, 1000)));
    EXPECT_EQ(3, RUN(coil_pread(from, bytes, 3, 7)));
    EXPECT_EQ(std::string("abc"), std::string(bytes, 3));
}

async(int64_t, reads_many, (int) fd, (char *) bytes, (int) count)
{
    vars(int i; int64_t sum; ssize_t size_bytes);
    for (; my->i < count; my->i++) {
        attempt(my->size_bytes, coil_pread(fd, bytes, 4, my->i));
        my->sum += my->size_bytes == 4 && memcmp(bytes, "aaaa", 4) == 0;
    }
    return my->sum;
}

TEST_F(Io, ReadsWhatIsCachedWithoutTheRingButLetsOthersRun)
{
    Fd file = make_file(std::string(5000, 'a'));
    const uint64_t before = coil_loop_statistics(loop).completions;
    EXPECT_EQ(4, RUN(coil_pread(file, bytes, 4, 7)));
    EXPECT_EQ(before, coil_loop_statistics(loop).completions);
    EXPECT_EQ(1000, RUN(reads_many(file, bytes, 1000)));
    const uint64_t by_ring = coil_loop_statistics(loop).completions - before;
    EXPECT_LT(0u, by_ring) << "nobody else would have run meanwhile";
    EXPECT_GT(100u, by_ring);
}

/* By mincore(2): a read that does not wait may begin to read ahead. */
bool is_cached(int fd)
{
    const size_t page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    unsigned char resident = 0;
    void *page = mmap(nullptr, page_bytes, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT_NE(MAP_FAILED, page);
    EXPECT_EQ(0, mincore(page, page_bytes, &resident));
    (void)munmap(page, page_bytes);
    return (resident & 1) != 0;
}

/*
 * Mostly through the ring (SimDisk has it without chance): the read ahead that a look at the cache
 * begins may be quicker still.
 */
TEST_F(Io, ReadsWhatIsNotCached)
{
    Fd file = make_file(std::string(1 << 20, 'a'));
    ASSERT_EQ(0, fsync(file));
    ASSERT_EQ(0, posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
    if (is_cached(file))
        GTEST_SKIP() << "a file system that forgets nothing";
    EXPECT_EQ(4, RUN(coil_pread(file, bytes, 4, 0)));
    EXPECT_EQ(1000, RUN(reads_many(file, bytes, 1000)));
    EXPECT_EQ(-EBADF, RUN(coil_pread(-1, bytes, 4, 0)));
}

TEST_F(Io, FileOperationsThatSucceedTooLateAreSuccesses)
{
    Fd file = make_file("0123456789");
    EXPECT_EQ(10, RUN_TOO_LATE(coil_pread(file, bytes, sizeof(bytes), 0)));
    int64_t result = RUN_TOO_LATE(coil_pwrite(file, "XY", 2, 0));
    EXPECT_TRUE(result == 2 || result == -ETIME) << result; /* Maybe by a worker thread. */
    result = RUN_TOO_LATE(coil_fsync(file, false));
    EXPECT_TRUE(result == 0 || result == -ETIME) << result;
}

TEST_F(Io, OpensFilesCloseOnExec)
{
    int fd = static_cast<int>(RUN(coil_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0)));
    ASSERT_LE(0, fd);
    EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    EXPECT_EQ(0, RUN(coil_close(fd)));
    EXPECT_EQ(-ENOENT, RUN(coil_openat(AT_FDCWD, "/nonexistent/file", O_RDONLY, 0)));
    EXPECT_EQ(-EFAULT, RUN(coil_openat(AT_FDCWD, nullptr, O_RDONLY, 0)));
}

TEST_F(Io, OpenThatIsTooLateEitherDeliversItsDescriptorOrHasNone)
{
    for (int i = 0; i < 50; i++) {
        int64_t fd = RUN(within(coil_us(i), coil_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0)));
        if (fd >= 0)
            close(static_cast<int>(fd));
        else
            EXPECT_EQ(-ETIME, fd);
    }
}

TEST_F(Io, OpenThatWaitsInAWorkerThreadHasADeadline)
{
    std::string path = "/tmp/coil_io_test_fifo." + std::to_string(getpid());
    ASSERT_EQ(0, mkfifo(path.c_str(), 0600));
    /* With O_CREAT the kernel opens in a worker thread, and there it waits for a writer. */
    const int flags = O_RDONLY | O_CREAT;
    loop->worker_patience = coil_ms(10); /* The other end is never opened. */
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), coil_openat(AT_FDCWD, path.c_str(), flags, 0))));
    EXPECT_EQ(0, unlink(path.c_str()));
}

TEST_F(Io, TellsTheStatusOfFiles)
{
    Fd file = make_file("0123456789");
    struct statx status = {};
    EXPECT_EQ(0, RUN(coil_statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &status)));
    EXPECT_EQ(10u, status.stx_size);
    EXPECT_EQ(-ENOENT, RUN(coil_statx(AT_FDCWD, "/nonexistent", 0, STATX_SIZE, &status)));
    int64_t result = RUN_TOO_LATE(coil_statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &status));
    EXPECT_TRUE(result == 0 || result == -ETIME) << result;
}

TEST_F(Io, SplicesBetweenFilesAndPipes)
{
    for (bool direct : {false, true}) {
        SCOPED_TRACE(direct);
        Fd file = make_file("0123456789");
        Ends pipe = make_pipe();
        int from = direct ? make_direct(Fd(dup(file))) : static_cast<int>(file);
        int to = direct ? make_direct(Fd(dup(pipe.in))) : static_cast<int>(pipe.in);
        EXPECT_EQ(4, RUN(coil_splice(from, 2, to, -1, 4, 0)));
        EXPECT_EQ("2345", take(pipe.out));
        EXPECT_EQ(-EINVAL, RUN(coil_splice(from, 0, from, 0, 4, 0))) << "none is a pipe";
        EXPECT_EQ(0, RUN(coil_splice(from, 1000, to, -1, 4, 0))) << "end of file";
        if (direct) {
            EXPECT_EQ(0, RUN(coil_close(from)));
            EXPECT_EQ(0, RUN(coil_close(to)));
        }
    }
}

TEST_F(Io, SpliceFromAnEmptyPipeHasADeadline)
{
    Ends from = make_pipe();
    Ends to = make_pipe();
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(10), coil_splice(from.out, -1, to.in, -1, 4, 0))));
    put(from.in, "abc");
    EXPECT_EQ(3, RUN(coil_splice(from.out, -1, to.in, -1, 4, 0)));
    from.in.reset();
    EXPECT_EQ(0, RUN(coil_splice(from.out, -1, to.in, -1, 4, 0))) << "the end";
}

/* ---------------------------------------------------------------------------------- close -- */

async(int, closes, (int) fd)
{
    vars(int rc);
    await(my->rc, coil_close(fd));
    return my->rc;
}

async(int, closes_then, (int) fd, (std::function<void()> *) action)
{
    vars(int rc);
    await(my->rc, coil_close(fd));
    (*action)();
    return my->rc;
}

TEST_F(Io, ClosesBothKinds)
{
    Ends ends = make_pipe();
    EXPECT_EQ(0, RUN(coil_close(ends.in.release())));
    EXPECT_EQ("", take(ends.out));
    int direct = make_direct(Fd(ends.out.release()));
    EXPECT_EQ(0, RUN(coil_close(direct)));
    EXPECT_EQ(-EBADF, RUN(coil_close(direct)));
}

TEST_F(Io, CloseOfACancelledTaskStillCloses)
{
    Ends ends = make_pipe();
    coil_task *task = coil_spawn(coil_loop_root(loop), closes(ends.in.release()));
    coil_task_cancel(task);
    run();
    EXPECT_EQ("", take(ends.out)) << "it is closed";
}

TEST_F(Io, CloseThatIsTooLateStillCloses)
{
    for (coil_duration limit : {coil_ns(-1), coil_ns(0), coil_us(5)}) {
        Ends ends = make_pipe();
        EXPECT_EQ(0, RUN(within(limit, coil_close(ends.in.release()))));
        EXPECT_EQ("", take(ends.out));
    }
}

TEST_F(Io, CloseEndsNothingThatIsPending)
{
    Ends ends = make_unix();
    int64_t result = 0;
    START(result, within(coil_ms(10), coil_recv(ends.out, bytes, 1, 0)));
    later(A_MOMENT, [&ends] { ends.out.reset(); });
    run();
    EXPECT_EQ(-ETIME, result);
}

TEST_F(Io, ADirectDescriptorThatIsClosedWhileAReadWaitsIsNotConfusedWithItsSuccessor)
{
    Ends first = make_unix();
    Ends second = make_unix();
    int fd = make_direct(Fd(first.out.release()));
    int64_t result = 0;
    int64_t closed = 1;
    START(result, coil_recv(fd, bytes, sizeof(bytes), 0));
    std::function<void()> replace = [&] {
        next_slot = fd & ~COIL_DIRECT;
        make_direct(Fd(second.out.release()));
        put(second.in, "second");
        put(first.in, "first");
    };
    later(A_MOMENT, [&] { START(closed, closes_then(fd, &replace)); });
    run();
    EXPECT_EQ(0, closed);
    EXPECT_EQ(5, result);
    EXPECT_STREQ("first", bytes);
    EXPECT_EQ(6, RUN(coil_recv(fd, bytes, sizeof(bytes), 0)));
}

TEST_F(Io, InstallsAnOrdinaryDescriptorForADirectOne)
{
    Ends ends = make_pipe();
    int direct = make_direct(Fd(ends.out.release()));
    int64_t fd = RUN(coil_install(direct));
    ASSERT_LE(0, fd);
    EXPECT_EQ(FD_CLOEXEC, fcntl(static_cast<int>(fd), F_GETFD));
    put(ends.in, "abc");
    EXPECT_EQ("abc", take(static_cast<int>(fd)));
    EXPECT_EQ(0, close(static_cast<int>(fd)));
    put(ends.in, "def");
    EXPECT_EQ(3, RUN(coil_read(direct, bytes, sizeof(bytes)))) << "both are open";
    fd = RUN_TOO_LATE(coil_install(direct));
    ASSERT_LE(0, fd) << "the late descriptor is delivered";
    EXPECT_EQ(0, close(static_cast<int>(fd)));
}

/* -------------------------------------------------------------------------------- sockets -- */

TEST_F(Io, SendsAndReceives)
{
    for (bool direct : {false, true}) {
        for (auto make : {make_unix, make_tcp}) {
            Ends ends = make();
            int out = direct ? make_direct(Fd(dup(ends.out))) : static_cast<int>(ends.out);
            int in = direct ? make_direct(Fd(dup(ends.in))) : static_cast<int>(ends.in);
            EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_recv(out, bytes, sizeof(bytes), 0))));
            EXPECT_EQ(3, RUN(coil_send(in, "abc", 3, 0)));
            EXPECT_EQ(3, RUN(coil_recv(out, bytes, sizeof(bytes), MSG_PEEK)));
            EXPECT_EQ(3, RUN_TOO_LATE(coil_recv(out, bytes, sizeof(bytes), 0)));
            EXPECT_EQ(-EAGAIN, RUN(coil_recv(out, bytes, sizeof(bytes), MSG_DONTWAIT)));
            EXPECT_EQ(0, RUN(coil_shutdown(in, SHUT_WR)));
            EXPECT_EQ(0, RUN(coil_recv(out, bytes, sizeof(bytes), 0)));
            EXPECT_EQ(-EPIPE, RUN(coil_send(in, "abc", 3, 0))) << "and no signal";
            if (direct) {
                EXPECT_EQ(0, RUN(coil_close(out)));
                EXPECT_EQ(0, RUN(coil_close(in)));
            }
        }
    }
}

TEST_F(Io, ReceiveOfAllThatIsCutDeliversWhatHasCome)
{
    for (auto make : {make_unix, make_tcp}) {
        Ends ends = make();
        put(ends.in, "0123456789");
        EXPECT_EQ(10, RUN_WITHIN(coil_ms(10), coil_recv(ends.out, bytes, 100, MSG_WAITALL)));
        EXPECT_STREQ("0123456789", bytes);
    }
}

TEST_F(Io, SendOfAllThatIsCutSaysHowMuchWent)
{
    Ends ends = make_tcp();
    std::vector<char> much(16 * 1024 * 1024);
    int64_t sent =
            RUN_WITHIN(coil_ms(20), coil_send(ends.in, much.data(), much.size(), MSG_WAITALL));
    ASSERT_LT(0, sent);
    ASSERT_GT(static_cast<int64_t>(much.size()), sent);
    ends.in.reset();
    int64_t got = 0;
    for (int64_t count; (count = RUN(coil_recv(ends.out, much.data(), much.size(), 0))) > 0;)
        got += count;
    EXPECT_EQ(sent, got);
}

TEST_F(Io, ShutdownEndsAReceiveThatWaits)
{
    for (auto make : {make_unix, make_tcp}) {
        Ends ends = make();
        int64_t result = -1;
        START(result, coil_recv(ends.out, bytes, 1, 0));
        later(A_MOMENT, [&ends] { EXPECT_EQ(0, shutdown(ends.out, SHUT_RD)); });
        run();
        EXPECT_EQ(0, result);
    }
    Fd file = make_file();
    EXPECT_EQ(-ENOTSOCK, RUN(coil_shutdown(file, SHUT_RD)));
}

TEST_F(Io, AResetIsReported)
{
    Ends ends = make_tcp();
    int64_t result = 0;
    START(result, coil_recv(ends.out, bytes, 1, 0));
    later(A_MOMENT, [&ends] {
        struct linger at_once = {1, 0};
        setsockopt(ends.in, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        ends.in.reset();
    });
    run();
    EXPECT_EQ(-ECONNRESET, result);
}

TEST_F(Io, SendsAndReceivesMessagesWithDescriptorsInThem)
{
    Ends ends = make_unix();
    Ends passed = make_pipe();
    struct iovec part = {bytes, sizeof(bytes)};
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    struct msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);

    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_recvmsg(ends.out, &message, 0))));

    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int fd = passed.in;
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    part.iov_len = 1;
    EXPECT_EQ(1, RUN(coil_sendmsg(ends.in, &message, 0)));
    passed.in.reset();

    part.iov_len = sizeof(bytes);
    memset(control, 0, sizeof(control));
    EXPECT_EQ(1, RUN_TOO_LATE(coil_recvmsg(ends.out, &message, MSG_CMSG_CLOEXEC)));
    header = CMSG_FIRSTHDR(&message);
    ASSERT_NE(nullptr, header);
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    put(fd, "through");
    EXPECT_EQ("through", take(passed.out));
    close(fd);

    ends.out.reset();
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    EXPECT_EQ(-EPIPE, RUN(coil_sendmsg(ends.in, &message, 0))) << "and no signal";
}

TEST_F(Io, AcceptsAndConnects)
{
    for (bool direct : {false, true}) {
        Fd listener(listen_on(0));
        sockaddr_in address = loopback(port_of(listener));
        int fd = direct ? make_direct(Fd(dup(listener))) : static_cast<int>(listener);
        EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_accept_fd(fd, nullptr, nullptr))));

        Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in peer = {};
        socklen_t peer_bytes = sizeof(peer);
        int64_t accepted = -1;
        START(accepted, coil_accept_fd(fd, reinterpret_cast<sockaddr *>(&peer), &peer_bytes));
        EXPECT_EQ(0, RUN(coil_connect_fd(client, any(&address), sizeof(address))));
        ASSERT_LE(0, accepted);
        EXPECT_EQ(FD_CLOEXEC, fcntl(static_cast<int>(accepted), F_GETFD));
        EXPECT_EQ(port_of(client), ntohs(peer.sin_port));
        close(static_cast<int>(accepted));

        Fd other(connect_to(port_of(listener)));
        accepted = RUN_TOO_LATE(coil_accept_fd(fd, nullptr, nullptr));
        ASSERT_LE(0, accepted) << "the late connection is delivered";
        close(static_cast<int>(accepted));
        if (direct) {
            EXPECT_EQ(0, RUN(coil_close(fd)));
        }
    }
}

TEST_F(Io, ConnectReportsARefusal)
{
    Fd listener(listen_on(0));
    sockaddr_in address = loopback(port_of(listener));
    listener.reset();
    Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(-ECONNREFUSED, RUN(coil_connect_fd(client, any(&address), sizeof(address))));
}

TEST_F(Io, ConnectThatTheListenerLeavesWaitingHasADeadline)
{
    Fd listener(listen_on(0, 0));
    sockaddr_in address = loopback(port_of(listener));
    std::vector<Fd> clients;
    int64_t result = 0;
    for (int i = 0; i < 10 && result == 0; i++) {
        clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        result = RUN(within(
                coil_ms(20), coil_connect_fd(clients.back(), any(&address), sizeof(address))));
    }
    EXPECT_EQ(-ETIME, result);
}

/* ------------------------------------------------------------------------------ processes -- */

pid_t child_that(const std::function<void()> &does)
{
    pid_t pid = fork();
    if (pid == 0) {
        does();
        _exit(3);
    }
    return pid;
}

TEST_F(Io, WaitsForAChildAndLeavesItToBeReaped)
{
    Ends pipe = make_pipe();
    pid_t pid = child_that([&pipe] {
        pipe.in.reset();
        char byte;
        (void)!read(pipe.out, &byte, 1);
    });
    pipe.out.reset();
    Fd pidfd(coil_kernel_pidfd_open(pid));
    siginfo_t status = {};
    id_t id = static_cast<id_t>(static_cast<int>(pidfd));
    const int how = WEXITED | WNOWAIT;

    EXPECT_EQ(-ETIME, RUN(within(A_MOMENT, coil_waitid(P_PIDFD, id, &status, how))));
    EXPECT_EQ(-ETIME,
            RUN(within(A_MOMENT, coil_waitid(P_PID, static_cast<id_t>(pid), &status, how))));
    EXPECT_EQ(0, status.si_pid);

    later(A_MOMENT, [&pipe] { pipe.in.reset(); });
    EXPECT_EQ(0, RUN(coil_waitid(P_PIDFD, id, &status, how)));
    EXPECT_EQ(pid, status.si_pid);
    EXPECT_EQ(CLD_EXITED, status.si_code);
    EXPECT_EQ(3, status.si_status);

    status = {};
    EXPECT_EQ(0, RUN_TOO_LATE(coil_waitid(P_PIDFD, id, &status, how)));
    EXPECT_EQ(pid, status.si_pid);

    status = {};
    EXPECT_EQ(0, coil_kernel_reap(pidfd, &status));
    EXPECT_EQ(3, status.si_status);
    EXPECT_EQ(-ECHILD, coil_kernel_reap(pidfd, &status));
    EXPECT_EQ(-ECHILD, RUN(coil_waitid(P_PIDFD, id, &status, how)));
}

TEST_F(Io, WaitThatIsCutWhileTheChildEndsNeverSwallowsItsStatus)
{
    Random random = {7};
    for (int i = 0; i < 30; i++) {
        coil_duration delay = static_cast<coil_duration>(random.below(600000));
        pid_t pid = child_that([delay] {
            struct timespec time = {0, delay};
            nanosleep(&time, nullptr);
        });
        Fd pidfd(coil_kernel_pidfd_open(pid));
        siginfo_t status = {};
        int64_t result = RUN(within(static_cast<coil_duration>(random.below(1200000)),
                coil_waitid(P_PIDFD, static_cast<id_t>(static_cast<int>(pidfd)), &status,
                        WEXITED | WNOWAIT)));
        EXPECT_TRUE(result == 0 || result == -ETIME) << result;
        status = {};
        EXPECT_EQ(0, waitid(P_PID, static_cast<id_t>(pid), &status, WEXITED));
        EXPECT_EQ(pid, status.si_pid);
    }
}

TEST_F(Io, WaitWithoutHangingSaysThatNobodyHasEnded)
{
    Ends pipe = make_pipe();
    pid_t pid = child_that([&pipe] {
        pipe.in.reset();
        char byte;
        (void)!read(pipe.out, &byte, 1);
    });
    siginfo_t status = {};
    EXPECT_EQ(0, RUN(coil_waitid(P_PID, static_cast<id_t>(pid), &status, WEXITED | WNOHANG)));
    EXPECT_EQ(0, status.si_pid);
    EXPECT_EQ(-ECHILD, RUN(coil_waitid(P_PID, 1, &status, WEXITED)));
    EXPECT_EQ(-EINVAL, RUN(coil_waitid(P_PID, static_cast<id_t>(pid), &status, 0)));
    pipe.in.reset();
    EXPECT_EQ(0, RUN(coil_waitid(P_PID, static_cast<id_t>(pid), &status, WEXITED)));
    EXPECT_EQ(3, status.si_status);
}

TEST_F(Io, AwaitsAHundredChildrenAtOnce)
{
    std::array<siginfo_t, 100> statuses = {};
    std::array<int64_t, 100> results;
    for (size_t i = 0; i < statuses.size(); i++) {
        pid_t pid = child_that([] { usleep(2000); });
        START(results[i], coil_waitid(P_PID, static_cast<id_t>(pid), &statuses[i], WEXITED));
    }
    run();
    for (size_t i = 0; i < statuses.size(); i++) {
        EXPECT_EQ(0, results[i]);
        EXPECT_EQ(3, statuses[i].si_status);
    }
}

} // namespace
