/* SPDX-License-Identifier: MIT */
#include <coil/supervisor_report.h>

#include <stdarg.h>
#include <stdio.h>

static void say(coil_supervisor_hook *hook, const coil_service *service, const char *format, ...)
        COIL_PRINTF(3, 4);

static void say(coil_supervisor_hook *hook, const coil_service *service, const char *format, ...)
{
    coil_supervisor_reporter *reporter = coil_container_of(hook, coil_supervisor_reporter, hook);
    char line[COIL_SPAWN_TEXT_BYTES + 256];
    va_list values;

    const int size = snprintf(line, sizeof(line), "%s ", coil_service_name(service));
    va_start(values, format);
    (void)vsnprintf(line + size, sizeof(line) - (size_t)size, format, values);
    va_end(values);
    reporter->print(reporter, line);
}

static double in_seconds(coil_duration duration)
{
    return (double)duration / 1e9;
}

static void say_why_it_stops(coil_supervisor_hook *hook, const coil_service *service)
{
    const coil_supervised *status = coil_service_status(service);

    switch (status->reason) {
    case COIL_REASON_SILENT:
    case COIL_REASON_DEAD:
        if (status->health < 0) {
            say(hook, service, "does not answer: %s", coil_error_text(status->health));
        } else {
            say(hook, service, "says it is %s", coil_health_name(status->health));
        }
        break;
    case COIL_REASON_WATCHDOG:
        say(hook, service, "has not fed its watchdog");
        break;
    case COIL_REASON_START_LIMIT:
        say(hook, service, "is not ready in time");
        break;
    case COIL_REASON_STRATEGY:
        say(hook, service, "is stopped because of another");
        break;
    default:
        break;
    }
}

static void on_changed(coil_supervisor_hook *hook, coil_service *service, coil_service_state before)
{
    const coil_supervised *status = coil_service_status(service);

    switch (status->state) {
    case COIL_SERVICE_UP:
        if (status->failed_at != COIL_NEVER) {
            say(hook, service, "is well again, after %.3f s",
                    in_seconds(status->since - status->failed_at));
        }
        break;
    case COIL_SERVICE_BACKOFF:
        say(hook, service, "is started again in %.3f s",
                in_seconds(status->next_start - status->since));
        break;
    case COIL_SERVICE_STOPPING:
        if (before == COIL_SERVICE_STOPPING) {
            say(hook, service, "is stuck: SIGKILL does not end it");
        } else {
            say_why_it_stops(hook, service);
        }
        break;
    case COIL_SERVICE_FAILED:
        if (status->reason != COIL_REASON_SPAWN)
            say(hook, service, "is given up: %s", coil_service_reason_name(status->reason));
        break;
    case COIL_SERVICE_DOWN:
        if (status->reason == COIL_REASON_LEFT)
            say(hook, service, "runs on without us");
        break;
    case COIL_SERVICE_STARTING:
    case COIL_SERVICE_DONE:
        break;
    }
}

static void on_started(coil_supervisor_hook *hook, coil_service *service)
{
    const pid_t pid = coil_service_pid(service);

    if (pid > 0) {
        say(hook, service, "runs as process %d", (int)pid);
    } else {
        say(hook, service, "runs");
    }
}

static void on_adopted(coil_supervisor_hook *hook, coil_service *service)
{
    say(hook, service, "is taken over as process %d", (int)coil_service_pid(service));
}

static void on_failed(
        coil_supervisor_hook *hook, coil_service *service, const coil_spawn_error *error)
{
    say(hook, service, "does not start: %s", error->text);
}

static void on_died(coil_supervisor_hook *hook, coil_service *service, const coil_death *death)
{
    say(hook, service, "%s", death->text);
}

void coil_supervisor_reporter_init(coil_supervisor_reporter *reporter,
        void (*print)(coil_supervisor_reporter *reporter, const char *line))
{
    *reporter = (coil_supervisor_reporter){.hook = {.changed = on_changed,
                                                   .started = on_started,
                                                   .adopted = on_adopted,
                                                   .failed = on_failed,
                                                   .died = on_died},
            .print = print};
}

static void say_in_log(coil_supervisor_reporter *reporter, const char *line)
{
    (void)coil_log_say(reporter->log, reporter->prefix, line);
}

void coil_supervisor_reporter_init_log(
        coil_supervisor_reporter *reporter, coil_log *log, const char *prefix)
{
    coil_supervisor_reporter_init(reporter, say_in_log);
    reporter->log = log;
    reporter->prefix = prefix;
}
