/* SPDX-License-Identifier: MIT */
/* coil/receiver.h: every byte once and in order, whatever happens to waits, pool and peer. */
#include "stage.h"

#include <algorithm>
#include <vector>

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

extern "C" {
#include "pool.h"
}

#include <coil/sugar.h>

namespace
{

enum { POOL_BYTES = 1024 * 1024 };

struct Kind {
    const char *name;
    Ends (*make)();
    coil_transport transport;
};

const Kind kinds[] = {
        {"pipe", make_pipe, COIL_TRANSPORT_FILE},
        {"unix", make_unix, COIL_TRANSPORT_SOCKET},
        {"unix_read", make_unix, COIL_TRANSPORT_FILE},
        {"tcp", make_tcp, COIL_TRANSPORT_SOCKET},
};

/* Both sides of one stream whose bytes follow the pattern. */
struct Traffic {
    coil_receiver *receiver = nullptr;
    int in = -1;
    uint64_t total_bytes = 0;
    uint64_t sent_bytes = 0;
    uint64_t received_bytes = 0;
    uint64_t wrong_count = 0;
    int64_t queued_bytes_max = 0;
    int64_t end = INT64_MIN;
    size_t piece_bytes_max = 64 * 1024;
    Random random = {0x1234567};
    std::vector<char> piece = std::vector<char>(256 * 1024);

    size_t next_piece()
    {
        size_t size_bytes = 1 + random.below(piece_bytes_max);
        if (size_bytes > total_bytes - sent_bytes)
            size_bytes = total_bytes - sent_bytes;
        for (size_t i = 0; i < size_bytes; i++)
            piece[i] = pattern(sent_bytes + i);
        return size_bytes;
    }

    void check(const coil_slice &slice)
    {
        for (int64_t i = 0; i < slice.size_bytes; i++)
            wrong_count +=
                    slice.bytes[i] != pattern(received_bytes + static_cast<uint64_t>(i)) ? 1 : 0;
        received_bytes += static_cast<uint64_t>(slice.size_bytes);
    }
};

/* Write the whole stream in pieces of random sizes, and close it. */
async(int, sends, (Traffic *) traffic)
{
    vars(size_t size_bytes; size_t done_bytes; ssize_t count);
    defer(ignore(coil_close(traffic->in)));
    while (traffic->sent_bytes < traffic->total_bytes) {
        my->size_bytes = traffic->next_piece();
        my->done_bytes = 0;
        while (my->done_bytes < my->size_bytes) {
            attempt(my->count, coil_write(traffic->in, traffic->piece.data() + my->done_bytes,
                                       my->size_bytes - my->done_bytes));
            my->done_bytes += static_cast<size_t>(my->count);
            traffic->sent_bytes += static_cast<size_t>(my->count);
        }
    }
    return 0;
}

/* Read to the end; rest now and then, for up to `nap`. */
async(int, drains, (Traffic *) traffic, (coil_duration) nap)
{
    vars(coil_slice slice);
    for (;;) {
        if (nap > 0 && traffic->random.below(8) == 0) {
            await(coil_sleep(
                    static_cast<coil_duration>(traffic->random.below(static_cast<uint64_t>(nap)))));
        }
        if (coil_receiver_queued(traffic->receiver) > traffic->queued_bytes_max)
            traffic->queued_bytes_max = coil_receiver_queued(traffic->receiver);
        await(my->slice, coil_receiver_next(traffic->receiver));
        if (my->slice.size_bytes <= 0)
            break;
        traffic->check(my->slice);
        coil_slice_release(&my->slice);
    }
    traffic->end = my->slice.size_bytes;
    return 0;
}

/* The same; every wait has a random deadline, most of which pass. */
async(int, drains_impatiently, (Traffic *) traffic, (uint64_t) limit)
{
    vars(coil_slice slice);
    do {
        await(my->slice, within(static_cast<coil_duration>(traffic->random.below(limit)),
                                 coil_receiver_next(traffic->receiver)));
        if (my->slice.size_bytes > 0)
            traffic->check(my->slice);
        coil_slice_release(&my->slice);
    } while (traffic->received_bytes < traffic->total_bytes);
    traffic->end = 0;
    return 0;
}

async(int, takes, (coil_receiver *) receiver, (coil_slice *) slice)
{
    vars();
    await(*slice, coil_receiver_next(receiver));
    return static_cast<int>(slice->size_bytes);
}

/* It has to come for another to be cancelled. */
async(int, takes_and_cancels, (coil_receiver *) receiver, (coil_task *) other)
{
    vars(coil_slice slice);
    await(my->slice, coil_receiver_next(receiver));
    coil_slice_release(&my->slice);
    coil_task_cancel(other);
    return 0;
}

/* And what had come for another by then. */
async(int, takes_beside, (coil_receiver *) receiver, (const Traffic *) other, (uint64_t *) out_bytes)
{
    vars(coil_slice slice);
    await(my->slice, coil_receiver_next(receiver));
    *out_bytes = other->received_bytes;
    const int size_bytes = static_cast<int>(my->slice.size_bytes);
    coil_slice_release(&my->slice);
    return size_bytes;
}

/* Take until that many bytes have come, and hold them. */
async(int, holds, (coil_receiver *) receiver, (std::vector<coil_slice> *) slices, (int64_t) size_bytes)
{
    vars(coil_slice slice; int64_t have_bytes);
    while (my->have_bytes < size_bytes) {
        await(my->slice, coil_receiver_next(receiver));
        if (my->slice.size_bytes <= 0)
            return static_cast<int>(my->slice.size_bytes);
        my->have_bytes += my->slice.size_bytes;
        slices->push_back(my->slice);
    }
    return 0;
}

async(int, trickles, (int) fd, (Traffic *) traffic, (coil_duration) pause)
{
    vars(size_t size_bytes; ssize_t count);
    while (traffic->sent_bytes < traffic->total_bytes) {
        my->size_bytes = traffic->next_piece();
        attempt(my->count, coil_write(fd, traffic->piece.data(), my->size_bytes));
        traffic->sent_bytes += static_cast<size_t>(my->count);
        await(coil_sleep(
                static_cast<coil_duration>(traffic->random.below(static_cast<uint64_t>(pause)))));
    }
    return 0;
}

class Receiver : public Proactor
{
protected:
    explicit Receiver(Create how = coil_test_loop_create) : Proactor(how) {}

