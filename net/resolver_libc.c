/* SPDX-License-Identifier: MIT */
/* Questions by getaddrinfo(3), where there is no c-ares: on a thread of the default pool. */
#include "resolver_private.h"

#include <coil/blocking.h>
#include <coil/kernel.h>

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

enum { TTL_S = 5 }; /* libc does not tell. */

/* Owns itself when it is abandoned. */
typedef struct lookup {
    coil_blocking_job job;
    char name[COIL_RESOLVER_NAME_BYTES + 1];
    struct addrinfo *list;
} lookup;

/* Of its task, which outlives the question when that is dropped. */
struct asking {
    question *question; /* NULL: nobody wants to know any more. */
    coil_task *task;
};

static lookup *lookup_of(coil_blocking_job *job)
{
    return coil_container_of(job, lookup, job);
}

static void free_lookup(coil_blocking_job *job)
{
    if (lookup_of(job)->list != NULL)
        coil_kernel_freeaddrinfo(lookup_of(job)->list);
    free(lookup_of(job));
}

static int64_t run_lookup(coil_blocking_job *job)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    return coil_kernel_getaddrinfo(lookup_of(job)->name, &hints, &lookup_of(job)->list);
}

/* The name is complete: its dot at the end keeps libc from a search of its own. */
static lookup *lookup_create(const dns_name *name)
{
    lookup *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return NULL;
    self->job = (coil_blocking_job){.run = run_lookup, .name = "lookup", .abandoned = free_lookup};
    memcpy(self->name, name->text, name->length);
    self->name[name->length] = '.';
    return self;
}

static void add_address(const struct addrinfo *each, dns_records *records)
{
    const void *socket = each->ai_addr;
    dns_address *address = &records->addresses[records->address_count];
    *address = (dns_address){.is_v6 = each->ai_family == AF_INET6};
    if (each->ai_family == AF_INET6) {
        memcpy(address->bytes, &((const struct sockaddr_in6 *)socket)->sin6_addr, 16);
        records->address_count++;
    } else if (each->ai_family == AF_INET) {
        memcpy(address->bytes, &((const struct sockaddr_in *)socket)->sin_addr, 4);
        records->address_count++;
    }
}

static void finish(question *one, int status, const struct addrinfo *list)
{
    dns_records records;
    dns_records_init(&records);
    for (; list != NULL && records.address_count < COIL_RESOLVER_ADDRESSES_MAX;
            list = list->ai_next)
        add_address(list, &records);
    if (status == 0 && records.address_count == 0)
        status = -ENODATA;
    question_finish(one, status, &records, status == 0 ? coil_s(TTL_S) : 0);
}

static void leave(asking *self, int status)
{
    question *one = self->question;
    self->question = NULL;
    if (one != NULL)
        question_finish(one, status, NULL, 0);
    free(self);
}

coil_async(int, ask, (asking *) self)
{
    coil_vars(lookup *lookup; int64_t rc);

    coil_defer(leave(self, -EAGAIN)); /* Nothing, if there is an answer. */
    my->lookup = self->question != NULL ? lookup_create(&self->question->name) : NULL;
    if (my->lookup == NULL)
        return 0;
    coil_await(my->rc, coil_blocking_run(NULL, &my->lookup->job));
    if (self->question != NULL) {
        question *const one = self->question;
        self->question = NULL;
        finish(one, (int)my->rc, my->lookup->list);
    }
    free_lookup(&my->lookup->job);
    return 0;
}

int asking_start(question *one)
{
    if (one->kind == QUESTION_SERVICES)
        return -EOPNOTSUPP;
    asking *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return -ENOMEM;
    self->question = one;
    self->task = coil_spawn(coil_loop_root(one->resolver->loop), ask(self));
    if (self->task == NULL) {
        free(self);
        return -ENOMEM;
    }
    one->asking = self;
    return 0;
}

/* Its own end comes here, too, and then nothing is left to be cancelled. */
void asking_stop(asking *self)
{
    if (self == NULL || self->question == NULL)
        return;
    self->question = NULL;
    coil_task_cancel(self->task);
}

bool coil_resolver_asks_dns(void)
{
    return false;
}
