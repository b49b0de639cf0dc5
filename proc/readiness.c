/* SPDX-License-Identifier: MIT */
#include <coil/readiness.h>

#include <coil/child.h>
#include <coil/supervisor.h>

#include <errno.h>
#include <string.h>

/* ------------------------------------------------------------------------------- sd_notify -- */

/* The value of the line, if that is NAME=value; else NULL. */
static const char *value_of(const char *line, size_t size, const char *name, size_t *out_size)
{
    const size_t name_size = strlen(name);

    if (size < name_size || memcmp(line, name, name_size) != 0)
        return NULL;
    *out_size = size - name_size;
    return line + name_size;
}

static bool is_text(const char *value, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(value, text, size) == 0;
}

/* Microseconds, as a duration. */
static bool parse_usec(const char *value, size_t size, coil_duration *out_duration)
{
    int64_t number = 0;

    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        if (__builtin_mul_overflow(number, 10, &number) ||
                __builtin_add_overflow(number, value[i] - '0', &number))
            return false;
    }
    *out_duration = coil_us(number);
    return true;
}

static void copy_status(const char *value, size_t size, char out_status[COIL_NOTICE_STATUS_BYTES])
{
    size_t at = 0;

    for (; at < size && at < COIL_NOTICE_STATUS_BYTES - 1; at++) {
        const unsigned char letter = (unsigned char)value[at];
        out_status[at] = value[at];
        if (letter < ' ' || letter == 0x7f)
            out_status[at] = '?';
    }
    out_status[at] = '\0';
}

static void parse_line(const char *line, size_t line_size, coil_notice *notice)
{
    static const struct {
        const char *line;
        coil_notice_word word;
    } words[] = {
            {"READY=1", COIL_NOTICE_READY},
            {"RELOADING=1", COIL_NOTICE_RELOADING},
            {"STOPPING=1", COIL_NOTICE_STOPPING},
            {"WATCHDOG=1", COIL_NOTICE_WATCHDOG},
            {"WATCHDOG=trigger", COIL_NOTICE_TRIGGER},
    };
    size_t size = 0;
    const char *value;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (is_text(line, line_size, words[i].line))
            notice->words |= words[i].word;
    }
    value = value_of(line, line_size, "WATCHDOG_USEC=", &size);
    if (value != NULL && parse_usec(value, size, &notice->watchdog))
        notice->words |= COIL_NOTICE_WATCHDOG_USEC;
    value = value_of(line, line_size, "EXTEND_TIMEOUT_USEC=", &size);
    if (value != NULL && parse_usec(value, size, &notice->extend))
        notice->words |= COIL_NOTICE_EXTEND_USEC;
    value = value_of(line, line_size, "STATUS=", &size);
    if (value != NULL) {
        copy_status(value, size, notice->status);
        notice->words |= COIL_NOTICE_STATUS;
    }
}

void coil_notice_parse(const char *bytes, size_t size_bytes, coil_notice *out_notice)
{
    memset(out_notice, 0, sizeof(*out_notice));
    while (size_bytes > 0) {
        const char *end = memchr(bytes, '\n', size_bytes);
        const size_t size = end == NULL ? size_bytes : (size_t)(end - bytes);
        parse_line(bytes, size, out_notice);
        const size_t taken = end == NULL ? size : size + 1;
        bytes += taken;
        size_bytes -= taken;
    }
}

/* ------------------------------------------------------------------------------ exec probe -- */

coil_async(int, ask_exec, (coil_health_probe *) probe)
{
    coil_vars(coil_child child);
    const coil_exec_probe *exec = coil_container_of(probe, coil_exec_probe, probe);

    int rc = coil_child_spawn(exec->plan, &my->child, NULL);
    if (rc < 0)
        return rc;
    coil_defer(coil_child_fini(&my->child));
    coil_defer(coil_ignore(coil_child_stop(&my->child, 0)));
    coil_attempt(coil_child_wait(&my->child));
    if (my->child.exit.signaled)
        return -EPROTO;
    switch (my->child.exit.code) {
    case 0:
        return COIL_HEALTH_READY;
    case 1:
        return COIL_HEALTH_STARTING;
    case 2:
        return COIL_HEALTH_DEAD;
    }
    return -EPROTO;
}

void coil_exec_probe_init(coil_exec_probe *probe, const coil_spawn_plan *plan)
{
    probe->probe.ask = coil_handler(ask_exec, coil_health_probe *);
    probe->plan = plan;
}

/* ---------------------------------------------------------------------------- line of a log -- */

static void see_line(coil_log_line_hook *hook, const coil_log_line *line)
{
    coil_ready_line *ready = coil_container_of(hook, coil_ready_line, hook);

    if (ready->next != NULL)
        ready->next->line(ready->next, line);
    if (ready->service != NULL &&
            memmem(line->bytes, line->size_bytes, ready->text, strlen(ready->text)) != NULL)
        coil_service_ready(ready->service);
}

void coil_ready_line_init(coil_ready_line *line, const char *text, coil_log_line_hook *next)
{
    *line = (coil_ready_line){.hook = {see_line}, .text = text, .next = next};
}
