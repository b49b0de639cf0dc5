/* SPDX-License-Identifier: MIT */
/*
 * prefork_private.h - what the parts of a master share, and what it says to others.
 *
 *     prefork.c           the master: sockets, generations, signals, its end
 *     prefork_place.c     one worker: start, life, drain; and the next one in its place
 *     prefork_watch.c     heartbeats, memory and load
 *     prefork_upgrade.c   the next master
 *     prefork_seat.c      the other side, in the worker
 *     prefork_passing.c   sockets to the next process, by name
 *
 * Over a SOCK_SEQPACKET pair, from worker or successor: READY, of a worker with a page; to a
 * worker: DRAIN. The end of the pair is the end of the other.
 */
#ifndef PREFORK_PRIVATE_H
#define PREFORK_PRIVATE_H

#include <coil/prefork.h>

#include <coil/fd_watch.h>
#include <coil/timeout.h>

#include <sys/socket.h>

enum {
    PREFORK_CONTROL_FD = 3, /* In the worker, or in the next master. */
    PREFORK_SOCKET_FD = 4,  /* And the next ones. */
    PREFORK_FREE_FD = PREFORK_SOCKET_FD + COIL_PREFORK_SOCKETS, /* And above: the plan's own. */
    PREFORK_READY = 'R',
    PREFORK_DRAIN = 'D',
    PREFORK_BEATS = 8, /* As often in the heartbeat's limit. */
};

/* "NUMBER,GENERATION,BEAT_MS,SOCKETS,NAME:NAME:..." for a worker; the same for a master. */
#define PREFORK_WORKER_VARIABLE "COIL_PREFORK_WORKER"
#define PREFORK_MASTER_VARIABLE "COIL_PREFORK_MASTER"

/* Memory of a worker and its master. All are atomic. */
typedef struct prefork_page {
    int64_t beat; /* A time of coil_kernel_now(). */
    uint32_t load;
} prefork_page;

/* ------------------------------------------------------------------------- prefork_passing.c -- */

typedef struct prefork_socket {
    int fd; /* -1: somebody has taken it. */
    bool is_dealt;
    char name[COIL_PREFORK_NAME_BYTES];
} prefork_socket;

/* What a process was started with. */
typedef struct prefork_heritage {
    unsigned number;
    unsigned generation;
    unsigned beat_ms;
    unsigned socket_count;
    prefork_socket sockets[COIL_PREFORK_SOCKETS];
} prefork_heritage;

/* A child's descriptors and environment. */
typedef struct prefork_parcel {
    coil_spawn_fd fds[COIL_SPAWN_FDS_MAX];
    size_t fd_count;
    char text[64 + COIL_PREFORK_SOCKETS * COIL_PREFORK_NAME_BYTES];
    const char **env; /* NULL: the parent's is enough. To be freed. */
} prefork_parcel;

/* Take what `variable` promises. 1, or 0: it is not set; -EBADF. */
int prefork_inherit(const char *variable, prefork_heritage *out_heritage);

/* The next one of this name, which is the caller's. -ENOENT. */
int prefork_take_socket(prefork_heritage *heritage, const char *name);

/* Close what is left. */
void prefork_close_heritage(prefork_heritage *heritage);

/* Pack what prefork_inherit() unpacks, with `control`, into a plan. -ENOMEM; -EINVAL its fds. */
int prefork_pack(const char *variable, const prefork_heritage *heritage, int control,
        coil_spawn_plan *plan, prefork_parcel *parcel);

/* -------------------------------------------------------------------------------- the master -- */

typedef struct prefork_place prefork_place;

typedef enum place_state { PLACE_STARTING, PLACE_READY, PLACE_DRAINING } place_state;

/* Of one worker in one generation; processes come and go in it. */
struct prefork_place {
    coil_prefork *prefork;
    coil_list link; /* In prefork->places. */
    unsigned number;
    unsigned generation;
    unsigned dealt_among; /* So many workers. */
    place_state state;
    bool is_unwanted; /* Whoever is there is to drain; nobody follows. */
    bool is_replaced; /* Another place is to take over, once it is ready; nobody follows. */
    bool has_died;
    unsigned failures; /* Starts in a row, or lives that were short. */
    int error;         /* Of the last of them. */
    coil_time ready_at;
    coil_time aborted_at; /* 0: not. */

    coil_child child;
    int control;
    int statm;          /* /proc/PID/statm; -1: nobody asks. */
    prefork_page *page; /* NULL: none. */
    coil_fd_watch *watch;
    coil_fd_watch_hook death;
    coil_timeout timeout; /* Of whatever its keeper waits for: to hurry it. */
    char word;
    ssize_t received_bytes;
    struct msghdr message;
    struct iovec part;
    _Alignas(struct cmsghdr) char control_bytes[CMSG_SPACE(sizeof(int))];
};

struct coil_prefork {
    coil_prefork_options options; /* With the defaults in. */
    coil_loop *loop;
    prefork_heritage heritage; /* Of a predecessor. */
    bool has_predecessor;
    unsigned socket_count;
    prefork_socket sockets[COIL_PREFORK_SOCKETS];
    bool has_dealt;

    coil_group group;
    coil_list places;
    coil_list changed; /* Who waits for something to happen to them. */
    unsigned target;
    unsigned generation; /* The last that was begun, */
    unsigned current;    /* and that serves. */
    bool is_serving;
    bool is_changing; /* Between two generations. */
    bool wants_reload;
    bool is_upgrading;
    bool is_stopping;
    coil_duration drain_limit;
    unsigned lingering; /* Who were killed, and do not end. */
    coil_time calm_since;
    uint64_t random;
    uint64_t started;
    uint64_t died;
    uint64_t hung;
    uint64_t recycled;
};

/* Something has happened to the places: for those who wait in prefork->changed. */
void prefork_change(coil_prefork *prefork);

void prefork_tell(coil_prefork *prefork, const coil_prefork_event *event);
void prefork_tell_of(
        const prefork_place *place, coil_prefork_news news, int error, const coil_exit *exit);

/* A place with its keeper. -ENOMEM. */
int place_create(coil_prefork *prefork, unsigned number, unsigned generation);

/* Nobody is wanted there any more. */
void place_leave(prefork_place *place);

/* Have another in its place, and leave it then. */
void place_replace(prefork_place *place);

/* Heartbeats, memory and load, as long as the master serves. */
coil_declare_private(int, prefork_watch, (coil_prefork *)prefork);

/* Have another master take over, if it can. */
coil_declare_private(int, prefork_upgrade, (coil_prefork *)prefork);

/* Pause before the next try, which is the n-th. */
coil_duration prefork_pause(coil_prefork *prefork, unsigned failures);

#endif
