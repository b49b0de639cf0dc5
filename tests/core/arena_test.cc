/* SPDX-License-Identifier: MIT */
#include <coil/arena.h>

#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace
{

class Arena : public testing::Test
{
protected:
    void open(size_t limit_bytes)
    {
        coil_arena_init(&arena, limit_bytes);
    }
    ~Arena() override
    {
        coil_arena_fini(&arena);
    }

    coil_arena arena = {};
};

TEST_F(Arena, PiecesAreAlignedAndApart)
{
    std::mt19937 random(1);
    std::vector<std::pair<char *, size_t>> pieces;

    open(SIZE_MAX);
    for (int i = 0; i < 2000; i++) {
        const size_t alignment = size_t{1} << random() % 5;
        const size_t size = random() % 100 == 0 ? random() % 20000 : random() % 50;
        char *piece = (char *)coil_arena_take(&arena, size, alignment);
        ASSERT_NE(piece, nullptr);
        ASSERT_EQ((uintptr_t)piece % alignment, 0u);
        memset(piece, i % 256, size);
        pieces.emplace_back(piece, size);
    }
    for (int i = 0; i < 2000; i++) {
        for (size_t j = 0; j < pieces[i].second; j++)
            ASSERT_EQ((unsigned char)pieces[i].first[j], i % 256);
    }
}

TEST_F(Arena, GivesNoMoreThanItsLimit)
{
    open(1000);
    EXPECT_NE(coil_arena_take(&arena, 600, 1), nullptr);
    EXPECT_EQ(coil_arena_take(&arena, 401, 1), nullptr);
    EXPECT_NE(coil_arena_take(&arena, 400, 1), nullptr);
    EXPECT_EQ(coil_arena_taken(&arena), 1000u);
    EXPECT_EQ(coil_arena_take(&arena, 1, 1), nullptr);
    EXPECT_EQ(coil_arena_take(&arena, SIZE_MAX, 16), nullptr);
    coil_arena_reset(&arena);
    EXPECT_EQ(coil_arena_taken(&arena), 0u);
    EXPECT_NE(coil_arena_take(&arena, 1000, 1), nullptr);
}

TEST_F(Arena, TheLimitHoldsAcrossBlocks)
{
    open(100000);
    size_t taken = 0;
    while (coil_arena_take(&arena, 10, 1) != nullptr)
        taken += 10;
    EXPECT_EQ(taken, 100000u);
}

TEST_F(Arena, NothingIsAPieceToo)
{
    open(0);
    EXPECT_NE(coil_arena_take(&arena, 0, 1), nullptr);
    EXPECT_EQ(coil_arena_take(&arena, 1, 1), nullptr);
}

TEST_F(Arena, AfterAResetNothingIsAllocated)
{
    open(SIZE_MAX);
    for (int i = 0; i < 100; i++)
        coil_arena_take(&arena, 1000, 8);
    coil_arena_reset(&arena);
    void *first = coil_arena_take(&arena, 1000, 8);
    for (int i = 0; i < 50; i++) {
        coil_arena_reset(&arena);
        EXPECT_EQ(coil_arena_take(&arena, 1000, 8), first);
    }
}

TEST_F(Arena, MayBeGivenBackAtAnyTime)
{
    coil_arena_fini(nullptr);
    coil_arena_fini(&arena);
    coil_arena_reset(&arena);
    open(10);
    coil_arena_fini(&arena);
    coil_arena_fini(&arena);
}

} // namespace
