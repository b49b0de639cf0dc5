/* SPDX-License-Identifier: MIT */
/*
 * What do children cost? Each line that is printed is JSON. The programs that they run lie in
 * ../helper beside this one, static.
 *
 *     children rate WAY [--count N] [--touched MIB]
 *         one after the other: start exit_zero, await its end; ns for each. WAY is
 *             coil    coil_child_spawn() and coil_child_wait() on a loop
 *             clone   clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD), exec at once, waitid(2): bare
 *             fork    fork(2), exec at once, waitid(2)
 *         with so much memory touched before, which a fork has to copy the map of
 *     children hold [--count N]
 *         so many that sleep, each awaited by a task: how long it takes to start them and to end
 *         them, memory of this process for each, and how often it woke up while all slept
 */
#include <coil/child.h>
#include <coil/group.h>
#include <coil/kernel.h>
#include <coil/loop.h>

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <coil/sugar.h>

enum { IDLE_S = 2, STACK_BYTES = 16384 };

static char exit_zero[4096];
static char sleep_forever[4096];

static void die(const char *what)
{
    fprintf(stderr, "children: %s\n", what);
    exit(1);
}

/* The programs beside this one. */
static void find_programs(void)
{
    char self[3072];
    const ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size < 0)
        die("no /proc");
    self[size] = '\0';
    *strrchr(self, '/') = '\0';
    (void)snprintf(exit_zero, sizeof(exit_zero), "%s/../helper/exit_zero", self);
    (void)snprintf(sleep_forever, sizeof(sleep_forever), "%s/../helper/sleep_forever", self);
}

static void start(const char *program, coil_child *out_child)
{
    const coil_spawn_plan plan = {.program = program};
    coil_spawn_error error;
    if (coil_child_spawn(&plan, out_child, &error) < 0)
        die(error.text);
}

/* ------------------------------------------------------------------------------------ rate -- */

async(int, rate_of_coil, (int64_t) count)
{
    vars(coil_child child; int64_t i);
    for (my->i = 0; my->i < count; my->i++) {
        start(exit_zero, &my->child);
        attempt(coil_child_wait(&my->child));
        coil_child_fini(&my->child);
    }
    return 0;
}

static int exec_at_once(void *argument)
{
    char *const arguments[] = {exit_zero, NULL};
    (void)argument;
    (void)execve(exit_zero, arguments, environ);
    _exit(127);
}

static pid_t bare_clone(void)
{
    _Alignas(16) char stack[STACK_BYTES];
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    int pidfd = -1;
    const pid_t pid = clone(exec_at_once, stack + sizeof(stack), flags, NULL, &pidfd);
    if (pid > 0)
        (void)close(pidfd);
    return pid;
}

static pid_t bare_fork(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        exec_at_once(NULL);
    return pid;
}

static void rate_of(pid_t (*begin)(void), int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        siginfo_t end;
        const pid_t pid = begin();
        if (pid < 0 || waitid(P_PID, (id_t)pid, &end, WEXITED) < 0)
            die("no child");
    }
}

static void touch(int64_t mib)
{
    const size_t size = (size_t)mib << 20;
    if (size == 0)
        return;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("no memory");
    (void)madvise(memory, size, MADV_NOHUGEPAGE); /* As a program of many years has it. */
    memset(memory, 1, size);
}

static void rate(const char *way, int64_t count, int64_t mib)
{
    touch(mib);
    const coil_time begin = coil_kernel_now();
    if (strcmp(way, "coil") == 0) {
        if (coil_run(rate_of_coil(count)) < 0)
            die("coil");
    } else {
        rate_of(strcmp(way, "fork") == 0 ? bare_fork : bare_clone, count);
    }
    printf("{\"bench\":\"spawn\",\"impl\":\"%s\",\"touched_mib\":%" PRId64 ",\"ns\":%.0f}\n", way,
            mib, (double)(coil_kernel_now() - begin) / (double)count);
}

/* ------------------------------------------------------------------------------------ hold -- */

static int64_t anonymous_bytes(void)
{
    char line[256];
    long long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "Pss_Anon: %lld kB", &kib) == 1)
            break;
    }
    if (file != NULL)
        (void)fclose(file);
    return kib * 1024;
}

async(int, hold, (coil_child *) children, (int64_t) count)
{
    vars(coil_group waits; coil_time begin; int64_t before; uint64_t sleeps);

    open_group(&my->waits);
    my->before = anonymous_bytes();
    my->begin = coil_kernel_now();
    for (int64_t i = 0; i < count; i++) {
        start(sleep_forever, &children[i]);
        spawn(&my->waits, coil_child_wait(&children[i]));
    }
    await(coil_sleep(0));
    const coil_duration started = coil_kernel_now() - my->begin;
    printf("{\"bench\":\"hold\",\"count\":%" PRId64 ",\"start_ms\":%.1f,\"bytes_per_child\":%.0f",
            count, (double)started / 1e6, (double)(anonymous_bytes() - my->before) / (double)count);

    my->sleeps = coil_kernel_sleep_count();
    await(coil_sleep(coil_s(IDLE_S)));
    printf(",\"wakeups\":%" PRIu64, coil_kernel_sleep_count() - my->sleeps - 1);

    my->begin = coil_kernel_now();
    for (int64_t i = 0; i < count; i++)
        (void)coil_child_signal(&children[i], SIGKILL);
    attempt(coil_group_join(&my->waits));
    printf(",\"end_ms\":%.1f}\n", (double)(coil_kernel_now() - my->begin) / 1e6);
    return 0;
}

static void hold_all(int64_t count)
{
    const rlim_t wanted = (rlim_t)count + 64;
    struct rlimit limit = {.rlim_cur = wanted, .rlim_max = wanted};
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_max > limit.rlim_max)
        limit.rlim_max = now.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("too many descriptors: ulimit -Hn");
    coil_child *children = calloc((size_t)count, sizeof(*children));
    if (children == NULL || coil_run(hold(children, count)) < 0)
        die("hold");
    for (int64_t i = 0; i < count; i++)
        coil_child_fini(&children[i]);
    free(children);
}

int main(int argc, char **argv)
{
    const bool holds = argc > 1 && strcmp(argv[1], "hold") == 0;
    int64_t count = holds ? 1000 : 300;
    int64_t mib = 0;
    int first = holds ? 2 : 3;

    if (argc < first)
        die("usage: children rate WAY [--count N] [--touched MIB] | hold [--count N]");
    for (int i = first; i + 1 < argc; i += 2) {
        const int64_t value = strtoll(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0)
            count = value;
        if (strcmp(argv[i], "--touched") == 0)
            mib = value;
    }
    find_programs();
    if (holds) {
        hold_all(count);
    } else {
        rate(argv[2], count, mib);
    }
    return 0;
}
