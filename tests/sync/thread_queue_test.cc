/* SPDX-License-Identifier: MIT */
#include <coil/thread_queue.h>

#include "thread_world.h"

#include <coil/kernel.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include <coil/sugar.h>

namespace
{

typedef coil_thread_queue_of(int) int_queue;

} // namespace

async(int, put_one, (int_queue *) queue, (int) item)
{
    vars(int item; int rc;);
    my->item = item;
    await(my->rc, coil_thread_queue_put(queue, &my->item));
    return my->rc;
}

/* The item, or an error. */
async(int, get_one, (int_queue *) queue)
{
    vars(int item;);
    attempt(coil_thread_queue_get(queue, &my->item));
    return my->item;
}

async(int, get_within, (int_queue *) queue, (coil_duration) limit)
{
    vars(int item; int rc;);
    my->item = -77;
    await(my->rc, within(limit, coil_thread_queue_get(queue, &my->item)));
    return my->item == -77 ? my->rc : my->item;
}

async(int, get_and_go_on, (int_queue *) queue, (int *) out_item)
{
    vars(int item;);
    attempt(coil_thread_queue_get(queue, &my->item));
    *out_item = my->item;
    await(coil_sleep(0)); /* The cancellation takes effect here. */
    *out_item = 1000;
    return 0;
}

async(int, put_and_go_on, (int_queue *) queue, (int) item, (int *) out_rc)
{
    vars(int item;);
    my->item = item;
    await(*out_rc, coil_thread_queue_put(queue, &my->item));
    await(coil_sleep(0));
    *out_rc = 1000;
    return 0;
}

async(int, join_one, (int_queue *) queue)
{
    vars();
    attempt(coil_thread_queue_join(queue));
    return 0;
}

async(int, block_in_a_coroutine, (int_queue *) queue)
{
    vars(int item;);
    return coil_thread_queue_get_blocking(queue, &my->item, COIL_FOREVER);
}

namespace
{

class ThreadQueue : public ThreadWorld
{
protected:
    enum { CAPACITY = 2 };

    ThreadQueue()
    {
        coil_thread_queue_init(&queue, slots, CAPACITY);
    }

    ~ThreadQueue() override
    {
        coil_thread_queue_fini(&queue);
    }

    int try_put(int item)
    {
        return coil_thread_queue_try_put(&queue, &item);
    }

    int try_get()
    {
        int item = -77;
        int rc = coil_thread_queue_try_get(&queue, &item);
        return rc < 0 ? rc : item;
    }

    int get(coil_duration limit)
    {
        int item = -77;
        int rc = coil_thread_queue_get_blocking(&queue, &item, limit);
        return rc < 0 ? rc : item;
    }

    int put(int item, coil_duration limit)
    {
        return coil_thread_queue_put_blocking(&queue, &item, limit);
    }

    void wait_for_getters(size_t count)
    {
        while (waiting(&queue.queue.lock, queue.queue.getters) != count)
            usleep(100);
    }

    void wait_for_putters(size_t count)
    {
        while (waiting(&queue.queue.lock, queue.queue.putters) != count)
            usleep(100);
    }

    int slots[CAPACITY];
    int_queue queue;
};

TEST_F(ThreadQueue, HandsItemsOnInTheirOrder)
{
    EXPECT_EQ(-EAGAIN, try_get());
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, put(2, 0));
    EXPECT_EQ(-EAGAIN, try_put(3));
    EXPECT_EQ(-ETIME, put(3, 0));
    EXPECT_EQ(-ETIME, put(3, coil_ms(1)));
    EXPECT_EQ(2u, coil_thread_queue_count(&queue));
    EXPECT_EQ(1, get(0));
    EXPECT_EQ(2, try_get());
    EXPECT_EQ(-ETIME, get(0));
    EXPECT_EQ(-ETIME, get(coil_ms(1)));
    EXPECT_EQ(0u, waiting(&queue.queue.lock, queue.queue.getters));
}

TEST_F(ThreadQueue, LetsAThreadFeedATask)
{
    int64_t result = 0;
    std::thread thread([&] {
        wait_for_getters(1);
        EXPECT_EQ(0, put(5, COIL_FOREVER));
    });
    start(&result, get_one(&queue));
    run();
    thread.join();
    EXPECT_EQ(5, result);
}

