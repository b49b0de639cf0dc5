/* SPDX-License-Identifier: MIT */
/* coil/layer.h, by a layer that changes each byte and puts a mark behind each write. */
#include "kernel_double.h"
#include "stage.h"

#include <coil/layer.h>
#include <coil/test_loop.h>

#include <string>

#include <coil/sugar.h>

namespace
{

enum : char { CHANGE = 0x20, MARK = '|', END = '.' };

struct Toy {
    coil_layer layer;
    int seal_rc; /* What the next seal says. */
    bool is_destroyed;
    std::string *taken; /* What has come, not yet taken. */
};

Toy *toy_of(coil_layer *layer)
{
    return coil_container_of(layer, Toy, layer);
}

int toy_look(coil_layer *layer, coil_task *task)
{
    Toy *toy = toy_of(layer);
    const int rc = coil_receiver_look(layer->below, task);
    if (rc <= 0)
        return toy->taken->empty() ? rc : 1;
    coil_slice *front = coil_receiver_front(layer->below);
    for (int64_t i = 0; i < front->size_bytes; i++)
        toy->taken->push_back(static_cast<char>(front->bytes[i] ^ CHANGE));
    coil_slice_release(front);
    return 1;
}

size_t toy_take(coil_layer *layer, char *bytes, size_t size_bytes)
{
    Toy *toy = toy_of(layer);
    const size_t count = toy->taken->copy(bytes, std::min(size_bytes, size_t{3}));
    toy->taken->erase(0, count);
    return count;
}

int toy_seal(coil_layer *layer, const char *bytes, size_t size_bytes)
{
    const char mark = MARK ^ CHANGE;
    if (toy_of(layer)->seal_rc < 0)
        return toy_of(layer)->seal_rc;
    for (size_t i = 0; i < size_bytes; i++) {
        const char changed = static_cast<char>(bytes[i] ^ CHANGE);
        EXPECT_EQ(0, coil_layer_put(layer, &changed, 1));
    }
    return coil_layer_put(layer, &mark, 1);
}

int toy_finish(coil_layer *layer)
{
    const char end = END ^ CHANGE;
    return coil_layer_put(layer, &end, 1);
}

void toy_destroy(coil_layer *layer)
{
    toy_of(layer)->is_destroyed = true;
    delete toy_of(layer)->taken;
}

const coil_layer_kind toy_kind = {"toy", toy_look, toy_take, toy_seal, toy_finish, toy_destroy};

/* Two ends of a socket pair, each with a toy on it. */
struct Stage {
    Toy toys[2] = {};
    coil_receiver *above[2] = {};

    void set()
    {
        Ends ends = make_unix();
        const int fds[] = {ends.in.release(), ends.out.release()};
        for (int i = 0; i < 2; i++) {
            coil_receiver *below = nullptr;
            EXPECT_EQ(0, coil_receiver_create(
                                 coil_loop_current(), fds[i], COIL_TRANSPORT_SOCKET, &below));
            toys[i].layer.kind = &toy_kind;
            toys[i].taken = new std::string;
            EXPECT_EQ(0, coil_layer_attach(&toys[i].layer, below, &above[i]));
            EXPECT_EQ(&toys[i].layer, coil_layer_of(above[i]));
            EXPECT_EQ(nullptr, coil_layer_of(below));
            EXPECT_EQ(coil_receiver_fd(below), coil_receiver_fd(above[i]));
        }
    }

    void clear()
    {
        for (int i = 0; i < 2; i++) {
            coil_receiver_close(above[i]);
            EXPECT_TRUE(toys[i].is_destroyed);
        }
    }

