/* SPDX-License-Identifier: MIT */
/*
 * Hunts for unsoundness: random programs of everything in core and sync, cancelled at random
 * points, under virtual time and without a kernel. One seed is one program and one schedule.
 *
 *     programs [--seed=N] [--programs=N] [--seconds=N]     from this seed on, that many, that long
 *     programs --seed=N --trace                            one of them, saying what it does
 *
 * A program is a tree: tasks in groups (limited, going on, racing), deadlines that others move,
 * shields, defers that wait, locks, and leaves that wait for something, give something, or cancel
 * anything. The driver cancels as well, is late at times, and gives out small budgets. What must
 * hold whatever happens:
 *
 *   - Every task ends, every coroutine that was entered leaves, every defer runs once, youngest
 *     first and to its end. All memory comes back, each block of the slabs; no timer is armed.
 *   - Mutual exclusion; permits, items, promises, tickets and phases of a barrier are neither lost
 *     nor doubled; those who wait are served in their order.
 *   - Whenever nothing is ready, nobody waits for what is there: no wake-up is lost.
 *   - Nothing is -ETIME before its deadline; what is in a shield comes to its own end; a coroutine
 *     that is being cancelled goes no further than its next await.
 *   - A task has the local values that it was born with and has set since.
 *   - Nobody waits for ever: when nothing is due any more all tasks are cancelled, and must end.
 *     (What cannot be cancelled, in shields and defers, has a deadline.)
 *
 * The programs are played by a child. When it fails, crashes or hangs, its program is shrunk, node
 * by node, as long as it goes on failing, and printed with the command that plays it again.
 */
#include "programs.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS_MAX = 100000,
    HANG_S = 60, /* Under valgrind too. */
};

typedef struct options {
    uint64_t seed;
    uint64_t count;
    long seconds; /* 0: any number. */
    bool trace;
    bool calm;
    bool tallies;
    const char *off; /* What is left out, when a program that was shrunk is played. */
} options;

/* What the child tells, even if it dies. */
static struct progress {
    uint64_t seed;
    uint64_t played_count;
    uint64_t node_count, task_count, step_count, attack_count;
    tally tallies[KINDS];
} * progress;

/* ------------------------------------------------------------------------------ the driver -- */

static void attack(void)
{
    coil_task *task;

    progress->attack_count++;
    switch (toss(6)) {
    case 0:
        cancel_any_group();
        break;
    case 1:
        move_any_timeout(toss(100));
        break;
    case 2:
        task = any_task(&world.sched.root);
        if (task != NULL && task->top->at != NULL)
            coil_task_wake(task); /* For no reason: whoever waits has to look. */
        break;
    default:
        task = any_task(&world.sched.root);
        if (task == NULL)
            break;
        SAY("%8.1f us  the driver cancels %s\n", (double)world.sched.now / 1000,
                coil_task_name(task));
        coil_task_cancel(task);
    }
}

static bool attacks(void)
{
    return world.attack_rate != 0 && toss(world.attack_rate) == 0 && !world.program->calm;
}

/*
 * Nothing is ready: on to the next deadline, a little late at times. Nothing is due either: then we
 * help, for a while. At the end, all must end.
 */
static void go_on(int *help)
{
    coil_time next = coil_sched_next(&world.sched);

    if (next != COIL_NEVER) {
        coil_sched_advance(&world.sched, toss(4) == 0 ? next + briefly(toss(6)) : next);
        return;
    }
    if (--*help > 0) {
        if (toss(2))
            help_waiters();
        else
            help_items();
        return;
    }
    EXPECT(*help == 0);
    SAY("%8.1f us  nothing is due: all tasks are cancelled\n", (double)world.sched.now / 1000);
    coil_group_cancel(&world.sched.root);
}

static void drive(void)
{
    unsigned budget = toss(3) == 0 ? 3 : 500;
    int help = (int)toss(60) + 1;

    for (int round = 0; world.sched.live_count > 0; round++) {
        EXPECT(round < ROUNDS_MAX);
        bool more = coil_sched_run(&world.sched, 1 + toss(budget));
        if (!more)
            world_check_idle();
        if (attacks())
            attack();
        if (coil_sched_idle(&world.sched) && world.sched.live_count > 0)
            go_on(&help);
        else if (toss(8) == 0)
            coil_sched_advance(&world.sched, world.sched.now + briefly(toss(6)));
    }
}

static void play(const program *played)
{
    alarm(HANG_S);
    world_init(played);
    for (size_t i = 0; i < played->root_count; i++)
        coil_spawn(&world.sched.root, run_root(i));
    drive();
    world_check_end();
    progress->task_count += (uint64_t)world.task_count;
    progress->step_count += world.sched.step_count;
    progress->node_count += played->node_count;
}

/* ------------------------------------------------------------------------------- shrinking -- */

static void be_silent(void)
{
    if (freopen("/dev/null", "w", stderr) == NULL)
        abort();
}

/* In a child, so that one which fails can be told. */
static bool fails(const program *played)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        be_silent();
        play(played);
        _exit(0);
    }
    int status;
    return waitpid(child, &status, 0) == child && status != 0;
}

/* True: it can be left out, and is. */
static bool leave_out(program *played, bool *what)
{
    if (*what)
        return false;
    *what = true;
    if (fails(played))
        return true;
    *what = false;
    return false;
}

static void shrink(program *played)
{
    bool smaller = true;

    (void)leave_out(played, &played->calm);
    for (int pass = 0; smaller && pass < 4; pass++) {
        smaller = false;
        for (size_t i = 0; i < played->node_count; i++)
            smaller |= leave_out(played, &played->nodes[i].off);
    }
}

