/* SPDX-License-Identifier: MIT */
/*
 * A slot is found from the bits of a deadline alone. Let a tick be 2^16 ns and write the ticks of
 * the deadline and of the present in base 64: the highest digit in which they differ is the level,
 * the deadline's digit there is the slot. Three facts follow, and the code below rests on them:
 *
 *   1. On each level only slots above the present's own digit are occupied (on level 0 also the
 *      present's own, which holds what is overdue as well). No slot ever wraps around.
 *   2. Everything on a level is due before anything on the level above.
 *   3. Timers of equal deadline are always in the same slot, in the order in which they were armed:
 *      the slot depends on nothing else, and a slot is opened as soon as time enters it, before
 *      anybody can arm again. So a stable sort by deadline is all that the order of firing needs;
 *      no sequence number.
 *
 * A slot of a high level may hold 100,000 timers, all of them long gone from the cache when time
 * enters it. To follow one list is to wait for memory once per timer, so a slot is split into eight
 * lanes by the low bits of the tick, and opening it follows the eight lists side by side. Fact 3
 * holds for lanes as it does for slots. On level 0 all of a slot is one tick: there its lanes are
 * the eighths of the tick, in order, and what is overdue is in the first.
 *
 * Most of the time nothing is due. The wheel knows a time before which that is so, and until then
 * only looks at the clock: the present of the slots stays behind. All of the above is relative to
 * that present, and so is what is armed meanwhile.
 */
#include <coil/timer.h>

#include <coil/check.h>

#include <string.h>

#define TICK_BITS 16
#define DIGIT_BITS 6
#define DIGIT_MASK (COIL_TIMER_SLOTS - 1)

/* How many timers of a slot next() looks at before it settles for the start of the slot. */
#define PEEK_MAX 8

/* So many timers in a slot are spread before they are sorted. */
#define CROWD 64

/* The parts of a tick. */
#define PART_BITS 10
#define PARTS (1 << (TICK_BITS - PART_BITS))

/* What becomes due at once is fired in portions of four ticks: 262 us. */
#define PORTION_MASK 3

/* Bin i of the sort holds 2^i runs, so 48 of them are more than memory can hold. */
#define SORT_BINS 48

static_assert(COIL_TIMER_LANES == 1 << 3, "a lane of level 0 is an eighth");
static_assert(COIL_TIMER_SLOTS == 1 << DIGIT_BITS, "a slot number is one digit");
static_assert(TICK_BITS + COIL_TIMER_LEVELS * DIGIT_BITS == 64, "the levels hold every deadline");
static_assert(sizeof(coil_timer) <= 32, "two timers fit in one cache line");

static coil_timer *timer_of(coil_list *link)
{
    return coil_container_of(link, coil_timer, link);
}

static const coil_timer *const_timer_of(const coil_list *link)
{
    return (const coil_timer *)(const void *)((const char *)link - offsetof(coil_timer, link));
}

/* Flipping the sign bit makes the order of int64 that of uint64, so negative times are no case. */
static uint64_t tick_of(coil_time time)
{
    return ((uint64_t)time ^ (UINT64_C(1) << 63)) >> TICK_BITS;
}

static coil_time tick_start(uint64_t tick)
{
    return (coil_time)(tick << TICK_BITS ^ (UINT64_C(1) << 63));
}

/* The highest digit in which two ticks differ; 0 if they are equal. */
static unsigned level_between(uint64_t tick, uint64_t other)
{
    return (63 - (unsigned)__builtin_clzll((tick ^ other) | 1)) / DIGIT_BITS;
}

static unsigned digit_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> level * DIGIT_BITS) & DIGIT_MASK;
}

static uint64_t occupied_slots(const coil_timer_wheel *wheel, unsigned level)
{
    uint64_t occupied = 0;
    for (unsigned lane = 0; lane < COIL_TIMER_LANES; lane++)
        occupied |= wheel->occupied[level][lane];
    return occupied;
}

