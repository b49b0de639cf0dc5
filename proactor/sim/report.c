/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "fiber.h"
#include "process.h"
#include "trace.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void report_world(sim_world *world)
{
    const coil_time time = world->now - SIM_START;

    if (world->is_reporting)
        return; /* Reporting has failed, too. */
    world->is_reporting = true;
    world->current = NULL;
    fprintf(stderr, "seed %llu, at %lld.%09lld s\n\nThe last that happened:\n",
            (unsigned long long)world->seed, (long long)(time / coil_s(1)),
            (long long)(time % coil_s(1)));
    trace_print(world, stderr);
    fprintf(stderr, "\nThreads:\n");
    sim_fibers_report(world);
    fprintf(stderr, "\nTasks:\n");
    processes_print_tasks(world);
    (void)fflush(stderr);
}

/* ---------------------------------------------------------------------------------- crashes -- */

static char signal_stack[256 * 1024]; /* The report runs on it. */

static void tell(const char *text, int signo)
{
    sim_world *world = sim_here();
    if (world == NULL || world->judge == NULL || world->is_reporting)
        return;
    world->judge->failed(world->judge, text, (uint64_t)signo);
}

/* Not what a signal handler may do; but the process is lost anyway. */
static void on_crash(int signo)
{
    char text[80];
    const char *name = sigabbrev_np(signo);

    if (signo == SIGALRM) {
        tell("the run does not end in real time", signo);
        return;
    }
    (void)snprintf(text, sizeof(text), "crash: SIG%s", name == NULL ? "?" : name);
    tell(text, signo);
}

static void on_sanitizer(void)
{
    tell("a sanitizer has found something", SIGABRT);
}

/*
 * UndefinedBehaviorSanitizer calls this, if it is there, before it prints anything: its library has
 * it as a weak symbol. NOLINTBEGIN(readability-identifier-naming): and makes the names.
 */
__attribute__((visibility("default"))) void __ubsan_on_report(void);
__attribute__((weak)) void __ubsan_get_current_report_data(const char **out_kind,
        const char **out_message, const char **out_file, unsigned *out_line, unsigned *out_column,
        char **out_address);
__attribute__((weak)) void __sanitizer_set_death_callback(
        void (*callback)(void)); /* If there is one. */
/* NOLINTEND(readability-identifier-naming) */

void __ubsan_on_report(void)
{
    const char *kind = NULL;
    const char *message = NULL;
    const char *file = NULL;
    char *address = NULL;
    unsigned line = 0;
    unsigned column = 0;
    char text[300];

    if (__ubsan_get_current_report_data == NULL)
        return;
    __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
    (void)snprintf(text, sizeof(text), "%s:%u: %s", file == NULL ? "?" : file, line,
            message == NULL ? "undefined behaviour" : message);
    tell(text, (int)line);
}

void report_crashes(void)
{
    const struct sigaction action = {
            .sa_handler = on_crash, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
    const stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};

    (void)sigaltstack(&stack, NULL);
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGALRM, &action, NULL);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(on_sanitizer);
        return; /* Crashes are its own. */
    }
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGBUS, &action, NULL);
    (void)sigaction(SIGILL, &action, NULL);
    (void)sigaction(SIGFPE, &action, NULL);
}
