/* SPDX-License-Identifier: MIT */
#include <coil/layer.h>

#include "layer_private.h"
#include "loop_private.h"

#include <errno.h>
#include <stdlib.h>

enum {
    BATCH_BYTES = 64 * 1024, /* Of writes are sealed at a time; the next when those have left. */
    SEAL_EXTRA_BYTES = 512,
    SEAL_EXTRA_SHARE = 64,
    SAY_LIMIT_BYTES = 64 * 1024, /* Of what the layer says by itself while nothing can leave. */
    FIRST_ROOM_BYTES = 256,
};

/* Bytes of ours. */
typedef struct heap_bytes {
    char *bytes;
    size_t size_bytes;
    size_t room_bytes;
} heap_bytes;

/* A layer, what waits to pass through it, and what has passed. */
typedef struct coil_layering {
    coil_layer *layer;
    coil_loop *loop;
    coil_sender *above;    /* NULL: it has been closed. */
    coil_list writes;      /* First come, first served. */
    unsigned sealed_count; /* So many of them, from the first, have bytes in `leaving`, */
    uint64_t sealed_bytes; /* and this many together. */
    heap_bytes put;        /* Leaves next. */
    heap_bytes leaving;
    sender_flush flush; /* Of `leaving`. */
    bool is_leaving;
    bool is_sealing;  /* So that what is put is as much as was asked for. */
    bool is_finished; /* Nothing can follow. */
} coil_layering;

/* ---------------------------------------------------------------------------------- bytes -- */

static bool made_room(heap_bytes *have, size_t more_bytes)
{
    if (more_bytes <= have->room_bytes - have->size_bytes)
        return true;
    size_t room_bytes = have->room_bytes == 0 ? FIRST_ROOM_BYTES : 2 * have->room_bytes;
    if (room_bytes < have->size_bytes + more_bytes)
        room_bytes = have->size_bytes + more_bytes;
    char *bytes = realloc(have->bytes, room_bytes);
    if (bytes == NULL)
        return false;
    have->bytes = bytes;
    have->room_bytes = room_bytes;
    return true;
}

static void drop(heap_bytes *have)
{
    free(have->bytes);
    *have = (heap_bytes){.bytes = NULL};
}

int coil_layer_put(coil_layer *layer, const void *bytes, size_t size_bytes)
{
    coil_layering *layering = layer->layering;
    heap_bytes *put = &layering->put;

    if (!layering->is_sealing && put->size_bytes + size_bytes > SAY_LIMIT_BYTES)
        return -ENOBUFS;
    if (!made_room(put, size_bytes))
        return -ENOMEM;
    memcpy(put->bytes + put->size_bytes, bytes, size_bytes);
    put->size_bytes += size_bytes;
    return 0;
}

/* --------------------------------------------------------------------------------- writes -- */

static layer_write *write_at(coil_list *link)
{
    return coil_container_of(link, layer_write, link);
}

/* That of the layer above, which is told when nothing here is being looked at any more. */
static sender_flush *end_write(layer_write *done, int32_t result)
{
    coil_list_remove(&done->link);
    done->is_waiting = false;
    done->result = result;
    if (done->task != NULL)
        coil_task_wake(done->task);
    return done->flush;
}

/* There is at most one flush among them, as the last. */
static sender_flush *end_all(coil_layering *layering, int32_t result)
{
    sender_flush *flush = NULL;
    layering->sealed_count = 0;
    layering->above->is_cut = true;
    while (!coil_list_empty(&layering->writes))
        flush = end_write(write_at(layering->writes.next), result);
    return flush;
}

/* It only wants to know when those before it have left. */
static bool is_mark(const layer_write *write)
{
    return write->size_bytes == 0 && !write->is_last && !write->is_begun;
}

static void end_marks(coil_layering *layering)
{
    while (!coil_list_empty(&layering->writes) && is_mark(write_at(layering->writes.next)))
        (void)end_write(write_at(layering->writes.next), 0);
}

/* What has been sealed has left. */
static sender_flush *end_sealed(coil_layering *layering)
{
    sender_flush *flush = NULL;
    unsigned count = layering->sealed_count;

    layering->sealed_count = 0;
    if (layering->above != NULL)
        layering->above->sent_bytes += layering->sealed_bytes;
    layering->sealed_bytes = 0;
    for (; count > 0; count--) {
        layer_write *first = write_at(layering->writes.next);
        if (first->size_bytes == 0)
            flush = end_write(first, 0);
    }
    end_marks(layering);
    return flush;
}