void coil_timer_wheel_init(coil_timer_wheel *wheel, coil_time now)
{
    wheel->now = now;
    wheel->present = now;
    wheel->quiet = COIL_NEVER;
    wheel->quiet_end = COIL_NEVER;
    wheel->quiet_is_exact = true;
    wheel->advancing = false;
    wheel->levels = 0;
    coil_list_init(&wheel->due);
    coil_list_init(&wheel->late);
    memset(wheel->occupied, 0, sizeof(wheel->occupied));
    for (unsigned level = 0; level < COIL_TIMER_LEVELS; level++) {
        for (unsigned list = 0; list < COIL_TIMER_LANES * COIL_TIMER_SLOTS; list++)
            coil_list_init(&wheel->slots[level][0][0] + list);
    }
}

void coil_timer_init(coil_timer *timer, void (*fire)(coil_timer *timer))
{
    COIL_CHECK(fire != NULL);
    coil_list_init(&timer->link);
    timer->deadline = COIL_NEVER;
    timer->fire = fire;
}

/* The eighth of its tick in which a time lies. */
static unsigned eighth_of(coil_time time)
{
    return (unsigned)((uint64_t)time >> (TICK_BITS - 3)) % COIL_TIMER_LANES;
}

/* Put an unlinked timer into its slot. What is overdue goes where the present is. */
static inline void place(coil_timer_wheel *wheel, coil_timer *timer)
{
    uint64_t present = tick_of(wheel->present);
    uint64_t tick = timer->deadline > wheel->present ? tick_of(timer->deadline) : present;
    unsigned level = level_between(tick, present);
    unsigned slot = digit_of(tick, level);
    unsigned lane = tick % COIL_TIMER_LANES;
    if (coil_unlikely(level == 0))
        lane = timer->deadline > wheel->present ? eighth_of(timer->deadline) : 0;

    coil_list_append(&wheel->slots[level][slot][lane], &timer->link);
    wheel->occupied[level][lane] |= UINT64_C(1) << slot;
    wheel->levels |= (uint8_t)(1U << level);
}

/* Only the last timer of a list has the same neighbour on both sides, and that is the list. */
static void unlink_timer(coil_timer_wheel *wheel, coil_timer *timer)
{
    coil_list *neighbour = timer->link.next;
    bool last = neighbour == timer->link.prev;

    coil_list_remove(&timer->link);
    if (!last || neighbour == &wheel->due || neighbour == &wheel->late)
        return;

    size_t list = ((uintptr_t)neighbour - (uintptr_t)wheel->slots) / sizeof(coil_list);
    size_t lane = list % COIL_TIMER_LANES;
    size_t slot = list / COIL_TIMER_LANES % COIL_TIMER_SLOTS;
    size_t level = list / COIL_TIMER_LANES / COIL_TIMER_SLOTS;
    COIL_CHECK(level < COIL_TIMER_LEVELS); /* Else it was armed on another wheel. */
    wheel->occupied[level][lane] &= ~(UINT64_C(1) << slot);
}

static inline void place_and_tell(coil_timer_wheel *wheel, coil_timer *timer)
{
    place(wheel, timer);
    if (timer->deadline < wheel->quiet) {
        wheel->quiet = timer->deadline;
        wheel->quiet_end = timer->deadline;
        wheel->quiet_is_exact = true;
    }
}

void coil_timer_arm(coil_timer_wheel *wheel, coil_timer *timer, coil_time deadline)
{
    coil_timer_disarm(wheel, timer);
    timer->deadline = deadline;
    if (deadline == COIL_NEVER)
        return;
    if (coil_unlikely(wheel->advancing) && deadline <= wheel->now) {
        coil_list_append(&wheel->late, &timer->link);
        return;
    }
    place_and_tell(wheel, timer);
}

void coil_timer_disarm(coil_timer_wheel *wheel, coil_timer *timer)
{
    if (!coil_timer_armed(timer))
        return;
    unlink_timer(wheel, timer);
    if (timer->deadline <= wheel->quiet_end)
        wheel->quiet_is_exact = false;
}

/* With which tick a slot begins. */
static uint64_t slot_tick(const coil_timer_wheel *wheel, unsigned level, unsigned slot)
{
    unsigned shift = level * DIGIT_BITS;
    uint64_t present = tick_of(wheel->present);
    return ((present >> shift & ~(uint64_t)DIGIT_MASK) | slot) << shift;
}

