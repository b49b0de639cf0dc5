/* SPDX-License-Identifier: MIT */
/*
 * Loops in several threads, the pool of blocking calls beside them, and what goes between: posts,
 * thread queues, calls from loop to loop. All of it is cancelled, and the other thread is stopped,
 * at any moment; each item is got once, each post runs once, each call has one result.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { NUMBERS = 60, PRODUCERS = 3, SLOTS = 3, POSTS = 20, ASKS = 12 };

typedef coil_thread_queue_of(uint32_t) number_queue;

typedef struct letter {
    coil_post post;
    struct office *office;
    unsigned run_count;
} letter;

typedef struct office {
    number_queue queue;
    uint32_t slots[SLOTS];
    unsigned put[NUMBERS * PRODUCERS];
    unsigned got[NUMBERS * PRODUCERS];
    letter letters[POSTS];
    unsigned posted_count;
    coil_loop *home;
    bool is_closed;
    bool is_cancelled;
} office;

/* ------------------------------------------------------------------------------- the queue -- */

async(int, produce, (office *) o, (uint32_t) from)
{
    vars(uint32_t number; uint32_t end; int rc);

    my->end = from + NUMBERS;
    for (my->number = from; my->number < my->end; my->number++) {
        do {
            await(my->rc, within(corpus_deadline(20, coil_us(100)),
                                  coil_thread_queue_put(&o->queue, &my->number)));
        } while (my->rc == -ETIME);
        if (my->rc == -EPIPE && o->is_closed)
            return 0;
        if (my->rc < 0)
            return my->rc;
        o->put[my->number]++;
    }
    return 0;
}

static void take(office *o, uint32_t number)
{
    corpus_expect(number < NUMBERS * PRODUCERS, "nobody has put %u", number);
    corpus_expect(o->got[number]++ == 0, "%u was got twice", number);
}

async(int, consume, (office *) o)
{
    vars(uint32_t number; int rc);

    for (;;) {
        await(my->rc, within(corpus_deadline(20, coil_us(100)),
                              coil_thread_queue_get(&o->queue, &my->number)));
        if (my->rc == -ETIME)
            continue;
        if (my->rc < 0)
            return my->rc == -EPIPE ? 0 : my->rc;
        take(o, my->number);
        if (corpus_chance(10))
            await(coil_sleep(corpus_moment(coil_us(300))));
    }
}

coil_blocking(int, consume_blocking, (office *) o)
{
    uint32_t number;
    for (;;) {
        const int rc = coil_thread_queue_get_blocking(&o->queue, &number, coil_us(500));
        if (rc == -ETIME && !coil_blocking_is_cancelled())
            continue;
        if (rc < 0)
            return rc == -EPIPE || rc == -ETIME ? 0 : rc;
        take(o, number);
    }
}

/* ----------------------------------------------------------------------------------- posts -- */

static void open_letter(coil_post *post)
{
    letter *one = coil_container_of(post, letter, post);
    corpus_expect(one->run_count++ == 0, "a post runs twice");
    corpus_expect(coil_loop_current() == one->office->home, "a post runs on another loop");
}

async(int, post_letters, (office *) o)
{
    vars(int i);

    for (my->i = 0; my->i < POSTS; my->i++) {
        o->letters[my->i].office = o;
        o->letters[my->i].post.run = open_letter;
        const int rc = coil_loop_post(o->home, &o->letters[my->i].post);
        corpus_expect(rc == 0, "a post to a loop that runs: %d", rc);
        o->posted_count++;
        if (corpus_chance(30))
            await(coil_sleep(corpus_moment(coil_us(100))));
    }
    return 0;
}

/* -------------------------------------------------------------------------------- together -- */

