/* SPDX-License-Identifier: MIT */
#include "keeper_image.h"

/* keeper_image.inc is made of keeper_main.c when the library is built. */
const unsigned char coil_keeper_image[] = {
#ifdef COIL_KEEPER_IMAGE
#include "keeper_image.inc"
#endif
        0};
const size_t coil_keeper_image_bytes = sizeof(coil_keeper_image) - 1;
