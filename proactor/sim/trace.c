/* SPDX-License-Identifier: MIT */
/* What has happened, and how a simulation fails. */
#include "trace.h"
#include "fiber.h"
#include "process.h"

#include <stdarg.h>
#include <stdio.h>

_Noreturn void __real_abort(void);

enum { LINE_COUNT = 100, LINE_BYTES = 120 };

struct sim_trace_line {
    coil_time time;
    pid_t thread;
    char text[LINE_BYTES];
};

/* FNV-1a of a word. */
static uint64_t mixed(uint64_t hash, uint64_t word)
{
    for (int i = 0; i < 8; i++) {
        hash = (hash ^ (word & 0xff)) * 0x100000001b3;
        word >>= 8;
    }
    return hash;
}

void sim_trace(sim_world *world, const char *format, ...)
{
    va_list values;

    if (world->trace == NULL)
        world->trace = sim_new(LINE_COUNT * sizeof(*world->trace));
    struct sim_trace_line *line = &world->trace[world->trace_count++ % LINE_COUNT];
    line->time = world->now;
    line->thread = world->current == NULL ? 0 : world->current->id;
    va_start(values, format);
    (void)vsnprintf(line->text, sizeof(line->text), format, values);
    va_end(values);
    uint64_t hash = mixed(world->trace_hash, (uint64_t)line->time);
    hash = mixed(hash, (uint64_t)line->thread);
    for (const char *text = line->text; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    world->trace_hash = hash;
}

void trace_print(const sim_world *world)
{
    const uint64_t count = world->trace_count < LINE_COUNT ? world->trace_count : LINE_COUNT;

    for (uint64_t i = world->trace_count - count; i < world->trace_count; i++) {
        const struct sim_trace_line *line = &world->trace[i % LINE_COUNT];
        fprintf(stderr, "%lld.%09lld [%d] %s\n", (long long)(line->time / coil_s(1)),
                (long long)(line->time % coil_s(1)), (int)line->thread, line->text);
    }
}

void sim_fail(sim_world *world, const char *format, ...)
{
    va_list values;

    fprintf(stderr, "coil: simulation: ");
    va_start(values, format);
    (void)vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n");
    if (world != NULL) {
        fprintf(stderr, "coil: simulation: seed %llu, at %lld ns\n",
                (unsigned long long)world->seed, (long long)world->now);
        trace_print(world);
        sim_fibers_report(world);
    }
    __real_abort(); /* Not that of the process that runs. */
}
