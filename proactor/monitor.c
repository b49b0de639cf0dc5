/* SPDX-License-Identifier: MIT */
#include "monitor.h"

#include "environment.h"
#include "loop_private.h"
#include "symbols.h"

#include <coil/dump.h>
#include <coil/error.h>
#include <coil/kernel.h>
#include <coil/watchdog.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

/* --------------------------------------------------------------------------------- thread -- */

static COIL_PROCESS_WIDE pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static COIL_PROCESS_WIDE unsigned users; /* Bits: monitor_user. */
static COIL_PROCESS_WIDE pid_t owner;    /* The process: a forked child has no such thread. */
static COIL_PROCESS_WIDE bool stopping;  /* Relaxed. */
static COIL_PROCESS_WIDE uint32_t poked; /* Counts; the thread waits for a change. */
static COIL_PROCESS_WIDE coil_kernel_thread monitor;

void monitor_poke(void)
{
    (void)__atomic_fetch_add(&poked, 1, __ATOMIC_RELEASE);
    coil_kernel_word_wake(&poked);
}

static void run(coil_kernel_thread *self)
{
    (void)self;
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        const uint32_t seen = __atomic_load_n(&poked, __ATOMIC_ACQUIRE);
        const coil_duration dump = dump_look(coil_kernel_now());
        const coil_duration watchdog = watchdog_look(coil_kernel_now());
        coil_kernel_word_wait(&poked, seen, dump < watchdog ? dump : watchdog);
    }
}

int monitor_need(monitor_user user)
{
    int rc = 0;
    (void)pthread_mutex_lock(&users_lock);
    if (owner != coil_kernel_getpid())
        users = 0;
    if (users == 0) {
        owner = coil_kernel_getpid();
        stopping = false;
        monitor.run = run;
        rc = coil_kernel_thread_start(&monitor);
    }
    if (rc == 0)
        users |= user;
    (void)pthread_mutex_unlock(&users_lock);
    monitor_poke();
    return rc;
}

void monitor_release(monitor_user user)
{
    (void)pthread_mutex_lock(&users_lock);
    const bool was_needed = users != 0 && owner == coil_kernel_getpid();
    users &= ~(unsigned)user;
    if (was_needed && users == 0) {
        __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
        monitor_poke();
        coil_kernel_thread_join(&monitor);
    }
    (void)pthread_mutex_unlock(&users_lock);
}

/* ---------------------------------------------------------------------------- environment -- */

static void watchdog_from_environment(void)
{
    const coil_watchdog_options options = {.threshold = environment_seconds("COIL_WATCHDOG")};
    if (options.threshold == 0)
        return;
    const int rc = coil_watchdog_start(&options);
    if (rc < 0 && rc != -EALREADY)
        fprintf(stderr, "coil: COIL_WATCHDOG: %s\n", coil_error_name(rc));
}

static int parse_signal(const char *text)
{
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    for (int signo = 1; signo < SIGRTMIN; signo++) {
        const char *name = sigabbrev_np(signo);
        if (name != NULL && strcmp(name, text) == 0)
            return signo;
    }
    return -1;
}

static void dump_from_environment(void)
{
    const char *text = environment_text("COIL_DUMP_SIGNAL");
    if (text == NULL)
        return;
    const int signo = parse_signal(text);
    if (signo <= 0) {
        fprintf(stderr,
                "coil: COIL_DUMP_SIGNAL is the name of a signal, such as USR2, not \"%s\"\n", text);
        return;
    }
    const int rc = coil_dump_on_signal(signo);
    if (rc < 0)
        fprintf(stderr, "coil: COIL_DUMP_SIGNAL=%s: %s\n", text, coil_error_name(rc));
}

void monitor_from_environment(void)
{
    static COIL_PROCESS_WIDE bool done;
    if (__atomic_exchange_n(&done, true, __ATOMIC_RELAXED))
        return;
    watchdog_from_environment();
    dump_from_environment();
}

/* -------------------------------------------------------------------------------- reports -- */

const char *monitor_read_proc(pid_t thread, const char *file, char *text, size_t size_bytes)
{
    char path[64];
    text[0] = '\0';
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)thread, file);
    int fd = coil_kernel_openat(AT_FDCWD, path, O_RDONLY);
    if (fd < 0)
        return text;
    const ssize_t count = coil_kernel_pread(fd, text, size_bytes - 1, 0);
    (void)coil_kernel_close(fd);
    text[count < 0 ? 0 : count] = '\0';
    return text;
}

const char *monitor_loop_name(const coil_loop *loop, char text[MONITOR_NAME_BYTES])
{
    char name[32];
    (void)monitor_read_proc(loop->watch.thread, "comm", name, sizeof(name));
    name[strcspn(name, "\n")] = '\0';
    (void)snprintf(text, MONITOR_NAME_BYTES, "loop %u (thread %d, %s)", loop->watch.number,
            (int)loop->watch.thread, name);
    return text;
}

static void add_frame(report *to, const probe_frame *frame, bool is_running)
{
    char text[SYMBOL_BYTES];
    coil_fn fn;
    coil_site at = {0};

    if (coil_kernel_peek(&fn, frame->fn, sizeof(fn)) < 0)
        return;
    report_add(to, "    %s", probe_text(fn.name, text, sizeof(text)));
    if (frame->at != NULL)
        (void)coil_kernel_peek(&at, frame->at, sizeof(at));
    if (at.line != 0) {
        report_add(to, " (%s", probe_text(fn.file, text, sizeof(text)));
        report_add(to, ":%d)  %sawait (%s)", at.line, is_running ? "runs on after " : "",
                probe_text(at.what, text, sizeof(text)));
    } else if (is_running && frame->at == NULL && fn.stack_bytes != NULL) {
        report_add(to, " (%s)", probe_text(fn.file, text, sizeof(text)));
        report_add(to, "  runs, before its first await");
    }
    report_add(to, "\n");
}

static void add_address(report *to, int number, const symbol *at)
{
    report_add(to, "    #%-2d ", number);
    if (at->name[0] != '\0') {
        report_add(to, "%s", at->name);
    } else {
        report_add(to, "%s+0x%zx", at->module[0] == '\0' ? "?" : at->module, at->offset);
    }
    if (at->file[0] != '\0') {
        report_add(to, " (%s:%d)", at->file, at->line);
    } else if (at->name[0] != '\0') {
        report_add(to, "+0x%zx (%s)", at->offset, at->module);
    }
    report_add(to, "\n");
}

/* Is it who has resumed the task? */
static bool is_driver(const char *name)
{
    static const char *const names[] = {"turn_to_goal", "loop_turn_to_goal", "coil_sched_run",
            "coil_sched_run_watched", "coil_task_resume"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void add_addresses(report *to, const probe *seen, bool with_lines)
{
    symbol at;
    report_add(to, "  C stack\n");
    symbols_begin(with_lines);
    for (int i = 0; i < seen->address_count; i++) {
        symbols_find((uintptr_t)seen->addresses[i] - (i > 0), &at);
        if (is_driver(at.name))
            break; /* What follows is the same for all. */
        add_address(to, i, &at);
    }
    symbols_end();
}

void monitor_add_probe(report *to, const probe *seen, bool with_lines)
{
    if (seen->frame_count > 0)
        report_add(to, "  async stack, innermost first\n");
    for (int i = 0; i < seen->frame_count; i++)
        add_frame(to, &seen->frames[i], i == 0);
    if (seen->more_frames)
        report_add(to, "    ...\n");
    if (seen->address_count > 0)
        add_addresses(to, seen, with_lines);
}
