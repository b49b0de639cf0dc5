/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to spawn a child and to wait for its end, one after the other? Prints one JSON
 * line for coil_child_spawn() and one for posix_spawn(), turn about, `rounds` times:
 *
 *     {"bench":"spawn_child","impl":"coil","n":1000,"ns":400000,"call_ns":90000}
 *
 * ns is for one cycle of spawn and waitid, call_ns the spawn's share of it: how long the caller is
 * blocked.
 *
 *     spawn_child PROGRAM [N [ROUNDS [TOUCHED_MIB]]]
 *
 * PROGRAM should be exit_zero, static. TOUCHED_MIB makes the parent larger, which must not matter.
 */
#include <coil/spawn.h>

#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/wait.h>

typedef struct contender contender;

struct contender {
    const char *name;
    pid_t (*spawn)(const char *program);
};

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

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

static void measure(const contender *spawner, const char *program, int64_t count)
{
    int64_t call_ns = 0;
    const int64_t start_ns = now_ns();

    for (int64_t i = 0; i < count; i++) {
        siginfo_t end;
        const int64_t call_start_ns = now_ns();
        pid_t pid = spawner->spawn(program);
        call_ns += now_ns() - call_start_ns;
        (void)waitid(P_PID, (id_t)pid, &end, WEXITED);
    }
    printf("{\"bench\":\"spawn_child\",\"impl\":\"%s\",\"n\":%" PRId64 ",\"ns\":%" PRId64
           ",\"call_ns\":%" PRId64 "}\n",
            spawner->name, count, (now_ns() - start_ns) / count, call_ns / count);
    (void)fflush(stdout);
}

static int64_t number(int count, char **arguments, int index, int64_t usual)
{
    return index < count ? strtoll(arguments[index], NULL, 10) : usual;
}

int main(int count, char **arguments)
{
    static const contender contenders[] = {
            {"coil", spawn_with_coil}, {"posix_spawn", spawn_with_posix}};
    if (count < 2) {
        fprintf(stderr, "usage: %s PROGRAM [N [ROUNDS [TOUCHED_MIB]]]\n", arguments[0]);
        return 2;
    }
    const int64_t wished = number(count, arguments, 2, 1000);
    const int64_t cycles = wished < 1 ? 1 : wished;
    const int64_t rounds = number(count, arguments, 3, 3);
    const size_t touched_bytes = (size_t)number(count, arguments, 4, 0) << 20U;
    char *touched = malloc(touched_bytes + 1);
    if (touched == NULL)
        return 1;
    memset(touched, 1, touched_bytes + 1);

    for (int64_t round = 0; round < rounds; round++) {
        measure(&contenders[0], arguments[1], cycles);
        measure(&contenders[1], arguments[1], cycles);
    }
    free(touched);
    return 0;
}
