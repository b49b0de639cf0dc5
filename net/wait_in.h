/* SPDX-License-Identifier: MIT */
#ifndef WAIT_IN_H
#define WAIT_IN_H

#include <coil/coro.h>
#include <coil/list.h>

/* Wait in the list until somebody grants its waiters (coil/waiter.h): what is granted. */
coil_declare_private(int, wait_in, (coil_list *)waiters);

#endif
