/* SPDX-License-Identifier: MIT */
/* What loop.c needs of shutdown.c. */
#ifndef SHUTDOWN_PRIVATE_H
#define SHUTDOWN_PRIVATE_H

#include <coil/shutdown.h>

/* Nothing is requested, nothing registered. */
void shutdown_init(coil_shutdown_state *shutdown);

#endif
