/* SPDX-License-Identifier: MIT */
#define RESULT_TYPES_BODIES
#include "result_types.h"

coil_define(int, result_types_of_c)
{
    vars(int rc);

    await(my->rc, result_all());
    return my->rc;
}
