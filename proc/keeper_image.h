/* SPDX-License-Identifier: MIT */
/* keeper_image.h - the program of the keeper, which the library carries with it. */
#ifndef KEEPER_IMAGE_H
#define KEEPER_IMAGE_H

#include <stddef.h>

/* An executable for this machine. */
extern const unsigned char coil_keeper_image[];
extern const size_t coil_keeper_image_bytes; /* 0: there is none. */

#endif
