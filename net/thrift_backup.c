/* SPDX-License-Identifier: MIT */
#include <coil/thrift_backup.h>

#include <coil/group.h>
#include <coil/loop.h>
#include <coil/waiter.h>

#include <errno.h>

/* One of two calls for the same. */
typedef struct attempt {
    coil_thrift_invocation invocation;
    coil_list *host; /* Who waits for it. */
    int rc;
    bool is_over;
} attempt;

typedef struct race {
    attempt first;
    attempt second; /* Over from the start, if there is none. */
    const attempt *winner;
    coil_list host;
    coil_time begun_at;
    coil_retry purse; /* What pays for the second one. */
} race;

coil_async(int, run_attempt, (attempt *) one, (coil_thrift_channel *) next)
{
    coil_vars();

    coil_await(one->rc, coil_thrift_invoke(next, &one->invocation));
    one->is_over = true;
    coil_waiter_grant_all(one->host, 0);
    return 0;
}

/*
 * The caller's invocation once more, with what is left of its time. It has a result of its own:
 * both may be written. False: there is no time, or no room.
 */
static bool prepare_second(race *both, const coil_thrift_invocation *original, coil_duration spent)
{
    const coil_thrift_struct_schema *schema = original->method->result;
    coil_thrift_invocation *second = &both->second.invocation;

    if (original->timeout > 0 && spent >= original->timeout)
        return false;
    *second = *original;
    if (original->timeout > 0)
        second->timeout = original->timeout - spent;
    second->was_sent = false;
    second->via = 0;
    second->avoid = both->first.invocation.via; /* That one is slow. */
    if (original->result == NULL)
        return true;
    second->result = coil_arena_take(original->arena, schema->size_bytes, 16);
    if (second->result == NULL)
        return false;
    coil_thrift_init_value(schema, second->result);
    return true;
}

/* May there be a second call? Each first one pays for a part of it. */
static bool is_in_budget(coil_retry *purse)
{
    return coil_retry_next(purse, -EAGAIN) >= 0;
}

static bool has_answer(const attempt *one)
{
    return one->is_over && (one->rc >= 0 || one->rc == -EREMOTEIO);
}

static bool is_decided(const race *both)
{
    return has_answer(&both->first) || has_answer(&both->second) ||
           (both->first.is_over && both->second.is_over);
}

/* Whose outcome is the outcome. */
static const attempt *winner_of(const race *both)
{
    if (has_answer(&both->first) || !has_answer(&both->second))
        return &both->first;
    return &both->second;
}

/* Both have ended: nobody writes into a result any more. */
static int conclude(const race *both, coil_thrift_invocation *invocation)
{
    const coil_thrift_invocation *won = &both->winner->invocation;

    if (won->result != invocation->result)
        memcpy(invocation->result, won->result, invocation->method->result->size_bytes);
    invocation->exception = won->exception;
    invocation->via = won->via;
    return both->winner->rc;
}

/* Also if the calls were cancelled: it may have been carried out. */
static void tell_whether_sent(const race *both, coil_thrift_invocation *invocation)
{
    invocation->was_sent = both->first.invocation.was_sent || both->second.invocation.was_sent;
}

/* The second call. Without time or room for it, or a token, or memory, there is none. */
static void begin_second(coil_thrift_backup *self, race *both, coil_group *group,
        const coil_thrift_invocation *invocation)
{
    const coil_duration spent = coil_now() - both->begun_at;

    if (!prepare_second(both, invocation, spent) || !is_in_budget(&both->purse) ||
            coil_spawn(group, run_attempt(&both->second, self->next)) == NULL)
        return;
    self->backup_count++;
    both->second.is_over = false;
}

static void begin_race(
        race *both, const coil_thrift_backup *self, const coil_thrift_invocation *invocation)
{
    static const coil_retry_policy once = {.attempts = 2};

    coil_list_init(&both->host);
    both->begun_at = coil_now();
    coil_retry_init(&both->purse, &once, self->budget);
    coil_retry_begin(&both->purse);
    both->first = (attempt){.invocation = *invocation, .host = &both->host, .rc = -ENOMEM};
    both->first.invocation.was_sent = false;
    both->second = (attempt){.host = &both->host, .rc = -ENOMEM, .is_over = true};
}

coil_async(int, run_race, (coil_thrift_backup *) self, (coil_thrift_invocation *) invocation)
{
    coil_vars(coil_group group; race both);

    begin_race(&my->both, self, invocation);
    coil_defer(tell_whether_sent(&my->both, invocation));
    coil_open_group(&my->group);
    my->group.keep_going = true;
    if (coil_spawn(&my->group, run_attempt(&my->both.first, self->next)) == NULL)
        return -ENOMEM;
    coil_ignore(coil_within(self->delay, coil_waiter_wait(&my->both.host)));
    if (!my->both.first.is_over)
        begin_second(self, &my->both, &my->group, invocation);
    while (!is_decided(&my->both))
        coil_ignore(coil_waiter_wait(&my->both.host));
    my->both.winner = winner_of(&my->both);
    self->won_count += my->both.winner == &my->both.second;
    coil_group_cancel(&my->group);
    coil_ignore(coil_group_join(&my->group));
    return conclude(&my->both, invocation);
}

coil_async(int, invoke, (coil_thrift_invocation *) invocation)
{
    coil_vars(int rc);
    coil_thrift_backup *self = coil_container_of(invocation->channel, coil_thrift_backup, channel);

    if (!invocation->method->is_idempotent || invocation->method->is_oneway) {
        coil_await(my->rc, coil_thrift_invoke(self->next, invocation));
    } else {
        self->call_count++;
        coil_await(my->rc, run_race(self, invocation));
    }
    return my->rc;
}

void coil_thrift_backup_init(
        coil_thrift_backup *backup, coil_thrift_channel *next, coil_duration delay)
{
    *backup = (coil_thrift_backup){
            .channel = {coil_handler(invoke, coil_thrift_invocation *)},
            .next = next,
            .delay = delay,
    };
}
