/* SPDX-License-Identifier: MIT */
#include <coil/health.h>

const char *coil_health_name(int health)
{
    static const char *const names[] = {
            [COIL_HEALTH_STARTING] = "starting",
            [COIL_HEALTH_READY] = "ready",
            [COIL_HEALTH_WARNING] = "warning",
            [COIL_HEALTH_STOPPING] = "stopping",
            [COIL_HEALTH_DEAD] = "dead",
    };
    if (health < 0 || health >= (int)(sizeof(names) / sizeof(names[0])))
        return "silent";
    return names[health];
}
