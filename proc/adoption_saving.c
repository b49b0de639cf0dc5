/* SPDX-License-Identifier: MIT */
/* The state file: written a moment after each change, and read if there is nothing better. */
#include "adoption_private.h"

#include <coil/file.h>
#include <coil/loop.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_BYTES_MAX = 16 * 1024 * 1024 };

#define SAVE_AFTER coil_ms(20) /* Many changes are one. */
#define SAVE_AGAIN coil_s(1)   /* It has failed: the file is not what it should be. */

/* --------------------------------------------------------------------------------- writing -- */

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
        const adoption_entry *each = coil_container_of(at, adoption_entry, link);
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
    coil_await(my->rc,
            coil_replace_file(adoption->state_path,
                    (coil_slice){(int64_t)my->size_bytes, my->bytes, NULL}, ADOPTION_STATE_MODE));
    free(my->bytes);
    return my->rc;
}

/* The disk may be full for a while; whoever closes the adoption does not wait for that. */
coil_async(void, rest_before_saving, (coil_adoption *) adoption)
{
    coil_vars();

    adoption->resting = coil_self;
    coil_defer(adoption->resting = NULL);
    coil_await(coil_sleep(SAVE_AGAIN));
}

coil_async(void, save, (coil_adoption *) adoption)
{
    coil_vars(int rc);

    coil_defer(adoption->is_saving = false);
    while (adoption->is_dirty) {
        coil_await(coil_sleep(SAVE_AFTER));
        coil_await(my->rc, save_once(adoption));
        if (my->rc >= 0)
            continue;
        adoption->is_dirty = true;
        coil_await(rest_before_saving(adoption));
    }
}

void adoption_changed(coil_adoption *adoption)
{
    adoption->is_dirty = true;
    if (!adoption->is_saving)
        adoption->is_saving = coil_spawn(&adoption->group, save(adoption)) != NULL;
}

/* --------------------------------------------------------------------------------- reading -- */

static void accept_record(coil_adoption *adoption, const coil_child_record *record)
{
    coil_child child;
    if (adoption_find(adoption, record->name) != NULL || record->identity == 0)
        return;
    if (coil_child_adopt(record->pid, record->identity, &child) < 0)
        return;
    adoption_entry *made = adoption_add(adoption, record->name);
    if (made == NULL) {
        coil_child_fini(&child);
        return;
    }
    made->child = child;
    (void)adoption_copy(made, &child);
    made->pid = record->pid;
    made->identity = record->identity;
    made->is_offered = true;
}

coil_define(int, adoption_read_state, (coil_adoption *) adoption, (char *) out_reason)
{
    coil_vars(coil_slice bytes);

    coil_await(my->bytes, coil_read_file(adoption->state_path, STATE_BYTES_MAX));
    if (my->bytes.size_bytes < 0)
        return my->bytes.size_bytes == -ENOENT ? 0 : (int)my->bytes.size_bytes;
    coil_child_records found = {NULL, 0};
    const bool has_reason = out_reason != NULL && out_reason[0] != '\0'; /* That one is worse. */
    const int rc = coil_child_records_parse(
            my->bytes.bytes, (size_t)my->bytes.size_bytes, &found, has_reason ? NULL : out_reason);
    coil_slice_release(&my->bytes);
    for (size_t i = 0; rc == 0 && i < found.count; i++)
        accept_record(adoption, &found.records[i]);
    free(found.records);
    return rc == -EBADMSG ? 0 : rc; /* The keeper knows better; and the reason is told. */
}
