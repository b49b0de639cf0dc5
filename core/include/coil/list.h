/* SPDX-License-Identifier: MIT */
/*
 * coil/list.h - intrusive doubly linked list.
 *
 * A `coil_list` is both the head and the link inside each element. An unlinked link points at
 * itself, so coil_list_remove() is safe on it and coil_list_linked() is exact. All calls are O(1).
 * Not thread safe.
 *
 *     head: [ e1, e2, e3 ]      coil_list_append(&head, &e4->link)  ->  [ e1, e2, e3, e4 ]
 */
#ifndef COIL_LIST_H
#define COIL_LIST_H

#include <coil/base.h>

#include <stdbool.h>

COIL_BEGIN_DECLS

typedef struct coil_list coil_list;

struct coil_list {
    coil_list *next;
    coil_list *prev;
};

/* Make a head empty, or a link unlinked. */
static inline void coil_list_init(coil_list *list)
{
    list->next = list;
    list->prev = list;
}

/* Is the link in a list? */
static inline bool coil_list_linked(const coil_list *link)
{
    return link->next != link;
}

/* Is nothing in the list of this head? */
static inline bool coil_list_empty(const coil_list *list)
{
    return list->next == list;
}

/* Put `link`, which must be unlinked, at the end. */
static inline void coil_list_append(coil_list *list, coil_list *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

/* Unlink it from whatever list it is in. Does nothing to an unlinked link. */
static inline void coil_list_remove(coil_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    coil_list_init(link);
}

/* Unlink and return the first link, or NULL if the list is empty. */
static inline coil_list *coil_list_take_first(coil_list *list)
{
    coil_list *first = list->next;
    if (first == list)
        return NULL;
    coil_list_remove(first);
    return first;
}

COIL_END_DECLS

#endif
