/* SPDX-License-Identifier: MIT */
/* What addresses and names have in common. */
#ifndef ADDRESS_PRIVATE_H
#define ADDRESS_PRIVATE_H

#include <stdint.h>

/* A port in decimal digits, and nothing else. -EINVAL, -ERANGE: above 65535. */
int address_parse_port(const char *text, uint16_t *out_port);

#endif