static int seal_last(coil_layering *layering, layer_write *last)
{
    last->is_begun = true;
    int rc = layering->layer->kind->finish(layering->layer);
    layering->is_finished = rc == 0;
    return rc;
}

static int seal_part(coil_layering *layering, layer_write *write, size_t size_bytes)
{
    coil_layer *layer = layering->layer;
    size_t extra_bytes = size_bytes / SEAL_EXTRA_SHARE + SEAL_EXTRA_BYTES;

    if (!made_room(&layering->put, size_bytes + extra_bytes))
        return -ENOMEM;
    write->is_begun = true;
    int rc = layer->kind->seal(layer, write->bytes, size_bytes);
    if (rc < 0)
        return rc;
    write->bytes += size_bytes;
    write->size_bytes -= (int64_t)size_bytes;
    layering->sealed_bytes += size_bytes;
    return 0;
}

/* Seal what waits, as much as is to leave together. An error is that of the first unsealed one. */
static int seal_some(coil_layering *layering, layer_write **out_failed)
{
    int64_t room_bytes = BATCH_BYTES;
    const coil_list *end = &layering->writes;

    for (coil_list *link = end->next; link != end && room_bytes > 0 && !layering->is_finished;
            link = link->next) {
        layer_write *write = write_at(link);
        int64_t part_bytes = write->size_bytes < room_bytes ? write->size_bytes : room_bytes;
        if (is_mark(write))
            return 0; /* Its turn is when these have left. */
        int rc = write->is_last ? seal_last(layering, write)
                                : seal_part(layering, write, (size_t)part_bytes);
        if (rc < 0) {
            *out_failed = write;
            return rc;
        }
        layering->sealed_count++;
        room_bytes -= part_bytes;
    }
    return 0;
}

/* There is no continuing after what has been sealed. */
static sender_flush *end_behind(coil_layering *layering)
{
    sender_flush *flush = NULL;
    coil_list *behind = &layering->writes;

    layering->above->is_cut = true;
    for (unsigned i = 0; i < layering->sealed_count; i++)
        behind = behind->next;
    while (behind->next != &layering->writes)
        flush = end_write(write_at(behind->next), -EPIPE);
    return flush;
}

static int start_leaving(coil_layering *layering)
{
    layering->leaving = layering->put;
    layering->put = (heap_bytes){.bytes = NULL};
    coil_slice bytes = {(int64_t)layering->leaving.size_bytes, layering->leaving.bytes, NULL};
    coil_sender *below = coil_receiver_sender(layering->layer->below);
    int rc = sender_flush_start(below, layering->loop, &layering->flush, &bytes);
    layering->is_leaving = rc == -EINPROGRESS;
    if (!layering->is_leaving)
        drop(&layering->leaving);
    return rc;
}

/* The layer above has its own pump, which is not to run in ours: it is told later. */
static void keep(sender_flush **kept, sender_flush *flush)
{
    if (flush != NULL)
        *kept = flush;
}

/* Returns the write of the layer above, if that has ended. */
static sender_flush *seal_next(coil_layering *layering)
{
    sender_flush *ended = end_sealed(layering);
    layer_write *failed = NULL;

    layering->is_sealing = true;
    int rc = seal_some(layering, &failed);
    layering->is_sealing = false;
    bool is_cut = rc < 0 ? failed->is_begun : layering->is_finished;
    if (rc < 0)
        keep(&ended, end_write(failed, rc));
    if (is_cut)
        keep(&ended, end_behind(layering));
    return ended;
}

/*
 * Have everything leave that can. Returns the write of the layer above, if that is among those that
 * have ended: it is to be told, unless it is the one that has called.
 */
static sender_flush *pump(coil_layering *layering)
{
    sender_flush *ended = NULL;

    while (!layering->is_leaving) {
        keep(&ended, seal_next(layering));
        if (layering->put.size_bytes > 0) {
            int rc = start_leaving(layering);
            if (rc < 0 && rc != -EINPROGRESS)
                keep(&ended, end_all(layering, rc));
        } else if (layering->sealed_count == 0 && coil_list_empty(&layering->writes)) {
            break;
        }
    }
    return ended;
}

