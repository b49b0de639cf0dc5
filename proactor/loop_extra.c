/* SPDX-License-Identifier: MIT */
#include <coil/loop_extra.h>

#include "loop_private.h"

void coil_loop_extra_add(
        coil_loop *loop, coil_loop_extra *extra, void (*end)(coil_loop_extra *extra))
{
    COIL_CHECK(coil_loop_extra_of(loop, end) == NULL);
    extra->end = end;
    coil_list_init(&extra->link);
    coil_list_append(&loop->extras, &extra->link);
}

coil_loop_extra *coil_loop_extra_of(const coil_loop *loop, void (*end)(coil_loop_extra *extra))
{
    for (coil_list *link = loop->extras.next; link != &loop->extras; link = link->next) {
        coil_loop_extra *extra = coil_container_of(link, coil_loop_extra, link);
        if (extra->end == end)
            return extra;
    }
    return NULL;
}

void coil_loop_extra_remove(coil_loop_extra *extra)
{
    coil_list_remove(&extra->link);
}

void loop_end_extras(coil_loop *loop)
{
    while (!coil_list_empty(&loop->extras)) {
        coil_loop_extra *extra = coil_container_of(loop->extras.prev, coil_loop_extra, link);
        coil_list_remove(&extra->link);
        extra->end(extra);
    }
}
