/* SPDX-License-Identifier: MIT */
#include <coil/rate_limiter.h>

#include <coil/check.h>
#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>

/*
 * The bucket is known by the instant at which it will be full ("generic cell rate algorithm"). In
 * ticks of 1 / token_count of a nanosecond all is integer: a token is `per` ticks. The products
 * have at most 63 + 32 bits.
 */
__extension__ typedef __int128 ticks;

typedef struct taker {
    coil_waiter waiter;
    coil_rate_limiter *limiter;
    uint64_t count;
} taker;

static ticks ticks_of(const coil_rate_limiter *limiter, coil_time time)
{
    return (ticks)time * (ticks)limiter->token_count;
}

static ticks full_at(const coil_rate_limiter *limiter)
{
    return ticks_of(limiter, limiter->full_at) + limiter->full_part;
}

/* When the bucket, which is full at `full`, holds or held `count` tokens: that much earlier. */
static ticks holds_at(const coil_rate_limiter *limiter, ticks full, uint64_t count)
{
    return full - (ticks)(limiter->burst_count - count) * limiter->per;
}

/* Never early: the first nanosecond that is not before `when`. */
static coil_time time_of(const coil_rate_limiter *limiter, ticks when)
{
    ticks time = when / (ticks)limiter->token_count;

    if (when % (ticks)limiter->token_count > 0)
        time++;
    return time > COIL_NEVER ? COIL_NEVER : (coil_time)time;
}

static void set_full_at(coil_rate_limiter *limiter, ticks full)
{
    ticks time = full / (ticks)limiter->token_count;
    ticks part = full % (ticks)limiter->token_count;

    if (part < 0) {
        part += (ticks)limiter->token_count;
        time--;
    }
    COIL_CHECK(time < COIL_NEVER);
    limiter->full_at = (coil_time)time;
    limiter->full_part = (uint64_t)part;
}

static void take(coil_rate_limiter *limiter, uint64_t count)
{
    set_full_at(limiter, full_at(limiter) + (ticks)count * limiter->per);
}

/* Give the first in the queue what has come, or have the timer do so. */
static void serve(coil_rate_limiter *limiter)
{
    coil_waiter *first;

    while ((first = coil_waiter_first(&limiter->waiters)) != NULL) {
        uint64_t count = coil_container_of(first, taker, waiter)->count;
        coil_time due = time_of(limiter, holds_at(limiter, full_at(limiter), count));
        if (due > coil_sched_now(limiter->sched)) {
            coil_timer_arm(&limiter->sched->wheel, &limiter->timer, due);
            return;
        }
        take(limiter, count);
        coil_waiter_grant(first, 0);
    }
    coil_timer_disarm(&limiter->sched->wheel, &limiter->timer);
}

static void serve_in_time(coil_timer *timer)
{
    serve(coil_container_of(timer, coil_rate_limiter, timer));
}

void coil_rate_limiter_init(coil_rate_limiter *limiter, coil_sched *sched, uint64_t token_count,
        coil_duration per, uint64_t burst_count)
{
    COIL_CHECK(sched != NULL);
    COIL_CHECK(token_count > 0 && token_count <= UINT32_MAX);
    COIL_CHECK(burst_count > 0 && burst_count <= UINT32_MAX);
    COIL_CHECK(per > 0);
    COIL_CHECK((ticks)burst_count * per / (ticks)token_count <= COIL_FOREVER / 2);
    limiter->sched = sched;
    limiter->token_count = token_count;
    limiter->per = per;
    limiter->burst_count = burst_count;
    limiter->full_at = coil_sched_now(sched);
    limiter->full_part = 0;
    coil_timer_init(&limiter->timer, serve_in_time);
    coil_list_init(&limiter->waiters);
}

void coil_rate_limiter_fini(coil_rate_limiter *limiter)
{
    COIL_CHECK(coil_list_empty(&limiter->waiters));
    COIL_CHECK(!coil_timer_armed(&limiter->timer));
}

int coil_rate_limiter_try_acquire(coil_rate_limiter *limiter, uint64_t count)
{
    ticks now = ticks_of(limiter, coil_sched_now(limiter->sched));

    if (count > limiter->burst_count)
        return -EMSGSIZE;
    if (!coil_list_empty(&limiter->waiters))
        return -EAGAIN;
    if (full_at(limiter) < now)
        set_full_at(limiter, now); /* It has been full since, and gets no fuller. */
    if (holds_at(limiter, full_at(limiter), count) > now)
        return -EAGAIN;
    take(limiter, count);
    return 0;
}

coil_time coil_rate_limiter_ready_at(const coil_rate_limiter *limiter, uint64_t count)
{
    coil_time now = coil_sched_now(limiter->sched);
    ticks full = full_at(limiter);

    if (count > limiter->burst_count)
        return COIL_NEVER;
    if (full < ticks_of(limiter, now))
        full = ticks_of(limiter, now);
    for (coil_list *link = limiter->waiters.next; link != &limiter->waiters; link = link->next)
        full += (ticks)coil_container_of(link, taker, waiter.link)->count * limiter->per;
    coil_time due = time_of(limiter, holds_at(limiter, full, count));
    return due < now ? now : due;
}

static coil_turn acquire_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_rate_limiter *limiter = coil_arguments(coil_rate_limiter_acquire, leaf)->limiter;
    uint64_t count = coil_arguments(coil_rate_limiter_acquire, leaf)->count;
    int rc = coil_rate_limiter_try_acquire(limiter, count);
    if (rc != -EAGAIN) {
        coil_result(coil_rate_limiter_acquire, leaf) = rc;
        return coil_leave(task, leaf);
    }
    taker *waiting = coil_push(task, sizeof(*waiting));
    waiting->limiter = limiter;
    waiting->count = count;
    coil_turn turn = coil_waiter_suspend(&waiting->waiter, &limiter->waiters, task, leaf);
    if (coil_waiter_first(&limiter->waiters) == &waiting->waiter)
        serve(limiter); /* Not yet: it arms the timer. */
    return turn;
}

/* Those behind may get by with less. */
static void acquire_cancel(coil_task *task, coil_frame *leaf)
{
    const taker *waiting = coil_container_of((coil_waiter *)leaf->vars, taker, waiter);

    (void)task;
    if (coil_waiter_withdraw(leaf))
        serve(waiting->limiter);
}

coil_define_leaf(coil_rate_limiter_acquire, acquire_step, acquire_cancel);
