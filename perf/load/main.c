/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/resource.h>

static _Noreturn void print_usage(FILE *out, int status)
{
    fputs("usage: load --port N [--connections N] [--depth N] [--size BYTES | --thrift METHOD]\n"
          "            [--warmup SECONDS] [--seconds SECONDS] [--server-pid PID] [--spin]\n"
          "            [--buckets]\n"
          "       load ... --rate PER_SECOND [--poisson] [--seed N]       open loop\n"
          "       load ... --churn [--sources N | --reset]                connect, ask, close\n"
          "       load --port N --idle N [--greet]                        until stdin ends;\n"
          "                                     a number there: so many from then on\n",
            out);
    exit(status);
}

static _Noreturn void usage(void)
{
    print_usage(stderr, 2);
}

static double parse(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= min && value <= max))
        usage();
    return value;
}

static int parse_int(const char *text, double min, double max)
{
    double value = parse(text, min, max);

    return (int)value;
}

static void set_mode(load_options *options, load_mode mode)
{
    if (options->mode != LOAD_CLOSED)
        usage();
    options->mode = mode;
}

static void set_mode_option(load_options *options, int option, const char *text)
{
    switch (option) {
    case 'r':
        set_mode(options, LOAD_OPEN);
        options->rate = parse(text, 0.1, 1e8);
        break;
    case 'C':
        set_mode(options, LOAD_CHURN);
        break;
    case 'i':
        set_mode(options, LOAD_IDLE);
        options->connections = parse_int(text, 0, 1e7);
        break;
    case 'a':
        options->poisson = true;
        break;
    case 'e':
        options->seed = (uint64_t)parse_int(text, 1, 1 << 30);
        break;
    case 'n':
        options->sources = parse_int(text, 1, 60000);
        break;
    case 'R':
        options->reset = true;
        break;
    case 'g':
        options->greet = true;
        break;
    default:
        usage();
    }
}

static void set_option(load_options *options, int option, const char *text)
{
    switch (option) {
    case 'p':
        options->port = parse_int(text, 1, 65535);
        break;
    case 'c':
        options->connections = parse_int(text, 1, 1e6);
        break;
    case 'd':
        options->depth = parse_int(text, 1, 1e6);
        break;
    case 's':
        options->message_bytes = parse_int(text, 1, 1 << 30);
        break;
    case 't':
        options->method = text;
        break;
    case 'w':
        options->warmup_s = parse(text, 0, 3600);
        break;
    case 'm':
        options->measured_s = parse(text, 0.01, 3600);
        break;
    case 'P':
        options->server_pid = parse_int(text, 1, 1 << 30);
        break;
    case 'S':
        options->spin = true;
        break;
    case 'b':
        options->buckets = true;
        break;
    case 'h':
        print_usage(stdout, 0);
    default:
        set_mode_option(options, option, text);
    }
}

static void parse_options(load_options *options, int argc, char **argv)
{
    static const struct option names[] = {
            {"port", required_argument, NULL, 'p'},
            {"connections", required_argument, NULL, 'c'},
            {"depth", required_argument, NULL, 'd'},
            {"size", required_argument, NULL, 's'},
            {"thrift", required_argument, NULL, 't'},
            {"warmup", required_argument, NULL, 'w'},
            {"seconds", required_argument, NULL, 'm'},
            {"server-pid", required_argument, NULL, 'P'},
            {"spin", no_argument, NULL, 'S'},
            {"buckets", no_argument, NULL, 'b'},
            {"rate", required_argument, NULL, 'r'},
            {"poisson", no_argument, NULL, 'a'},
            {"seed", required_argument, NULL, 'e'},
            {"churn", no_argument, NULL, 'C'},
            {"sources", required_argument, NULL, 'n'},
            {"reset", no_argument, NULL, 'R'},
            {"idle", required_argument, NULL, 'i'},
            {"greet", no_argument, NULL, 'g'},
            {"help", no_argument, NULL, 'h'},
            {0},
    };

    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;)
        set_option(options, option, optarg);
    if (optind != argc || options->port == 0)
        usage();
    if (options->reset)
        options->sources = 1;
}

/* As many descriptors as the machine allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const load_options *options, const struct codec *codec)
{
    switch (options->mode) {
    case LOAD_OPEN:
        return open_run(options, codec);
    case LOAD_CHURN:
        return churn_run(options, codec);
    case LOAD_IDLE:
        return idle_run(options, codec);
    case LOAD_CLOSED:
        break;
    }
    return closed_run(options, codec);
}

int main(int argc, char **argv)
{
    load_options options = {.connections = 1,
            .depth = 1,
            .message_bytes = 64,
            .sources = 200,
            .seed = 1,
            .warmup_s = 1,
            .measured_s = 3};

    parse_options(&options, argc, argv);
    raise_descriptor_limit();
    struct codec *codec = options.method ? codec_thrift(options.method)
                                         : codec_echo((size_t)options.message_bytes);
    if (!codec)
        load_die("codec", EINVAL);
    int status = run(&options, codec);
    codec->destroy(codec);
    return status;
}
