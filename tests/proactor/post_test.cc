/* SPDX-License-Identifier: MIT */
/* coil_loop_post(): every message once, in order per sender, from threads and signal handlers. */
#include "stage.h"

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

struct Inbox {
    coil_task *sleeper = nullptr;
    std::vector<int> next; /* Per sender. */
    int left = 0;
    int out_of_order_count = 0;
};

struct Message {
    coil_post post = {};
    Inbox *inbox = nullptr;
    int sender = 0;
    int number = 0;
};

void receive(coil_post *post)
{
    Message *message = coil_container_of(post, Message, post);
    Inbox *inbox = message->inbox;
    if (inbox->next[static_cast<size_t>(message->sender)]++ != message->number)
        inbox->out_of_order_count++;
    if (--inbox->left == 0 && inbox->sleeper != nullptr)
        coil_task_cancel(inbox->sleeper);
}

class Post : public Proactor
{
protected:
    /* `senders` threads post `count` messages each. */
    void start(int sender_count, int count)
    {
        inbox.next.assign(static_cast<size_t>(sender_count), 0);
        inbox.left = sender_count * count;
        messages.resize(static_cast<size_t>(inbox.left));
        for (int sender = 0; sender < sender_count; sender++) {
            for (int i = 0; i < count; i++) {
                Message &message = messages[static_cast<size_t>(sender * count + i)];
                message.post.run = receive;
                message.inbox = &inbox;
                message.sender = sender;
                message.number = i;
            }
        }
        for (int sender = 0; sender < sender_count; sender++) {
            threads.emplace_back([this, sender, count] {
                for (int i = 0; i < count; i++) {
                    coil_loop_post(loop, &messages[static_cast<size_t>(sender * count + i)].post);
                    if (i % 97 == 0)
                        std::this_thread::sleep_for(std::chrono::microseconds(50));
                }
            });
        }
    }

    void join()
    {
        for (std::thread &thread : threads)
            thread.join();
        threads.clear();
    }

    Inbox inbox;
    std::vector<Message> messages;
    std::vector<std::thread> threads;
};

TEST_F(Post, EachMessageArrivesOnceAndInTheOrderOfItsSender)
{
    inbox.sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER));
    start(4, 2000);
    run();
    join();
    EXPECT_EQ(0, inbox.left);
    EXPECT_EQ(0, inbox.out_of_order_count);
    for (int next : inbox.next)
        EXPECT_EQ(2000, next);
}

TEST_F(Post, WakesASleepingLoop)
{
    for (int i = 0; i < 20; i++) {
        inbox.sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER));
        inbox.left = 1;
        inbox.next.assign(1, 0);
        Message message = {{receive, nullptr}, &inbox, 0, 0};
        std::thread sender([this, &message] {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            coil_loop_post(loop, &message.post);
        });
        run();
        sender.join();
        EXPECT_EQ(0, inbox.left);
    }
}

TEST_F(Post, MessagesThatAreQueuedAtTheEndAreRunThen)
{
    start(3, 500);
    join();
    EXPECT_EQ(1500, inbox.left);
    end();
    EXPECT_EQ(0, inbox.left);
    EXPECT_EQ(0, inbox.out_of_order_count);
}

TEST_F(Post, MessagesAreRunWhileTheLoopEnds)
{
    start(3, 500);
    /* The loop must exist until all have been run. */
    inbox.sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER));
    run();
    end();
    join();
    EXPECT_EQ(0, inbox.left);
}

/* A message whose run asks the kernel for something: also at the end. */
struct Closing {
    coil_post post;
    coil_loop *loop;
    int fd;
};

void close_it(coil_post *post)
{
    Closing *closing = coil_container_of(post, Closing, post);
    coil_close_later(closing->loop, closing->fd);
}

TEST_F(Post, AMessageAtTheEndMayStartOperations)
{
    Ends ends = make_pipe();
    Closing closing = {{close_it, nullptr}, loop, ends.in.release()};
    coil_loop_post(loop, &closing.post);
    end();
    pollfd out = {ends.out, POLLIN, 0};
    EXPECT_EQ(1, poll(&out, 1, 0));
    EXPECT_EQ(POLLHUP, out.revents) << "closed";
}

/* A message that posts itself again, some times. */
struct Chain {
    coil_post post;
    coil_loop *loop;
    int left;
    coil_task *sleeper;
};

void go_on(coil_post *post)
{
    Chain *chain = coil_container_of(post, Chain, post);
    if (--chain->left > 0)
        coil_loop_post(chain->loop, post);
    else if (chain->sleeper != nullptr)
        coil_task_cancel(chain->sleeper);
}

TEST_F(Post, AMessageMayBePostedAgainByItsOwnRun)
{
    Chain chain = {{go_on, nullptr}, loop, 100, nullptr};
    chain.sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER));
    coil_loop_post(loop, &chain.post);
    run();
    EXPECT_EQ(0, chain.left);

    Chain last = {{go_on, nullptr}, loop, 100, nullptr};
    coil_loop_post(loop, &last.post);
    end();
    EXPECT_EQ(0, last.left) << "at the end, too";
}

struct Starter {
    coil_post post;
    coil_loop *loop;
    bool is_cleaned_up;
};

