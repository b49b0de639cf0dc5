/* SPDX-License-Identifier: MIT */
#include <coil/spawner.h>

#include <coil/blocking.h>

#include <errno.h>
#include <stdlib.h>

struct coil_spawner {
    coil_blocking_pool *pool; /* Of one thread, which stays. */
};

int coil_spawner_create(coil_spawner **out_spawner)
{
    const coil_blocking_options options = {.name = "spawner",
            .threads_min_count = 1,
            .threads_max_count = 1,
            .grace = COIL_FOREVER};
    coil_spawner *spawner = calloc(1, sizeof(*spawner));
    if (spawner == NULL)
        return -ENOMEM;
    int rc = coil_blocking_pool_create(&options, &spawner->pool);
    if (rc < 0) {
        free(spawner);
        return rc;
    }
    *out_spawner = spawner;
    return 0;
}

coil_define_blocking(spawner->pool, int, coil_spawner_spawn, (coil_spawner *) spawner,
        (const coil_spawn_plan *) plan, (coil_child *) out_child, (coil_spawn_error *) out_error)
{
    (void)spawner;
    return coil_child_spawn(plan, out_child, out_error);
}

void coil_spawner_destroy(coil_spawner *spawner)
{
    if (spawner == NULL)
        return;
    (void)coil_blocking_pool_destroy(spawner->pool);
    free(spawner);
}