    coil_receiver *create(int fd, coil_transport transport)
    {
        coil_receiver *receiver = nullptr;
        EXPECT_EQ(0, coil_receiver_create(loop, fd, transport, &receiver));
        return receiver;
    }

    std::string text(const coil_slice &slice)
    {
        if (slice.size_bytes < 0)
            return std::to_string(slice.size_bytes);
        return std::string(slice.bytes, static_cast<size_t>(slice.size_bytes));
    }

    /* The next slice as text, or the error as a number. */
    std::string next(coil_receiver *receiver)
    {
        coil_slice slice = {};
        (void)RUN(takes(receiver, &slice));
        std::string result = text(slice);
        coil_slice_release(&slice);
        return result;
    }

    /* Let the loop go on for a while with nobody waiting. */
    void idle(coil_duration duration = coil_ms(2))
    {
        later(duration, [] {});
        run();
    }

    bool from_pool(const coil_slice &slice)
    {
        return slice.buffer != nullptr && slice.buffer->pool != nullptr && !slice.buffer->is_ours;
    }
};

class Streams : public Receiver, public testing::WithParamInterface<std::tuple<Kind, bool>>
{
protected:
    Streams()
    {
        const auto &[kind, direct] = GetParam();
        Ends ends = kind.make();
        in = std::move(ends.in);
        out = ends.out.release();
        if (direct)
            out = make_direct(Fd(out));
        receiver = create(out, kind.transport);
    }

    ~Streams() override
    {
        coil_receiver_close(receiver);
        end();
    }

    void start_traffic(uint64_t total_bytes)
    {
        traffic.receiver = receiver;
        traffic.total_bytes = total_bytes;
        traffic.in = in.release();
        coil_spawn(coil_loop_root(loop), sends(&traffic));
    }

    void expect_all()
    {
        EXPECT_EQ(traffic.total_bytes, traffic.sent_bytes);
        EXPECT_EQ(traffic.total_bytes, traffic.received_bytes);
        EXPECT_EQ(0u, traffic.wrong_count);
        EXPECT_EQ(0, traffic.end);
        EXPECT_EQ(0, coil_receiver_queued(receiver));
    }

