/* SPDX-License-Identifier: MIT */
#include "linger.h"

enum { LIMIT_BYTES = 1024 * 1024 };

coil_define(int, linger, (coil_stream *) stream)
{
    coil_vars(coil_slice dropped; int64_t total_bytes);

    coil_attempt(coil_stream_shutdown(stream));
    while (my->total_bytes < LIMIT_BYTES) {
        coil_attempt(my->dropped, coil_read_some(stream));
        if (my->dropped.size_bytes == 0)
            break;
        my->total_bytes += my->dropped.size_bytes;
        coil_slice_release(&my->dropped);
    }
    return 0;
}
