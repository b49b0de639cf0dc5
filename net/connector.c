/* SPDX-License-Identifier: MIT */
#include <coil/connector.h>

#include "address_private.h"
#include "connector_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#define ATTEMPT_DELAY coil_ms(250)
#define ATTEMPT_DELAY_MIN coil_ms(10)

/* Several attempts, of which one is to win. In the vars of the call. */
typedef struct connect_race {
    const coil_connect_options *options;
    coil_connect_report *report;                        /* NULL: nobody wants it. */
    const coil_address *targets[COIL_CONNECT_ATTEMPTS]; /* In the order of trying. */
    unsigned count;
    bool is_learning; /* More of them may come. */
    coil_time last_start;
    unsigned started_count;
    unsigned ended_count;
    unsigned noticed_count; /* How many of the ended ones the host knows of. */
    coil_list host;         /* Of the race, while it waits for one to end. */
    coil_time began;
    bool won;
    int fd; /* The winner's, until it is a stream. */
    int error;
} connect_race;

/* ------------------------------------------------------------------------------- the errors -- */

/* How much an error tells: see the header. */
static int weight_of(int error)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return 6;
    case ECONNREFUSED:
    case ECONNRESET:
        return 5;
    case ETIMEDOUT:
    case ETIME:
        return 4;
    case EHOSTUNREACH:
        return 3;
    case ENETUNREACH:
        return 2;
    case ECANCELED:
        return 0;
    default:
        return 1;
    }
}

/* Nothing is left to connect with, whatever the address. */
static bool is_exhaustion(int error)
{
    return weight_of(error) == 6;
}

static coil_connect_attempt *report_of(const connect_race *race, unsigned number)
{
    return race->report == NULL ? NULL : &race->report->attempts[number];
}

static void print_attempt(const coil_connect_attempt *attempt, FILE *out)
{
    char address[COIL_ADDRESS_TEXT_BYTES];
    const char *outcome = attempt->error == 0 ? "connected" : coil_error_text(attempt->error);

    (void)fprintf(out, "%s after %" PRId64 " ms: %s (took %" PRId64 " ms)\n",
            coil_address_format(&attempt->address, address), attempt->began / coil_ms(1), outcome,
            attempt->took / coil_ms(1));
}

void coil_connect_report_print(const coil_connect_report *report, FILE *out)
{
    for (unsigned i = 0; i < report->attempt_count; i++)
        print_attempt(&report->attempts[i], out);
}

/* -------------------------------------------------------------------------------- the order -- */

/* The first address from `from` on that is, or is not, of this family. */
static unsigned find_family(
        const coil_address *addresses, unsigned count, unsigned from, sa_family_t family, bool same)
{
    while (from < count && (addresses[from].storage.ss_family == family) != same)
        from++;
    return from;
}

unsigned coil_connect_order(
        const coil_address *addresses, unsigned count, unsigned out_order[COIL_CONNECT_ATTEMPTS])
{
    unsigned next[2] = {0, 0}; /* Of the first family, and of the others. */
    unsigned ordered = 0;
    unsigned limit = count < COIL_CONNECT_ATTEMPTS ? count : COIL_CONNECT_ATTEMPTS;

    for (unsigned turn = 0; ordered < limit; turn ^= 1) {
        unsigned at = find_family(
                addresses, count, next[turn], addresses[0].storage.ss_family, turn == 0);
        next[turn] = at < count ? at + 1 : count;
        if (at < count)
            out_order[ordered++] = at;
    }
    return ordered;
}

static void set_targets(connect_race *race, const coil_address *addresses, unsigned count)
{
    unsigned order[COIL_CONNECT_ATTEMPTS];
    unsigned limit = count < COIL_CONNECT_ATTEMPTS ? count : COIL_CONNECT_ATTEMPTS;

    if (!race->options->in_order)
        limit = coil_connect_order(addresses, count, order);
    for (unsigned i = 0; i < limit; i++)
        race->targets[i] = &addresses[race->options->in_order ? i : order[i]];
    race->count = limit;
}

static bool is_target(const connect_race *race, const coil_address *address)
{
    for (unsigned i = 0; i < race->count; i++) {
        if (address_equal(race->targets[i], address))
            return true;
    }
    return false;
}

/*
 * Those that have become known meanwhile, and are not among the targets yet: of the other family,
 * so they take turns with what is still to be tried, and are next.
 */
static void add_targets(connect_race *race, const coil_address *addresses, unsigned count)
{
    unsigned at = race->started_count;

    for (unsigned i = 0; i < count && at <= race->count; i++) {
        if (is_target(race, &addresses[i]))
            continue;
        if (race->count < COIL_CONNECT_ATTEMPTS)
            race->count++;
        if (at >= race->count)
            return;
        for (unsigned j = race->count - 1; j > at; j--)
            race->targets[j] = race->targets[j - 1];
        race->targets[at] = &addresses[i];
        at += at + 1 < race->count ? 2 : 1;
    }
}

/* ------------------------------------------------------------------------------ one attempt -- */

