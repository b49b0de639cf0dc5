/* SPDX-License-Identifier: MIT */
#include "stage.h"

async(int, c, (int) fd)
{
    vars(char bytes[9]; int size_bytes);
    {
        int local = get();
        use(local);
    }
    await(my->size_bytes, op(fd, my->bytes, 9));
    int after = my->size_bytes;
    use(after);
    return 0;
}

STAGE_USE
