/* SPDX-License-Identifier: MIT */
#include "leak_check.h"

#include <gtest/gtest.h>

int main(int argc, char **argv)
{
    testing::InitGoogleTest(&argc, argv);
    install_leak_check();
    return RUN_ALL_TESTS();
}
