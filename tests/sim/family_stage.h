/* SPDX-License-Identifier: MIT */
/* waitid(2) in forms for which Coil has no call, made by the simulated process that calls this. */
#ifndef FAMILY_STAGE_H
#define FAMILY_STAGE_H

#include <coil/base.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

/* Wait for a child: si_code * 1000 + si_status. With WNOHANG 0, if there is nothing. Or -errno. */
int stage_wait(pid_t pid, int options);

COIL_END_DECLS

#endif
