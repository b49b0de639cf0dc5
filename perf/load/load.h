/* SPDX-License-Identifier: MIT */

/*
 * The load generator: one process, one thread, epoll. It has four ways to load a server, each in a
 * file of its own, which have in common what is here:
 *
 *     closed.c   a new request for each reply: how much CPU does a request cost?
 *     open.c     requests at scheduled times, whatever the replies do: how long does one wait?
 *     churn.c    connect, one request, close
 *     idle.c     many connections that say nothing
 *
 * Every byte of every reply is checked. The first wrong one ends the run: figures of a wrong server
 * are worth nothing. Each run prints one JSON object on one line.
 */
#ifndef COIL_PERF_LOAD_H
#define COIL_PERF_LOAD_H

#include "codec.h"

#include <coil/histogram.h>

#include <time.h>

enum {
    LOAD_STALL_MS = 5000,          /* no event at all for this long: the server is stuck */
    LOAD_EVENTS_MAX = 256,         /* taken from epoll at once */
    LOAD_PORTS_PER_SOURCE = 20000, /* below the 28 k ephemeral ports that an address has */
};

typedef enum load_mode { LOAD_CLOSED, LOAD_OPEN, LOAD_CHURN, LOAD_IDLE } load_mode;

typedef struct load_options load_options;

struct load_options {
    load_mode mode;
    const char *method; /* of Thrift; NULL for echo */
    int port;
    int connections;
    int depth; /* requests outstanding on each connection */
    int message_bytes;
    int server_pid; /* 0: its CPU time is not measured */
    int sources;    /* addresses that churn connects from */
    bool spin;      /* look for events without sleeping */
    bool reset;     /* churn closes with RST instead of FIN */
    bool greet;     /* idle connections have exchanged one message */
    bool poisson;   /* random gaps between requests instead of equal ones */
    bool buckets;   /* print the histogram, too */
    uint64_t seed;
    double rate; /* requests per second of the open loop, all connections together */
    double warmup_s;
    double measured_s;
};

/* What is read at both ends of the measured period. */
typedef struct load_reading load_reading;

struct load_reading {
    uint64_t now_ns;
    uint64_t own_cpu_ns;
    uint64_t own_waited_ns; /* ready to run while others ran */
    uint64_t server_cpu_ns;
    uint64_t server_waited_ns;
    int server_threads; /* several also wait for each other */
};

typedef struct load_result load_result;

struct load_result {
    const load_options *options;
    const coil_histogram *latencies;
    load_reading from;
    load_reading to;
    size_t request_bytes;
    int served;          /* connections that got a reply in the measured period */
    uint64_t unanswered; /* requests of the open loop */
    uint64_t errors;
};

/* An empty histogram of nanoseconds: no quantile is more than 0.4 % off. */
void load_histogram_init(coil_histogram *histogram);

/* The four ways. Each returns the exit status. */
int closed_run(const load_options *options, const struct codec *codec);
int open_run(const load_options *options, const struct codec *codec);
int churn_run(const load_options *options, const struct codec *codec);
int idle_run(const load_options *options, const struct codec *codec);

/* Prints "load: what: reason" on stderr and exits with 1. `error` is a positive errno value. */
_Noreturn void load_die(const char *what, int error);

/* CLOCK_MONOTONIC. */
uint64_t load_now_ns(void);

/* The clock, and the CPU time of this process and of the server: user and system time of all its
 * threads, those included that the kernel runs for it. `server_pid` 0: none. */
load_reading load_read(int server_pid);

/* Prints the JSON line. */
void load_report(const load_result *result);

/*
 * Begins a connection to 127.0.0.1:port, from 127.0.0.1 + source. With SOCK_NONBLOCK in `flags` it
 * may not be established yet when this returns. Exits if it is refused. Returns the descriptor.
 */
int load_dial(const load_options *options, int source, int flags);

#endif
