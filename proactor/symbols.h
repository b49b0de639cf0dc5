/* SPDX-License-Identifier: MIT */
/*
 * What an address of code is called: from the symbol table of the file that it was loaded from, so
 * that static functions have names, too. Its line is known where there is a libdw (elfutils) to be
 * loaded, and debugging information. Any thread.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

enum { SYMBOL_BYTES = 256 };

typedef struct symbol {
    char module[SYMBOL_BYTES]; /* "libc.so.6"; "" if nothing is known. */
    char name[SYMBOL_BYTES];   /* "" if not known. */
    uintptr_t offset;          /* Of the address, in the function; without a name, in the module. */
    char file[SYMBOL_BYTES];   /* "" if not known. */
    int line;
} symbol;

/* Around some questions, which other threads wait for. `with_lines`: load libdw if need be. */
void symbols_begin(bool with_lines);
void symbols_end(void);

void symbols_find(uintptr_t address, symbol *out_symbol);

#endif
