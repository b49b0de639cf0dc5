/* SPDX-License-Identifier: MIT */
#include "adoption_private.h"

#include <coil/check.h>
#include <coil/file.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/list.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_KEY "journal"
#define CHILD_PREFIX "c:"

enum {
    STATE_MODE = 0600,
    STATE_BYTES_MAX = 16 * 1024 * 1024,
    MORE_PATH_BYTES = 16,
    LOCK_TRIES = 300,
    START_TRIES = 1000, /* An exec may be slow. */
};

#define TRY_AGAIN coil_ms(10)
#define SAVE_AFTER coil_ms(20) /* Many changes are one. */

typedef enum note_kind { NOTE_STARTING = 1, NOTE_RUNNING, NOTE_JOURNAL } note_kind;

/* What is kept beside the descriptors, in their order: pidfd, if it runs; stdout; stderr. */
typedef struct adoption_note {
    uint8_t kind;
    uint8_t has_out;
    uint8_t has_err;
    uint8_t unused;
    int32_t pid;
    uint64_t identity;
} adoption_note;

static_assert(sizeof(adoption_note) <= COIL_KEEPER_NOTE_BYTES, "it fits");

typedef struct entry {
    coil_list link;
    coil_child child; /* While it is offered. */
    uint64_t identity;
    pid_t pid;
    bool is_offered;
    char name[COIL_ADOPTION_NAME_BYTES];
} entry;

struct coil_adoption {
    coil_group group; /* Of the task that saves. */
    coil_list entries;
    coil_keeper *keeper;
    coil_log_journal *journal;
    coil_kept kept; /* What is being sent or received. */
    char *state_path;
    int lock;
    bool is_dirty;
    bool is_saving;
};

/* --------------------------------------------------------------------------------- entries -- */

static entry *find(coil_adoption *adoption, const char *name)
{
    for (coil_list *at = adoption->entries.next; at != &adoption->entries; at = at->next) {
        entry *each = coil_container_of(at, entry, link);
        if (strcmp(each->name, name) == 0)
            return each;
    }
    return NULL;
}

