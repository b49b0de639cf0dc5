/* SPDX-License-Identifier: MIT */
/* Calls on names for which Coil has no operation, made on a simulated host. 0 or -errno. */
#ifndef NAMES_STAGE_H
#define NAMES_STAGE_H

#include <coil/sim.h>

COIL_BEGIN_DECLS

int stage_rename(coil_sim *sim, const char *host, const char *from, const char *to);
int stage_unlink(coil_sim *sim, const char *host, const char *path);
int stage_mkdir(coil_sim *sim, const char *host, const char *path);

/* Write it, as a process does, without syncing. */
int stage_write(coil_sim *sim, const char *host, const char *path, const char *text);

/* fsync(2) of a file or a directory. */
int stage_sync(coil_sim *sim, const char *host, const char *path);

COIL_END_DECLS

#endif
