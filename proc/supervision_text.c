/* SPDX-License-Identifier: MIT */
#include <coil/supervision.h>

const char *coil_service_state_name(coil_service_state state)
{
    switch (state) {
    case COIL_SERVICE_DOWN:
        return "down";
    case COIL_SERVICE_STARTING:
        return "starting";
    case COIL_SERVICE_UP:
        return "up";
    case COIL_SERVICE_BACKOFF:
        return "backoff";
    case COIL_SERVICE_STOPPING:
        return "stopping";
    case COIL_SERVICE_FAILED:
        return "failed";
    case COIL_SERVICE_DONE:
        return "done";
    }
    return "unknown";
}

const char *coil_service_reason_name(coil_service_reason reason)
{
    static const char *const names[] = {
            [COIL_REASON_NONE] = "none",
            [COIL_REASON_COMMAND] = "command",
            [COIL_REASON_DEPENDENCY] = "dependency",
            [COIL_REASON_SCHEDULE] = "schedule",
            [COIL_REASON_ADOPTED] = "adopted",
            [COIL_REASON_READY] = "ready",
            [COIL_REASON_EXIT] = "exit",
            [COIL_REASON_FINAL_CODE] = "final code",
            [COIL_REASON_SPAWN] = "cannot be started",
            [COIL_REASON_NO_RESOURCES] = "no resources",
            [COIL_REASON_START_LIMIT] = "not ready in time",
            [COIL_REASON_SILENT] = "does not answer",
            [COIL_REASON_DEAD] = "says it is dead",
            [COIL_REASON_WATCHDOG] = "watchdog",
            [COIL_REASON_STRATEGY] = "strategy",
            [COIL_REASON_GOVERNOR] = "governor",
            [COIL_REASON_TOO_MANY] = "too many failures",
            [COIL_REASON_INTENSITY] = "intensity of restarts",
            [COIL_REASON_SIGNIFICANT] = "significant service ended",
            [COIL_REASON_LEFT] = "left to the next supervisor",
    };
    return (unsigned)reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "unknown";
}
