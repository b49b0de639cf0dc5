/* SPDX-License-Identifier: MIT */
/* Questions by DNS: one try after the other, each server in its turn, until all is answered. */
#include "dns_exchange.h"
#include "resolver_private.h"

#include <errno.h>
#include <stdlib.h>

/* What is asked for: A and AAAA of a name are two questions, whose answers come by themselves. */
typedef struct part {
    uint16_t type;
    bool is_answered;
    int status;
    uint32_t ttl_s;
} part;

struct asking {
    dns_exchange_hook hook;
    coil_call next; /* The time of the try is over, or the first one is to begin. */
    question *question;
    dns_exchange *exchange;
    unsigned try_count;
    unsigned first_server;
    unsigned part_count;
    part parts[DNS_EXCHANGE_PARTS];
    unsigned sent_count; /* In this try: which of the parts. */
    unsigned sent[DNS_EXCHANGE_PARTS];
    unsigned silent_count; /* Of those, without an answer of whatever kind. */
    dns_records records;
};

static asking *asking_of(dns_exchange_hook *hook)
{
    return coil_container_of(hook, asking, hook);
}

/* -------------------------------------------------------------------------------- the result -- */

/* What is found counts, whatever became of the other half. */
static int status_of(const asking *self)
{
    int status = 0;
    for (unsigned i = 0; i < self->part_count; i++) {
        const part *each = &self->parts[i];
        if (each->is_answered && each->status == 0)
            return 0;
        if (!each->is_answered) {
            status = -EAGAIN;
        } else if (status == 0 || (each->status == -ENOENT && status == -ENODATA)) {
            status = each->status;
        }
    }
    return status;
}

/*
 * The shortest of what led to the result. With a half of an answer missing, it is not to be kept:
 * next time that half may be there.
 */
static coil_duration ttl_of(const asking *self, int status)
{
    uint32_t ttl_s = UINT32_MAX;
    for (unsigned i = 0; i < self->part_count; i++) {
        const part *each = &self->parts[i];
        if (!each->is_answered)
            return 0;
        if ((status == 0) == (each->status == 0) && each->ttl_s < ttl_s)
            ttl_s = each->ttl_s;
    }
    return coil_s(ttl_s);
}

static void finish(asking *self)
{
    int status = status_of(self);
    question_finish(self->question, status, &self->records, ttl_of(self, status));
}

/* --------------------------------------------------------------------------------- the tries -- */

static bool has_open_parts(const asking *self)
{
    for (unsigned i = 0; i < self->part_count; i++) {
        if (!self->parts[i].is_answered)
            return true;
    }
    return false;
}

static const coil_address *server_of(const asking *self)
{
    const resolver_config *config = &self->question->resolver->config;
    return &config->servers[(self->first_server + self->try_count) % config->server_count];
}

static void choose_parts(asking *self, dns_exchange_question *asked)
{
    self->sent_count = 0;
    for (unsigned i = 0; i < self->part_count; i++) {
        if (self->parts[i].is_answered)
            continue;
        asked->types[self->sent_count] = self->parts[i].type;
        self->sent[self->sent_count++] = i;
    }
    asked->part_count = self->silent_count = self->sent_count;
}

static void try_next(asking *self)
{
    coil_resolver *resolver = self->question->resolver;
    const resolver_config *config = &resolver->config;
    dns_exchange_question asked = {.name = self->question->name.text};

    dns_exchange_stop(self->exchange);
    self->exchange = NULL;
    if (!has_open_parts(self) || self->try_count >= config->attempts * config->server_count) {
        finish(self);
        return;
    }
    asked.server = server_of(self);
    choose_parts(self, &asked);
    self->try_count++;
    resolver->stats.tries++;
    int rc = dns_exchange_start(resolver->loop, &asked, &self->hook, &self->exchange);
    if (rc < 0) {
        question_finish(self->question, rc, NULL, 0);
        return;
    }
    coil_call_later(resolver->loop, &self->next, config->timeout);
}

static void run_next(coil_call *call)
{
    asking *self = coil_container_of(call, asking, next);
    if (self->exchange != NULL)
        self->question->resolver->stats.timeouts++;
    try_next(self);
}

static void take_answer(
        dns_exchange_hook *hook, unsigned index, const uint8_t *bytes, size_t size_bytes)
{
    asking *self = asking_of(hook);
    part *answered = &self->parts[self->sent[index]];
    dns_records *records = &self->records;

    records->ttl_s = UINT32_MAX;
    int rc = bytes == NULL ? -EREMOTEIO
                           : dns_message_read(bytes, size_bytes, answered->type,
                                     &self->question->name, records);
    /* Where one part does not get through, the error that the other waits for has been used up. */
    self->silent_count = bytes == NULL || self->silent_count == 0 ? 0 : self->silent_count - 1;
    if (rc < 0) {
        self->question->resolver->stats.bad_answers++;
        return;
    }
    answered->is_answered = true;
    answered->status = records->status;
    answered->ttl_s = records->ttl_s;
}

/* With nothing more to come from this server, the next one need not wait. */
static void progressed(dns_exchange_hook *hook)
{
    asking *self = asking_of(hook);
    if (has_open_parts(self))
        question_progress(self->question, &self->records);
    if (self->silent_count > 0)
        return;
    coil_call_cancel(&self->next);
    try_next(self);
}

/* -------------------------------------------------------------------------- start and stop -- */

int asking_start(question *one)
{
    asking *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return -ENOMEM;
    self->hook = (dns_exchange_hook){take_answer, progressed};
    self->question = one;
    if (one->kind == QUESTION_SERVICES) {
        self->parts[self->part_count++].type = DNS_TYPE_SRV;
    } else {
        self->parts[self->part_count++].type = DNS_TYPE_AAAA;
        self->parts[self->part_count++].type = DNS_TYPE_A;
    }
    if (one->resolver->config.rotate)
        self->first_server = one->resolver->turn++;
    dns_records_init(&self->records);
    coil_call_init(&self->next, run_next);
    coil_call_soon(one->resolver->loop, &self->next);
    one->asking = self;
    return 0;
}

void asking_stop(asking *self)
{
    if (self == NULL)
        return;
    coil_call_cancel(&self->next);
    dns_exchange_stop(self->exchange);
    free(self);
}

bool coil_resolver_asks_dns(void)
{
    return true;
}
