/* SPDX-License-Identifier: MIT */
/*
 * A parent of many children: they talk, finish, crash, hang, are deaf to SIGTERM, do not exist. All
 * their lines arrive, waits are cancelled at any time, and each exit status is told once, to the
 * end; no process is left. A second scenario has children of children, and a parent that dies.
 */
#include "corpus.h"

#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

enum { CHILDREN = 8, LINES = 15 };

typedef enum kind { TALKS, CRASHES, HANGS, IS_DEAF, IS_OBEDIENT, IS_MISSING, ANSWERS, KINDS } kind;

static const char *const paths[KINDS] = {"/bin/talk", "/bin/crash", "/bin/hang", "/bin/deaf",
        "/bin/obey", "/bin/missing", "/bin/answer"};

static struct {
    pid_t parent;
    unsigned spawned_count;
    unsigned status_count;
} ledger;

/* -------------------------------------------------------------------------------- programs -- */

static int write_text(const char *text)
{
    const size_t size_bytes = strlen(text);
    size_t done_bytes = 0;
    while (done_bytes < size_bytes) {
        const ssize_t count = coil_kernel_write(1, text + done_bytes, size_bytes - done_bytes);
        if (count == -EINTR)
            continue;
        if (count < 0)
            return (int)count;
        done_bytes += (size_t)count;
    }
    return 0;
}

static int talk_main(int argc, char **argv)
{
    char line[64];
    for (int i = 0; i < LINES; i++) {
        (void)snprintf(line, sizeof(line), "line %d\n", i);
        if (write_text(line) < 0)
            return 99;
    }
    return argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
}

static int crash_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)coil_kernel_raise(SIGSEGV);
    return 1;
}

static int hang_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    while (true)
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_s(3600));
    return 0;
}

static int deaf_main(int argc, char **argv)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
    return hang_main(argc, argv);
}

/* The smallest of services: it ends when it is asked to. */
static int obey_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(coil_signal_wait(COIL_SIGNALS(SIGTERM))) == SIGTERM ? 5 : 6;
}

static int answer_main(int argc, char **argv)
{
    return argc > 1 ? (int)strtol(argv[1], NULL, 10) : 42;
}

/* ---------------------------------------------------------------------------------- parent -- */

typedef struct ward {
    kind kind;
    int number;
    coil_child child;
    char argument[12];
    int lines_count;
} ward;

static int begin(ward *one)
{
    const char *const argv[] = {"child", one->argument, NULL};
    const coil_spawn_plan plan = {
            .program = paths[one->kind],
            .argv = argv,
            .in = {COIL_STDIO_NULL, 0},
            .out = {one->kind == TALKS ? COIL_STDIO_PIPE : COIL_STDIO_NULL, 0},
            .err = {COIL_STDIO_NULL, 0},
    };
    coil_spawn_error error;

    (void)snprintf(one->argument, sizeof(one->argument), "%d", one->number);
    const int rc = coil_child_spawn(&plan, &one->child, &error);
    corpus_expect((rc == -ENOENT) == (one->kind == IS_MISSING) || rc < 0,
            "spawning what is not there: %d", rc);
    corpus_expect(rc == 0 || error.error == rc, "%d, but %d", rc, error.error);
    if (rc == 0)
        ledger.spawned_count++;
    return rc;
}

/* All its lines, to the end of the pipe. */
async(int, read_lines, (ward *) one)
{
    vars(coil_stream *log; coil_slice line; char expected[64]);

    const int fd = one->child.stdout_fd;
    one->child.stdout_fd = -1;
    const int rc = coil_stream_create(fd, COIL_TRANSPORT_FILE, &my->log);
    if (rc < 0)
        return rc;
    defer(coil_stream_close(my->log));
    defer(coil_slice_release(&my->line));
    for (;;) {
        await(my->line,
                within(corpus_deadline(20, coil_us(200)), coil_read_until(my->log, '\n', 256)));
        if (my->line.size_bytes == -ETIME)
            continue;
        if (my->line.size_bytes <= 0)
            return (int)my->line.size_bytes;
        const int size =
                snprintf(my->expected, sizeof(my->expected), "line %d\n", one->lines_count);
        corpus_expect(my->line.size_bytes == size &&
                              memcmp(my->line.bytes, my->expected, (size_t)size) == 0,
                "line %d of a child is another one", one->lines_count);
        one->lines_count++;
        coil_slice_release(&my->line);
    }
}

