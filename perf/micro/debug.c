/* SPDX-License-Identifier: MIT */
/*
 * What debug mode (coil/loop_debug.h) costs while it is on: the same work on a real loop with it
 * (`coil`) and without it (`off`).
 *
 *     yield        two tasks that give way to each other
 *     spawn_join   a task, and its end
 *     queue        an item from task to task
 *     through_pipe a byte into a pipe and out of it, by two operations of the ring
 */
#include "measure.h"

#include <coil/coil.h>

#include <coil/sugar.h>

async(int, yields, (int64_t) count)
{
    vars(int64_t i;);
    for (; my->i < count; my->i++)
        await(coil_yield());
    return 0;
}

async(int, yield, (int64_t) count)
{
    vars(coil_group group;);
    open_group(&my->group);
    spawn(&my->group, yields(count / 2));
    spawn(&my->group, yields(count / 2));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, trivial)
{
    vars();
    return 0;
}

async(int, spawn_join, (int64_t) count)
{
    vars(int64_t i; coil_group group;);
    open_group(&my->group);
    for (; my->i < count; my->i++) {
        spawn(&my->group, trivial());
        attempt(coil_group_join(&my->group));
    }
    return 0;
}

typedef coil_queue_of(int64_t) queue_of_numbers;

async(int, puts_all, (queue_of_numbers *) queue, (int64_t) count)
{
    vars(int64_t i;);
    for (; my->i < count; my->i++)
        attempt(coil_queue_put(queue, &my->i));
    return 0;
}

async(int, queue, (int64_t) count)
{
    vars(coil_group group; queue_of_numbers queue; int64_t slots[64]; int64_t i; int64_t got;);
    coil_queue_init(&my->queue, my->slots, 64);
    open_group(&my->group);
    spawn(&my->group, puts_all(&my->queue, count));
    for (; my->i < count; my->i++)
        attempt(coil_queue_get(&my->queue, &my->got));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, through_pipe, (int64_t) count)
{
    vars(int fds[2]; int64_t i; ssize_t done; char byte;);
    COIL_CHECK(coil_kernel_pipe(my->fds) == 0);
    for (; my->i < count; my->i++) {
        attempt(my->done, coil_write(my->fds[1], "x", 1));
        attempt(my->done, coil_read(my->fds[0], &my->byte, 1));
    }
    attempt(coil_close(my->fds[0]));
    attempt(coil_close(my->fds[1]));
    return 0;
}

/* A report would be a false one, and the figure worth nothing. */
static void refuse(coil_debug_hook *hook, const char *text)
{
    (void)hook;
    if (strstr(text, "coil: blocked") == NULL) /* The machine's other work may do that to us. */
        abort();
}

static coil_debug_hook refusal = {refuse};

static coil_loop *make_loop(bool debugged)
{
    const coil_loop_debug_options options = {.slow_step = coil_s(10), .hook = &refusal};
    coil_loop *loop;
    COIL_CHECK(coil_loop_create(&loop, NULL) == 0);
    if (debugged)
        COIL_CHECK(coil_loop_debug(loop, &options) == 0);
    return loop;
}

#define BOTH(name)                                               \
    static double run_##name(int64_t count, bool debugged)       \
    {                                                            \
        coil_loop *loop = make_loop(debugged);                   \
        double start_ns = measure_now_ns();                      \
        COIL_CHECK(coil_loop_run_until(loop, name(count)) == 0); \
        double took_ns = measure_now_ns() - start_ns;            \
        coil_loop_destroy(loop);                                 \
        return took_ns;                                          \
    }                                                            \
    static double name##_off(int64_t count)                      \
    {                                                            \
        return run_##name(count, false);                         \
    }                                                            \
    static double name##_on(int64_t count)                       \
    {                                                            \
        return run_##name(count, true);                          \
    }
#define OFF(name) "debug_" #name, "off", name##_off, 0, MEASURE_NS
#define ON(name) "debug_" #name, "coil", name##_on, 0, MEASURE_NS

BOTH(yield)
BOTH(spawn_join)
BOTH(queue)
BOTH(through_pipe)

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {OFF(yield)},
            {ON(yield)},
            {OFF(spawn_join)},
            {ON(spawn_join)},
            {OFF(queue)},
            {ON(queue)},
            {OFF(through_pipe)},
            {ON(through_pipe)},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
