/* SPDX-License-Identifier: MIT */
/*
 * coil/sim_scenario.h - a test that runs a thousand times, each time another way.
 *
 * A scenario says what there is (hosts, programs, processes), what is done to it, and what must
 * hold. coil_sim_main() runs it with one seed after the other, each in a process of its own, and
 * reports the seeds with which it did not hold:
 *
 *     static void build(coil_sim *sim)
 *     {
 *         coil_sim_program(sim, "/usr/bin/counter", counter_main);
 *         coil_sim_start(sim, "one", "/usr/bin/counter", NULL);
 *         coil_sim_start(sim, "two", "/usr/bin/counter", NULL);
 *     }
 *
 *     async(int, partitions, (coil_sim *) sim)
 *     {
 *         vars();
 *         await(coil_sleep(coil_s(3)));
 *         coil_sim_partition(sim, "one", "two");
 *         await(coil_sleep(coil_s(10)));
 *         coil_sim_heal_all(sim);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         const coil_sim_scenario scenarios[] = {{.name = "partition", .build = build,
 *                 .direct = coil_handler(partitions, coil_sim *), .check = agree}};
 *         return coil_sim_main(argc, argv, scenarios, 1);
 *     }
 *
 * One run:
 *
 *     world of the seed -> profile of faults -> build() -> [direct() || the processes] -> the end
 *                                                                                          |
 *                  reported <- a failure, at any point <- what always holds <- check() <---+
 *
 * It ends when all processes have ended; if `may_be_late`, also when the director has ended, or at
 * the limit. What is a failure:
 *
 *     - coil_sim_fail() or coil_sim_expect(), in build(), direct(), check() or in any program; the
 *       director returns a negative number, or is cancelled;
 *     - a crash, a failed COIL_CHECK(), a report of a sanitizer;
 *     - nothing can happen any more, but processes wait; the limit is over, unless `may_be_late`;
 *     - the run does not end in real time (--timeout);
 *     - what always holds does not: a process whose main() returns has freed its memory and closed
 *       its descriptors, and nothing is in flight (unless `may_leak`); no memory that is the
 *       kernel's was touched; no request was in flight when its ring was closed; time has not gone
 *       back; each process that has ended has been waited for by its parent, or its parent has
 *       ended.
 *
 * The same seed, profile and scenario give the same run, whatever compiler, machine and --jobs.
 */
#ifndef COIL_SIM_SCENARIO_H
#define COIL_SIM_SCENARIO_H

#include <coil/base.h>
#include <coil/coro.h>
#include <coil/sim.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_sim_scenario coil_sim_scenario;
struct coil_sim_scenario {
    const char *name; /* Letters, digits, '-', '_', '.'; never NULL. */

    /*
     * Programs, hosts, processes, links. The faults of the profile are set before it; it may change
     * them (coil_sim_set_fault()), for what this scenario cannot bear; --fault comes after that.
     */
    void (*build)(coil_sim *sim);

    /*
     * A coroutine `int (coil_sim *)`: what is done to the world while it runs. It is a process
     * beside the others, on a host of its own that comes after those of build(), and no fault hits
     * it. {0}: none.
     */
    coil_handler direct;

    /* After the end. Processes that have ended still have their coil_sim_status(). NULL: none. */
    void (*check)(coil_sim *sim);

    coil_duration limit; /* In virtual time. 0: one day. */
    bool may_be_late;    /* Servers that run for ever: not to have ended is no failure. */
    bool may_leak;       /* Programs that leave it to the kernel to free memory and descriptors. */
};

/*
 * Run them as the command line says; the result is that of main(): 0, 1 after a failure, 2 if the
 * command line makes no sense. Their names differ. With --seed it does not return after a failure,
 * which is exit status 1, too.
 *
 *     --help                  these, in short
 *     --list                  names, and nothing else
 *     --scenario=NAME         only this one; may be given more than once
 *     --seeds=N --first=N     so many seeds (100), from this one (1)
 *     --seed=N                this one, in this very process, and all that it prints: to debug it
 *     --profile=NAME          kind (the default), flaky, hostile; swarm: of each seed its own
 *     --fault=NAME:PPM        one fault, whatever the profile says
 *     --jobs=N                so many at a time; as many as there are processors
 *     --budget=SECONDS        begin no further seed after that
 *     --timeout=SECONDS       of real time for one run (60), without that in which other programs
 *                             had the processor
 *     --torture=WHAT          allocation, submission or completion: with each seed, a run counts
 *                             them, in all processes together but the director; then each fails
 *                             in a run of its own, by steps from all over the first one
 *     --fail-allocation=N     the same for one N; also --fail-submission=N, --fail-completion=N
 *     --only=FAULTS           of the faults only these occurrences: what a shrunk failure prints
 *     --replay=FILE           impose a recording (coil_sim_replay() in coil/sim.h) on the first
 *                             process that build() has started
 *     --replay-program=PATH   on the first one of this program
 *     --no-shrink             do not look for the smallest set of faults
 *     --keep-going            report all failures, not only the first five
 *     --trace                 print every entry of the queues
 *     --fingerprints          print one line for each run: scenario, seed, fingerprint
 *
 * For a failure it prints the command that runs it again, what failed and when, the occurrences of
 * faults that it takes, the threads and tasks of all processes, and the last entries of all queues.
 */
COIL_API int coil_sim_main(
        int argc, char **argv, const coil_sim_scenario *scenarios, size_t scenario_count);

/*
 * This run has failed. Callable everywhere: in programs too, where `sim` is coil_sim_current().
 * Does not return; in a world that was not made by coil_sim_main(), it is abort(3).
 */
COIL_API void coil_sim_fail(coil_sim *sim, const char *format, ...) __attribute__((noreturn))
COIL_PRINTF(2, 3);

/* Fail with file and line unless `condition`; a format and its values may follow. */
#define coil_sim_expect(sim, condition, ...)                                                   \
    do {                                                                                       \
        if (coil_unlikely(!(condition)))                                                       \
            coil_sim_expectation_failed(sim, __FILE__, __LINE__, #condition, " " __VA_ARGS__); \
    } while (0)

COIL_API void coil_sim_expectation_failed(coil_sim *sim, const char *file, int line,
        const char *condition, const char *format, ...) __attribute__((noreturn)) COIL_PRINTF(5, 6);

/*
 * For the choices of the scenario: 0 <= result < limit, from the seed. `limit` is not 0. These
 * numbers are a sequence of their own: to draw more of them changes nothing else.
 */
COIL_API uint64_t coil_sim_random(coil_sim *sim, uint64_t limit);

/*
 * The world in which the caller runs: a program, by which it can say what must hold for all. NULL:
 * in none, but in the tests around it.
 */
COIL_API coil_sim *coil_sim_current(void);

COIL_END_DECLS

#endif
