/* SPDX-License-Identifier: MIT */
/* What users ask for in the environment. A set-uid program does not listen: secure_getenv(3). */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include <coil/time.h>

/* The value of a variable. NULL: it is not set, or empty. */
const char *environment_text(const char *name);

/*
 * A number of seconds, such as 0.1, whatever the locale. 0: it is not set; or it is no such number
 * above 0, which is said on stderr.
 */
coil_duration environment_seconds(const char *name);

#endif
