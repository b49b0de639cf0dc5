/* SPDX-License-Identifier: MIT */
/*
 * coil/subreaper.h - be the one that orphans are given to, and reap them.
 *
 *     coil_spawn(&my->background, coil_subreaper_run(NULL));
 *
 *     us --> child --> daemon             the child ends: the daemon is ours now, instead of init's
 *      ^                  |
 *      +------------------+               and when it ends, this reaps it
 *
 * Without it, what a child leaves behind belongs to init, which in a container may be us anyhow: a
 * process number 1 that does not reap collects zombies until there are no numbers left.
 *
 * Invariants
 *   - A child that was spawned by coil_child_spawn(), or that was there before this began, is never
 *     reaped here: its status belongs to whoever waits for it.
 *   - What other code of this process forks while this runs (system(3), popen(3)) is taken for an
 *     orphan. Whoever waits for it gets ECHILD; so let such code not run in a subreaper.
 *   - It sleeps until something ends. While a child that has ended is not waited for by its owner,
 *     and while we have no children at all, it looks again after a millisecond, then after twice as
 *     long each time, once a second at last.
 *
 * Sources: prctl(2) PR_SET_CHILD_SUBREAPER, waitid(2).
 */
#ifndef COIL_SUBREAPER_H
#define COIL_SUBREAPER_H

#include <coil/child.h>

COIL_BEGIN_DECLS

typedef struct coil_orphan_hook coil_orphan_hook;

/* Who wants to know. Called on the loop's thread; must not wait. */
struct coil_orphan_hook {
    void (*reaped)(coil_orphan_hook *hook, pid_t pid, const coil_exit *exit);
};

/*
 * Become the subreaper of all descendants, and reap orphans until this is cancelled; then we are
 * none any more. `hook` may be NULL. Result: -EBUSY, this runs already in the process; -ENOENT,
 * there is no /proc; -ENOSYS and the like of the kernel.
 */
coil_declare(int, coil_subreaper_run, (coil_orphan_hook *) hook);

/*
 * End all orphans that are ours now, each with all that it has started, by the ladder of
 * coil_child_stop_tree(), and reap them; the hook need not hear of it. While coil_subreaper_run()
 * runs. Result: how many, or the first error.
 */
coil_declare(int, coil_subreaper_stop_orphans, (coil_duration) grace);

COIL_END_DECLS

#endif
