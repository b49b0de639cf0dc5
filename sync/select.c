/* SPDX-License-Identifier: MIT */
#include <coil/select.h>

#include <coil/check.h>

#include <errno.h>

typedef struct selection selection;

/* In line for one case. */
typedef struct contender {
    coil_candidate candidate;
    selection *of;
} contender;

/* On the frame stack of the task that waits. */
struct selection {
    coil_task *task;
    coil_waiter_state state;
    int result; /* Of the case that took place. */
    size_t which;
    size_t count;
    contender contenders[];
};

/* ------------------------------------------------------------------------ without waiting -- */

enum { FIRST_LOT = 0x2545f491 }; /* Anything but 0. */

static COIL_THREAD_LOCAL uint32_t last_lot = FIRST_LOT;

void coil_select_seed(uint32_t seed)
{
    last_lot = (seed ^ FIRST_LOT) == 0 ? FIRST_LOT : seed ^ FIRST_LOT;
}

/* Marsaglia's xorshift: not for secrets. */
static uint32_t draw_lot(void)
{
    last_lot ^= last_lot << 13;
    last_lot ^= last_lot >> 17;
    last_lot ^= last_lot << 5;
    return last_lot;
}

/*
 * A case that is ready, or -EAGAIN. The k-th that is takes the place of the one chosen so far with
 * a probability of 1/k, so that in the end all have been as likely.
 */
static int choose(const coil_select_case *cases, size_t count, coil_select_order order)
{
    int chosen = -EAGAIN;
    uint32_t ready_count = 0;

    for (size_t i = 0; i < count; i++) {
        if (cases[i].kind == NULL || !cases[i].kind->ready(&cases[i]))
            continue;
        ready_count++;
        if (ready_count == 1 || draw_lot() % ready_count == 0)
            chosen = (int)i;
        if (order == COIL_SELECT_FIRST)
            break;
    }
    return chosen;
}

/* What the select reports about its case number `which`, which took place with `rc`. */
static int report(const coil_select_case *cases, size_t which, int rc)
{
    if (cases[which].out_rc != NULL) {
        *cases[which].out_rc = rc;
    } else if (rc < 0) {
        return rc;
    }
    return (int)which;
}

static bool is_hopeless(const coil_select_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cases[i].kind != NULL)
            return false;
    }
    return true;
}

int coil_select_try_among(const coil_select_case *cases, size_t count, coil_select_order order)
{
    int which = choose(cases, count, order);

    if (which < 0)
        return is_hopeless(cases, count) ? -EPIPE : which;
    const coil_select_case *taken = &cases[which];
    return report(cases, (size_t)which, taken->kind->take(taken));
}

/* -------------------------------------------------------------------------------- waiting -- */

static coil_list *link_of(contender *one)
{
    return &one->candidate.exchange.waiter.link;
}

/* As with a single waiter: final, and out of all lines at this moment. */
static void decide(selection *waiting, coil_waiter_state state)
{
    waiting->state = state;
    for (size_t i = 0; i < waiting->count; i++)
        coil_list_remove(link_of(&waiting->contenders[i]));
    coil_task_wake(waiting->task);
}

static void grant(coil_candidate *candidate, int result)
{
    const contender *winner = coil_container_of(candidate, contender, candidate);
    selection *waiting = winner->of;

    COIL_CHECK(waiting->state == COIL_WAITER_WAITING);
    waiting->which = (size_t)(winner - waiting->contenders);
    waiting->result = result;
    decide(waiting, COIL_WAITER_GRANTED);
}

static void cancel(coil_task *task, coil_frame *leaf)
{
    selection *waiting = leaf->vars;

    (void)task;
    if (waiting->state == COIL_WAITER_WAITING)
        decide(waiting, COIL_WAITER_WITHDRAWN);
}

static void stand_in_line(contender *standing, const coil_select_case *what, selection *of)
{
    coil_waiter *waiter = &standing->candidate.exchange.waiter;

    standing->of = of;
    standing->candidate.grant = grant;
    standing->candidate.exchange.out_item = what->out_item;
    waiter->task = of->task;
    waiter->state = COIL_WAITER_SELECTING;
    coil_list_init(&waiter->link);
    if (what->kind != NULL)
        coil_list_append(what->waiters, &waiter->link);
}

static coil_turn suspend(
        coil_task *task, coil_frame *leaf, const coil_select_case *cases, size_t count)
{
    selection *waiting = coil_push(task, sizeof(*waiting) + count * sizeof(contender));

    waiting->task = task;
    waiting->state = COIL_WAITER_WAITING;
    waiting->count = count;
    for (size_t i = 0; i < count; i++)
        stand_in_line(&waiting->contenders[i], &cases[i], waiting);
    leaf->vars = waiting;
    return coil_leaf_suspend(leaf);
}

static coil_turn resume(coil_task *task, coil_frame *leaf, const coil_select_case *cases)
{
    selection *waiting = leaf->vars;

    if (waiting->state == COIL_WAITER_WAITING)
        return COIL_WAIT; /* Somebody woke the task for a reason of his own. */
    if (waiting->state == COIL_WAITER_WITHDRAWN) {
        (void)coil_task_unwind_here(task);
        coil_frame_set_result(leaf, -ECANCELED);
    } else {
        /* A primitive may keep track of those whom it has released until they run. */
        coil_list_remove(link_of(&waiting->contenders[waiting->which]));
        coil_frame_set_result(leaf, report(cases, waiting->which, waiting->result));
    }
    return coil_leave(task, leaf);
}

static coil_turn select_step(coil_task *task, coil_frame *leaf, const coil_select_case *cases,
        size_t count, coil_select_order order)
{
    if (leaf->at != NULL)
        return resume(task, leaf, cases);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    int rc = coil_select_try_among(cases, count, order);
    if (rc == -EAGAIN)
        return suspend(task, leaf, cases, count);
    return coil_leave_with(task, leaf, rc);
}

static coil_turn step_2(coil_task *task, coil_frame *leaf)
{
    const struct coil_select_2__args *arguments = coil_arguments(coil_select_2, leaf);
    return select_step(task, leaf, arguments->set.cases, arguments->count, arguments->order);
}

static coil_turn step_4(coil_task *task, coil_frame *leaf)
{
    const struct coil_select_4__args *arguments = coil_arguments(coil_select_4, leaf);
    return select_step(task, leaf, arguments->set.cases, arguments->count, arguments->order);
}

static coil_turn step_8(coil_task *task, coil_frame *leaf)
{
    const struct coil_select_8__args *arguments = coil_arguments(coil_select_8, leaf);
    return select_step(task, leaf, arguments->set.cases, arguments->count, arguments->order);
}

static coil_turn step_among(coil_task *task, coil_frame *leaf)
{
    const struct coil_select_among__args *arguments = coil_arguments(coil_select_among, leaf);
    return select_step(task, leaf, arguments->cases, arguments->count, arguments->order);
}

coil_define_leaf(coil_select_2, step_2, cancel);
coil_define_leaf(coil_select_4, step_4, cancel);
coil_define_leaf(coil_select_8, step_8, cancel);
coil_define_leaf(coil_select_among, step_among, cancel);
