/* SPDX-License-Identifier: MIT */
#include <coil/loop_metrics.h>

#include "loop_private.h"

#include <coil/kernel.h>

/* ------------------------------------------------------------------------------- each turn -- */

void loop_metrics_begin_turn(coil_loop *loop, coil_time deadline)
{
    const coil_time now = coil_kernel_now();

    /* A timer has been due since its deadline; but what was before the wait has been counted. */
    loop->turn_began = deadline < now ? deadline : now;
    if (loop->turn_began < loop->turn_ended)
        loop->turn_began = loop->turn_ended;
}

void loop_metrics_end_turn(coil_loop *loop)
{
    const coil_time now = coil_kernel_now();
    const uint64_t lag = now > loop->turn_began ? (uint64_t)(now - loop->turn_began) : 0;

    loop->turn_ended = now;
    for (coil_list *link = loop->measures.next; link != &loop->measures; link = link->next)
        coil_distribution_add(coil_container_of(link, coil_loop_metrics, link)->lag, lag, now);
}

/* --------------------------------------------------------------------------------- metrics -- */

/* What somebody else counts: add what has come since we last looked. */
static void refresh(coil_metric_source *source, coil_metrics *metrics, coil_time now)
{
    static const coil_metric_about about_turns = {
            .name = "loop.turns", .help = "Turns of the loop."};
    static const coil_metric_about about_tasks = {
            .name = "loop.tasks", .help = "Tasks of the loop that have not ended."};
    coil_loop_metrics *self = coil_container_of(source, coil_loop_metrics, source);
    const coil_loop *loop = self->loop;

    coil_counter_add(
            coil_metrics_counter(metrics, &about_turns), loop->stats.turns - self->turns_told, now);
    self->turns_told = loop->stats.turns;
    coil_gauge_set(coil_metrics_gauge(metrics, &about_tasks), (int64_t)loop->sched.live_count);
}

void coil_loop_metrics_init(coil_loop_metrics *self, coil_metrics *metrics, coil_loop *loop)
{
    static const coil_metric_about about_lag = {.name = "loop.lag",
            .help = "How long turns of the loop have let others wait.",
            .unit = COIL_METRIC_NS};

    *self = (coil_loop_metrics){
            .source = {.refresh = refresh},
            .metrics = metrics,
            .loop = loop,
            .lag = coil_metrics_distribution(metrics, &about_lag),
            .turns_told = loop->stats.turns,
    };
    coil_list_init(&self->link);
    coil_metrics_ask(metrics, &self->source);
    if (loop->is_virtual)
        return;
    coil_list_append(&loop->measures, &self->link);
    if ((loop->chores & LOOP_IS_MEASURED) == 0) {
        loop->chores |= LOOP_IS_MEASURED;
        loop->turn_ended = coil_kernel_now();
        loop->turn_began = loop->turn_ended;
    }
}

void coil_loop_metrics_fini(coil_loop_metrics *self)
{
    if (self == NULL || self->loop == NULL)
        return;
    coil_metrics_refresh(self->metrics, coil_now());
    coil_metrics_forget(&self->source);
    coil_list_remove(&self->link);
    if (coil_list_empty(&self->loop->measures))
        self->loop->chores &= (uint8_t)~LOOP_IS_MEASURED;
    *self = (coil_loop_metrics){.loop = NULL};
}
