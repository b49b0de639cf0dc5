/* SPDX-License-Identifier: MIT */
/* Leaves that are asked for their result before there is a frame: coil_declare_eager(). */
#include "virtual_time.h"

#include <coil/coro.h>
#include <coil/sugar.h>
#include <coil/timeout.h>

namespace
{

#ifdef COIL_STRICT_
constexpr bool asked = false; /* Strict builds make a frame of every call. */
#else
constexpr bool asked = true;
#endif

struct well {
    int stock;       /* So often there is something at once. */
    int begin_count; /* How often each way was taken. */
    int step_count;
    coil_task *waiter; /* Woken by hand. */
};

struct draught {
    int64_t status;
    int64_t stock; /* The same once more, at the far end of the result. */
};

} // namespace

extern "C" {
coil_turn begin_draw(coil_task *task, coil_frame *leaf);
coil_turn begin_drink(coil_task *task, coil_frame *leaf);
coil_declare_eager(int, draw, begin_draw, (well *) from);
coil_declare_eager_leaf(draught, drink, begin_drink, (well *) from);
}

namespace
{

bool takes(well *from)
{
    return from->stock > 0 && from->stock-- > 0;
}

/* What both leaves do: `give` stores the result. */
template <class Give> coil_turn step(well *from, coil_task *task, coil_frame *leaf, Give give)
{
    from->step_count++;
    if (leaf->at == nullptr && coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (takes(from)) {
        give();
        return coil_leave(task, leaf);
    }
    if (leaf->at != nullptr && coil_task_unwind_here(task))
        return coil_leave(task, leaf);
    from->waiter = task;
    return coil_leaf_suspend(leaf);
}

template <class Give> coil_turn begin(well *from, coil_task *task, coil_frame *leaf, Give give)
{
    from->begin_count++;
    if (task->request != nullptr || !takes(from))
        return coil_leaf_begin(task, leaf);
    give();
    return COIL_DONE;
}

void give_draw(well *from, coil_frame *leaf)
{
    coil_result(draw, leaf) = from->stock;
}

void give_drink(well *from, coil_frame *leaf)
{
    coil_result(drink, leaf) = draught{from->stock, from->stock};
}

coil_turn step_draw(coil_task *task, coil_frame *leaf)
{
    well *from = coil_arguments(draw, leaf)->from;
    return step(from, task, leaf, [=] { give_draw(from, leaf); });
}

coil_turn step_drink(coil_task *task, coil_frame *leaf)
{
    well *from = coil_arguments(drink, leaf)->from;
    return step(from, task, leaf, [=] { give_drink(from, leaf); });
}

} // namespace

coil_turn begin_draw(coil_task *task, coil_frame *leaf)
{
    well *from = coil_arguments(draw, leaf)->from;
    return begin(from, task, leaf, [=] { give_draw(from, leaf); });
}

coil_turn begin_drink(coil_task *task, coil_frame *leaf)
{
    well *from = coil_arguments(drink, leaf)->from;
    return begin(from, task, leaf, [=] { give_drink(from, leaf); });
}

coil_define_leaf(draw, step_draw, coil_leaf_wake);
coil_define_leaf(drink, step_drink, coil_leaf_wake);

namespace
{

class Eager : public VirtualTime
{
protected:
    well from = {};
};

async(int, draws, (well *) from, (int) count)
{
    vars(int i; int got; int sum);
    for (; my->i < count; my->i++) {
        attempt(my->got, draw(from));
        my->sum += my->got;
    }
    return my->sum;
}

TEST_F(Eager, HasItsResultWithoutAFrame)
{
    from.stock = 4;
    EXPECT_EQ(3 + 2 + 1 + 0, RUN(draws(&from, 4)));
    EXPECT_EQ(asked ? 4 : 0, from.begin_count);
    EXPECT_EQ(asked ? 0 : 4, from.step_count);
}

async(int, sleeps_and_draws, (well *) from, (const char **) out_await)
{
    vars(int got);
    await(coil_sleep(coil_ms(1)));
    await(my->got, draw(from));
    *out_await = co__f->co__h.at->what;
    return 0;
}

TEST_F(Eager, IsTheAwaitThatItsTaskWasInLast)
{
    from.stock = 1;
    const char *last = nullptr;
    EXPECT_EQ(0, RUN(sleeps_and_draws(&from, &last)));
    EXPECT_STREQ("my->got, draw(from)", last) << "and not the one that it waited in";
}

TEST_F(Eager, WaitsAsAFrame)
{
    from.stock = 1;
    int64_t result = -1;
    coil_spawn_result(&sched.root, &result, draws(&from, 2));
    settle();
    ASSERT_NE(nullptr, from.waiter);
    EXPECT_EQ(1u, sched.live_count);
    const coil_frame *leaf = from.waiter->top;
    EXPECT_STREQ("draw", leaf->fn->name);
    ASSERT_NE(nullptr, leaf->up);
    EXPECT_STREQ("draws", leaf->up->fn->name);
    EXPECT_STREQ("my->got, draw(from)", leaf->up->at->what) << "the await that it waits in";
    from.stock = 10;
    coil_task_wake(from.waiter);
    settle();
    EXPECT_EQ(0 + 9, result);
}

TEST_F(Eager, IsRefusedToATaskThatUnwinds)
{
    from.stock = 10;
    int64_t result = 0;
    coil_task_cancel(coil_spawn_result(&sched.root, &result, draws(&from, 1)));
    settle();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(10, from.stock);
}

TEST_F(Eager, UnwindsWhereItWaits)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, draws(&from, 1));
    settle();
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(0u, sched.live_count);
}

