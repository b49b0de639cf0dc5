/* SPDX-License-Identifier: MIT */
#include "bytes.h"

#include "world.h"

#include <string.h>

enum { FIRST_ROOM_BYTES = 512 };

char *sim_bytes_room(sim_bytes *bytes, size_t size_bytes)
{
    if (bytes->first > 0 && bytes->first + bytes->count + size_bytes > bytes->room) {
        memmove(bytes->memory, bytes->memory + bytes->first, bytes->count);
        bytes->first = 0;
    }
    if (bytes->count + size_bytes > bytes->room || bytes->room == 0) {
        size_t room = bytes->room == 0 ? FIRST_ROOM_BYTES : 2 * bytes->room;
        while (room < bytes->count + size_bytes)
            room *= 2;
        bytes->memory = sim_grown(bytes->memory, room);
        bytes->room = room;
    }
    return bytes->memory + bytes->first + bytes->count;
}

void sim_bytes_added(sim_bytes *bytes, size_t size_bytes)
{
    bytes->count += size_bytes;
}

const char *sim_bytes_at(const sim_bytes *bytes, size_t offset)
{
    return bytes->memory + bytes->first + offset;
}

void sim_bytes_drop(sim_bytes *bytes, size_t size_bytes)
{
    bytes->first += size_bytes;
    bytes->count -= size_bytes;
    if (bytes->count == 0)
        bytes->first = 0;
}

void sim_bytes_fini(sim_bytes *bytes)
{
    sim_delete(bytes->memory);
    *bytes = (sim_bytes){NULL, 0, 0, 0};
}
