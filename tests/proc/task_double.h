/* SPDX-License-Identifier: MIT */
/*
 * task_double.h - tasks that there is no memory for. Most are made of memory that others have left,
 * so that a malloc() that fails is not theirs. Linked with --wrap=coil_task_create.
 */
#ifndef COIL_TESTS_TASK_DOUBLE_H
#define COIL_TESTS_TASK_DOUBLE_H

#include <coil/task.h>

static int failing_task; /* The n-th from now on; 0: none. */

extern "C" {

coil_task *__real_coil_task_create(coil_sched *sched, const coil_fn *fn);
coil_task *__wrap_coil_task_create(coil_sched *sched, const coil_fn *fn);

coil_task *__wrap_coil_task_create(coil_sched *sched, const coil_fn *fn)
{
    if (failing_task > 0 && --failing_task == 0)
        return nullptr;
    return __real_coil_task_create(sched, fn);
}
}

#endif