async(int, draws_in_time, (well *) from)
{
    vars(int got);
    await(my->got, coil_within(coil_ms(5), draw(from)));
    return my->got;
}

TEST_F(Eager, IsAFrameWithADeadline)
{
    from.stock = 3;
    EXPECT_EQ(2, RUN(draws_in_time(&from)));
    EXPECT_EQ(0, from.begin_count);
    from.stock = 0;
    EXPECT_EQ(-ETIME, RUN(draws_in_time(&from)));
    EXPECT_EQ(coil_ms(5), elapsed());
}

TEST_F(Eager, IsAFrameAsATask)
{
    from.stock = 3;
    EXPECT_EQ(2, RUN(draw(&from)));
    EXPECT_EQ(0, from.begin_count);
    EXPECT_EQ(1, from.step_count);
}

async(int, draws_to_leave, (well *) from, (int *) out_got)
{
    vars();
    defer(await(*out_got, draw(from)));
    await(coil_sleep(coil_ms(1)));
    return 0;
}

TEST_F(Eager, HasItsResultInADeferToo)
{
    int got = 0;
    from.stock = 7;
    EXPECT_EQ(0, RUN(draws_to_leave(&from, &got)));
    EXPECT_EQ(6, got);

    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, draws_to_leave(&from, &got));
    settle();
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ(5, got) << "the request is hidden from a defer";
}

/* Its frames leave less and less room in a block, down to none, before the leaf is asked. */
async(int, descends, (well *) from, (int) levels)
{
    vars(draught got; int deeper);
    await(my->got, drink(from));
    if (my->got.status != my->got.stock)
        return -EBADMSG;
    if (levels > 0)
        attempt(my->deeper, descends(from, levels - 1));
    await(my->got, drink(from));
    return my->got.status == my->got.stock ? my->deeper + 1 : -EBADMSG;
}

TEST_F(Eager, HasRoomForItsResultAtAnyDepth)
{
    from.stock = 1 << 20;
    for (int levels = 0; levels < 200; levels++)
        ASSERT_EQ(levels + 1, RUN(descends(&from, levels)));
    EXPECT_EQ(asked, from.begin_count > 0);
}

async(int, drinks, (well *) from)
{
    vars(draught got);
    attempt(my->got, drink(from));
    return static_cast<int>(my->got.stock);
}

TEST_F(Eager, StoresAResultWhereItsArgumentWas)
{
    from.stock = 2;
    EXPECT_EQ(1, RUN(drinks(&from)));
    int64_t result = -1;
    coil_spawn_result(&sched.root, &result, drinks(&from));
    settle();
    EXPECT_EQ(0, result);
    coil_spawn_result(&sched.root, &result, drinks(&from));
    settle();
    from.stock = 9;
    coil_task_wake(from.waiter);
    settle();
    EXPECT_EQ(8, result);
}

} // namespace
