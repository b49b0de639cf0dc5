/* SPDX-License-Identifier: MIT */
/*
 * coil/handover.h - a new process takes over the listening sockets of an old one, and nobody who
 * connects meanwhile notices.
 *
 * The same code in both, for each is the successor of one and the predecessor of another:
 *
 *     coil_attempt(coil_handover_open("unix:/run/chat/handover", &my->handover));
 *     coil_defer(coil_handover_close(my->handover));
 *     my->rc = coil_handover_listen(my->handover, "chat", "*:7000", NULL, &my->listener);
 *     coil_server_add(&my->server, my->listener);
 *     coil_spawn(&my->group, step_down(my->handover, &my->server));
 *     coil_attempt(coil_server_serve(&my->server));
 *
 *     coil_async (int, step_down, (coil_handover *) handover, (coil_server *) server)
 *     {
 *         coil_vars ();
 *         coil_attempt(coil_handover_ready(handover));       we serve: the predecessor may go
 *         coil_attempt(coil_handover_requested(handover));   a successor does: so may we
 *         coil_server_drain(server, coil_s(30));
 *         return 0;
 *     }
 *
 *     predecessor:  serving ------------------------------ ready --> draining, its sessions end
 *                              | sockets                  ^ | "go"
 *     successor:             open() --> listen() ... --> ready() --> serving, until requested()
 *                                 if it fails up to here: nothing has happened
 *
 * Invariants
 *   - Both have the same sockets, not two of the same address: what the kernel has completed is in
 *     one queue, which either accepts from, and which is not closed as long as one of them listens.
 *   - The predecessor serves until its successor has said that it is ready. A successor that dies,
 *     is not ready within COIL_HANDOVER_LIMIT_S, or belongs to another user changes nothing.
 *   - One successor at a time; others wait.
 *   - A unix socket's path stays, and is removed by whoever serves last.
 *
 * What it needs: nobody but us may connect to the address, so its directory should be ours alone.
 * Both ends also ask the kernel who the other is (SO_PEERCRED, unix(7)): it has to be the same
 * user, or root.
 *
 * A listener of all loops (coil/shared_listener.h) is made before the runtime is. So:
 *
 *     coil_run(open_all(service))              coil_handover_open(), on a loop of its own that ends
 *     coil_handover_share(service->handover, "http", "*:8080", NULL, &service->shared);
 *     coil_runtime_run_with(...)               loop 0 runs step_down(), which calls
 *                                              coil_runtime_stop(worker->runtime, coil_s(30))
 *     coil_handover_close(service->handover);
 *     coil_shared_listener_destroy(service->shared);
 *
 * nginx: upgrading an executable on the fly; envoy: hot restart. coil_handover_open(),
 * coil_handover_listen(), coil_handover_share() and coil_handover_close() on any loop's thread, one
 * at a time; the others on the loop that waits in coil_handover_requested(), which for shared
 * listeners has to be loop 0.
 */
#ifndef COIL_HANDOVER_H
#define COIL_HANDOVER_H

#include <coil/shared_listener.h>

COIL_BEGIN_DECLS

enum {
    COIL_HANDOVER_SOCKETS = 100,   /* The most that are handed over. */
    COIL_HANDOVER_NAME_BYTES = 64, /* Of a name, with its NUL. */
    COIL_HANDOVER_LIMIT_S = 60,    /* For a successor to become ready. */
};

typedef struct coil_handover coil_handover;

/*
 * Ask whoever offers sockets at this address, a unix one, for them. How many there are; 0: nobody
 * does, and from here on we do. The errors of coil_listen() for that; -EINVAL it is no unix
 * address; -EPERM it is another user who offers; -EBADMSG it is something else that listens there;
 * -ECONNRESET it has changed its mind; -EBUSY it has not answered, as it has a successor already;
 * -EMFILE, -ENOMEM.
 */
coil_declare(int, coil_handover_open, (const char *) address, (coil_handover **) out_handover);

/*
 * A listener of the name, and to be offered under it: the predecessor's, or if it has none, a new
 * one at the address. A name is asked for once. It is the caller's, and may be closed at any time;
 * then it is not offered. -EINVAL: the name is empty or too long; -EEXIST it was asked for before;
 * -ENOSPC there are COIL_HANDOVER_SOCKETS; the errors of coil_listen().
 */
COIL_API int coil_handover_listen(coil_handover *handover, const char *name, const char *address,
        const coil_listen_options *options, coil_listener **out_listener);

/*
 * The same for a listener of all loops; without a loop. With COIL_SHARE_BY_KERNEL it has a socket
 * for each loop, all of which are handed over: more loops than the predecessor's get new ones
 * beside them, fewer leave sockets to be closed by coil_handover_ready(), with those who wait
 * there. So have as many loops. Until coil_handover_close() or the hand-over, the sockets are ours
 * as well: a service that drains by itself closes the handover when it begins to.
 */
COIL_API int coil_handover_share(coil_handover *handover, const char *name, const char *address,
        const coil_share_options *options, coil_shared_listener **out_shared);

/*
 * All that we want to serve is served: tell the predecessor, and wait until it lets go. What it had
 * and we have not asked for is closed. 0: we are alone now, as we are without a predecessor.
 * -ECONNRESET: it has given us up, or has died: it is best to end.
 */
coil_declare(int, coil_handover_ready, (coil_handover *) handover);

/*
 * Wait for a successor that is ready. 0: it serves, so drain (coil/server.h). Other errors than of
 * accept(2) are not ours but those of one successor, which is then no more. After
 * coil_handover_ready(). One task at a time.
 */
coil_declare(int, coil_handover_requested, (coil_handover *) handover);

/* Offer nothing any more, and close what nobody has asked for. Takes NULL. */
COIL_API void coil_handover_close(coil_handover *handover);

COIL_END_DECLS

#endif
