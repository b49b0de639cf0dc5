/* SPDX-License-Identifier: MIT */
/*
 * coil/sim_stdio.h - what a simulated program prints goes to its simulated descriptors.
 *
 * stdio is libc's, and one for all simulated processes: what they print would be seen at once, and
 * a parent that reads the output of its child would read nothing. Programs that print are compiled
 * with this in front of them, as they are otherwise:
 *
 *     target_compile_options(server_simulated PRIVATE -include coil/sim_stdio.h)
 *
 * Only the calls below are replaced, and only in what is compiled so. They are not buffered. What a
 * pipe does not take at once is waited for, as by write(2); what nobody reads is lost without a
 * word (stdio has no place for errors of printf() that anybody looks at).
 */
#ifndef COIL_SIM_STDIO_H
#define COIL_SIM_STDIO_H

#include <coil/base.h>

#include <stdarg.h>
#include <stdio.h>

COIL_BEGIN_DECLS

/*
 * Write to descriptor 1 of the process that runs, or 2 if `stream` is stderr; to any other stream,
 * and where no process runs, as libc does. At most 4 KiB at a time; the rest is cut off.
 *
 * A scenario may define this function itself, and then it sees what is printed.
 */
COIL_API void coil_sim_vprint(FILE *stream, const char *format, va_list values)
        __attribute__((format(printf, 2, 0)));

static inline __attribute__((format(printf, 2, 3), unused)) void coil_sim_print(
        FILE *stream, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    coil_sim_vprint(stream, format, values);
    va_end(values);
}

COIL_END_DECLS

#undef putchar
/* NOLINTBEGIN(readability-identifier-naming): they are called so. */
#define printf(...) coil_sim_print(stdout, __VA_ARGS__)
#define vprintf(format, values) coil_sim_vprint(stdout, format, values)
#define fprintf(...) coil_sim_print(__VA_ARGS__)
#define puts(text) coil_sim_print(stdout, "%s\n", text)
#define fputs(text, stream) coil_sim_print(stream, "%s", text)
#define putchar(letter) coil_sim_print(stdout, "%c", letter)
#define fflush(stream) ((void)(stream))
/* NOLINTEND(readability-identifier-naming) */

#endif
