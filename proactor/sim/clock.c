/* SPDX-License-Identifier: MIT */
/* The virtual clock: a heap of events, ordered by time, then by chance. */
#include "clock.h"

static bool is_before(const sim_event *left, const sim_event *right)
{
    if (left->time != right->time)
        return left->time < right->time;
    if (left->tie != right->tie)
        return left->tie < right->tie;
    return left->sequence < right->sequence;
}

static void put(sim_world *world, size_t place, sim_event *event)
{
    world->heap[place] = event;
    event->place = place;
}

static void sift_up(sim_world *world, size_t place, sim_event *event)
{
    for (; place > 1 && is_before(event, world->heap[place / 2]); place /= 2)
        put(world, place, world->heap[place / 2]);
    put(world, place, event);
}

static void sift_down(sim_world *world, size_t place, sim_event *event)
{
    for (size_t child = 2 * place; child <= world->heap_count; child = 2 * place) {
        if (child < world->heap_count && is_before(world->heap[child + 1], world->heap[child]))
            child++;
        if (!is_before(world->heap[child], event))
            break;
        put(world, place, world->heap[child]);
        place = child;
    }
    put(world, place, event);
}

coil_time sim_now(const sim_world *world)
{
    return world->now;
}

void sim_at(sim_world *world, coil_time time, sim_event *event)
{
    SIM_CHECK(world, event->place == 0, "an event is scheduled twice");
    if (world->heap_count + 1 >= world->heap_room) {
        world->heap_room = world->heap_room == 0 ? 64 : 2 * world->heap_room;
        world->heap = sim_grown(world->heap, world->heap_room * sizeof(*world->heap));
    }
    event->time = time > world->now ? time : world->now;
    event->tie = sim_random_next(&world->random);
    event->sequence = ++world->sequence;
    world->heap_count++;
    sift_up(world, world->heap_count, event);
}

void sim_after(sim_world *world, coil_duration delay, sim_event *event)
{
    if (delay != COIL_FOREVER)
        sim_at(world, coil_time_after(world->now, delay), event);
}

void sim_withdraw(sim_world *world, sim_event *event)
{
    const size_t place = event->place;
    if (place == 0)
        return;
    event->place = 0;
    sim_event *last = world->heap[world->heap_count--];
    if (last == event)
        return;
    if (is_before(last, event)) {
        sift_up(world, place, last);
    } else {
        sift_down(world, place, last);
    }
}

coil_time clock_next(const sim_world *world)
{
    return world->heap_count == 0 ? COIL_NEVER : world->heap[1]->time;
}

void clock_run_due(sim_world *world)
{
    while (clock_next(world) <= world->now) {
        sim_event *event = world->heap[1];
        sim_withdraw(world, event);
        event->run(event);
    }
}
