/* SPDX-License-Identifier: MIT */
/* parcel.h - an item for queues, channels and the like, that shows if it was copied wrongly. */
#ifndef COIL_TESTS_SYNC_PARCEL_H
#define COIL_TESTS_SYNC_PARCEL_H

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

/* Not a power of two in size, so that a wrong offset shows. */
struct parcel {
    int number;
    char bytes[13];
};

inline parcel parcel_of(int number)
{
    parcel made = {number, {}};
    snprintf(made.bytes, sizeof(made.bytes), "%d", number % 1000000);
    return made;
}

inline void expect_whole(const parcel &item)
{
    EXPECT_EQ(std::to_string(item.number), item.bytes);
}

#endif
