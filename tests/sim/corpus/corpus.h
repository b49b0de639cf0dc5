/* SPDX-License-Identifier: MIT */
/*
 * The corpus: programs that together use all of Coil, each in a world of its own, and what must
 * hold whatever that world does to them.
 *
 * A program may fail when the world is unkind; it must not lose anything then. So each file keeps a
 * ledger, in plain static memory that all simulated processes see: what was given away, what has
 * arrived. Programs check as they go, and coil_sim_scenario.check compares the books at the end.
 *
 *     corpus_expect()    must hold in every world
 *     corpus_is_fair()   nothing has happened that may make a program fail: then all must succeed
 *
 * Every program is run by CORPUS_MAIN(), which also looks for tasks, operations and descriptors
 * that are left over. Choices are drawn by the functions below, so that the seed decides them.
 */
#ifndef CORPUS_H
#define CORPUS_H

#include <coil/sim_disk.h>
#include <coil/sim_network.h>
#include <coil/sim_scenario.h>

#include <coil/coil.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define corpus_expect(...) coil_sim_expect(coil_sim_current(), __VA_ARGS__)

/*
 * 0 <= result < limit; true in so many of a hundred cases; 0 <= result < most. In build(), too,
 * once something was started by corpus_start().
 */
uint64_t corpus_draw(uint64_t limit);
bool corpus_chance(unsigned percent);
coil_duration corpus_moment(coil_duration most);

/* In so many of a hundred cases a moment, else for ever: for deadlines. */
coil_duration corpus_deadline(unsigned percent, coil_duration most);

/*
 * Has the world not yet done anything that a program cannot make good by itself? What a scenario
 * does on purpose (partitions, kills) is the scenario's to remember.
 */
bool corpus_is_fair(void);

/* Is this an error that only the world can cause, or 0 or more? */
bool corpus_is_weather(int64_t rc);

/* `rc` is 0 or more, or the weather; in a fair world, unless it is excused, only the former. */
void corpus_expect_success(int64_t rc, bool excused, const char *what);

/* The byte at `offset` of the stream of that number; a whole piece; is this one as it must be? */
void corpus_fill(void *bytes, size_t size_bytes, uint64_t stream, uint64_t offset);
bool corpus_matches(const void *bytes, size_t size_bytes, uint64_t stream, uint64_t offset);

/* coil_connect(), and again while nobody listens there yet. */
coil_declare(coil_stream *, corpus_connect, (const char *) address);

/* How many bytes there are to the end of a pipe. */
coil_declare(int, corpus_drain, (int) fd);

/* For directors: until the process has ended; then its status. */
coil_declare(int, corpus_await_end, (coil_sim *) sim, (pid_t) pid);

/* A process that is ended, and started again: where and what it is, and so far. */
typedef struct corpus_lives {
    const char *host;
    const char *path;
    pid_t pid;          /* Of its present life. */
    coil_duration most; /* A life that is ended lasts so long at most. */
    bool was_hurt;      /* One has been ended. */
} corpus_lives;

/*
 * For directors: so many lives, each of which but the last is ended by SIGKILL or by a loss of
 * power; until the last one is over.
 */
coil_declare(int, corpus_live, (coil_sim *) sim, (corpus_lives *) lives, (unsigned) count);

/* "10.0.0.1:7000" of a host, in static memory that the next eight calls leave alone. */
const char *corpus_address(coil_sim *sim, const char *host, unsigned port);

/* It has ended by itself, or by the SIGTERM that ends servers. */
void corpus_expect_end(coil_sim *sim, pid_t pid, const char *name);

/* Register a program and start it on a host. */
pid_t corpus_start(
        coil_sim *sim, const char *host, const char *path, int (*main)(int argc, char **argv));

/* ------------------------------------------------------------------------------- programs -- */

/* What a process has when it begins. */
typedef struct corpus_start_state {
    uint64_t open_descriptors[4];
} corpus_start_state;

corpus_start_state corpus_begin(void);

/* What main() returns. `rc` as of coil_run(). */
int corpus_end(const corpus_start_state *start, int rc);

/* The main() of a program that is one coroutine. */
#define CORPUS_MAIN(name, ...)                             \
    static int name(int argc, char **argv)                 \
    {                                                      \
        (void)argc, (void)argv;                            \
        const corpus_start_state start_ = corpus_begin();  \
        return corpus_end(&start_, coil_run(__VA_ARGS__)); \
    }

/* So many tasks side by side, each of which is `member`; the errors of one are its own. */
typedef struct corpus_crowd {
    int count;
    coil_handler member; /* A coroutine `int (corpus_crowd *)`. */
} corpus_crowd;

coil_declare(int, corpus_be_crowd, (corpus_crowd *) crowd);

/* The main() of a program that is a crowd. */
#define CORPUS_CROWD_MAIN(name, count_, member_)                                      \
    static corpus_crowd name##_crowd = {                                              \
            .count = (count_), .member = coil_handler_init(member_, corpus_crowd *)}; \
    CORPUS_MAIN(name, corpus_be_crowd(&name##_crowd))

/* ------------------------------------------------------------------------------ scenarios -- */

/* clang-format off: CMakeLists.txt reads this list, too. */
#define CORPUS_SCENARIOS(SCENARIO) \
    SCENARIO(echo)                 \
    SCENARIO(streams)              \
    SCENARIO(lines)                \
    SCENARIO(relays)               \
    SCENARIO(write_buffer)         \
    SCENARIO(idle)                 \
    SCENARIO(storm)                \
    SCENARIO(trickle)              \
    SCENARIO(drain)                \
    SCENARIO(handover)             \
    SCENARIO(becoming)             \
    SCENARIO(log)                  \
    SCENARIO(replace)              \
    SCENARIO(capture)              \
    SCENARIO(children)             \
    SCENARIO(orphans)              \
    SCENARIO(signals)              \
    SCENARIO(threads)              \
    SCENARIO(remote)               \
    SCENARIO(sync)                 \
    SCENARIO(exchange)             \
    SCENARIO(names)                \
    SCENARIO(rpc)                  \
    SCENARIO(calls)                \
    SCENARIO(pipelines)            \
    SCENARIO(timers)               \
    SCENARIO(pool)                 \
    SCENARIO(eyeballs)             \
    SCENARIO(groups)               \
    SCENARIO(futures)              \
    SCENARIO(loop)                 \
    SCENARIO(crowd)                \
    SCENARIO(mail)                 \
    SCENARIO(shares)               \
    SCENARIO(poor)                 \
    SCENARIO(rush)                 \
    SCENARIO(datagrams)            \
    SCENARIO(spool)                \
    SCENARIO(supervise)            \
    SCENARIO(month)                \
    SCENARIO(workers)              \
    SCENARIO(prefork)              \
    SCENARIO(calendars)
/* clang-format on */

#define CORPUS_DECLARE(name) extern const coil_sim_scenario scenario_##name;
CORPUS_SCENARIOS(CORPUS_DECLARE)

#endif
