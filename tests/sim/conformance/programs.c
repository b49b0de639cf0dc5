/* SPDX-License-Identifier: MIT */
#include "programs.h"

#define ROW(name) {#name, play_##name},
const conformance_program conformance_programs[] = {CONFORMANCE_PROGRAMS(ROW){NULL, NULL}};
#undef ROW
