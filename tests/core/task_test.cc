/* SPDX-License-Identifier: MIT */
/* Coroutines by themselves: calls, results, variables, defers, leaves, the frame stack. */
#include "virtual_time.h"
#include "words.h"

#include <cerrno>
#include <vector>

#include <coil/sugar.h>

namespace
{

using Task = VirtualTime;

/* -------------------------------------------------------------------------------- calls -- */

async(int, adds, (int) left, (int) right)
{
    vars();
    return left + right;
}

async(int, adds_later, (int) left, (int) right)
{
    vars();
    await(coil_yield());
    return left + right;
}

async(int, fibonacci, (int) n)
{
    vars(int left; int right);
    if (n < 2) {
        await(coil_yield());
        return n;
    }
    await(my->left, fibonacci(n - 1));
    await(my->right, fibonacci(n - 2));
    return my->left + my->right;
}

TEST_F(Task, ReturnsTheResultOfACallThatDoesNotWait)
{
    EXPECT_EQ(5, RUN(adds(2, 3)));
}

TEST_F(Task, ReturnsTheResultOfACallThatWaits)
{
    EXPECT_EQ(5, RUN(adds_later(2, 3)));
}

TEST_F(Task, Recurses)
{
    EXPECT_EQ(55, RUN(fibonacci(10)));
}

TEST_F(Task, SaysHowMuchMemoryItHas)
{
    fibonacci__stack = 100; /* So that it is a block of the smallest size. */
    coil_task *task = coil_spawn(&sched.root, fibonacci(20));
    const size_t first_bytes = coil_task_memory_bytes(task);
    EXPECT_LE(sizeof(coil_task) + sizeof(struct fibonacci__frame), first_bytes);
    EXPECT_GT(1024u, first_bytes);
    coil_sched_run(&sched, 1); /* Twenty calls deep. */
    EXPECT_LE(first_bytes + 19 * sizeof(struct fibonacci__frame), coil_task_memory_bytes(task));
    while (coil_sched_run(&sched, 1000000)) {
    }
}

async(int64_t, takes_eight, (char) a, (short) b, (int) c, (long) d, (float) e, (double) f, (void *) g,
        (bool) h)
{
    vars(int64_t sum);
    await(coil_yield());
    my->sum = a + b + c + d + static_cast<int64_t>(e) + static_cast<int64_t>(f) + h;
    return g == &notebook ? my->sum : -1;
}

TEST_F(Task, KeepsEightArgumentsOfAllKindsAcrossAWait)
{
    EXPECT_EQ(29, RUN(takes_eight(1, 2, 3, 4, 5.0F, 6.0, &notebook, true)) + 7);
}

struct point {
    double x, y, z;
};

async(struct point, moves, (struct point) from, (double) by)
{
    vars();
    await(coil_yield());
    return point{from.x + by, from.y + by, from.z + by};
}

async(void *, passes, (void *) pointer)
{
    vars();
    await(coil_yield());
    return pointer;
}

async(int, uses_results, (void *) pointer)
{
    vars(struct point p; void *q);
    my->p.x = 1;
    await(my->p, moves(my->p, 2));
    await(my->p, moves(my->p, 0.5));
    await(my->q, passes(pointer));
    return my->p.x == 3.5 && my->p.z == 2.5 && my->q == pointer;
}

TEST_F(Task, ReturnsStructsAndPointers)
{
    EXPECT_EQ(1, RUN(uses_results(&notebook)));
}

async(void, returns_early, (int) at)
{
    vars();
    defer(note('d'));
    switch (at) {
    case 0:
        return;
    case 1:
        await(coil_yield());
        break;
    default:
        for (;;) {
            await(coil_sleep(coil_ms(1)));
            if (at == 2)
                return;
        }
    }
    note('e');
}

TEST_F(Task, OfTypeVoidReturnsEarlyOrAtItsEnd)
{
    RUN(returns_early(0));
    RUN(returns_early(1));
    RUN(returns_early(2));
    EXPECT_EQ("dedd", notebook);
}

async(int, is_zeroed)
{
    vars(char bytes[100]; int i; int sum);
    for (my->i = 0; my->i < 100; my->i++)
        my->sum += my->bytes[my->i];
    memset(my->bytes, 0x55, sizeof(my->bytes));
    await(coil_yield());
    return my->sum;
}

async(int, is_zeroed_again)
{
    vars(int first; int second);
    await(my->first, is_zeroed());
    await(my->second, is_zeroed());
    return my->first + my->second;
}

TEST_F(Task, FindsItsVariablesZeroAtEveryCall)
{
    EXPECT_EQ(0, RUN(is_zeroed_again()));
}

async(int, fails_with, (int) error)
{
    vars();
    await(coil_yield());
    return error;
}

async(int, attempts, (int) error, (int *) out)
{
    vars();
    defer(note('d'));
    attempt(fails_with(0));
    note('a');
    attempt(*out, fails_with(error));
    note('b');
    return 4;
}

TEST_F(Task, ReturnsFromAnAttemptThatFailed)
{
    int out = 0;
    EXPECT_EQ(-EIO, RUN(attempts(-EIO, &out)));
    EXPECT_EQ(-EIO, out) << "the destination has the error as well";
    EXPECT_EQ(4, RUN(attempts(9, &out)));
    EXPECT_EQ(9, out);
    EXPECT_EQ("adabd", notebook);
}

TEST_F(Task, AwaitsCoroutinesThatAreDefinedInC)
{
    int score = 0;
    RUN(words_all(&score));
    EXPECT_EQ(152, score);
}

async(int, awaits_c)
{
    vars(struct words_text reply; int sum);
    attempt(my->reply, words_reply("from C", coil_ms(1)));
    note(my->reply.text);
    attempt(my->sum, within(coil_ms(1), words_sum(3, 4)));
    return my->sum;
}

TEST_F(Task, AwaitsTypedResultsOfCoroutinesThatAreDefinedInC)
{
    EXPECT_EQ(7, RUN(awaits_c()));
    EXPECT_EQ("from C", notebook);
}

/* -------------------------------------------------------------------------------- defers -- */

async(int, defers_three)
{
    vars();
    defer(note('1'));
    defer(note('2'));
    await(coil_yield());
    defer(note('3'));
    return 5;
}

TEST_F(Task, RunsItsDefersYoungestFirst)
{
    EXPECT_EQ(5, RUN(defers_three()));
    EXPECT_EQ("321", notebook);
}

async(int, defers_some, (int) error)
{
    vars();
    defer(note('1'));
    attempt(fails_with(error));
    defer(note('2'));
    return 5;
}

TEST_F(Task, RunsOnlyTheDefersThatItReached)
{
    EXPECT_EQ(-EIO, RUN(defers_some(-EIO)));
    EXPECT_EQ("1", notebook);
}

async(int, defers_awaits)
{
    vars(int i);
    defer(note('<'); await(coil_sleep(coil_ms(10))); note('>'));
    defer(for (my->i = 0; my->i < 3; my->i++) {
        await(coil_sleep(coil_ms(1)));
        note('.');
    });
    return 5;
}

TEST_F(Task, AwaitsInItsDefers)
{
    EXPECT_EQ(5, RUN(defers_awaits()));
    EXPECT_EQ("...<>", notebook);
    EXPECT_EQ(coil_ms(13), elapsed());
}

async(int, defers_in_a_loop, (int) n)
{
    vars(int i);
    for (my->i = 0; my->i < n; my->i++) {
        defer(note('d'));
        if (my->i == 2)
            await(coil_sleep(coil_ms(1)));
    }
    return n;
}

TEST_F(Task, RunsADeferAsOftenAsItWasReached)
{
    EXPECT_EQ(5, RUN(defers_in_a_loop(5)));
    EXPECT_EQ("ddddd", notebook);
}

TEST_F(Task, HasRoomForManyDefers)
{
    EXPECT_EQ(3000, RUN(defers_in_a_loop(3000)));
    EXPECT_EQ(3000u, notebook.size());
}

async(int, defers_a_return)
{
    vars();
    defer(note('1'));
    defer(attempt(fails_with(-EPIPE)); note('!'));
    defer(note('3'); return 9);
    return 5;
}

TEST_F(Task, KeepsItsResultWhenADeferReturns)
{
    EXPECT_EQ(5, RUN(defers_a_return()));
    EXPECT_EQ("31", notebook);
}

async(int, defers_in_a_defer)
{
    vars();
    defer(note('a'); defer(note('b'); await(coil_yield()); note('c')); await(coil_yield());
            note('d'));
    await(coil_yield());
    return 5;
}

TEST_F(Task, RunsADeferOfADeferNext)
{
    EXPECT_EQ(5, RUN(defers_in_a_defer()));
    EXPECT_EQ("adbc", notebook);
}

async(int, returns_a_variable)
{
    vars(int value);
    my->value = 5;
    defer(my->value = 6; await(coil_yield()));
    return my->value;
}

TEST_F(Task, TakesItsResultBeforeItsDefersRun)
{
    EXPECT_EQ(5, RUN(returns_a_variable()));
}

/* -------------------------------------------------------------------------------- leaves -- */

/* Woken by hand, ends with what it is told. */
struct gate {
    coil_task *task;
    int value;
    int cancel_count;
    bool stubborn; /* Its operation cannot be cancelled. */
};

coil_leaf(int, passes_gate, (gate *) through);

coil_turn pass_gate(coil_task *task, coil_frame *leaf)
{
    gate *through = coil_arguments(passes_gate, leaf)->through;
    if (leaf->at == nullptr) {
        if (coil_task_refuses(task))
            return coil_leave(task, leaf);
        through->task = task;
        return coil_leaf_suspend(leaf);
    }
    if (through->value < 0)
        (void)coil_task_unwind_here(task);
    coil_result(passes_gate, leaf) = through->value;
    return coil_leave(task, leaf);
}

void cancel_gate(coil_task *task, coil_frame *leaf)
{
    gate *through = coil_arguments(passes_gate, leaf)->through;
    through->cancel_count++;
    if (through->stubborn)
        return;
    through->value = -ECANCELED;
    coil_task_wake(task);
}

coil_leaf_fn(passes_gate, pass_gate, cancel_gate);

async(int, waits_at, (gate *) through)
{
    vars(int result);
    defer(note('d'));
    await(my->result, passes_gate(through));
    note(my->result == 3 ? '3' : '?');
    await(coil_yield());
    note('y');
    return my->result;
}

TEST_F(Task, WaitsInALeafUntilItIsWoken)
{
    gate g = {};
    int64_t result = 0;
    coil_spawn_result(&sched.root, &result, waits_at(&g));
    settle();
    ASSERT_NE(nullptr, g.task);
    EXPECT_EQ(1u, sched.live_count);
    EXPECT_EQ(COIL_NEVER, coil_sched_next(&sched));
    g.value = 3;
    coil_task_wake(g.task);
    coil_task_wake(g.task);
    settle();
    EXPECT_EQ(3, result);
    EXPECT_EQ("3yd", notebook);
}

TEST_F(Task, CancelsTheLeafThatItWaitsIn)
{
    gate g = {};
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, waits_at(&g));
    settle();
    coil_task_cancel(task);
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(1, g.cancel_count) << "the second request changes nothing";
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("d", notebook);
}