TEST_F(ThreadQueue, LetsATaskFeedAThread)
{
    int64_t results[3] = {1, 1, 1};
    std::vector<int> got;
    for (int i = 0; i < 3; i++)
        start(&results[i], put_one(&queue, i));
    std::thread thread([&] {
        wait_for_putters(1);
        for (int i = 0; i < 3; i++)
            got.push_back(get(COIL_FOREVER));
    });
    run();
    thread.join();
    EXPECT_EQ((std::vector<int>{0, 1, 2}), got);
    for (int64_t result : results)
        EXPECT_EQ(0, result);
}

TEST_F(ThreadQueue, ServesThreadsAndTasksInTheOrderInWhichTheyCameToGet)
{
    int64_t second = 0, fourth = 0;
    std::atomic<int> first(0), third(0);
    std::thread thread_1([&] { first = get(COIL_FOREVER); });
    wait_for_getters(1);
    std::thread thread_3;
    start(&second, get_one(&queue));
    later(0, [&] {
        wait_for_getters(2);
        thread_3 = std::thread([&] { third = get(COIL_FOREVER); });
        wait_for_getters(3);
        start(&fourth, get_one(&queue));
        later(0, [&] {
            wait_for_getters(4);
            for (int item = 1; item <= 4; item++)
                EXPECT_EQ(0, try_put(item));
            EXPECT_EQ(-EAGAIN, try_get()) << "all of them have been handed over";
        });
    });
    run();
    thread_1.join();
    thread_3.join();
    EXPECT_EQ(1, first);
    EXPECT_EQ(2, second);
    EXPECT_EQ(3, third);
    EXPECT_EQ(4, fourth);
}

TEST_F(ThreadQueue, ServesThreadsAndTasksInTheOrderInWhichTheyCameToPut)
{
    int64_t result = 1;
    std::atomic<int> rc(1);
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    std::thread thread([&] { rc = put(3, COIL_FOREVER); });
    wait_for_putters(1);
    start(&result, put_one(&queue, 4));
    later(coil_ms(1), [&] {
        wait_for_putters(2);
        EXPECT_EQ(1, try_get());
        EXPECT_EQ(-EAGAIN, try_put(5)) << "the room is not for newcomers";
        EXPECT_EQ(2, try_get());
        EXPECT_EQ(3, try_get());
        EXPECT_EQ(4, try_get());
    });
    run();
    thread.join();
    EXPECT_EQ(0, rc);
    EXPECT_EQ(0, result);
}

TEST_F(ThreadQueue, DeliversWhatWasGrantedBeforeTheCancellationByAThread)
{
    int64_t result = 1;
    int item = 0;
    coil_task *victim = start(&result, get_and_go_on(&queue, &item));
    later(coil_ms(1), [&] {
        elsewhere([&] { EXPECT_EQ(0, try_put(5)); }); /* The message is on its way, */
        coil_task_cancel(victim);
        coil_task_cancel(victim);
    });
    run();
    EXPECT_EQ(5, item);
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(-EAGAIN, try_get());
}

