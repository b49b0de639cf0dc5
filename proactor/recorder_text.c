/* SPDX-License-Identifier: MIT */
/* A recording as text. A signal handler may do all of this but for what writes to a stream. */
#include "recorder_private.h"

#include "opcode.h"

#include <coil/error.h>
#include <coil/kernel.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    WRITER_BYTES = 4096,
    LINE_BYTES = 256,  /* No line is longer. */
    CRASH_LINES = 100, /* Without a file, after a crash, ... */
    DUMP_LINES = 20,   /* ... and in a dump. */
    LISTED_MAX = 64,
    PATH_BYTES = 4096,
};

/* ---------------------------------------------------------------------------------- writing -- */

/* To a stream, or else to a descriptor. */
typedef struct writer {
    FILE *out;
    int fd;
    int error; /* The first. */
    size_t used_bytes;
    char bytes[WRITER_BYTES];
} writer;

static void flush(writer *to)
{
    size_t written_bytes = 0;
    while (to->out == NULL && to->error == 0 && written_bytes < to->used_bytes) {
        const ssize_t count = coil_kernel_write(
                to->fd, to->bytes + written_bytes, to->used_bytes - written_bytes);
        if (count > 0) {
            written_bytes += (size_t)count;
        } else if (count != -EINTR) {
            to->error = count < 0 ? (int)count : -EIO;
        }
    }
    if (to->out != NULL)
        (void)fwrite(to->bytes, 1, to->used_bytes, to->out);
    to->used_bytes = 0;
}

static void add(writer *to, const char *text)
{
    while (*text != '\0') {
        if (to->used_bytes == WRITER_BYTES)
            flush(to);
        to->bytes[to->used_bytes++] = *text++;
    }
}

/* With at least `digits` digits. */
static void add_digits(writer *to, uint64_t number, unsigned base, int digits)
{
    char text[32];
    size_t at = sizeof(text) - 1;
    text[at] = '\0';
    do {
        text[--at] = "0123456789abcdef"[number % base];
        number /= base;
        digits--;
    } while (number > 0 || digits > 0);
    add(to, text + at);
}

static void add_number(writer *to, int64_t number)
{
    if (number < 0)
        add(to, "-");
    add_digits(to, number < 0 ? -(uint64_t)number : (uint64_t)number, 10, 1);
}

static void add_time(writer *to, uint64_t time_ns)
{
    add_digits(to, time_ns / 1000000000, 10, 1);
    add(to, ".");
    add_digits(to, time_ns % 1000000000, 10, 9);
}

static void end_line(writer *to)
{
    add(to, "\n");
    if (to->used_bytes > WRITER_BYTES - LINE_BYTES)
        flush(to);
}

/* ------------------------------------------------------------------------------------ lines -- */

static void add_operation(writer *to, const recorder_entry *entry)
{
    const char *name = opcode_name(entry->opcode);
    add(to, " ");
    if (name != NULL) {
        add(to, name);
    } else {
        add_number(to, (int64_t)entry->opcode);
    }
    if (entry->opcode == IORING_OP_ASYNC_CANCEL)
        return;
    add(to, (entry->marks & RECORD_DIRECT) != 0 ? " direct " : " fd ");
    add_number(to, entry->fd);
}

static void add_submission(writer *to, const recorder_entry *entry)
{
    add(to, " submit");
    add_operation(to, entry);
    if (entry->opcode == IORING_OP_ASYNC_CANCEL) {
        add(to, " of ");
        add(to, entry->detail == UINT64_MAX ? "-" : "");
        if (entry->detail != UINT64_MAX)
            add_number(to, (int64_t)entry->detail);
        return;
    }
    add(to, " size ");
    add_number(to, entry->size);
    if (recorder_has_offset(entry->opcode)) {
        add(to, " at ");
        add_number(to, (int64_t)entry->detail);
    } else {
        add(to, " flags 0x");
        add_digits(to, entry->detail, 16, 1);
    }
}