TEST_F(Task, TakesTheResultOfALeafThatCompletedAllTheSame)
{
    gate g = {};
    g.stubborn = true;
    int64_t result = 0;
    coil_task_cancel(coil_spawn_result(&sched.root, &result, waits_at(&g)));
    settle();
    EXPECT_EQ(nullptr, g.task) << "it does not start when the task is cancelled";
    EXPECT_EQ("d", notebook);
    notebook.clear();

    coil_task *task = coil_spawn_result(&sched.root, &result, waits_at(&g));
    settle();
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(1u, sched.live_count) << "it waits for its operation";
    g.value = 3;
    coil_task_wake(g.task);
    settle();
    EXPECT_EQ("3d", notebook) << "the success is delivered, the next wait is refused";
    EXPECT_EQ(-ECANCELED, result);
}

/* --------------------------------------------------------------------------- frame stack -- */

async(int, descends, (int) depth)
{
    vars(char low[50]; int result; char high[50]);
    memset(my->low, depth, sizeof(my->low));
    memset(my->high, ~depth, sizeof(my->high));
    if (depth > 0) {
        await(my->result, descends(depth - 1));
    } else {
        await(coil_sleep(coil_ms(1)));
    }
    for (char byte : my->low)
        my->result += byte != static_cast<char>(depth);
    for (char byte : my->high)
        my->result += byte != static_cast<char>(~depth);
    return my->result;
}

