/* SPDX-License-Identifier: MIT */
#include "recording.h"

#include "opcode.h"
#include "recorder_private.h"
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERRNO_MAX = 4095 };

/* ---------------------------------------------------------------------------------- a line -- */

/* Each takes what it finds at *at, and goes on behind it; false: it is something else. */

static bool take_text(const char **at, const char *text)
{
    const size_t size_bytes = strlen(text);
    if (strncmp(*at, text, size_bytes) != 0)
        return false;
    *at += size_bytes;
    return true;
}

static bool take_number(const char **at, uint64_t *out_number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    const unsigned long long number = strtoull(*at, &end, 0);
    if (errno != 0)
        return false;
    *out_number = number;
    *at = end;
    return true;
}

static bool take_u32(const char **at, uint32_t *out_number)
{
    uint64_t number;
    if (!take_number(at, &number) || number > UINT32_MAX)
        return false;
    *out_number = (uint32_t)number;
    return true;
}

static bool take_int(const char **at, int *out_number)
{
    uint64_t number;
    const bool is_negative = take_text(at, "-");
    if (!take_number(at, &number) || number > (uint64_t)INT32_MAX + is_negative)
        return false;
    *out_number = (int)(is_negative ? -(int64_t)number : (int64_t)number);
    return true;
}

/* "0.000114300": nine digits behind the point. */
static bool take_time(const char **at, coil_duration *out_time)
{
    enum { DIGITS = 9, SECONDS_MAX = 1000000000 };
    uint64_t seconds;
    if (!take_number(at, &seconds) || seconds > SECONDS_MAX || !take_text(at, "."))
        return false;
    coil_duration fraction = 0;
    for (int i = 0; i < DIGITS; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        fraction = fraction * 10 + (**at - '0');
    }
    *out_time = coil_s((int64_t)seconds) + fraction;
    return true;
}

static bool take_opcode(const char **at, unsigned *out_opcode)
{
    const size_t size_bytes = strcspn(*at, " \n");
    const int opcode = opcode_named(*at, size_bytes);
    if (opcode < 0)
        return false;
    *out_opcode = (unsigned)opcode;
    *at += size_bytes;
    return true;
}

/* A number, or the name of an errno. */
static bool take_result(const char **at, int *out_result)
{
    if (take_int(at, out_result))
        return true;
    const size_t size_bytes = strcspn(*at, " \n");
    for (int error = 1; error <= ERRNO_MAX; error++) {
        const char *name = strerrorname_np(error);
        if (name == NULL || strlen(name) != size_bytes || strncmp(name, *at, size_bytes) != 0)
            continue;
        *out_result = -error;
        *at += size_bytes;
        return true;
    }
    return false;
}

static bool take_place(const char **at, sim_recorded_fd *out_place)
{
    out_place->is_direct = take_text(at, " direct ");
    return (out_place->is_direct || take_text(at, " fd ")) && take_int(at, &out_place->fd);
}

static bool take_of(const char **at, uint64_t *out_number)
{
    *out_number = SIM_ANY_NUMBER;
    return take_text(at, "-") || take_number(at, out_number);
}

static bool take_submission(const char **at, sim_recorded *entry)
{
    if (!take_opcode(at, &entry->opcode))
        return false;
    if (entry->opcode == IORING_OP_ASYNC_CANCEL)
        return take_text(at, " of ") && take_of(at, &entry->of);
    if (!take_place(at, &entry->place) || !take_text(at, " size ") || !take_u32(at, &entry->size))
        return false;
    if (take_text(at, " at -1")) {
        entry->detail = UINT64_MAX;
        return true;
    }
    return (take_text(at, " at ") || take_text(at, " flags ")) && take_number(at, &entry->detail);
}

static bool take_completion(const char **at, sim_recorded *entry)
{
    if (!take_of(at, &entry->of))
        return false;
    if (entry->of != SIM_ANY_NUMBER) {
        if (!take_text(at, " ") || !take_opcode(at, &entry->opcode) ||
                !take_place(at, &entry->place))
            return false;
    } else if (take_text(at, " cancel")) {
        entry->opcode = IORING_OP_ASYNC_CANCEL;
    }
    return take_text(at, " = ") && take_result(at, &entry->result) && take_text(at, " flags ") &&
           take_u32(at, &entry->flags);
}

static bool parse_entry(const char *line, sim_recorded *out_entry)
{
    const char *at = line;
    sim_recorded entry = {.place = {.fd = -1}};
    if (!take_number(&at, &entry.number) || !take_text(&at, " ") || !take_time(&at, &entry.time) ||
            !take_text(&at, " ") || !take_u32(&at, &entry.turn))
        return false;
    entry.is_completion = take_text(&at, " complete ");
    const bool is_sound = entry.is_completion
                                  ? take_completion(&at, &entry)
                                  : take_text(&at, " submit ") && take_submission(&at, &entry);
    if (!is_sound || (*at != '\n' && *at != '\0'))
        return false;
    *out_entry = entry;
    return true;
}

/* -------------------------------------------------------------------------------- sections -- */

typedef struct heading {
    uint64_t loop;
    uint64_t first;
    uint64_t count;
    uint64_t submissions_before;
} heading;

