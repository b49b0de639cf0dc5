/* SPDX-License-Identifier: MIT */
#ifndef WORDS_H
#define WORDS_H

#include <coil/sched.h>

COIL_BEGIN_DECLS

struct words_text {
    int64_t status;
    char text[24];
};

/* Declared here, defined in words.c, awaited from C and C++ alike. */
coil_declare(int, words_sum, (int) first, (int) second);
coil_declare(struct words_text, words_reply, (const char *) text, (coil_duration) after);
coil_declare(void, words_all, (int *) score);

COIL_END_DECLS

#endif