TEST_F(Task, KeepsTheFramesOfADeepCallApart)
{
    EXPECT_EQ(0, RUN(descends(1000)));
}

async(int, has_a_big_frame)
{
    vars(char bytes[3000]);
    memset(my->bytes, 1, sizeof(my->bytes));
    await(coil_yield());
    return my->bytes[0] == 1 && my->bytes[2999] == 1;
}

async(int, spills, (int) depth)
{
    vars(char bytes[300]; int result);
    defer(note('.'));
    memset(my->bytes, depth, sizeof(my->bytes));
    if (depth > 0)
        attempt(spills(depth - 1));
    await(coil_yield());
    if (depth % 3 == 0)
        await(my->result, has_a_big_frame());
    return my->bytes[0] == depth && my->bytes[299] == depth ? 0 : -EINVAL;
}

TEST_F(Task, SpillsItsFrameStackAndComesBack)
{
    EXPECT_EQ(0, RUN(spills(12)));
    EXPECT_EQ(".............", notebook);
}

TEST_F(Task, UnwindsASpilledFrameStack)
{
    EXPECT_EQ(-ETIME, RUN(within(coil_ms(0), descends(300))));
    coil_task_cancel(spawn(&sched.root, descends(300)));
    settle();
    EXPECT_EQ(0u, sched.live_count);
}

