/* SPDX-License-Identifier: MIT */
/* Memory for tasks after a peak: what is given back, and that nothing else is. */
#include "virtual_time.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include <coil/sugar.h>

namespace
{

enum { CROWD = 10000 };

/* The heap, until the test says that there is none. */
struct Memory {
    coil_allocator allocator;
    size_t allocation_count;
    bool is_short;
    size_t most_bytes; /* At a time. */
};

/* All that is allocated, and how large it is. */
std::map<char *, size_t> blocks;

Memory *memory_of(coil_allocator *allocator)
{
    return coil_container_of(allocator, Memory, allocator);
}

void *allocate(coil_allocator *allocator, size_t size_bytes)
{
    Memory *memory = memory_of(allocator);
    if (memory->is_short || size_bytes > memory->most_bytes)
        return nullptr;
    memory->allocation_count++;
    auto *block = static_cast<char *>(malloc(size_bytes));
    blocks[block] = size_bytes;
    return block;
}

void release(coil_allocator *allocator, void *block, size_t size_bytes)
{
    (void)allocator;
    EXPECT_EQ(size_bytes, blocks.at(static_cast<char *>(block)));
    blocks.erase(static_cast<char *>(block));
    free(block);
}

/* Overwrites what is forgotten, as the system may. */
struct Purged {
    coil_purge_hook hook;
    size_t size_bytes;
};

void purge(coil_purge_hook *hook, void *place, size_t size_bytes)
{
    auto *self = coil_container_of(hook, Purged, hook);
    auto *bytes = static_cast<char *>(place);
    auto block = std::prev(blocks.upper_bound(bytes));

    EXPECT_GE(bytes, block->first);
    EXPECT_LE(bytes + size_bytes, block->first + block->second) << "inside of what we have";
    memset(bytes, 0xee, size_bytes);
    self->size_bytes += size_bytes;
}

/* Sleeps, with a number in its frame that has to be there still. */
async(int, sleeps, (coil_time) until, (int) number)
{
    vars(int kept[16]);
    my->kept[15] = number;
    await(coil_sleep_until(until));
    EXPECT_EQ(number, my->kept[15]);
    return 0;
}

class Slab : public VirtualTime
{
protected:
    Slab() : VirtualTime(&memory.allocator) {}

    void SetUp() override
    {
        crowd(1, 1); /* The first of a kind has a small stack, the next ones have what it needed. */
        drive();
    }

    ~Slab() override
    {
        drive();
    }

    /* Those whose number is a multiple of `each` sleep for two hours, the others for one. */
    void crowd(int count, int each)
    {
        for (int i = 0; i < count; i++)
            spawn(&sched.root, sleeps(sched.now + coil_s(i % each == 0 ? 7200 : 3600), i));
        settle();
    }

    size_t trim()
    {
        purged = {{purge}, 0};
        const size_t rested_bytes = coil_sched_trim(&sched, &purged.hook);
        EXPECT_EQ(rested_bytes, purged.size_bytes);
        return rested_bytes;
    }

    static size_t held_bytes()
    {
        size_t total_bytes = 0;
        for (const auto &block : blocks)
            total_bytes += block.second;
        return total_bytes;
    }

