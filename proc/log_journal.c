/* SPDX-License-Identifier: MIT */
#include "log_journal.h"

#include <coil/check.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT_COUNT = COIL_LOG_JOURNAL_LOGS,
    PIPE_COUNT = COIL_LOG_JOURNAL_PIPES,
    STAGE_BYTES = 1024 * 1024, /* If the kernel agrees. */
    PAGE_BYTES = 4096,
    KEPT_BYTES = 64 * 1024, /* A slot that has used no more keeps its pages. */
};

#define MAGIC UINT64_C(0x31676f4c6c696f43) /* "CoilLog1" */

/* What a pipe had behind its last newline; the bytes are in `rests`. */
typedef struct journal_pipe {
    uint64_t inode; /* 0: free. */
    uint32_t rest_bytes;
    uint32_t unused;
} journal_pipe;

/* Only what has been written to takes memory. */
typedef struct journal_memory {
    uint64_t magic;
    uint64_t size_bytes; /* Of all of this: another layout is another version. */
    log_slot slots[SLOT_COUNT];
    journal_pipe pipes[PIPE_COUNT];
    char in[SLOT_COUNT][LOG_IN_BYTES];
    char out[SLOT_COUNT][LOG_OUT_BYTES];
    char next_rest[SLOT_COUNT][LOG_LINE_LIMIT_MAX];
    char rests[PIPE_COUNT][LOG_LINE_LIMIT_MAX];
} journal_memory;

struct coil_log_journal {
    journal_memory *memory;
    int fds[COIL_LOG_JOURNAL_FDS]; /* The memory; the stage, to read and to write. */
    size_t slots_used;             /* Above are free ones only. */
    size_t pipes_used;
    bool taken[SLOT_COUNT]; /* By this process; or left by another, to be taken up. */
};

enum { MEMORY, STAGE_OUT, STAGE_IN };

/* Who reads it is not another processor, but another life: what matters is the compiler's order. */
static void set_state(log_slot *slot, log_slot_state state)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&slot->state, (uint32_t)state, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static size_t number_of(const coil_log_journal *journal, const log_slot *slot)
{
    return (size_t)(slot - journal->memory->slots);
}

/* ----------------------------------------------------------------------- creating, opening -- */

static void close_fds(coil_log_journal *journal)
{
    for (int i = 0; i < COIL_LOG_JOURNAL_FDS; i++) {
        if (journal->fds[i] >= 0)
            (void)coil_kernel_close(journal->fds[i]);
    }
}

void coil_log_journal_close(coil_log_journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->memory != NULL)
        coil_kernel_memory_unmap(journal->memory, sizeof(*journal->memory));
    close_fds(journal);
    free(journal);
}

static int map(coil_log_journal *journal)
{
    void *memory = NULL;
    const int fd = journal->fds[MEMORY];
    const ssize_t size_bytes = coil_kernel_memory_size(fd, false);

    if (size_bytes < 0 && size_bytes != -EPERM)
        return (int)size_bytes;
    if (size_bytes != (ssize_t)sizeof(*journal->memory))
        return -EINVAL; /* What is not there, or goes (it is not sealed), is a SIGBUS. */
    const int rc =
            coil_kernel_memory_map(fd, sizeof(*journal->memory), COIL_KERNEL_SPARSE, &memory);
    COIL_CHECK(rc < 0 || memory != NULL);
    journal->memory = memory;
    return rc;
}

static coil_log_journal *make(void)
{
    coil_log_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return NULL;
    for (int i = 0; i < COIL_LOG_JOURNAL_FDS; i++)
        journal->fds[i] = -1;
    return journal;
}

int coil_log_journal_create(coil_log_journal **out_journal)
{
    coil_log_journal *journal = make();
    if (journal == NULL)
        return -ENOMEM;
    int rc = coil_kernel_memory("coil-log-journal", sizeof(journal_memory));
    if (rc >= 0) {
        journal->fds[MEMORY] = rc;
        rc = map(journal);
    }
    if (rc == 0)
        rc = coil_kernel_pipe(&journal->fds[STAGE_OUT]);
    if (rc < 0) {
        coil_log_journal_close(journal);
        return rc;
    }
    (void)coil_kernel_pipe_resize(journal->fds[STAGE_IN], STAGE_BYTES);
    journal->memory->size_bytes = sizeof(journal_memory);
    journal->memory->magic = MAGIC;
    *out_journal = journal;
    return 0;
}

