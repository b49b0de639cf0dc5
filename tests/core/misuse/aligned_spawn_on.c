/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <coil/remote.h>

struct wide {
    long values[8] __attribute__((aligned(64)));
};

coil_declare(int, sums, (struct wide) wide);

int start(coil_loop *loop);
int start(coil_loop *loop)
{
    struct wide wide = {{3}};
    return coil_spawn_on(loop, sums(wide));
}
