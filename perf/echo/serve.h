/* SPDX-License-Identifier: MIT */

/*
 * What the hand-written echo servers share: their command line, the listening socket, and SIGTERM
 * as a descriptor.
 *
 * Everything here runs once, before the first connection, so none of it can favour one server over
 * another.
 */
#ifndef COIL_PERF_SERVE_H
#define COIL_PERF_SERVE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One `--name value` option of a server; the value is one of `choices`, or any number when
 * `choices` is NULL. */
struct serve_option {
    const char *name;
    const char *const *choices; /* NULL terminated, or NULL for a number */
    int *value;                 /* in: the default; out: the index of the choice, or the number */
};

/*
 * Reads `--port N` (required) and the given options, of which the last has a NULL name. Raises the
 * limit of descriptors as far as permitted. Returns the port. Explains a wrong command line on
 * stderr and exits with 2.
 */
int serve_options(int argc, char **argv, const struct serve_option *options);

/* A listening socket on 127.0.0.1:port, or exits with 1 and a reason. `socket_flags` is 0 or
 * SOCK_NONBLOCK. */
int serve_listen(int port, int socket_flags);

/* Blocks SIGTERM and SIGINT and returns a signalfd that becomes readable for either. Exits with 1
 * on failure. */
int serve_stop_fd(int signalfd_flags);

/* Sends small replies at once, on a connection. Failure is harmless and ignored. */
void serve_nodelay(int fd);

/* CLOCK_MONOTONIC. */
int64_t serve_now_ns(void);

/* Prints "who: reason" on stderr and exits with 1. `error` is a positive errno value. */
__attribute__((noreturn)) void serve_die(const char *who, int error);

#ifdef __cplusplus
}
#endif

#endif