TEST_F(ThreadQueue, DeliversWhatWasGrantedBeforeTheCancellationOnTheSameLoop)
{
    int64_t result = 1;
    int item = 0;
    coil_task *victim = start(&result, get_and_go_on(&queue, &item));
    later(coil_ms(1), [&] {
        EXPECT_EQ(0, try_put(5));
        coil_task_cancel(victim);
    });
    run();
    EXPECT_EQ(5, item);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(ThreadQueue, GivesTheItemToTheNextIfTheCancellationCameFirst)
{
    int64_t first = 1, second = 1;
    int item = 0;
    coil_task *victim = start(&first, get_and_go_on(&queue, &item));
    start(&second, get_one(&queue));
    later(coil_ms(1), [&] {
        coil_task_cancel(victim);
        elsewhere([&] { EXPECT_EQ(0, try_put(5)); });
    });
    run();
    EXPECT_EQ(0, item);
    EXPECT_EQ(-ECANCELED, first);
    EXPECT_EQ(5, second);
}

TEST_F(ThreadQueue, DoesNotPutForATaskThatWasCancelledAndDoesForOneThatWasGranted)
{
    int64_t first = 1, second = 1;
    int first_rc = 1, second_rc = 1;
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    coil_task *victim = start(&first, put_and_go_on(&queue, 3, &first_rc));
    coil_task *granted = start(&second, put_and_go_on(&queue, 4, &second_rc));
    later(coil_ms(1), [&] {
        coil_task_cancel(victim);
        elsewhere([&] { EXPECT_EQ(1, try_get()); });
        coil_task_cancel(granted);
    });
    run();
    EXPECT_EQ(1, first_rc);
    EXPECT_EQ(0, second_rc);
    EXPECT_EQ(2, try_get());
    EXPECT_EQ(4, try_get());
    EXPECT_EQ(-EAGAIN, try_get());
}

TEST_F(ThreadQueue, RefusesATaskThatIsBeingCancelledEvenIfItNeedNotWait)
{
    int64_t result = 1;
    EXPECT_EQ(0, try_put(1));
    coil_task_cancel(start(&result, get_one(&queue)));
    run();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(1, try_get());
}

TEST_F(ThreadQueue, IsWaitedForUntilTheDeadline)
{
    int64_t result = 1;
    start(&result, get_within(&queue, coil_ms(1)));
    run();
    EXPECT_EQ(-ETIME, result);
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(1, try_get());
}

TEST_F(ThreadQueue, DoesNotWakeTheLoopForATaskOfItsOwn)
{
    int64_t result = 1;
    uint64_t before = 0;
    start(&result, get_one(&queue));
    later(coil_ms(1), [&] {
        before = coil_loop_statistics(loop).completions;
        EXPECT_EQ(0, try_put(1));
    });
    run();
    EXPECT_EQ(before, coil_loop_statistics(loop).completions);
    EXPECT_EQ(1, result);
}

/* ---------------------------------------------------------------------------------- closing -- */

TEST_F(ThreadQueue, CanBeDrainedWhenItIsClosed)
{
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    coil_thread_queue_close(&queue);
    coil_thread_queue_close(&queue);
    EXPECT_EQ(-EPIPE, try_put(3));
    EXPECT_EQ(-EPIPE, put(3, COIL_FOREVER));
    EXPECT_EQ(1, get(COIL_FOREVER));
    int64_t result = 1, at_the_end = 1, put_rc = 1;
    start(&result, get_one(&queue));
    start(&at_the_end, get_one(&queue));
    start(&put_rc, put_one(&queue, 3));
    run();
    EXPECT_EQ(2, result);
    EXPECT_EQ(-EPIPE, at_the_end);
    EXPECT_EQ(-EPIPE, put_rc);
    EXPECT_EQ(-EPIPE, get(COIL_FOREVER));
    EXPECT_EQ(-EPIPE, try_get());
}

TEST_F(ThreadQueue, WakesAllWhoGetWhenItIsClosed)
{
    int64_t result = 1;
    std::atomic<int> rc(1);
    std::thread thread([&] { rc = get(COIL_FOREVER); });
    start(&result, get_one(&queue));
    std::thread closer([&] {
        wait_for_getters(2);
        coil_thread_queue_close(&queue);
    });
    run();
    thread.join();
    closer.join();
    EXPECT_EQ(-EPIPE, result);
    EXPECT_EQ(-EPIPE, rc);
}

TEST_F(ThreadQueue, WakesAllWhoPutWhenItIsClosedAndKeepsTheItems)
{
    int64_t result = 1;
    std::atomic<int> rc(1);
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    std::thread thread([&] { rc = put(3, COIL_FOREVER); });
    start(&result, put_one(&queue, 4));
    std::thread closer([&] {
        wait_for_putters(2);
        coil_thread_queue_close(&queue);
    });
    run();
    thread.join();
    closer.join();
    EXPECT_EQ(-EPIPE, result);
    EXPECT_EQ(-EPIPE, rc);
    EXPECT_EQ(1, try_get());
    EXPECT_EQ(2, try_get());
    EXPECT_EQ(-EPIPE, try_get());
}

TEST_F(ThreadQueue, GivesNothingMoreWhenItIsAbortedButToThoseWhoClearItOut)
{
    int64_t result = 1;
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    coil_thread_queue_abort(&queue);
    coil_thread_queue_abort(&queue);
    EXPECT_EQ(-EPIPE, get(COIL_FOREVER));
    EXPECT_EQ(-EPIPE, try_put(3));
    start(&result, get_one(&queue));
    run();
    EXPECT_EQ(-EPIPE, result);
    EXPECT_EQ(0, coil_thread_queue_join_blocking(&queue, 0)) << "nothing is left to be done";
    EXPECT_EQ(1, try_get());
    EXPECT_EQ(2, try_get());
    EXPECT_EQ(-EPIPE, try_get());
}

/* ---------------------------------------------------------------------------------- joining -- */

TEST_F(ThreadQueue, IsJoinedWhenEverythingIsDone)
{
    int64_t result = 1;
    std::atomic<int> rc(1);
    EXPECT_EQ(0, coil_thread_queue_join_blocking(&queue, 0));
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    EXPECT_EQ(-ETIME, coil_thread_queue_join_blocking(&queue, coil_ms(1)));
    start(&result, join_one(&queue));
    std::thread thread([&] { rc = coil_thread_queue_join_blocking(&queue, COIL_FOREVER); });
    std::thread worker([&] {
        while (waiting(&queue.queue.lock, queue.queue.joiners) < 2)
            usleep(100);
        for (int i = 0; i < 2; i++) {
            EXPECT_EQ(1 + i, get(0));
            EXPECT_EQ(2u, waiting(&queue.queue.lock, queue.queue.joiners));
            coil_thread_queue_task_done(&queue);
        }
    });
    run();
    thread.join();
    worker.join();
    EXPECT_EQ(0, result);
    EXPECT_EQ(0, rc);
}

TEST_F(ThreadQueue, IsJoinedAfterAnAbortWhenWhatWasTakenIsDone)
{
    int64_t result = 1;
    EXPECT_EQ(0, try_put(1));
    EXPECT_EQ(0, try_put(2));
    EXPECT_EQ(1, get(0));
    start(&result, join_one(&queue));
    later(coil_ms(1), [&] { coil_thread_queue_abort(&queue); });
    later(coil_ms(2), [&] {
        EXPECT_EQ(1, result);
        coil_thread_queue_task_done(&queue);
    });
    run();
    EXPECT_EQ(0, result);
}

using ThreadQueueDeath = ThreadQueue;

TEST_F(ThreadQueueDeath, DoingMoreThanWasPutIsAProgrammingError)
{
    EXPECT_DEATH(coil_thread_queue_task_done(&queue), "unfinished_count");
}

TEST_F(ThreadQueueDeath, BlockingTheThreadOfALoopIsAProgrammingError)
{
    EXPECT_DEATH(
            {
                coil_loop *own = create_loop(); /* That of the parent cannot run here. */
                coil_spawn(coil_loop_root(own), block_in_a_coroutine(&queue));
                (void)coil_loop_run(own);
            },
            "coil_loop_current");
}

/* ------------------------------------------------------------------------------------ chaos -- */

struct Parcel {
    int sender;
    int number;
};

typedef coil_thread_queue_of(Parcel) parcel_queue;

struct Ledger {
    std::mutex lock;
    std::multiset<std::pair<int, int>> sent;
    std::multiset<std::pair<int, int>> received;
    int disorder_count = 0;

    void send(const Parcel &parcel)
    {
        std::lock_guard<std::mutex> hold(lock);
        sent.insert({parcel.sender, parcel.number});
    }

    /* `last` is the receiver's: what it got from each sender. */
    void receive(const Parcel &parcel, std::map<int, int> *last)
    {
        std::lock_guard<std::mutex> hold(lock);
        received.insert({parcel.sender, parcel.number});
        int &before = (*last)[parcel.sender];
        if (parcel.number <= before)
            disorder_count++;
        before = parcel.number;
    }
};

struct Party {
    parcel_queue *queue;
    Ledger *ledger;
    Random random;
    int number; /* Of the first sender. */
    int count;
    coil_task *tasks[16];
    std::map<int, int> last[16];
};

} // namespace

