/* SPDX-License-Identifier: MIT */
/* libevent, for what it has besides descriptors: timers, in a binary heap. */
#include "../micro/measure.h"

#include <event2/event.h>
#include <event2/event_struct.h>

enum { MANY = 1000000, HOT_TIMERS = 64 };

static struct event_base *base;
static struct event *timers;
static uint64_t random_state;

static void ignore_timer(evutil_socket_t fd, short events, void *unused)
{
    (void)fd;
    (void)events;
    (void)unused;
}

/* Some milliseconds ahead, at random. */
static void start(struct event *timer, int64_t from_ms, uint64_t range_ms)
{
    int64_t ahead_us =
            from_ms * 1000 + (int64_t)(measure_random(&random_state) % (range_ms * 1000));
    const struct timeval ahead = {.tv_sec = ahead_us / 1000000, .tv_usec = ahead_us % 1000000};

    if (evtimer_add(timer, &ahead) != 0)
        abort();
}

static void timers_begin(int64_t count)
{
    struct event_config *config = event_config_new();

    if (config == NULL || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0)
        abort();
    random_state = 88172645463325252;
    timers = calloc((size_t)count, sizeof(*timers));
    base = event_base_new_with_config(config);
    if (timers == NULL || base == NULL)
        abort();
    event_config_free(config);
    for (int64_t i = 0; i < count; i++)
        (void)evtimer_assign(&timers[i], base, ignore_timer, NULL);
}

/* From the last to the first: the heap shrinks without searching. */
static void timers_end(int64_t count)
{
    for (int64_t i = count - 1; i >= 0; i--)
        (void)evtimer_del(&timers[i]);
    event_base_free(base);
    free(timers);
}

static double run_timer_1m(int64_t count)
{
    const struct timeval ahead = {.tv_sec = 30};

    timers_begin(MANY + HOT_TIMERS);
    for (int64_t i = 0; i < MANY; i++)
        start(&timers[i], 1000, 60000);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        struct event *timer = &timers[MANY + i % HOT_TIMERS];
        (void)evtimer_add(timer, &ahead);
        (void)evtimer_del(timer);
    }
    double spent_ns = measure_now_ns() - start_ns;
    timers_end(MANY + HOT_TIMERS);
    return spent_ns;
}

static double run_timers_1m(int64_t count)
{
    timers_begin(count);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++)
        start(&timers[i], 1000, 60000);
    for (int64_t i = 0; i < count; i++)
        (void)evtimer_del(&timers[i]);
    double spent_ns = measure_now_ns() - start_ns;
    timers_end(count);
    return spent_ns;
}

/* Returns when none is armed any more. */
static double run_timer_fire_1m(int64_t count)
{
    timers_begin(count);
    double start_ns = measure_cpu_ns();
    for (int64_t i = 0; i < count; i++)
        start(&timers[i], 0, 100);
    (void)event_base_dispatch(base);
    double spent_ns = measure_cpu_ns() - start_ns;
    timers_end(count);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"timer_1m", "libevent", run_timer_1m, MANY, MEASURE_NS},
            {"timers_1m", "libevent", run_timers_1m, MANY, MEASURE_NS},
            {"timer_fire_1m", "libevent", run_timer_fire_1m, MANY, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