/*
 * When to wake up for an occupied slot: its earliest deadline, or its start if it is crowded. That
 * holds until a timer is disarmed whose deadline is at or before `*out_end`.
 */
static coil_time slot_next(
        const coil_timer_wheel *wheel, unsigned level, unsigned slot, coil_time *out_end)
{
    unsigned shift = level * DIGIT_BITS;
    uint64_t present = tick_of(wheel->present);
    uint64_t tick = slot_tick(wheel, level, slot);
    uint64_t last_tick = tick | ((UINT64_C(1) << shift) - 1);

    /* Past its start only the exact deadline is progress; the start would be an endless loop. */
    bool entered = tick == present;
    unsigned looked_at = 0;
    coil_time earliest = COIL_NEVER;
    for (unsigned lane = 0; lane < COIL_TIMER_LANES; lane++) {
        const coil_list *timers = &wheel->slots[level][slot][lane];
        for (const coil_list *link = timers->next; link != timers; link = link->next) {
            if (!entered && looked_at++ == PEEK_MAX) {
                *out_end = tick_start(last_tick) + ((1 << TICK_BITS) - 1);
                return tick_start(tick);
            }
            if (const_timer_of(link)->deadline < earliest)
                earliest = const_timer_of(link)->deadline;
        }
    }
    return *out_end = earliest;
}

/* When to wake up for what is in the slots. */
static coil_time slots_next(coil_timer_wheel *wheel, coil_time *out_end)
{
    while (wheel->levels != 0) {
        unsigned level = (unsigned)__builtin_ctz(wheel->levels);
        uint64_t occupied = occupied_slots(wheel, level);
        if (occupied != 0)
            return slot_next(wheel, level, (unsigned)__builtin_ctzll(occupied), out_end);
        wheel->levels &= (uint8_t) ~(1U << level);
    }
    return *out_end = COIL_NEVER;
}

static void find_quiet(coil_timer_wheel *wheel)
{
    wheel->quiet = slots_next(wheel, &wheel->quiet_end);
    wheel->quiet_is_exact = true;
}

/* Inside fire() the rest of this advance counts too, and what has been armed too late for it. */
static coil_time find_next_of_advance(coil_timer_wheel *wheel)
{
    coil_time next = wheel->quiet;
    if (!coil_list_empty(&wheel->due) && const_timer_of(wheel->due.next)->deadline < next)
        next = const_timer_of(wheel->due.next)->deadline;
    for (const coil_list *link = wheel->late.next; link != &wheel->late; link = link->next) {
        if (const_timer_of(link)->deadline < next)
            next = const_timer_of(link)->deadline;
    }
    return next;
}

static COIL_NOINLINE coil_time find_next(coil_timer_wheel *wheel)
{
    if (!wheel->quiet_is_exact)
        find_quiet(wheel);
    return wheel->advancing ? find_next_of_advance(wheel) : wheel->quiet;
}

coil_time coil_timer_wheel_next(coil_timer_wheel *wheel)
{
    if (coil_likely(wheel->quiet_is_exact && !wheel->advancing))
        return wheel->quiet;
    return find_next(wheel);
}

/* While it is sorted, a list is a chain: linked by `next` alone, NULL at the end. */
static coil_list *detach_chain(coil_list *list)
{
    coil_list *first = list->next;
    list->prev->next = NULL;
    coil_list_init(list);
    return first;
}

static void append_chain(coil_list *list, coil_list *chain)
{
    while (chain != NULL) {
        coil_list *next = chain->next;
        coil_list_append(list, chain);
        chain = next;
    }
}

/* Cut the part that is in order off the front of `*chain`. Most slots are one such run. */
static coil_list *take_run(coil_list **chain)
{
    coil_list *first = *chain;
    coil_list *last = first;
    while (last->next != NULL && timer_of(last)->deadline <= timer_of(last->next)->deadline)
        last = last->next;

    *chain = last->next;
    last->next = NULL;
    return first;
}

/* Of equal deadlines those of `older` come first. */
static coil_list *merge(coil_list *older, coil_list *newer)
{
    coil_list *merged = NULL;
    coil_list **end = &merged;
    while (older != NULL && newer != NULL) {
        coil_list **least = timer_of(newer)->deadline < timer_of(older)->deadline ? &newer : &older;
        coil_list *link = *least;
        *least = link->next;
        *end = link;
        end = &link->next;
    }
    *end = older != NULL ? older : newer;
    return merged;
}

