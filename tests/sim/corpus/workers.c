/* SPDX-License-Identifier: MIT */
/*
 * A pool of worker processes, and jobs that are done, crash, hang, have too little time, have no
 * function, are cancelled. Workers are replaced while they work, and killed at any time; sometimes
 * the program that has the pool is. Each job returns once, with what its function has replied or
 * with the reason that it had; none is begun more often than it may be; the counters add up.
 */
#include "corpus.h"

#include <signal.h>
#include <stdlib.h>

#include <coil/sugar.h>

enum { JOBS = 24, WORKERS_MAX = 64, LONG_BYTES = COIL_WORKER_INLINE_BYTES + 5000 };

typedef enum kind { ECHOES, MAKES, NAPS, CRASHES, EXITS, HANGS, IS_UNKNOWN, KINDS } kind;

static const char *const functions[KINDS] = {
        "echo", "make", "nap", "crash", "exit", "hang", "nobody's"};

/* What a job carries, and the beginning of what it replies. */
typedef struct load {
    uint32_t number;
    uint32_t size_bytes;
    coil_duration nap;
} load;

typedef struct entry {
    coil_job job;
    kind kind;
    load load;
    char *bytes;            /* From malloc: a load, and a stream of bytes. */
    coil_duration patience; /* Whoever waits for it gives it up then. */
    unsigned begun_count;   /* As the workers say. */
    unsigned return_count;
} entry;

static struct {
    pid_t boss;
    pid_t workers[WORKERS_MAX]; /* Those that have begun. */
    unsigned worker_count;
    entry entries[JOBS];
    bool is_killing; /* Workers die that have done nothing. */
    bool is_over;    /* The boss has been killed. */
    bool is_closing; /* Jobs are refused. */
} ledger;

/* -------------------------------------------------------------------------------- the worker -- */

static const load *begin(const coil_work *work)
{
    const load *self = work->bytes;

    corpus_expect(work->size_bytes >= sizeof(*self), "a job of %zu bytes", work->size_bytes);
    corpus_expect(self->number < JOBS, "the job %u", self->number);
    corpus_expect(corpus_matches(self + 1, work->size_bytes - sizeof(*self), self->number, 0),
            "the bytes of job %u", self->number);
    ledger.entries[self->number].begun_count++;
    return self;
}

static int echo(coil_work *work)
{
    const load *self = begin(work);
    const int rc = coil_work_reply(work, work->bytes, work->size_bytes);
    return rc < 0 ? rc : (int)self->number;
}

/* A reply that is longer than what it was asked with. */
static int make(coil_work *work)
{
    const load *self = begin(work);
    load *reply = coil_work_room(work, LONG_BYTES);
    if (reply == NULL)
        return -ENOMEM;
    *reply = *self;
    corpus_fill(reply + 1, LONG_BYTES - sizeof(*reply), self->number, 0);
    return (int)self->number;
}

async(int, nap, (coil_work *) work)
{
    vars(const load *self);

    my->self = begin(work);
    await(coil_sleep(my->self->nap));
    return (int)my->self->number;
}

static int crash(coil_work *work)
{
    (void)begin(work);
    (void)coil_kernel_raise(SIGSEGV);
    return 0;
}

static int leave(coil_work *work)
{
    (void)begin(work);
    exit(3);
}

static int hang(coil_work *work)
{
    const load *self = begin(work);
    while (self->number < JOBS)
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_s(3600));
    return 0;
}

static int worker_main(int argc, char **argv)
{
    static const coil_worker_function table[] = {
            {.name = "echo", .run = echo},
            {.name = "make", .run = make},
            {.name = "nap", .coroutine = coil_handler(nap, coil_work *)},
            {.name = "crash", .run = crash},
            {.name = "exit", .run = leave},
            {.name = "hang", .run = hang},
    };

    (void)argc, (void)argv;
    if (ledger.worker_count < WORKERS_MAX)
        ledger.workers[ledger.worker_count++] = coil_kernel_getpid();
    if (!coil_worker_wanted())
        return 2;
    return coil_worker_main(table, sizeof(table) / sizeof(table[0]));
}

/* --------------------------------------------------------------------------------- the jobs -- */