static void add_completion(writer *to, const recorder_entry *entry)
{
    const bool is_unknown = (entry->marks & RECORD_UNKNOWN) != 0;
    add(to, " complete ");
    if (is_unknown) {
        add(to, "-");
        add(to, entry->opcode == IORING_OP_ASYNC_CANCEL ? " cancel" : "");
    } else {
        add_number(to, entry->key);
        add_operation(to, entry);
    }
    add(to, " = ");
    if (entry->result >= 0 || strerrorname_np(-entry->result) == NULL) {
        add_number(to, entry->result);
    } else {
        add(to, strerrorname_np(-entry->result));
    }
    add(to, " flags 0x");
    add_digits(to, entry->flags, 16, 1);
}

static void add_entry(writer *to, uint64_t number, const recorder_entry *entry)
{
    add_number(to, (int64_t)number);
    add(to, " ");
    add_time(to, entry->time_ns);
    add(to, " ");
    add_number(to, entry->turn);
    if ((entry->marks & RECORD_COMPLETION) != 0) {
        add_completion(to, entry);
    } else {
        add_submission(to, entry);
    }
    end_line(to);
}

static void add_head(writer *to, const coil_recorder *recorder, uint64_t first, uint64_t skipped)
{
    const uint64_t submissions = recorder->lost_count + skipped;
    const uint64_t completions = first - 1 - submissions;
    add(to, "coil recording 1\nloop ");
    add_number(to, recorder->loop->watch.number);
    add(to, " started ");
    add_time(to, (uint64_t)recorder->start);
    add(to, " first ");
    add_number(to, (int64_t)first);
    add(to, " count ");
    add_number(to, (int64_t)(recorder->count - first + 1));
    add(to, " before ");
    add_number(to, (int64_t)(recorder->submissions_before + submissions));
    add(to, " ");
    add_number(to, (int64_t)(recorder->completions_before + completions));
    end_line(to);
}

/* The last `limit` entries, of those that are kept. */
static int write_all(coil_recorder *recorder, uint64_t limit, writer *to)
{
    const uint64_t room = recorder->mask + 1;
    const uint64_t kept = recorder->count < room ? recorder->count : room;
    const uint64_t oldest = recorder->count - kept + 1;
    const uint64_t first = limit < kept ? recorder->count - limit + 1 : oldest;
    uint64_t skipped = 0; /* Submissions that are kept, but not wanted. */

    for (uint64_t number = oldest; number < first; number++)
        skipped += (recorder_entry_at(recorder, number)->marks & RECORD_COMPLETION) == 0;
    add_head(to, recorder, first, skipped);
    for (uint64_t number = first; number <= recorder->count; number++)
        add_entry(to, number, recorder_entry_at(recorder, number));
    add(to, "end ");
    add_number(to, (int64_t)recorder->count);
    end_line(to);
    flush(to);
    return to->error;
}

int coil_recorder_write(const coil_loop *loop, int fd)
{
    writer to = {.fd = fd};
    if (loop->ring.recorder == NULL)
        return -ENOENT;
    return write_all(loop->ring.recorder, UINT64_MAX, &to);
}

void coil_recorder_print(const coil_loop *loop, size_t count, FILE *out)
{
    writer to = {.out = out};
    if (loop->ring.recorder != NULL)
        (void)write_all(loop->ring.recorder, count, &to);
}

/* ------------------------------------------------------------------------------------- file -- */

static COIL_PROCESS_WIDE const char *file_path; /* NULL: stderr. Any thread. */

/* With the process id for %p. False: it is too long. */
static bool expand(const char *path, char out_path[PATH_BYTES])
{
    writer to = {.fd = -1};
    for (; *path != '\0' && to.used_bytes < PATH_BYTES - 16; path++) {
        if (path[0] == '%' && path[1] == 'p') {
            add_number(&to, coil_kernel_getpid());
            path++;
        } else {
            to.bytes[to.used_bytes++] = *path;
        }
    }
    memcpy(out_path, to.bytes, to.used_bytes);
    out_path[to.used_bytes] = '\0';
    return *path == '\0';
}

