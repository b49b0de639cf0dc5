/* SPDX-License-Identifier: MIT */
/* pool.h: how much is on offer follows what is needed, and so do the buffers that we fill. */
#include "stage.h"

#include <vector>

extern "C" {
#include "pool.h"
}

namespace
{

class Pool : public Proactor
{
protected:
    void SetUp() override
    {
        pool = loop_buffers(loop);
        ASSERT_NE(nullptr, pool);
        if (!pool->incremental)
            GTEST_SKIP() << "this kernel has no incremental buffers";
    }

    /* As if the kernel had filled it. */
    coil_slice fill(unsigned id)
    {
        return buffer_pool_take(pool, 1, IORING_CQE_F_BUFFER | id << IORING_CQE_BUFFER_SHIFT);
    }

    /* All that are in the ring, and back. */
    void turn_over_all()
    {
        std::vector<coil_slice> slices;
        for (unsigned id = 0; id < pool->count; id++) {
            if (pool->buffers[id].in_ring)
                slices.push_back(fill(id));
        }
        for (coil_slice &slice : slices)
            coil_slice_release(&slice);
    }

    void grow_to_the_end()
    {
        while (buffer_pool_grow(pool))
            continue;
    }

    coil_slice fill_hot(int64_t size_bytes)
    {
        coil_buffer *hot = buffer_pool_hot(pool);
        EXPECT_NE(nullptr, hot);
        EXPECT_TRUE(hot->is_ours);
        return buffer_fill(hot, size_bytes);
    }

    buffer_pool *pool = nullptr;
};

enum { ALMOST_ALL_BYTES = 200 * 1024 }; /* Of a hot buffer: with the rest, another is taken. */

TEST_F(Pool, OffersMoreEachTimeThatAReceiveFindsNothingUntilThatIsAll)
{
    unsigned in_ring_count = pool->in_ring_count;
    EXPECT_GT(pool->count, in_ring_count);
    EXPECT_TRUE(buffer_pool_ready(pool));
    EXPECT_TRUE(buffer_pool_relaxed(pool));
    while (buffer_pool_grow(pool)) {
        EXPECT_LT(in_ring_count, pool->in_ring_count);
        in_ring_count = pool->in_ring_count;
    }
    EXPECT_EQ(pool->count, in_ring_count);
    EXPECT_FALSE(buffer_pool_grow(pool));
}

TEST_F(Pool, IsNotReadyWhileAllBuffersAreHeld)
{
    std::vector<coil_slice> slices;
    for (unsigned id = 0; pool->in_ring_count > 0; id++)
        slices.push_back(fill(id));
    EXPECT_FALSE(buffer_pool_ready(pool));
    EXPECT_FALSE(buffer_pool_relaxed(pool));
    coil_slice_release(&slices[0]);
    EXPECT_TRUE(buffer_pool_ready(pool));
    EXPECT_FALSE(buffer_pool_relaxed(pool)) << "most are still held";
    for (coil_slice &slice : slices)
        coil_slice_release(&slice);
    EXPECT_TRUE(buffer_pool_relaxed(pool));
}

TEST_F(Pool, OffersLessByItselfWhenMostHasNeverBeenNeeded)
{
    unsigned least_count = pool->in_ring_count;
    grow_to_the_end();
    for (int i = 0; i < 3 * POOL_TURNOVERS; i++) {
        coil_slice slice = fill(0);
        coil_slice_release(&slice);
    }
    EXPECT_EQ(0u, pool->offer);
    turn_over_all();
    EXPECT_EQ(least_count, pool->in_ring_count) << "those too many stay out";
    EXPECT_TRUE(buffer_pool_grow(pool));
    EXPECT_LT(least_count, pool->in_ring_count) << "and come back when they are needed";
}

TEST_F(Pool, OffersAsMuchAsBeforeWhileItIsNeeded)
{
    grow_to_the_end();
    for (int i = 0; i < POOL_TURNOVERS; i++)
        turn_over_all();
    EXPECT_EQ(pool->count, pool->in_ring_count);
}

TEST_F(Pool, TheHotBufferIsFilledFromItsStartAgainWhenNobodyHoldsIt)
{
    const char *start = nullptr;
    for (int i = 0; i < 10; i++) {
        coil_slice slice = fill_hot(ALMOST_ALL_BYTES);
        if (i == 0)
            start = slice.bytes;
        EXPECT_EQ(start, slice.bytes);
        coil_slice_release(&slice);
    }
}

TEST_F(Pool, AHeldHotBufferIsFilledBehindWhatIsHeldAndThenReplaced)
{
    coil_slice first = fill_hot(100);
    coil_slice second = fill_hot(ALMOST_ALL_BYTES);
    EXPECT_EQ(first.bytes + 100, second.bytes);
    coil_slice third = fill_hot(100);
    EXPECT_NE(first.buffer, third.buffer) << "there was too little room";
    EXPECT_EQ(1u, pool->held_count);
    coil_buffer *held = first.buffer;
    coil_slice_release(&first);
    coil_slice_release(&second);
    EXPECT_EQ(0u, pool->held_count);
    ASSERT_EQ(1u, pool->spare_count);
    EXPECT_EQ(held, pool->spare[0]);
    EXPECT_EQ(0u, held->used_bytes);
    coil_slice fourth = fill_hot(ALMOST_ALL_BYTES);
    coil_slice fifth = fill_hot(100);
    EXPECT_EQ(held, fifth.buffer) << "the spare one comes before a new one";
    EXPECT_EQ(0u, pool->spare_count);
    for (coil_slice *slice : {&third, &fourth, &fifth})
        coil_slice_release(slice);
}

TEST_F(Pool, KeepsAFewSpareBuffersAndNoMore)
{
    std::vector<coil_slice> slices;
    for (int i = 0; i < POOL_SPARE_MAX + 4; i++)
        slices.push_back(fill_hot(ALMOST_ALL_BYTES));
    EXPECT_EQ(POOL_SPARE_MAX + 3u, pool->held_count);
    for (coil_slice &slice : slices)
        coil_slice_release(&slice);
    EXPECT_EQ(0u, pool->held_count);
    EXPECT_EQ(static_cast<unsigned>(POOL_SPARE_MAX), pool->spare_count);
}

} // namespace
