/* SPDX-License-Identifier: MIT */
/*
 * coil/keeper.h - a small process that holds descriptors for a supervisor that may be killed.
 *
 *     coil_keeper_open(&options, &keeper)          the one that is there, or a new one
 *     coil_keeper_list(keeper)                     what a predecessor has left: until it is 0,
 *     coil_keeper_next(keeper, &thing)             the next
 *     coil_keeper_put(keeper, &thing)
 *     coil_keeper_remove(keeper, "web/1")
 *     coil_keeper_close(keeper, COIL_KEEPER_STAYS)
 *
 *     supervisor --put--> keeper                   a pipe whose reader is killed has another one:
 *         X                 | holds                who writes to it gets no SIGPIPE, and nothing
 *     supervisor <--list----+                      that is in it is lost; a pidfd still tells the
 *                                                  exit status of a process that is gone
 *
 * The keeper is 2 KiB of code that does nothing else, so nobody has a reason to restart it; its
 * memory is a few pages, and 144 bytes for each thing that it keeps. It ends when it is told to, or
 * if no supervisor is there for `patience`; it can kill what it has pidfds of, then. Should it be
 * killed itself, coil_keeper_gone() ends; then have another one, and put everything once more
 * (coil/adoption.h does).
 *
 * Who puts and is killed at that moment has put: what has been sent arrives. At a time there is one
 * supervisor: a second one gets -EBUSY, and so does not start everything again.
 *
 * It is found by a unix socket, whose directory must belong to the user alone: who can connect is
 * given everything. On the loop's thread only. x86-64 and aarch64; not in a simulation.
 *
 * Sources: unix(7), SCM_RIGHTS; pidfd_open(2); systemd's FDSTORE, s6-fdholderd.
 */
#ifndef COIL_KEEPER_H
#define COIL_KEEPER_H

#include <coil/coro.h>
#include <coil/loop.h>

COIL_BEGIN_DECLS

enum {
    COIL_KEEPER_KEY_BYTES = 64, /* A key, with its end. */
    COIL_KEEPER_NOTE_BYTES = 32,
    COIL_KEEPER_FDS_MAX = 4, /* For each key. */
};

typedef struct coil_keeper coil_keeper;
typedef struct coil_keeper_options coil_keeper_options;
typedef struct coil_kept coil_kept;

struct coil_keeper_options {
    const char *path;       /* Of its socket; the directory exists. */
    coil_duration patience; /* Without a supervisor. 0: a minute. */
    bool kills; /* Then, SIGKILL for every process that it has a pidfd of, and for its group. */
};

/* Something that is kept. */
struct coil_kept {
    char key[COIL_KEEPER_KEY_BYTES];
    char note[COIL_KEEPER_NOTE_BYTES]; /* Whatever was put; bytes. */
    int fds[COIL_KEEPER_FDS_MAX];
    unsigned fd_count;
};

/*
 * Connect to the keeper at the path; if there is none, start one, which outlives us. -EBUSY: it has
 * a supervisor. -ENAMETOOLONG, -ENOSYS; the errors of socket(2), bind(2), memfd_create(2) and
 * coil_child_spawn(). -EPROTO: somebody else listens there.
 */
coil_declare(
        int, coil_keeper_open, (const coil_keeper_options *) options, (coil_keeper **) out_keeper);

/* Keep these under this key, in place of what was. They stay ours, too. -EPIPE: it has gone. */
coil_declare(int, coil_keeper_put, (coil_keeper *) keeper, (const coil_kept *) thing);

/* Not any more. Nothing if it does not know the key. -EPIPE */
coil_declare(int, coil_keeper_remove, (coil_keeper *) keeper, (const char *) key);

/*
 * Ask for what it keeps; then 1 and the next one, whose descriptors are ours now, until 0. -EPIPE,
 * -EPROTO. One task at a time.
 */
coil_declare(int, coil_keeper_list, (coil_keeper *) keeper);
coil_declare(int, coil_keeper_next, (coil_keeper *) keeper, (coil_kept *) out_thing);

/* Await its end, or that it has had enough of us: 0. One task at a time, and no list meanwhile. */
coil_declare(int, coil_keeper_gone, (coil_keeper *) keeper);

/*
 * After -EPIPE, or its end: the one that is there, or a new one, in its place. Either may lack what
 * was put: put it again. Who puts meanwhile waits. Errors of coil_keeper_open(), after which it is
 * still gone, and this may be tried again.
 */
coil_declare(int, coil_keeper_renew, (coil_keeper *) keeper);

/* It waits for the next supervisor, or ends and forgets everything. */
typedef enum coil_keeper_end { COIL_KEEPER_STAYS, COIL_KEEPER_ENDS } coil_keeper_end;

/* Take leave of it. Takes NULL. */
coil_declare(void, coil_keeper_close, (coil_keeper *) keeper, (coil_keeper_end) end);

COIL_END_DECLS

#endif
