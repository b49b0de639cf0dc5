/* SPDX-License-Identifier: MIT */
#include "monitor.h"

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
#include <stdlib.h>

/* --------------------------------------------------------------------------------- thread -- */

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users; /* Bits: monitor_user. */
static pid_t owner;    /* The process: a forked child has no such thread. */
static bool stopping;  /* Relaxed. */
static uint32_t poked; /* Counts; the thread waits for a change. */
static coil_kernel_thread thread;

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
        thread.run = run;
        rc = coil_kernel_thread_start(&thread);
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
        coil_kernel_thread_join(&thread);
    }
    (void)pthread_mutex_unlock(&users_lock);
}

/* ---------------------------------------------------------------------------- environment -- */

/* "0.1": a number of seconds, whatever the locale. Negative: it is none. */
static coil_duration parse_seconds(const char *text)
{
    coil_duration value = 0;
    coil_duration unit = coil_s(1);
    bool fraction = false;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text == '.' && !fraction) {
            fraction = true;
        } else if (*text >= '0' && *text <= '9' && value < coil_s(1000000)) {
            if (fraction)
                unit /= 10;
            value = fraction ? value + unit * (*text - '0') : value * 10 + coil_s(*text - '0');
        } else {
            return -1;
        }
    }
    return value;
}

static void watchdog_from_environment(void)
{
    const char *text = secure_getenv("COIL_WATCHDOG");
    if (text == NULL || *text == '\0')
        return;
    const coil_watchdog_options options = {.threshold = parse_seconds(text)};
    const int rc = options.threshold > 0 ? coil_watchdog_start(&options) : -EINVAL;
    if (rc < 0 && rc != -EALREADY)
        fprintf(stderr, "coil: COIL_WATCHDOG=%s: %s\n", text, coil_error_name(rc));
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
    const char *text = secure_getenv("COIL_DUMP_SIGNAL");
    if (text == NULL || *text == '\0')
        return;
    const int signo = parse_signal(text);
    const int rc = signo > 0 ? coil_dump_on_signal(signo) : -EINVAL;
    if (rc < 0)
        fprintf(stderr, "coil: COIL_DUMP_SIGNAL=%s: %s\n", text, coil_error_name(rc));
}

void monitor_from_environment(void)
{
    static bool done;
    if (__atomic_exchange_n(&done, true, __ATOMIC_RELAXED))
        return;
    watchdog_from_environment();
    dump_from_environment();
}

/* -------------------------------------------------------------------------------- reports -- */

const char *monitor_loop_name(const coil_loop *loop, char text[MONITOR_NAME_BYTES])
{
    char path[64];
    char name[32] = "";
    const int about = (int)loop->watch.thread;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/comm", about);
    int fd = coil_kernel_openat(AT_FDCWD, path, O_RDONLY);
    if (fd >= 0) {
        const ssize_t count = coil_kernel_pread(fd, name, sizeof(name) - 1, 0);
        (void)coil_kernel_close(fd);
        name[count < 0 ? 0 : count] = '\0';
        name[strcspn(name, "\n")] = '\0';
    }
    (void)snprintf(
            text, MONITOR_NAME_BYTES, "loop %u (thread %d, %s)", loop->watch.number, about, name);
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

static void add_addresses(report *to, const probe *seen, bool with_lines)
{
    symbol at;
    report_add(to, "  C stack\n");
    symbols_begin(with_lines);
    for (int i = 0; i < seen->address_count; i++) {
        symbols_find((uintptr_t)seen->addresses[i] - (i > 0), &at);
        if (strcmp(at.name, "coil_task_resume") == 0 || strcmp(at.name, "coil_sched_run") == 0)
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
