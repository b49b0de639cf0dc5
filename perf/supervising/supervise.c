/* SPDX-License-Identifier: MIT */
/* supervise COUNT LOG|- PROGRAM ARGUMENT: so many services that run it, with two pipes to a log. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdlib.h>

async(int, supervise, (unsigned) count, (const char *) path, (char **) argv)
{
    vars(coil_supervisor *supervisor; coil_log_options logs; coil_log *log; int rc);

    my->logs.path = path;
    if (strcmp(path, "-") != 0)
        attempt(coil_log_open(&my->logs, &my->log));
    defer(ignore(coil_log_close(my->log)));
    int rc = coil_supervisor_create(NULL, &my->supervisor);
    defer(coil_supervisor_destroy(my->supervisor));
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "beacon %u", i);
        const coil_spawn_plan spawn = {
                .program = argv[0], .argv = (const char *const *)argv, .in = {COIL_STDIO_NULL, 0}};
        const coil_service_plan plan = {.name = name,
                .spawn = &spawn,
                .log = my->log,
                .policy = {.backoff = {.stable = coil_s(1)}}};
        rc = coil_supervisor_add(my->supervisor, &plan, NULL);
    }
    if (rc < 0)
        return rc;
    await(my->rc, coil_supervisor_run(my->supervisor));
    return my->rc;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    return coil_run(supervise((unsigned)strtoul(argv[1], NULL, 10), argv[2], argv + 3)) < 0;
}
