/* SPDX-License-Identifier: MIT */
/* Results of every type, above all under UndefinedBehaviorSanitizer: a bool is 0 or 1. */
#include "virtual_time.h"

#define RESULT_TYPES_BODIES
#include "result_types.h"

namespace
{

class ResultTypes : public VirtualTime
{
};

TEST_F(ResultTypes, ComeBackFromCoroutinesOfC)
{
    EXPECT_EQ(0, RUN(result_types_of_c())) << "a line of result_types.h";
}

TEST_F(ResultTypes, ComeBackFromCoroutinesOfCpp)
{
    EXPECT_EQ(0, RUN(result_all())) << "a line of result_types.h";
}

} // namespace
