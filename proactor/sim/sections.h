/* SPDX-License-Identifier: MIT */
/*
 * sections.h - where the variables lie that each thread (COIL_THREAD_LOCAL) and each process
 * (COIL_PROCESS_WIDE) has for itself. They are ordinary ones, in two sections of the program, whose
 * contents are those of whoever runs (fiber.c).
 */
#ifndef SIM_SECTIONS_H
#define SIM_SECTIONS_H

#include <stddef.h>

/*
 * NOLINTBEGIN(readability-identifier-naming): the linker makes these names. Weak: nobody may have
 * put anything there.
 */
extern char __start_coil_fiber[] __attribute__((weak));
extern char __stop_coil_fiber[] __attribute__((weak));
extern char __start_coil_process[] __attribute__((weak));
extern char __stop_coil_process[] __attribute__((weak));
/* NOLINTEND(readability-identifier-naming) */

typedef struct sim_section {
    char *bytes;
    size_t size_bytes;
} sim_section;

/* Of the thread that runs. */
static inline sim_section section_of_thread(void)
{
    return (sim_section){__start_coil_fiber, (size_t)(__stop_coil_fiber - __start_coil_fiber)};
}

/* Of the process that runs. */
static inline sim_section section_of_process(void)
{
    return (sim_section){
            __start_coil_process, (size_t)(__stop_coil_process - __start_coil_process)};
}

#endif
