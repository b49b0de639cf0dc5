/* SPDX-License-Identifier: MIT */
/*
 * keeper_message.h - what a supervisor and its keeper say to each other, one packet for each.
 *
 *     supervisor                keeper
 *     KEEPER_PUT, fds           (nothing: what is in the socket arrives, whatever happens to us)
 *     KEEPER_REMOVE             (nothing)
 *     KEEPER_LIST               KEEPER_PUT, fds for each that it keeps; then KEEPER_LIST
 *     KEEPER_END                ends
 *
 * The first packet on a connection is the keeper's: KEEPER_HELLO, or KEEPER_BUSY and the end,
 * because somebody else is connected. What is too long, or not known, ends the connection.
 */
#ifndef KEEPER_MESSAGE_H
#define KEEPER_MESSAGE_H

#include <stdint.h>

enum {
    KEEPER_VERSION = 1,
    KEEPER_KEY_BYTES = 64,
    KEEPER_NOTE_BYTES = 32,
    KEEPER_FDS_MAX = 4,
};

enum { KEEPER_PUT = 1, KEEPER_REMOVE, KEEPER_LIST, KEEPER_END, KEEPER_HELLO, KEEPER_BUSY };

typedef struct keeper_message {
    uint16_t version;
    uint16_t verb;
    uint32_t fd_count;
    char key[KEEPER_KEY_BYTES];   /* Ends in a zero, or is as long as this. */
    char note[KEEPER_NOTE_BYTES]; /* Not looked at. */
} keeper_message;

#endif