static void tell(sender_flush *flush)
{
    if (flush != NULL)
        flush->ended(flush, flush->layered.result);
}

/* ------------------------------------------------------------------------------- lifecycle -- */

/* Nothing is under way any more. */
static void end_layering(coil_layering *layering)
{
    coil_layer *layer = layering->layer;
    coil_receiver *below = layer->below;

    drop(&layering->put);
    drop(&layering->leaving);
    coil_sched_release(&layering->loop->sched, layering, sizeof(*layering));
    coil_receiver_close(below);
    layer->kind->destroy(layer);
}

static void left(sender_flush *flush, int32_t result)
{
    coil_layering *layering = coil_container_of(flush, coil_layering, flush);

    drop(&layering->leaving);
    layering->is_leaving = false;
    if (layering->above == NULL) {
        end_layering(layering);
    } else if (result < 0) {
        drop(&layering->put);
        tell(end_all(layering, result));
    } else {
        tell(pump(layering));
    }
}

int coil_layer_attach(coil_layer *layer, coil_receiver *below, coil_receiver **out_above)
{
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL && !receiver_is_waited_for(below));
    COIL_CHECK(!coil_sender_busy(coil_receiver_sender(below)));
    coil_layering *layering = coil_sched_allocate(&loop->sched, sizeof(*layering));
    if (layering == NULL)
        return -ENOMEM;
    coil_receiver *above = receiver_create_layered(layering, below);
    if (above == NULL) {
        coil_sched_release(&loop->sched, layering, sizeof(*layering));
        return -ENOMEM;
    }
    *layering = (coil_layering){.layer = layer, .loop = loop};
    layering->above = coil_receiver_sender(above);
    layering->flush.ended = left;
    coil_list_init(&layering->writes);
    layer->below = below;
    layer->layering = layering;
    *out_above = above;
    return 0;
}

void layering_close(coil_layering *layering)
{
    COIL_CHECK(coil_list_empty(&layering->writes)); /* Else somebody is still writing. */
    layering->above = NULL;
    if (layering->is_leaving) {
        coil_sender *below = coil_receiver_sender(layering->layer->below);
        sender_flush_cancel(below, &layering->flush);
    } else {
        end_layering(layering);
    }
}

bool layering_is_busy(const coil_layering *layering)
{
    return !coil_list_empty(&layering->writes);
}

coil_layer *coil_layer_of(const coil_receiver *above)
{
    const coil_receiver_head *head = (const coil_receiver_head *)(const void *)above;
    const coil_layering *layering = layering_of(&head->sender);
    return layering != NULL ? layering->layer : NULL;
}

void coil_layer_flush(coil_layer *layer)
{
    tell(pump(layer->layering));
}

void coil_layer_cut(coil_layer *layer)
{
    tell(end_all(layer->layering, -EPIPE));
}

/*
 * There is no later turn for this one. Nor is there time to share one: what is queued is withdrawn
 * with the close, unless the kernel has it by then, and the queue may be full.
 */
static void allow_to_send_again(coil_layering *layering)
{
    const uint16_t another = (uint16_t)(layering->loop->stats.turns + 1);
    coil_layer *layer = layering->layer;

    for (; layer != NULL; layer = coil_layer_of(layer->below)) {
        coil_sender *below = coil_receiver_sender(layer->below);
        below->sent_turn = another;
        below->shares_turns = false;
    }
}

void coil_layer_finish_now(coil_layer *layer)
{
    coil_layering *layering = layer->layering;
    layer_write last = {.is_waiting = true, .is_last = true};

    if (layering->is_finished || layering->above->is_cut || layering->is_leaving ||
            layering_is_busy(layering))
        return;
    allow_to_send_again(layering);
    coil_list_append(&layering->writes, &last.link);
    tell(pump(layering));
    if (last.is_waiting)
        (void)end_all(layering, -EPIPE);
    coil_layer *below = coil_layer_of(layer->below);
    if (below != NULL)
        coil_layer_finish_now(below);
}

/* --------------------------------------------------------------------------------- leaves -- */

