/* SPDX-License-Identifier: MIT */
/*
 * linger.h - ending a connection whose peer may still be sending.
 *
 * Closing a socket with bytes that nobody has read, or to which some come afterwards, resets the
 * connection, and a reset overtakes what we have said: the peer reads an error, not our last words
 * or the end of the stream (RFC 1122, 4.2.2.13).
 */
#ifndef LINGER_H
#define LINGER_H

#include <coil/stream.h>

enum { LINGER_S = 1 /* For as long as a peer is waited for: some round trips. */ };

/*
 * End our side, and drop what still comes, until the peer has ended its side or has sent too much.
 * 0, or an error of the stream. The caller limits it by LINGER_S, and closes the stream.
 */
coil_declare_private(int, linger, (coil_stream *)stream);

#endif
