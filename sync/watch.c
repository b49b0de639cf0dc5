/* SPDX-License-Identifier: MIT */
#include <coil/watch.h>

#include "exchange.h"

#include <coil/check.h>

#include <errno.h>

void coil_watch_init_untyped(coil_watch *watch)
{
    watch->version = 1;
    watch->closed = false;
    coil_list_init(&watch->waiters);
    coil_list_init(&watch->released);
}

void coil_watch_fini_untyped(coil_watch *watch)
{
    COIL_CHECK(coil_list_empty(&watch->waiters));
    while (coil_list_take_first(&watch->released) != NULL) {
    }
}

static uint64_t *seen_by(coil_waiter *waiter)
{
    return coil_exchange_of(waiter)->out_item;
}

int coil_watch_touch_untyped(coil_watch *watch)
{
    coil_list *link = watch->released.next;
    coil_waiter *waiter;

    if (watch->closed)
        return -EPIPE;
    watch->version++;
    /* By the time they run, it is this value that they find: they need not be told again. */
    for (; link != &watch->released; link = link->next)
        *seen_by(coil_container_of(link, coil_waiter, link)) = watch->version;
    while ((waiter = coil_waiter_first(&watch->waiters)) != NULL) {
        *seen_by(waiter) = watch->version;
        coil_waiter_grant(waiter, 0);
        coil_list_append(&watch->released, &waiter->link);
    }
    return 0;
}

void coil_watch_close_untyped(coil_watch *watch)
{
    watch->closed = true;
    coil_waiter_grant_all(&watch->waiters, -EPIPE);
}

static bool may_catch_up(const coil_select_case *what)
{
    const coil_watch *watch = coil_container_of(what->waiters, coil_watch, waiters);
    const uint64_t *seen = what->item;

    return *seen < watch->version || watch->closed;
}

static int catch_up(const coil_select_case *what)
{
    const coil_watch *watch = coil_container_of(what->waiters, coil_watch, waiters);
    uint64_t *seen = what->out_item;

    if (*seen >= watch->version)
        return watch->closed ? -EPIPE : -EAGAIN;
    *seen = watch->version;
    return 0;
}

const coil_select_kind coil_watch_changing = {may_catch_up, catch_up};

static coil_select_case to_change(coil_frame *leaf)
{
    const struct coil_watch_changed_untyped__args *arguments =
            coil_arguments(coil_watch_changed_untyped, leaf);
    return coil_select_case_taking(
            &coil_watch_changing, &arguments->watch->waiters, arguments->seen, NULL);
}

static coil_turn changed_step(coil_task *task, coil_frame *leaf)
{
    coil_waiter *waiter = leaf->at == NULL ? NULL : leaf->vars;

    if (waiter != NULL && waiter->state == COIL_WAITER_GRANTED)
        coil_list_remove(&waiter->link); /* From `released`. */
    return exchange_step(
            task, leaf, to_change, catch_up, &coil_result(coil_watch_changed_untyped, leaf));
}

coil_define_leaf(coil_watch_changed_untyped, changed_step, coil_waiter_cancel);
