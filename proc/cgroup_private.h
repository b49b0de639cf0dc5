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

/* Cgroups that are nested deeper are not looked into; cgroup.kill and cgroup.events reach them. */
enum { CGROUP_DEPTH_MAX = 16 };

/* As coil_cgroup_processes(), with those of the cgroups below it. */
int coil_cgroup_tree_processes(coil_cgroup *cgroup, pid_t *out_pids, int limit);

/* Whoever writes "0" to it moves into the cgroup. */
int coil_cgroup_procs_fd(const coil_cgroup *cgroup);

COIL_END_DECLS

#endif
