/* SPDX-License-Identifier: MIT */
/* counter_client - increment a replicated counter (counter.h), and say what it is. */
#include "counter.h"

#include <stdio.h>
#include <stdlib.h>

#include "options.h"

#include <coil/sugar.h>

enum { ATTEMPT_COUNT = 20 };

/* Each attempt at another replica. Not before one has acknowledged it: see counter.h. */
async(int, increment_somewhere, (char **) addresses, (int64_t) client, (int64_t) number)
{
    vars(int i; char **at; int rc);

    my->at = addresses;
    for (my->i = 0; my->i < ATTEMPT_COUNT; my->i++) {
        await(my->rc, within(coil_s(2), counter_increment(*my->at, client, number)));
        if (my->rc == 0)
            return 0;
        if (*++my->at == NULL)
            my->at = addresses;
        await(coil_sleep(coil_ms(100)));
    }
    return my->rc;
}

/* The value, from the first that has a majority. */
async(int64_t, read_somewhere, (char **) addresses)
{
    vars(int i; int64_t value);

    my->value = -ENOENT;
    for (my->i = 0; addresses[my->i] != NULL; my->i++) {
        await(my->value, within(coil_s(3), counter_value(addresses[my->i])));
        if (my->value >= 0)
            break;
    }
    return my->value;
}

async(int, increment, (char **) addresses, (unsigned) count)
{
    vars(int64_t client; int64_t number; int64_t value);

    my->client = coil_now(); /* Another one at each start. */
    for (my->number = 1; my->number <= count; my->number++)
        attempt(increment_somewhere(addresses, my->client, my->number));
    attempt(my->value, read_somewhere(addresses));
    printf("%lld\n", (long long)my->value);
    return 0;
}

int main(int argc, char **argv)
{
    const struct options options = read_options(argc, argv,
            "counter_client [--count N] REPLICA...\n\n"
            "Increment the counter of these replicas, \"host:port\", N times (3), and print it.\n");

    if (options.arguments[0] == NULL) {
        fputs("counter_client: which replicas?\n", stderr);
        return 2;
    }
    const int rc = coil_run(increment(options.arguments, options.count));
    if (rc < 0)
        fprintf(stderr, "counter_client: %s\n", coil_error_text(rc));
    return rc < 0;
}
