/* SPDX-License-Identifier: MIT */
#include <coil/loop_debug.h>

#include "environment.h"
#include "loop_private.h"
#include "report.h"
#include "slice_watch.h"
#include "symbols.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A step that was shorter may have slept, but for nothing that anybody could do better: for a lock
 * of ours that another thread has for a moment, or of the kernel's for a page.
 */
#define BLOCKING_STEP coil_us(500)

typedef struct loop_debug {
    coil_debug base;
    coil_debug_hook *hook;
    uint64_t enters; /* As of `slept_count`. */
    uint64_t slept_count;
    uint64_t first_tick;
    double tick_ns;
    slice_watches slices;
} loop_debug;

/*
 * Every step is timed, and many take less than to ask the kernel's clock. So the processor's own
 * counter is read, and its speed is measured at the start: a report may be off by a thousandth.
 */
static uint64_t ticks(void)
{
#if defined __x86_64__
    return __builtin_ia32_rdtsc();
#elif defined __aarch64__
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return (uint64_t)coil_kernel_now();
#endif
}

static double measure_tick(void)
{
    const coil_time began = coil_kernel_now();
    const uint64_t first = ticks();
    coil_time now;
    while ((now = coil_kernel_now()) < began + coil_us(200)) {
    }
    const uint64_t count = ticks() - first;
    return count == 0 ? 1 : (double)(now - began) / (double)count;
}

static coil_time read_clock(coil_debug *debug)
{
    loop_debug *self = coil_container_of(debug, loop_debug, base);
    return (coil_time)((double)(ticks() - self->first_tick) * self->tick_ns);
}

/* Between two rounds without a system call of the loop, nobody can have slept. */
static uint64_t count_sleeps(coil_debug *debug, bool after_step)
{
    loop_debug *self = coil_container_of(debug, loop_debug, base);
    const uint64_t enters = coil_container_of(debug->sched, coil_loop, sched)->ring.enter_count;
    if (after_step || enters != self->enters) {
        self->enters = enters;
        self->slept_count = coil_kernel_sleep_count();
    }
    return self->slept_count;
}

static void hand_on(coil_debug *debug, const char *text)
{
    coil_debug_hook *hook = coil_container_of(debug, loop_debug, base)->hook;
    if (hook != NULL) {
        hook->report(hook, text);
    } else {
        report_write(STDERR_FILENO, text, strlen(text));
    }
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Public functions of the library; and the others, if it was built with debugging information. */
static bool is_ours(const symbol *place)
{
    static const char *const modules[] = {"core/", "proactor/", "sync/", "net/", "proc/"};
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        if (begins_with(place->file, modules[i]))
            return true;
    }
    return begins_with(place->name, "coil_");
}

/*
 * The innermost function on the C stack of this thread that is not the library's. Where files are
 * not known, a function that was called by one of ours is one of ours, too.
 */
static void find_caller(symbol *out_place)
{
    enum { DEPTH_MAX = 24 };
    void *codes[DEPTH_MAX];
    symbol place;
    bool inside = false; /* Of what the program has called: at first it is ourselves. */
    int depth = coil_kernel_backtrace(codes, DEPTH_MAX);

    for (int i = 0; i < depth; i++) {
        symbols_find((uintptr_t)codes[i] - 1, &place);
        bool ours = is_ours(&place);
        if (ours && inside) {
            out_place->name[0] = '\0'; /* What was found called back. */
        } else if (!ours && inside && out_place->name[0] == '\0') {
            *out_place = place;
        } else if (!ours && inside) {
            return;
        }
        inside = inside || begins_with(place.name, "coil_debug_");
    }
}

/* (`code` is where a call returns to: the call itself is just before.) */
static void name_place(coil_debug *debug, const void *code, FILE *out)
{
    symbol place = {.name = ""};
    (void)debug;
    symbols_begin(true);
    if (code != NULL) {
        symbols_find((uintptr_t)code - 1, &place);
    } else {
        find_caller(&place);
    }
    symbols_end();
    if (place.name[0] == '\0') {
        (void)fprintf(out, "%s+0x%zx", place.module, (size_t)place.offset);
    } else if (place.file[0] == '\0') {
        (void)fprintf(out, "%s+0x%zx in %s", place.name, (size_t)place.offset, place.module);
    } else {
        (void)fprintf(out, "%s (%s:%d)", place.name, place.file, place.line);
    }
}

slice_watches *loop_slice_watches(coil_loop *loop)
{
    return &loop->debug->slices;
}

int coil_loop_debug(coil_loop *loop, const coil_loop_debug_options *options)
{
    if (loop->debug != NULL)
        return -EALREADY;
    if (loop->sched.live_count > 0)
        return -EBUSY;
    loop_debug *debug = calloc(1, sizeof(*debug));
    if (debug == NULL)
        return -ENOMEM;

    debug->tick_ns = measure_tick();
    debug->first_tick = ticks();
    debug->base.now = read_clock;
    debug->base.sleep_count = count_sleeps;
    debug->base.report = hand_on;
    debug->base.name_place = name_place;
    debug->base.slow_step = coil_ms(100);
    debug->base.blocking_step = BLOCKING_STEP;
    if (options != NULL && options->slow_step > 0)
        debug->base.slow_step = options->slow_step;
    if (options != NULL)
        debug->hook = options->hook;
    int rc = coil_debug_init(&debug->base, &loop->sched);
    if (rc < 0) {
        free(debug);
        return rc;
    }
    const bool has_limit = options != NULL && options->held_slice > 0;
    slice_watches_init(&debug->slices, &debug->base, has_limit ? options->held_slice : coil_s(5));
    debug->slept_count = coil_kernel_sleep_count();
    loop->debug = debug;
    return 0;
}

int loop_debug_from_environment(coil_loop *loop)
{
    const char *wanted = environment_text("COIL_DEBUG");
    if (wanted == NULL || strcmp(wanted, "0") == 0)
        return 0;
    const coil_loop_debug_options options = {.slow_step = environment_seconds("COIL_SLOW"),
            .held_slice = environment_seconds("COIL_HELD")};
    return coil_loop_debug(loop, &options);
}

void loop_debug_end(coil_loop *loop)
{
    if (loop->debug == NULL)
        return;
    slice_watches_fini(&loop->debug->slices);
    coil_debug_fini(&loop->debug->base);
    free(loop->debug);
    loop->debug = NULL;
}
