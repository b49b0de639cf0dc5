/* SPDX-License-Identifier: MIT */
#include <coil/sim_disk.h>

#include "disk.h"
#include "world.h"

int coil_sim_put_file(coil_sim *sim, const char *host, const char *path, const void *bytes,
        size_t size_bytes, mode_t mode)
{
    return sim_disk_put(sim_disk_of(sim_host_named(sim, host)), path, bytes, size_bytes, mode);
}

char *coil_sim_get_file(coil_sim *sim, const char *host, const char *path, size_t *out_size_bytes)
{
    return sim_disk_get(sim_disk_of(sim_host_named(sim, host)), path, out_size_bytes);
}

void coil_sim_free_file(char *bytes)
{
    sim_delete(bytes);
}

void coil_sim_set_disk_size(coil_sim *sim, const char *host, uint64_t size_bytes)
{
    sim_disk_of(sim_host_named(sim, host))->capacity_bytes = size_bytes;
}
