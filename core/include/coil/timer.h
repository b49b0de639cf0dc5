/* SPDX-License-Identifier: MIT */
/*
 * coil/timer.h - timers, and the wheel that knows which of them are due.
 *
 * A pure data structure: it is told the time, reads no clock and allocates nothing. A coil_timer is
 * embedded in the object that wants to be woken, and finds that object by coil_container_of():
 *
 *     unarmed --coil_timer_arm()--> armed --coil_timer_wheel_advance()--> unarmed, then fire(timer)
 *        ^                           |  ^
 *        +---coil_timer_disarm()-----+  +-- coil_timer_arm() moves it to another deadline
 *
 * Invariants:
 *
 *   - Never early: a timer fires when deadline <= now, to the nanosecond.
 *   - In order: what is due in one advance fires by deadline, equal deadlines in the order in which
 *     they were armed. To move an armed timer counts as arming it anew.
 *   - Once: a timer is unarmed before its fire() is called.
 *
 * How it works. Time is cut into slots of 65 us (2^16 ns), 64 slots make one slot of the level
 * above, and 16 + 8 * 6 = 64 bits: eight levels hold every int64 deadline, none is clamped. A timer
 * lives on the lowest level on which its deadline and the present still share the enclosing slot.
 * The wheel opens a slot when time enters it and spreads its timers over the levels below, so a
 * timer is moved at most seven times, whatever its deadline. A bitmap per level says which slots
 * are occupied; a jump over a century costs no more than the timers that it makes due.
 *
 *     level    0      1       2       3       4       5       6       7
 *     slot   65 us  4.2 ms  268 ms  17.2 s  18.3 min 19.5 h  52.1 d  9.1 years
 *
 * Sized for a million timers, most of which are disarmed and never fire. Not thread safe: a wheel
 * and its timers belong to one thread.
 */
#ifndef COIL_TIMER_H
#define COIL_TIMER_H

#include <coil/base.h>
#include <coil/list.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

#define COIL_TIMER_LEVELS 8
#define COIL_TIMER_SLOTS 64
#define COIL_TIMER_LANES 8

typedef struct coil_timer coil_timer;
typedef struct coil_timer_wheel coil_timer_wheel;

/*
 * The owner's memory. While it is armed, a timer must not be freed, moved or given to another
 * wheel. Change its fields only through the calls below.
 */
struct coil_timer {
    coil_list link;     /* Private. In a slot, or among those about to fire. */
    coil_time deadline; /* The last one armed for; meaningful while armed and inside fire(). */
    void (*fire)(coil_timer *timer);
};

/* 64 KiB of the caller's memory, which must not move. There is nothing to give back at the end. */
struct coil_timer_wheel {
    coil_time now; /* The latest instant that the wheel was told. Read only. */

    /* Private. A slot is a list per lane, each in order of arming; bit s: slot s has any. */
    coil_time present;   /* Slots are as they should be at this time, which may be before `now`. */
    coil_time quiet;     /* Nothing is due before this. */
    coil_time quiet_end; /* The same, or the end of the crowded slot that begins then. */
    bool quiet_is_exact; /* And something is, then; or, a crowded slot begins. */
    bool advancing;
    uint8_t levels; /* Bit l: level l may have occupied slots. */
    coil_list due;  /* About to fire, in order. */
    coil_list late; /* Armed inside fire(), for times that have come: of the next advance. */
    uint64_t occupied[COIL_TIMER_LEVELS][COIL_TIMER_LANES];
    coil_list slots[COIL_TIMER_LEVELS][COIL_TIMER_SLOTS][COIL_TIMER_LANES];
};

/* Make `wheel` empty at the time `now`, which may be any value. */
COIL_API void coil_timer_wheel_init(coil_timer_wheel *wheel, coil_time now);

/* Make `timer` unarmed. `fire` must not be NULL. Not for an armed timer: it would stay linked. */
COIL_API void coil_timer_init(coil_timer *timer, void (*fire)(coil_timer *timer));

/*
 * Have `timer` fire in the first advance that starts after this call and reaches `deadline`. O(1).
 *
 * A timer that is armed already moves to the new deadline. A deadline that has passed, or is now,
 * is due in the next advance. COIL_NEVER is the same as coil_timer_disarm(): what never fires is
 * not armed. Every other int64 is a deadline like any other.
 */
COIL_API void coil_timer_arm(coil_timer_wheel *wheel, coil_timer *timer, coil_time deadline);

/*
 * Have `timer` not fire. O(1). Does nothing to an unarmed timer, so it is safe in a destructor
 * after coil_timer_init(). `wheel` must be the one on which the timer was armed.
 *
 * A timer whose fire() has not been called yet can be disarmed even if it is due in the advance
 * that runs now; after this call its memory is the owner's again.
 */
COIL_API void coil_timer_disarm(coil_timer_wheel *wheel, coil_timer *timer);

/* Whether fire() is still to be called. False inside its own fire(), unless that armed it again. */
static inline bool coil_timer_armed(const coil_timer *timer)
{
    return coil_list_linked(&timer->link);
}

/*
 * The instant at which coil_timer_wheel_advance() next has something to do: how long to wait.
 * Never later than the earliest deadline; COIL_NEVER if no timer is armed. In the past if a timer
 * is overdue.
 *
 * It is the earliest deadline itself if the slot of that one has been entered or holds at most
 * eight timers, hence always for a lone timer. Otherwise it is the start of the slot, which may
 * have passed: a wake-up that may fire nothing, but opens a slot of nine or more. A
 * timer has at most COIL_TIMER_LEVELS such wake-ups before it, each shared with the others in the
 * slot, so a loop that waits for next() and advances to it always makes progress.
 *
 * The answer is kept until the earliest timer is disarmed, or one of the crowd. To find it again
 * costs O(levels), and inside the slot of 65 us that is the present O(timers in it).
 */
COIL_API coil_time coil_timer_wheel_next(coil_timer_wheel *wheel);

/*
 * Is no timer armed, for all that is known without looking? Then nothing is due at any time. Not
 * inside fire(): what is left of the advance does not count.
 */
static inline bool coil_timer_wheel_rests(const coil_timer_wheel *wheel)
{
    return wheel->quiet == COIL_NEVER;
}

/*
 * Tell the wheel that it is `now`, and fire every timer whose deadline has come, in order. Return
 * how many fired. A `now` before `wheel->now` counts as `wheel->now`: time does not run backwards.
 *
 * fire() may arm and disarm any timer of the wheel, its own and those about to fire included, and
 * may free the object around its own timer. A timer that is armed inside fire() fires in a later
 * advance even if its deadline has come, so that no timer can keep this call from returning.
 * fire() must not call coil_timer_wheel_advance() itself.
 *
 * Costs O(due timers + levels + slots that they are in + timers in the one slot that was entered).
 * Within a slot, due timers that were not armed in order of deadline are sorted: O(n log n). The
 * slot that was entered is the one lump: of a million timers spread over a minute, 280,000 are in
 * one slot of 17 s, and are moved in one call.
 */
COIL_API unsigned coil_timer_wheel_advance(coil_timer_wheel *wheel, coil_time now);

COIL_END_DECLS

#endif
