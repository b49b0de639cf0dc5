/* SPDX-License-Identifier: MIT */
/* A loop whose clock jumps, for as long as a coroutine runs. */
#ifndef AT_ONCE_H
#define AT_ONCE_H

#include <coil/test_loop.h>

#include <gtest/gtest.h>

/* As coil_run(), on a test loop: nobody but the test acts, so waiting takes no time. */
#define RUN_AT_ONCE(...)                                                   \
    __extension__({                                                        \
        coil_loop *test_loop = nullptr;                                    \
        EXPECT_EQ(0, coil_test_loop_create(&test_loop, nullptr));          \
        int64_t test_result = coil_loop_run_until(test_loop, __VA_ARGS__); \
        EXPECT_EQ(0, coil_loop_close(&test_loop));                         \
        test_result;                                                       \
    })

#endif
