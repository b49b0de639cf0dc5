/* SPDX-License-Identifier: MIT */
#include "programs.h"

#include <coil/trace.h>

#include <stdlib.h>

struct world world;

/* ------------------------------------------------------------------------------ small words -- */

void broken(const char *condition, const char *file, int line)
{
    const char *name = strrchr(file, '/');
    fprintf(stderr, "%s:%d: does not hold: %s\n", name == NULL ? file : name + 1, line, condition);
    coil_trace_group(&world.sched.root, stderr);
    abort();
}

/* splitmix64: the same numbers everywhere. */
uint64_t mix(uint64_t number)
{
    number += UINT64_C(0x9E3779B97F4A7C15);
    number = (number ^ (number >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94D049BB133111EB);
    return number ^ (number >> 31);
}

unsigned toss(unsigned below)
{
    world.chance++;
    return (unsigned)(mix(world.chance) >> 33) % below;
}

coil_duration briefly(unsigned lot)
{
    return coil_us(500) * (lot % 6);
}

bool result_is_known(int64_t rc)
{
    static const int known[] = {0, -ECANCELED, -ETIME, -EPIPE, -EIO, -EDOM, -ENOENT, -ENOBUFS};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (rc == known[i])
            return true;
    return rc == -ENOMEM && world.failing;
}

static coil_task *pick_task(coil_group *group)
{
    size_t count = 0;
    for (coil_list *link = group->tasks.next; link != &group->tasks; link = link->next)
        count++;
    if (count == 0)
        return NULL;
    coil_list *link = group->tasks.next;
    for (unsigned skip = toss((unsigned)count); skip > 0; skip--)
        link = link->next;
    return coil_container_of(link, coil_task, link);
}

coil_task *any_task(coil_group *group)
{
    coil_task *task = pick_task(group);
    while (task != NULL && toss(4) > 0) {
        coil_group *below = coil_task_group(task, NULL);
        if (below == NULL || below == &world.loader.loader.group) /* That is the loader's own. */
            break;
        coil_task *child = pick_task(below);
        if (child == NULL)
            break;
        task = child;
    }
    return task;
}

void cancel_any_group(void)
{
    size_t count = 0;
    for (coil_list *link = world.crews.next; link != &world.crews; link = link->next)
        count++;
    if (count == 0)
        return;
    coil_list *link = world.crews.next;
    for (unsigned skip = toss((unsigned)count); skip > 0; skip--)
        link = link->next;
    coil_group_cancel(&coil_container_of(link, task_crew, link)->group);
}

void move_any_timeout(unsigned lot)
{
    moved_timeout *moving = world.timeouts[toss(TIMEOUTS)];
    if (moving == NULL)
        return;
    coil_time deadline = coil_time_after(world.sched.now, briefly(lot));
    int rc = lot % 7 == 0 ? coil_timeout_move(&moving->timeout, deadline = COIL_NEVER)
                          : coil_timeout_extend(&moving->timeout, briefly(lot));
    EXPECT(rc == 0 || rc == -ETIME || rc == -ENOENT);
    EXPECT((rc == -ETIME) == (moving->timeout.expired && rc != -ENOENT));
    if (rc == 0)
        moving->deadline = deadline;
    EXPECT(rc != 0 || coil_timeout_deadline(&moving->timeout) == deadline);
}

/* ----------------------------------------------------------------------------------- lines -- */

void line_enter(waiting_line *line, line_entry *entry, coil_task *task, uint64_t want)
{
    entry->task = task;
    entry->want = want;
    coil_list_append(line, &entry->link);
}

void line_leave(line_entry *entry)
{
    coil_list_remove(&entry->link);
}

/*
 * Those who came before have been served: they have run, or are about to. Or they are being
 * cancelled. (One that is being cancelled itself may find, when it runs because of that, what has
 * come since.)
 */
void line_served(const waiting_line *line, line_entry *entry)
{
    coil_list *end = coil_task_cancelling(entry->task) ? line->next : &entry->link;
    for (coil_list *link = line->next; link != end; link = link->next) {
        const coil_task *older = coil_container_of(link, line_entry, link)->task;
        EXPECT(coil_task_cancelling(older) || older->queued == COIL_QUEUED);
    }
    coil_list_remove(&entry->link);
}

line_entry *line_first(const waiting_line *line)
{
    return coil_list_empty(line) ? NULL : coil_container_of(line->next, line_entry, link);
}

static size_t line_length(const waiting_line *line)
{
    size_t count = 0;
    for (coil_list *link = line->next; link != line; link = link->next)
        count++;
    return count;
}

/* ---------------------------------------------------------------------------------- memory -- */

/*
 * Memory that is short is an error for whom allocates, but for a frame stack it is the end. So it
 * is short only at calls that report it, and while their own frames need nothing.
 */
enum { STACK_ENOUGH_BYTES = 768 };

void may_fail(const coil_task *task)
{
    bool safe = !coil_task_cancelling(task) && task->limit - task->sp > STACK_ENOUGH_BYTES;
    world.failing_step = safe && world.failing ? world.sched.step_count : 0;
}

void must_not_fail(void)
{
    world.failing_step = 0;
}

static bool is_short(void)
{
    return world.failing_step != 0 && world.failing_step == world.sched.step_count && toss(2);
}

static void *allocate(coil_allocator *allocator, size_t size_bytes)
{
    counting_allocator *memory = coil_container_of(allocator, counting_allocator, allocator);
    void *block = is_short() ? NULL : malloc(size_bytes);
    if (block == NULL)
        return NULL;
    memory->block_count++;
    memory->bytes += (int64_t)size_bytes;
    return block;
}

static void *allocate_or_not(coil_allocator *allocator, size_t size_bytes)
{
    return world.failing && toss(3) == 0 ? NULL : allocate(allocator, size_bytes);
}

static void release(coil_allocator *allocator, void *block, size_t size_bytes)
{
    counting_allocator *memory = coil_container_of(allocator, counting_allocator, allocator);
    memory->block_count--;
    memory->bytes -= (int64_t)size_bytes;
    free(block);
}

/* The queue that grows tells everybody when it cannot. */
static coil_allocator *growing_allocator(void)
{
    static counting_allocator growing = {.allocator = {allocate_or_not, release}};
    return &growing.allocator;
}

enum { SLAB_HEAD_BYTES = 32 }; /* See core/slab.c. */

/* Slabs are cut into as many blocks as fit: if all have come back, that many are free, or twice. */
static void check_slabs(const coil_sched *sched)
{
    struct free_block {
        struct free_block *next;
    } __attribute__((may_alias));

    for (size_t class = 0; class < COIL_SLAB_CLASSES; class ++) {
        size_t count = 0;
        const struct free_block *block = (const void *)sched->free_blocks[class];
        for (; block != NULL; block = block->next)
            count++;
        const size_t block_bytes = (class + 1) * COIL_SLAB_STEP_BYTES;
        EXPECT(count % ((COIL_SLAB_BYTES - SLAB_HEAD_BYTES) / block_bytes) == 0);
    }
}

/* ----------------------------------------------------------------------------- the beginning -- */

static coil_time debug_now(coil_debug *debug)
{
    return coil_container_of(debug, struct world, debug)->sched.now;
}

static uint64_t debug_sleep_count(coil_debug *debug, bool after_step)
{
    (void)debug, (void)after_step;
    return 0;
}

static void debug_name_place(coil_debug *debug, const void *code, FILE *out)
{
    (void)debug;
    fprintf(out, "%p", code);
}

/* No program holds a lock at its end, forgets a coroutine or leaves a task behind. */
static void debug_report(coil_debug *debug, const char *text)
{
    (void)debug;
    fputs(text, stderr);
    broken("nothing to report", __FILE__, __LINE__);
}

static void init_debug(void)
{
    world.debug = (coil_debug){
            .now = debug_now,
            .sleep_count = debug_sleep_count,
            .report = debug_report,
            .name_place = debug_name_place,
            .slow_step = COIL_FOREVER,
            .blocking_step = COIL_FOREVER,
    };
    world.debugging = true;
    EXPECT(coil_debug_init(&world.debug, &world.sched) == 0);
}

static bool comes_first(const parcel *item, const struct parcel *other)
{
    return item->urgency < other->urgency;
}

static void init_locks(void)
{
    for (size_t i = 0; i < MUTEXES; i++) {
        coil_mutex_init(&world.mutexes[i]);
        coil_list_init(&world.mutex_lines[i]);
    }
    coil_condition_init(&world.condition, &world.mutexes[0]);
    coil_list_init(&world.condition_line);
    coil_rwlock_init(&world.rwlock);
    coil_list_init(&world.rwlock_line);
    for (size_t i = 0; i < SEMAPHORES; i++) {
        size_t bound = 1 + toss(4);
        coil_semaphore_init(&world.semaphores[i], bound, bound);
        coil_list_init(&world.semaphore_lines[i]);
    }
    for (size_t i = 0; i < ONCES; i++) {
        coil_once_init(&world.onces[i]);
        coil_list_init(&world.once_lines[i]);
    }
}

static void init_signals(void)
{
    coil_barrier_init(&world.barrier, 1 + (int)toss(3));
    coil_list_init(&world.barrier_line);
    coil_latch_init(&world.latch, toss(3));
    coil_list_init(&world.latch_line);
    coil_event_init(&world.event);
    coil_list_init(&world.event_line);
    coil_rate_limiter_init(&world.limiter, &world.sched, RATE_PER_MS, coil_ms(1), RATE_BURST);
    coil_list_init(&world.limiter_line);
    world.limiter_start = world.sched.now;
    for (size_t i = 0; i < PROMISES; i++) {
        coil_future_init(&world.promises[i]);
        world.promise_list[i] = &world.promises[i].future;
        coil_list_init(&world.promise_lines[i]);
    }
    coil_list_init(&world.any_line);
}

static void init_items(void)
{
    coil_queue_init(&world.fifo, world.slots[0], 1 + toss(QUEUE_SLOTS));
    coil_lifo_queue_init(&world.lifo, world.slots[1], 1 + toss(QUEUE_SLOTS));
    coil_priority_queue_init(&world.urgent, world.urgent_slots, 1 + toss(QUEUE_SLOTS), comes_first);
    coil_queue_init(&world.growing, NULL, 1 + toss(20));
    world.growing.queue.allocator = growing_allocator();
    world.queues[0] = &world.fifo.queue;
    world.queues[1] = &world.lifo.queue;
    world.queues[2] = &world.urgent.queue;
    world.queues[3] = &world.growing.queue;
    for (size_t i = 0; i < QUEUES; i++) {
        coil_list_init(&world.putters[i]);
        coil_list_init(&world.getters[i]);
        coil_list_init(&world.joiners[i]);
    }
    coil_channel_init(&world.channels[0], NULL, 0);
    coil_channel_init(&world.channels[1], world.channel_slots, 1 + toss(QUEUE_SLOTS));
    for (size_t i = 0; i < CHANNELS; i++) {
        coil_list_init(&world.senders[i]);
        coil_list_init(&world.receivers[i]);
    }
    coil_broadcast_init(&world.feed, world.feed_slots, 1 + toss(QUEUE_SLOTS),
            toss(2) ? COIL_BROADCAST_LAG : COIL_BROADCAST_WAIT);
    coil_list_init(&world.feed_line);
    uint64_t first = 1;
    coil_watch_init(&world.watch, &first);
    coil_list_init(&world.watch_line);
    coil_list_init(&world.load_line);
}

void world_init(const program *played)
{
    static const unsigned rates[] = {2, 5, 20, 100, 0};
    bool tracing = world.tracing;
    tally *tallies = world.tallies;

    memset(&world, 0, sizeof(world));
    world.tallies = tallies;
    world.tracing = tracing;
    world.program = played;
    world.chance = mix(played->seed) | UINT64_C(0xff0000);
    world.attack_rate = rates[toss(5)];
    world.failing = toss(8) == 0;
    world.memory = (counting_allocator){.allocator = {allocate, release}};
    coil_sched_init(&world.sched, (coil_time)toss(2000000), &world.memory.allocator);
    world.sched.root.keep_going = true;
    coil_list_init(&world.crews);
    coil_select_seed((uint32_t)mix(played->seed));
    if (world.failing || toss(4) == 0)
        forget_learned_stacks();
    if (toss(8) == 0)
        init_debug();
    init_locks();
    init_signals();
    init_items();
}

/* --------------------------------------------------------------------- when nothing is ready -- */

static void check_locks(void)
{
    for (size_t i = 0; i < MUTEXES; i++) {
        EXPECT((world.mutexes[i].owner != NULL) == (world.mutex_holders[i] == 1));
        EXPECT(world.mutexes[i].owner != NULL || coil_list_empty(&world.mutex_lines[i]));
    }
    EXPECT(world.mutexes[0].owner != NULL || world.tickets == 0 ||
            coil_list_empty(&world.condition_line));
    EXPECT(world.rwlock.reader_count == world.reader_count);
    EXPECT((world.rwlock.writer != NULL) == (world.writer_count == 1));
    const line_entry *first = line_first(&world.rwlock_line);
    EXPECT(first == NULL || world.writer_count == 1 || (first->want && world.reader_count > 0));
    for (size_t i = 0; i < SEMAPHORES; i++) {
        const coil_semaphore *semaphore = &world.semaphores[i];
        EXPECT(semaphore->available_count + world.out_counts[i] == semaphore->bound_count);
        first = line_first(&world.semaphore_lines[i]);
        EXPECT(first == NULL || first->want > semaphore->available_count);
    }
    for (size_t i = 0; i < ONCES; i++)
        EXPECT(coil_list_empty(&world.once_lines[i]) ||
                (world.once_running[i] && !world.once_done[i]));
}

static void check_signals(void)
{
    EXPECT(line_length(&world.barrier_line) == (size_t)world.barrier.arrived_count);
    EXPECT(world.barrier.arrived_count == 0 || !world.barrier.broken);
    EXPECT(world.barrier.arrived_count < world.barrier.party_count);
    for (int i = 1; i < world.barrier.party_count; i++)
        EXPECT(world.released_counts[i] == world.released_counts[0]);
    EXPECT(world.latch.count > 0 || coil_list_empty(&world.latch_line));
    EXPECT(!coil_event_is_set(&world.event) || coil_list_empty(&world.event_line));
    EXPECT(coil_list_empty(&world.limiter_line) || coil_sched_next(&world.sched) != COIL_NEVER);
    bool any_done = false;
    bool any_failed = false;
    bool all_done = true;
    for (size_t i = 0; i < PROMISES; i++) {
        any_done = any_done || world.promises[i].future.done;
        any_failed = any_failed || world.promises[i].future.error < 0;
        all_done = all_done && world.promises[i].future.done;
        EXPECT(!world.promises[i].future.done || coil_list_empty(&world.promise_lines[i]));
    }
    for (coil_list *link = world.any_line.next; link != &world.any_line; link = link->next) {
        uint64_t mode = coil_container_of(link, line_entry, link)->want;
        EXPECT(!all_done && !(any_done && mode == COIL_FIRST_COMPLETED));
        EXPECT(!(any_failed && mode == COIL_FIRST_ERROR));
    }
}

static void check_queue(size_t which)
{
    const coil_queue *queue = world.queues[which];

    EXPECT(queue->count <= queue->capacity_count);
    EXPECT(queue->out_count == world.undone_counts[which]);
    if (!coil_list_empty(&world.getters[which]))
        EXPECT(queue->count == 0 && !queue->closed);
    if (!coil_list_empty(&world.putters[which]))
        EXPECT(queue->count == queue->capacity_count && !queue->closed);
    if (!coil_list_empty(&world.joiners[which]))
        EXPECT(queue->count + queue->out_count > 0);
}

static void check_items(void)
{
    for (size_t i = 0; i < QUEUES; i++)
        check_queue(i);
    for (size_t i = 0; i < CHANNELS; i++) {
        const coil_channel *channel = &world.channels[i].channel;
        bool sending = !coil_list_empty(&world.senders[i]);
        bool receiving = !coil_list_empty(&world.receivers[i]);
        EXPECT(!sending || (channel->count == channel->capacity_count && !channel->closed));
        EXPECT(!receiving || (channel->count == 0 && !channel->closed && !sending));
    }
    EXPECT(world.fetching_count <= line_length(&world.load_line));
    EXPECT(coil_list_empty(&world.feed_line) || world.feed.broadcast.subscriber_count > 0);
    for (coil_list *link = world.watch_line.next; link != &world.watch_line; link = link->next)
        EXPECT(coil_container_of(link, line_entry, link)->want == coil_watch_version(&world.watch));
}

/* As many have been started as may be. */
static void check_crews(void)
{
    for (coil_list *link = world.crews.next; link != &world.crews; link = link->next) {
        const task_crew *crew = coil_container_of(link, task_crew, link);
        size_t limit = crew->group.limit;
        bool limited = limit != 0 && limit < crew->group.live_count && !crew->group.cancelled;
        EXPECT(crew->running_count == (limited ? limit : crew->group.live_count));
    }
}

void world_check_idle(void)
{
    check_crews();
    check_locks();
    check_signals();
    check_items();
}

/* --------------------------------------------------------------------------------- the end -- */

static void drain(parcel found, bool *seen)
{
    EXPECT(found.number > 0 && found.number <= world.item_count && !seen[found.number]);
    EXPECT(world.fates[found.number].put && !world.fates[found.number].taken);
    seen[found.number] = true;
}

/* Every item that was put was taken, or is still where it was put: once. */
static void check_fates(void)
{
    bool seen[ITEMS_MAX + 1] = {false};
    unsigned urgency = 0;
    parcel found;

    for (size_t i = 0; i < QUEUES; i++)
        while (coil_queue_try_get_untyped(world.queues[i], &found) == 0) {
            drain(found, seen);
            EXPECT(world.queues[i] != &world.urgent.queue || found.urgency >= urgency);
            urgency = world.queues[i] == &world.urgent.queue ? found.urgency : urgency;
        }
    for (size_t i = 0; i < CHANNELS; i++)
        while (coil_channel_try_receive(&world.channels[i], &found) == 0)
            drain(found, seen);
    for (uint32_t i = 1; i <= world.item_count; i++) {
        EXPECT(world.fates[i].put || world.fates[i].withdrawn);
        EXPECT(!world.fates[i].put || world.fates[i].taken || seen[i]);
    }
}

static void end_locks(void)
{
    coil_condition_fini(&world.condition);
    for (size_t i = 0; i < MUTEXES; i++)
        coil_mutex_fini(&world.mutexes[i]);
    coil_rwlock_fini(&world.rwlock);
    for (size_t i = 0; i < SEMAPHORES; i++) {
        EXPECT(world.semaphores[i].available_count == world.semaphores[i].bound_count);
        coil_semaphore_fini(&world.semaphores[i]);
    }
    for (size_t i = 0; i < ONCES; i++)
        coil_once_fini(&world.onces[i]);
}

/* (What has an end checks for itself that nobody waits.) */
static void end_others(void)
{
    EXPECT(world.barrier.arrived_count == 0);
    coil_barrier_fini(&world.barrier);
    coil_latch_fini(&world.latch);
    coil_event_fini(&world.event);
    coil_rate_limiter_fini(&world.limiter);
    for (size_t i = 0; i < PROMISES; i++)
        EXPECT(coil_list_empty(&world.promises[i].future.watches));
    coil_queue_fini(&world.fifo);
    coil_queue_fini(&world.lifo);
    coil_queue_fini(&world.urgent);
    coil_queue_fini(&world.growing);
    for (size_t i = 0; i < CHANNELS; i++)
        coil_channel_fini(&world.channels[i]);
    EXPECT(world.feed.broadcast.subscriber_count == 0);
    coil_broadcast_fini(&world.feed);
    coil_watch_fini(&world.watch);
    EXPECT(world.loader.loader.key_count == 0);
}

void world_check_end(void)
{
    world_check_idle();
    EXPECT(world.sched.live_count == 0);
    EXPECT(coil_timer_wheel_next(&world.sched.wheel) == COIL_NEVER);
    EXPECT(world.entered == world.left);
    EXPECT(world.deferred == world.undeferred);
    EXPECT(coil_list_empty(&world.crews));
    check_fates();
    end_locks();
    end_others();
    check_slabs(&world.sched);
    if (world.debugging)
        coil_debug_fini(&world.debug);
    coil_sched_fini(&world.sched);
    EXPECT(world.memory.block_count == 0 && world.memory.bytes == 0);
    const counting_allocator *growing =
            coil_container_of(growing_allocator(), counting_allocator, allocator);
    EXPECT(growing->block_count == 0 && growing->bytes == 0);
}
