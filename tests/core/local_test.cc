/* SPDX-License-Identifier: MIT */
/* Values that tasks inherit. */
#include "virtual_time.h"

#include <coil/local.h>

#include <cerrno>

#include <coil/sugar.h>

namespace
{

using Local = VirtualTime;

typedef struct request_id {
    int number;
    char text[20];
} request_id;

coil_local_of(request_id) current_request = COIL_LOCAL("current request");
coil_local_of(int) depth = COIL_LOCAL("depth");

int number_of(const coil_task *task)
{
    const request_id *id = coil_local_get(task, &current_request);
    return id == nullptr ? -1 : id->number;
}

int set_number(coil_task *task, int number)
{
    request_id id = {number, "x"};
    return coil_local_set(task, &current_request, &id);
}

async(int, sees, (int *) out_before, (coil_duration) duration, (int *) out_after)
{
    vars();
    *out_before = number_of(coil_self);
    await(coil_sleep(duration));
    *out_after = number_of(coil_self);
    return 0;
}

async(int, sets_and_spawns, (coil_group *) group, (int *) seen)
{
    vars();
    COIL_CHECK(number_of(coil_self) == -1);
    COIL_CHECK(set_number(coil_self, 1) == 0);
    spawn(group, sees(&seen[0], coil_ms(5), &seen[1]));
    COIL_CHECK(set_number(coil_self, 2) == 0);
    spawn(group, sees(&seen[2], coil_ms(5), &seen[3]));
    await(coil_sleep(coil_ms(1)));
    COIL_CHECK(set_number(coil_self, 3) == 0);
    COIL_CHECK(number_of(coil_self) == 3);
    return 0;
}

TEST_F(Local, IsInheritedAsItWasAtTheSpawn)
{
    int seen[4] = {};
    EXPECT_EQ(0, RUN(sets_and_spawns(&sched.root, seen)));
    EXPECT_EQ(1, seen[0]);
    EXPECT_EQ(1, seen[1]) << "also after the parent, which has set others, is gone";
    EXPECT_EQ(2, seen[2]);
    EXPECT_EQ(2, seen[3]);
}

async(int, overrides, (int *) seen)
{
    vars(coil_group group);
    open_group(&my->group);
    COIL_CHECK(set_number(coil_self, 1) == 0);
    COIL_CHECK(coil_local_set(coil_self, &depth, seen) == 0);
    COIL_CHECK(*coil_local_get(coil_self, &depth) == seen[0]);
    COIL_CHECK(number_of(coil_self) == 1);
    COIL_CHECK(set_number(coil_self, 2) == 0);
    COIL_CHECK(number_of(coil_self) == 2);
    seen[0]++;
    COIL_CHECK(*coil_local_get(coil_self, &depth) == seen[0] - 1);
    await(coil_yield());
    return 0;
}

TEST_F(Local, IsACopyAndTheNewestCounts)
{
    int seen = 5;
    EXPECT_EQ(0, RUN(overrides(&seen)));
}

TEST_F(Local, ATaskFromOutsideBeginsWithout)
{
    int before = 0;
    int after = 0;
    EXPECT_EQ(0, RUN(sees(&before, 1, &after)));
    EXPECT_EQ(-1, before);
}

async(int, sets_again_and_again, (int) count)
{
    vars(int i);
    for (my->i = 0; my->i < count; my->i++) {
        COIL_CHECK(set_number(coil_self, my->i) == 0);
        await(coil_yield());
    }
    return number_of(coil_self);
}

struct counting {
    coil_allocator allocator;
    size_t bytes;
};

void *count_allocate(coil_allocator *allocator, size_t size_bytes)
{
    coil_container_of(allocator, counting, allocator)->bytes += size_bytes;
    return malloc(size_bytes);
}

void count_release(coil_allocator *, void *memory, size_t)
{
    free(memory);
}

TEST(LocalMemory, DoesNotGrowWhenOneIsSetAgainAndAgain)
{
    counting memory = {{count_allocate, count_release}, 0};
    coil_sched own;
    coil_sched_init(&own, 0, &memory.allocator);
    int64_t result = 0;
    coil_spawn_result(&own.root, &result, sets_again_and_again(100000));
    while (coil_sched_run(&own, 1000)) {
    }
    EXPECT_EQ(99999, result);
    EXPECT_LT(memory.bytes, 8u * COIL_SLAB_BYTES);
    coil_sched_fini(&own);
}

async(int, is_link_of_a_chain, (coil_group *) group, (int) length, (int *) out_last)
{
    vars();
    COIL_CHECK(length == 100 || number_of(coil_self) == length + 1);
    COIL_CHECK(set_number(coil_self, length) == 0);
    if (length > 0)
        spawn(group, is_link_of_a_chain(group, length - 1, out_last));
    else
        *out_last = number_of(coil_self);
    return 0;
}

TEST_F(Local, OutlivesTheTasksThatHandedItOn)
{
    int last = -1;
    spawn(&sched.root, is_link_of_a_chain(&sched.root, 100, &last));
    drive();
    EXPECT_EQ(0, last);
}

typedef struct refusing {
    coil_allocator allocator;
    bool refuses;
} refusing;

void *refuse_allocate(coil_allocator *allocator, size_t size_bytes)
{
    return coil_container_of(allocator, refusing, allocator)->refuses ? nullptr
                                                                      : malloc(size_bytes);
}

async(int, counts_itself, (int *) count)
{
    vars();
    ++*count;
    COIL_CHECK(number_of(coil_self) == -1 || number_of(coil_self) == 7);
    return number_of(coil_self);
}

enum { HEIRS = 2000 };

/* There is room for the tasks, but not for what each of them would have to remember. */
async(int, spawns_without_memory, (refusing *) memory, (int *) count)
{
    vars(coil_group group; int i; int refused);
    coil_open_group(&my->group);
    my->group.keep_going = true;
    for (; my->i < HEIRS; my->i++)
        spawn(&my->group, counts_itself(count));
    coil_ignore(coil_group_join(&my->group));
    *count = 0;

    COIL_CHECK(set_number(coil_self, 7) == 0);
    memory->refuses = true;
    for (my->i = 0; my->i < HEIRS; my->i++)
        my->refused += spawn(&my->group, counts_itself(count)) == nullptr;
    memory->refuses = false;
    my->group.failed_count = 0;
    coil_ignore(coil_group_join(&my->group));
    COIL_CHECK(my->group.failed_count == 0); /* Those that did start have returned 7. */
    return my->refused;
}

TEST(LocalMemory, FailsTheSpawnRatherThanForgetWhatTheTaskInherits)
{
    refusing memory = {{refuse_allocate, count_release}, false};
    coil_sched own;
    coil_sched_init(&own, 0, &memory.allocator);
    int64_t refused = 0;
    int count = 0;
    coil_spawn_result(&own.root, &refused, spawns_without_memory(&memory, &count));
    while (coil_sched_run(&own, 1000)) {
    }
    EXPECT_GT(refused, 0);
    EXPECT_GT(count, 0);
    EXPECT_EQ(HEIRS, count + (int)refused);
    coil_sched_fini(&own);
}

} // namespace
