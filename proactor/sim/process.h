/* SPDX-License-Identifier: MIT */
/*
 * process.h - a simulated process: its threads, its descriptors, its memory, how it ended.
 *
 *     create() -> exec() -> ... main returns, or it is killed -> ENDED -> reaped
 *
 * What a process leaves behind is looked at when it ends: descriptors are closed as the kernel
 * does, and memory is reported (if it ended by itself) and freed.
 */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#include "file.h"
#include "world.h"

#include <signal.h>

typedef struct sim_signals sim_signals;       /* signals.h */
typedef struct sim_family sim_family;         /* family.h */
typedef struct sim_directory sim_directory;   /* disk.h */
typedef struct sim_allocation sim_allocation; /* allocate.h */

/* Shared by all descriptors of a process: a slot without a file is free. */
typedef struct sim_descriptor {
    sim_file *file;
    bool close_on_exec;
    bool is_inherited; /* The program has found it: it need not close it. */
} sim_descriptor;

struct sim_process {
    coil_list link; /* In world->processes. */
    sim_world *world;
    sim_host *host;
    pid_t id;
    sim_process *parent; /* NULL: the world has started it, or it was given to init. */
    coil_list children;
    coil_list sibling; /* In parent->children. */
    char *path;        /* Of the program. */
    int (*main)(int argc, char **argv);
    int argument_count;
    char **arguments; /* And a NULL. */

    coil_list fibers;
    sim_fiber *main_fiber;
    coil_list rings; /* sim_ring */
    char *recording; /* What is to be replayed (replay.h). NULL: nothing. */
    unsigned ring_count;

    sim_descriptor *descriptors;
    unsigned descriptor_count;
    unsigned descriptor_limit; /* RLIMIT_NOFILE */

    sim_signals *signals;             /* NULL until somebody needs it. */
    sim_family *family;               /* The same. */
    sim_directory *working_directory; /* NULL: the root. */
    mode_t umask;                     /* umask(2) */
    char *globals;                    /* The section coil_process, while another process runs. */

    coil_list allocations; /* By time. */
    coil_list mappings;    /* sim_mapping (memory.h) */
    sim_nth nths[SIM_NTH_COUNT];

    bool is_spared;        /* No fault hits it: it belongs to the scenario. */
    bool is_stopped;       /* SIGSTOP: its threads do not run. */
    bool is_dying;         /* Its threads do not run any more, and it will end (family.h). */
    bool is_dumpable;      /* PR_SET_DUMPABLE */
    bool has_failed_check; /* COIL_CHECK, assert(3) */
    bool may_abort;        /* That is no failure of the run. */
    bool reports_leaks;    /* In words, too. */
    bool has_returned;     /* Its main(): it ends by itself, and in order. */
    bool has_ended;

    /* ENDED */
    unsigned open_count;   /* By itself: descriptors that were not closed. */
    uint64_t leaked_count; /* By itself: allocations that were not freed. */
    coil_time end_time;
    siginfo_t status; /* As waitid(2) has it. */
    sim_waiters ended;
};

enum { SIM_MAIN_STACK_BYTES = 1024 * 1024 };

/* The process that makes the call of the seam; NULL in an event. */
sim_process *sim_process_current(void);

/* A process without a program, and without descriptors. */
sim_process *sim_process_create(sim_host *host, sim_process *parent);

/* Become a program, with a first thread. `arguments` are copied. The rest of execve(2): child.h. */
void sim_process_exec(sim_process *process, const sim_program *program, char *const *arguments);

/*
 * The process ends: its fibers are dropped, its rings and descriptors closed, its memory is freed.
 * `code` and `value` as waitid(2) has them: CLD_EXITED and a status, CLD_KILLED and a signal. If it
 * is the process of the current fiber, it does not return.
 */
void sim_process_end(sim_process *process, int code, int value);

/* What it has no more: threads, but for the current one; rings, with what is in flight there. */
void sim_process_drop_threads(sim_process *process);
void sim_process_drop_rings(sim_process *process);

/* It has ended, and its parent has seen it: free it. */
void sim_process_reap(sim_process *process);

/* NULL: there is none, or it has been reaped. */
sim_process *sim_process_with(const sim_world *world, pid_t id);

/* The tasks of all loops of all processes, on stderr. */
void processes_print_tasks(sim_world *world);

/* ---------------------------------------------------------------------------- descriptors -- */

/* The file of a descriptor, which keeps it; NULL: -EBADF. */
sim_file *sim_descriptor_file(const sim_process *process, int fd);

/*
 * The number that the next descriptor from `lowest` on would have, for calls that look for one
 * before they do anything else. It stays free as long as no other thread runs. -EMFILE
 */
int sim_descriptor_reserve(sim_process *process, int lowest);
void sim_descriptor_fill(sim_process *process, int fd, sim_file *file);

/*
 * A descriptor for `file`, whose reference it takes over (also if it fails): the lowest free number
 * that is at least `lowest`, as POSIX has it. Close-on-exec unless changed. -EMFILE
 */
int sim_descriptor_install(sim_process *process, sim_file *file, int lowest);

/*
 * A program is about to close it. Fails a run that forbids leaks if it is not open: had its number
 * been given away meanwhile, it would be that of somebody else.
 */
void sim_descriptor_check_open(const sim_process *process, int fd);

/* -EBADF. The requests that use the file go on (close(2) cancels nothing: pitfall 15). */
int sim_descriptor_close(sim_process *process, int fd);

/* dup2(2): `to` is closed first. It is not close-on-exec. */
int sim_descriptor_copy(sim_process *process, int from, int to);

#endif
