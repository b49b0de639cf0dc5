/* SPDX-License-Identifier: MIT */
/*
 * A program with a bug that only the kernel brings out: it takes what one receive brings for a
 * whole record. The same source runs on the real kernel, where it is recorded, and on the simulated
 * one.
 */
#ifndef LEDGER_H
#define LEDGER_H

/*
 * ledger PORT ADDRESS [FILE]: connects twice, adds up the records that come, prints each, and
 * checks the sum. With a FILE it records itself there when it crashes.
 */
int ledger_main(int argc, char **argv);

#endif