static int append_to_file(coil_recorder *recorder, const char *wanted)
{
    char path[PATH_BYTES];
    if (!expand(wanted, path))
        return -ENAMETOOLONG;
    const int fd = coil_kernel_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0)
        return fd;
    writer to = {.fd = fd};
    const int rc = write_all(recorder, UINT64_MAX, &to);
    (void)coil_kernel_close(fd);
    return rc;
}

void recorder_dump(const coil_loop *loop, FILE *out)
{
    const char *path = __atomic_load_n(&file_path, __ATOMIC_RELAXED);
    if (loop->ring.recorder == NULL)
        return;
    const int rc = path != NULL ? append_to_file(loop->ring.recorder, path) : 0;
    if (path != NULL) {
        fprintf(out, "coil: the recording at the end of %s: %s\n", path,
                rc == 0 ? "written" : coil_error_text(rc));
    }
    if (path == NULL || rc < 0)
        coil_recorder_print(loop, DUMP_LINES, out);
}

/* ------------------------------------------------------------------------------------ crash -- */

static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

enum { SIGNAL_COUNT = sizeof(signals) / sizeof(signals[0]) };

static COIL_PROCESS_WIDE coil_recorder *listed[LISTED_MAX];
static COIL_PROCESS_WIDE struct sigaction before[SIGNAL_COUNT];
static COIL_PROCESS_WIDE bool installed;
static COIL_PROCESS_WIDE bool crashed;

void recorder_enlist(coil_recorder *recorder)
{
    for (int i = 0; i < LISTED_MAX; i++) {
        coil_recorder *none = NULL;
        if (__atomic_compare_exchange_n(
                    &listed[i], &none, recorder, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return;
    }
}

void recorder_delist(coil_recorder *recorder)
{
    for (int i = 0; i < LISTED_MAX; i++) {
        coil_recorder *it = recorder;
        if (__atomic_compare_exchange_n(
                    &listed[i], &it, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
    }
}

static void write_after_crash(coil_recorder *recorder, const char *path)
{
    const int rc = path != NULL ? append_to_file(recorder, path) : 0;
    if (path != NULL && rc == 0)
        return;
    writer to = {.fd = STDERR_FILENO};
    if (rc < 0) {
        add(&to, "coil: the recording at the end of ");
        add(&to, path);
        add(&to, ": ");
        add(&to, coil_error_text(rc));
        end_line(&to);
    }
    (void)write_all(recorder, CRASH_LINES, &to);
}

static void write_listed(void)
{
    const char *path = __atomic_load_n(&file_path, __ATOMIC_RELAXED);
    for (int i = 0; i < LISTED_MAX; i++) {
        coil_recorder *recorder = __atomic_load_n(&listed[i], __ATOMIC_ACQUIRE);
        if (recorder != NULL)
            write_after_crash(recorder, path);
    }
}

/* Whoever was there before has the signal next: a fault happens again, others are sent again. */
static void on_crash(int signo, siginfo_t *signal, void *context)
{
    (void)context;
    if (!__atomic_exchange_n(&crashed, true, __ATOMIC_RELAXED))
        write_listed();
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        if (signals[i] == signo)
            (void)coil_kernel_sigaction(signo, &before[i], NULL);
    }
    if (signal->si_code <= 0)
        (void)coil_kernel_raise(signo);
}

int coil_recorder_on_crash(const char *path)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_crash;
    (void)sigemptyset(&action.sa_mask);

    __atomic_store_n(&file_path, path, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&installed, true, __ATOMIC_RELAXED))
        return 0;
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        const int rc = coil_kernel_sigaction(signals[i], &action, &before[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}
