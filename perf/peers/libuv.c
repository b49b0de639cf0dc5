/* SPDX-License-Identifier: MIT */
/* libuv, for what it has: timers, files, children, and uv_async between two loops. */
#include "../micro/child.h"
#include "../micro/pages.h"
#include "../micro/threads.h"

#include <uv.h>

enum { MANY = 1000000, HOT_TIMERS = 64 };

static void need(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(rc));
    exit(1);
}

/* -------------------------------------------------------------------------------- timers -- */

static uv_timer_t *timers;
static uint64_t random_state;

static void ignore_timer(uv_timer_t *timer)
{
    (void)timer;
}

static void start(uv_timer_t *timer)
{
    (void)uv_timer_start(timer, ignore_timer, 1000 + measure_random(&random_state) % 60000, 0);
}

/* uv_timer_t has no memory of its own: the loop forgets stopped ones with it. */
static void timers_begin(uv_loop_t *loop, int64_t count)
{
    timers = calloc((size_t)count, sizeof(*timers));
    random_state = 88172645463325252;
    need(uv_loop_init(loop), "uv_loop_init");
    for (int64_t i = 0; i < count; i++)
        (void)uv_timer_init(loop, &timers[i]);
}

static void timers_end(uv_loop_t *loop, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        uv_close((uv_handle_t *)&timers[i], NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    need(uv_loop_close(loop), "uv_loop_close");
    free(timers);
}

static double run_timer_1m(int64_t count)
{
    uv_loop_t loop;

    timers_begin(&loop, MANY + HOT_TIMERS);
    for (int64_t i = 0; i < MANY; i++)
        start(&timers[i]);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        uv_timer_t *timer = &timers[MANY + i % HOT_TIMERS];
        (void)uv_timer_start(timer, ignore_timer, 30000, 0);
        (void)uv_timer_stop(timer);
    }
    double spent_ns = measure_now_ns() - start_ns;
    timers_end(&loop, MANY + HOT_TIMERS);
    return spent_ns;
}

static double run_timers_1m(int64_t count)
{
    uv_loop_t loop;

    timers_begin(&loop, count);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++)
        start(&timers[i]);
    for (int64_t i = 0; i < count; i++)
        (void)uv_timer_stop(&timers[i]);
    double spent_ns = measure_now_ns() - start_ns;
    timers_end(&loop, count);
    return spent_ns;
}

