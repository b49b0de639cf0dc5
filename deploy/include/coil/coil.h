/* SPDX-License-Identifier: MIT */
/* coil/coil.h - everything, for small programs. Larger ones include what they use. */
#ifndef COIL_COIL_H
#define COIL_COIL_H

#include <coil/base.h>
#include <coil/check.h>
#include <coil/coro.h>
#include <coil/error.h>
#include <coil/group.h>
#include <coil/list.h>
#include <coil/sched.h>
#include <coil/task.h>
#include <coil/time.h>
#include <coil/timer.h>
#include <coil/trace.h>

#endif
