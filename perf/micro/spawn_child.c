/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to spawn a child and to wait for its end, one after the other, and how long is
 * the caller blocked in the spawning call? coil_child_spawn() beside posix_spawn(). The child is
 * exit_zero, which lies in ../helper beside this program, static.
 *
 * PERF_TOUCHED_MIB in the environment makes the parent larger, which must not matter.
 */
#include "measure.h"

#include <coil/spawn.h>

#include <limits.h>
#include <spawn.h>

#include <sys/wait.h>

static char child_path[PATH_MAX];

static pid_t spawn_with_coil(const char *program)
{
    const coil_spawn_plan plan = {
            .program = program,
            .argv = (const char *const[]){program, NULL},
    };
    coil_child child;
    coil_spawn_error error;
    if (coil_child_spawn(&plan, &child, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
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
static double cycles(spawner *spawn, int64_t count, bool only_calls)
{
    double call_ns = 0;
    double start_ns = measure_now_ns();

    for (int64_t i = 0; i < count; i++) {
        siginfo_t end;
        double call_start_ns = measure_now_ns();
        pid_t pid = spawn(child_path);
        call_ns += measure_now_ns() - call_start_ns;
        (void)waitid(P_PID, (id_t)pid, &end, WEXITED);
    }
    return only_calls ? call_ns : measure_now_ns() - start_ns;
}

static double run_coil(int64_t count)
{
    return cycles(spawn_with_coil, count, false);
}

static double run_coil_call(int64_t count)
{
    return cycles(spawn_with_coil, count, true);
}

static double run_posix(int64_t count)
{
    return cycles(spawn_with_posix, count, false);
}

static double run_posix_call(int64_t count)
{
    return cycles(spawn_with_posix, count, true);
}

static void find_child(void)
{
    ssize_t length = readlink("/proc/self/exe", child_path, sizeof(child_path) - 32);
    if (length < 0)
        abort();
    child_path[length] = '\0';
    *strrchr(child_path, '/') = '\0';
    strcat(child_path, "/../helper/exit_zero");
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"spawn_child", "coil", run_coil, 300, MEASURE_NS},
            {"spawn_child", "posix_spawn", run_posix, 300, MEASURE_NS},
            {"spawn_child_call", "coil", run_coil_call, 300, MEASURE_NS},
            {"spawn_child_call", "posix_spawn", run_posix_call, 300, MEASURE_NS},
    };
    const char *wish = getenv("PERF_TOUCHED_MIB");
    size_t touched_bytes = wish == NULL ? 1 : strtoul(wish, NULL, 10) << 20U;
    char *touched = malloc(touched_bytes);
    if (touched == NULL)
        return 1;
    memset(touched, 1, touched_bytes);
    find_child();
    int rc = measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
    free(touched);
    return rc;
}
