/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to spawn a child and to wait for its end? coil_child_spawn() and, on a loop,
 * coil_child_wait(), beside posix_spawn() and a waitid(2) that blocks. The child is exit_zero,
 * which lies in ../helper beside this program, static.
 *
 *     spawn_child          one after the other
 *     spawn_children_50    50 at once; per child
 *     spawn_child_call     how long the caller is blocked in the spawning call
 *
 * PERF_TOUCHED_MIB in the environment makes the parent larger, which must not matter.
 */
#include "child.h"

#include <coil/check.h>
#include <coil/child.h>
#include <coil/loop.h>
#include <coil/spawn.h>

#include <spawn.h>

#include <sys/wait.h>

#include <coil/sugar.h>

static const char *child_path;

static void spawn_child(const char *program, coil_child *out_child)
{
    const coil_spawn_plan plan = {
            .program = program,
            .argv = (const char *const[]){program, NULL},
    };
    coil_spawn_error error;
    if (coil_child_spawn(&plan, out_child, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
}

static pid_t spawn_with_coil(const char *program)
{
    coil_child child;
    spawn_child(program, &child);
    coil_child_fini(&child);
    return child.pid;
}

/* With what a good citizen asks for: dispositions and mask reset. No pidfd, no death signal. */
static pid_t spawn_with_posix(const char *program)
{
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;
    char *name = strdup(program);
    char *arguments[] = {name, NULL};
    pid_t pid = -1;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (posix_spawn(&pid, program, NULL, &attributes, arguments, environ) != 0) {
        perror(program);
        exit(1);
    }
    posix_spawnattr_destroy(&attributes);
    free(name);
    return pid;
}

typedef pid_t spawner(const char *program);

/* What one cycle of spawn and waitid costs, or only the spawn's share of it. */
static double cycles(spawner *start, int64_t count, bool only_calls)
{
    double call_ns = 0;
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++) {
        siginfo_t end;
        double call_start_ns = measure_now_ns();
        pid_t pid = start(child_path);
        call_ns += measure_now_ns() - call_start_ns;
        (void)waitid(P_PID, (id_t)pid, &end, WEXITED);
    }
    return only_calls ? call_ns : measure_now_ns() - start_ns;
}

/* `count` children, so many at once. */
async(int, spawn_and_wait, (int) at_once, (int64_t) count)
{
    vars(int64_t done; int i; coil_child children[CHILDREN]);
    for (; my->done < count; my->done += at_once) {
        for (int i = 0; i < at_once; i++)
            spawn_child(child_path, &my->children[i]);
        for (my->i = 0; my->i < at_once; my->i++) {
            attempt(coil_child_wait(&my->children[my->i]));
            coil_child_fini(&my->children[my->i]);
        }
    }
    return 0;
}

static double on_a_loop(int at_once, int64_t count)
{
    coil_loop *loop;
    char reason[COIL_REASON_BYTES];

    if (coil_loop_create(&loop, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    double start_ns = measure_now_ns();
    COIL_CHECK(coil_spawn(coil_loop_root(loop), spawn_and_wait(at_once, count)));
    COIL_CHECK(coil_loop_run(loop) == 0);
    double spent_ns = measure_now_ns() - start_ns;
    coil_loop_destroy(loop);
    return spent_ns;
}

static double run_coil(int64_t count)
{
    return on_a_loop(1, count);
}

static double run_coil_50(int64_t count)
{
    return on_a_loop(CHILDREN, count);
}

static double run_coil_call(int64_t count)
{
    return cycles(spawn_with_coil, count, true);
}

static double run_posix(int64_t count)
{
    return cycles(spawn_with_posix, count, false);
}

static double run_posix_50(int64_t count)
{
    double start_ns = measure_now_ns();

    for (int64_t done = 0; done < count; done += CHILDREN) {
        siginfo_t end;
        for (int i = 0; i < CHILDREN; i++)
            (void)spawn_with_posix(child_path);
        for (int i = 0; i < CHILDREN; i++)
            (void)waitid(P_ALL, 0, &end, WEXITED);
    }
    return measure_now_ns() - start_ns;
}

static double run_posix_call(int64_t count)
{
    return cycles(spawn_with_posix, count, true);
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"spawn_child", "coil", run_coil, 300, MEASURE_NS},
            {"spawn_child", "posix_spawn", run_posix, 300, MEASURE_NS},
            {"spawn_children_50", "coil", run_coil_50, 300, MEASURE_NS},
            {"spawn_children_50", "posix_spawn", run_posix_50, 300, MEASURE_NS},
            {"spawn_child_call", "coil", run_coil_call, 300, MEASURE_NS},
            {"spawn_child_call", "posix_spawn", run_posix_call, 300, MEASURE_NS},
    };
    const char *wish = getenv("PERF_TOUCHED_MIB");
    size_t touched_bytes = wish == NULL ? 1 : strtoul(wish, NULL, 10) << 20U;
    char *touched = malloc(touched_bytes);
    if (touched == NULL)
        return 1;
    memset(touched, 1, touched_bytes);
    child_path = child_find();
    int rc = measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
    free(touched);
    return rc;
}
