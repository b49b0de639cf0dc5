/* SPDX-License-Identifier: MIT */

/*
 * Counts the instructions that a server executes in user space per request, exactly, by stepping
 * through them one at a time. Needs no performance counters, and unlike valgrind knows every system
 * call, because the kernel itself executes them; a system call counts as one instruction.
 *
 *     step [--connections N] [--depth D] [--size BYTES | --thrift METHOD] [--churn]
 *          [--rounds N] PROGRAM ARGUMENT...
 *     --churn: each request has a connection of its own
 *     an argument PORT is replaced by the port to listen at
 *
 * The server runs freely while connections are made and warmed up. Then it is stopped and stepped.
 * Whenever it is about to wait for events and has answered all, the next round of requests is sent
 * (client.h): it finds all of them when it looks. So it runs as it does under load, `connections`
 * requests a turn, and the count hardly varies. It is told about the time that it would have taken
 * unstepped, or each turn would find ten milliseconds gone, and timers to look after.
 *
 * Prints one JSON object: totals of the counted rounds, and for each instruction that was executed
 * where it lies and how often, as "object": [[offset from where the object was loaded, count]...].
 */
#include "client.h"

#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

enum {
    PLACES_MAX = 1 << 17, /* Instructions that are ever executed; a power of two. */
    SYSCALLS_MAX = 1024,
    OBJECTS_MAX = 64,
    SYSCALL_OPCODE = 0x050f, /* 0f 05, as x86-64 reads it. */
    FREE_ROUNDS = 300,       /* At full speed: what is learned, allocated and bound by then, is. */
    SLOW_ROUNDS = 3,         /* Stepped and not counted: the stop itself may have ended a wait. */
    SPINS_MAX = 200,
    NS_PER_SYSCALL = 5000, /* As a request takes; and half a nanosecond per instruction. */
};

/* An instruction that was executed. */
typedef struct place {
    uint64_t rip; /* 0: free */
    uint64_t count;
    bool is_syscall;
} place;

/* A call of clock_gettime() in the vDSO, from its first instruction until it has returned. */
typedef struct clock_call {
    uint64_t return_to; /* 0: none */
    uint64_t clock;
    uint64_t result;
} clock_call;

static struct step {
    pid_t server;
    int round_count;
    char **command;
    client client;
    struct user_regs_struct regs;
    uint64_t last_rip;
    int rounds_done;
    uint64_t instruction_count;
    uint64_t syscalls[SYSCALLS_MAX];
    uint64_t syscall_count;
    uint64_t vdso_begin;
    uint64_t vdso_end;
    int64_t start_ns;
    clock_call clock_call;
    size_t place_count;
    place places[PLACES_MAX];
} step = {.round_count = 20, .client = {.connection_count = 1, .depth = 1}};

/* ---- The server ---- */

static void server_start(void)
{
    step.server = fork();
    if (step.server < 0)
        step_die("fork", errno);
    if (step.server > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execv(step.command[0], step.command);
    fprintf(stderr, "step: %s: %s\n", step.command[0], strerror(errno));
    _exit(127);
}

static void read_registers(void)
{
    struct iovec area = {&step.regs, sizeof(step.regs)};

    if (ptrace(PTRACE_GETREGSET, step.server, NT_PRSTATUS, &area) < 0)
        step_die("PTRACE_GETREGSET", errno);
}

/* A server that ends while it is stepped has failed. Returns the signal that stopped it. */
static int stopped_by(int status)
{
    if (!WIFSTOPPED(status))
        step_die("the server has ended", ECHILD);
    return WSTOPSIG(status);
}

static void server_stop(void)
{
    int status;

    if (ptrace(PTRACE_SEIZE, step.server, NULL, PTRACE_O_EXITKILL) < 0)
        step_die("PTRACE_SEIZE", errno);
    if (ptrace(PTRACE_INTERRUPT, step.server, NULL, NULL) < 0)
        step_die("PTRACE_INTERRUPT", errno);
    if (waitpid(step.server, &status, __WALL) < 0)
        step_die("waitpid", errno);
    (void)stopped_by(status);
}

static void server_end(void)
{
    (void)kill(step.server, SIGKILL);
    (void)waitpid(step.server, NULL, __WALL);
}

/* ---- Counting ---- */

static bool is_syscall_at(uint64_t rip)
{
    errno = 0;
    long word = ptrace(PTRACE_PEEKTEXT, step.server, rip, NULL);
    return errno == 0 && (word & 0xffff) == SYSCALL_OPCODE;
}

static place *place_of(uint64_t rip)
{
    size_t i = (rip * UINT64_C(0x9e3779b97f4a7c15)) >> 47;

    while (step.places[i].rip != rip && step.places[i].rip != 0)
        i = (i + 1) % PLACES_MAX;
    place *self = &step.places[i];
    if (self->rip == 0) {
        if (++step.place_count == PLACES_MAX)
            step_die("too much code", ENOMEM);
        *self = (place){.rip = rip, .is_syscall = is_syscall_at(rip)};
    }
    return self;
}

static void count(place *where)
{
    uint64_t number = step.regs.rax;

    /* A `rep movsb` traps once for each byte. */
    if (where->rip == step.last_rip)
        return;
    step.last_rip = where->rip;
    where->count++;
    step.instruction_count++;
    if (!where->is_syscall)
        return;
    step.syscall_count++;
    if (number < SYSCALLS_MAX)
        step.syscalls[number]++;
}

static void forget_counts(void)
{
    for (size_t i = 0; i < PLACES_MAX; i++)
        step.places[i].count = 0;
    memset(step.syscalls, 0, sizeof(step.syscalls));
    step.start_ns +=
            (int64_t)step.syscall_count * NS_PER_SYSCALL + (int64_t)step.instruction_count / 2;
    step.instruction_count = 0;
    step.syscall_count = 0;
}

/* ---- Where things lie ---- */

typedef struct object {
    uint64_t begin;
    uint64_t end;
    char name[256];
} object;

/* Where each object lies: from its first mapping to its last. */
static size_t read_objects(object *objects)
{
    char path[40];
    char line[600];
    size_t object_count = 0;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)step.server);
    FILE *maps = fopen(path, "re");
    if (!maps)
        step_die(path, errno);
    while (fgets(line, sizeof(line), maps)) {
        object next = {0};
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %255s", &next.begin, &next.end,
                    next.name) != 3)
            continue;
        if (object_count > 0 && strcmp(objects[object_count - 1].name, next.name) == 0)
            objects[object_count - 1].end = next.end;
        else if (object_count < OBJECTS_MAX)
            objects[object_count++] = next;
    }
    fclose(maps);
    return object_count;
}