    Traffic traffic;
    Fd in;
    int out;
    coil_receiver *receiver;
};

TEST_P(Streams, DeliversMegabytesInOrder)
{
    start_traffic(4 * 1024 * 1024);
    EXPECT_EQ(0, RUN(drains(&traffic, 0)));
    expect_all();
}

TEST_P(Streams, DeliversAllInOrderToAReaderThatNaps)
{
    start_traffic(3 * 1024 * 1024);
    traffic.piece_bytes_max = 200 * 1024;
    EXPECT_EQ(0, RUN(drains(&traffic, coil_ms(2))));
    expect_all();
    EXPECT_LE(traffic.queued_bytes_max, POOL_BYTES);
}

TEST_P(Streams, DeliversTinyPiecesInOrder)
{
    traffic.piece_bytes_max = 10;
    start_traffic(20 * 1000);
    EXPECT_EQ(0, RUN(drains(&traffic, coil_us(300))));
    expect_all();
}

TEST_P(Streams, AWaitThatIsCutLosesNothing)
{
    traffic.piece_bytes_max = 300;
    traffic.receiver = receiver;
    traffic.total_bytes = 30 * 1000;
    coil_spawn(coil_loop_root(loop), trickles(in, &traffic, coil_us(200)));
    EXPECT_EQ(0, RUN(drains_impatiently(&traffic, 150000)));
    expect_all();
}

TEST_P(Streams, AWaitThatIsCutUnderLoadLosesNothing)
{
    start_traffic(3 * 1024 * 1024);
    EXPECT_EQ(0, RUN(drains_impatiently(&traffic, 20000)));
    expect_all();
}

TEST_P(Streams, ANonReaderHoldsTheSenderBack)
{
    coil_slice slice = {};
    put(in, "x");
    EXPECT_EQ(1, RUN(takes(receiver, &slice))); /* Armed from now on. */
    coil_slice_release(&slice);
    int64_t sent_bytes = 0;
    std::vector<char> much(64 * 1024);
    for (int64_t count;
            (count = RUN(within(coil_ms(20), coil_write(in, much.data(), much.size())))) > 0;)
        sent_bytes += count;
    int64_t queued_bytes = coil_receiver_queued(receiver);
    EXPECT_LE(queued_bytes, COIL_RECEIVER_LIMIT_BYTES + 2 * 64 * 1024);
    EXPECT_LE(queued_bytes, sent_bytes);
    idle();
    EXPECT_EQ(queued_bytes, coil_receiver_queued(receiver)) << "paused";

    int64_t received_bytes = 0;
    in.reset();
    do {
        received_bytes += RUN(takes(receiver, &slice));
        queued_bytes = slice.size_bytes;
        coil_slice_release(&slice);
    } while (queued_bytes > 0);
    EXPECT_EQ(sent_bytes, received_bytes);
}

TEST_P(Streams, TheEndStays)
{
    put(in, "last words");
    in.reset();
    EXPECT_EQ("last words", next(receiver));
    for (int i = 0; i < 3; i++)
        EXPECT_EQ("", next(receiver));
    coil_slice slice = {};
    EXPECT_EQ(0, RUN(within(0, takes(receiver, &slice))) == 0 ? 0 : 0);
}

TEST_P(Streams, TheEndWakesTheWaiter)
{
    later(coil_ms(2), [this] { in.reset(); });
    EXPECT_EQ("", next(receiver));
}

TEST_P(Streams, CloseWhileArmedEndsTheOperationAndCloses)
{
    put(in, "a");
    EXPECT_EQ("a", next(receiver));
    size_t pending_count = coil_loop_pending(loop);
    EXPECT_EQ(2u, pending_count) << "the loop's own, and the receiver's";
    coil_receiver_close(std::exchange(receiver, nullptr));
    idle();
    EXPECT_EQ(1u, coil_loop_pending(loop));
    char byte = 'x';
    ssize_t count = send(in, &byte, 1, MSG_NOSIGNAL);
    if (count < 0 && errno == ENOTSOCK) {
        signal(SIGPIPE, SIG_IGN);
        count = write(in, &byte, 1);
    }
    if (count == 1) /* TCP: the reset comes with the first try. */
        count = send(in, &byte, 1, MSG_NOSIGNAL);
    EXPECT_EQ(-1, count) << "nobody is there";
}

TEST_P(Streams, CloseDropsWhatIsQueuedAndKeepsWhatWasTaken)
{
    coil_slice slice = {};
    put(in, "taken");
    EXPECT_EQ(5, RUN(takes(receiver, &slice)));
    put(in, "dropped");
    idle();
    EXPECT_EQ(7, coil_receiver_queued(receiver));
    coil_receiver_close(std::exchange(receiver, nullptr));
    idle();
    EXPECT_EQ("taken", text(slice));

    /* Traffic that would overwrite it. */
    Ends other = make_unix();
    traffic.piece_bytes_max = 50 * 1024;
    traffic.receiver = create(other.out.release(), COIL_TRANSPORT_SOCKET);
    traffic.total_bytes = 2 * POOL_BYTES;
    traffic.in = other.in.release();
    coil_spawn(coil_loop_root(loop), sends(&traffic));
    EXPECT_EQ(0, RUN(drains(&traffic, 0)));
    coil_receiver_close(traffic.receiver);
    EXPECT_EQ(0u, traffic.wrong_count);
    EXPECT_EQ(traffic.total_bytes, traffic.received_bytes);
    EXPECT_EQ("taken", text(slice));
    coil_slice_release(&slice);
}

TEST_P(Streams, CloseOfOneThatNobodyHasReadFromClosesToo)
{
    coil_receiver_close(std::exchange(receiver, nullptr));
    idle();
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

INSTANTIATE_TEST_SUITE_P(Receiver, Streams,
        testing::Combine(testing::ValuesIn(kinds), testing::Bool()), [](const auto &one) {
            return std::string(std::get<0>(one.param).name) +
                   (std::get<1>(one.param) ? "_direct" : "");
        });

/* No operation is under way: there is nothing to wait for, and a socket needs no ring to close. */
TEST_F(Receiver, ASocketThatHasEndedIsClosedAtOnce)
{
    Ends ends = make_tcp();
    int out = ends.out.release();
    coil_receiver *receiver = create(out, COIL_TRANSPORT_SOCKET);
    put(ends.in, "a");
    EXPECT_EQ("a", next(receiver));
    EXPECT_EQ(0, shutdown(ends.in, SHUT_WR));
    EXPECT_EQ("", next(receiver));
    EXPECT_EQ(1u, coil_loop_pending(loop)) << "the loop's own";
    coil_receiver_close(receiver);
    EXPECT_EQ(-1, fcntl(out, F_GETFD));
    EXPECT_EQ(EBADF, errno);
    EXPECT_EQ(1u, coil_loop_pending(loop));
}

/* ----------------------------------------------------------------------------- the peer -- */

TEST_F(Receiver, AResetIsDeliveredBehindTheBytesAndStays)
{
    Ends ends = make_tcp();
    coil_receiver *receiver = create(ends.out.release(), COIL_TRANSPORT_SOCKET);
    put(ends.in, "a");
    EXPECT_EQ("a", next(receiver));
    put(ends.in, "b");
    idle();
    struct linger at_once = {1, 0};
    setsockopt(ends.in, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    ends.in.reset();
    idle();
    EXPECT_EQ("b", next(receiver));
    EXPECT_EQ(std::to_string(-ECONNRESET), next(receiver));
    EXPECT_EQ(std::to_string(-ECONNRESET), next(receiver));
    coil_receiver_close(receiver);
}

TEST_F(Receiver, ABadDescriptorIsAnError)
{
    coil_receiver *receiver = create(19999, COIL_TRANSPORT_SOCKET);
    EXPECT_EQ(std::to_string(-EBADF), next(receiver));
    coil_receiver_close(receiver);
    Ends pipe = make_pipe();
    receiver = create(pipe.out.release(), COIL_TRANSPORT_SOCKET);
    EXPECT_EQ(std::to_string(-ENOTSOCK), next(receiver));
    coil_receiver_close(receiver);
}

TEST_F(Receiver, ACancelledTaskGetsNothingAndTheBytesStay)
{
    Ends ends = make_unix();
    coil_receiver *receiver = create(ends.out.release(), COIL_TRANSPORT_SOCKET);
    coil_slice slice = {};
    coil_task *task = coil_spawn(coil_loop_root(loop), takes(receiver, &slice));
    later(coil_ms(2), [task] { coil_task_cancel(task); });
    run();
    EXPECT_EQ(nullptr, slice.buffer);
    put(ends.in, "abc");
    task = coil_spawn(coil_loop_root(loop), takes(receiver, &slice));
    coil_task_cancel(task); /* Before it runs. */
    run();
    EXPECT_EQ("abc", next(receiver));
    coil_receiver_close(receiver);
}

TEST_F(Receiver, ATaskThatIsCancelledWhenItsBytesHaveComeHasThem)
{
    Ends ends = make_unix();
    Ends others = make_unix();
    coil_receiver *receiver = create(ends.out.release(), COIL_TRANSPORT_SOCKET);
    coil_receiver *canceller = create(others.out.release(), COIL_TRANSPORT_SOCKET);
    coil_slice slice = {};
    coil_task *task = coil_spawn(coil_loop_root(loop), takes(receiver, &slice));
    coil_spawn(coil_loop_root(loop), takes_and_cancels(canceller, task));
    later(coil_ms(2), [&ends, &others] {
        put(others.in, "first");
        put(ends.in, "abc");
    });
    run();
    EXPECT_EQ("abc", text(slice));
    coil_slice_release(&slice);
    coil_receiver_close(receiver);
    coil_receiver_close(canceller);
}

TEST_F(Receiver, BytesOfOneBufferAreJoined)
{
    Ends ends = make_unix();
    coil_receiver *receiver = create(ends.out.release(), COIL_TRANSPORT_SOCKET);
    put(ends.in, "0");
    EXPECT_EQ("0", next(receiver));
    for (int i = 1; i < 100; i++) {
        put(ends.in, std::to_string(i));
        idle(coil_us(20));
    }
    std::string all;
    std::string expected;
    for (int i = 1; i < 100; i++)
        expected += std::to_string(i);
    EXPECT_EQ(expected, next(receiver));
    coil_receiver_close(receiver);
}

/* ----------------------------------------------------------------------- other descriptors -- */

TEST_F(Receiver, ReadsARegularFileToItsEnd)
{
    std::string content;
    for (uint64_t i = 0; i < 300 * 1000; i++)
        content += pattern(i);
    for (bool direct : {false, true}) {
        Fd file = make_file(content);
        int fd = direct ? make_direct(std::move(file)) : file.release();
        Traffic traffic;
        traffic.receiver = create(fd, COIL_TRANSPORT_FILE);
        traffic.total_bytes = content.size();
        EXPECT_EQ(0, RUN(drains(&traffic, 0)));
        EXPECT_EQ(content.size(), traffic.received_bytes);
        EXPECT_EQ(0u, traffic.wrong_count);
        EXPECT_EQ(0, traffic.end);
        coil_receiver_close(traffic.receiver);
        idle();
    }
}

TEST_F(Receiver, ReadsATerminalUntilItHangsUp)
{
    for (bool direct : {false, true}) {
        Ends terminal = make_terminal();
        int fd = direct ? make_direct(Fd(terminal.out.release())) : terminal.out.release();
        coil_receiver *receiver = create(fd, COIL_TRANSPORT_FILE);
        later(coil_ms(2), [&terminal] { put(terminal.in, "typed"); });
        EXPECT_EQ("typed", next(receiver));
        put(terminal.in, "more");
        EXPECT_EQ("more", next(receiver));
        int64_t cut = RUN(within(coil_ms(2), coil_receiver_next(receiver)));
        EXPECT_EQ(-ETIME, cut);
        later(coil_ms(2), [&terminal] { terminal.in.reset(); });
        EXPECT_EQ("", next(receiver));
        coil_receiver_close(receiver);
        idle();
    }
}

TEST_F(Receiver, ReadsTheMasterOfATerminal)
{
    Ends terminal = make_terminal();
    coil_receiver *receiver = create(terminal.in.release(), COIL_TRANSPORT_FILE);
    later(coil_ms(2), [&terminal] { put(terminal.out, "printed"); });
    EXPECT_EQ("printed", next(receiver));
    terminal.out.reset();
    EXPECT_EQ(std::to_string(-EIO), next(receiver));
    coil_receiver_close(receiver);
}

TEST_F(Receiver, ReadsRecordsOfAnEventAndASignalDescriptor)
{
    coil_receiver *receiver = create(eventfd(0, EFD_CLOEXEC), COIL_TRANSPORT_FILE);
    later(coil_ms(2), [] {});
    coil_slice slice = {};
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(2), coil_receiver_next(receiver))));
    coil_receiver_close(receiver);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    receiver = create(coil_kernel_signalfd(&set), COIL_TRANSPORT_FILE);
    for (int i = 0; i < 1200; i++) { /* Many times the length of a buffer. */
        raise(SIGUSR1);
        EXPECT_EQ(static_cast<int>(sizeof(struct signalfd_siginfo)), RUN(takes(receiver, &slice)));
        coil_slice_release(&slice);
    }
    coil_receiver_close(receiver);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(Receiver, RecordsThatDoNotFitIntoTheRestOfABufferAreNotLost)
{
    Ends odd = make_unix();
    coil_receiver *filler = create(odd.out.release(), COIL_TRANSPORT_SOCKET);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    coil_receiver *receiver = create(coil_kernel_signalfd(&set), COIL_TRANSPORT_FILE);
    coil_slice slice = {};
    for (int i = 0; i < 1000; i++) {
        put(odd.in, "odd");
        EXPECT_EQ("odd", next(filler));
        raise(SIGUSR1);
        ASSERT_EQ(static_cast<int>(sizeof(struct signalfd_siginfo)), RUN(takes(receiver, &slice)))
                << i;
        coil_slice_release(&slice);
    }
    coil_receiver_close(receiver);
    coil_receiver_close(filler);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/* ------------------------------------------------------------------------------- the pool -- */

TEST_F(Receiver, GoesOnWithPrivateBuffersWhenThePoolIsPinnedAndReturnsToIt)
{
    const int64_t each_bytes = 40 * 1024;
    const size_t count = 64;
    std::vector<Ends> ends(count);
    std::vector<coil_receiver *> receivers(count);
    std::vector<coil_slice> slices;
    std::string piece(each_bytes, 'p');

    for (size_t i = 0; i < count; i++) {
        ends[i] = make_unix();
        receivers[i] = create(ends[i].out.release(), COIL_TRANSPORT_SOCKET);
        put(ends[i].in, piece);
        coil_spawn(coil_loop_root(loop), holds(receivers[i], &slices, each_bytes));
    }
    run();
    int64_t total_bytes = 0;
    int private_count = 0;
    for (coil_slice &slice : slices) {
        total_bytes += slice.size_bytes;
        private_count += from_pool(slice) ? 0 : 1;
        EXPECT_EQ(slice.bytes + slice.size_bytes,
                std::find_if(slice.bytes, slice.bytes + slice.size_bytes,
                        [](char c) { return c != 'p'; }));
    }
    EXPECT_EQ(each_bytes * static_cast<int64_t>(count), total_bytes);
    EXPECT_LT(0, private_count) << "the pool is smaller than that";
    EXPECT_LT(0u, coil_loop_statistics(loop).buffer_waits);
    for (coil_slice &slice : slices)
        coil_slice_release(&slice);

    for (size_t i = 0; i < count; i++) {
        bool pooled = false;
        for (int turn = 0; turn < 30 && !pooled; turn++) { /* It takes note of what is usual. */
            coil_slice slice = {};
            int64_t result = 0;
            START(result, takes(receivers[i], &slice));
            later(0, [&] { put(ends[i].in, "again"); });
            run();
            EXPECT_EQ(5, result);
            EXPECT_EQ("again", text(slice));
            pooled = from_pool(slice);
            coil_slice_release(&slice);
        }
        EXPECT_TRUE(pooled) << i;
        coil_receiver_close(receivers[i]);
    }
}

TEST_F(Receiver, ManyConnectionsShareThePoolWithoutMixingTheirBytes)
{
    const size_t count = 100;
    std::vector<Traffic> traffic(count);
    for (size_t i = 0; i < count; i++) {
        Ends ends = i % 2 == 0 ? make_unix() : make_tcp();
        traffic[i].random = {i + 1};
        traffic[i].receiver = create(ends.out.release(), COIL_TRANSPORT_SOCKET);
        traffic[i].in = ends.in.release();
        traffic[i].total_bytes = 50 * 1000;
        traffic[i].piece_bytes_max = 5000;
        coil_spawn(coil_loop_root(loop), sends(&traffic[i]));
        coil_spawn(coil_loop_root(loop), drains(&traffic[i], i % 3 == 0 ? coil_ms(1) : 0));
    }
    run();
    for (Traffic &one : traffic) {
        EXPECT_EQ(one.total_bytes, one.received_bytes);
        EXPECT_EQ(0u, one.wrong_count);
        EXPECT_EQ(0, one.end);
        coil_receiver_close(one.receiver);
    }
}

/* On a real loop, whose turns depend on what has come. */
class ReceiverOnTheClock : public Receiver
{
protected:
    ReceiverOnTheClock() : Receiver(coil_loop_create) {}
};

TEST_F(ReceiverOnTheClock, AGreedyConnectionDoesNotStarveTheOthers)
{
    Ends greedy = make_unix();
    Ends modest = make_unix();
    Traffic traffic;
    traffic.receiver = create(greedy.out.release(), COIL_TRANSPORT_SOCKET);
    traffic.in = greedy.in.release();
    traffic.total_bytes = 16 * 1024 * 1024;
    traffic.piece_bytes_max = 256 * 1024;
    coil_receiver *receiver = create(modest.out.release(), COIL_TRANSPORT_SOCKET);
    put(modest.in, "please");
    coil_spawn(coil_loop_root(loop), sends(&traffic));
    coil_spawn(coil_loop_root(loop), drains(&traffic, 0));
    uint64_t received_bytes_then = UINT64_MAX;
    int64_t result = 0;
    START(result, takes_beside(receiver, &traffic, &received_bytes_then));
    run();
    EXPECT_EQ(6, result);
    EXPECT_GT(traffic.total_bytes / 4, received_bytes_then);
    coil_receiver_close(receiver);
    coil_receiver_close(traffic.receiver);
}

TEST_F(Receiver, WaitsInPeaceWhileThePoolIsEmpty)
{
    std::vector<coil_slice> slices;
    Ends filler = make_unix();
    coil_receiver *receiver = create(filler.out.release(), COIL_TRANSPORT_SOCKET);
    Traffic traffic;
    traffic.in = filler.in.release();
    traffic.total_bytes = POOL_BYTES + 1000;
    coil_spawn(coil_loop_root(loop), sends(&traffic));
    EXPECT_EQ(0, RUN(holds(receiver, &slices, POOL_BYTES + 1000)));
    /* The pool is empty; nobody sends; a dozen wait: the loop must sleep. */
    Ends quiet[12];
    coil_receiver *waiting[12];
    int64_t results[12];
    coil_slice taken[12] = {};
    for (int i = 0; i < 12; i++) {
        quiet[i] = make_unix();
        waiting[i] = create(quiet[i].out.release(), COIL_TRANSPORT_SOCKET);
        START(results[i], takes(waiting[i], &taken[i]));
    }
    uint64_t turns = 0;
    later(coil_ms(3), [&] { turns = coil_loop_statistics(loop).turns; });
    later(coil_ms(20), [&] {
        turns = coil_loop_statistics(loop).turns - turns;
        for (Ends &ends : quiet)
            put(ends.in, "x");
    });
    run();
    EXPECT_GT(5u, turns);
    for (int i = 0; i < 12; i++) {
        EXPECT_EQ(1, results[i]);
        coil_slice_release(&taken[i]);
        coil_receiver_close(waiting[i]);
    }
    for (coil_slice &slice : slices)
        coil_slice_release(&slice);
    coil_receiver_close(receiver);
}

/* ------------------------------------------------------------------------------ life times -- */

TEST_F(Receiver, TheLoopMayEndWhileOneIsArmedOrClosing)
{
    for (int i = 0; i < 8; i++) {
        Ends ends = make_unix();
        coil_receiver *receiver = create(ends.out.release(), COIL_TRANSPORT_SOCKET);
        put(ends.in, "a");
        EXPECT_EQ("a", next(receiver));
        coil_receiver_close(receiver); /* And end() at once. */
    }
}

} // namespace