/* A stable merge sort of natural runs, without recursion: the bins count runs in binary. */
static coil_list *sort_chain(coil_list *chain)
{
    coil_list *run = take_run(&chain);
    if (chain == NULL)
        return run;

    coil_list *bins[SORT_BINS] = {run};
    while (chain != NULL) {
        unsigned bin = 0;
        run = take_run(&chain);
        for (; bins[bin] != NULL; bin++) {
            run = merge(bins[bin], run);
            bins[bin] = NULL;
        }
        bins[bin] = run;
    }

    coil_list *sorted = NULL;
    for (unsigned bin = 0; bin < SORT_BINS; bin++)
        sorted = merge(bins[bin], sorted);
    return sorted;
}

/* Empty a slot. Return how many chains it was; unsorted, in the order of arming. */
static unsigned take_slot(coil_timer_wheel *wheel, unsigned level, unsigned slot,
        coil_list *out_chains[COIL_TIMER_LANES])
{
    unsigned count = 0;
    for (unsigned lane = 0; lane < COIL_TIMER_LANES; lane++) {
        if ((wheel->occupied[level][lane] >> slot & 1) == 0)
            continue;
        wheel->occupied[level][lane] &= ~(UINT64_C(1) << slot);
        out_chains[count++] = detach_chain(&wheel->slots[level][slot][lane]);
    }
    return count;
}

/*
 * Take a timer off one of the chains, each in its turn: while its successor is on its way from
 * memory, the others are looked at.
 */
static inline coil_timer *take_by_turns(coil_list **chains, unsigned *turn, unsigned *count)
{
    coil_timer *timer = timer_of(chains[*turn]);
    __builtin_prefetch(timer->link.next, /* for writing= */ 1);
    chains[*turn] = timer->link.next;
    if (chains[*turn] == NULL)
        chains[*turn] = chains[--*count];
    *turn = *turn + 1 < *count ? *turn + 1 : 0;
    return timer;
}

/* The present lies in this slot: make due what is, and spread the rest over the levels below. */
static void open_slot(coil_timer_wheel *wheel, unsigned level, unsigned slot)
{
    coil_list expired;
    coil_list_init(&expired);

    coil_list *chains[COIL_TIMER_LANES];
    unsigned count = take_slot(wheel, level, slot, chains);
    unsigned turn = 0;
    while (count > 0) {
        coil_timer *timer = take_by_turns(chains, &turn, &count);
        if (timer->deadline <= wheel->present) {
            coil_list_append(&expired, &timer->link);
        } else {
            place(wheel, timer);
        }
    }
    if (!coil_list_empty(&expired))
        append_chain(&wheel->due, sort_chain(detach_chain(&expired)));
}

static bool is_crowded(const coil_timer_wheel *wheel, unsigned level, unsigned slot)
{
    unsigned count = 0;
    for (unsigned lane = 0; lane < COIL_TIMER_LANES; lane++) {
        const coil_list *timers = &wheel->slots[level][slot][lane];
        for (const coil_list *link = timers->next; link != timers; link = link->next) {
            if (++count == CROWD)
                return true;
        }
    }
    return false;
}

static void sort_slot(coil_timer_wheel *wheel, unsigned level, unsigned slot)
{
    coil_list *chains[COIL_TIMER_LANES];
    unsigned count = take_slot(wheel, level, slot, chains);
    coil_list *sorted = NULL;
    while (count > 0)
        sorted = merge(sorted, sort_chain(chains[--count]));
    append_chain(&wheel->due, sorted);
}