/* What the last of them says. */
static void play_aloud(const program *played)
{
    pid_t child = fork();
    if (child == 0) {
        world.tracing = true;
        play(played);
        _exit(0);
    }
    if (child > 0)
        (void)waitpid(child, NULL, 0);
}

/* A node below one that is left out need not be named. */
static void print_off(const program *played, const node *n, const char **separator)
{
    if (n->off) {
        printf("%s%d", *separator, n->id);
        *separator = ",";
        return;
    }
    for (size_t i = 0; i < n->child_count; i++)
        print_off(played, n->children[i], separator);
}

static void report(program *played, const char *name)
{
    printf("%s --seed=%llu --trace\n", name, (unsigned long long)played->seed);
    if (!fails(played)) {
        printf("it does not fail when it is played alone\n");
        program_print(played, stdout);
        return;
    }
    shrink(played);
    printf("what is left of it that still fails:\n");
    program_print(played, stdout);
    printf("%s --seed=%llu --trace%s", name, (unsigned long long)played->seed,
            played->calm ? " --calm" : "");
    const char *separator = " --off=";
    for (size_t i = 0; i < played->root_count; i++)
        print_off(played, played->roots[i], &separator);
    printf("\n");
    fflush(NULL);
    play_aloud(played);
}

/* ------------------------------------------------------------------------------ many of them -- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void play_all(const options *wanted, double end)
{
    static program played;

    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20); /* Each program needs much the same. */

    for (uint64_t i = 0; i < wanted->count; i++) {
        if (wanted->seconds != 0 && i % 16 == 0 && seconds_now() > end)
            return;
        progress->seed = wanted->seed + i;
        program_generate(&played, wanted->seed + i);
        play(&played);
        progress->played_count++;
    }
}

/* True: it has come to its end. */
static bool play_in_child(const options *wanted)
{
    double begun = seconds_now();
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return false;
    }
    if (child == 0) {
        play_all(wanted, begun + (double)wanted->seconds);
        exit(0);
    }
    int status = -1;
    (void)waitpid(child, &status, 0);
    double lasted = seconds_now() - begun;
    printf("%llu programs in %.1f s (%.0f/s), the last seed is %llu; %llu nodes, %llu tasks, %llu "
           "resumptions, %llu cancellations by the driver\n",
            (unsigned long long)progress->played_count, lasted,
            (double)progress->played_count / lasted, (unsigned long long)progress->seed,
            (unsigned long long)progress->node_count, (unsigned long long)progress->task_count,
            (unsigned long long)progress->step_count, (unsigned long long)progress->attack_count);
    if (status != 0 && WIFSIGNALED(status))
        printf("FAILED by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (status != 0)
        printf("FAILED\n");
    return status == 0;
}

static void print_tallies(void)
{
    printf("%-18s %10s %10s %10s %10s %10s\n", "", "begun", "done", "failed", "cut", "waited");
    for (size_t i = 0; i < KINDS; i++) {
        const tally *kind = &progress->tallies[i];
        printf("%-18s %10llu %10llu %10llu %10llu %10llu\n", kind_name((node_kind)i),
                (unsigned long long)kind->begun, (unsigned long long)kind->done,
                (unsigned long long)kind->failed, (unsigned long long)kind->cut,
                (unsigned long long)kind->waited);
    }
}

static void leave_out_all(program *played, const char *ids)
{
    while (ids != NULL && *ids != '\0') {
        char *end;
        unsigned long id = strtoul(ids, &end, 10);
        if (end == ids || id >= NODES_MAX)
            return;
        played->nodes[id].off = true;
        ids = *end == ',' ? end + 1 : end;
    }
}

static int play_one(const options *wanted)
{
    static program played;
    program_generate(&played, wanted->seed);
    played.calm = wanted->calm;
    leave_out_all(&played, wanted->off);
    program_print(&played, stderr);
    world.tracing = wanted->trace;
    play(&played);
    return 0;
}

static bool parse(options *wanted, const char *argument)
{
    unsigned long long number;
    if (sscanf(argument, "--seed=%llu", &number) == 1)
        wanted->seed = number;
    else if (sscanf(argument, "--programs=%llu", &number) == 1)
        wanted->count = number;
    else if (sscanf(argument, "--seconds=%llu", &number) == 1)
        wanted->seconds = (long)number;
    else if (strncmp(argument, "--off=", 6) == 0)
        wanted->off = argument + 6;
    else if (strcmp(argument, "--trace") == 0)
        wanted->trace = true;
    else if (strcmp(argument, "--tallies") == 0)
        wanted->tallies = true;
    else if (strcmp(argument, "--calm") == 0)
        wanted->calm = true;
    else
        return false;
    return true;
}

int main(int argument_count, char **arguments)
{
    options wanted = {.seed = 1, .count = UINT64_MAX};
    for (int i = 1; i < argument_count; i++) {
        if (parse(&wanted, arguments[i]))
            continue;
        fprintf(stderr,
                "usage: %s [--seed=N] [--programs=N] [--seconds=N] [--tallies] "
                "[--trace [--calm] [--off=N,N...]]\n",
                arguments[0]);
        return 2;
    }
    if (wanted.count == UINT64_MAX && wanted.seconds == 0)
        wanted.count = 1000;
    progress = mmap(
            NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    world.tallies = progress->tallies;
    if (wanted.trace)
        return play_one(&wanted);
    printf("--seed=%llu\n", (unsigned long long)wanted.seed);
    bool well = play_in_child(&wanted);
    if (wanted.tallies)
        print_tallies();
    if (well)
        return 0;
    static program failed;
    program_generate(&failed, progress->seed);
    report(&failed, arguments[0]);
    return 1;
}
