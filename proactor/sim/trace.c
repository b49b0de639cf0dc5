/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include "fiber.h"
#include "process.h"
#include "report.h"
#include "ring.h"
#include "wrapped.h"

#include <coil/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ENTRY_COUNT = 100, NOTE_COUNT = 50, NOTE_BYTES = 120, PATHS_BYTES = 80 };

/* Both kinds of lines begin with this. */
typedef struct trace_place {
    uint64_t number; /* Among all lines, from 1. 0: there is none. */
    coil_time time;
    pid_t process; /* 0: the world. */
    pid_t thread;
} trace_place;

/* What became of an entry of a queue. */
typedef struct trace_entry {
    trace_place place;
    const char *operation;
    uint64_t request;
    sim_step step;
    int fd;
    bool is_direct;
    int result;
    uint32_t flags;
    char paths[PATHS_BYTES]; /* " /journal", of a submission. */
} trace_entry;

typedef struct trace_note {
    trace_place place;
    char text[NOTE_BYTES];
} trace_note;

struct sim_trace_book {
    uint64_t line_count;
    uint64_t entry_count;
    uint64_t note_count;
    trace_entry entries[ENTRY_COUNT];
    trace_note notes[NOTE_COUNT];
};

/* --------------------------------------------------------------------------------- the sum -- */

static void mix(sim_world *world, uint64_t word)
{
    uint64_t hash = (world->trace_hash ^ word) * 0x9fb21c651e98df25;
    world->trace_hash = hash ^ hash >> 32;
}

static void mix_text(sim_world *world, const char *text)
{
    uint64_t word = 0;
    for (size_t i = 0; text[i] != '\0'; i++)
        word = (word ^ (unsigned char)text[i]) * 0x100000001b3;
    mix(world, word);
}

/* --------------------------------------------------------------------------------- in words -- */

/* "3.000000012 [4.5 publisher]": when and who, by process and thread. */
static void print_place(const sim_world *world, const trace_place *place, FILE *stream)
{
    const coil_time time = place->time - SIM_START;
    const sim_process *process = sim_process_with(world, place->process);

    fprintf(stream, "  %lld.%09lld ", (long long)(time / coil_s(1)), (long long)(time % coil_s(1)));
    if (place->process == 0) {
        fprintf(stream, "[the world] ");
    } else if (process == NULL) {
        fprintf(stream, "[%d.%d gone] ", (int)place->process, (int)place->thread);
    } else {
        fprintf(stream, "[%d.%d %s] ", (int)place->process, (int)place->thread, process->path);
    }
}

static void print_result(const trace_entry *entry, FILE *stream)
{
    if (entry->result < 0) {
        fprintf(stream, " = %s", coil_error_name(entry->result));
    } else {
        fprintf(stream, " = %d", entry->result);
    }
    if (entry->flags != 0)
        fprintf(stream, " flags %#x", entry->flags);
    if (entry->step == SIM_COMPLETED_MORE)
        fprintf(stream, ", and more to come");
}

static void print_entry(const sim_world *world, const trace_entry *entry, FILE *stream)
{
    const bool is_submission = entry->step == SIM_SUBMITTED;

    print_place(world, &entry->place, stream);
    fprintf(stream, "%s %s #%llu", is_submission ? "submit  " : "complete", entry->operation,
            (unsigned long long)entry->request);
    if (entry->fd >= 0)
        fprintf(stream, " %s %d", entry->is_direct ? "direct" : "fd", entry->fd);
    fprintf(stream, "%s", entry->paths);
    if (!is_submission)
        print_result(entry, stream);
    fprintf(stream, "\n");
}

static void print_note(const sim_world *world, const trace_note *note, FILE *stream)
{
    print_place(world, &note->place, stream);
    fprintf(stream, "%s\n", note->text);
}

/* ---------------------------------------------------------------------------------- writing -- */

static struct sim_trace_book *book_of(sim_world *world)
{
    if (world->trace == NULL)
        world->trace = sim_new(sizeof(*world->trace));
    return world->trace;
}

