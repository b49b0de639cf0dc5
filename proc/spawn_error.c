/* SPDX-License-Identifier: MIT */
/*
 * Why a program did not start. execve(2) has one number for many causes: ENOENT is a file that does
 * not exist as well as one whose interpreter does not. So look at the file, after the fact; what is
 * found is only ever text.
 */
#include "spawn_private.h"

#include <coil/check.h>
#include <coil/error.h>

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 96            /* A quoted name in the text. */
#define CAUSE_BYTES 192          /* What follows the program's name. */
#define HEAD_BYTES 256           /* As much of a script as the kernel looks at. */
#define STRING_BYTES_MAX 131072U /* One string of argv or env: MAX_ARG_STRLEN of the kernel. */
#define ELF_HEADERS_MAX 64

static_assert(NAME_BYTES + CAUSE_BYTES + 32 <= COIL_SPAWN_TEXT_BYTES, "the whole line fits");

typedef struct cause_text {
    char text[CAUSE_BYTES];
} cause_text;

typedef struct quoted_name {
    char text[NAME_BYTES];
} quoted_name;

/* The program as found on disk. */
typedef struct program_file {
    int directory_fd; /* Where relative paths start: AT_FDCWD or an open fd. */
    int status_error; /* 0: `status` is valid. */
    struct stat status;
    char interpreter[HEAD_BYTES]; /* "" if there is none. */
    bool script;                  /* Starts with #!. */
} program_file;

static void say(cause_text *out, const char *format, ...) COIL_PRINTF(2, 3);

static void say(cause_text *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out->text, sizeof(out->text), format, arguments);
    va_end(arguments);
}

static bool is_control(char byte)
{
    return (unsigned char)byte < ' ' || byte == 0x7f;
}

/*
 * 'name', with control characters as `?`, so that a log or a terminal survives it, and of a long
 * one only the end, which tells more than the start.
 */
static quoted_name quote(const char *name)
{
    static const char cut[] = "...";
    const size_t room = NAME_BYTES - 3; /* Two quotes and the end. */
    quoted_name quoted;
    char *end = quoted.text;

    *end++ = '\'';
    size_t length = strlen(name);
    if (length > room) {
        memcpy(end, cut, sizeof(cut) - 1);
        end += sizeof(cut) - 1;
        name += length - (room - (sizeof(cut) - 1));
    }
    for (; *name != '\0'; name++) {
        *end = *name;
        if (is_control(*name))
            *end = '?';
        end++;
    }
    *end++ = '\'';
    *end = '\0';
    return quoted;
}

/* The interpreter of a script, as the kernel reads it: to the first blank of the first line. */
static void read_script(const char *head, size_t size, program_file *file)
{
    size_t start = 2;
    while (start < size && (head[start] == ' ' || head[start] == '\t'))
        start++;
    size_t end = start;
    while (end < size && head[end] != '\0' && strchr(" \t\n", head[end]) == NULL)
        end++;
    file->script = true;
    memcpy(file->interpreter, head + start, end - start);
    file->interpreter[end - start] = '\0';
}

