/* SPDX-License-Identifier: MIT */
#include <coil/calendar.h>

#include <coil/date.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { YEARS_MAX = 30 /* A 29 February that is a Monday: at most 28 years away. */ };

/* ---------------------------------------------------------------------------------- parsing -- */

/* What one of the fields may hold. */
typedef struct calendar_field {
    unsigned lowest;
    unsigned highest;
    const char *const *names; /* Of `lowest` and those that follow; NULL: numbers only. */
    size_t name_count;
} calendar_field;

static const char *const month_names[] = {
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const calendar_field fields[] = {
        {0, 59, NULL, 0},
        {0, 23, NULL, 0},
        {1, 31, NULL, 0},
        {1, 12, month_names, 12},
        {0, 7, weekday_names, 7},
};

static int parse_number(const char **text, unsigned *out_number)
{
    unsigned number = 0;
    const char *at = *text;

    for (; *at >= '0' && *at <= '9' && at - *text < 4; at++)
        number = number * 10 + (unsigned)(*at - '0');
    if (at == *text)
        return -EINVAL;
    *text = at;
    *out_number = number;
    return 0;
}

static int parse_value(const calendar_field *field, const char **text, unsigned *out_value)
{
    for (size_t i = 0; i < field->name_count; i++) {
        if (strncasecmp(*text, field->names[i], 3) != 0)
            continue;
        *text += 3;
        *out_value = field->lowest + (unsigned)i;
        return 0;
    }
    int rc = parse_number(text, out_value);
    if (rc == 0 && (*out_value < field->lowest || *out_value > field->highest))
        rc = -EINVAL;
    return rc;
}

/* One of the ranges in a list, "*", "5" or "10-20", each with a "/3" if wanted. */
static int parse_range(const calendar_field *field, const char **text, uint64_t *bits)
{
    unsigned first = field->lowest;
    unsigned last = field->highest;
    unsigned step = 1;
    bool is_one = false;

    if (**text == '*') {
        ++*text;
    } else {
        int rc = parse_value(field, text, &first);
        if (rc < 0)
            return rc;
        is_one = **text != '-';
        if (!is_one) {
            ++*text;
            rc = parse_value(field, text, &last);
            if (rc < 0)
                return rc;
        }
    }
    if (**text == '/') {
        ++*text;
        int rc = parse_number(text, &step);
        if (rc < 0)
            return rc;
    } else if (is_one) {
        last = first;
    }
    if (step == 0 || last < first)
        return -EINVAL;
    for (unsigned value = first; value <= last; value += step)
        *bits |= UINT64_C(1) << value;
    return 0;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static int parse_field(
        const calendar_field *field, const char **text, uint64_t *out_bits, bool *out_any)
{
    uint64_t bits = 0;
    const char *at = skip_blanks(*text);

    *out_any = *at == '*';
    for (;; at++) {
        int rc = parse_range(field, &at, &bits);
        if (rc < 0)
            return rc;
        if (*at != ',')
            break;
    }
    if (*at != '\0' && *at != ' ' && *at != '\t')
        return -EINVAL;
    *text = at;
    *out_bits = bits;
    return 0;
}

static const char *shorthand(const char *text)
{
    static const char *const known[][2] = {
            {"@hourly", "0 * * * *"},
            {"@daily", "0 0 * * *"},
            {"@weekly", "0 0 * * 0"},
            {"@monthly", "0 0 1 * *"},
            {"@yearly", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(text, known[i][0]) == 0)
            return known[i][1];
    }
    return text;
}

int coil_calendar_parse(const char *text, int32_t ahead_s, coil_calendar *out_calendar)
{
    uint64_t bits[5];
    bool any[5];

    text = shorthand(text);
    for (int i = 0; i < 5; i++) {
        int rc = parse_field(&fields[i], &text, &bits[i], &any[i]);
        if (rc < 0)
            return rc;
    }
    if (*skip_blanks(text) != '\0' || ahead_s <= -COIL_DAY_S || ahead_s >= COIL_DAY_S)
        return -EINVAL;
    const coil_calendar calendar = {
            .minutes = bits[0],
            .hours = (uint32_t)bits[1],
            .days = (uint32_t)bits[2],
            .months = (uint16_t)bits[3],
            .weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
            .either_day = !any[2] && !any[4],
            .ahead_s = ahead_s,
    };
    if (coil_calendar_next(&calendar, 0) == INT64_MAX)
        return -EINVAL;
    *out_calendar = calendar;
    return 0;
}

/* ------------------------------------------------------------------------------------- next -- */

static bool is_day(const coil_calendar *calendar, int64_t day_number)
{
    const coil_date date = coil_date_of(day_number);
    const bool day_fits = calendar->days >> date.day & 1;
    const bool weekday_fits = calendar->weekdays >> coil_date_weekday(day_number) & 1;

    if (!(calendar->months >> date.month & 1))
        return false;
    return calendar->either_day ? day_fits || weekday_fits : day_fits && weekday_fits;
}

/* The first minute of that day, from `minute` on, that fits; -1 if there is none. */
static int minute_of_day(const coil_calendar *calendar, int minute)
{
    for (; minute < 24 * 60; minute++) {
        if (!(calendar->hours >> minute / 60 & 1)) {
            minute += 59 - minute % 60;
        } else if (calendar->minutes >> minute % 60 & 1) {
            return minute;
        }
    }
    return -1;
}

int64_t coil_calendar_next(const coil_calendar *calendar, int64_t after_s)
{
    if (!coil_calendar_set(calendar))
        return INT64_MAX;

    const int64_t local_s = after_s + calendar->ahead_s;
    int64_t day_number = local_s / COIL_DAY_S - (local_s % COIL_DAY_S < 0);
    int minute = (int)((local_s - day_number * COIL_DAY_S) / 60) + 1;
    const int64_t last_day = day_number + INT64_C(366) * YEARS_MAX;

    for (; day_number <= last_day; day_number++, minute = 0) {
        if (!is_day(calendar, day_number))
            continue;
        const int64_t found = minute_of_day(calendar, minute);
        if (found >= 0)
            return day_number * COIL_DAY_S + found * 60 - calendar->ahead_s;
    }
    return INT64_MAX;
}
