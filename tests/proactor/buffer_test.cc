/* SPDX-License-Identifier: MIT */
/* coil/buffer.h: slices, cut and put together, against plain strings. */
#include "stage.h"

#include <vector>

#include <coil/sugar.h>

namespace
{

async(int, takes, (coil_receiver *) receiver, (coil_slice *) slice)
{
    vars();
    await(*slice, coil_receiver_next(receiver));
    return static_cast<int>(slice->size_bytes);
}

class Buffer : public Proactor
{
protected:
    Buffer()
    {
        Ends ends = make_unix();
        in = std::move(ends.in);
        EXPECT_EQ(0,
                coil_receiver_create(loop, ends.out.release(), COIL_TRANSPORT_SOCKET, &receiver));
    }

    ~Buffer() override
    {
        coil_receiver_close(receiver);
        end();
    }

    coil_slice receive(const std::string &content)
    {
        coil_slice slice = {};
        put(in, content);
        while (slice.size_bytes <
                static_cast<int64_t>(content.size())) { /* A buffer may end in it. */
            coil_slice more = {};
            EXPECT_LT(0, RUN(takes(receiver, &more)));
            EXPECT_EQ(0, coil_slice_append(&slice, &more));
        }
        return slice;
    }

    static std::string text(const coil_slice &slice)
    {
        return std::string(slice.bytes, static_cast<size_t>(slice.size_bytes));
    }

    Fd in;
    coil_receiver *receiver = nullptr;
};

TEST_F(Buffer, AnEmptySliceOwnsNothing)
{
    coil_slice slice = {};
    EXPECT_TRUE(coil_slice_empty(&slice));
    coil_slice_release(&slice);
    coil_slice_release(&slice);
    slice.size_bytes = -ECONNRESET;
    EXPECT_FALSE(coil_slice_empty(&slice));
    coil_slice_release(&slice);
    EXPECT_TRUE(coil_slice_empty(&slice));
}

TEST_F(Buffer, SplitCutsWithoutACopy)
{
    coil_slice rest = receive("headerbody");
    coil_slice head = coil_slice_split(&rest, 6);
    EXPECT_EQ("header", text(head));
    EXPECT_EQ("body", text(rest));
    EXPECT_EQ(head.bytes + 6, rest.bytes);
    EXPECT_TRUE(coil_slice_continues(&head, &rest));
    EXPECT_FALSE(coil_slice_continues(&rest, &head));
    coil_slice nothing = coil_slice_split(&rest, 0);
    EXPECT_TRUE(coil_slice_empty(&nothing));
    coil_slice_release(&nothing);
    coil_slice_release(&head);
    EXPECT_EQ("body", text(rest)) << "the buffer is still held";
    coil_slice all = coil_slice_split(&rest, 4);
    EXPECT_TRUE(coil_slice_empty(&rest));
    EXPECT_EQ("body", text(all));
    coil_slice_release(&all);
    coil_slice_release(&rest);
}

TEST_F(Buffer, ConsumeDropsFromTheFront)
{
    coil_slice slice = receive("abcdef");
    coil_slice_consume(&slice, 2);
    EXPECT_EQ("cdef", text(slice));
    coil_slice_consume(&slice, 100);
    EXPECT_TRUE(coil_slice_empty(&slice));
    coil_slice_release(&slice);
}

TEST_F(Buffer, AppendPutsBehindAndReleases)
{
    coil_slice all = {};
    std::string expected;
    for (int i = 0; i < 200; i++) {
        std::string piece = "<" + std::to_string(i) + ">";
        coil_slice more = receive(piece);
        EXPECT_EQ(0, coil_slice_append(&all, &more));
        EXPECT_EQ(nullptr, more.buffer);
        expected += piece;
        ASSERT_EQ(expected, text(all));
    }
    coil_slice_release(&all);
}

TEST_F(Buffer, AppendDoesNotOverwriteWhatWasSplitOff)
{
    coil_slice all = receive("ab");
    coil_slice more = receive("cdef");
    ASSERT_EQ(0, coil_slice_append(&all, &more)); /* A private buffer, with room. */
    coil_slice first = coil_slice_split(&all, 3);
    more = receive("GH");
    ASSERT_EQ(0, coil_slice_append(&first, &more)) << "which is not the end of its buffer";
    more = receive("IJ");
    ASSERT_EQ(0, coil_slice_append(&all, &more));
    EXPECT_EQ("abcGH", text(first));
    EXPECT_EQ("defIJ", text(all));
    coil_slice_release(&first);
    coil_slice_release(&all);
}

TEST_F(Buffer, RandomCutsAndJoinsAreThoseOfStrings)
{
    Random random = {2024};
    std::vector<std::pair<coil_slice, std::string>> pieces;
    for (int i = 0; i < 3000; i++) {
        size_t n = pieces.empty() ? 0 : random.below(pieces.size());
        switch (random.below(6)) {
        case 0:
        case 1: {
            std::string content(1 + random.below(3000), static_cast<char>('a' + i % 26));
            pieces.emplace_back(receive(content), content);
            break;
        }
        case 2:
        case 3:
            if (!pieces.empty()) {
                auto &[slice, content] = pieces[n];
                size_t cut = random.below(content.size() + 1);
                coil_slice first = coil_slice_split(&slice, static_cast<int64_t>(cut));
                std::string front = content.substr(0, cut);
                content.erase(0, cut);
                pieces.emplace_back(first, front);
            }
            break;
        case 4:
            if (pieces.size() > 1) {
                auto last = pieces.back();
                pieces.pop_back();
                auto &[slice, content] = pieces[n % pieces.size()];
                ASSERT_EQ(0, coil_slice_append(&slice, &last.first));
                content += last.second;
            }
            break;
        default:
            if (pieces.size() > 20) {
                coil_slice_release(&pieces[n].first);
                pieces.erase(pieces.begin() + static_cast<long>(n));
            }
        }
        for (size_t k = 0; i % 50 == 0 && k < pieces.size(); k++)
            ASSERT_EQ(pieces[k].second, text(pieces[k].first));
    }
    for (auto &[slice, content] : pieces)
        coil_slice_release(&slice);
}

TEST_F(Buffer, MisuseEndsTheProgram)
{
    coil_slice slice = receive("abc");
    coil_slice twin = slice;
    coil_slice part;
    EXPECT_DEATH(part = coil_slice_split(&slice, 4), "size_bytes <= slice->size_bytes");
    EXPECT_DEATH(part = coil_slice_split(&slice, -1), "size_bytes >= 0");
    coil_slice error = {-ECONNRESET, nullptr, nullptr};
    EXPECT_DEATH((void)coil_slice_append(&slice, &error), "more->size_bytes >= 0");
    EXPECT_DEATH((void)coil_slice_append(&error, &slice), "slice->size_bytes >= 0");
    coil_slice_release(&slice);
    EXPECT_DEATH(coil_slice_release(&twin), "slice_count > 0");
}

} // namespace
