/* SPDX-License-Identifier: MIT */
/*
 * conformance_sim - play programs on the simulated kernel, each under several seeds, and print
 * their transcripts. All seeds must say the same: what another one says differently is printed
 * behind it, and the program fails.
 *
 *     conformance_sim --list                  the names of all
 *     conformance_sim [--seeds=N] [name...]   play these, or all, under the seeds from 1 to N
 */
#include "stage.h"

#include <coil/check.h>
#include <coil/sim.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 20, TRANSCRIPT_BYTES = 64 * 1024 };

/* Of the simulation, not of a process in it: what the program has said. */
static char transcript[TRANSCRIPT_BYTES];

static char path[] = "/bin/play";
const char *const stage_program = path;

static const conformance_program *program_named(const char *name)
{
    for (const conformance_program *p = conformance_programs; p->name != NULL; p++) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

/* -------------------------------------------------------------------- the simulated programs -- */

static int play_main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (argc > 2)
        return becoming_main(argc, argv);
    COIL_CHECK(argc == 2);
    (void)coil_kernel_sigaction(SIGPIPE, &ignore, NULL); /* As a loop does. */
    char *text = stage_play(program_named(argv[1]));
    (void)snprintf(transcript, sizeof(transcript), "%s", text);
    free(text);
    return EXIT_SUCCESS;
}

static int sleep_main(int argc, char **argv)
{
    const uint32_t word = 0;
    COIL_CHECK(argc == 2);
    const coil_time end = coil_time_after(coil_kernel_now(), coil_s(atoi(argv[1])));
    while (coil_kernel_now() < end) /* It is stopped, and goes on. */
        coil_kernel_word_wait(&word, 0, end - coil_kernel_now());
    return EXIT_SUCCESS;
}

/* ------------------------------------------------------------------------------- the seeds -- */

static bool play_seed(const conformance_program *program, uint64_t seed)
{
    char name[64];
    char *const arguments[] = {path, name, NULL};
    coil_sim *sim = coil_sim_create(seed);

    (void)snprintf(name, sizeof(name), "%s", program->name);
    transcript[0] = '\0';
    coil_sim_program(sim, path, play_main);
    coil_sim_program(sim, "/bin/sleep", sleep_main);
    const pid_t pid = coil_sim_start(sim, "alpha", path, arguments);
    (void)coil_sim_set_descriptor_limit(sim, pid, STAGE_DESCRIPTORS);
    const coil_sim_outcome outcome = coil_sim_run(sim, coil_s(3600));
    const int status = coil_sim_status(sim, pid);
    const uint64_t leak_count = coil_sim_leaks(sim, pid);
    coil_sim_destroy(sim);
    if (outcome == COIL_SIM_ENDED && status == EXIT_SUCCESS && leak_count == 0)
        return true;
    (void)printf("%s, seed %llu: outcome %d, status %d, %llu leaks\n", program->name,
            (unsigned long long)seed, (int)outcome, status, (unsigned long long)leak_count);
    return false;
}

static bool play(const conformance_program *program, uint64_t seed_count)
{
    static char first[TRANSCRIPT_BYTES];
    bool is_good = play_seed(program, 1);

    (void)fputs(transcript, stdout);
    memcpy(first, transcript, sizeof(first));
    for (uint64_t seed = 2; seed <= seed_count && is_good; seed++) {
        is_good = play_seed(program, seed) && strcmp(first, transcript) == 0;
        if (!is_good)
            (void)printf("seed %llu says:\n%s", (unsigned long long)seed, transcript);
    }
    return is_good;
}

static bool play_named(const char *name, uint64_t seed_count, bool is_titled)
{
    const conformance_program *program = program_named(name);
    if (program == NULL) {
        (void)fprintf(stderr, "conformance_sim: there is no program %s\n", name);
        return false;
    }
    if (is_titled)
        (void)printf("== %s\n", name);
    return play(program, seed_count);
}

int main(int argc, char **argv)
{
    static const char seeds[] = "--seeds=";
    uint64_t seed_count = SEEDS;
    bool is_good = true;
    int next = 1;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (const conformance_program *p = conformance_programs; p->name != NULL; p++)
            (void)puts(p->name);
        return EXIT_SUCCESS;
    }
    if (argc > 1 && strncmp(argv[1], seeds, strlen(seeds)) == 0)
        seed_count = strtoull(argv[next++] + strlen(seeds), NULL, 10);
    const bool plays_all = next == argc;
    for (const conformance_program *p = conformance_programs; plays_all && p->name != NULL; p++)
        is_good = play_named(p->name, seed_count, true) && is_good;
    for (int i = next; i < argc; i++)
        is_good = play_named(argv[i], seed_count, argc - next > 1) && is_good;
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