/* A crowd on level 0: spread it over a microsecond each, and sort these. */
static void sort_crowd(coil_timer_wheel *wheel, unsigned slot)
{
    const coil_time start = tick_start(slot_tick(wheel, 0, slot));
    coil_list *chains[COIL_TIMER_LANES];
    coil_list parts[PARTS];

    for (unsigned part = 0; part < PARTS; part++)
        coil_list_init(&parts[part]);
    unsigned count = take_slot(wheel, 0, slot, chains);
    unsigned turn = 0;
    while (count > 0) {
        coil_timer *timer = take_by_turns(chains, &turn, &count);
        coil_time deadline = timer->deadline;
        size_t part = deadline < start ? 0 : (size_t)((uint64_t)(deadline - start) >> PART_BITS);
        coil_list_append(&parts[part < PARTS ? part : PARTS - 1], &timer->link);
    }
    for (unsigned part = 0; part < PARTS; part++) {
        if (!coil_list_empty(&parts[part]))
            append_chain(&wheel->due, sort_chain(detach_chain(&parts[part])));
    }
}

/*
 * The slots of `level` in the set `slots` lie wholly in the past: make all their timers due. To
 * sort a crowd would be to go through memory again and again; so time passes slot by slot, and the
 * crowd is spread over the levels below, which are empty by then.
 */
static void expire_slots(coil_timer_wheel *wheel, unsigned level, uint64_t slots)
{
    uint64_t expired = occupied_slots(wheel, level) & slots;
    for (; expired != 0; expired &= expired - 1) {
        unsigned slot = (unsigned)__builtin_ctzll(expired);
        if (!is_crowded(wheel, level, slot)) {
            sort_slot(wheel, level, slot);
            continue;
        }
        if (level == 0) {
            sort_crowd(wheel, slot);
            continue;
        }
        wheel->present = tick_start(slot_tick(wheel, level, slot));
        open_slot(wheel, level, slot);
        for (unsigned below = 0; below < level; below++)
            expire_slots(wheel, below, UINT64_MAX);
    }
}

/* Move the present to `now`. What becomes due is collected from the earliest slot to the last. */
static void collect(coil_timer_wheel *wheel, coil_time now)
{
    COIL_CHECK(now >= wheel->present);
    uint64_t tick = tick_of(now);
    unsigned level = level_between(tick, tick_of(wheel->present));
    unsigned slot = digit_of(tick, level);

    for (unsigned below = 0; below < level; below++)
        expire_slots(wheel, below, UINT64_MAX);
    expire_slots(wheel, level, (UINT64_C(1) << slot) - 1);

    wheel->present = now;
    open_slot(wheel, level, slot);
}

/*
 * How far to go before what has become due is fired. A crowded slot is opened when it begins: what
 * is due by then is sorted, the rest is spread. Else it is a portion from the first that is due on,
 * as a thousand times as many would have left the cache until their turn comes.
 */
static coil_time portion_end(const coil_timer_wheel *wheel)
{
    coil_time first = wheel->quiet > wheel->present ? wheel->quiet : wheel->present;
    if (wheel->quiet_end > wheel->quiet)
        return first;
    uint64_t tick = tick_of(first) | PORTION_MASK;
    return tick < tick_of(wheel->now) ? tick_start(tick + 1) - 1 : wheel->now;
}

static unsigned fire_portion(coil_timer_wheel *wheel)
{
    unsigned fired = 0;
    collect(wheel, portion_end(wheel));
    find_quiet(wheel);
    for (coil_list *link; (link = coil_list_take_first(&wheel->due)) != NULL; fired++) {
        coil_timer *timer = timer_of(link);
        timer->fire(timer);
    }
    return fired;
}

/* Also where nothing is due any more: a slot may have to be opened. */
static COIL_NOINLINE unsigned fire_due(coil_timer_wheel *wheel)
{
    unsigned fired = 0;
    COIL_CHECK(coil_list_empty(&wheel->due));
    wheel->advancing = true;
    while (wheel->quiet <= wheel->now && !coil_timer_wheel_rests(wheel))
        fired += fire_portion(wheel);
    wheel->advancing = false;

    for (coil_list *link; (link = coil_list_take_first(&wheel->late)) != NULL;)
        place_and_tell(wheel, timer_of(link));
    return fired;
}

unsigned coil_timer_wheel_advance(coil_timer_wheel *wheel, coil_time now)
{
    COIL_CHECK(!wheel->advancing);

    if (now > wheel->now)
        wheel->now = now;
    if (coil_likely(wheel->now < wheel->quiet))
        return 0;
    return fire_due(wheel);
}
