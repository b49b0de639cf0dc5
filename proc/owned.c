/* SPDX-License-Identifier: MIT */
#include "owned.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    bool is_kept;
    unsigned clone_count; /* Under way. */
    pid_t *pids;          /* Ascending. */
    size_t count;
    size_t capacity;
} owned COIL_PROCESS_WIDE = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Where it is, or would be. */
static size_t place_of(pid_t pid)
{
    size_t low = 0;
    size_t high = owned.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (owned.pids[middle] < pid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(size_t place, pid_t pid)
{
    return place < owned.count && owned.pids[place] == pid;
}

/*
 * Without memory it may be reaped as an orphan: then its status is still known to the kernel, and
 * coil_child_wait() finds it there.
 */
static void insert(pid_t pid)
{
    if (owned.count == owned.capacity) {
        const size_t capacity = owned.capacity == 0 ? 64 : 2 * owned.capacity;
        pid_t *pids = realloc(owned.pids, capacity * sizeof(*pids));
        if (pids == NULL)
            return;
        owned.pids = pids;
        owned.capacity = capacity;
    }
    const size_t place = place_of(pid);
    if (is_at(place, pid))
        return;
    memmove(owned.pids + place + 1, owned.pids + place, (owned.count - place) * sizeof(pid));
    owned.pids[place] = pid;
    owned.count++;
}

int owned_begin(void)
{
    (void)pthread_mutex_lock(&owned.lock);
    const bool was_kept = owned.is_kept;
    owned.is_kept = true;
    (void)pthread_mutex_unlock(&owned.lock);
    return was_kept ? -EBUSY : 0;
}

void owned_end(void)
{
    (void)pthread_mutex_lock(&owned.lock);
    free(owned.pids);
    owned.pids = NULL;
    owned.count = owned.capacity = 0;
    owned.is_kept = false;
    (void)pthread_mutex_unlock(&owned.lock);
}

void owned_clone_begins(void)
{
    (void)pthread_mutex_lock(&owned.lock);
    owned.clone_count++;
    (void)pthread_mutex_unlock(&owned.lock);
}

void owned_clone_ends(pid_t pid)
{
    (void)pthread_mutex_lock(&owned.lock);
    owned.clone_count--;
    if (owned.is_kept && pid > 0)
        insert(pid);
    (void)pthread_mutex_unlock(&owned.lock);
}

void owned_fork_begins(void)
{
    (void)pthread_mutex_lock(&owned.lock);
}

/*
 * The children of the parent are not those of the child, which is no subreaper; and what another
 * thread was just cloning never ends here.
 */
void owned_fork_ends(bool in_child)
{
    if (in_child) {
        owned.is_kept = false;
        owned.clone_count = 0;
        owned.count = 0;
    }
    (void)pthread_mutex_unlock(&owned.lock);
}

void owned_add(pid_t pid)
{
    (void)pthread_mutex_lock(&owned.lock);
    insert(pid);
    (void)pthread_mutex_unlock(&owned.lock);
}

void owned_remove(pid_t pid)
{
    (void)pthread_mutex_lock(&owned.lock);
    const size_t place = place_of(pid);
    if (is_at(place, pid)) {
        owned.count--;
        memmove(owned.pids + place, owned.pids + place + 1, (owned.count - place) * sizeof(pid));
    }
    (void)pthread_mutex_unlock(&owned.lock);
}

bool owned_is_orphan(pid_t pid)
{
    (void)pthread_mutex_lock(&owned.lock);
    const bool is_orphan = owned.is_kept && owned.clone_count == 0 && !is_at(place_of(pid), pid);
    (void)pthread_mutex_unlock(&owned.lock);
    return is_orphan;
}

bool owned_has(pid_t pid)
{
    (void)pthread_mutex_lock(&owned.lock);
    const bool is_owned = owned.clone_count > 0 || is_at(place_of(pid), pid);
    (void)pthread_mutex_unlock(&owned.lock);
    return is_owned;
}