static void make_entry(entry *self, uint32_t number)
{
    const uint64_t any = corpus_draw(KINDS);
    *self = (entry){.kind = (kind)any, .patience = corpus_deadline(15, coil_s(2))};
    if (corpus_chance(50))
        self->kind = corpus_chance(50) ? ECHOES : NAPS;
    self->load = (load){.number = number,
            .size_bytes = corpus_chance(20) ? LONG_BYTES : (uint32_t)corpus_draw(100),
            .nap = corpus_moment(coil_ms(300))};
    self->job = (coil_job){.function = functions[self->kind],
            .size_bytes = sizeof(load) + self->load.size_bytes,
            .limit = self->kind == HANGS || corpus_chance(20) ? 1 + corpus_moment(coil_ms(400)) : 0,
            .retries = corpus_chance(30) ? 1 + (unsigned)corpus_draw(2) : 0,
            .on_cancel = corpus_chance(50) ? COIL_JOB_FINISH : COIL_JOB_KILL};
}

static void check_reply(const entry *self)
{
    const coil_job *job = &self->job;
    const load *reply = job->reply;
    const size_t size_bytes = self->kind == ECHOES  ? job->size_bytes
                              : self->kind == MAKES ? LONG_BYTES
                                                    : 0;

    if (job->value < 0) {
        corpus_expect_success(job->value, false, "a reply");
        return;
    }
    corpus_expect(job->value == (int)self->load.number, "the value of another");
    corpus_expect(job->reply_bytes == size_bytes, "a reply of %zu bytes", job->reply_bytes);
    if (size_bytes == 0)
        return;
    corpus_expect(reply->number == self->load.number, "the reply of another");
    corpus_expect(corpus_matches(reply + 1, size_bytes - sizeof(*reply), reply->number, 0),
            "the bytes of reply %u", reply->number);
}

/* May a job of this kind end so, without anybody's doing? */
static bool is_natural(const entry *self)
{
    switch (self->job.end) {
    case COIL_JOB_PENDING:
        return false;
    case COIL_JOB_DONE:
        return self->kind <= NAPS;
    case COIL_JOB_CRASHED:
        return self->kind == CRASHES || self->kind == EXITS;
    case COIL_JOB_NO_MEMORY:
        return false;
    case COIL_JOB_OVERDUE:
        return self->job.limit > 0;
    case COIL_JOB_CANCELLED:
        return self->patience != COIL_FOREVER;
    case COIL_JOB_REFUSED:
        return ledger.is_closing || (self->kind == IS_UNKNOWN && self->job.error == -ENOSYS);
    }
    return false;
}

static void check_end(const entry *self)
{
    const coil_job *job = &self->job;
    char text[COIL_EXIT_TEXT_BYTES];

    corpus_expect(job->end == COIL_JOB_DONE ? job->error == 0 : job->error < 0, "job %u: %s, %s",
            self->load.number, coil_job_format(job, text), coil_error_name(job->error));
    corpus_expect(self->begun_count <= job->retries + 1,
            "job %u was begun %u times, with %u retries", self->load.number, self->begun_count,
            job->retries);
    corpus_expect(job->end != COIL_JOB_DONE || self->begun_count > 0, "it was not even begun");
    corpus_expect(is_natural(self) || !corpus_is_fair() ||
                          (ledger.is_killing && job->end == COIL_JOB_CRASHED),
            "job %u, %s: %s, %s", self->load.number, job->function, coil_job_format(job, text),
            coil_error_name(job->error));
    if (job->end == COIL_JOB_DONE)
        check_reply(self);
}

async(int, have_it_done, (coil_worker_pool *) pool, (entry *) self)
{
    vars(int rc);

    self->bytes = malloc(self->job.size_bytes);
    if (self->bytes == NULL)
        return -ENOMEM;
    defer({
        coil_job_fini(&self->job);
        free(self->bytes);
    });
    memcpy(self->bytes, &self->load, sizeof(self->load));
    corpus_fill(self->bytes + sizeof(load), self->load.size_bytes, self->load.number, 0);
    self->job.bytes = self->bytes;
    await(coil_sleep(corpus_moment(coil_ms(50))));
    await(my->rc, within(self->patience, coil_worker_pool_run(pool, &self->job)));
    self->return_count++;
    if (self->job.end == COIL_JOB_PENDING) {
        corpus_expect(my->rc < 0, "it has not ended, and there is no error");
    } else {
        check_end(self);
    }
    return 0;
}

/* --------------------------------------------------------------------------------- the boss -- */

