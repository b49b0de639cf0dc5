/* SPDX-License-Identifier: MIT */
/* coil/sender.h: what many tasks write arrives whole, in order and once. */
#include "sender_stage.h"

#include <algorithm>
#include <map>
#include <vector>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <coil/sugar.h>

namespace
{

class Sender : public SenderStage
{
protected:
    /* A write that has to wait, because the socket is full: how much it is. */
    size_t fill()
    {
        size_t size_bytes = 8 * 1024 * 1024;
        start(std::string(size_bytes, 'f'));
        coil_test_settle(loop);
        EXPECT_TRUE(coil_sender_busy(&sender));
        return size_bytes;
    }

    /* What has arrived by now. */
    void drain(size_t at_most = SIZE_MAX)
    {
        char bytes[16 * 1024];
        while (at_most > 0) {
            ssize_t count = read(out, bytes, std::min(sizeof(bytes), at_most));
            if (count <= 0)
                return;
            got.append(bytes, static_cast<size_t>(count));
            at_most -= static_cast<size_t>(count);
        }
    }

    void drain_all()
    {
        do {
            drain();
            coil_test_settle(loop);
        } while (coil_sender_busy(&sender));
        drain();
        while (got.size() < sender.sent_bytes && more_comes())
            drain();
    }

    /* What the window of TCP has held back follows, once it is told that there is room. */
    bool more_comes() const
    {
        pollfd one = {out, POLLIN, 0};
        return poll(&one, 1, 5000) == 1 && one.revents == POLLIN;
    }

    std::string got;
};

TEST_F(Sender, SendsAtOnceWhatTheSocketTakes)
{
    use(make_tcp());
    Write *write = start("now");
    uint64_t completions = coil_loop_statistics(loop).completions;
    coil_test_settle(loop);
    EXPECT_EQ(0, write->rc);
    EXPECT_EQ(completions, coil_loop_statistics(loop).completions) << "without the ring";
    EXPECT_EQ(3u, sender.sent_bytes);
    drain_all();
    EXPECT_EQ("now", got);
}

TEST_F(Sender, OnceInATurnAndTheRestOfTheTurnIsGathered)
{
    use(make_unix());
    std::string expected;
    for (int i = 0; i < 40; i++) { /* More than fit into one operation. */
        std::string bytes = std::to_string(i) + ",";
        expected += bytes;
        start(bytes);
    }
    uint64_t completions = coil_loop_statistics(loop).completions;
    coil_test_settle(loop);
    /* The second begins alone, the others wait meanwhile: 1, 16, 16, 6. */
    EXPECT_GE(4u, coil_loop_statistics(loop).completions - completions);
    for (Write &write : all)
        EXPECT_EQ(0, write.rc);
    drain_all();
    EXPECT_EQ(expected, got);
    EXPECT_EQ(expected.size(), sender.sent_bytes);
    EXPECT_FALSE(coil_sender_busy(&sender));
}

/* Senders of a server, so to speak. */
class SharedTurns : public Sender
{
protected:
    enum { COUNT = 5 };

    SharedTurns()
    {
        for (int i = 0; i < COUNT; i++) {
            ends[i] = make_tcp();
            coil_sender_init(&senders[i], ends[i].in, COIL_TRANSPORT_SOCKET);
            coil_sender_share_turns(&senders[i]);
        }
    }

    /* All in one turn: so many writes have taken the ring. */
    uint64_t write_to(int count)
    {
        const uint64_t completions = coil_loop_statistics(loop).completions;
        for (int i = 0; i < count; i++) {
            all.push_back({&senders[i], "word"});
            all.back().task = coil_spawn(coil_loop_root(loop), writes(&all.back()));
        }
        coil_test_settle(loop);
        return coil_loop_statistics(loop).completions - completions;
    }

