/* SPDX-License-Identifier: MIT */
/* What server.c and server_session.c know of each other. */
#ifndef SERVER_PRIVATE_H
#define SERVER_PRIVATE_H

#include <coil/server.h>

/* A session for a connection, if it may stay. Owns the stream. */
void server_take(coil_server *server, coil_stream *stream);

/* End the sessions that nothing would be lost with. */
void server_end_idle(coil_server *server);

#endif