static void check_stats(const coil_worker_pool *pool)
{
    const coil_worker_pool_stats stats = coil_worker_pool_statistics(pool);
    const uint64_t ended =
            stats.done + stats.crashed + stats.overdue + stats.cancelled + stats.refused;
    const uint64_t recycled =
            stats.recycled_by_jobs + stats.recycled_by_age + stats.recycled_by_memory;

    corpus_expect(stats.submitted == ended + stats.queue_length, "%lu jobs, %lu have ended",
            (unsigned long)stats.submitted, (unsigned long)ended);
    corpus_expect(stats.queue_length == 0, "%u jobs wait for nobody", stats.queue_length);
    corpus_expect(recycled <= stats.started, "more were recycled than there were");
    corpus_expect(stats.died <= stats.started, "more have died than there were");
}

async(int, meddle, (coil_worker_pool *) pool)
{
    vars();

    for (;;) {
        await(coil_sleep(corpus_moment(coil_ms(400))));
        coil_worker_pool_recycle(pool);
    }
}

async(int, have_jobs_done, (coil_worker_pool *) pool)
{
    vars(coil_group group; unsigned i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < JOBS; my->i++)
        spawn(&my->group, have_it_done(pool, &ledger.entries[my->i]));
    ignore(coil_group_join(&my->group));
    return 0;
}

async(int, be_boss)
{
    vars(coil_group group; coil_group others; coil_worker_pool *pool; coil_spawn_plan plan;
            coil_duration grace; int rc);

    my->plan = (coil_spawn_plan){.program = corpus_chance(3) ? "/bin/missing" : "/bin/worker"};
    ledger.is_closing = strcmp(my->plan.program, "/bin/missing") == 0;
    const coil_worker_pool_options options = {.plan = &my->plan,
            .workers = 1 + (unsigned)corpus_draw(4),
            .spares = (unsigned)corpus_draw(2),
            .queue_limit = 1 + (unsigned)corpus_draw(JOBS),
            .exit_limit = corpus_chance(50) ? coil_ms(20) : 0,
            .jobs_max = corpus_chance(30) ? 1 + corpus_draw(6) : 0,
            .age_max = corpus_chance(30) ? coil_ms(100) : 0};
    open_group(&my->group);
    my->rc = coil_worker_pool_open(&my->group, &options, &my->pool);
    if (my->rc < 0)
        return my->rc;
    my->grace = corpus_deadline(50, coil_ms(500));
    defer({
        check_stats(my->pool);
        ignore(coil_worker_pool_close(my->pool, my->grace));
    });
    open_group(&my->others);
    if (corpus_chance(20))
        spawn(&my->others, meddle(my->pool));
    ignore(within(corpus_deadline(10, coil_s(1)), have_jobs_done(my->pool)));
    return 0;
}

CORPUS_MAIN(boss_main, be_boss())

/* ---------------------------------------------------------------------------- what is done -- */

async(int, disturb, (coil_sim *) sim)
{
    vars(unsigned kills);

    ledger.is_killing = corpus_chance(50);
    if (corpus_chance(10)) {
        await(coil_sleep(corpus_moment(coil_ms(500))));
        ledger.is_over = true;
        (void)coil_sim_kill(sim, ledger.boss, SIGKILL);
    }
    while (ledger.is_killing && my->kills++ < 20) {
        await(coil_sleep(corpus_moment(coil_ms(50))));
        if (ledger.worker_count > 0) {
            const pid_t victim = ledger.workers[corpus_draw(ledger.worker_count)];
            (void)coil_sim_kill_at_call(sim, victim, 1 + corpus_draw(30), SIGKILL);
        }
    }
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.boss = corpus_start(sim, "alpha", "/bin/boss", boss_main);
    coil_sim_program(sim, "/bin/worker", worker_main);
    for (uint32_t i = 0; i < JOBS; i++)
        make_entry(&ledger.entries[i], i);
}

static void check(coil_sim *sim)
{
    if (ledger.is_over)
        return;
    corpus_expect_end(sim, ledger.boss, "the boss");
    for (unsigned i = 0; i < JOBS; i++) {
        const entry *one = &ledger.entries[i];
        coil_sim_expect(
                sim, one->return_count <= 1, "job %u returns %u times", i, one->return_count);
        coil_sim_expect(sim,
                one->return_count == 1 || one->job.end == COIL_JOB_PENDING ||
                        one->job.end == COIL_JOB_CANCELLED || !corpus_is_fair(),
                "job %u has ended, and nobody was told", i);
    }
}

const coil_sim_scenario scenario_workers = {.name = "workers",
        .build = build,
        .direct = coil_handler(disturb, coil_sim *),
        .check = check};