static coil_duration some_time(Party *party)
{
    return party->random.below(4) == 0 ? coil_us(static_cast<int64_t>(party->random.below(300)))
                                       : coil_s(20);
}

async(int, send_parcels, (Party *) party, (int) place)
{
    vars(Parcel parcel; int i; int rc;);
    defer(party->tasks[place] = nullptr);
    my->parcel.sender = party->number + place;
    for (my->i = 0; my->i < party->count; my->i++) {
        my->parcel.number++;
        await(my->rc, within(some_time(party), coil_thread_queue_put(party->queue, &my->parcel)));
        if (my->rc == 0)
            party->ledger->send(my->parcel);
        if (party->random.below(8) == 0)
            await(coil_yield());
    }
    return 0;
}

async(int, receive_parcels, (Party *) party, (int) place)
{
    vars(Parcel parcel; int rc;);
    defer(party->tasks[place] = nullptr);
    for (;;) {
        await(my->rc, within(some_time(party), coil_thread_queue_get(party->queue, &my->parcel)));
        if (my->rc == 0)
            party->ledger->receive(my->parcel, &party->last[place]);
        if (my->rc == 0)
            coil_thread_queue_task_done(party->queue);
        if (my->rc == -EPIPE)
            break;
    }
    return 0;
}

/* Meanwhile other threads grant what the tasks of this one wait for. */
static void spin(coil_duration duration)
{
    const coil_time end = coil_time_after(coil_kernel_now(), duration);
    while (coil_kernel_now() < end) {
    }
}