static trace_place here(sim_world *world)
{
    const sim_fiber *fiber = world->current;
    const trace_place made = {.number = ++world->trace->line_count,
            .time = world->now,
            .process = fiber == NULL ? 0 : fiber->process->id,
            .thread = fiber == NULL ? 0 : fiber->id};
    mix(world, (uint64_t)made.time);
    mix(world, (uint64_t)made.thread);
    return made;
}

/* To be read; not in the sum. */
static void keep_paths(trace_entry *entry, const sim_extra *extra)
{
    entry->paths[0] = '\0';
    if (entry->step != SIM_SUBMITTED || extra == NULL || extra->path == NULL)
        return;
    const bool has_other = extra->other != NULL && extra->other[0] != '\0';
    (void)snprintf(entry->paths, sizeof(entry->paths), " %s%s%s", extra->path, has_other ? " " : "",
            has_other ? extra->other : "");
}

void sim_trace_request(const sim_request *request, sim_step step, int result, uint32_t flags)
{
    sim_world *world = request->ring->process->world;
    struct sim_trace_book *book = book_of(world);
    trace_entry *entry = &book->entries[book->entry_count++ % ENTRY_COUNT];

    entry->place = here(world);
    entry->operation = request->operation->name;
    entry->request = request->number;
    entry->step = step;
    entry->fd = request->operation->needs_file ? request->sqe.fd : -1;
    entry->is_direct = (request->sqe.flags & IOSQE_FIXED_FILE) != 0;
    entry->result = result;
    entry->flags = flags;
    keep_paths(entry, request->extra);
    mix(world, (uint64_t)step << 32 | request->sqe.opcode);
    mix(world, request->number);
    mix(world, (uint64_t)flags << 32 | (uint32_t)result);
    if (world->prints_trace)
        print_entry(world, entry, stderr);
}

void sim_trace(sim_world *world, const char *format, ...)
{
    struct sim_trace_book *book = book_of(world);
    trace_note *note = &book->notes[book->note_count++ % NOTE_COUNT];
    va_list values;

    note->place = here(world);
    va_start(values, format);
    (void)vsnprintf(note->text, sizeof(note->text), format, values);
    va_end(values);
    mix_text(world, note->text);
    if (world->prints_trace)
        print_note(world, note, stderr);
}

/* ---------------------------------------------------------------------------------- reading -- */

static uint64_t first_kept(uint64_t count, uint64_t room)
{
    return count > room ? count - room : 0;
}

void trace_print(const sim_world *world, FILE *stream)
{
    const struct sim_trace_book *book = world->trace;
    if (book == NULL)
        return;
    uint64_t entry_at = first_kept(book->entry_count, ENTRY_COUNT);
    uint64_t note_at = first_kept(book->note_count, NOTE_COUNT);
    while (entry_at < book->entry_count || note_at < book->note_count) {
        const trace_entry *entry = &book->entries[entry_at % ENTRY_COUNT];
        const trace_note *note = &book->notes[note_at % NOTE_COUNT];
        if (note_at == book->note_count ||
                (entry_at < book->entry_count && entry->place.number < note->place.number)) {
            print_entry(world, entry, stream);
            entry_at++;
        } else {
            print_note(world, note, stream);
            note_at++;
        }
    }
}

void trace_free(sim_world *world)
{
    sim_delete(world->trace);
    world->trace = NULL;
}

/* ---------------------------------------------------------------------------------- failing -- */

static uint64_t likeness_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

void sim_fail_as(sim_world *world, const char *text, uint64_t likeness)
{
    if (world != NULL && world->judge != NULL)
        world->judge->failed(world->judge, text, likeness);
    fprintf(stderr, "coil: simulation: %s\n", text);
    if (world != NULL)
        report_world(world);
    __real_abort(); /* Not that of the process that runs. */
}

void sim_fail(sim_world *world, const char *format, ...)
{
    enum { TEXT_BYTES = 500 };
    char text[TEXT_BYTES];
    va_list values;

    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    sim_fail_as(world, text, likeness_of(format));
}
