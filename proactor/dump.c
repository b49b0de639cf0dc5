/* SPDX-License-Identifier: MIT */
#include <coil/dump.h>

#include "loop_private.h"
#include "monitor.h"
#include "recorder_private.h"

#include <coil/kernel.h>
#include <coil/trace.h>
#include <coil/watchdog.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PATIENCE_S = 1,
    TREES_MAX = 16, /* Loops that are dealt with at once; the others right after. */
};

static COIL_PROCESS_WIDE uint32_t request_count;  /* Written by anyone, relaxed. */
static COIL_PROCESS_WIDE bool probes_are_allowed; /* Of the watchdog's signal. */

/* The rest belongs to the monitor's thread. */
static COIL_PROCESS_WIDE uint32_t served_count;
static COIL_PROCESS_WIDE coil_time answers_due; /* 0: nobody is asked. */
static report text;

/* ---------------------------------------------------------------------- on the loop's thread -- */

void coil_dump(const coil_loop *loop, FILE *out)
{
    char name[MONITOR_NAME_BYTES];
    fprintf(out, "coil: %s: %zu tasks, %zu operations in the kernel\n",
            monitor_loop_name(loop, name), loop->sched.live_count, loop->pending_count);
    coil_trace_tree(&loop->sched.root, out);
    coil_trace_tree(&loop->runs, out);
    coil_trace_tree(&loop->guests, out);
}

/* Between two steps of tasks. */
static void draw(coil_post *post)
{
    coil_loop *loop = coil_container_of(post, coil_loop, dump.post);
    loop_dump *dump = &loop->dump;

    FILE *out = open_memstream(&dump->text, &dump->size_bytes);
    if (out != NULL) {
        coil_dump(loop, out);
        recorder_dump(loop, out);
        (void)fclose(out);
    }
    __atomic_store_n(&dump->state, DUMP_READY, __ATOMIC_RELEASE);
    monitor_poke();
}

/* --------------------------------------------------------------------------------- requests -- */

void coil_dump_request(void)
{
    (void)__atomic_fetch_add(&request_count, 1, __ATOMIC_RELAXED);
    monitor_poke();
}

static void on_signal(int signo)
{
    (void)signo;
    coil_dump_request();
}

static int handle(int signo)
{
    struct sigaction before;
    int rc = coil_kernel_sigaction(signo, NULL, &before);
    if (rc < 0)
        return rc;
    if (before.sa_handler != SIG_DFL && before.sa_handler != on_signal)
        return -EBUSY;
    struct sigaction action = {.sa_flags = SA_RESTART | SA_ONSTACK};
    action.sa_handler = on_signal;
    (void)sigemptyset(&action.sa_mask);
    return coil_kernel_sigaction(signo, &action, NULL);
}

int coil_dump_on_signal(int signo)
{
    probes_are_allowed = probe_install(COIL_WATCHDOG_SIGNAL) == 0;
    int rc = monitor_need(MONITOR_DUMP);
    if (rc < 0 || signo == 0)
        return rc;
    return handle(signo);
}

/* ----------------------------------------------------------------- on the monitor's thread -- */

typedef enum finding { FOUND_TREE, FOUND_RESTING, FOUND_BLOCKED } finding;

typedef struct collected {
    finding what;
    const coil_loop *loop; /* May be gone when it is looked at. */
    pid_t thread;
    char name[MONITOR_NAME_BYTES];
    char *tree;
    size_t size_bytes;
} collected;

typedef struct collector {
    loop_visitor visitor;
    bool ask;
    uint32_t requested;
    bool give_up;
    size_t asked_count; /* That have yet to answer in time. */
    size_t count;
    collected found[TREES_MAX];
} collector;

static collected *collect(collector *round, const coil_loop *loop, finding what)
{
    collected *one = &round->found[round->count++];
    *one = (collected){.what = what, .loop = loop, .thread = loop->watch.thread};
    (void)monitor_loop_name(loop, one->name);
    return one;
}

static void ask(collector *round, coil_loop *loop)
{
    loop->dump.round = round->requested;
    if (__atomic_load_n(&loop->watch.beat, __ATOMIC_RELAXED) == WATCH_RESTS) {
        (void)collect(round, loop, FOUND_RESTING);
        return;
    }
    __atomic_store_n(&loop->dump.state, DUMP_ASKED, __ATOMIC_RELAXED);
    loop->dump.post.run = draw;
    coil_loop_post(loop, &loop->dump.post);
}

static void take_tree(collector *round, coil_loop *loop)
{
    collected *one = collect(round, loop, FOUND_TREE);
    one->tree = loop->dump.text;
    one->size_bytes = loop->dump.size_bytes;
    loop->dump.text = NULL;
    __atomic_store_n(&loop->dump.state, DUMP_IDLE, __ATOMIC_RELAXED);
}

static void visit(loop_visitor *visitor, coil_loop *loop)
{
    collector *round = coil_container_of(visitor, collector, visitor);
    loop_dump *dump = &loop->dump;
    if (round->count + 2 > TREES_MAX)
        return;

    if (__atomic_load_n(&dump->state, __ATOMIC_ACQUIRE) == DUMP_READY)
        take_tree(round, loop);
    if (round->ask && dump->round != round->requested &&
            __atomic_load_n(&dump->state, __ATOMIC_RELAXED) == DUMP_IDLE)
        ask(round, loop);

    loop_dump_state asked = DUMP_ASKED;
    if (round->give_up && __atomic_compare_exchange_n(&dump->state, &asked, DUMP_LATE, false,
                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        (void)collect(round, loop, FOUND_BLOCKED);
    if (__atomic_load_n(&dump->state, __ATOMIC_RELAXED) == DUMP_ASKED)
        round->asked_count++;
}

static void print_blocked(const collected *found)
{
    probe seen;
    (void)probe_loop(
            found->loop, found->thread, probes_are_allowed ? COIL_WATCHDOG_SIGNAL : 0, &seen);
    text.size_bytes = 0;
    report_add(&text, "coil: %s is blocked; its tasks follow when it goes on\n", found->name);
    monitor_add_probe(&text, &seen, true);
    report_write(STDERR_FILENO, text.text, text.size_bytes);
}

static void print(collected *found)
{
    switch (found->what) {
    case FOUND_TREE:
        if (found->tree != NULL)
            report_write(STDERR_FILENO, found->tree, found->size_bytes);
        free(found->tree);
        break;
    case FOUND_RESTING:
        text.size_bytes = 0;
        report_add(&text, "coil: %s is not being run\n", found->name);
        report_write(STDERR_FILENO, text.text, text.size_bytes);
        break;
    case FOUND_BLOCKED:
        print_blocked(found);
        break;
    }
}

coil_duration dump_look(coil_time now)
{
    static COIL_PROCESS_WIDE collector round; /* Too large for a stack. */
    const uint32_t requested = __atomic_load_n(&request_count, __ATOMIC_RELAXED);

    round.visitor.visit = visit;
    round.requested = requested;
    round.ask = requested != served_count;
    round.give_up = !round.ask && answers_due != 0 && now >= answers_due;
    round.count = 0;
    round.asked_count = 0;
    if (round.ask)
        answers_due = coil_time_after(now, coil_s(PATIENCE_S));
    loop_each(&round.visitor);
    bool is_full = round.count + 2 > TREES_MAX; /* There may be more loops. */
    if (!is_full)
        served_count = requested;
    for (size_t i = 0; i < round.count; i++)
        print(&round.found[i]);

    if (is_full)
        return 0;
    if (round.asked_count > 0)
        return answers_due > now ? answers_due - now : 0;
    answers_due = 0;
    return COIL_FOREVER;
}
