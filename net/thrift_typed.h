/* SPDX-License-Identifier: MIT */
/*
 * thrift_typed.h - calls of methods with a schema: the struct that their handlers take.
 */
#ifndef COIL_THRIFT_TYPED_H
#define COIL_THRIFT_TYPED_H

#include <coil/thrift_server.h>

/* What an arena of a call of this server may hold. */
size_t thrift_arena_max(const coil_thrift_server *server);

/*
 * The call's arguments, of which the message has been taken, into a new struct in its arena, beside
 * an empty result. `message_bytes` is the size of the whole message. 0, the reader's error, -ENOBUFS
 * (a limit of the arena), -ENOMEM.
 */
int thrift_typed_begin(coil_thrift_call *call, size_t message_bytes, void **out_typed);

/* The handler has returned 0: write what is in the struct as the reply, without its end. */
void thrift_typed_end(coil_thrift_call *call, void *typed);

#endif