/* The dynamic loader that an ELF file of our word size asks for. */
static void read_elf(int fd, program_file *file)
{
    Elf64_Ehdr header;
    if (coil_kernel_pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
            header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
        return;

    for (int i = 0; i < header.e_phnum && i < ELF_HEADERS_MAX; i++) {
        Elf64_Phdr segment;
        off_t offset = (off_t)(header.e_phoff + (Elf64_Off)i * sizeof(segment));
        if (coil_kernel_pread(fd, &segment, sizeof(segment), offset) != sizeof(segment))
            return;
        if (segment.p_type != PT_INTERP)
            continue;
        ssize_t size = coil_kernel_pread(
                fd, file->interpreter, sizeof(file->interpreter) - 1, (off_t)segment.p_offset);
        size_t kept = size < 0 ? 0 : (size_t)size;
        if (segment.p_filesz < kept)
            kept = segment.p_filesz;
        file->interpreter[kept] = '\0';
        return;
    }
}

static void read_head(const char *path, program_file *file)
{
    /* NONBLOCK: the path may name a FIFO by now. */
    int fd = coil_kernel_openat(file->directory_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    char head[HEAD_BYTES - 1];
    ssize_t size = coil_kernel_pread(fd, head, sizeof(head), 0);
    if (size >= 2 && memcmp(head, "#!", 2) == 0) {
        read_script(head, (size_t)size, file);
    } else if (size >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
        read_elf(fd, file);
    }
    (void)coil_kernel_close(fd);
}

static void look_at(const coil_spawn_plan *plan, const char *path, program_file *file)
{
    *file = (program_file){.directory_fd = AT_FDCWD};
    if (plan->cwd != NULL)
        file->directory_fd = coil_kernel_openat(AT_FDCWD, plan->cwd, O_PATH | O_DIRECTORY);

    file->status_error = coil_kernel_fstatat(file->directory_fd, path, &file->status);
    if (file->status_error == 0 && S_ISREG(file->status.st_mode))
        read_head(path, file);
}

static void look_away(program_file *file)
{
    if (file->directory_fd >= 0)
        (void)coil_kernel_close(file->directory_fd);
}

/* "no such file or directory": as libc has it, but in the middle of a line. */
static cause_text plain(int error)
{
    cause_text cause;
    say(&cause, "%s", coil_error_text(error));
    if (islower((unsigned char)cause.text[0]) == 0 && islower((unsigned char)cause.text[1]) != 0)
        cause.text[0] = (char)tolower((unsigned char)cause.text[0]);
    return cause;
}

static cause_text explain_missing(const program_file *file)
{
    const size_t length = strlen(file->interpreter);
    cause_text cause = plain(-ENOENT);

    if (file->status_error != 0 || length == 0)
        return cause;
    if (coil_kernel_faccessat(file->directory_fd, file->interpreter, F_OK) == 0) {
        say(&cause, "its interpreter %s lacks a file to run", quote(file->interpreter).text);
    } else {
        const bool carriage_return = file->script && file->interpreter[length - 1] == '\r';
        say(&cause, "its %s %s does not exist%s", file->script ? "interpreter" : "loader",
                quote(file->interpreter).text,
                carriage_return ? " (its first line ends in CR LF)" : "");
    }
    return cause;
}

static bool mounted_noexec(const program_file *file, const char *path)
{
    struct statvfs system;
    int fd = coil_kernel_openat(file->directory_fd, path, O_PATH);
    if (fd < 0)
        return false;
    bool noexec = coil_kernel_fstatvfs(fd, &system) == 0 && (system.f_flag & ST_NOEXEC) != 0;
    (void)coil_kernel_close(fd);
    return noexec;
}

static cause_text explain_refused(
        const coil_spawn_plan *plan, const program_file *file, const char *path)
{
    const mode_t mode = file->status.st_mode;
    cause_text cause = plain(-EACCES);

    if (file->status_error == -EACCES) {
        say(&cause, "permission denied (a directory on the way may not be entered)");
    } else if (file->status_error != 0) {
        return cause;
    } else if (S_ISDIR(mode)) {
        say(&cause, "is a directory");
    } else if (!S_ISREG(mode)) {
        say(&cause, "is not a regular file");
    } else if ((mode & 0111U) == 0) {
        say(&cause, "permission denied (not executable: its mode is %04o)", mode & 07777U);
    } else if (mounted_noexec(file, path)) {
        say(&cause, "permission denied (its file system is mounted noexec)");
    } else if (file->interpreter[0] != '\0' &&
               coil_kernel_faccessat(file->directory_fd, file->interpreter, X_OK) < 0) {
        say(&cause, "its interpreter %s may not be executed", quote(file->interpreter).text);
    } else if (plan->run_as != NULL) {
        say(&cause, "permission denied (for uid %u, gid %u)", plan->run_as->uid, plan->run_as->gid);
    }
    return cause;
}

static void measure(const char *const *strings, size_t *total_bytes, size_t *longest_bytes)
{
    for (; *strings != NULL; strings++) {
        size_t bytes = strlen(*strings) + 1;
        *total_bytes += bytes;
        if (bytes > *longest_bytes)
            *longest_bytes = bytes;
    }
}

static cause_text explain_too_big(const coil_spawn_plan *plan)
{
    cause_text cause;
    size_t total_bytes = 0;
    size_t longest_bytes = 0;
    if (plan->argv != NULL)
        measure(plan->argv, &total_bytes, &longest_bytes);
    measure(plan->env == NULL ? (const char *const *)environ : plan->env, &total_bytes,
            &longest_bytes);

    if (longest_bytes > STRING_BYTES_MAX) {
        say(&cause, "argument list too long (a single string of %zu bytes, at most %u are allowed)",
                longest_bytes, STRING_BYTES_MAX);
    } else {
        say(&cause, "argument list too long (%zu bytes of arguments and environment)", total_bytes);
    }
    return cause;
}

static cause_text explain_exec(const coil_spawn_plan *plan, const char *path, int error)
{
    program_file file;
    cause_text cause;

    look_at(plan, path, &file);
    switch (-error) {
    case ENOENT:
        cause = explain_missing(&file);
        break;
    case EACCES:
        cause = explain_refused(plan, &file, path);
        break;
    case ENOEXEC:
        say(&cause, "exec format error (%s)",
                file.interpreter[0] != '\0' ? "damaged, or for another machine"
                                            : "neither a program for this machine nor a #! script");
        break;
    case ETXTBSY:
        say(&cause, "text file busy (somebody has it open for writing)");
        break;
    case E2BIG:
        cause = explain_too_big(plan);
        break;
    default:
        cause = plain(error);
    }
    look_away(&file);
    return cause;
}

static cause_text explain_stdio(const spawn_report *report)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    cause_text cause;
    const cause_text reason = plain(report->error);

    if (report->error == -EINVAL && report->subject < 0) {
        say(&cause, "more than %d file descriptors for it", COIL_SPAWN_FDS_MAX);
    } else if (report->subject < 0) {
        say(&cause, "closing file descriptors: %s", reason.text);
    } else if (report->subject < 3) {
        say(&cause, "its %s: %s", names[report->subject], reason.text);
    } else {
        say(&cause, "its file descriptor %d: %s", report->subject, reason.text);
    }
    return cause;
}

static cause_text explain_priority(const coil_spawn_plan *plan, const spawn_report *report)
{
    const cause_text reason = plain(report->error);
    cause_text cause;

    switch (report->subject) {
    case PRIORITY_NICE:
        say(&cause, "its nice value %d: %s", plan->nice, reason.text);
        break;
    case PRIORITY_IO:
        say(&cause, "its I/O priority 0x%x: %s", (unsigned)plan->io_priority, reason.text);
        break;
    case PRIORITY_CPUS:
        say(&cause, "its CPUs: %s%s", reason.text,
                report->error == -EINVAL ? " (none of them is there, or allowed)" : "");
        break;
    default:
        say(&cause, "its oom_score_adj %d: %s", plan->oom_score_adjust, reason.text);
    }
    return cause;
}

static cause_text explain_clone(const coil_spawn_plan *plan, const spawn_report *report)
{
    const cause_text reason = plain(report->error);
    cause_text cause;
    if (plan->namespaces != 0 && report->error != -EAGAIN && report->error != -ENOMEM) {
        say(&cause, "its namespaces: %s", reason.text);
    } else {
        say(&cause, "no new process: %s%s", reason.text,
                report->error == -EAGAIN ? " (a limit on processes is reached)" : "");
    }
    return cause;
}

static cause_text explain_stage(
        const coil_spawn_plan *plan, const char *path, const spawn_report *report)
{
    const cause_text reason = plain(report->error);
    cause_text cause;

    switch (report->stage) {
    case COIL_SPAWN_STAGE_SEARCH:
        if (report->error == -EINVAL) {
            say(&cause, "with a root of its own it has to be an absolute path");
        } else if (report->error == -EACCES) {
            say(&cause, "permission denied (%s may not be executed)", quote(path).text);
        } else {
            say(&cause, "%s (not found in PATH)", reason.text);
        }
        break;
    case COIL_SPAWN_STAGE_EXEC:
        /* With a root of its own, the path is not ours to look at. */
        return plan->root != NULL ? reason : explain_exec(plan, path, report->error);
    case COIL_SPAWN_STAGE_STDIO:
        return explain_stdio(report);
    case COIL_SPAWN_STAGE_CHDIR:
        say(&cause, "its directory %s: %s", quote(plan->cwd).text, reason.text);
        break;
    case COIL_SPAWN_STAGE_IDENTITY:
        say(&cause, "becoming uid %u, gid %u: %s", plan->run_as->uid, plan->run_as->gid,
                reason.text);
        break;
    case COIL_SPAWN_STAGE_LIMITS:
        say(&cause, "its resource limit %d: %s", report->subject, reason.text);
        break;
    case COIL_SPAWN_STAGE_CLONE:
        return explain_clone(plan, report);
    case COIL_SPAWN_STAGE_PRIORITY:
        return explain_priority(plan, report);
    case COIL_SPAWN_STAGE_ROOT:
        say(&cause, "its root %s: %s", quote(plan->root).text, reason.text);
        break;
    case COIL_SPAWN_STAGE_NONE:
    case COIL_SPAWN_STAGE_USER_NAMESPACE:
    case COIL_SPAWN_STAGE_TERMINAL:
    case COIL_SPAWN_STAGE_CGROUP:
    case COIL_SPAWN_STAGE_CAPABILITIES:
    case COIL_SPAWN_STAGE_PIPE:
    case COIL_SPAWN_STAGE_GROUP:
    case COIL_SPAWN_STAGE_DEATH_SIGNAL:
    case COIL_SPAWN_STAGE_PRIVILEGES:
    case COIL_SPAWN_STAGE_SIGNALS:
        say(&cause, "%s: %s", coil_spawn_stage_name(report->stage), reason.text);
        break;
    }
    return cause;
}

void coil_spawn_explain(const coil_spawn_plan *plan, const char *path, const spawn_report *report,
        coil_spawn_error *out_error)
{
    const cause_text cause = explain_stage(plan, path, report);

    *out_error = (coil_spawn_error){.error = report->error, .stage = report->stage};
    (void)snprintf(out_error->text, sizeof(out_error->text), "cannot run %s: %s",
            quote(plan->program).text, cause.text);
}
