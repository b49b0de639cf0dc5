/* SPDX-License-Identifier: MIT */
/*
 * resolver_private.h - what the files of the resolver share: the questions.
 *
 *     coil_resolve (resolver_resolve.c)
 *        |  question_claim()                    question_drop()
 *        v                                          ^
 *     question (resolver_cache.c): one per name and kind, whoever asks
 *        |  asking_start()                      question_finish()
 *        v                                          ^
 *     asking (resolver_ask.c by DNS, resolver_libc.c by getaddrinfo): the tries
 *
 *     ASKING --question_finish()--> CACHED --expired, evicted--> LOOSE, or freed without claims
 *        |                |
 *        |                +--not to be kept--> LOOSE
 *        +--the last claim is dropped--> freed
 */
#ifndef RESOLVER_PRIVATE_H
#define RESOLVER_PRIVATE_H

#include "resolver_config.h"

#include <coil/call.h>
#include <coil/loop_extra.h>
#include <coil/waiter.h>

#include <sys/stat.h>

enum { RESOLVER_BUCKETS = 1024 };

typedef enum question_kind { QUESTION_ADDRESSES, QUESTION_SERVICES } question_kind;

typedef enum question_place {
    QUESTION_ASKING, /* In the table, and among resolver->asked. */
    QUESTION_CACHED, /* In the table, and in resolver->used. */
    QUESTION_LOOSE,  /* Of those who claim it. */
} question_place;

typedef struct question question;
typedef struct asking asking;

struct question {
    coil_resolver *resolver; /* Not for LOOSE ones. */
    question *next;          /* In its bucket. */
    coil_list link;
    question_kind kind;
    question_place place;
    unsigned claim_count;
    dns_name name;
    asking *asking;
    coil_list waiters; /* For the end of ASKING. */

    /* ASKING: a half of the answer is there, and what it says. NULL: not yet. */
    const dns_records *early; /* Of the asking. */
    coil_time early_since;
    bool is_early_v6;
    coil_list early_waiters; /* For that, or the end. */

    /* The answer. */
    int status;        /* 0, or as coil_resolve() says. */
    coil_time expires; /* COIL_NEVER: does not. */
    unsigned address_count;
    unsigned service_count;
    dns_address *addresses; /* Best first; those of a service by its index. */
    dns_service *services;
    size_t size_bytes; /* With all that belongs to it. */
};

/* A file, and what it was when it was looked at. */
typedef struct resolver_file {
    char *path; /* NULL: none. */
    struct stat status;
    bool was_there;
    bool is_due; /* It has changed, and has not been read since. */
} resolver_file;

struct coil_resolver {
    coil_loop_extra extra; /* Of a loop's own. */
    coil_loop *loop;
    unsigned use_count; /* Tasks that resolve by it. */
    bool is_ended;
    coil_resolver_options options; /* Without the texts; no member is 0. */
    resolver_config said;          /* What the options say; counts and numbers of 0: nothing. */
    bool says_servers;
    bool says_search;
    resolver_config config; /* What holds. */
    hosts_table hosts;
    resolver_file hosts_file;
    resolver_file conf_file;
    coil_time files_looked_at;
    unsigned turn; /* Of rotate. */

    uint64_t seed;
    coil_list asked;
    coil_list used; /* The one not used for longest first. */
    coil_resolver_stats stats;
    question *buckets[RESOLVER_BUCKETS];
};

/* ------------------------------------------------------------------------------ resolver.c -- */

/* A task has done with it. The last one frees what has been destroyed meanwhile. Takes NULL. */
void resolver_leave(coil_resolver *resolver);

/* ------------------------------------------------------------------------ resolver_cache.c -- */

/*
 * What is known or being asked about the name, claimed for the caller: from the cache, one that is
 * on its way, or a new one. -ENOBUFS, -ENOMEM.
 */
int question_claim(
        coil_resolver *resolver, question_kind kind, const dns_name *name, question **out_question);

/* A LOOSE one with this answer, claimed for the caller. NULL: no memory. */
question *question_create_answered(const dns_address *addresses, unsigned count);

/* The end of a claim. Takes NULL. */
void question_drop(question *one);

/* A half of the answer is there; `records` stay until question_finish(). */
void question_progress(question *one, const dns_records *records);

/* It is answered: status and records, to be kept for that long. `records` may be NULL. */
void question_finish(question *one, int status, const dns_records *records, coil_duration ttl);

/* Wait until it is answered. The status. */
coil_declare_private(int, question_wait, (question *)one);

/* Wait until there is enough to begin with: 1; or it is answered: the status. */
coil_declare_private(int, question_wait_early, (question *)one);

void cache_init(coil_resolver *resolver);

/* Forget all answers. */
void cache_flush(coil_resolver *resolver);

/* Nobody is to be asked any more; who waits gets `error`. */
void cache_abandon(coil_resolver *resolver, int error);

/* -------------------------------------------------------------------------- resolver_ask.c -- */

/* Begin to ask; question_finish() follows, never within this call. -ENOMEM. */
int asking_start(question *one);

/* Ask no more. */
void asking_stop(asking *self);

/* ------------------------------------------------------------------------ resolver_files.c -- */

/* Look whether the files have changed, at most once a second unless `at_once`. */
void files_review(coil_resolver *resolver, bool at_once);

/* What holds is what the files say, and above it what the options say. */
void files_merge(coil_resolver *resolver);

#endif
