/* SPDX-License-Identifier: MIT */
#include "programs.h"

#include <coil/sugar.h>

/* ------------------------------------------------------------------------ mutual exclusion -- */

static void enter_mutex(size_t which)
{
    EXPECT(world.mutex_holders[which] == 0);
    world.mutex_holders[which]++;
}

static void leave_mutex(size_t which)
{
    world.mutex_holders[which]--;
    EXPECT(world.mutex_holders[which] == 0);
    coil_mutex_unlock(&world.mutexes[which]);
}

async(int, run_mutex, (node *) n, (env *) me, (unsigned) held, (size_t) which)
{
    vars(line_entry entry; int rc);
    if (held & (HOLDS_MUTEX << which))
        return 0;
    line_enter(&world.mutex_lines[which], &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(my->rc, coil_mutex_lock(&world.mutexes[which]));
    line_served(&world.mutex_lines[which], &my->entry);
    EXPECT(my->rc == 0);
    enter_mutex(which);
    defer(leave_mutex(which));
    await(my->rc, run(n->children[0], me, held | (HOLDS_MUTEX << which)));
    return my->rc;
}

static void enter_rwlock(bool writes)
{
    EXPECT(world.writer_count == 0);
    EXPECT(!writes || world.reader_count == 0);
    if (writes)
        world.writer_count++;
    else
        world.reader_count++;
}

static void leave_rwlock(bool writes)
{
    EXPECT(world.writer_count == (writes ? 1 : 0));
    EXPECT((world.reader_count == 0) == writes);
    if (writes)
        world.writer_count--;
    else
        world.reader_count--;
    coil_rwlock_unlock(&world.rwlock);
}

static void downgrade(bool *writes)
{
    EXPECT(world.writer_count == 1);
    world.writer_count--;
    world.reader_count++;
    *writes = false;
    coil_rwlock_downgrade(&world.rwlock);
}

async(int, run_rwlock, (node *) n, (env *) me, (unsigned) held)
{
    vars(line_entry entry; int rc; bool writes);
    if (held & HOLDS_RWLOCK)
        return 0;
    my->writes = n->lots[0] % 2 == 0;
    line_enter(&world.rwlock_line, &my->entry, coil_self, my->writes);
    defer(line_leave(&my->entry));
    if (my->writes)
        await(my->rc, coil_rwlock_write_lock(&world.rwlock));
    else
        await(my->rc, coil_rwlock_read_lock(&world.rwlock));
    line_served(&world.rwlock_line, &my->entry);
    EXPECT(my->rc == 0);
    enter_rwlock(my->writes);
    defer(leave_rwlock(my->writes));
    await(my->rc, run(n->children[0], me, held | HOLDS_RWLOCK));
    if (my->writes && n->lots[1] % 2 == 0) {
        downgrade(&my->writes);
        await(my->rc, run(n->children[0], me, held | HOLDS_RWLOCK));
    }
    return my->rc;
}

static void take_permits(size_t which, size_t count)
{
    world.out_counts[which] += count;
    EXPECT(world.out_counts[which] <= world.semaphores[which].bound_count);
}

static void give_permits(size_t which, size_t count)
{
    EXPECT(world.out_counts[which] >= count);
    world.out_counts[which] -= count;
    coil_semaphore_release(&world.semaphores[which], count);
}

async(int, run_semaphore, (node *) n, (env *) me, (unsigned) held, (size_t) which)
{
    vars(line_entry entry; int rc; size_t count);
    my->count = 1 + n->lots[1] % world.semaphores[which].bound_count;
    line_enter(&world.semaphore_lines[which], &my->entry, coil_self, my->count);
    defer(line_leave(&my->entry));
    if (my->count == 1)
        await(my->rc, coil_semaphore_acquire(&world.semaphores[which]));
    else
        await(my->rc, coil_semaphore_acquire_many(&world.semaphores[which], my->count));
    line_served(&world.semaphore_lines[which], &my->entry);
    EXPECT(my->rc == 0);
    take_permits(which, my->count);
    defer(give_permits(which, my->count));
    await(my->rc, run(n->children[0], me, held));
    return my->rc;
}

/* At most one at a time, and none after one that has succeeded. */
async(int, run_once, (node *) n, (env *) me, (unsigned) held, (size_t) which)
{
    vars(line_entry entry; int rc);
    if (held & (HOLDS_ONCE << which))
        return 0;
    line_enter(&world.once_lines[which], &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(my->rc, coil_once_enter(&world.onces[which]));
    line_served(&world.once_lines[which], &my->entry);
    EXPECT((my->rc == 0) == world.once_done[which]);
    EXPECT(coil_once_is_done(&world.onces[which]) == world.once_done[which]);
    if (my->rc == 0)
        return 0;
    EXPECT(my->rc == 1 && !world.once_running[which]);
    world.once_running[which] = true;
    defer(world.once_running[which] = false);
    await(my->rc, run(n->children[0], me, held | (HOLDS_ONCE << which)));
    if (my->rc < 0 || n->lots[1] % 2)
        return my->rc < 0 ? my->rc : -EDOM;
    world.once_done[which] = true;
    coil_once_done(&world.onces[which]);
    return 0;
}

/* ----------------------------------------------------------------------------- a condition -- */

async(int, wait_for_ticket)
{
    vars(line_entry entry; int rc);
    line_enter(&world.condition_line, &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    /* Whoever waits does not own the mutex, whoever comes back does. */
    world.mutex_holders[0]--;
    defer(enter_mutex(0); EXPECT(world.mutexes[0].owner == coil_self));
    await(my->rc, coil_condition_wait(&world.condition));
    return my->rc;
}

/* Tickets are handed out under the mutex of the condition. */
async(int, run_condition, (node *) n, (unsigned) held)
{
    vars(line_entry entry; int rc);
    if (held & HOLDS_MUTEX)
        return 0;
    line_enter(&world.mutex_lines[0], &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    attempt(coil_mutex_lock(&world.mutexes[0]));
    line_served(&world.mutex_lines[0], &my->entry);
    enter_mutex(0);
    defer(leave_mutex(0));
    while (world.tickets == 0) {
        if (n->lots[0] % 2)
            await(my->rc, wait_for_ticket());
        else
            await(my->rc, within(briefly(n->lots[1]), wait_for_ticket()));
        EXPECT(my->rc == 0 || my->rc == -ETIME);
        EXPECT(world.mutex_holders[0] == 1);
        if (my->rc < 0)
            return -EIO;
    }
    world.tickets--;
    return 0;
}

static void notify(unsigned lot)
{
    int count = 1 + (int)(lot % 2);
    world.tickets += count;
    if (lot % 5 == 0)
        coil_condition_notify_all(&world.condition);
    else
        coil_condition_notify(&world.condition, (size_t)count);
}

/* -------------------------------------------------------------------------- barrier and others */

/* Of each phase every index comes out once. */
async(int, run_barrier)
{
    vars(line_entry entry; int index);
    line_enter(&world.barrier_line, &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(my->index, coil_barrier_wait(&world.barrier));
    if (my->index == -EPIPE)
        return -EPIPE;
    EXPECT(my->index >= 0 && my->index < world.barrier.party_count);
    world.released_counts[my->index]++;
    return 0;
}

async(int, run_latch)
{
    vars(line_entry entry);
    line_enter(&world.latch_line, &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(coil_latch_wait(&world.latch));
    line_served(&world.latch_line, &my->entry);
    return 0;
}

static void move_latch(unsigned lot)
{
    if (lot % 3 == 0)
        coil_latch_add(&world.latch, 1 + lot % 2);
    else if (world.latch.count > 0)
        coil_latch_count_down(&world.latch, 1 + lot % world.latch.count);
}

async(int, run_event)
{
    vars(line_entry entry);
    line_enter(&world.event_line, &my->entry, coil_self, 1);
    defer(line_leave(&my->entry));
    await(coil_event_wait(&world.event));
    line_served(&world.event_line, &my->entry);
    return 0;
}

static void move_event(unsigned lot)
{
    if (lot % 4 > 0)
        coil_event_set(&world.event);
    if (lot % 3 > 0)
        coil_event_clear(&world.event);
}

/* Never more than the bucket had and what has come since. */
static void count_tokens(uint64_t count)
{
    uint64_t since_ns = (uint64_t)(world.sched.now - world.limiter_start);
    world.token_count += count;
    EXPECT(world.token_count <= RATE_BURST + since_ns * RATE_PER_MS / 1000000);
}

async(int, run_rate, (uint64_t) count)
{
    vars(line_entry entry; int rc);
    if (count <= RATE_BURST)
        line_enter(&world.limiter_line, &my->entry, coil_self, count);
    else
        coil_list_init(&my->entry.link);
    defer(line_leave(&my->entry));
    await(my->rc, coil_rate_limiter_acquire(&world.limiter, count));
    EXPECT(my->rc == (count > RATE_BURST ? -EMSGSIZE : 0));
    if (my->rc < 0)
        return 0;
    line_served(&world.limiter_line, &my->entry);
    count_tokens(count);
    return 0;
}

/* ------------------------------------------------------------------------------- all of it -- */

static void reset_barrier(unsigned lot)
{
    if (lot % 4 == 0)
        coil_barrier_abort(&world.barrier);
    else if (lot % 4 == 1 || world.barrier.broken)
        coil_barrier_reset(&world.barrier);
}

void help_waiters(void)
{
    unsigned lot = toss(60);
    switch (toss(4)) {
    case 0:
        notify(lot);
        break;
    case 1:
        reset_barrier(lot);
        break;
    case 2:
        move_latch(lot);
        break;
    default:
        move_event(lot);
        break;
    }
}

coil_define(int, run_wait, (node *) n, (env *) me, (unsigned) held)
{
    vars(int rc);
    switch (n->kind) {
    case DO_MUTEX:
        await(my->rc, run_mutex(n, me, held, n->lots[0] % MUTEXES));
        break;
    case DO_RWLOCK:
        await(my->rc, run_rwlock(n, me, held));
        break;
    case DO_SEMAPHORE:
        await(my->rc, run_semaphore(n, me, held, n->lots[0] % SEMAPHORES));
        break;
    case DO_ONCE:
        await(my->rc, run_once(n, me, held, n->lots[0] % ONCES));
        break;
    case DO_CONDITION_WAIT:
        await(my->rc, run_condition(n, held));
        break;
    case DO_CONDITION_NOTIFY:
        notify(n->lots[0]);
        break;
    case DO_BARRIER:
        await(my->rc, run_barrier());
        break;
    case DO_BARRIER_RESET:
        reset_barrier(n->lots[0]);
        break;
    case DO_LATCH_WAIT:
        await(my->rc, run_latch());
        break;
    case DO_LATCH_MOVE:
        move_latch(n->lots[0]);
        break;
    case DO_EVENT_WAIT:
        await(my->rc, run_event());
        break;
    case DO_EVENT_MOVE:
        move_event(n->lots[0]);
        break;
    case DO_RATE:
        await(my->rc, run_rate(1 + n->lots[0] % (RATE_BURST + 1)));
        break;
    default:
        broken("a kind that waits", __FILE__, __LINE__);
    }
    return my->rc;
}
