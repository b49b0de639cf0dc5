/* SPDX-License-Identifier: MIT */
/*
 * Looks into a thread that runs a loop, from outside: a signal makes it note where it is, on both
 * of its stacks. For the monitor's thread; one probe at a time.
 */
#ifndef PROBE_H
#define PROBE_H

#include "loop_watch.h"

#include <coil/task.h>

enum {
    PROBE_ADDRESSES_MAX = 64,
    PROBE_FRAMES_MAX = 32,
};

typedef struct probe_frame {
    const coil_fn *fn;
    const coil_site *at;
} probe_frame;

/*
 * Pointers are not to be trusted: the thread may have been in the middle of a push. Without the
 * system call that reads what may not be there, which some sandboxes forbid, there is no task.
 */
typedef struct probe {
    uint64_t beat; /* As they were when the thread was looked at. */
    uint64_t steps;
    char task[COIL_TASK_NAME_BYTES]; /* Of the task that runs. Empty: none does. */
    int frame_count;
    bool more_frames;
    probe_frame frames[PROBE_FRAMES_MAX]; /* Innermost first. */
    int address_count;                    /* 0: the thread did not take the signal. */
    void *addresses[PROBE_ADDRESSES_MAX]; /* Innermost first; all but it are return addresses. */
} probe;

/* A copy of a string of the program's, which may be anything by now. One line. */
const char *probe_text(const char *from, char *text, size_t size_bytes);

/* Take over `signo`. 0, -EBUSY if the program handles it, or an error of sigaction(2). */
int probe_install(int signo);

/*
 * Look at the loop, which lives or has lived, and its thread. True if that was in its own words;
 * else the signal was not taken in time, or `signo` is 0, and the async stack was read from here.
 */
bool probe_loop(const coil_loop *loop, pid_t thread, int signo, probe *out_probe);

#endif
