/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const nth_words[SIM_NTH_COUNT] = {
        [SIM_NTH_ALLOCATION] = "allocation",
        [SIM_NTH_SUBMISSION] = "submission",
        [SIM_NTH_COMPLETION] = "completion",
};

static const struct {
    const char *name;
    coil_sim_profile profile;
} profiles[] = {
        {"kind", COIL_SIM_KIND},
        {"flaky", COIL_SIM_FLAKY},
        {"hostile", COIL_SIM_HOSTILE},
        {"swarm", COIL_SIM_SWARM},
};

/* ----------------------------------------------------------------------------------- values -- */

static int parse_number(const char *text, uint64_t *out_number)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0')
        return -EINVAL;
    *out_number = number;
    return 0;
}

static int parse_seconds(const char *text, coil_duration *out_duration)
{
    enum { SECONDS_MAX = 1000000000 };
    uint64_t number;
    if (parse_number(text, &number) < 0 || number > SECONDS_MAX)
        return -EINVAL;
    *out_duration = coil_s((int64_t)number);
    return 0;
}

static int parse_profile(const char *text, sim_settings *settings)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        if (strcmp(text, profiles[i].name) != 0)
            continue;
        settings->profile = profiles[i].profile;
        settings->profile_name = profiles[i].name;
        return 0;
    }
    return -EINVAL;
}

/* NAME:PPM */
static int parse_fault(const char *text, sim_settings *settings)
{
    const size_t name_bytes = strcspn(text, ":");
    uint64_t ppm;

    if (settings->override_count == SIM_OVERRIDES_MAX || text[name_bytes] == '\0')
        return -EINVAL;
    const sim_fault_kind kind = sim_fault_named(text, name_bytes);
    if (kind == SIM_FAULT_COUNT || parse_number(text + name_bytes + 1, &ppm) < 0 ||
            ppm > SIM_ALWAYS)
        return -EINVAL;
    settings->overrides[settings->override_count].kind = kind;
    settings->overrides[settings->override_count++].probability = (sim_probability)ppm;
    return 0;
}

static int parse_torture(const char *text, sim_options *options)
{
    for (unsigned i = 0; i < SIM_NTH_COUNT; i++) {
        if (strcmp(text, nth_words[i]) != 0)
            continue;
        options->has_nth = true;
        options->nth_kind = (sim_nth_kind)i;
        options->nth = 0;
        return 0;
    }
    return -EINVAL;
}

/* allocation=N */
static int parse_nth(const char *text, sim_options *options)
{
    for (unsigned i = 0; i < SIM_NTH_COUNT; i++) {
        const size_t length = strlen(nth_words[i]);
        if (strncmp(text, nth_words[i], length) != 0 || text[length] != '=')
            continue;
        options->has_nth = true;
        options->nth_kind = (sim_nth_kind)i;
        const int rc = parse_number(text + length + 1, &options->nth);
        return rc == 0 && options->nth > 0 ? 0 : -EINVAL;
    }
    return -EINVAL;
}

/* ---------------------------------------------------------------------------------- options -- */

/* What follows "--name=" in `argument`; NULL: it is not that option. */
static const char *value_of(const char *argument, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

static int parse_seed(const char *value, sim_options *options)
{
    options->is_single = true;
    options->count = 1;
    return parse_number(value, &options->first);
}

static int parse_name(const char *value, sim_options *options)
{
    if (options->name_count == SIM_NAMES_MAX)
        return -EINVAL;
    options->names[options->name_count++] = value;
    return 0;
}

static int parse_jobs(const char *value, sim_options *options)
{
    enum { JOBS_MAX = 1024 };
    uint64_t number;
    if (parse_number(value, &number) < 0 || number == 0 || number > JOBS_MAX)
        return -EINVAL;
    options->jobs = (unsigned)number;
    return 0;
}

static int parse_only(const char *value, sim_options *options)
{
    if (options->has_selection)
        return -EINVAL;
    const int rc = sim_selection_parse(value, &options->selection);
    options->has_selection = rc == 0;
    return rc;
}

/* All of a file. */
static int read_recording(const char *path, sim_options *options)
{
    enum { CHUNK_BYTES = 65536 };
    char *text = NULL;
    size_t size_bytes = 0;
    size_t count;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -EINVAL;
    }
    do {
        text = sim_grown(text, size_bytes + CHUNK_BYTES + 1);
        count = fread(text + size_bytes, 1, CHUNK_BYTES, file);
        size_bytes += count;
    } while (count > 0);
    (void)fclose(file);
    text[size_bytes] = '\0';
    sim_delete(options->recording);
    options->recording = text;
    options->settings.replayed = text;
    options->replay_path = path;
    return 0;
}

