/* SPDX-License-Identifier: MIT */
#include <coil/date.h>

/* An era: after so many years the calendar begins anew. */
enum { ERA_YEARS = 400, ERA_DAYS = 146097, EPOCH_DAY = 719468 /* From 0000-03-01. */ };

/* What lies below zero belongs to the part before, and has a rest like any other. */
static int64_t divide_down(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Years begin in March here: the day that not all of them have is then their last. */
coil_date coil_date_of(int64_t day)
{
    const int64_t since = day + EPOCH_DAY;
    const int64_t era = divide_down(since, ERA_DAYS);
    const int64_t of_era = since - era * ERA_DAYS;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    const int64_t month = (5 * of_year + 2) / 153; /* 0 is March. */

    return (coil_date){
            .year = era * ERA_YEARS + year + (month >= 10),
            .month = (int)(month < 10 ? month + 3 : month - 9),
            .day = (int)(of_year - (153 * month + 2) / 5 + 1),
    };
}

int coil_date_weekday(int64_t day)
{
    const int64_t since = day + 4; /* 1970 began on a Thursday. */
    return (int)(since - divide_down(since, 7) * 7);
}