static void expect_exit(const ward *one)
{
    const coil_exit *end = &one->child.exit;
    bool is_right = false;

    corpus_expect(end->ended, "a child that was waited for has not ended");
    switch (one->kind) {
    case TALKS:
        is_right = !end->signaled && (end->code == one->number || end->code == 99);
        break;
    case ANSWERS:
        is_right = !end->signaled && end->code == one->number;
        break;
    case CRASHES:
        is_right = end->signaled && end->code == SIGSEGV;
        break;
    case HANGS:
        is_right = end->signaled && (end->code == SIGTERM || end->code == SIGKILL);
        break;
    case IS_DEAF: /* It may get the SIGTERM before it is deaf. */
        is_right = end->signaled && (end->code == SIGKILL || end->code == SIGTERM);
        break;
    default: /* The same with its loop; and it may be unable to have one. */
        is_right = end->signaled ? end->code == SIGTERM || end->code == SIGKILL
                                 : end->code == 5 || end->code == 6;
        break;
    }
    corpus_expect(is_right || !corpus_is_fair(), "a child '%s' that %s %d", paths[one->kind],
            end->signaled ? "was killed by" : "ended with", end->code);
    ledger.status_count++;
}

/* Wait with deadlines that pass, then once more; those that never end are stopped. */
async(int, await_exit, (ward *) one)
{
    vars(int rc; int i);

    for (my->i = 0; my->i < 3; my->i++) {
        await(my->rc, within(corpus_moment(coil_ms(1)), coil_child_wait(&one->child)));
        if (my->rc == 0)
            break;
        if (my->rc != -ETIME)
            return my->rc;
        corpus_expect(!one->child.exit.ended, "a wait that was late has told its exit");
    }
    if (one->kind == HANGS || one->kind == IS_DEAF || one->kind == IS_OBEDIENT) {
        await(my->rc, coil_child_stop(&one->child, coil_ms(50)));
    } else {
        await(my->rc, coil_child_wait(&one->child));
    }
    if (my->rc < 0)
        return my->rc;
    expect_exit(one);
    return 0;
}

async(int, watch_child, (ward *) one)
{
    vars(coil_group logs; int rc);

    my->rc = begin(one);
    if (my->rc < 0)
        return one->kind == IS_MISSING ? 0 : my->rc;
    defer(coil_child_fini(&one->child));
    defer({
        ignore(coil_child_stop(&one->child, coil_ms(20)));
        corpus_expect(one->child.exit.ended || !corpus_is_fair(), "a child that was not stopped");
    });
    open_group(&my->logs);
    my->logs.keep_going = true;
    if (one->kind == TALKS)
        spawn(&my->logs, read_lines(one));
    attempt(await_exit(one));
    ignore(coil_group_join(&my->logs));
    corpus_expect(one->kind != TALKS || one->lines_count == LINES || !corpus_is_fair(),
            "%d lines of %d", one->lines_count, LINES);
    return 0;
}

async(int, be_parent_of_one, (int) number)
{
    vars(ward one; int rc; coil_duration limit);

    my->one.number = number;
    const uint64_t kind_drawn = corpus_draw(KINDS);
    my->one.kind = (kind)kind_drawn;
    my->limit = corpus_chance(15) ? corpus_moment(coil_ms(3)) : coil_s(60);
    await(my->rc, within(my->limit, watch_child(&my->one)));
    if (my->rc == -ETIME && my->limit < coil_s(60))
        return 0;
    corpus_expect_success(my->rc, false, "a child");
    return 0;
}