async(int, produce_all, (office *) o, (coil_loop *) other)
{
    vars(coil_group group; uint32_t i);

    defer({
        o->is_closed = true;
        coil_thread_queue_close(&o->queue);
    });
    open_group(&my->group);
    for (my->i = 0; my->i < PRODUCERS; my->i++) {
        if (my->i % 2 == 0) {
            spawn(&my->group, produce(o, my->i * NUMBERS));
        } else {
            spawn(&my->group, coil_on_loop(other, produce(o, my->i * NUMBERS)));
        }
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, work_together, (office *) o, (coil_loop *) other)
{
    vars(coil_group group; int rc);

    open_group(&my->group);
    spawn(&my->group, produce_all(o, other));
    spawn(&my->group, consume(o));
    spawn(&my->group, coil_on_loop(other, consume(o)));
    spawn(&my->group, consume_blocking(o));
    spawn(&my->group, coil_on_loop(other, post_letters(o)));
    if (corpus_chance(30)) {
        o->is_cancelled = true;
        await(coil_sleep(corpus_moment(coil_ms(3))));
        return 0;
    }
    await(my->rc, coil_group_join(&my->group));
    corpus_expect_success(my->rc, false, "working together");
    return my->rc;
}

/* What was put was got, or is still there. */
static void balance(office *o)
{
    uint32_t number;
    while (coil_thread_queue_try_get(&o->queue, &number) == 0)
        take(o, number);
    for (int i = 0; i < NUMBERS * PRODUCERS; i++)
        corpus_expect(
                o->put[i] == o->got[i], "%d: put %u times, got %u times", i, o->put[i], o->got[i]);
}

async(int, run_office, (office *) o)
{
    vars(coil_loop_thread thread; int rc);

    o->home = coil_loop_of(coil_self);
    my->rc = coil_loop_thread_start(&my->thread, NULL, NULL);
    if (my->rc < 0)
        return my->rc;
    defer({
        coil_loop_thread_stop(&my->thread, coil_ms(1));
        coil_loop_thread_fini(&my->thread);
    });
    attempt(work_together(o, my->thread.loop));
    return 0;
}

static int threads_main(int argc, char **argv)
{
    static office one;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    memset(&one, 0, sizeof(one));
    coil_thread_queue_init(&one.queue, one.slots, SLOTS);
    const int rc = coil_run(run_office(&one));
    balance(&one);
    for (unsigned i = 0; i < one.posted_count; i++)
        corpus_expect(one.letters[i].run_count == 1, "post %u has not run", i);
    coil_thread_queue_fini(&one.queue);
    return corpus_end(&start, rc);
}

static void build_threads(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/threads", threads_main);
}

/* ----------------------------------------------------------------------------------- calls -- */

async(int, double_slowly, (int) number)
{
    vars();

    if (corpus_chance(70))
        await(coil_sleep(corpus_moment(coil_ms(2))));
    return 2 * number;
}

coil_blocking(int, triple_slowly, (int) number)
{
    if (corpus_chance(50))
        coil_kernel_word_wait(&(const uint32_t){0}, 0, corpus_moment(coil_ms(1)));
    return 3 * number;
}

typedef struct asked {
    coil_loop *other;
    bool is_ending; /* The other loop may have gone. */
} asked;

static void expect_answer(int rc, int answer, bool may_be_late, bool is_ending)
{
    if (rc == answer || (may_be_late && rc == -ETIME) || (is_ending && rc == -ESHUTDOWN))
        return;
    corpus_expect(rc < 0, "%d, where %d is right", rc, answer);
    corpus_expect_success(rc, is_ending, "a call");
}

async(int, ask, (asked *) a, (int) number)
{
    vars(int rc; coil_duration limit);

    my->limit = corpus_deadline(40, coil_ms(2));
    await(my->rc, within(my->limit, coil_on_loop(a->other, double_slowly(number))));
    expect_answer(my->rc, 2 * number, my->limit != COIL_FOREVER, a->is_ending);
    await(my->rc, within(my->limit, triple_slowly(number)));
    expect_answer(my->rc, 3 * number, my->limit != COIL_FOREVER, false);
    return 0;
}

/* A thread with a loop is asked, by tasks, while another one without a loop stops it. */
typedef struct stopper {
    coil_kernel_thread thread;
    coil_loop_thread *stopped;
    asked *asked;
    coil_duration delay;
} stopper;

static void stop_it(coil_kernel_thread *thread)
{
    stopper *self = coil_container_of(thread, stopper, thread);
    coil_remote remote;
    int result = 0;
    const uint32_t word = 0;

    coil_remote_start(&remote, self->stopped->loop, &result, double_slowly(7));
    int rc = coil_remote_wait(&remote, corpus_moment(coil_ms(1)));
    if (rc == -ETIME) {
        if (corpus_chance(50))
            coil_remote_cancel(&remote);
        rc = coil_remote_wait(&remote, COIL_FOREVER);
    }
    corpus_expect(rc != 0 || result == 14, "%d from the other loop", result);
    corpus_expect(rc != -ETIME && rc != -ESHUTDOWN, "a call that waits for ever: %d", rc);
    coil_kernel_word_wait(&word, 0, self->delay);
    self->asked->is_ending = true;
    coil_loop_thread_stop(self->stopped, corpus_moment(coil_ms(2)));
}

async(int, ask_all, (asked *) a)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    for (my->i = 1; my->i <= ASKS; my->i++) {
        spawn(&my->group, ask(a, my->i));
        if (corpus_chance(50))
            await(coil_sleep(corpus_moment(coil_us(500))));
    }
    if (corpus_chance(20))
        return 0;
    attempt(coil_group_join(&my->group));
    return 0;
}

