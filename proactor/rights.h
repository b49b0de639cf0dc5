/* SPDX-License-Identifier: MIT */
/*
 * rights.h - descriptors that arrive on a unix socket, until somebody takes them.
 *
 *     rights_prepare()  a receive with room for as many as one message can have
 *     rights_received() it has ended: what came is in the queue, close-on-exec
 *     rights_take()     the oldest
 *
 * Linux never joins bytes with different descriptors into one receive, so the order of descriptors
 * is that in which they were sent, and bounded by what the bytes before them were.
 */
#ifndef RIGHTS_H
#define RIGHTS_H

#include <coil/receiver.h>

#include <liburing.h>

typedef struct rights_inbox rights_inbox;

/* NULL without memory. */
rights_inbox *rights_create(void);

/* Closes those that nobody has taken. Takes NULL. */
void rights_destroy(rights_inbox *inbox);

/* A recvmsg into `bytes`. One at a time. */
void rights_prepare(rights_inbox *inbox, char *bytes, size_t size_bytes, struct io_uring_sqe *sqe);

/* It has ended with `result`, not an error; which is what this returns, or an error: -EMFILE ... */
int32_t rights_received(rights_inbox *inbox, int32_t result);

/* -EAGAIN: there is none. */
int rights_take(rights_inbox *inbox);

#endif
