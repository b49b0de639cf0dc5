/* SPDX-License-Identifier: MIT */
/*
 * coil/readiness.h - how a service tells that it is ready, and how it is asked, without a network.
 *
 * What a service may say by itself (sd_notify(3)) is parsed here; coil/supervisor.h listens to it.
 * Probes that go over a network are in coil/health_probe.h.
 */
#ifndef COIL_READINESS_H
#define COIL_READINESS_H

#include <coil/health.h>
#include <coil/log_capture.h>
#include <coil/spawn.h>
#include <coil/time.h>

COIL_BEGIN_DECLS

typedef struct coil_notice coil_notice;
typedef struct coil_exec_probe coil_exec_probe;
typedef struct coil_ready_line coil_ready_line;
struct coil_service;

enum { COIL_NOTICE_STATUS_BYTES = 128 };

/* ------------------------------------------------------------------------------- sd_notify -- */

typedef enum coil_notice_word {
    COIL_NOTICE_READY = 1,          /* READY=1 */
    COIL_NOTICE_RELOADING = 2,      /* RELOADING=1 */
    COIL_NOTICE_STOPPING = 4,       /* STOPPING=1 */
    COIL_NOTICE_WATCHDOG = 8,       /* WATCHDOG=1 */
    COIL_NOTICE_TRIGGER = 16,       /* WATCHDOG=trigger */
    COIL_NOTICE_WATCHDOG_USEC = 32, /* WATCHDOG_USEC=..., in `watchdog` */
    COIL_NOTICE_EXTEND_USEC = 64,   /* EXTEND_TIMEOUT_USEC=..., in `extend` */
    COIL_NOTICE_STATUS = 128,       /* STATUS=..., in `status` */
} coil_notice_word;

/* One message. */
struct coil_notice {
    unsigned words; /* coil_notice_word */
    coil_duration watchdog;
    coil_duration extend;
    char status[COIL_NOTICE_STATUS_BYTES]; /* Cut if it is longer; control characters are '?'. */
};

/*
 * Parse the lines of a message; what is not known, or no number where one has to be, is passed
 * over. Never fails: it comes from others. Any thread.
 */
COIL_API void coil_notice_parse(const char *bytes, size_t size_bytes, coil_notice *out_notice);

/* --------------------------------------------------------------------------------- a probe -- */

/*
 * Run a program: its exit status 0 is READY, 1 STARTING, 2 DEAD, all else an error (-EPROTO). Set
 * `plan`, of which out, err and in should not be pipes; it stays as long as the probe.
 */
struct coil_exec_probe {
    coil_health_probe probe;
    const coil_spawn_plan *plan;
};

/* For a probe to be asked. */
COIL_API void coil_exec_probe_init(coil_exec_probe *probe, const coil_spawn_plan *plan);

/* ---------------------------------------------------------------------------- a line of log -- */

/*
 * READY for a service when a line of its log contains `text`: give `hook` to its coil_log as
 * on_line. `service` may be set later; `next`, unless NULL, gets all lines as well.
 */
struct coil_ready_line {
    coil_log_line_hook hook;
    struct coil_service *service;
    const char *text;
    coil_log_line_hook *next;
};

COIL_API void coil_ready_line_init(
        coil_ready_line *line, const char *text, coil_log_line_hook *next);

COIL_END_DECLS

#endif
