/* SPDX-License-Identifier: MIT */
/*
 * Random trees of coroutines: deadlines, shields (in both nestings, and around groups), groups,
 * spawns under adaptors, joins, cancellations from inside and from outside, cleanups that wait,
 * fail, open groups and have deadlines of their own, frame stacks that spill, eager leaves. One
 * seed is one run, of which a strict build and one that is not have the same digest:
 *
 *     coro_fuzz [--seed=N] [--rounds=N] [--tasks=N]
 *
 * Each round checks what must hold whatever happens:
 *
 *   - every coroutine that was entered has left, and all its defers have run, once, youngest first
 *   - all tasks have ended, no timer is armed, and all memory has come back
 *   - no variable of a suspended coroutine changes, and no two frames overlap
 *   - nothing is cancelled inside a shield unless it was asked for inside that shield
 *   - a call with a deadline that was cut returns -ETIME, and not before the deadline
 *   - a group has no live task when its coroutine has left or joined it
 *   - a sleep that ends by itself has lasted as long as asked
 *   - an eager leaf has the result of its own arguments, or was cut
 */
#include <coil/sched.h>
#include <coil/trace.h>

#include "coro_fuzz_draws.h"

#include <errno.h>

#include <coil/sugar.h>

static coil_sched sched;
static uint64_t state;
static uint64_t round_number;
static uint64_t digest; /* Of all that was picked, and of when. */

static struct counters {
    int64_t entered, left;        /* Coroutines. */
    int64_t deferred, undeferred; /* Defers. */
    int64_t steps, cut, failed, cancelled, bytes;
} count;

#define EXPECT(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))

static void broken(const char *condition, int line)
{
    fprintf(stderr, "line %d: does not hold: %s   (--seed=%llu --rounds=1)\n", line, condition,
            (unsigned long long)round_number);
    coil_trace_group(&sched.root, stderr);
    abort();
}