static bool parse_heading(const char *at, heading *out_heading)
{
    coil_duration start;
    uint64_t completions;
    return take_text(&at, "loop ") && take_number(&at, &out_heading->loop) &&
           take_text(&at, " started ") && take_time(&at, &start) && take_text(&at, " first ") &&
           take_number(&at, &out_heading->first) && take_text(&at, " count ") &&
           take_number(&at, &out_heading->count) && take_text(&at, " before ") &&
           take_number(&at, &out_heading->submissions_before) && take_text(&at, " ") &&
           take_number(&at, &completions);
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end == NULL ? line + strlen(line) : end + 1;
}

/* The line behind the heading of the last section of the loop, or NULL. */
static const char *find_section(const char *text, unsigned loop, heading *out_heading)
{
    const char *found = NULL;
    for (const char *line = text; *line != '\0'; line = next_line(line)) {
        heading head;
        if (strncmp(line, "coil recording 1\n", strlen("coil recording 1\n")) != 0 ||
                !parse_heading(next_line(line), &head) || head.loop != loop)
            continue;
        found = next_line(next_line(line));
        *out_heading = head;
    }
    return found;
}

static unsigned line_number(const char *text, const char *line)
{
    unsigned number = 1;
    for (; text < line; text++)
        number += *text == '\n';
    return number;
}

/* Entries one after the other, up to "end", or to where the writer was interrupted. */
static int parse_entries(const char **line, sim_recording *recording)
{
    size_t room = 0;
    for (; **line >= '0' && **line <= '9'; *line = next_line(*line)) {
        sim_recorded entry;
        if (strchr(*line, '\n') == NULL)
            break;
        if (!parse_entry(*line, &entry) || entry.number != recording->first + recording->count)
            return -EINVAL;
        if (recording->count == room) {
            room = room == 0 ? 256 : 2 * room;
            recording->entries = sim_grown(recording->entries, room * sizeof(entry));
        }
        recording->entries[recording->count++] = entry;
    }
    return 0;
}

int sim_recording_parse(
        const char *text, unsigned loop, sim_recording *out_recording, unsigned *out_line)
{
    heading head = {.loop = loop};
    const char *line = find_section(text, loop, &head);
    if (line == NULL)
        return -ENOENT;
    sim_recording recording = {.first = head.first, .submissions_before = head.submissions_before};
    const int rc = parse_entries(&line, &recording);
    if (rc < 0) {
        *out_line = line_number(text, line);
        sim_recording_free(&recording);
        return rc;
    }
    *out_recording = recording;
    return 0;
}

void sim_recording_free(sim_recording *recording)
{
    sim_delete(recording->entries);
    *recording = (sim_recording){.entries = NULL};
}

const sim_recorded *sim_recording_find(const sim_recording *recording, uint64_t number)
{
    if (number < recording->first || number - recording->first >= recording->count)
        return NULL;
    return &recording->entries[number - recording->first];
}

/* ---------------------------------------------------------------------------------- in words -- */

static int add_operation(const sim_recorded *entry, char *text, size_t room)
{
    const char *name = opcode_name(entry->opcode);
    return snprintf(text, room, "%s %s %d", name == NULL ? "?" : name,
            entry->place.is_direct ? "direct" : "fd", entry->place.fd);
}

static void write_submission(const sim_recorded *entry, char *text, size_t room)
{
    int used = snprintf(text, room, "submit ");
    if (entry->opcode == IORING_OP_ASYNC_CANCEL && entry->of == SIM_ANY_NUMBER) {
        (void)snprintf(text + used, room - (size_t)used, "cancel of -");
        return;
    }
    if (entry->opcode == IORING_OP_ASYNC_CANCEL) {
        (void)snprintf(text + used, room - (size_t)used, "cancel of %" PRIu64, entry->of);
        return;
    }
    used += add_operation(entry, text + used, room - (size_t)used);
    used += snprintf(text + used, room - (size_t)used, " size %u", entry->size);
    if (recorder_has_offset(entry->opcode)) {
        (void)snprintf(text + used, room - (size_t)used, " at %" PRId64, (int64_t)entry->detail);
    } else {
        (void)snprintf(text + used, room - (size_t)used, " flags %#" PRIx64, entry->detail);
    }
}

static void write_completion(const sim_recorded *entry, char *text, size_t room)
{
    int used = snprintf(text, room, "complete ");
    if (entry->of == SIM_ANY_NUMBER) {
        const bool is_cancel = entry->opcode == IORING_OP_ASYNC_CANCEL;
        used += snprintf(text + used, room - (size_t)used, is_cancel ? "- cancel" : "-");
    } else {
        used += snprintf(text + used, room - (size_t)used, "%" PRIu64 " ", entry->of);
        used += add_operation(entry, text + used, room - (size_t)used);
    }
    const char *error = entry->result < 0 ? strerrorname_np(-entry->result) : NULL;
    if (error != NULL) {
        (void)snprintf(text + used, room - (size_t)used, " = %s", error);
    } else {
        (void)snprintf(text + used, room - (size_t)used, " = %d", entry->result);
    }
}

const char *sim_recorded_text(const sim_recorded *entry, char text[SIM_RECORDED_BYTES])
{
    if (entry->is_completion) {
        write_completion(entry, text, SIM_RECORDED_BYTES);
    } else {
        write_submission(entry, text, SIM_RECORDED_BYTES);
    }
    return text;
}