    Ends ends[COUNT];
    coil_sender senders[COUNT] = {};
};

TEST_F(SharedTurns, HaveOneWriteThatGoesOutAtOnce)
{
    EXPECT_EQ(0u, write_to(1));
    EXPECT_EQ(COUNT - 1u, write_to(COUNT));
    EXPECT_EQ(1u, write_to(2));
    for (const Write &write : all)
        EXPECT_EQ(0, write.rc);
    EXPECT_EQ(12u, senders[0].sent_bytes);
    EXPECT_EQ(4u, senders[COUNT - 1].sent_bytes);
    for (const coil_sender &one : senders)
        EXPECT_FALSE(coil_sender_busy(&one));
}

TEST_F(SharedTurns, AreOfThoseOnlyThatWantTo)
{
    for (coil_sender &one : senders)
        coil_sender_init(&one, one.fd, COIL_TRANSPORT_SOCKET);
    EXPECT_EQ(0u, write_to(COUNT));
}

TEST_F(Sender, NothingIsWrittenAtOnceBehindWhatWaits)
{
    use(make_unix());
    size_t first_bytes = fill();
    start("second");
    coil_test_settle(loop);
    start("third");
    drain_all();
    EXPECT_EQ(first_bytes + 11, got.size());
    EXPECT_EQ("secondthird", got.substr(first_bytes));
}

TEST_F(Sender, AWriteThatHasNotBegunIsCancelledWithoutATrace)
{
    use(make_unix());
    size_t first_bytes = fill();
    Write *second = start("second");
    start("third");
    coil_test_settle(loop);
    coil_task_cancel(second->task);
    coil_test_settle(loop);
    EXPECT_EQ(-ECANCELED, second->rc);
    EXPECT_EQ(nullptr, second->task);
    drain_all();
    EXPECT_EQ("third", got.substr(first_bytes));
}

TEST_F(Sender, OneOfAGatheredSendIsCancelledAndTheOthersGoOn)
{
    for (int victim = 0; victim < 4; victim++) {
        use(make_unix());
        got.clear();
        all.clear();
        start(""); /* Is done before it begins. */
        start("now");
        Write *four[4];
        for (int i = 0; i < 4; i++)
            four[i] = start(std::string(300 * 1000, static_cast<char>('a' + i)));
        coil_test_settle(loop);
        drain(100 * 1000);
        coil_test_settle(loop);
        coil_task_cancel(four[victim]->task);
        coil_test_settle(loop);
        EXPECT_EQ(-ECANCELED, four[victim]->rc) << victim;
        drain_all();
        std::string order = got.substr(0, 3);
        for (size_t i = 3; i < got.size(); i++) {
            if (order.back() != got[i])
                order += got[i];
        }
        std::string expected = "nowabcd";
        if (victim == 0) { /* A part of it is out: nothing can follow. */
            EXPECT_EQ("nowa", order);
            for (int i = 1; i < 4; i++)
                EXPECT_EQ(-EPIPE, four[i]->rc) << i;
            Write *late = start("late");
            coil_test_settle(loop);
            EXPECT_EQ(-EPIPE, late->rc);
            continue;
        }
        for (int i = 0; i < 4; i++) {
            if (i == victim)
                continue;
            EXPECT_EQ(0, four[i]->rc) << i;
            EXPECT_EQ(300 * 1000, std::count(got.begin(), got.end(), static_cast<char>('a' + i)));
        }
        if (order.size() < expected.size()) /* Of the first, a part is out; of others, nothing. */
            expected.erase(expected.find(static_cast<char>('a' + victim)), 1);
        EXPECT_EQ(expected, order);
        EXPECT_EQ(got.size(), sender.sent_bytes);
    }
}

TEST_F(Sender, AnErrorEndsAllThatWereOnTheirWayAndTheRestInTurn)
{
    const std::pair<Ends (*)(), coil_transport> kinds[] = {{make_unix, COIL_TRANSPORT_SOCKET},
            {make_tcp, COIL_TRANSPORT_SOCKET}, {make_pipe, COIL_TRANSPORT_FILE}};
    for (auto [make, transport] : kinds) {
        all.clear();
        use(make(), transport);
        (void)fill();
        for (int i = 0; i < 40; i++)
            start("more");
        coil_test_settle(loop);
        out.reset();
        coil_test_patience(loop, coil_ms(500));
        coil_test_settle(loop);
        coil_test_patience(loop, 0);
        for (Write &write : all)
            EXPECT_TRUE(write.rc == -EPIPE || write.rc == -ECONNRESET) << write.rc;
        EXPECT_FALSE(coil_sender_busy(&sender));
        start("late");
        coil_test_settle(loop);
        EXPECT_EQ(-EPIPE, all.back().rc);
    }
}

TEST_F(Sender, WritesToADirectDescriptorAndToATerminal)
{
    Ends ends = make_unix();
    int fd = make_direct(std::move(ends.in));
    out = std::move(ends.out);
    EXPECT_EQ(0, fcntl(out, F_SETFL, O_NONBLOCK));
    coil_sender_init(&sender, fd, COIL_TRANSPORT_SOCKET);
    for (const char *word : {"one", "two", "three"})
        start(word);
    drain_all();
    EXPECT_EQ("onetwothree", got);
    got.clear();
    use(make_terminal(), COIL_TRANSPORT_FILE);
    for (const char *word : {"four", "five"})
        start(word);
    drain_all();
    EXPECT_EQ("fourfive", got);
}

TEST_F(Sender, ManyWaitForRoomInTheQueueAndSomeAreCancelledThere)
{
    const size_t count = 1000; /* Descriptors, each with a send that needs the ring. */
    std::vector<Ends> ends(count);
    std::vector<coil_sender> senders(count);
    std::list<Write> held;
    for (size_t i = 0; i < count; i++) {
        ends[i] = make_pipe();
        coil_sender_init(&senders[i], ends[i].in, COIL_TRANSPORT_FILE);
        for (const char *word : {"ab", "cd"}) {
            held.push_back({&senders[i], word});
            held.back().task = coil_spawn(coil_loop_root(loop), writes(&held.back()));
        }
    }
    /* Behind them in the same round, when all ops have been started and none has completed. */
    later(0, [&] {
        size_t n = 0;
        for (Write &write : held) {
            if (n++ % 3 == 0 && write.task != nullptr)
                coil_task_cancel(write.task);
        }
    });
    run();
    size_t n = 0;
    for (Write &write : held) {
        size_t i = n / 2;
        EXPECT_TRUE(write.rc == 0 || (n % 3 == 0 && write.rc == -ECANCELED)) << n << write.rc;
        if (n++ % 2 == 1) {
            int arrived_bytes = 0;
            EXPECT_EQ(0, ioctl(ends[i].out, FIONREAD, &arrived_bytes));
            EXPECT_EQ(senders[i].sent_bytes, static_cast<uint64_t>(arrived_bytes));
            EXPECT_FALSE(coil_sender_busy(&senders[i]));
        }
    }
}

/* Writes from memory that does not exist, to a file that takes it unread. */
async(int, writes_slice, (coil_sender *) sender, (coil_slice) bytes)
{
    vars();
    attempt(coil_sender_write(sender, bytes));
    return 0;
}

TEST_F(Sender, WritesOfMoreThanTheKernelTakesAtATimeAreContinued)
{
    const size_t size_bytes = size_t{3} << 30;
    void *memory = mmap(
            nullptr, size_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(MAP_FAILED, memory);
    const coil_slice much = {
            static_cast<int64_t>(size_bytes), static_cast<char *>(memory), nullptr};
    const coil_slice little = {100, much.bytes, nullptr};
    Fd null = Fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    coil_sender_init(&sender, null, COIL_TRANSPORT_FILE);
    const coil_slice all_slices[] = {little, much, little, much, little};
    int64_t results[] = {1, 1, 1, 1, 1};
    for (size_t i = 0; i < 5; i++)
        START(results[i], writes_slice(&sender, all_slices[i]));
    run();
    for (int64_t result : results)
        EXPECT_EQ(0, result);
    EXPECT_EQ(2 * size_bytes + 300, sender.sent_bytes);
    EXPECT_FALSE(coil_sender_busy(&sender));
    munmap(memory, size_bytes);
}

/* ---------------------------------------------------------------------------------- random -- */

/*
 * Every write has a letter of its own and a length. What arrives must be, write for write in the
 * order in which they began, all of it if it succeeded and a prefix of it if it did not.
 */
class RandomWrites : public Sender, public testing::WithParamInterface<unsigned>
{
protected:
    void check()
    {
        size_t at = 0;
        bool is_cut = false;
        for (Write &write : all) {
            size_t size_bytes = write.bytes.size();
            char letter = letters[&write];
            size_t have_bytes = 0;
            while (have_bytes < size_bytes && at < got.size() && got[at] == letter) {
                have_bytes++;
                at++;
            }
            if (write.rc == 0) {
                ASSERT_EQ(size_bytes, have_bytes);
            }
            ASSERT_TRUE(!is_cut || have_bytes == 0) << "it lies behind a part";
            ASSERT_TRUE(write.rc == 0 || write.rc == -ECANCELED || (is_cut && write.rc == -EPIPE));
            is_cut = is_cut || have_bytes % size_bytes != 0;
        }
        ASSERT_EQ(got.size(), at);
        ASSERT_EQ(got.size(), sender.sent_bytes);
    }

    std::map<Write *, char> letters;
};

TEST_P(RandomWrites, ArriveInOrderAndOnce)
{
    Random random = {GetParam() * 104729 + 3};
    Ends (*const makes[])() = {make_unix, make_tcp, make_pipe};
    size_t kind = random.below(3);
    use(makes[kind](), kind == 2 ? COIL_TRANSPORT_FILE : COIL_TRANSPORT_SOCKET);
    if (random.below(2) == 0) {
        const int small = 4096;
        setsockopt(in, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    }
    const uint64_t sizes[] = {3, 100, 5000, 100000};
    char letter = 0;
    for (int step = 0; step < 300; step++) {
        switch (random.below(8)) {
        case 0:
        case 1:
        case 2:
        case 3: {
            Write *write = start(std::string(1 + random.below(sizes[random.below(4)]), letter));
            letters[write] = letter++;
            ASSERT_GT(250u, letters.size());
            break;
        }
        case 4:
            for (Write &write : all) {
                if (write.task != nullptr && random.below(8) == 0)
                    coil_task_cancel(write.task);
            }
            break;
        case 5:
            drain(random.below(50000));
            break;
        case 6:
            drain(random.below(300000));
            break;
        default:
            coil_test_settle(loop);
        }
    }
    drain_all();
    check();
}

unsigned seed_count()
{
    const char *given = getenv("COIL_TEST_SEEDS");
    return given != nullptr ? static_cast<unsigned>(strtoul(given, nullptr, 10)) : 50;
}

INSTANTIATE_TEST_SUITE_P(Sender, RandomWrites, testing::Range(0u, seed_count()));

} // namespace
