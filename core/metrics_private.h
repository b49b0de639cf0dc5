/* SPDX-License-Identifier: MIT */
/*
 * metrics_private.h - what the registry (metrics.c) asks of windows (metric_window.c), and what all
 * exporters do with names.
 */
#ifndef COIL_METRICS_PRIVATE_H
#define COIL_METRICS_PRIVATE_H

#include <coil/metrics.h>

/* Add one to the other, slice by slice. False: no memory. */
void metric_merge_counter(coil_counter *into, coil_counter *from, coil_time now);
bool metric_merge_distribution(coil_distribution *into, coil_distribution *from, coil_time now);

/* Compare two names as exporters see them, for which dots are underscores. As strcmp(3). */
int metric_compare_names(const char *one, const char *other);

#endif