async(int, be_parent)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    my->group.limit = 5;
    for (my->i = 0; my->i < CHILDREN; my->i++)
        spawn(&my->group, be_parent_of_one(my->i));
    if (corpus_chance(15)) {
        await(coil_sleep(corpus_moment(coil_ms(20))));
        return 0; /* All of them are stopped. */
    }
    ignore(coil_group_join(&my->group));
    return 0;
}

CORPUS_MAIN(parent_main, be_parent())

static void register_programs(coil_sim *sim)
{
    static int (*const mains[KINDS])(int, char **) = {
            talk_main, crash_main, hang_main, deaf_main, obey_main, NULL, answer_main};
    for (int i = 0; i < KINDS; i++) {
        if (mains[i] != NULL)
            coil_sim_program(sim, paths[i], mains[i]);
    }
}

static void build_children(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    register_programs(sim);
    ledger.parent = corpus_start(sim, "alpha", "/bin/parent", parent_main);
}

/* Only the parent is left: what it has started has been reaped. */
static void check_children(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.parent, "the parent");
    coil_sim_expect(sim, ledger.status_count <= ledger.spawned_count, "%u exits of %u children",
            ledger.status_count, ledger.spawned_count);
}

/* --------------------------------------------------------------------------------- orphans -- */

/* A child that has a child of its own, and ends before it, or hangs. */
async(int, be_middle)
{
    vars(ward one; int rc);

    my->one.kind = HANGS;
    my->rc = begin(&my->one);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->one.child));
    if (corpus_chance(50))
        await(coil_sleep(corpus_moment(coil_ms(5))));
    if (corpus_chance(50))
        attempt(coil_child_wait(&my->one.child));
    return 0; /* The death signal ends it. */
}

CORPUS_MAIN(middle_main, be_middle())

async(int, have_grandchild)
{
    vars(coil_child child; int rc);
    const coil_spawn_plan plan = {.program = "/bin/middle",
            .in = {COIL_STDIO_NULL, 0},
            .out = {COIL_STDIO_NULL, 0},
            .err = {COIL_STDIO_NULL, 0}};

    my->rc = coil_child_spawn(&plan, &my->child, NULL);
    if (my->rc < 0)
        return my->rc;
    defer(coil_child_fini(&my->child));
    defer(ignore(coil_child_stop(&my->child, coil_ms(10))));
    await(my->rc, within(corpus_moment(coil_ms(8)), coil_child_wait(&my->child)));
    return my->rc == -ETIME ? 0 : my->rc;
}

async(int, have_grandchildren)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    my->group.keep_going = true;
    for (my->i = 0; my->i < 4; my->i++)
        spawn(&my->group, have_grandchild());
    ignore(coil_group_join(&my->group));
    return 0;
}

CORPUS_MAIN(grandparent_main, have_grandchildren())

/* The parent is killed while it has children, at some time or in some call of the kernel. */
async(int, direct_orphans, (coil_sim *) sim)
{
    vars();

    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_ms(6))));
        (void)coil_sim_kill(sim, ledger.parent, SIGKILL);
    } else if (corpus_chance(40)) {
        (void)coil_sim_kill_at_call(sim, ledger.parent, 1 + corpus_draw(400), SIGKILL);
    }
    return 0;
}

static void build_orphans(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    register_programs(sim);
    coil_sim_program(sim, "/bin/middle", middle_main);
    ledger.parent = corpus_start(sim, "alpha", "/bin/grandparent", grandparent_main);
}

static void check_orphans(coil_sim *sim)
{
    if (coil_sim_status(sim, ledger.parent) != -SIGKILL)
        corpus_expect_end(sim, ledger.parent, "the grandparent");
}

const coil_sim_scenario scenario_children = {
        .name = "children", .build = build_children, .check = check_children};
const coil_sim_scenario scenario_orphans = {.name = "orphans",
        .build = build_orphans,
        .direct = coil_handler(direct_orphans, coil_sim *),
        .check = check_orphans};
