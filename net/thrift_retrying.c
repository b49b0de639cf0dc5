/* SPDX-License-Identifier: MIT */
#include <coil/thrift_retrying.h>

#include <errno.h>

bool coil_thrift_was_refused(const coil_thrift_invocation *invocation, int error)
{
    if (error != -EREMOTEIO || invocation->exception.type != COIL_THRIFT_LOADSHEDDING)
        return false;
    return invocation->result == NULL ||
           coil_thrift_declared_exception(invocation->method, invocation->result) == NULL;
}

bool coil_thrift_is_repeatable(const coil_thrift_invocation *invocation, int error)
{
    if (error >= 0 || error == -ECANCELED)
        return false;
    return !invocation->was_sent || invocation->method->is_idempotent ||
           coil_thrift_was_refused(invocation, error);
}

/* What the policy is asked about: a server that is overloaded passes. 0: nothing. */
static int judge(const coil_thrift_invocation *invocation, int error)
{
    if (!coil_thrift_is_repeatable(invocation, error))
        return 0;
    return coil_thrift_was_refused(invocation, error) ? -EBUSY : error;
}

/* The result of an earlier attempt says nothing about this one. */
static void prepare(const coil_thrift_retrying *self, coil_thrift_invocation *invocation)
{
    invocation->timeout = self->attempt_limit;
    invocation->exception = (coil_thrift_exception){0, {NULL, 0}};
    invocation->was_sent = false;
    if (invocation->via != 0)
        invocation->avoid = invocation->via;
    if (invocation->result != NULL && invocation->method->result != NULL)
        coil_thrift_init_value(invocation->method->result, invocation->result);
}

/* Whatever becomes of later attempts: this one may have been carried out. */
static bool may_have_begun(const coil_thrift_invocation *invocation, int error)
{
    return invocation->was_sent && !coil_thrift_was_refused(invocation, error);
}

coil_async(int, attempt_often, (coil_thrift_retrying *) self, (coil_thrift_invocation *) invocation)
{
    coil_vars(coil_retry retry; bool was_sent; int rc; int again);

    coil_defer(invocation->was_sent = invocation->was_sent || my->was_sent);
    coil_retry_init(&my->retry, self->policy, self->budget);
    coil_random_init(&my->retry.random, coil_random_next(&self->random));
    coil_retry_begin(&my->retry);
    for (;;) {
        prepare(self, invocation);
        coil_await(my->rc, coil_thrift_invoke(self->next, invocation));
        if (my->rc >= 0)
            return my->rc;
        my->was_sent |= may_have_begun(invocation, my->rc);
        coil_await(my->again, coil_retry_wait(&my->retry, judge(invocation, my->rc)));
        if (my->again == 0)
            return my->rc;
        self->retry_count++;
    }
}

coil_async(int, invoke, (coil_thrift_invocation *) invocation)
{
    coil_vars(coil_thrift_retrying *self; coil_duration limit; int rc);

    my->self = coil_container_of(invocation->channel, coil_thrift_retrying, channel);
    my->limit = invocation->timeout;
    my->self->call_count++;
    invocation->via = 0; /* It may be an invocation that has been used before. */
    coil_defer(invocation->timeout = my->limit);
    if (my->limit > 0) {
        coil_await(my->rc, coil_within(my->limit, attempt_often(my->self, invocation)));
    } else {
        coil_await(my->rc, attempt_often(my->self, invocation));
    }
    return my->rc;
}

void coil_thrift_retrying_init(coil_thrift_retrying *retrying, coil_thrift_channel *next)
{
    *retrying = (coil_thrift_retrying){
            .channel = {coil_handler(invoke, coil_thrift_invocation *)},
            .next = next,
    };
    coil_random_init(&retrying->random, coil_random_seed());
}
