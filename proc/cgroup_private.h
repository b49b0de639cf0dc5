/* SPDX-License-Identifier: MIT */
/* cgroup_private.h - what a spawn needs of a cgroup. */
#ifndef CGROUP_PRIVATE_H
#define CGROUP_PRIVATE_H

#include <coil/cgroup.h>

COIL_BEGIN_DECLS

/* Whoever writes "0" to it moves into the cgroup. */
int coil_cgroup_procs_fd(const coil_cgroup *cgroup);

COIL_END_DECLS

#endif