/* The last two are spared. */
async(int, cancel_some, (Party *) party, (int) place_count)
{
    vars(int i;);
    for (my->i = 0; my->i < place_count - 2; my->i++) {
        await(coil_sleep(coil_us(static_cast<int64_t>(party->random.below(700)))));
        spin(coil_us(static_cast<int64_t>(party->random.below(200))));
        if (party->tasks[my->i] != nullptr)
            coil_task_cancel(party->tasks[my->i]);
    }
    return 0;
}

async(int, hold_party, (Party *) party, (int) sender_count, (int) receiver_count)
{
    vars(coil_group group; int i;);
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < sender_count; my->i++)
        party->tasks[my->i] = spawn(&my->group, send_parcels(party, my->i));
    for (; my->i < sender_count + receiver_count; my->i++)
        party->tasks[my->i] = spawn(&my->group, receive_parcels(party, my->i));
    spawn(&my->group, cancel_some(party, sender_count + receiver_count));
    ignore(coil_group_join(&my->group));
    return 0;
}

namespace
{

void run_party(Party *party, int sender_count, int receiver_count)
{
    coil_loop *own = create_loop();
    coil_spawn(coil_loop_root(own), hold_party(party, sender_count, receiver_count));
    EXPECT_EQ(0, coil_loop_run(own));
    destroy_loop(own);
}

void send_from_thread(Party *party)
{
    Parcel parcel = {party->number, 0};
    for (int i = 0; i < party->count; i++) {
        parcel.number++;
        if (coil_thread_queue_put_blocking(party->queue, &parcel, some_time(party)) == 0)
            party->ledger->send(parcel);
    }
}

void receive_on_thread(Party *party)
{
    Parcel parcel;
    for (;;) {
        int rc = coil_thread_queue_get_blocking(party->queue, &parcel, some_time(party));
        if (rc == -EPIPE)
            return;
        if (rc < 0)
            continue;
        party->ledger->receive(parcel, &party->last[0]);
        coil_thread_queue_task_done(party->queue);
    }
}

class ThreadQueueChaos : public testing::TestWithParam<int>
{
protected:
    Party *party(int number, int count)
    {
        parties.push_back({&queue, &ledger, {random.state + static_cast<uint64_t>(number) * 977},
                number, count, {}, {}});
        return &parties.back();
    }

    Random random = {static_cast<uint64_t>(GetParam()) * 0x9e3779b97f4a7c15u + 1};
    Parcel slots[7];
    parcel_queue queue;
    Ledger ledger;
    std::deque<Party> parties;
    std::vector<std::thread> senders, receivers;
};

/*
 * Senders and receivers on two threads each and on three loops; some are cancelled, some give up in
 * between. What was sent is received exactly once, and in the order of its sender.
 */
TEST_P(ThreadQueueChaos, LosesNothingAndDoublesNothing)
{
    alarm(50);
    coil_thread_queue_init(&queue, slots, 1 + random.below(7));
    for (int i = 0; i < 2; i++) {
        senders.emplace_back(send_from_thread, party(100 + i, 300));
        receivers.emplace_back(receive_on_thread, party(200 + i, 0));
    }
    senders.emplace_back(run_party, party(300, 200), 8, 0);
    receivers.emplace_back(run_party, party(400, 0), 0, 12);
    senders.emplace_back(run_party, party(500, 200), 8, 0);
    for (std::thread &sender : senders)
        sender.join();
    EXPECT_EQ(0, coil_thread_queue_join_blocking(&queue, COIL_FOREVER));
    coil_thread_queue_close(&queue);
    for (std::thread &receiver : receivers)
        receiver.join();

    EXPECT_EQ(0u, coil_thread_queue_count(&queue));
    EXPECT_TRUE(ledger.sent == ledger.received);
    EXPECT_EQ(0, ledger.disorder_count);
    EXPECT_LT(500u, ledger.sent.size());
    coil_thread_queue_fini(&queue);
    alarm(0);
}

INSTANTIATE_TEST_SUITE_P(Seed, ThreadQueueChaos, testing::Range(1, 9));

} // namespace
