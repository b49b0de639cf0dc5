/* SPDX-License-Identifier: MIT */
/* What the misuse cases have in common. Each case is one coroutine `c`. */
#ifndef STAGE_H
#define STAGE_H

#include <coil/sched.h>

#include <coil/sugar.h>

struct point {
    int x, y;
};
struct fields {
    int a, b, c, d;
};

coil_declare(int, op, (int) fd, (void *) bytes, (int) size_bytes);
coil_declare(void, nap, (int) seconds);
coil_declare(struct point, where, (int) fd);
coil_declare(double, weigh, (int) fd);

COIL_BEGIN_DECLS
void use(int value);
void clean(int *value);
int get(void);
COIL_END_DECLS

#define STAGE_USE                        \
    coil_task *start(coil_group *group); \
    coil_task *start(coil_group *group)  \
    {                                    \
        return coil_spawn(group, c(3));  \
    }

#endif
