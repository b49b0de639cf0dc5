/* SPDX-License-Identifier: MIT */
/*
 * sim_stdio.h - what a simulated program prints goes to its simulated descriptors.
 *
 * stdio is libc's, and one for all simulated processes. Programs that print are compiled with
 * `-include sim_stdio.h`; the simulation defines sim_vprint().
 */
#ifndef SIM_STDIO_H
#define SIM_STDIO_H

#include <stdarg.h>
#include <stdio.h>

void sim_vprint(FILE *stream, const char *format, va_list values)
        __attribute__((format(printf, 2, 0)));

/* Their main(), as CMakeLists.txt has them compiled. */
int publisher_main(int argc, char **argv);
int publisher_monitor_main(int argc, char **argv);

static inline __attribute__((format(printf, 2, 3), unused)) void sim_print(
        FILE *stream, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    sim_vprint(stream, format, values);
    va_end(values);
}

#undef putchar
#define printf(...) sim_print(stdout, __VA_ARGS__)
#define vprintf(format, values) sim_vprint(stdout, format, values)
#define fprintf(...) sim_print(__VA_ARGS__)
#define fputs(text, stream) sim_print(stream, "%s", text)
#define putchar(letter) sim_print(stdout, "%c", letter)
#define fflush(stream) ((void)(stream))

#endif