    coil_sender *sender(int i)
    {
        return &coil_receiver_head_of(above[i])->sender;
    }
};

coil_slice text(const char *bytes)
{
    return {static_cast<int64_t>(strlen(bytes)), bytes, nullptr};
}

async(int, expect_text, (coil_receiver *) receiver, (const char *) expected)
{
    vars(size_t have; coil_slice slice);
    while (my->have < strlen(expected)) {
        attempt(my->slice, coil_receiver_next(receiver));
        EXPECT_GT(my->slice.size_bytes, 0);
        EXPECT_EQ(0, memcmp(my->slice.bytes, expected + my->have,
                             static_cast<size_t>(my->slice.size_bytes)));
        my->have += static_cast<size_t>(my->slice.size_bytes);
        coil_slice_release(&my->slice);
    }
    return 0;
}

#define RUN_AT_ONCE(...)                                      \
    do {                                                      \
        coil_loop *loop = nullptr;                            \
        ASSERT_EQ(0, coil_test_loop_create(&loop, nullptr));  \
        EXPECT_EQ(0, coil_loop_run_until(loop, __VA_ARGS__)); \
        EXPECT_EQ(0, coil_loop_close(&loop));                 \
    } while (0)

async(int, carry, (Stage *) stage)
{
    vars();
    stage->set();
    defer(stage->clear());
    attempt(coil_sender_write(stage->sender(0), text("hello")));
    attempt(coil_sender_write(stage->sender(0), text("world")));
    attempt(expect_text(stage->above[1], "hello|world|"));
    attempt(coil_sender_write(stage->sender(1), text("yes")));
    attempt(expect_text(stage->above[0], "yes|"));
    EXPECT_EQ(10u, stage->sender(0)->sent_bytes);
    EXPECT_EQ(12u, coil_receiver_head_of(stage->above[1])->taken_bytes);
    return 0;
}

TEST(Layer, TurnsBytesIntoOthersAndBack)
{
    Stage stage;
    RUN_AT_ONCE(carry(&stage));
}

async(int, finish, (Stage *) stage)
{
    vars(int rc);
    stage->set();
    defer(stage->clear());
    attempt(coil_sender_write(stage->sender(0), text("all")));
    attempt(coil_layer_finish(&stage->toys[0].layer));
    attempt(expect_text(stage->above[1], "all|."));
    await(my->rc, coil_sender_write(stage->sender(0), text("more")));
    EXPECT_EQ(-EPIPE, my->rc);
    await(my->rc, coil_layer_finish(&stage->toys[0].layer));
    EXPECT_EQ(-EPIPE, my->rc) << "once";
    return 0;
}

TEST(Layer, SaysItsLastWordBehindAllWrites)
{
    Stage stage;
    RUN_AT_ONCE(finish(&stage));
}

async(int, finish_in_a_shared_turn, (Stage *) stage)
{
    vars();
    stage->set();
    for (const Toy &toy : stage->toys)
        coil_sender_share_turns(&coil_receiver_head_of(toy.layer.below)->sender);
    await(coil_sleep(coil_ms(1))); /* A turn in which nobody has sent yet. */
    attempt(coil_sender_write(stage->sender(0), text("it")));
    coil_layer_finish_now(&stage->toys[1].layer);
    coil_receiver_close(stage->above[1]);
    attempt(expect_text(stage->above[0], "."));
    coil_receiver_close(stage->above[0]);
    return 0;
}

TEST(Layer, SaysItsLastWordThoughAnotherHasHadTheTurn)
{
    Stage stage;
    RUN_AT_ONCE(finish_in_a_shared_turn(&stage));
}

/* Nothing can be queued: the queue is full, and the kernel takes nothing out of it. */
async(int, finish_with_a_full_queue, (Stage *) stage)
{
    vars();
    stage->set();
    for (const Toy &toy : stage->toys)
        coil_sender_share_turns(&coil_receiver_head_of(toy.layer.below)->sender);
    await(coil_sleep(coil_ms(1)));
    attempt(coil_sender_write(stage->sender(0), text("it")));
    kernel_double.busy_submissions = INT_MAX;
    EXPECT_EQ(-EAGAIN, coil_receiver_look(stage->above[0], coil_self));
    coil_receiver_wait(stage->above[0], coil_self);
    EXPECT_EQ(1u, ring_unsubmitted(&coil_loop_current()->ring)) << "all there is room for";
    coil_layer_finish_now(&stage->toys[1].layer);
    coil_receiver_close(stage->above[1]);
    kernel_double.busy_submissions = 0;
    attempt(expect_text(stage->above[0], "."));
    coil_receiver_close(stage->above[0]);
    return 0;
}

TEST(Layer, SaysItsLastWordThoughTheQueueIsFull)
{
    Stage stage;
    kernel_double.sq_entries = 1;
    RUN_AT_ONCE(finish_with_a_full_queue(&stage));
    kernel_double = KernelDouble();
}

async(int, speak_up, (Stage *) stage)
{
    vars();
    stage->set();
    defer(stage->clear());
    static const char alert = '!' ^ CHANGE;
    EXPECT_EQ(0, coil_layer_put(&stage->toys[0].layer, &alert, 1));
    attempt(coil_sender_write(stage->sender(0), text("it")));
    EXPECT_EQ(0, coil_layer_put(&stage->toys[0].layer, &alert, 1));
    coil_layer_flush(&stage->toys[0].layer);
    attempt(expect_text(stage->above[1], "!it|!"));
    return 0;
}

TEST(Layer, SpeaksByItselfInOrder)
{
    Stage stage;
    RUN_AT_ONCE(speak_up(&stage));
}

async(int, speak_too_much, (Stage *) stage)
{
    vars(int count);
    static const char much[1000] = "";
    stage->set();
    defer(stage->clear());
    while (coil_layer_put(&stage->toys[0].layer, much, sizeof(much)) == 0)
        my->count++;
    EXPECT_EQ(-ENOBUFS, coil_layer_put(&stage->toys[0].layer, much, sizeof(much)));
    EXPECT_EQ(65, my->count);
    return 0;
}

TEST(Layer, CannotBeMadeToSpeakWithoutEnd)
{
    Stage stage;
    RUN_AT_ONCE(speak_too_much(&stage));
}

async(int, wait_in_vain, (Stage *) stage)
{
    vars(coil_slice slice);
    await(my->slice, coil_receiver_next(stage->above[0]));
    EXPECT_EQ(-ESHUTDOWN, my->slice.size_bytes);
    await(my->slice, coil_receiver_next(stage->above[0]));
    EXPECT_EQ(-ESHUTDOWN, my->slice.size_bytes) << "for good";
    return 0;
}

async(int, fail_receiver, (Stage *) stage)
{
    vars(coil_group group);
    stage->set();
    defer(stage->clear());
    open_group(&my->group);
    spawn(&my->group, wait_in_vain(stage));
    await(coil_yield());
    coil_receiver_fail(stage->above[0], -ESHUTDOWN);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(Layer, WakesItsReaderWhenItsReceiverFails)
{
    Stage stage;
    RUN_AT_ONCE(fail_receiver(&stage));
}

/* Nothing is under way below: nobody has ever waited. */
async(int, look_without_waiting, (Stage *) stage)
{
    vars();
    stage->set();
    defer(stage->clear());
    attempt(coil_sender_write(stage->sender(0), text("seen")));
    EXPECT_EQ(-EAGAIN, coil_receiver_look(stage->above[1], nullptr));
    coil_receiver_refresh(stage->above[1]);
    EXPECT_EQ(1, coil_receiver_look(stage->above[1], nullptr));
    attempt(expect_text(stage->above[1], "seen|"));
    coil_receiver_refresh(stage->above[1]);
    EXPECT_EQ(-EAGAIN, coil_receiver_look(stage->above[1], nullptr));
    return 0;
}

TEST(Layer, SeesWithoutWaitingWhatTheKernelHas)
{
    Stage stage;
    RUN_AT_ONCE(look_without_waiting(&stage));
}

async(int, fail_to_seal, (Stage *) stage)
{
    vars(int rc);
    stage->set();
    defer(stage->clear());
    stage->toys[0].seal_rc = -EPROTO;
    await(my->rc, coil_sender_write(stage->sender(0), text("never")));
    EXPECT_EQ(-EPROTO, my->rc);
    stage->toys[0].seal_rc = 0;
    await(my->rc, coil_sender_write(stage->sender(0), text("after")));
    EXPECT_EQ(-EPIPE, my->rc) << "nobody knows what of it is out";
    return 0;
}

TEST(Layer, IsCutWhenItCannotSeal)
{
    Stage stage;
    RUN_AT_ONCE(fail_to_seal(&stage));
}

async(int, write_long, (Stage *) stage, (std::string *) bytes)
{
    vars();
    attempt(coil_sender_write(
            stage->sender(0), {static_cast<int64_t>(bytes->size()), bytes->data(), nullptr}));
    return 0;
}

/* What is on its way when the stream is closed is given up. */
async(int, close_while_leaving, (Stage *) stage, (std::string *) bytes)
{
    vars(coil_group group);
    stage->set();
    open_group(&my->group);
    spawn(&my->group, write_long(stage, bytes));
    await(coil_sleep(coil_ms(1)));
    EXPECT_TRUE(coil_sender_busy(stage->sender(0)));
    coil_group_cancel(&my->group);
    ignore(coil_group_join(&my->group));
    EXPECT_FALSE(coil_sender_busy(stage->sender(0)));
    coil_receiver_close(stage->above[0]);
    EXPECT_FALSE(stage->toys[0].is_destroyed) << "its bytes are still the kernel's";
    coil_receiver_close(stage->above[1]);
    await(coil_sleep(coil_ms(1)));
    EXPECT_TRUE(stage->toys[0].is_destroyed);
    return 0;
}

TEST(Layer, IsDestroyedWhenNothingIsOnItsWay)
{
    Stage stage;
    std::string bytes(5000000, 'b');
    RUN_AT_ONCE(close_while_leaving(&stage, &bytes));
}

} // namespace
