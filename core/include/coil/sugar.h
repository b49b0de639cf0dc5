/* SPDX-License-Identifier: MIT */
/*
 * coil/sugar.h - the words of coil/coro.h and coil/group.h without their prefix. Opt-in.
 *
 * All of them are function-like, so that a field called `async` or a variable called `within` stays
 * what it is. Include it last, and never from a header.
 */
#ifndef COIL_SUGAR_H
#define COIL_SUGAR_H

#include <coil/coro.h>
#include <coil/group.h>

#define async(...) coil_async(__VA_ARGS__)
#define vars(...) coil_vars(__VA_ARGS__)
#define await(...) COIL_CAT(COIL_AWAIT_, COIL_COUNT(__VA_ARGS__))(#__VA_ARGS__, __VA_ARGS__)
#define attempt(...) COIL_CAT(COIL_ATTEMPT_, COIL_COUNT(__VA_ARGS__))(#__VA_ARGS__, __VA_ARGS__)
#define ignore(...) COIL_IGNORE_(#__VA_ARGS__, __VA_ARGS__)
#define defer(...) COIL_DEFER_(COIL_CAT(co__defer_, __COUNTER__), __VA_ARGS__)
#define within(...) coil_within(__VA_ARGS__)
#define until(...) coil_until(__VA_ARGS__)
#define shield(...) coil_shield(__VA_ARGS__)
#define open_group(...) coil_open_group(__VA_ARGS__)
#define spawn(...) coil_spawn(__VA_ARGS__)

#endif