async(int, sleep_long, (Starter *) starter)
{
    vars();
    defer(starter->is_cleaned_up = true);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

void start_task(coil_post *post)
{
    Starter *starter = coil_container_of(post, Starter, post);
    coil_spawn(coil_loop_root(starter->loop), sleep_long(starter));
}

TEST_F(Post, AMessageAtTheEndMayStartATaskWhichIsCancelled)
{
    Starter starter = {{start_task, nullptr}, loop, false};
    EXPECT_EQ(0, coil_loop_post(loop, &starter.post));
    end();
    EXPECT_TRUE(starter.is_cleaned_up);
}

TEST_F(Post, ALoopThatHasBeenDestroyedRefusesMessagesAsLongAsItIsHeld)
{
    coil_loop *held = loop;
    coil_loop_hold(held);
    end();
    Message message = {{receive, nullptr}, &inbox, 0, 0};
    EXPECT_EQ(-ESHUTDOWN, coil_loop_post(held, &message.post));
    coil_loop_release(held);
}

TEST_F(Post, EveryMessageIsRunOrRefusedWhileTheLoopIsDestroyed)
{
    for (int round = 0; round < 50; round++) {
        coil_loop *own = nullptr;
        ASSERT_EQ(0, coil_loop_create(&own, nullptr));
        coil_loop_hold(own);
        std::atomic<bool> is_begun(false);
        inbox.next.assign(1, 0);
        inbox.left = 1000000;
        std::vector<Message> batch(1000);
        int accepted_count = 0;
        std::thread sender([&] {
            for (int i = 0; i < 1000; i++) {
                batch[static_cast<size_t>(i)] = {{receive, nullptr}, &inbox, 0, i};
                if (coil_loop_post(own, &batch[static_cast<size_t>(i)].post) == 0)
                    accepted_count++;
                is_begun = true;
            }
        });
        while (!is_begun)
            std::this_thread::yield();
        coil_loop_destroy(own);
        sender.join();
        EXPECT_EQ(accepted_count, inbox.next[0]);
        coil_loop_release(own);
    }
    EXPECT_EQ(0, inbox.out_of_order_count);
}

coil_loop *signalled_loop;
Message *signalled_message;

void post_from_handler(int)
{
    coil_loop_post(signalled_loop, &signalled_message->post);
}

TEST_F(Post, MayBeCalledInASignalHandlerOfTheLoopsOwnThread)
{
    struct sigaction action = {};
    struct sigaction before;
    action.sa_handler = post_from_handler;
    sigaction(SIGUSR1, &action, &before);
    pthread_t self = pthread_self();
    for (int i = 0; i < 20; i++) {
        inbox.sleeper = coil_spawn(coil_loop_root(loop), coil_sleep(COIL_FOREVER));
        inbox.left = 1;
        inbox.next.assign(1, 0);
        Message message = {{receive, nullptr}, &inbox, 0, 0};
        signalled_loop = loop;
        signalled_message = &message;
        std::thread sender([self] {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            pthread_kill(self, SIGUSR1);
        });
        run();
        sender.join();
        EXPECT_EQ(0, inbox.left);
    }
    sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(Post, LoopsOfSeveralThreadsPostToEachOther)
{
    std::atomic<int> good_count(0);
    std::vector<std::thread> owners;
    for (int n = 0; n < 3; n++) {
        owners.emplace_back([&good_count] {
            coil_loop *own = nullptr;
            if (coil_loop_create(&own, nullptr) < 0)
                return;
            Chain chain = {{go_on, nullptr}, own, 200, nullptr};
            chain.sleeper = coil_spawn(coil_loop_root(own), coil_sleep(COIL_FOREVER));
            std::thread starter([&] { coil_loop_post(own, &chain.post); });
            (void)coil_loop_run(own);
            starter.join();
            coil_loop_destroy(own);
            good_count += chain.left == 0 ? 1 : 0;
        });
    }
    for (std::thread &owner : owners)
        owner.join();
    EXPECT_EQ(3, good_count);
}

/* Eight loops, each of which posts to all of them while it receives from all. */
struct Storm {
    static constexpr int LOOPS = 8;
    static constexpr int COUNT = 200;

    std::array<coil_loop *, LOOPS> loops = {};
    std::array<Inbox, LOOPS> inboxes;
    pthread_barrier_t all_there;

    void own_one(size_t me)
    {
        ASSERT_EQ(0, coil_loop_create(&loops[me], nullptr));
        Inbox &inbox = inboxes[me];
        inbox.next.assign(LOOPS, 0);
        inbox.left = LOOPS * COUNT;
        inbox.sleeper = coil_spawn(coil_loop_root(loops[me]), coil_sleep(COIL_FOREVER));
        pthread_barrier_wait(&all_there);
        std::vector<Message> sent(static_cast<size_t>(LOOPS * COUNT));
        std::function<void()> send = [&] {
            for (size_t i = 0; i < sent.size(); i++) {
                size_t to = (me + i) % LOOPS;
                sent[i] = {{receive, nullptr}, &inboxes[to], static_cast<int>(me),
                        static_cast<int>(i) / LOOPS};
                EXPECT_EQ(0, coil_loop_post(loops[to], &sent[i].post));
            }
        };
        coil_spawn(coil_loop_root(loops[me]), act_after(0, &send));
        (void)coil_loop_run(loops[me]);
        coil_loop_destroy(loops[me]);     /* Some of the others are still at it. */
        pthread_barrier_wait(&all_there); /* Until all of `sent` has been received. */
    }
};

TEST_F(Post, EightLoopsStormEachOther)
{
    for (int round = 0; round < 5; round++) {
        Storm storm;
        ASSERT_EQ(0, pthread_barrier_init(&storm.all_there, nullptr, Storm::LOOPS));
        for (size_t me = 0; me < Storm::LOOPS; me++)
            threads.emplace_back([&storm, me] { storm.own_one(me); });
        join();
        for (const Inbox &each : storm.inboxes) {
            EXPECT_EQ(0, each.left);
            EXPECT_EQ(0, each.out_of_order_count);
        }
        pthread_barrier_destroy(&storm.all_there);
    }
}

} // namespace