/* What the stage has, up to `want_bytes`; how many bytes came. */
static size_t unstage(const coil_log_journal *journal, char *to, size_t want_bytes)
{
    size_t done_bytes = 0;
    while (done_bytes < want_bytes) {
        const ssize_t count = coil_kernel_read_now(
                journal->fds[STAGE_OUT], to + done_bytes, want_bytes - done_bytes);
        if (count <= 0)
            break;
        done_bytes += (size_t)count;
    }
    return done_bytes;
}

/* The predecessor was killed while bytes were on their way: they arrive now. */
static void finish_reading(const coil_log_journal *journal, log_slot *slot)
{
    const size_t number = number_of(journal, slot);
    const int held = coil_kernel_pipe_held(journal->fds[STAGE_OUT]);
    const size_t left_bytes = held > 0 ? (size_t)held : 0;

    if (slot->state == LOG_SLOT_STAGING)
        slot->staged_bytes = left_bytes;
    if (slot->staged_bytes < left_bytes || slot->staged_bytes > LOG_IN_BYTES)
        slot->staged_bytes = left_bytes; /* Nobody can have written this. */
    const size_t had_bytes = slot->staged_bytes - left_bytes;
    slot->in_bytes =
            had_bytes + unstage(journal, journal->memory->in[number] + had_bytes, left_bytes);
    slot->in_used = 0;
    slot->time_us = coil_kernel_time_us();
    set_state(slot, slot->in_bytes > 0 ? LOG_SLOT_FORMAT : LOG_SLOT_FREE);
}

/* Whoever could write this memory could have done worse; but a slot must not lead elsewhere. */
static bool makes_sense(const log_slot *slot)
{
    return slot->state <= LOG_SLOT_COMMIT && slot->in_bytes <= LOG_IN_BYTES &&
           slot->in_used <= slot->in_bytes && slot->next_used <= slot->in_bytes &&
           slot->next_rest_bytes <= LOG_LINE_LIMIT_MAX && slot->out_bytes <= LOG_OUT_BYTES &&
           slot->share.progress / 2 <= slot->out_bytes;
}

static void take_over(coil_log_journal *journal)
{
    journal_memory *memory = journal->memory;

    for (size_t i = 0; i < PIPE_COUNT; i++) {
        if (memory->pipes[i].inode == 0)
            continue;
        journal->pipes_used = i + 1;
        if (memory->pipes[i].rest_bytes > LOG_LINE_LIMIT_MAX)
            memory->pipes[i].rest_bytes = 0;
    }
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        log_slot *slot = &memory->slots[i];
        if (slot->state == LOG_SLOT_STAGING || slot->state == LOG_SLOT_READING)
            finish_reading(journal, slot);
        if (!makes_sense(slot) || slot->inode == 0)
            set_state(slot, LOG_SLOT_FREE);
        journal->taken[i] = slot->state != LOG_SLOT_FREE;
        if (journal->taken[i])
            journal->slots_used = i + 1;
    }
}

int coil_log_journal_open(const int fds[COIL_LOG_JOURNAL_FDS], coil_log_journal **out_journal)
{
    coil_log_journal *journal = make();
    if (journal == NULL) {
        for (int i = 0; i < COIL_LOG_JOURNAL_FDS; i++)
            (void)coil_kernel_close(fds[i]);
        return -ENOMEM;
    }
    memcpy(journal->fds, fds, sizeof(journal->fds));
    const int rc = map(journal);
    if (rc < 0 || journal->memory->magic != MAGIC ||
            journal->memory->size_bytes != sizeof(journal_memory)) {
        coil_log_journal_close(journal);
        return rc < 0 ? rc : -EINVAL;
    }
    take_over(journal);
    *out_journal = journal;
    return 0;
}

void coil_log_journal_fds(const coil_log_journal *journal, int out_fds[COIL_LOG_JOURNAL_FDS])
{
    memcpy(out_fds, journal->fds, sizeof(journal->fds));
}

/* ----------------------------------------------------------------------------------- slots -- */

static void seat(coil_log_journal *journal, log_block *block, log_slot *slot)
{
    const size_t number = number_of(journal, slot);
    block->slot = slot;
    block->in = journal->memory->in[number];
    block->out = journal->memory->out[number];
    block->next_rest = journal->memory->next_rest[number];
}