static int remote_main(int argc, char **argv)
{
    static coil_loop_thread thread;
    asked a = {0};
    stopper s = {.thread = {.run = stop_it}, .stopped = &thread, .asked = &a};
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    int rc = coil_loop_thread_start(&thread, NULL, NULL);
    if (rc < 0)
        return corpus_end(&start, rc);
    a.other = thread.loop;
    s.delay = corpus_moment(coil_ms(6));
    const bool has_stopper = coil_kernel_thread_start(&s.thread) == 0;
    rc = coil_run(ask_all(&a));
    if (has_stopper) {
        coil_kernel_thread_join(&s.thread);
    } else {
        coil_loop_thread_stop(&thread, 0);
    }
    coil_loop_thread_fini(&thread);
    return corpus_end(&start, rc);
}

/* -------------------------------------------------------------------------- a loop per CPU -- */

enum { WORKERS = 3, TURNS = 10 };

static struct {
    unsigned begun, ended, cleaned;
    unsigned turns[WORKERS];
} workers;

async(int, work, (coil_worker *) worker)
{
    vars(int rc; int i);

    workers.begun++;
    defer(workers.ended++);
    for (my->i = 0; my->i < TURNS; my->i++) {
        const unsigned next = (worker->index + 1) % WORKERS;
        await(my->rc, coil_on_loop(coil_runtime_loop(worker->runtime, next), double_slowly(my->i)));
        corpus_expect(my->rc < 0 || my->rc == 2 * my->i, "%d", my->rc);
        if (my->rc < 0)
            return my->rc == -ESHUTDOWN ? 0 : my->rc;
        workers.turns[worker->index]++;
    }
    return 0;
}

static int runtime_main(int argc, char **argv)
{
    const coil_runtime_options options = {
            .loop_count = WORKERS, .is_unpinned = true, .main = coil_handler(work, coil_worker *)};
    coil_runtime *runtime;
    const uint32_t word = 0;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    memset(&workers, 0, sizeof(workers));
    int rc = coil_runtime_create(&options, &runtime, NULL);
    if (rc < 0)
        return corpus_end(&start, rc);
    const bool is_stopped = corpus_chance(50);
    if (is_stopped) {
        coil_kernel_word_wait(&word, 0, corpus_moment(coil_ms(10)));
        coil_runtime_stop(runtime, corpus_moment(coil_ms(5)));
    }
    rc = coil_runtime_join(runtime);
    coil_runtime_destroy(runtime);
    corpus_expect(workers.begun == workers.ended, "%u of %u mains", workers.ended, workers.begun);
    corpus_expect_success(rc, false, "the runtime");
    for (int i = 0; i < WORKERS; i++)
        corpus_expect(is_stopped || !corpus_is_fair() || workers.turns[i] == TURNS, "%u turns",
                workers.turns[i]);
    return corpus_end(&start, rc);
}

/* --------------------------------------------------------------------------------- no timers -- */

enum { PLAYERS = 4, BALLS = 25 };

/* Calls of the kernel are where another thread may come between. */
static void take_time(void)
{
    for (uint64_t i = corpus_draw(4); i > 0; i--)
        (void)coil_kernel_now();
}

async(int, return_ball, (int) ball)
{
    vars();

    take_time();
    return ball;
}

/* Nothing but the messages wakes the two loops. */
async(int, play, (coil_loop *) other)
{
    vars(int rc; int i);

    for (my->i = 0; my->i < BALLS; my->i++) {
        take_time();
        await(my->rc, coil_on_loop(other, return_ball(my->i)));
        corpus_expect_success(my->rc, false, "a ball");
        corpus_expect(my->rc < 0 || my->rc == my->i, "ball %d, not %d", my->rc, my->i);
    }
    return 0;
}

async(int, play_all, (coil_loop *) other)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    for (my->i = 0; my->i < PLAYERS; my->i++) {
        spawn(&my->group, play(other));
        spawn(&my->group, coil_on_loop(other, play(coil_loop_of(coil_self))));
    }
    attempt(coil_group_join(&my->group));
    return 0;
}

static int players_main(int argc, char **argv)
{
    static coil_loop_thread thread;
    (void)argc, (void)argv;
    const corpus_start_state start = corpus_begin();

    int rc = coil_loop_thread_start(&thread, NULL, NULL);
    if (rc < 0)
        return corpus_end(&start, rc);
    rc = coil_run(play_all(thread.loop));
    coil_loop_thread_stop(&thread, 0);
    coil_loop_thread_fini(&thread);
    return corpus_end(&start, rc);
}

static void build_remote(coil_sim *sim)
{
    (void)corpus_start(sim, "alpha", "/bin/players", players_main);
    (void)corpus_start(sim, "alpha", "/bin/remote", remote_main);
    (void)corpus_start(sim, "alpha", "/bin/runtime", runtime_main);
}

const coil_sim_scenario scenario_threads = {.name = "threads", .build = build_threads};
const coil_sim_scenario scenario_remote = {.name = "remote", .build = build_remote};