/* What a call leaves on the frame stack is below the caller's room, wherever that is. */
async(int, calls_at_the_brink, (int) fill)
{
    vars(struct point p; int i; int result);
    (void)coil_push(coil_self, static_cast<size_t>(fill));
    for (my->i = 0; my->i < 3; my->i++) {
        await(my->p, moves(point{1, 2, 3}, my->i));
        my->result += my->p.x == 1 + my->i && my->p.z == 3 + my->i;
    }
    return my->result;
}

TEST_F(Task, ReadsResultsWhereverTheBlockEnds)
{
    for (int fill = 16; fill < 1200; fill += 16)
        ASSERT_EQ(3, RUN(calls_at_the_brink(fill))) << fill;
}

/* Counts what the scheduler asks for. */
struct counting {
    coil_allocator allocator;
    int64_t out_bytes;
    int64_t most_bytes;
    int large_count; /* Allocations that are no slabs. */
};

void *count_allocate(coil_allocator *allocator, size_t size_bytes)
{
    auto *self = coil_container_of(allocator, counting, allocator);
    self->out_bytes += static_cast<int64_t>(size_bytes);
    self->most_bytes = std::max(self->most_bytes, self->out_bytes);
    self->large_count += size_bytes < COIL_SLAB_BYTES / 2 || size_bytes > COIL_SLAB_BYTES;
    return malloc(size_bytes);
}

void count_release(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    auto *self = coil_container_of(allocator, counting, allocator);
    self->out_bytes -= static_cast<int64_t>(size_bytes);
    free(memory);
}

async(int, learns, (int) depth)
{
    vars(char bytes[1000]; int result);
    if (depth > 0)
        await(my->result, learns(depth - 1));
    await(coil_yield());
    return depth;
}