static void find_vdso(void)
{
    static object objects[OBJECTS_MAX];
    size_t object_count = read_objects(objects);

    for (size_t i = 0; i < object_count; i++) {
        if (strcmp(objects[i].name, "[vdso]") != 0)
            continue;
        step.vdso_begin = objects[i].begin;
        step.vdso_end = objects[i].end;
    }
}

/* ---- The server's clock ---- */

static bool in_vdso(uint64_t rip)
{
    return rip >= step.vdso_begin && rip < step.vdso_end;
}

static void clock_begin(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    step.start_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void write_word(uint64_t address, long word)
{
    if (ptrace(PTRACE_POKEDATA, step.server, address, word) < 0)
        step_die("PTRACE_POKEDATA", errno);
}

/* At each stop: if the vDSO has just returned the time, replaces that. */
static void adjust_clock(void)
{
    clock_call *call = &step.clock_call;

    if (call->return_to == 0 && in_vdso(step.regs.rip)) {
        long return_to = ptrace(PTRACE_PEEKDATA, step.server, step.regs.rsp, NULL);
        *call = (clock_call){(uint64_t)return_to, step.regs.rdi, step.regs.rsi};
        return;
    }
    if (call->return_to == 0 || step.regs.rip != call->return_to)
        return;
    call->return_to = 0;
    if (call->clock != CLOCK_MONOTONIC || step.regs.rax != 0)
        return;
    int64_t now_ns = step.start_ns + (int64_t)step.syscall_count * NS_PER_SYSCALL +
                     (int64_t)step.instruction_count / 2;
    write_word(call->result, now_ns / 1000000000);
    write_word(call->result + sizeof(long), now_ns % 1000000000);
}

/* ---- Stepping ---- */

/* True if the system call that comes next may sleep until there are events. */
static bool would_wait(void)
{
    const struct user_regs_struct *regs = &step.regs;

    switch (regs->rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return (int)regs->r10 != 0;
    case SYS_epoll_pwait2:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_select:
        return true;
    case SYS_poll:
        return (int)regs->rdx != 0;
    case SYS_io_uring_enter:
        return regs->rdx != 0;
    default:
        return false;
    }
}

/* If the round is over, begins the next. */
static void feed(void)
{
    if (step.rounds_done == SLOW_ROUNDS + step.round_count || !client_take(&step.client))
        return;
    step.rounds_done++;
    if (step.rounds_done == SLOW_ROUNDS)
        forget_counts();
    if (step.rounds_done < SLOW_ROUNDS + step.round_count)
        client_ask(&step.client);
}

/* Waits for the server's next stop. A system call that submits the replies and then waits for the
 * next requests would wait for ever if they did not come meanwhile. */
static int await_stop(bool waits)
{
    int status;

    for (int spins = 0; waits; spins++) {
        pid_t pid = waitpid(step.server, &status, __WALL | WNOHANG);
        if (pid < 0)
            step_die("waitpid", errno);
        if (pid > 0)
            return status;
        if (spins > SPINS_MAX)
            usleep(100);
        feed();
        if (step.rounds_done == SLOW_ROUNDS + step.round_count)
            return -1;
    }
    if (waitpid(step.server, &status, __WALL) < 0)
        step_die("waitpid", errno);
    return status;
}

/* Returns false when the last round is over. */
static bool step_once(int *signal_number)
{
    read_registers();
    adjust_clock();
    place *where = place_of(step.regs.rip);
    bool waits = where->is_syscall && would_wait();

    if (waits)
        feed();
    if (step.rounds_done == SLOW_ROUNDS + step.round_count)
        return false;
    count(where);
    if (ptrace(PTRACE_SINGLESTEP, step.server, NULL, *signal_number) < 0)
        step_die("PTRACE_SINGLESTEP", errno);
    int status = await_stop(waits);
    if (status == -1)
        return false;
    *signal_number = stopped_by(status);
    if (*signal_number == SIGTRAP || *signal_number == SIGSTOP)
        *signal_number = 0;
    return true;
}

static void run_freely(void)
{
    for (int i = 0; i < FREE_ROUNDS; i++) {
        client_ask(&step.client);
        for (int spins = 0; !client_take(&step.client); spins++) {
            if (spins > SPINS_MAX)
                usleep(100);
        }
    }
}

/* ---- The report ---- */

static void report_object(const object *self)
{
    const char *separator = "";

    for (size_t i = 0; i < PLACES_MAX; i++) {
        const place *where = &step.places[i];
        if (where->count == 0 || where->rip < self->begin || where->rip >= self->end)
            continue;
        printf("%s[%" PRIu64 ",%" PRIu64 "]", separator, where->rip - self->begin, where->count);
        separator = ",";
    }
}

static void report_syscalls(void)
{
    const char *separator = "";

    for (int i = 0; i < SYSCALLS_MAX; i++) {
        if (step.syscalls[i] == 0)
            continue;
        printf("%s\"%d\":%" PRIu64, separator, i, step.syscalls[i]);
        separator = ",";
    }
}

static void report(void)
{
    static object objects[OBJECTS_MAX];
    size_t object_count = read_objects(objects);
    uint64_t request_count = (uint64_t)step.round_count * (uint64_t)step.client.depth *
                             (uint64_t)step.client.connection_count;

    printf("{\"requests\":%" PRIu64 ",\"instructions\":%" PRIu64 ",\"syscalls\":{", request_count,
            step.instruction_count);
    report_syscalls();
    printf("},\"places\":{");
    for (size_t i = 0; i < object_count; i++) {
        printf("%s\"%s\":[", i ? "," : "", objects[i].name);
        report_object(&objects[i]);
        printf("]");
    }
    printf("}}\n");
}

/* ---- The command line ---- */

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: step [--connections N] [--depth D] [--size BYTES | --thrift METHOD] "
                    "[--churn] [--rounds N] PROGRAM ARGUMENT...\n");
    exit(2);
}

