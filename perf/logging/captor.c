/* SPDX-License-Identifier: MIT */
/*
 * captor FILE ROTATE_BYTES KEEP [times]: what comes on stdin, into rotated files; for perf/logs.
 * It stands in the place of s6-log and its like, so it ends with its input.
 */
#include <coil/io.h>
#include <coil/log_capture.h>
#include <coil/loop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

coil_async(int, capture, (const coil_log_options *) options)
{
    coil_vars(coil_log *log; int rc);

    coil_attempt(coil_log_open(options, &my->log));
    coil_defer(coil_ignore(coil_log_close(my->log)));
    int rc = coil_log_attach(my->log, STDIN_FILENO, "");
    if (rc < 0)
        return rc;
    while (coil_log_attached_count(my->log) > 0)
        coil_await(coil_sleep(coil_ms(1)));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s FILE ROTATE_BYTES KEEP [times]\n", argv[0]);
        return 2;
    }
    const coil_log_options options = {
            .path = argv[1],
            .rotate_bytes = strtoull(argv[2], NULL, 10),
            .keep_files = (unsigned)strtoul(argv[3], NULL, 10),
            .timestamps = argc > 4 && strcmp(argv[4], "times") == 0,
    };
    return coil_run(capture(&options)) == 0 ? 0 : 1;
}
