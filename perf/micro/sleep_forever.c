/* SPDX-License-Identifier: MIT */
/* The child that does nothing, until it is told to end. Link it -static. */
#include <unistd.h>

int main(void)
{
    for (;;)
        (void)pause();
}