static int number_of(const char *text)
{
    char *end;

    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 1 || number > 1000000)
        usage();
    return (int)number;
}

static void read_arguments(int argc, char **argv)
{
    static const struct option known[] = {
            {"connections", required_argument, NULL, 'c'},
            {"depth", required_argument, NULL, 'd'},
            {"size", required_argument, NULL, 's'},
            {"thrift", required_argument, NULL, 't'},
            {"churn", no_argument, NULL, 'x'},
            {"rounds", required_argument, NULL, 'r'},
            {0},
    };
    const char *method = NULL;
    int size_bytes = 64;

    for (int letter; (letter = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        if (letter == 'c')
            step.client.connection_count = number_of(optarg);
        else if (letter == 'd')
            step.client.depth = number_of(optarg);
        else if (letter == 's')
            size_bytes = number_of(optarg);
        else if (letter == 'x')
            step.client.churn = true;
        else if (letter == 't')
            method = optarg;
        else if (letter == 'r')
            step.round_count = number_of(optarg);
        else
            usage();
    }
    if (optind == argc)
        usage();
    step.command = &argv[optind];
    step.client.codec = method ? codec_thrift(method) : codec_echo((size_t)size_bytes);
}

/* A port that nobody uses now: somebody may take it before the server does, which then shows. */
static void choose_port(void)
{
    static char text[8];

    srand((unsigned)getpid() ^ (unsigned)time(NULL));
    step.client.port = 20000 + rand() % 10000; /* NOLINT(cert-msc30-c, cert-msc50-cpp) */
    snprintf(text, sizeof(text), "%d", step.client.port);
    for (char **argument = step.command; *argument; argument++) {
        if (strcmp(*argument, "PORT") == 0)
            *argument = text;
    }
}

int main(int argc, char **argv)
{
    int signal_number = 0;

    read_arguments(argc, argv);
    choose_port();
    server_start();
    client_connect(&step.client);
    run_freely();
    server_stop();
    find_vdso();
    clock_begin();
    while (step_once(&signal_number))
        continue;
    report();
    server_end();
    return 0;
}
