/* SPDX-License-Identifier: MIT */
/*
 * What was observed of sockets on Linux 6.18, asked of the simulated ones, as files. It runs as a
 * program of a simulation; its status is the number of rules that are broken.
 *
 *     RULE(3, received(c));           a receive of all that is there gets three bytes
 */
#ifndef SOCKET_RULES_H
#define SOCKET_RULES_H

#include "disk.h"
#include "process.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Says which one is broken, and counts it. */
void rules_check(
        const char *place, const char *what, long result, const char *wanted_text, long wanted);

#define RULE_TEXT(number) #number
#define RULE_PLACE(number) __FILE__ ":" RULE_TEXT(number)

#define RULE(wanted, ...) \
    rules_check(RULE_PLACE(__LINE__), #__VA_ARGS__, (long)(__VA_ARGS__), #wanted, (long)(wanted))

/* What is sent, and where it is received. */
extern char room[2 << 20];

sim_file *opened(int family, int type);
sim_io io_of(struct iovec *part, size_t size_bytes, int flags);
ssize_t in(sim_file *file, size_t size_bytes, int flags);
ssize_t out(sim_file *file, size_t size_bytes);
ssize_t received(sim_file *file);
int polled(sim_file *file);
int error_of(sim_file *file);
int bound(sim_file *file, uint16_t port);
int connected(sim_file *file, uint16_t port);
sim_file *listener_at(uint16_t port, int backlog);
void linger_0(sim_file *file);

typedef void make_pair(sim_file **c, sim_file **s);
make_pair tcp_pair;
make_pair unix_pair;

enum { ENDED = POLLIN | POLLOUT | POLLRDHUP | POLLHUP, HALF_ENDED = POLLIN | POLLOUT | POLLRDHUP };

void stream_rules(void);   /* What moves between two ends, and how they end. */
void listener_rules(void); /* Who listens where, and what sockets are asked and told. */
void message_rules(void);  /* Datagrams, packets, descriptors. */

#endif
