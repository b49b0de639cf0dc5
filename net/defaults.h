/* SPDX-License-Identifier: MIT */
/* Options of which zero means the default. */
#ifndef DEFAULTS_H
#define DEFAULTS_H

#include <coil/time.h>

static inline void set_default(unsigned *option, unsigned value)
{
    *option = *option == 0 ? value : *option;
}

static inline void set_default_duration(coil_duration *option, coil_duration value)
{
    *option = *option <= 0 ? value : *option;
}

#endif
