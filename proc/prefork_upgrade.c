/* SPDX-License-Identifier: MIT */
/* The next master: it has our sockets, and we go when it says that it is ready. */
#include "prefork_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

/* One that is being tried. */
typedef struct successor {
    coil_child child;
    int control;
    char word;
    bool is_ready;
} successor;

static int start(coil_prefork *prefork, successor *next)
{
    coil_spawn_plan plan = *prefork->options.successor;
    prefork_heritage heritage = {.socket_count = prefork->socket_count};
    prefork_parcel parcel = {.fd_count = 0};
    int ends[2] = {-1, -1};

    for (unsigned i = 0; i < prefork->socket_count; i++)
        heritage.sockets[i] = prefork->sockets[i];
    plan.death_signal = COIL_SPAWN_OUTLIVE;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_SEQPACKET, ends);
    if (rc < 0)
        return rc;
    rc = prefork_pack(PREFORK_MASTER_VARIABLE, &heritage, ends[1], &plan, &parcel);
    if (rc == 0)
        rc = coil_child_spawn(&plan, &next->child, NULL);
    free(parcel.env);
    (void)coil_kernel_close(ends[1]);
    if (rc < 0) {
        (void)coil_kernel_close(ends[0]);
        return rc;
    }
    next->control = ends[0];
    return 0;
}

/* Until it says so. */
coil_async(int, hear, (successor *) next)
{
    coil_vars(ssize_t count);

    coil_attempt(my->count, coil_recv(next->control, &next->word, sizeof(next->word), 0));
    return my->count == 1 && next->word == PREFORK_READY ? 0 : -ECHILD;
}

/* It lives on if it is ready; else nothing has happened. */
coil_async(int, finish, (successor *) next)
{
    coil_vars();

    if (!next->is_ready)
        coil_ignore(coil_child_stop(&next->child, coil_s(1)));
    (void)coil_kernel_close(next->control);
    coil_child_fini(&next->child);
    return 0;
}

coil_async(int, try_next, (coil_prefork *) prefork, (successor *) next)
{
    coil_vars(int rc);

    my->rc = start(prefork, next);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(finish(next)));
    coil_await(my->rc, coil_within(2 * prefork->options.ready_limit, hear(next)));
    next->is_ready = my->rc == 0;
    return my->rc;
}

coil_define(int, prefork_upgrade, (coil_prefork *) prefork)
{
    coil_vars(successor next; int rc);

    coil_defer(prefork->is_upgrading = false);
    my->rc = -EOPNOTSUPP;
    if (prefork->options.successor != NULL)
        coil_await(my->rc, try_next(prefork, &my->next));
    const coil_prefork_event event = {
            .news = my->rc == 0 ? COIL_PREFORK_UPGRADED : COIL_PREFORK_UPGRADE_FAILED,
            .pid = my->next.child.pid,
            .error = my->rc};
    prefork_tell(prefork, &event);
    if (my->rc == 0)
        coil_prefork_stop(prefork, prefork->options.drain_limit);
    return 0;
}
