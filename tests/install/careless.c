/* SPDX-License-Identifier: MIT */
/* A coroutine with a mistake that the compiler does not see: an array that does not survive. */
#include <coil/coil.h>

#include <stdio.h>

#include <coil/sugar.h>

async(int, waits, (int) count)
{
    vars();
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", count);
    await(coil_sleep(coil_ms(1)));
    return puts(text);
}

int main(void)
{
    return coil_run(waits(2)) < 0;
}