TEST(TaskMemory, SizeOfTheFrameStackIsLearned)
{
    counting memory = {{count_allocate, count_release}, 0, 0, 0};
    coil_sched sched;
    coil_sched_init(&sched, 0, &memory.allocator);
    EXPECT_EQ(0u, learns__stack);

    int first_count = 0;
    for (int i = 0; i < 10; i++) {
        memory.large_count = 0;
        spawn(&sched.root, learns(50));
        while (coil_sched_run(&sched, 100)) {
        }
        if (i == 0)
            first_count = memory.large_count;
    }
    EXPECT_GE(first_count, 2);
    EXPECT_LT(first_count, 10) << "blocks double";
    EXPECT_EQ(1, memory.large_count) << "by now a task is one allocation";
    EXPECT_GT(learns__stack, 51u * 1000u);
    EXPECT_LT(learns__stack, 51u * 1000u * 3 / 2);
    coil_sched_fini(&sched);
    EXPECT_EQ(0, memory.out_bytes);
}

async(int, goes_deep_once, (int) depth)
{
    vars(char bytes[1000]; int result);
    if (depth > 0)
        await(my->result, goes_deep_once(depth - 1));
    if (depth == 0 || depth == 50)
        await(coil_sleep(coil_ms(1)));
    return 0;
}

TEST(TaskMemory, BlocksAreGivenBackWhenTheFramesHaveLeft)
{
    counting memory = {{count_allocate, count_release}, 0, 0, 0};
    coil_sched sched;
    coil_sched_init(&sched, 0, &memory.allocator);
    spawn(&sched.root, goes_deep_once(50));
    while (coil_sched_run(&sched, 100)) {
    }
    int64_t deep_bytes = memory.out_bytes;
    coil_sched_advance(&sched, coil_ms(1));
    while (coil_sched_run(&sched, 100)) {
    }
    EXPECT_EQ(1u, sched.live_count) << "it waits once more, at depth 50";
    EXPECT_LT(memory.out_bytes, deep_bytes - 40000);
    coil_sched_advance(&sched, coil_ms(2));
    while (coil_sched_run(&sched, 100)) {
    }
    coil_sched_fini(&sched);
    EXPECT_EQ(0, memory.out_bytes);
}

/* -------------------------------------------------------------------------- strict builds -- */

#ifdef COIL_STRICT_

async(int, reads_into, (char *) bytes, (int) size)
{
    vars();
    await(coil_yield());
    return bytes[size - 1];
}

async(int, passes_a_local)
{
    vars(int result);
    char bytes[8];
    await(my->result, reads_into(bytes, sizeof(bytes)));
    return my->result;
}

async(int, spawns_with_a_local)
{
    vars(coil_group group);
    char bytes[8];
    open_group(&my->group);
    spawn(&my->group, reads_into(bytes, sizeof(bytes)));
    return 0;
}

async(int, passes_a_variable)
{
    vars(int result; char bytes[8]);
    await(my->result, reads_into(my->bytes, sizeof(my->bytes)));
    return my->result;
}

async(int, spawns_into_an_unopened_group)
{
    vars(coil_group group);
    spawn(&my->group, passes_a_variable());
    return 0;
}

using TaskDeathTest = VirtualTime;

TEST_F(TaskDeathTest, SpawnedIntoAGroupThatWasNotOpenedAborts)
{
    EXPECT_DEATH((void)RUN(spawns_into_an_unopened_group()), "check failed: sched != NULL");
}

TEST_F(TaskDeathTest, WhoseArgumentPointsAtALocalAborts)
{
#ifdef COIL_ASAN_
    if (__asan_get_current_fake_stack() != nullptr)
        GTEST_SKIP() << "AddressSanitizer reports it in its own way";
#endif
    const char *message =
            "coil: reads_into: the argument `bytes` points at a local variable, which "
            "is gone while the coroutine waits; put it into vars \\(...\\)";
    EXPECT_DEATH((void)RUN(passes_a_local()), message);
    EXPECT_DEATH((void)RUN(spawns_with_a_local()), message);
}

TEST_F(Task, WhoseArgumentPointsAtAVariableRuns)
{
    char bytes[8] = {};
    EXPECT_EQ(0, RUN(passes_a_variable()));
    EXPECT_EQ(0, RUN(reads_into(bytes, sizeof(bytes)))) << "outside of coroutines all is well";
}

#endif

} // namespace
