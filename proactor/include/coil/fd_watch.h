/* SPDX-License-Identifier: MIT */
/*
 * coil/fd_watch.h - have a function called on the loop's thread whenever a descriptor is ready.
 *
 *     coil_fd_watch_create(loop, fd, POLLIN, &source->hook, &source->watch)
 *         ... source->hook.ready(&source->hook, POLLIN), once per turn for as long as it is ready
 *     coil_fd_watch_close(source->watch)
 *
 * For foreign libraries that want to be told, and read and write by themselves. A coroutine awaits
 * coil_poll() (coil/io.h) instead.
 *
 * Invariants
 *   - Level-triggered: what the hook leaves unread makes it be called again in the next turn.
 *   - It runs as a call does (coil/call.h): never inline, and it does not keep a loop running.
 *   - The watch holds the file, not the number: a descriptor that is closed and reused meanwhile is
 *     not confused with its successor. Several watches of one descriptor do not know of each other.
 *   - After coil_fd_watch_close(), which the hook itself may call, the hook is not called any more.
 *
 * On the loop's thread only. asyncio: add_reader, add_writer.
 */
#ifndef COIL_FD_WATCH_H
#define COIL_FD_WATCH_H

#include <coil/loop.h>

#include <poll.h>

COIL_BEGIN_DECLS

typedef struct coil_fd_watch coil_fd_watch;
typedef struct coil_fd_watch_hook coil_fd_watch_hook;

/*
 * `events` as in poll(2), POLLERR and POLLHUP included; or a negative error of poll(2), once:
 * nothing is watched any more.
 */
struct coil_fd_watch_hook {
    void (*ready)(coil_fd_watch_hook *hook, int events);
};

/* Begin to watch `fd`, which stays the caller's, for `events` of poll(2). -ENOMEM. */
COIL_API int coil_fd_watch_create(coil_loop *loop, int fd, unsigned events,
        coil_fd_watch_hook *hook, coil_fd_watch **out_watch);

/* End it. Does not wait: the loop does the work. After the loop's end, too. Takes NULL. */
COIL_API void coil_fd_watch_close(coil_fd_watch *watch);

COIL_END_DECLS

#endif