int log_journal_take(coil_log_journal *journal, log_block *block)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        if (journal->taken[i])
            continue;
        journal->taken[i] = true;
        if (i >= journal->slots_used)
            journal->slots_used = i + 1;
        seat(journal, block, &journal->memory->slots[i]);
        return 0;
    }
    return -ENOBUFS;
}

void log_journal_release(coil_log_journal *journal, log_block *block)
{
    log_slot *slot = block->slot;
    if (slot->state != LOG_SLOT_FREE)
        return; /* It is left to the next process. */
    if (block->used_bytes > KEPT_BYTES) {
        coil_kernel_memory_forget(block->in, LOG_IN_BYTES);
        coil_kernel_memory_forget(block->out, LOG_OUT_BYTES);
    }
    journal->taken[number_of(journal, slot)] = false;
}

/* ----------------------------------------------------------------------------------- pipes -- */

static journal_pipe *find_pipe(const coil_log_journal *journal, uint64_t inode)
{
    for (size_t i = 0; i < journal->pipes_used; i++) {
        if (journal->memory->pipes[i].inode == inode)
            return &journal->memory->pipes[i];
    }
    return NULL;
}

static char *rest_of(const coil_log_journal *journal, const journal_pipe *pipe)
{
    return journal->memory->rests[pipe - journal->memory->pipes];
}

/* Also again. */
static void commit(coil_log_journal *journal, log_slot *slot)
{
    journal_pipe *pipe = slot->inode == 0 ? NULL : find_pipe(journal, slot->inode);
    if (pipe != NULL) {
        memcpy(rest_of(journal, pipe), journal->memory->next_rest[number_of(journal, slot)],
                slot->next_rest_bytes);
        pipe->rest_bytes = (uint32_t)slot->next_rest_bytes;
        if (slot->ends)
            pipe->inode = 0;
    }
    slot->in_used = slot->next_used;
    set_state(slot, slot->in_used < slot->in_bytes ? LOG_SLOT_FORMAT : LOG_SLOT_FREE);
}

static int add_pipe(coil_log_journal *journal, uint64_t inode, journal_pipe **out_pipe)
{
    journal_pipe *pipe = find_pipe(journal, 0);
    if (pipe == NULL && journal->pipes_used == PIPE_COUNT)
        return -ENOBUFS;
    if (pipe == NULL)
        pipe = &journal->memory->pipes[journal->pipes_used++];
    pipe->rest_bytes = 0;
    pipe->inode = inode;
    *out_pipe = pipe;
    return 0;
}

static int load_rest(log_rest *rest, const char *bytes, size_t size_bytes)
{
    log_rest_clear(rest);
    if (size_bytes == 0)
        return 0;
    rest->bytes = malloc(size_bytes);
    if (rest->bytes == NULL)
        return -ENOMEM;
    memcpy(rest->bytes, bytes, size_bytes);
    rest->size_bytes = rest->room_bytes = (uint32_t)size_bytes;
    return 0;
}

int log_journal_attach(coil_log_journal *journal, log_pipe *pipe)
{
    journal_pipe *known = find_pipe(journal, pipe->inode);
    if (known == NULL)
        return add_pipe(journal, pipe->inode, &known);

    for (size_t i = 0; i < journal->slots_used; i++) {
        log_slot *slot = &journal->memory->slots[i];
        if (slot->inode != pipe->inode || slot->state == LOG_SLOT_FREE)
            continue;
        if (slot->state == LOG_SLOT_COMMIT)
            commit(journal, slot);
        if (slot->state == LOG_SLOT_FREE) {
            journal->taken[i] = false;
            break;
        }
        pipe->slot = slot;
        if (slot->state == LOG_SLOT_FORMAT)
            break;
        return load_rest(&pipe->rest, journal->memory->next_rest[i], slot->next_rest_bytes) < 0
                       ? -ENOMEM
                       : 1;
    }
    if (known->inode == 0) /* That was its end, but it is still attached: it begins anew. */
        known->inode = pipe->inode;
    const int rc = load_rest(&pipe->rest, rest_of(journal, known), known->rest_bytes);
    return rc < 0 ? rc : pipe->slot != NULL;
}

void log_journal_detach(coil_log_journal *journal, log_pipe *pipe)
{
    journal_pipe *known = find_pipe(journal, pipe->inode);
    if (known != NULL && known->rest_bytes == 0 && pipe->slot == NULL)
        known->inode = 0;
}

