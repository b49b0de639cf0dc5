/* SPDX-License-Identifier: MIT */
/*
 * coil/calendar.h - points in time as crontab(5) writes them: "every quarter of an hour on
 * workdays".
 *
 *     coil_calendar calendar;
 *     int rc = coil_calendar_parse("0,15,30,45 8-18 * * mon-fri", 3600, &calendar);
 *     int64_t next_s = coil_calendar_next(&calendar, now_s);
 *
 * A pure data structure of fixed size: no clock, no time zone files. Times are seconds since 1970
 * (UTC, without leap seconds, as time(2)); the fields are read in a zone that is a fixed number of
 * seconds ahead of UTC. Any thread.
 *
 * Source: crontab(5). As there, if both the day of the month and the day of the week are
 * restricted, a day that meets either of them is one.
 */
#ifndef COIL_CALENDAR_H
#define COIL_CALENDAR_H

#include <coil/base.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_calendar coil_calendar;

/* One of zeroes is none: it has no next time. Private. */
struct coil_calendar {
    uint64_t minutes; /* Bit n: minute n. */
    uint32_t hours;   /* 0 to 23 */
    uint32_t days;    /* 1 to 31 */
    uint16_t months;  /* 1 to 12 */
    uint8_t weekdays; /* 0 to 6, Sunday is 0 */
    bool either_day;  /* Both kinds of days are restricted. */
    int32_t ahead_s;  /* Of UTC. */
};

/*
 * Five fields: minute, hour, day of the month, month, day of the week. Each is "*" or a list of
 * numbers and ranges, with steps: "1,2,10-20/5", "*" "/15" without the gap. Months and weekdays
 * have names of three letters, too; Sunday is 0 and 7. And "@hourly", "@daily", "@weekly",
 * "@monthly", "@yearly". -EINVAL: it is none of these, or never comes (30 February).
 */
COIL_API COIL_MUST_USE int coil_calendar_parse(
        const char *text, int32_t ahead_s, coil_calendar *out_calendar);

/* The first such time after `after_s`, on a full minute; INT64_MAX if there is none. */
COIL_API int64_t coil_calendar_next(const coil_calendar *calendar, int64_t after_s);

/* Is there any? */
static inline bool coil_calendar_set(const coil_calendar *calendar)
{
    return calendar->minutes != 0;
}

COIL_END_DECLS

#endif
