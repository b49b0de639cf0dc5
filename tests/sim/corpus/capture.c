/* SPDX-License-Identifier: MIT */
/*
 * Lines of several pipes, written in pieces and with pauses, into files that are rotated often, on
 * a disk that fails now and then: in the end each line is there once, whole, and those of a pipe
 * are in order. Only lines that a log without memory had to cut may be in pieces. What was written
 * before a drain is stored after it, though writers go on. Some logs are closed in the middle, and
 * that is cancelled: then the last lines may be missing, and none is torn.
 */
#include "corpus.h"

#include <coil/sugar.h>

#include <stdio.h>
#include <stdlib.h>

enum { WRITERS = 3, LINES = 60, ROTATE_BYTES = 300, FILES_MAX = 200, TRIES = 50 };

static struct {
    pid_t pid;
    int written[WRITERS]; /* Lines. */
    int found[WRITERS];
    bool cut[WRITERS]; /* The next line of this one goes on. */
    char piece[WRITERS][64];
    bool is_cut_short;
    bool was_read;
} ledger;

/* --------------------------------------------------------------------------------- writing -- */

async(int, write_piece, (int) fd, (const char *) bytes, (size_t) size_bytes)
{
    vars(size_t done_bytes; ssize_t count);

    while (my->done_bytes < size_bytes) {
        const size_t most = size_bytes - my->done_bytes;
        await(my->count, coil_write(fd, bytes + my->done_bytes, 1 + corpus_draw(most)));
        if (my->count < 0 && my->count != -EAGAIN)
            return (int)my->count;
        my->done_bytes += my->count < 0 ? 0 : (size_t)my->count;
    }
    return 0;
}

async(int, write_lines, (int) fd, (int) who)
{
    vars(char line[64]; int i);

    defer(ignore(coil_close(fd)));
    for (my->i = 0; my->i < LINES; my->i++) {
        const int size = snprintf(my->line, sizeof(my->line), "%d is a line\n", my->i);
        attempt(write_piece(fd, my->line, (size_t)size));
        ledger.written[who]++;
        if (corpus_chance(20))
            await(coil_sleep(corpus_moment(coil_ms(3))));
    }
    return 0;
}

/* --------------------------------------------------------------------------------- reading -- */

/* Does the line end with this? */
static bool ends_with(const char *line, size_t size_bytes, const char *end)
{
    const size_t end_bytes = strlen(end);
    return size_bytes >= end_bytes && memcmp(line + size_bytes - end_bytes, end, end_bytes) == 0;
}

/* What a log says that had to end early. */
static bool is_last_word(const char *line, size_t size_bytes)
{
    return ledger.is_cut_short && size_bytes > 0 &&
           (line[0] == '[' || ends_with(line, size_bytes, COIL_LOG_END_MARK));
}

static void look_at(const char *line, size_t size_bytes)
{
    if (is_last_word(line, size_bytes))
        return;
    const int who = size_bytes > 1 ? line[0] - 'a' : -1;
    char expected[64];

    corpus_expect(
            who >= 0 && who < WRITERS && line[1] == ' ', "who says '%.*s'?", (int)size_bytes, line);
    line += 2;
    size_bytes -= 2;
    char *piece = ledger.piece[who];
    const bool continues = ends_with(line, size_bytes, COIL_LOG_CUT_MARK);
    const size_t had_bytes = strlen(piece);
    if (continues)
        size_bytes -= strlen(COIL_LOG_CUT_MARK);
    corpus_expect(had_bytes + size_bytes < sizeof(ledger.piece[who]), "a line that is too long");
    memcpy(piece + had_bytes, line, size_bytes);
    piece[had_bytes + size_bytes] = '\0';
    if (continues)
        return;
    (void)snprintf(expected, sizeof(expected), "%d is a line", ledger.found[who]);
    corpus_expect(strcmp(piece, expected) == 0, "'%s' in place of '%s'", piece, expected);
    piece[0] = '\0';
    ledger.found[who]++;
}

static void look_at_all(const char *bytes, size_t size_bytes)
{
    const char *const end = bytes + size_bytes;
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        corpus_expect(newline != NULL, "a file ends in the middle of a line");
        if (newline == NULL)
            return;
        look_at(bytes, (size_t)(newline - bytes));
        bytes = newline + 1;
    }
}

async(int, read_one, (const char *) path)
{
    vars(coil_slice text; int tries);

    for (my->tries = 0; my->tries < TRIES; my->tries++) {
        await(my->text, coil_read_file(path, 1 << 20));
        if (my->text.size_bytes >= 0 || my->text.size_bytes == -ENOENT)
            break;
    }
    if (my->text.size_bytes < 0)
        return (int)my->text.size_bytes;
    look_at_all(my->text.bytes, (size_t)my->text.size_bytes);
    coil_slice_release(&my->text);
    return 0;
}

