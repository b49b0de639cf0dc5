/* SPDX-License-Identifier: MIT */
/* What the loop has to know of coil/blocking.h. */
#ifndef BLOCKING_H
#define BLOCKING_H

#include <coil/blocking.h>

/* `loop` does not use the default pool any more; its last user ends it. */
void blocking_leave(coil_loop *loop);

#endif
