/* SPDX-License-Identifier: MIT */
/* A coroutine that the lint has nothing to say about. */
#include <coil/coil.h>

#include <coil/sugar.h>

async(int, waits, (int) count)
{
    vars(int left);
    my->left = count;
    while (my->left-- > 0)
        await(coil_sleep(coil_ms(1)));
    return my->left;
}

int main(void)
{
    return coil_run(waits(2)) != -1;
}
