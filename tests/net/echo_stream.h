/* SPDX-License-Identifier: MIT */
/* A handler that says all that it hears, as docs/examples/echo.c does. */
#ifndef ECHO_STREAM_H
#define ECHO_STREAM_H

#include <coil/stream.h>

namespace
{

coil_async(int, echo_stream, (coil_stream *) peer)
{
    coil_vars(coil_slice in);

    coil_defer(coil_stream_close(peer));
    coil_defer(coil_slice_release(&my->in));
    for (;;) {
        coil_attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            return 0;
        coil_attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
}

} // namespace

#endif
