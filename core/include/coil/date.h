/* SPDX-License-Identifier: MIT */
/*
 * coil/date.h - days as dates of the Gregorian calendar.
 *
 * The calendar is taken to hold at all times, also before it was introduced, and knows nothing of
 * time zones. Days are counted from 1970-01-01, which is 0; less than 10^15 of them either way, so
 * that nothing overflows. Any thread. Nothing here fails.
 */
#ifndef COIL_DATE_H
#define COIL_DATE_H

#include <coil/base.h>

#include <stdint.h>

COIL_BEGIN_DECLS

enum { COIL_DAY_S = 24 * 60 * 60 };

typedef struct coil_date {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
} coil_date;

/* The date of a day. */
COIL_API coil_date coil_date_of(int64_t day);

/* The day of the week: 0 is Sunday. (struct tm: tm_wday) */
COIL_API int coil_date_weekday(int64_t day);

COIL_END_DECLS

#endif