/* xorshift64*: the same numbers everywhere. */
static unsigned pick(unsigned below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (unsigned)((state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static bool one_in(unsigned count_of)
{
    return pick(count_of) == 0;
}

static void note(uint64_t number)
{
    digest = (digest ^ state ^ number ^ (uint64_t)sched.now) * UINT64_C(0x100000001B3);
}

/* Few distinct values: ties are what is interesting. */
static coil_duration briefly(void)
{
    return coil_us(500) * pick(5);
}

/* (One pick after the other: the order of initialisers is the compiler's.) */
static draw_plan any_plan(void)
{
    draw_plan plan = {.way = pick(DRAW_WAYS)};
    plan.is_fed = one_in(2);
    plan.push_bytes = (uint16_t)(one_in(3) ? pick(1000) : 0);
    plan.duration = briefly();
    return plan;
}

/* A group that its coroutine must find empty when it has left. */
typedef struct watched {
    coil_group group;
    coil_task *task;
} watched;

coil_declare(int, grows, (int) depth, (int) shields);

/* Sleeps, and says whether it was cut. */
async(int, rests, (coil_duration) duration, (int) shields)
{
    vars(coil_time begun; bool rested);
    my->begun = sched.now;
    defer(EXPECT(!my->rested || sched.now - my->begun >= duration); (void)shields);
    await(coil_sleep(duration));
    my->rested = true;
    return 1;
}

/* (No -ETIME but that of a call's own deadline, so that the deadline can be checked.) */
async(int, fails_with, (int) error)
{
    vars();
    return error;
}

/* Needs more frame stack than a first block has, at random depths. */
async(int, spills, (int) depth)
{
    vars(char bytes[700]; int result);
    memset(my->bytes, depth, sizeof(my->bytes));
    count.entered++;
    count.deferred++;
    defer(count.undeferred++; count.left++);
    if (depth > 0)
        await(my->result, spills(depth - 1));
    if (one_in(2))
        ignore(rests(briefly(), 0));
    EXPECT(my->bytes[0] == (char)depth && my->bytes[699] == (char)depth);
    return depth;
}

/* A burst of eager leaves is the first that it does, and perhaps all. */
async(int, draws_some, (int) depth, (int) count_of)
{
    vars(int i; int number; drawn both; char bytes[56]);
    await(my->number, takes(any_plan(), depth));
    count.entered++;
    defer(count.left++);
    memset(my->bytes, depth, sizeof(my->bytes));
    EXPECT(my->number == depth);
    for (my->i = 0; my->i < count_of; my->i++) {
        attempt(my->both, draws(any_plan(), my->i + depth));
        EXPECT(my->both.number == my->i + depth && my->both.same == my->both.number);
        await(my->number, takes(any_plan(), my->i));
        EXPECT(my->number == my->i);
        EXPECT(my->bytes[0] == (char)depth && my->bytes[55] == (char)depth);
        note((uint64_t)my->number);
    }
    return my->number;
}

/* With adaptors it is a call like any other. */
async(int, draws_in_time, (int) depth)
{
    vars(drawn both; int number);
    await(my->both, within(briefly(), draws(any_plan(), depth)));
    EXPECT(my->both.number == -ETIME || (my->both.number == depth && my->both.same == depth));
    await(my->number, shield(takes(any_plan(), depth)));
    EXPECT(my->number == depth);
    note((uint64_t)my->both.number);
    return depth;
}

/* A cleanup that can do everything; it is masked, so whatever is cut in it, is cut by itself. */
async(void, cleans_up, (int) depth)
{
    vars(int result; coil_group group; drawn both);
    count.entered++;
    defer(count.left++);
    switch (pick(11)) {
    case 0:
        await(coil_sleep(briefly()));
        break;
    case 1:
        await(my->result, within(briefly(), rests(coil_ms(1), 1)));
        EXPECT(my->result == -ETIME || my->result == 1);
        break;
    case 2:
        coil_task_cancel(coil_self);
        await(my->result, rests(coil_us(500), 1));
        EXPECT(my->result == 1);
        break;
    case 3:
        await(coil_yield());
        break;
    case 4:
        open_group(&my->group);
        my->group.keep_going = one_in(2);
        spawn(&my->group, grows(depth + 3, 0));
        if (one_in(2))
            ignore(coil_group_join(&my->group));
        break;
    case 5:
        await(my->result, spills(1));
        break;
    case 6:
        await(my->both, draws(any_plan(), depth));
        EXPECT(my->both.number == depth && my->both.same == depth);
        break;
    case 7:
        await(my->result, draws_some(depth, 3));
        break;
    }
}

async(int, opens_groups, (int) depth, (int) shields)
{
    vars(coil_group older; coil_group younger; coil_task *task; int64_t results[3]; int i;
            int result);
    count.entered++;
    defer(count.left++; EXPECT(my->older.live_count == 0));
    open_group(&my->older);
    my->older.keep_going = one_in(2);
    if (one_in(2)) {
        count.deferred++;
        defer(count.undeferred++; EXPECT(my->younger.live_count == 0); await(cleans_up(depth)));
    }
    open_group(&my->younger);
    my->younger.keep_going = one_in(3);

    for (my->i = 0; my->i < 3; my->i++) {
        my->results[my->i] = INT64_MIN;
        switch (pick(6)) {
        case 0:
            coil_spawn_result(&my->older, &my->results[my->i], grows(depth + 2, 0));
            break;
        case 1:
            my->task = spawn(&my->younger, within(briefly(), grows(depth + 2, 0)));
            if (one_in(4))
                coil_task_cancel(my->task);
            break;
        case 2:
            spawn(&my->younger, shield(within(briefly(), grows(depth + 3, 0))));
            break;
        case 3:
            spawn(&my->older, rests(one_in(3) ? COIL_FOREVER : briefly(), 0));
            break;
        case 4:
            spawn(&my->younger, coil_sleep(briefly()));
            break;
        case 5:
            spawn(&my->younger, draws_some(depth, (int)pick(3)));
            spawn(&my->older, takes(any_plan(), depth));
            break;
        }
        if (one_in(4))
            ignore(rests(briefly(), shields));
        if (one_in(12))
            coil_group_cancel(&my->older);
    }

    switch (pick(5)) {
    case 0:
        await(my->result, coil_group_join(&my->younger));
        EXPECT(my->younger.live_count == 0 && my->result <= 0);
        spawn(&my->younger, rests(briefly(), 0));
        coil_group_cancel(&my->older);
        await(my->result, coil_group_join(&my->older));
        EXPECT(my->older.live_count == 0);
        break;
    case 1:
        await(my->result, within(briefly(), coil_group_join(&my->younger)));
        EXPECT(my->younger.live_count == 0);
        break;
    case 2:
        await(my->result, shield(within(coil_ms(3), coil_group_join(&my->older))));
        EXPECT(my->older.live_count == 0);
        break;
    case 3:
        return -EPIPE;
    }
    return depth;
}

/* One call with a deadline: it is cut at the deadline or not at all. */
async(int, limits, (int) depth, (int) shields)
{
    vars(int result; coil_time begun; coil_duration limit);
    my->begun = sched.now;
    my->limit = briefly();
    await(my->result, within(my->limit, grows(depth + 1, shields)));
    if (my->result == -ETIME) {
        EXPECT(sched.now - my->begun >= my->limit);
        count.cut++;
    }
    return 0;
}

/* Whatever happens outside, the call in the shield comes to its own end. */
async(int, is_shielded, (int) depth)
{
    vars(int result; bool came_back);
    defer(EXPECT(my->came_back));
    switch (pick(5)) {
    case 0:
        await(my->result, shield(grows(depth + 1, 1)));
        break;
    case 1:
        await(my->result, shield(within(briefly(), grows(depth + 2, 1))));
        break;
    case 2:
        await(my->result, within(briefly(), shield(grows(depth + 2, 1))));
        EXPECT(my->result != -ETIME);
        break;
    case 3:
        await(my->result,
                within(briefly(), shield(until(sched.now + briefly(), grows(depth + 2, 1)))));
        break;
    case 4:
        await(my->result, shield(rests(briefly(), 1)));
        EXPECT(my->result == 1);
        break;
    }
    my->came_back = true;
    return 0;
}

coil_define(int, grows, (int) depth, (int) shields)
{
    vars(int i; int result; int order; char low[48]; char high[48]);
    count.entered++;
    memset(my->low, depth, sizeof(my->low));
    memset(my->high, ~depth, sizeof(my->high));
    defer(count.left++; EXPECT(my->order == 0));
    count.deferred++;
    my->order = 1;
    defer(EXPECT(my->order == 1); if (one_in(3)) await(cleans_up(depth)); my->order--;
            count.undeferred++);
    if (one_in(3)) {
        count.deferred++;
        my->order = 2;
        defer(EXPECT(my->order == 2); my->order--; count.undeferred++;
                if (one_in(4)) attempt(rests(coil_us(500), 1)));
    }
    if (depth > 9)
        return depth;

    for (my->i = 0; my->i < 3; my->i++) {
        count.steps++;
        switch (pick(14)) {
        case 0:
            ignore(rests(briefly(), shields));
            break;
        case 1:
            await(my->result, grows(depth + 1, shields));
            break;
        case 2:
            await(my->result, limits(depth, shields));
            break;
        case 3:
            await(my->result, is_shielded(depth));
            break;
        case 4:
            ignore(opens_groups(depth, shields));
            break;
        case 5:
            await(my->result, opens_groups(depth + 1, shields));
            attempt(fails_with(my->result < 0 ? -EPIPE : 0));
            break;
        case 6:
            if (one_in(5)) {
                count.failed++;
                return -EIO;
            }
            break;
        case 7:
            if (one_in(6)) {
                count.cancelled++;
                coil_task_cancel(coil_self);
            }
            break;
        case 8:
            await(my->result, spills((int)pick(6)));
            break;
        case 9:
            await(within(briefly(), coil_yield()));
            break;
        case 10:
            await(my->result, until(sched.now + briefly(), limits(depth + 1, shields)));
            if (my->result != 0)
                return -EAGAIN;
            break;
        case 11:
            await(my->result, draws_some(depth, (int)pick(5)));
            break;
        case 12:
            await(my->result, draws_in_time(depth));
            break;
        case 13:
            my->result = one_in(8) ? -EPROTO : depth;
            attempt(takes(any_plan(), my->result));
            break;
        }
        EXPECT(my->low[0] == (char)depth && my->low[47] == (char)depth);
        EXPECT(my->high[0] == (char)~depth && my->high[47] == (char)~depth);
    }
    return depth;
}

static coil_task *any_task(coil_group *group)
{
    coil_list *link = group->tasks.next;
    for (unsigned skip = pick(8); skip > 0 && link->next != &group->tasks; skip--)
        link = link->next;
    return link == &group->tasks ? NULL : coil_container_of(link, coil_task, link);
}

async(int, everything, (int) task_count)
{
    vars(coil_group group; int i; int result);
    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < task_count; my->i++) {
        spawn(&my->group, grows(0, 0));
        if (one_in(16))
            await(coil_sleep(briefly()));
        if (one_in(32) && any_task(&my->group) != NULL)
            coil_task_cancel(any_task(&my->group));
    }
    await(my->result, within(coil_ms(5 + pick(50)), coil_group_join(&my->group)));
    return my->result;
}

/* ------------------------------------------------------------------------------- the world -- */

static void *allocate(coil_allocator *allocator, size_t size_bytes)
{
    (void)allocator;
    count.bytes += (int64_t)size_bytes;
    void *memory = malloc(size_bytes);
    if (memory != NULL)
        memset(memory, 0xA5, size_bytes);
    return memory;
}

static void release(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    (void)allocator;
    count.bytes -= (int64_t)size_bytes;
    free(memory);
}

static coil_allocator counting = {allocate, release};

/* The driver is late at times, and cancels a task of the tree now and then. */
static void drive(void)
{
    for (;;) {
        bool more = coil_sched_run(&sched, 1 + pick(200));
        if (one_in(64)) {
            coil_task *task = any_task(&sched.root);
            coil_group *below;
            while (task != NULL && (below = coil_task_group(task, NULL)) != NULL && !one_in(4)) {
                coil_task *child = any_task(below);
                if (child == NULL)
                    break;
                task = child;
            }
            if (task != NULL && task->group != &sched.root)
                coil_task_cancel(task);
        }
        if (more)
            continue;
        if (sched.live_count == 0)
            return;
        coil_time next = coil_sched_next(&sched);
        EXPECT(next != COIL_NEVER);
        coil_sched_advance(&sched, one_in(4) ? next + briefly() : next);
    }
}

static void play(uint64_t seed, int task_count)
{
    round_number = seed;
    state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    coil_sched_init(&sched, (coil_time)pick(1000), &counting);
    coil_spawn(&sched.root, everything(task_count));
    drive();
    EXPECT(count.entered == count.left);
    EXPECT(count.deferred == count.undeferred);
    EXPECT(coil_timer_wheel_next(&sched.wheel) == COIL_NEVER);
    coil_sched_fini(&sched);
    EXPECT(count.bytes == 0);
    note((uint64_t)count.steps);
}

int main(int argument_count, char **arguments)
{
    unsigned long long seed = 1;
    int rounds = 20;
    int task_count = 100;
    for (int i = 1; i < argument_count; i++) {
        if (sscanf(arguments[i], "--seed=%llu", &seed) == 1 ||
                sscanf(arguments[i], "--rounds=%d", &rounds) == 1 ||
                sscanf(arguments[i], "--tasks=%d", &task_count) == 1)
            continue;
        fprintf(stderr, "usage: %s [--seed=N] [--rounds=N] [--tasks=N]\n", arguments[0]);
        return 2;
    }
    printf("--seed=%llu --rounds=%d --tasks=%d\n", seed, rounds, task_count);
    fflush(stdout);
    for (int i = 0; i < rounds; i++)
        play(seed + (unsigned)i, task_count);
    printf("%lld coroutines, %lld defers, %lld steps, %lld calls cut, %lld tasks failed, "
           "%lld cancelled themselves; digest %016llx\n",
            (long long)count.left, (long long)count.undeferred, (long long)count.steps,
            (long long)count.cut, (long long)count.failed, (long long)count.cancelled,
            (unsigned long long)digest);
    return 0;
}
