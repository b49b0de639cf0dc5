/* SPDX-License-Identifier: MIT */
/* cgroup_private.h - what a spawn needs of a cgroup, and who looks for one. */
#ifndef CGROUP_PRIVATE_H
#define CGROUP_PRIVATE_H

#include <coil/cgroup.h>

#include <limits.h>

COIL_BEGIN_DECLS

/*
 * The directory of the cgroup (v2) of a process: its number, or "self". Of one that has ended, too,
 * until it is reaped. -EOPNOTSUPP: there is none, or it is not to be seen; -ENAMETOOLONG.
 */
int coil_cgroup_find(const char *process, char out_path[PATH_MAX]);

/* Whoever writes "0" to it moves into the cgroup. */
int coil_cgroup_procs_fd(const coil_cgroup *cgroup);

COIL_END_DECLS

#endif