/* Which runs. 1: it is none of these. */
static int parse_which(const char *argument, sim_options *options)
{
    const char *value;

    if ((value = value_of(argument, "--scenario=")) != NULL)
        return parse_name(value, options);
    if ((value = value_of(argument, "--seeds=")) != NULL)
        return parse_number(value, &options->count);
    if ((value = value_of(argument, "--first=")) != NULL)
        return parse_number(value, &options->first);
    if ((value = value_of(argument, "--seed=")) != NULL)
        return parse_seed(value, options);
    if ((value = value_of(argument, "--profile=")) != NULL)
        return parse_profile(value, &options->settings);
    if ((value = value_of(argument, "--fault=")) != NULL)
        return parse_fault(value, &options->settings);
    if ((value = value_of(argument, "--torture=")) != NULL)
        return parse_torture(value, options);
    if ((value = value_of(argument, "--fail-")) != NULL)
        return parse_nth(value, options);
    if ((value = value_of(argument, "--only=")) != NULL)
        return parse_only(value, options);
    if ((value = value_of(argument, "--replay=")) != NULL)
        return read_recording(value, options);
    if ((value = value_of(argument, "--replay-program=")) != NULL) {
        options->settings.replay_program = value;
        return 0;
    }
    return 1;
}

/* And how. */
static int parse_how(const char *argument, sim_options *options)
{
    const char *value;

    if ((value = value_of(argument, "--jobs=")) != NULL)
        return parse_jobs(value, options);
    if ((value = value_of(argument, "--budget=")) != NULL)
        return parse_seconds(value, &options->budget);
    if ((value = value_of(argument, "--timeout=")) != NULL)
        return parse_seconds(value, &options->timeout);
    if (strcmp(argument, "--list") == 0) {
        options->lists = true;
    } else if (strcmp(argument, "--no-shrink") == 0) {
        options->shrinks = false;
    } else if (strcmp(argument, "--keep-going") == 0) {
        options->keeps_going = true;
    } else if (strcmp(argument, "--trace") == 0) {
        options->settings.prints_trace = true;
    } else if (strcmp(argument, "--fingerprints") == 0) {
        options->prints_fingerprints = true;
    } else {
        return -EINVAL;
    }
    return 0;
}

static void set_defaults(sim_options *options)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);

    *options = (sim_options){.settings = {.profile = COIL_SIM_KIND, .profile_name = "kind"},
            .first = 1,
            .count = 100,
            .jobs = processors > 0 ? (unsigned)processors : 1,
            .budget = COIL_FOREVER,
            .timeout = coil_s(60),
            .shrinks = true};
}

/* In the words of coil/sim_scenario.h, and fewer. */
static const char help[] =
        "usage: %s [OPTIONS]\n\n"
        "    --list                  names of the scenarios\n"
        "    --scenario=NAME         only this one\n"
        "    --seeds=N --first=N     so many seeds (100), from this one (1)\n"
        "    --seed=N                this one, in this very process: to debug it\n"
        "    --profile=NAME          kind, flaky, hostile or swarm\n"
        "    --fault=NAME:PPM        one fault, whatever the profile says\n"
        "    --jobs=N                so many at a time\n"
        "    --budget=SECONDS        begin no further seed after that\n"
        "    --timeout=SECONDS       of real time for one run (60)\n"
        "    --torture=WHAT          allocation, submission or completion; --fail-WHAT=N: one\n"
        "    --only=FAULTS           of the faults only these, or none\n"
        "    --replay=FILE           impose a recording; on --replay-program=PATH\n"
        "    --no-shrink --keep-going --trace --fingerprints\n\n"
        "<coil/sim_scenario.h> has the details.\n";

int sim_options_parse(int argc, char **argv, sim_options *out_options)
{
    sim_options options;

    set_defaults(&options);
    options.program = argc > 0 ? argv[0] : "simulation";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            options.helps = true;
            printf(help, options.program);
            continue;
        }
        int rc = parse_which(argv[i], &options);
        if (rc > 0)
            rc = parse_how(argv[i], &options);
        if (rc < 0) {
            fprintf(stderr, "%s: %s? --help says what can be said.\n", options.program, argv[i]);
            sim_options_fini(&options);
            return rc;
        }
    }
    if (options.prints_fingerprints)
        options.jobs = 1; /* In order. */
    *out_options = options;
    return 0;
}

void sim_options_fini(sim_options *options)
{
    sim_delete(options->selection.picks);
    options->selection.picks = NULL;
    sim_delete(options->recording);
    options->recording = NULL;
}

bool sim_options_want(const sim_options *options, const coil_sim_scenario *scenario)
{
    for (size_t i = 0; i < options->name_count; i++) {
        if (strcmp(options->names[i], scenario->name) == 0)
            return true;
    }
    return options->name_count == 0;
}

void sim_options_print_command(
        const sim_options *options, const sim_case *what, const sim_selection *selection)
{
    const sim_settings *settings = &options->settings;

    fprintf(stderr, "%s --scenario=%s --seed=%llu --profile=%s", options->program,
            what->scenario->name, (unsigned long long)what->seed, settings->profile_name);
    for (size_t i = 0; i < settings->override_count; i++) {
        fprintf(stderr, " --fault=%s:%u", sim_fault_name(settings->overrides[i].kind),
                settings->overrides[i].probability);
    }
    if (what->nth > 0) {
        fprintf(stderr, " --fail-%s=%llu", nth_words[what->nth_kind],
                (unsigned long long)what->nth);
    }
    if (options->replay_path != NULL)
        fprintf(stderr, " --replay=%s", options->replay_path);
    if (settings->replay_program != NULL)
        fprintf(stderr, " --replay-program=%s", settings->replay_program);
    if (selection != NULL) {
        char *text = sim_selection_text(selection);
        fprintf(stderr, " --only=%s", text);
        sim_delete(text);
    }
    fprintf(stderr, "\n");
}
