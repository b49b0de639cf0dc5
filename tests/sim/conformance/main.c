/* SPDX-License-Identifier: MIT */
/*
 * conformance - play programs on the kernel that is linked, and print their transcripts.
 *
 *     conformance --list           the names of all
 *     conformance [name...]        play these, or all
 */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>

const char *const stage_program = "/proc/self/exe";

static void list(void)
{
    for (const conformance_program *p = conformance_programs; p->name != NULL; p++)
        (void)puts(p->name);
}

static void play(const conformance_program *program, bool is_titled)
{
    char *text = stage_play(program);
    if (is_titled)
        (void)printf("== %s\n", program->name);
    (void)fputs(text, stdout);
    free(text);
}

static int play_named(const char *name, bool is_titled)
{
    for (const conformance_program *p = conformance_programs; p->name != NULL; p++) {
        if (strcmp(p->name, name) != 0)
            continue;
        play(p, is_titled);
        return EXIT_SUCCESS;
    }
    (void)fprintf(stderr, "conformance: there is no program %s\n", name);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct rlimit descriptors = {STAGE_DESCRIPTORS, STAGE_DESCRIPTORS};
    int status = EXIT_SUCCESS;

    (void)setrlimit(RLIMIT_NOFILE, &descriptors);
    (void)coil_kernel_sigaction(SIGPIPE, &ignore, NULL); /* As a loop does. */
    if (argc > 2 && strcmp(argv[1], "--become") == 0)
        return becoming_main(argc, argv);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return EXIT_SUCCESS;
    }
    for (int i = 1; i < argc && status == EXIT_SUCCESS; i++)
        status = play_named(argv[i], argc > 2);
    for (const conformance_program *p = conformance_programs; argc == 1 && p->name != NULL; p++)
        play(p, true);
    return status;
}
