/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

const char *environment_text(const char *name)
{
    const char *text = secure_getenv(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

/* Negative: it is no number. */
static coil_duration parse_seconds(const char *text)
{
    coil_duration value = 0;
    coil_duration unit = coil_s(1);
    bool fraction = false;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text == '.' && !fraction) {
            fraction = true;
        } else if (*text >= '0' && *text <= '9' && value < coil_s(1000000)) {
            if (fraction)
                unit /= 10;
            value = fraction ? value + unit * (*text - '0') : value * 10 + coil_s(*text - '0');
        } else {
            return -1;
        }
    }
    return value;
}

coil_duration environment_seconds(const char *name)
{
    const char *text = environment_text(name);
    if (text == NULL)
        return 0;
    const coil_duration value = parse_seconds(text);
    if (value > 0)
        return value;
    fprintf(stderr, "coil: %s is a number of seconds, not \"%s\"\n", name, text);
    return 0;
}