/* ----------------------------------------------------------------------------------- steps -- */

ssize_t log_journal_read(coil_log *log, const log_pipe *pipe)
{
    const coil_log_journal *journal = log->journal;
    log_slot *slot = log->block->slot;

    slot->inode = pipe->inode;
    slot->ends = 0;
    slot->in_bytes = slot->in_used = slot->next_used = 0;
    slot->out_bytes = slot->share.progress = 0;
    set_state(slot, LOG_SLOT_STAGING);
    const ssize_t count = coil_kernel_splice_now(pipe->fd, journal->fds[STAGE_IN], LOG_IN_BYTES);
    if (count <= 0) {
        set_state(slot, LOG_SLOT_FREE);
        return count;
    }
    slot->staged_bytes = (uint64_t)count;
    set_state(slot, LOG_SLOT_READING);
    const size_t in_bytes = unstage(journal, log->block->in, (size_t)count);
    COIL_CHECK(in_bytes == (size_t)count);
    slot->in_bytes = in_bytes;
    slot->in_used = 0;
    slot->time_us = coil_kernel_time_us();
    set_state(slot, LOG_SLOT_FORMAT);
    return count;
}

void log_journal_store(coil_log *log, const log_pipe *pipe, uint64_t inode)
{
    log_block *block = log->block;
    log_slot *slot = block->slot;
    const bool is_new = slot->state != LOG_SLOT_FORMAT;
    const size_t rest_bytes = pipe == NULL ? 0 : pipe->rest.size_bytes;

    if (is_new) {
        slot->inode = inode;
        slot->in_bytes = slot->in_used = 0;
    }
    slot->ends = pipe == NULL;
    slot->next_used = is_new ? 0 : slot->in_bytes - log->job.in_bytes;
    if (rest_bytes > 0)
        memcpy(block->next_rest, pipe->rest.bytes, rest_bytes);
    slot->next_rest_bytes = rest_bytes;
    slot->out_bytes = log->output.size_bytes;
    slot->share.progress = 0;
    set_state(slot, LOG_SLOT_STORE);
}

void log_journal_commit(coil_log *log)
{
    set_state(log->block->slot, LOG_SLOT_COMMIT);
    commit(log->journal, log->block->slot);
}

void log_journal_resume(coil_log *log, log_pipe *pipe)
{
    log_slot *slot = pipe->slot;
    const bool is_stored = slot->state == LOG_SLOT_STORE;
    const size_t used_bytes = is_stored ? slot->next_used : slot->in_used;

    pipe->slot = NULL;
    seat(log->journal, log->block, slot);
    log->job = (log_job){.out = log->block->out,
            .out_room_bytes = log_block_room(log),
            .out_bytes = is_stored ? slot->out_bytes : 0,
            .head = log->block->head,
            .prefix = pipe->prefix,
            .time_us = slot->time_us,
            .in = log->block->in + used_bytes,
            .in_bytes = slot->in_bytes - used_bytes};
    log->output.done_bytes = is_stored ? slot->share.progress / 2 : 0;
    log->job_pipe = log->job.in_bytes > 0 ? pipe : NULL;
    log->last_pipe = slot->ends && is_stored ? NULL : pipe;
    log->last_inode = pipe->inode;
}

/* ------------------------------------------------------------------------------------ torn -- */

static log_slot *find_torn(const coil_log_journal *journal, uint64_t inode, uint64_t device)
{
    for (size_t i = 0; i < journal->slots_used; i++) {
        log_slot *slot = &journal->memory->slots[i];
        if (slot->state == LOG_SLOT_STORE && (slot->share.progress & 1) != 0 &&
                slot->share.inode == inode && slot->share.device == device)
            return slot;
    }
    return NULL;
}

bool log_journal_is_torn(
        const coil_log_journal *journal, uint64_t inode, uint64_t device, uint64_t *out_offset)
{
    const log_slot *slot = find_torn(journal, inode, device);
    if (slot != NULL)
        *out_offset = slot->share.offset;
    return slot != NULL;
}

void log_journal_mended(coil_log_journal *journal, uint64_t inode, uint64_t device)
{
    log_slot *slot = find_torn(journal, inode, device);
    if (slot == NULL)
        return;
    const uint64_t progress = slot->share.progress & ~UINT64_C(1);
    __atomic_store_n(&slot->share.progress, progress, __ATOMIC_RELEASE);
}