static void set_option(int fd, int level, int option)
{
    int one = 1;
    (void)coil_kernel_setsockopt(fd, level, option, &one, sizeof(one));
}

/* Bound to no port yet: the kernel may then give the same one to several peers. */
static int bind_local(int fd, const coil_address *local, const coil_address *to)
{
    if (local->storage.ss_family != to->storage.ss_family)
        return -EAFNOSUPPORT;
    if (local->storage.ss_family != AF_UNIX && coil_address_port(local) == 0)
        set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    return coil_kernel_bind(fd, &local->socket, local->size_bytes);
}

static int set_up(int fd, const connect_race *race, const coil_address *to)
{
    const coil_connect_options *options = race->options;

    if (to->storage.ss_family != AF_UNIX && options->fast_open && race->count == 1 &&
            !race->is_learning)
        set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT);
    if (to->storage.ss_family != AF_UNIX && !options->delays_small_writes)
        set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    int rc = options->stream == NULL ? 0 : coil_stream_options_apply(fd, options->stream);
    if (rc == 0 && options->local != NULL)
        rc = bind_local(fd, options->local, to);
    if (rc == 0 && options->prepare != NULL)
        rc = options->prepare->prepare(options->prepare, fd, to);
    return rc;
}

int connector_check(int fd, const coil_address *to)
{
    coil_address own = {.size_bytes = sizeof(own.storage)};
    coil_address peer = {.size_bytes = sizeof(peer.storage)};

    if (to->storage.ss_family == AF_UNIX ||
            coil_kernel_getsockname(fd, &own.socket, &own.size_bytes) < 0 ||
            coil_address_port(&own) != coil_address_port(to) ||
            coil_kernel_getpeername(fd, &peer.socket, &peer.size_bytes) < 0)
        return 0;
    return address_equal(&own, &peer) ? -ECONNREFUSED : 0;
}

static void begin_attempt(connect_race *race, unsigned number, const coil_address *to)
{
    coil_connect_attempt *report = report_of(race, number);
    if (report == NULL)
        return;
    race->report->attempt_count = number + 1;
    *report = (coil_connect_attempt){.address = *to, .error = -EINPROGRESS};
    report->began = coil_now() - race->began;
}

/* It has ended, by itself or cancelled: `fd` is the race's, or closed. */
static void end_attempt(connect_race *race, unsigned number, int fd, int rc)
{
    coil_connect_attempt *report = report_of(race, number);

    if (report != NULL) {
        report->took = coil_now() - race->began - report->began;
        report->error = rc == 0 && race->won ? -ECANCELED : rc;
    }
    if (rc == 0 && !race->won) {
        race->won = true;
        race->fd = fd;
    } else if (fd >= 0) {
        coil_close_later(coil_loop_current(), fd);
    }
    if (rc < 0 && (race->error == 0 || weight_of(rc) > weight_of(race->error)))
        race->error = rc;
    race->ended_count++;
    coil_waiter_grant_all(&race->host, 0);
}

coil_async(int, try_address, (connect_race *) race, (unsigned) number)
{
    coil_vars(int fd; int rc);
    const coil_address *to = race->targets[number];

    my->fd = -1;
    my->rc = -ECANCELED;
    begin_attempt(race, number, to);
    coil_defer(end_attempt(race, number, my->fd, my->rc));
    my->fd = coil_kernel_socket(to->storage.ss_family, SOCK_STREAM, 0);
    my->rc = my->fd < 0 ? my->fd : set_up(my->fd, race, to);
    if (my->rc < 0)
        return 0;
    my->rc = -ECANCELED;
    coil_duration limit = race->options->attempt_limit;
    coil_await(my->rc, coil_within(limit <= 0 ? COIL_FOREVER : limit,
                               coil_connect_fd(my->fd, &to->socket, to->size_bytes)));
    if (my->rc == 0)
        my->rc = connector_check(my->fd, race->targets[number]);
    return 0;
}

/* --------------------------------------------------------------------------------- the race -- */

/* Wait until another attempt has ended, or there are more addresses. */
coil_leaf(int, news, (connect_race *) race);

static coil_turn news_step(coil_task *task, coil_frame *leaf)
{
    connect_race *race = coil_arguments(news, leaf)->race;

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (race->noticed_count < race->ended_count) {
        coil_result(news, leaf) = 0;
        return coil_leave(task, leaf);
    }
    return coil_waiter_suspend(coil_push(task, sizeof(coil_waiter)), &race->host, task, leaf);
}

coil_leaf_fn(news, news_step, coil_waiter_cancel);

/* Is there another address, and anything left to try it with? */
static bool can_start(const connect_race *race)
{
    return race->started_count < race->count && !is_exhaustion(race->error);
}

static bool is_over(const connect_race *race)
{
    const bool may_start = can_start(race) || (race->is_learning && !is_exhaustion(race->error));
    return race->won || (race->ended_count == race->started_count && !may_start);
}