async(int, read_all)
{
    vars(char path[64]; int i; int rc);

    for (my->i = 1; my->i < FILES_MAX; my->i++) {
        (void)snprintf(my->path, sizeof(my->path), "/var/log/current.%06d", my->i);
        await(my->rc, read_one(my->path));
        if (my->rc == -ENOENT)
            break;
        if (my->rc < 0)
            return my->rc;
    }
    attempt(read_one("/var/log/current"));
    ledger.was_read = true;
    return 0;
}

/* --------------------------------------------------------------------------------- capture -- */

static uint64_t count_written(void)
{
    uint64_t count = 0;
    for (int i = 0; i < WRITERS; i++)
        count += (uint64_t)ledger.written[i];
    return count;
}

async(int, drain_at_times, (coil_log *) log)
{
    vars(uint64_t before; int rc);

    for (;;) {
        await(coil_sleep(corpus_moment(coil_ms(20))));
        my->before = count_written();
        await(my->rc, within(corpus_deadline(30, coil_ms(5)), coil_log_drain(log)));
        const uint64_t now = coil_log_statistics(log).lines;
        corpus_expect(my->rc < 0 || now >= my->before, "%lu lines after a drain, of %lu",
                (unsigned long)now, (unsigned long)my->before);
    }
}

async(int, capture_into, (coil_log *) log)
{
    vars(coil_group writers; coil_group drains; int ends[2]; int i; char prefix[4]);

    open_group(&my->drains);
    spawn(&my->drains, drain_at_times(log));
    spawn(&my->drains, drain_at_times(log));
    open_group(&my->writers);
    for (my->i = 0; my->i < WRITERS; my->i++) {
        int rc = coil_kernel_pipe(my->ends);
        if (rc < 0)
            return rc;
        my->prefix[0] = (char)('a' + my->i);
        my->prefix[1] = ' ';
        rc = coil_log_attach(log, my->ends[0], my->prefix);
        if (rc < 0) {
            (void)coil_kernel_close(my->ends[1]);
            return rc;
        }
        if (spawn(&my->writers, write_lines(my->ends[1], my->i)) == NULL) {
            (void)coil_kernel_close(my->ends[1]);
            return -ENOMEM;
        }
    }
    attempt(coil_group_join(&my->writers));
    attempt(coil_log_drain(log));
    return 0;
}

async(int, capture)
{
    vars(coil_log *log; coil_log_options options; int rc; int close_rc; uint64_t dropped);

    my->options = (coil_log_options){
            .path = "/var/log/current", .rotate_bytes = ROTATE_BYTES, .keep_files = FILES_MAX};
    await(my->rc, coil_log_open(&my->options, &my->log));
    corpus_expect_success(my->rc, false, "opening the log");
    if (my->rc < 0)
        return my->rc;
    ledger.is_cut_short = corpus_chance(20);
    const coil_duration most = ledger.is_cut_short ? corpus_moment(coil_ms(100)) : COIL_FOREVER;
    await(my->rc, within(most, capture_into(my->log)));
    my->dropped = coil_log_statistics(my->log).dropped_lines;
    const coil_duration patience = ledger.is_cut_short ? corpus_moment(coil_ms(5)) : COIL_FOREVER;
    await(my->close_rc, within(patience, coil_log_close(my->log)));
    corpus_expect_success(my->rc, ledger.is_cut_short, "capturing");
    corpus_expect(my->dropped == 0, "%lu lines dropped", (unsigned long)my->dropped);
    if (!ledger.is_cut_short && (my->rc < 0 || my->close_rc < 0))
        return my->rc < 0 ? my->rc : my->close_rc;
    await(my->rc, read_all());
    corpus_expect(corpus_is_weather(my->rc), "reading: %s", coil_error_name(my->rc));
    if (ledger.is_cut_short)
        return my->rc;
    for (int i = 0; my->rc == 0 && i < WRITERS; i++) {
        corpus_expect(ledger.found[i] == ledger.written[i], "%d lines of writer %d, of %d",
                ledger.found[i], i, ledger.written[i]);
    }
    return my->rc;
}

CORPUS_MAIN(capture_main, capture())

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    (void)coil_sim_put_file(sim, "disk", "/var/log/keep", "", 0, 0644);
    ledger.pid = corpus_start(sim, "disk", "/bin/captor", capture_main);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.pid, "the captor");
    coil_sim_expect(sim, !corpus_is_fair() || ledger.was_read, "nobody has read the log");
}

const coil_sim_scenario scenario_capture = {.name = "capture", .build = build, .check = check};
