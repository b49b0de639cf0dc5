/* SPDX-License-Identifier: MIT */
#include <coil/list.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace
{

struct element {
    int number;
    coil_list link;
};

class List : public testing::Test
{
protected:
    List()
    {
        coil_list_init(&head);
        for (size_t i = 0; i < elements.size(); i++) {
            elements[i].number = static_cast<int>(i);
            coil_list_init(&elements[i].link);
        }
    }

    void append(size_t index)
    {
        coil_list_append(&head, &elements[index].link);
    }

    static int number_of(coil_list *link)
    {
        return coil_container_of(link, element, link)->number;
    }

    /* The numbers in order; both directions have to agree. */
    std::vector<int> numbers()
    {
        std::vector<int> forward, backward;
        for (coil_list *link = head.next; link != &head; link = link->next)
            forward.push_back(number_of(link));
        for (coil_list *link = head.prev; link != &head; link = link->prev)
            backward.push_back(number_of(link));
        std::reverse(backward.begin(), backward.end());
        EXPECT_EQ(forward, backward);
        return forward;
    }

    coil_list head;
    std::array<element, 8> elements;
};

using numbers_t = std::vector<int>;

TEST_F(List, IsEmptyAtFirst)
{
    EXPECT_TRUE(coil_list_empty(&head));
    EXPECT_FALSE(coil_list_linked(&head));
    EXPECT_EQ(nullptr, coil_list_take_first(&head));
}

TEST_F(List, KeepsTheOrderOfAppending)
{
    append(2);
    append(0);
    append(1);
    EXPECT_FALSE(coil_list_empty(&head));
    EXPECT_EQ((numbers_t{2, 0, 1}), numbers());
}

TEST_F(List, LosesOnlyWhatIsRemoved)
{
    for (size_t i = 0; i < 5; i++)
        append(i);
    coil_list_remove(&elements[0].link); /* First, */
    coil_list_remove(&elements[2].link); /* middle, */
    coil_list_remove(&elements[4].link); /* last. */
    EXPECT_EQ((numbers_t{1, 3}), numbers());
    EXPECT_FALSE(coil_list_linked(&elements[2].link));
    EXPECT_TRUE(coil_list_linked(&elements[3].link));
}

TEST_F(List, MayRemoveAnUnlinkedElementAnyNumberOfTimes)
{
    append(0);
    append(1);
    coil_list_remove(&elements[0].link);
    coil_list_remove(&elements[0].link);
    coil_list_remove(&elements[7].link);
    EXPECT_EQ(numbers_t{1}, numbers());
}

TEST_F(List, TakesFromTheFrontUntilNothingIsLeft)
{
    append(3);
    append(4);
    EXPECT_EQ(&elements[3].link, coil_list_take_first(&head));
    EXPECT_FALSE(coil_list_linked(&elements[3].link));
    EXPECT_EQ(&elements[4].link, coil_list_take_first(&head));
    EXPECT_EQ(nullptr, coil_list_take_first(&head));
    EXPECT_TRUE(coil_list_empty(&head));
}

TEST_F(List, TakesAnElementAgainAfterItsRemoval)
{
    append(0);
    append(1);
    coil_list_remove(&elements[0].link);
    append(0);
    EXPECT_EQ((numbers_t{1, 0}), numbers());
}

TEST_F(List, AgreesWithAVectorOnRandomPrograms)
{
    const unsigned seed = std::random_device()();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    numbers_t model;
    for (int step = 0; step < 5000; step++) {
        const size_t index = random() % elements.size();
        const int number = static_cast<int>(index);
        const auto at = std::find(model.begin(), model.end(), number);
        ASSERT_EQ(at != model.end(), coil_list_linked(&elements[index].link));
        if (at == model.end()) {
            append(index);
            model.push_back(number);
        } else if (random() % 2 == 0) {
            coil_list_remove(&elements[index].link);
            model.erase(at);
        } else {
            EXPECT_EQ(model.front(), number_of(coil_list_take_first(&head)));
            model.erase(model.begin());
        }
        ASSERT_EQ(model, numbers());
    }
}

} // namespace