/* On the frame stack of `task` from here on: pumped at once, and only then suspended. */
static coil_turn start_write(coil_task *task, coil_frame *leaf, coil_layering *layering,
        const coil_slice *bytes, bool is_last)
{
    layer_write *write = coil_push(task, sizeof(*write));
    *write = (layer_write){.is_waiting = true,
            .is_last = is_last,
            .bytes = bytes->bytes,
            .size_bytes = bytes->size_bytes};
    coil_list_append(&layering->writes, &write->link);
    tell(pump(layering));
    if (!write->is_waiting)
        return coil_leave_with(task, leaf, write->result);
    write->task = task;
    leaf->vars = write;
    return coil_leaf_suspend(leaf);
}

static coil_turn end_or_wait(coil_task *task, coil_frame *leaf)
{
    const layer_write *write = leaf->vars;
    if (write->is_waiting)
        return COIL_WAIT;
    if (write->result != -ECANCELED || !coil_task_unwind_here(task))
        coil_frame_set_result(leaf, write->result);
    return coil_leave(task, leaf);
}

coil_turn layering_write_step(
        coil_task *task, coil_frame *leaf, coil_layering *layering, const coil_slice *bytes)
{
    if (leaf->at != NULL)
        return end_or_wait(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (layering->above->is_cut)
        return coil_leave_with(task, leaf, -EPIPE);
    if (bytes->size_bytes <= 0)
        return coil_leave_with(task, leaf, 0);
    return start_write(task, leaf, layering, bytes, false);
}

/* What has been sealed goes on its way: the records are whole, the message may not be. */
static sender_flush *cancel_write(coil_layering *layering, layer_write *cancelled)
{
    if (!cancelled->is_waiting)
        return NULL;
    bool is_begun = cancelled->is_begun;
    sender_flush *flush = end_write(cancelled, -ECANCELED);
    if (!is_begun)
        return flush;
    sender_flush *other = end_all(layering, -EPIPE);
    return flush != NULL ? flush : other;
}

void layering_write_cancel(coil_task *task, coil_frame *leaf, coil_layering *layering)
{
    (void)task;
    tell(cancel_write(layering, leaf->vars));
}

int layering_flush_start(coil_layering *layering, sender_flush *flush)
{
    layer_write *write = &flush->layered;
    if (layering->above->is_cut)
        return -EPIPE;
    write->is_waiting = true;
    coil_list_append(&layering->writes, &write->link);
    (void)pump(layering); /* (There is no other flush that could have ended.) */
    return write->is_waiting ? -EINPROGRESS : write->result;
}

void layering_flush_cancel(coil_layering *layering, sender_flush *flush)
{
    tell(cancel_write(layering, &flush->layered));
}

/* A write of no bytes, in its turn. */
static coil_turn mark_step(coil_task *task, coil_frame *leaf, coil_layering *layering, bool is_last)
{
    const coil_slice nothing = {0, NULL, NULL};

    if (leaf->at != NULL)
        return end_or_wait(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (layering->above->is_cut)
        return coil_leave_with(task, leaf, -EPIPE);
    return start_write(task, leaf, layering, &nothing, is_last);
}

static coil_turn drain_step(coil_task *task, coil_frame *leaf)
{
    coil_layering *layering = coil_arguments(coil_layer_drain, leaf)->layer->layering;

    if (leaf->at == NULL && layering->is_finished && coil_list_empty(&layering->writes))
        return coil_leave_with(task, leaf, 0); /* All has ended, the stream with it. */
    return mark_step(task, leaf, layering, false);
}

static void drain_cancel(coil_task *task, coil_frame *leaf)
{
    layering_write_cancel(task, leaf, coil_arguments(coil_layer_drain, leaf)->layer->layering);
}

coil_define_leaf(coil_layer_drain, drain_step, drain_cancel);

static coil_turn finish_step(coil_task *task, coil_frame *leaf)
{
    coil_layering *layering = coil_arguments(coil_layer_finish, leaf)->layer->layering;
    return mark_step(task, leaf, layering, true);
}

static void finish_cancel(coil_task *task, coil_frame *leaf)
{
    layering_write_cancel(task, leaf, coil_arguments(coil_layer_finish, leaf)->layer->layering);
}

coil_define_leaf(coil_layer_finish, finish_step, finish_cancel);