static entry *add(coil_adoption *adoption, const char *name)
{
    entry *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    (void)snprintf(made->name, sizeof(made->name), "%s", name);
    made->child = (coil_child){.pidfd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    coil_list_append(&adoption->entries, &made->link);
    return made;
}

static void drop(entry *old)
{
    if (old->is_offered)
        coil_child_fini(&old->child);
    coil_list_remove(&old->link);
    free(old);
}

bool coil_adoption_take(coil_adoption *adoption, coil_adopted *out_adopted)
{
    for (coil_list *at = adoption->entries.next; at != &adoption->entries; at = at->next) {
        entry *each = coil_container_of(at, entry, link);
        if (!each->is_offered)
            continue;
        each->is_offered = false;
        memcpy(out_adopted->name, each->name, sizeof(each->name));
        out_adopted->child = each->child;
        return true;
    }
    return false;
}

coil_log_journal *coil_adoption_journal(coil_adoption *adoption)
{
    return adoption->journal;
}

/* ---------------------------------------------------------------------------------- saving -- */

static int format(coil_adoption *adoption, char **out_bytes, size_t *out_size_bytes)
{
    coil_child_records all = {NULL, 0};
    size_t count = 0;
    for (coil_list *at = adoption->entries.next; at != &adoption->entries; at = at->next)
        count++;
    all.records = calloc(count + 1, sizeof(*all.records));
    if (all.records == NULL)
        return -ENOMEM;
    for (coil_list *at = adoption->entries.next; at != &adoption->entries; at = at->next) {
        const entry *each = coil_container_of(at, entry, link);
        coil_child_record *record = &all.records[all.count];
        memcpy(record->name, each->name, sizeof(record->name));
        record->pid = each->pid;
        record->identity = each->identity;
        all.count += each->pid > 0; /* What is being spawned is with the keeper. */
    }
    const int rc = coil_child_records_format(&all, out_bytes, out_size_bytes);
    free(all.records);
    return rc;
}

coil_async(int, save_once, (coil_adoption *) adoption)
{
    coil_vars(char *bytes; size_t size_bytes; int rc);

    adoption->is_dirty = false;
    my->rc = format(adoption, &my->bytes, &my->size_bytes);
    if (my->rc < 0)
        return my->rc;
    coil_await(my->rc, coil_replace_file(adoption->state_path,
                               (coil_slice){(int64_t)my->size_bytes, my->bytes, NULL}, STATE_MODE));
    free(my->bytes);
    return my->rc;
}

coil_async(void, save, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    coil_defer(adoption->is_saving = false);
    while (adoption->is_dirty) {
        coil_await(coil_sleep(SAVE_AFTER));
        coil_await(my->rc, save_once(adoption));
    }
}

static void changed(coil_adoption *adoption)
{
    adoption->is_dirty = true;
    if (!adoption->is_saving)
        adoption->is_saving = coil_spawn(&adoption->group, save(adoption)) != NULL;
}

/* -------------------------------------------------------------------------------- the keeper -- */

static void label(coil_kept *kept, const char *name, const adoption_note *note)
{
    memset(kept, 0, sizeof(*kept));
    (void)snprintf(kept->key, sizeof(kept->key), CHILD_PREFIX "%s", name);
    memcpy(kept->note, note, sizeof(*note));
}

static void add_fd(coil_kept *kept, int fd)
{
    if (fd >= 0)
        kept->fds[kept->fd_count++] = fd;
}

/* What `child` has now; without a pid, it is about to be spawned. */
coil_async(int, keep, (coil_adoption *) adoption, (const char *) name, (const coil_child *) child,
        (uint64_t) identity)
{
    coil_vars(int rc);

    const adoption_note note = {
            .kind = child->pid > 0 ? NOTE_RUNNING : NOTE_STARTING,
            .has_out = child->stdout_fd >= 0,
            .has_err = child->stderr_fd >= 0,
            .pid = child->pid,
            .identity = identity,
    };
    label(&adoption->kept, name, &note);
    if (child->pid > 0)
        add_fd(&adoption->kept, child->pidfd);
    add_fd(&adoption->kept, child->stdout_fd);
    add_fd(&adoption->kept, child->stderr_fd);
    coil_await(my->rc, coil_keeper_put(adoption->keeper, &adoption->kept));
    return my->rc;
}

coil_async(int, unkeep, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(char key[COIL_KEEPER_KEY_BYTES]; int rc);

    (void)snprintf(my->key, sizeof(my->key), CHILD_PREFIX "%s", name);
    coil_await(my->rc, coil_keeper_remove(adoption->keeper, my->key));
    return my->rc;
}

static void close_kept(const coil_kept *kept)
{
    for (unsigned i = 0; i < kept->fd_count; i++)
        (void)coil_kernel_close(kept->fds[i]);
}

/* Its descriptors are the entry's now; false, and they are not: it is not of ours. */
static bool accept_child(coil_adoption *adoption, const coil_kept *kept, const adoption_note *note)
{
    const bool runs = note->kind == NOTE_RUNNING;
    const unsigned fd_count = (unsigned)runs + (note->has_out != 0) + (note->has_err != 0);
    const char *name = kept->key + sizeof(CHILD_PREFIX) - 1;

    if (strncmp(kept->key, CHILD_PREFIX, sizeof(CHILD_PREFIX) - 1) != 0 ||
            !adoption_is_name(name, strlen(name)) || kept->fd_count != fd_count)
        return false;
    entry *made = add(adoption, name);
    if (made == NULL)
        return false;
    unsigned next = 0;
    made->is_offered = true;
    made->pid = runs ? note->pid : 0;
    made->identity = note->identity;
    made->child.pid = made->pid;
    if (runs)
        made->child.pidfd = kept->fds[next++];
    if (note->has_out)
        made->child.stdout_fd = kept->fds[next++];
    if (note->has_err)
        made->child.stderr_fd = kept->fds[next];
    return true;
}

static int accept_kept(coil_adoption *adoption, const coil_kept *kept)
{
    adoption_note note;
    memcpy(&note, kept->note, sizeof(note));
    if (note.kind == NOTE_JOURNAL && kept->fd_count == COIL_LOG_JOURNAL_FDS &&
            adoption->journal == NULL)
        return coil_log_journal_open(kept->fds, &adoption->journal);
    if ((note.kind == NOTE_RUNNING || note.kind == NOTE_STARTING) &&
            accept_child(adoption, kept, &note))
        return 0;
    close_kept(kept);
    return 0;
}

coil_async(int, fetch, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    coil_attempt(coil_keeper_list(adoption->keeper));
    for (;;) {
        coil_attempt(my->rc, coil_keeper_next(adoption->keeper, &adoption->kept));
        if (my->rc == 0)
            return 0;
        const int rc = accept_kept(adoption, &adoption->kept);
        if (rc < 0)
            return rc;
    }
}

coil_async(int, begin_journal, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    if (adoption->journal != NULL)
        return 0;
    my->rc = coil_log_journal_create(&adoption->journal);
    if (my->rc < 0)
        return my->rc;
    coil_kept *kept = &adoption->kept;
    const adoption_note note = {.kind = NOTE_JOURNAL};
    memset(kept, 0, sizeof(*kept));
    memcpy(kept->key, JOURNAL_KEY, sizeof(JOURNAL_KEY));
    memcpy(kept->note, &note, sizeof(note));
    coil_log_journal_fds(adoption->journal, kept->fds);
    kept->fd_count = COIL_LOG_JOURNAL_FDS;
    coil_await(my->rc, coil_keeper_put(adoption->keeper, kept));
    return my->rc;
}

/* -------------------------------------------------------------------------------- resolving -- */

/* What the process of a kept pidfd leads is found out by who adopts it, if it still runs. */
static void know_better(entry *each)
{
    coil_child better;
    if (each->pid <= 0 || coil_child_adopt(each->pid, each->identity, &better) < 0)
        return;
    if (each->child.pidfd >= 0)
        (void)coil_kernel_close(each->child.pidfd);
    better.stdout_fd = each->child.stdout_fd;
    better.stderr_fd = each->child.stderr_fd;
    each->child = better;
}

/* Nobody can write to the pipe: whoever had it has ended, or never was. */
coil_async(bool, has_no_writer, (int) fd)
{
    coil_vars(int events);

    coil_await(my->events, coil_within(TRY_AGAIN, coil_poll(fd, POLLHUP)));
    return my->events > 0 && (my->events & POLLHUP) != 0;
}

/*
 * The predecessor was killed while it spawned this one. It runs if, and only if, somebody has the
 * other end of its pipe: that can only be it. Until its exec it is hard to see.
 */
coil_async(int, resolve, (coil_adoption *) adoption, (entry *) each)
{
    coil_vars(int tries; int pipe; bool is_gone; int rc);

    my->pipe = each->child.stdout_fd >= 0 ? each->child.stdout_fd : each->child.stderr_fd;
    for (my->tries = 0; my->tries < START_TRIES; my->tries++) {
        const int pid = adoption_find_writer(my->pipe);
        if (pid > 0) {
            each->pid = pid;
            know_better(each);
            (void)coil_child_identity(&each->child, &each->identity);
            coil_await(my->rc, keep(adoption, each->name, &each->child, each->identity));
            return my->rc;
        }
        coil_await(my->is_gone, has_no_writer(my->pipe));
        if (my->is_gone)
            break;
        coil_await(coil_sleep(TRY_AGAIN));
    }
    each->child.exit = (coil_exit){.ended = true, .lost = true};
    return 0;
}

coil_async(int, resolve_all, (coil_adoption *) adoption)
{
    coil_vars(coil_list *at; int rc);

    for (my->at = adoption->entries.next; my->at != &adoption->entries; my->at = my->at->next) {
        entry *each = coil_container_of(my->at, entry, link);
        if (each->pid > 0) {
            know_better(each);
            continue;
        }
        coil_attempt(resolve(adoption, coil_container_of(my->at, entry, link)));
    }
    return 0;
}

/* -------------------------------------------------------------------------- the state file -- */

static void accept_record(coil_adoption *adoption, const coil_child_record *record)
{
    coil_child child;
    if (find(adoption, record->name) != NULL || record->identity == 0)
        return;
    if (coil_child_adopt(record->pid, record->identity, &child) < 0)
        return;
    entry *made = add(adoption, record->name);
    if (made == NULL) {
        coil_child_fini(&child);
        return;
    }
    made->child = child;
    made->pid = record->pid;
    made->identity = record->identity;
    made->is_offered = true;
}

coil_async(int, read_state, (coil_adoption *) adoption, (char *) out_reason)
{
    coil_vars(coil_slice bytes);

    coil_await(my->bytes, coil_read_file(adoption->state_path, STATE_BYTES_MAX));
    if (my->bytes.size_bytes < 0)
        return my->bytes.size_bytes == -ENOENT ? 0 : (int)my->bytes.size_bytes;
    coil_child_records found = {NULL, 0};
    const int rc = coil_child_records_parse(
            my->bytes.bytes, (size_t)my->bytes.size_bytes, &found, out_reason);
    coil_slice_release(&my->bytes);
    for (size_t i = 0; rc == 0 && i < found.count; i++)
        accept_record(adoption, &found.records[i]);
    free(found.records);
    return rc == -EBADMSG ? 0 : rc; /* The keeper knows better; and the reason is told. */
}

/* -------------------------------------------------------------------------- opening, closing -- */

static void forget_all(coil_adoption *adoption)
{
    coil_list *at;
    while ((at = coil_list_take_first(&adoption->entries)) != NULL)
        drop(coil_container_of(at, entry, link));
    coil_log_journal_close(adoption->journal);
    if (adoption->lock >= 0)
        (void)coil_kernel_close(adoption->lock);
    free(adoption->state_path);
    free(adoption);
}

static coil_adoption *make(coil_task *self, const char *directory)
{
    coil_adoption *adoption = calloc(1, sizeof(*adoption));
    const size_t path_bytes = strlen(directory) + MORE_PATH_BYTES;
    if (adoption == NULL)
        return NULL;
    coil_group_init(&adoption->group, self->sched);
    adoption->group.keep_going = true;
    coil_list_init(&adoption->entries);
    adoption->lock = -1;
    adoption->state_path = malloc(path_bytes);
    if (adoption->state_path == NULL) {
        free(adoption);
        return NULL;
    }
    (void)snprintf(adoption->state_path, path_bytes, "%s/state", directory);
    return adoption;
}

/* One supervisor at a time; the children of one that was killed have it until their exec. */
coil_async(int, lock, (coil_adoption *) adoption, (const char *) directory)
{
    coil_vars(char path[PATH_MAX]; int tries; int rc);

    (void)snprintf(my->path, sizeof(my->path), "%s/lock", directory);
    coil_attempt(adoption->lock, coil_openat(AT_FDCWD, my->path, O_RDWR | O_CREAT, STATE_MODE));
    for (;;) {
        my->rc = coil_kernel_lock(adoption->lock);
        if (my->rc != -EWOULDBLOCK)
            return my->rc;
        if (my->tries++ == LOCK_TRIES)
            return -EBUSY;
        coil_await(coil_sleep(TRY_AGAIN));
    }
}

coil_async(int, reach_keeper, (coil_adoption *) adoption, (const coil_adoption_options *) options)
{
    coil_vars(char path[PATH_MAX]; coil_keeper_options keeper; int tries; int rc);

    (void)snprintf(my->path, sizeof(my->path), "%s/keeper", options->directory);
    my->keeper = (coil_keeper_options){
            .path = my->path, .patience = options->patience, .kills = options->kills};
    for (;;) { /* It may not know yet that the predecessor is gone. */
        coil_await(my->rc, coil_keeper_open(&my->keeper, &adoption->keeper));
        if (my->rc != -EBUSY || my->tries++ == LOCK_TRIES)
            return my->rc;
        coil_await(coil_sleep(TRY_AGAIN));
    }
}

coil_async(int, begin, (coil_adoption *) adoption, (const coil_adoption_options *) options,
        (char *) out_reason)
{
    coil_vars();

    coil_attempt(lock(adoption, options->directory));
    coil_attempt(reach_keeper(adoption, options));
    coil_attempt(fetch(adoption));
    coil_attempt(begin_journal(adoption));
    coil_attempt(resolve_all(adoption));
    coil_attempt(read_state(adoption, out_reason));
    changed(adoption);
    return 0;
}

coil_define(int, coil_adoption_open, (const coil_adoption_options *) options,
        (coil_adoption **) out_adoption, (char *) out_reason)
{
    coil_vars(coil_adoption *adoption; int rc);

    if (out_reason != NULL)
        out_reason[0] = '\0';
    if (strlen(options->directory) + MORE_PATH_BYTES > PATH_MAX)
        return -ENAMETOOLONG;
    my->adoption = make(coil_self, options->directory);
    if (my->adoption == NULL)
        return -ENOMEM;
    coil_defer(if (my->adoption != NULL) {
        coil_await(coil_keeper_close(my->adoption->keeper, COIL_KEEPER_STAYS));
        forget_all(my->adoption);
    });
    coil_attempt(begin(my->adoption, options, out_reason));
    int count = 0;
    for (coil_list *at = my->adoption->entries.next; at != &my->adoption->entries; at = at->next)
        count++;
    *out_adoption = my->adoption;
    my->adoption = NULL;
    return count;
}

coil_define(void, coil_adoption_close, (coil_adoption *) adoption, (coil_keeper_end) end)
{
    coil_vars(int rc);

    if (adoption == NULL)
        return;
    coil_defer({
        while (adoption->is_saving)
            coil_await(coil_sleep(coil_ms(1)));
        if (end == COIL_KEEPER_ENDS)
            coil_await(my->rc, coil_unlinkat(AT_FDCWD, adoption->state_path, 0));
        coil_await(coil_keeper_close(adoption->keeper, end));
        forget_all(adoption);
    });
    coil_await(coil_yield());
}

/* -------------------------------------------------------------------------------- spawning -- */

/* The pipes of a child, made before it. */
typedef struct birth {
    coil_child child; /* What we will have of it. */
    int theirs[2];
    coil_spawn_plan plan;
} birth;

static int make_pipe(
        const coil_stdio *wanted, coil_stdio *out_stdio, int *out_ours, int *out_theirs)
{
    int ends[2];
    if (wanted->mode != COIL_STDIO_PIPE)
        return 0;
    const int rc = coil_kernel_pipe(ends);
    if (rc < 0)
        return rc;
    *out_ours = ends[0];
    *out_theirs = ends[1];
    *out_stdio = (coil_stdio){COIL_STDIO_FD, ends[1]};
    return 0;
}

static void close_theirs(birth *one)
{
    for (int i = 0; i < 2; i++) {
        if (one->theirs[i] >= 0)
            (void)coil_kernel_close(one->theirs[i]);
        one->theirs[i] = -1;
    }
}

static int conceive(birth *one, const coil_spawn_plan *plan)
{
    one->plan = *plan;
    one->plan.death_signal = COIL_SPAWN_OUTLIVE;
    one->theirs[0] = one->theirs[1] = -1;
    one->child = (coil_child){.pidfd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int rc = make_pipe(&plan->out, &one->plan.out, &one->child.stdout_fd, &one->theirs[0]);
    if (rc == 0)
        rc = make_pipe(&plan->err, &one->plan.err, &one->child.stderr_fd, &one->theirs[1]);
    return rc;
}

/* The pipes stay in `one->child`, beside what the spawn has made. */
static int bear(birth *one, coil_spawn_error *out_error)
{
    coil_child made;
    const int rc = coil_child_spawn(&one->plan, &made, out_error);
    close_theirs(one);
    if (rc < 0)
        return rc;
    made.stdout_fd = one->child.stdout_fd;
    made.stderr_fd = one->child.stderr_fd;
    one->child = made;
    return 0;
}

/* The keeper knows of its pipes before it is there. */
/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_async(int, announce, (coil_adoption *) adoption, (const char *) name,
        (const coil_spawn_plan *) plan, (birth *) one, (coil_spawn_error *) out_error)
{
    coil_vars(int rc; int keep_rc);

    my->rc = conceive(one, plan);
    if (my->rc < 0)
        return my->rc;
    coil_attempt(keep(adoption, name, &one->child, 0));
    my->rc = bear(one, out_error);
    if (my->rc < 0)
        coil_await(my->keep_rc, unkeep(adoption, name));
    return my->rc;
}

/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_define(int, coil_adoption_spawn, (coil_adoption *) adoption, (const char *) name,
        (const coil_spawn_plan *) plan, (coil_child *) out_child, (coil_spawn_error *) out_error)
{
    coil_vars(birth birth; entry *entry; int rc; bool is_done);

    if (plan->out.mode != COIL_STDIO_PIPE && plan->err.mode != COIL_STDIO_PIPE)
        return -EINVAL;
    if (!adoption_is_name(name, strlen(name)))
        return -EINVAL;
    if (find(adoption, name) != NULL)
        return -EEXIST;
    my->entry = add(adoption, name);
    if (my->entry == NULL)
        return -ENOMEM;
    coil_defer(if (!my->is_done) {
        close_theirs(&my->birth);
        coil_child_fini(&my->birth.child);
        drop(my->entry);
    });
    coil_attempt(announce(adoption, name, plan, &my->birth, out_error));
    my->is_done = true;
    (void)coil_child_identity(&my->birth.child, &my->entry->identity);
    my->entry->pid = my->birth.child.pid;
    *out_child = my->birth.child;
    changed(adoption);
    /* Without a keeper it is in the state file all the same. */
    coil_await(my->rc, coil_shield(keep(adoption, name, &my->birth.child, my->entry->identity)));
    return 0;
}

coil_define(int, coil_adoption_forget, (coil_adoption *) adoption, (const char *) name)
{
    coil_vars(int rc);

    entry *known = find(adoption, name);
    if (known == NULL)
        return -ENOENT;
    drop(known);
    changed(adoption);
    coil_await(my->rc, unkeep(adoption, name));
    return my->rc;
}