/* At once, so that the first attempt costs no turn. Without memory nothing starts. */
static void start_next(coil_group *attempts, connect_race *race)
{
    const size_t failed_count = attempts->failed_count;

    race->last_start = coil_now();
    (void)coil_spawn_now(attempts, try_address(race, race->started_count));
    race->started_count++;
    if (attempts->failed_count == failed_count)
        return;
    race->error = -ENOMEM;
    race->ended_count++;
}

/* How long to wait for the attempts that are under way before the next one. */
static coil_duration delay_of(const connect_race *race)
{
    coil_duration delay = race->options->attempt_delay;
    if (!can_start(race))
        return COIL_FOREVER;
    if (race->started_count == race->noticed_count)
        return 0; /* None is. */
    if (delay <= 0)
        delay = ATTEMPT_DELAY;
    if (delay < ATTEMPT_DELAY_MIN)
        delay = ATTEMPT_DELAY_MIN;
    const coil_duration since = coil_now() - race->last_start;
    return since < delay ? delay - since : 0;
}

/* Side by side. When it returns, all have ended. The next one is tried when one fails, or late. */
coil_async(int, run_race, (connect_race *) race, (coil_group *) attempts)
{
    coil_vars();

    while (!is_over(race)) {
        if (can_start(race) && (race->noticed_count < race->ended_count || delay_of(race) == 0)) {
            race->noticed_count = race->ended_count;
            start_next(attempts, race);
            continue;
        }
        race->noticed_count = race->ended_count;
        coil_ignore(coil_within(delay_of(race), news(race)));
    }
    return 0;
}

/* The other family's addresses, when they are known. */
coil_async(int, learn_rest, (connect_race *) race, (const char *) target,
        (coil_addresses *) out_addresses)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_resolve(race->options->resolver, target, out_addresses));
    if (my->rc == 0)
        add_targets(race, out_addresses->items, out_addresses->count);
    race->is_learning = false;
    coil_waiter_grant_all(&race->host, 0);
    return 0;
}

/* `target` NULL: these are all. Else `out_rest` is set to what it is when more is known. */
coil_async(int, race_to, (connect_race *) race, (const char *) target, (coil_addresses *) out_rest)
{
    coil_vars(coil_group attempts);

    if (race->count == 1 && target == NULL) {
        coil_attempt(try_address(race, 0));
        return 0;
    }
    coil_open_group(&my->attempts);
    my->attempts.keep_going = true; /* What is counted there is a lack of memory. */
    race->is_learning =
            target != NULL && coil_spawn(&my->attempts, learn_rest(race, target, out_rest)) != NULL;
    coil_attempt(run_race(race, &my->attempts));
    return 0;
}

static void init_race(
        connect_race *race, const coil_connect_options *options, coil_connect_report *report)
{
    static const coil_connect_options defaults;

    *race = (connect_race){
            .options = options == NULL ? &defaults : options, .report = report, .fd = -1};
    race->began = coil_now();
    coil_list_init(&race->host);
    if (report != NULL)
        report->attempt_count = 0;
}

/* The winner as a stream; or an error pointer. */
static coil_stream *stream_of(connect_race *race)
{
    coil_stream *stream;

    if (!race->won)
        return coil_error_pointer(race->error);
    const int fd = race->fd;
    race->fd = -1;
    int rc = coil_stream_create(fd, COIL_TRANSPORT_SOCKET, &stream);
    return rc < 0 ? coil_error_pointer(rc) : stream;
}

coil_define(coil_stream *, coil_connect_addresses, (const coil_connect_options *) options,
        (const coil_address *) addresses, (unsigned) count, (coil_connect_report *) out_report)
{
    coil_vars(connect_race race);

    init_race(&my->race, options, out_report);
    if (count == 0)
        return coil_error_pointer(-EINVAL);
    set_targets(&my->race, addresses, count);
    coil_defer(if (my->race.fd >= 0) coil_close_later(coil_loop_current(), my->race.fd));
    coil_attempt(race_to(&my->race, NULL, NULL));
    return stream_of(&my->race);
}

/* ------------------------------------------------------------------------------------ names -- */

coil_define(coil_stream *, coil_connect_to, (const coil_connect_options *) options,
        (const char *) target, (coil_connect_report *) out_report)
{
    coil_vars(connect_race race; coil_connect_options options; coil_addresses addresses;
              coil_addresses rest; bool is_all);

    if (options != NULL)
        my->options = *options;
    if (strncmp(target, "srv:", 4) == 0)
        my->options.in_order = true; /* The order is that of their priorities. */
    init_race(&my->race, &my->options, out_report);
    coil_defer({
        coil_addresses_release(&my->addresses);
        coil_addresses_release(&my->rest);
        if (my->race.fd >= 0)
            coil_close_later(coil_loop_current(), my->race.fd);
    });
    coil_attempt(coil_resolve_early(my->options.resolver, target, &my->addresses, &my->is_all));
    my->race.began = coil_now();
    set_targets(&my->race, my->addresses.items, my->addresses.count);
    coil_attempt(race_to(&my->race, my->is_all ? NULL : target, &my->rest));
    return stream_of(&my->race);
}
