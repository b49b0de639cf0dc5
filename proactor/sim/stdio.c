/* SPDX-License-Identifier: MIT */
/* In a file of its own: linked only if the scenario has no such function (coil/sim_stdio.h). */
#include <coil/sim_stdio.h>

#include "fiber.h"

#include <coil/kernel.h>

#undef printf
#undef vprintf
#undef fprintf
#undef puts
#undef fputs
#undef putchar
#undef fflush

enum { PRINT_MOST_BYTES = 4096 };

void coil_sim_vprint(FILE *stream, const char *format, va_list values)
{
    char text[PRINT_MOST_BYTES];

    if (sim_fiber_current() == NULL || (stream != stdout && stream != stderr)) {
        (void)vfprintf(stream, format, values);
        return;
    }
    int left = vsnprintf(text, sizeof(text), format, values);
    if (left >= PRINT_MOST_BYTES)
        left = PRINT_MOST_BYTES - 1;
    for (const char *at = text; left > 0;) {
        const ssize_t count = coil_kernel_write(stream == stderr ? 2 : 1, at, (size_t)left);
        if (count <= 0)
            return;
        at += count;
        left -= (int)count;
    }
}