/* In whole milliseconds, which is what it has. Returns when none is armed any more. */
static double run_timer_fire_1m(int64_t count)
{
    uv_loop_t loop;

    timers_begin(&loop, count);
    double start_ns = measure_cpu_ns();
    for (int64_t i = 0; i < count; i++)
        (void)uv_timer_start(&timers[i], ignore_timer, 1 + measure_random(&random_state) % 100, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    double spent_ns = measure_cpu_ns() - start_ns;
    timers_end(&loop, count);
    return spent_ns;
}

/* ---------------------------------------------------------------------------------- files -- */

typedef struct reader reader;

struct reader {
    uv_fs_t request;
    char page[PAGE_BYTES];
};

static int64_t left_to_read;
static reader readers[READERS];

static void read_next(reader *me);

static void page_read(uv_fs_t *request)
{
    reader *me = request->data;

    need(request->result == PAGE_BYTES ? 0 : UV_EIO, "uv_fs_read");
    uv_fs_req_cleanup(request);
    read_next(me);
}

static void read_next(reader *me)
{
    uv_buf_t page = uv_buf_init(me->page, PAGE_BYTES);

    if (left_to_read == 0)
        return;
    left_to_read--;
    me->request.data = me;
    need(uv_fs_read(uv_default_loop(), &me->request, pages_open(), &page, 1,
                 pages_offset(&random_state), page_read),
            "uv_fs_read");
}

static double read_pages(int at_once, int64_t count)
{
    (void)pages_open();
    random_state = 88172645463325252;
    left_to_read = count;
    double start_ns = measure_now_ns();
    for (int i = 0; i < at_once; i++)
        read_next(&readers[i]);
    (void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return measure_now_ns() - start_ns;
}

static double run_file_read(int64_t count)
{
    return read_pages(1, count);
}

static double run_file_read_32(int64_t count)
{
    return read_pages(READERS, count);
}

/* ------------------------------------------------------------------------------- children -- */

static const char *child_path;

static void child_ended(uv_process_t *child, int64_t status, int signal_number)
{
    need(status == 0 && signal_number == 0 ? 0 : UV_UNKNOWN, "child");
    uv_close((uv_handle_t *)child, NULL);
}

static double spawn_children(int at_once, int64_t count)
{
    static uv_process_t children[CHILDREN];
    char *arguments[] = {strdup(child_path), NULL};
    uv_stdio_container_t stdio[3]; /* Without, it would open /dev/null for each child. */
    const uv_process_options_t options = {.file = arguments[0],
            .args = arguments,
            .exit_cb = child_ended,
            .stdio = stdio,
            .stdio_count = 3};
    for (int fd = 0; fd < 3; fd++)
        stdio[fd] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
    double start_ns = measure_now_ns();

    for (int64_t done = 0; done < count; done += at_once) {
        for (int i = 0; i < at_once; i++)
            need(uv_spawn(uv_default_loop(), &children[i], &options), "uv_spawn");
        (void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
    double spent_ns = measure_now_ns() - start_ns;
    free(arguments[0]);
    return spent_ns;
}

static double run_spawn_child(int64_t count)
{
    return spawn_children(1, count);
}

static double run_spawn_children_50(int64_t count)
{
    return spawn_children(CHILDREN, count);
}

/* ----------------------------------------------------------------------------- round trip -- */

typedef struct player player;

struct player {
    uv_loop_t loop;
    uv_async_t ball;
    player *other;
    int64_t left_count;
    bool starts;
};

static void return_ball(uv_async_t *ball)
{
    player *me = ball->data;

    me->left_count--;
    if (me->left_count > 0 || !me->starts)
        (void)uv_async_send(&me->other->ball);
    if (me->left_count == 0)
        uv_stop(&me->loop);
}

static void player_init(player *me, player *other, int64_t count)
{
    me->other = other;
    me->left_count = count;
    me->starts = false;
    need(uv_loop_init(&me->loop), "uv_loop_init");
    need(uv_async_init(&me->loop, &me->ball, return_ball), "uv_async_init");
    me->ball.data = me;
}

static void player_fini(player *me)
{
    uv_close((uv_handle_t *)&me->ball, NULL);
    (void)uv_run(&me->loop, UV_RUN_DEFAULT);
    need(uv_loop_close(&me->loop), "uv_loop_close");
}

static void *play_far(void *argument)
{
    player *me = argument;

    threads_pin(1);
    (void)uv_run(&me->loop, UV_RUN_DEFAULT);
    return NULL;
}

static double run_round_trip(int64_t count)
{
    player near;
    player far;
    pthread_t thread;

    player_init(&near, &far, count);
    player_init(&far, &near, count);
    near.starts = true;
    threads_pin(0);
    need(pthread_create(&thread, NULL, play_far, &far), "pthread_create");
    (void)usleep(1000); /* Let the other side come to wait. */
    double start_ns = measure_now_ns();
    (void)uv_async_send(&far.ball);
    (void)uv_run(&near.loop, UV_RUN_DEFAULT);
    double spent_ns = measure_now_ns() - start_ns;
    (void)pthread_join(thread, NULL);
    player_fini(&near);
    player_fini(&far);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"timer_1m", "libuv", run_timer_1m, MANY, MEASURE_NS},
            {"timers_1m", "libuv", run_timers_1m, MANY, MEASURE_NS},
            {"timer_fire_1m", "libuv", run_timer_fire_1m, MANY, MEASURE_NS},
            {"post_round_trip", "libuv", run_round_trip, TRIPS, MEASURE_NS},
            {"file_read_4k", "libuv", run_file_read, 0, MEASURE_NS},
            {"file_read_4k_32", "libuv", run_file_read_32, 0, MEASURE_NS},
            {"spawn_child", "libuv", run_spawn_child, 300, MEASURE_NS},
            {"spawn_children_50", "libuv", run_spawn_children_50, 300, MEASURE_NS},
    };
    child_path = child_find();
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
