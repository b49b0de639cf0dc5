/* SPDX-License-Identifier: MIT */
/* The memory between pipes and files, which all logs of a thread share: see log_private.h. */
#include "log_journal.h"

#include <errno.h>
#include <stdlib.h>

enum {
    BLOCK_SMALL_BYTES = 64 * 1024
}; /* A block that has used no more is kept for the next log. */

/* One that nobody has, as long as there are logs. */
static COIL_THREAD_LOCAL log_block *spare;
static COIL_THREAD_LOCAL unsigned log_count;

/* NULL: no memory. What has not been touched takes none. */
static log_block *take_spare(void)
{
    log_block *block = spare;
    spare = NULL;
    if (block == NULL)
        block = malloc(sizeof(*block) + LOG_IN_BYTES + LOG_OUT_BYTES);
    if (block == NULL)
        return NULL;
    block->used_bytes = 0;
    block->slot = NULL;
    block->in = (char *)(block + 1);
    block->out = block->in + LOG_IN_BYTES;
    return block;
}

size_t log_block_room(const coil_log *log)
{
    return (log->journal == NULL ? LOG_HALF_BYTES : LOG_OUT_BYTES) - LOG_NOTICE_BYTES_MAX;
}

int log_block_take(coil_log *log)
{
    if (log->block != NULL)
        return 0;
    log_block *block = log->journal == NULL ? take_spare() : calloc(1, sizeof(*block));
    if (block == NULL)
        return -ENOMEM;
    const int rc = log->journal == NULL ? 0 : log_journal_take(log->journal, block);
    if (rc < 0) {
        free(block);
        return rc;
    }
    log->block = block;
    log->job = (log_job){.out = block->out,
            .out_room_bytes = log_block_room(log),
            .head = block->head,
            .prefix = ""};
    log->file.share = block->slot == NULL ? NULL : &block->slot->share;
    return 0;
}

void log_block_release(coil_log *log)
{
    log_block *block = log->block;
    log->block = NULL;
    log->job = (log_job){.in = NULL};
    log->file.share = NULL;
    if (block == NULL)
        return;
    if (log->journal != NULL)
        log_journal_release(log->journal, block);
    if (log->journal == NULL && spare == NULL && block->used_bytes <= BLOCK_SMALL_BYTES) {
        spare = block;
    } else {
        free(block);
    }
}

void log_blocks_open(void)
{
    log_count++;
}

void log_blocks_close(void)
{
    if (--log_count > 0)
        return;
    free(spare);
    spare = NULL;
}
