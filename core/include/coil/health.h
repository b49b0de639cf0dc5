/* SPDX-License-Identifier: MIT */
/*
 * coil/health.h - a question to a service, "how are you?", as a value.
 *
 * Whoever watches services (coil/supervisor.h) asks; how it is asked, by TCP, HTTP, Thrift
 * (coil/health_probe.h) or by running a program (coil/readiness.h), only the probe knows. One of
 * your own is a struct that begins with, or contains, a coil_health_probe:
 *
 *     struct disk_probe { coil_health_probe probe; const char *path; };
 *
 *     coil_async (int, ask_disk, (coil_health_probe *) probe)
 *     {
 *         struct disk_probe *disk = coil_container_of(probe, struct disk_probe, probe);
 *         ...
 *         return COIL_HEALTH_READY;
 *     }
 *
 *     disk.probe.ask = coil_handler(ask_disk, coil_health_probe *);
 */
#ifndef COIL_HEALTH_H
#define COIL_HEALTH_H

#include <coil/coro.h>

COIL_BEGIN_DECLS

typedef struct coil_health_probe coil_health_probe;

/* What a service says of itself. An error in its place is: it does not answer. */
typedef enum coil_health {
    COIL_HEALTH_STARTING, /* It lives, and is not ready yet. */
    COIL_HEALTH_READY,
    COIL_HEALTH_WARNING,  /* Ready, with a complaint. */
    COIL_HEALTH_STOPPING, /* It is about to end. */
    COIL_HEALTH_DEAD,     /* It answers, and says that it is of no use any more. */
} coil_health;

/*
 * `ask` is a coroutine int(coil_health_probe *) that receives its probe: a coil_health, or a
 * negative errno. It is cancelled when its time is over. Several may be asked at once, one probe
 * only once at a time.
 */
struct coil_health_probe {
    coil_handler ask;
};

/* "ready", "warning", ...; "silent" for an error. Static memory; any thread. */
COIL_API const char *coil_health_name(int health);

COIL_END_DECLS

#endif