    static inline Memory memory = {{allocate, release}, 0, false, SIZE_MAX};
    Purged purged = {};
};

TEST_F(Slab, GivesBackWhatACrowdHasUsed)
{
    crowd(CROWD, CROWD);
    EXPECT_FALSE(coil_sched_has_excess(&sched));
    pass(coil_s(3601));
    EXPECT_TRUE(coil_sched_has_excess(&sched));
    EXPECT_GT(trim(), held_bytes() / 10 * 9);
    EXPECT_FALSE(coil_sched_has_excess(&sched)) << "once is enough";
    EXPECT_EQ(0u, trim()) << "there is nothing left";
}

TEST_F(Slab, KeepsThoseInWhichATaskIsLeft)
{
    (void)trim();     /* What the first of its kind has left. */
    crowd(CROWD, 10); /* One of ten stays: in every slab. */
    pass(coil_s(3601));
    EXPECT_TRUE(coil_sched_has_excess(&sched));
    EXPECT_GT(2u * COIL_SLAB_BYTES, trim()) << "but for those who were the first of their kind";
    pass(coil_s(3601)); /* They find in their frames what they left there. */
    EXPECT_EQ(0u, sched.live_count);
}

TEST_F(Slab, LeavesTheOthersToThoseWhoComeNext)
{
    crowd(CROWD, 10);
    pass(coil_s(3601));
    (void)trim();
    const size_t before = memory.allocation_count;
    crowd(CROWD / 2, 1);
    EXPECT_EQ(before, memory.allocation_count) << "the free blocks are still free";
}

TEST_F(Slab, UsesForgottenMemoryAgainBeforeItAsksForMore)
{
    crowd(CROWD, CROWD);
    pass(coil_s(3601));
    EXPECT_GT(trim(), 0u);
    const size_t before = memory.allocation_count;
    crowd(CROWD - 2, CROWD);
    EXPECT_EQ(before, memory.allocation_count);
    pass(coil_s(3601));
    EXPECT_GT(trim(), held_bytes() / 10 * 9) << "and gives it back again";
}

TEST_F(Slab, HasNoExcessWhileMostTasksAreThere)
{
    crowd(CROWD, 3);
    pass(coil_s(3601));
    EXPECT_EQ(static_cast<size_t>((CROWD + 2) / 3), sched.live_count);
    EXPECT_FALSE(coil_sched_has_excess(&sched));
}

TEST_F(Slab, IsNotWorthALookIfThereIsLittle)
{
    crowd(CROWD / 50, CROWD);
    pass(coil_s(3601));
    EXPECT_FALSE(coil_sched_has_excess(&sched));
}

TEST_F(Slab, IsNotLookedThroughIfThatWouldTakeTooLong)
{
    crowd(CROWD, CROWD);
    sched.slab_count += 4096; /* As if there were 128 MiB more of them. */
    crowd(CROWD, CROWD);
    pass(coil_s(3601));
    EXPECT_FALSE(coil_sched_has_excess(&sched));
}

TEST_F(Slab, ComesWithOthersWhereThereAreMany)
{
    const size_t before = memory.allocation_count;
    crowd(CROWD, CROWD);
    EXPECT_LT(memory.allocation_count - before, sched.slab_count / 2);
    EXPECT_LE(held_bytes(), (sched.slab_count + 4) * COIL_SLAB_BYTES);
    pass(coil_s(3601));
}

TEST_F(Slab, ComesAloneWhereThereAreFewOfItsSize)
{
    crowd(CROWD, CROWD);
    const size_t before = held_bytes();
    std::vector<void *> memory_of_sizes;
    for (size_t size = 1024; size < 1024 + 40 * COIL_SLAB_STEP_BYTES; size += COIL_SLAB_STEP_BYTES)
        memory_of_sizes.push_back(coil_sched_allocate(&sched, size));
    EXPECT_LE(held_bytes() - before, 40u * COIL_SLAB_BYTES);
    size_t size = 1024;
    for (void *one : memory_of_sizes) {
        coil_sched_release(&sched, one, size);
        size += COIL_SLAB_STEP_BYTES;
    }
    pass(coil_s(3601));
}

TEST_F(Slab, ComesAloneWhereThereIsNoRoomForMore)
{
    memory.most_bytes = COIL_SLAB_BYTES;
    const size_t slabs_before = sched.slab_count;
    const size_t before = memory.allocation_count;
    crowd(CROWD, CROWD);
    EXPECT_EQ(sched.slab_count - slabs_before, memory.allocation_count - before);
    pass(coil_s(3601));
    memory.most_bytes = SIZE_MAX;
}

TEST_F(Slab, StaysAsItIsIfThereIsNoMemoryToTrimItWith)
{
    crowd(CROWD, CROWD);
    pass(coil_s(3601));
    memory.is_short = true;
    EXPECT_EQ(0u, trim());
    memory.is_short = false;
    const size_t before = memory.allocation_count;
    crowd(CROWD / 2, CROWD);
    EXPECT_EQ(before, memory.allocation_count);
}

TEST_F(Slab, GivesBackAtTheEndWhatHasBeenForgotten)
{
    const size_t before_bytes = held_bytes();
    {
        coil_sched other;
        coil_sched_init(&other, 0, &memory.allocator);
        for (int i = 0; i < CROWD; i++)
            spawn(&other.root, sleeps(coil_s(1), i));
        while (coil_sched_run(&other, CROWD)) {
        }
        coil_sched_advance(&other, coil_s(1));
        while (coil_sched_run(&other, CROWD)) {
        }
        purged = {{purge}, 0};
        EXPECT_GT(coil_sched_trim(&other, &purged.hook), 0u);
        coil_sched_fini(&other);
    }
    EXPECT_EQ(before_bytes, held_bytes());
}

} // namespace
