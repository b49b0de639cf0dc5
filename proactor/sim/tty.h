/* SPDX-License-Identifier: MIT */
/*
 * tty.h - a pseudoterminal in its simple form: pty(7), termios(3) in canonical mode with ECHO and
 * ONLCR, and no signals from keys.
 *
 *     master --write--> echo to the master, line by line to --read--> slave
 *     slave  --write--> with "\r\n" for "\n" to             --read--> master
 *
 * Hang-up, observed: without a master, a slave reads 0, writes EIO, and polls as IN | OUT | ERR |
 * HUP; what reads it is woken. Without a slave, once there has been one, a master reads what is
 * left and then EIO, and polls as OUT | HUP.
 */
#ifndef SIM_TTY_H
#define SIM_TTY_H

#include "file.h"

enum {
    SIM_TTY_LINE_BYTES = 4095,    /* termios(3): what a line may have; more is thrown away. */
    SIM_TTY_OUTPUT_BYTES = 15820, /* Observed: so much fits on the way to the master. */
};

extern const sim_file_type sim_tty_type;

/* A new pair; the caller has a reference to each. */
void sim_tty_create(sim_world *world, sim_file **out_master, sim_file **out_slave);

#endif
