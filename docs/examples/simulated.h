/* SPDX-License-Identifier: MIT */
/* In front of programs that are compiled for a simulation, with another name for their main(). */
#ifndef SIMULATED_H
#define SIMULATED_H

#include <coil/sim_stdio.h>

int publisher_main(int argc, char **argv);
int publisher_monitor_main(int argc, char **argv);

#endif
