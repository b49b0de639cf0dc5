/* SPDX-License-Identifier: MIT */
/*
 * family.h - whose child a process is, who hears of its end, and with whom it shares signals.
 *
 *     parent --clone--> child (RUNNING) --ends--> zombie --waited for, or not wanted--> gone
 *        |                    |
 *        +--ends first--------+-> its death signal, if it wants one; then it belongs to the nearest
 *                                 ancestor that is a subreaper, or to init
 *
 * Also what the kernel keeps by process and a child inherits: group, session, user, limits,
 * environment.
 *
 * Sources: waitid(2), prctl(2), credentials(7), setsid(2); `kernel/exit.c` of Linux for the order.
 */
#ifndef SIM_FAMILY_H
#define SIM_FAMILY_H

#include "process.h"
#include "signals.h"

#include <sys/resource.h>
#include <sys/wait.h>

typedef struct sim_clone sim_clone; /* child.c */

enum { SIM_INIT = 1 }; /* The process that orphans belong to. It reaps at once. */

struct sim_family {
    pid_t group;
    pid_t session;
    uid_t users[3];  /* Real, effective, saved. 0, unless somebody has changed it. */
    gid_t groups[3]; /* Of users. */
    struct rlimit64 limits[RLIM_NLIMITS];
    char **environment;  /* And a NULL. NULL: empty. */
    char **environ;      /* What the program has made of it by setenv(3); its own texts. */
    char **environ_copy; /* Of the array. NULL: it has not. */

    bool is_subreaper;     /* PR_SET_CHILD_SUBREAPER */
    bool has_no_new_privs; /* PR_SET_NO_NEW_PRIVS */
    int death_signal;      /* PR_SET_PDEATHSIG; 0: none. */
    pid_t parent_thread;   /* That which has made it; 0 if it is not known. */
    sim_waiters changed;   /* For waitid(2): a child has ended, or is no longer ours. */
    coil_list pidfds;      /* Those that stand for this process. */

    sim_clone *clone;     /* Before its exec. NULL: it has a program of its own. */
    unsigned clone_count; /* Its children before their exec: they run on its memory. */
    bool is_ending;       /* It ends when there is no such child any more, so: */
    int end_code, end_value;
    bool knows_of_death; /* Its parent is ending: it has been told. */

    int stop_signal;    /* For waitid(2) with WSTOPPED; 0: it has been told, or continues. */
    bool has_continued; /* The same with WCONTINUED. */

    /* What comes a moment later, as its cause may be a call that this very process makes. */
    sim_event dies;     /* Its death signal. */
    sim_event ends;     /* What has been deferred. */
    sim_event reaped;   /* Nobody wants its status. */
    sim_event hangs_up; /* Its group is orphaned. */
    bool is_unwanted;
    sim_process *process;
};

/* Made when somebody asks for it: a group and session of its own. Never NULL. */
sim_family *sim_family_of(sim_process *process);

/* What the child of a fork(2) by `thread` gets. */
void sim_family_inherit(sim_process *child, sim_process *parent, const sim_fiber *thread);

/* Takes a process that has none. */
void sim_family_free(sim_process *process);

/* The effective user. */
uid_t sim_family_user(const sim_process *process);

/* Copies. */
void sim_family_set_environment(sim_process *process, const char *const *environment);

/* The variable `environ`, and so getenv(3), is that of the process that runs. Both may be NULL. */
void family_load_environment(sim_process *before, const sim_process *process);

/*
 * At the beginning of sim_process_end(): true if that must wait, because a child runs on the memory
 * of this process, whose threads do not run any more. It will be called again; if it is the current
 * process, this does not return.
 */
bool sim_family_defers_end(sim_process *process, int code, int value);

/*
 * At the end of it: children are told and given away, and the parent is told. If nobody wants the
 * status, it will be reaped a moment later.
 */
void sim_family_end(sim_process *process);

/* Whoever started it is no process and will not ask: init, who reaps whatever belongs to it. */
void sim_family_give_to_init(sim_process *process);

/* A thread has ended: for its children, a parent has died. */
void sim_family_thread_ended(sim_process *process, pid_t thread);

/*
 * Tell the parent that its child has stopped or continued, and by which signal: by SIGCHLD, and if
 * it waits for that.
 */
void sim_family_report(sim_process *process, int code, int signo);

/*
 * group.c: `keeper`, the parent of a member of the group or the member itself, has ended. The event
 * of those in it that nobody looks after now.
 */
void sim_group_left(sim_process *member, sim_process *keeper);
void sim_group_on_hang_up(sim_event *event);

/* child.c: it ends before its exec, or has done it: its parent goes on. */
void sim_clone_end(sim_process *process);

/* setpgid(2) of itself to itself, setsid(2). */
int sim_family_lead_group(sim_process *process);
int sim_family_lead_session(sim_process *process);

/* kill(2), in all its forms, of 0 too. -ESRCH, -EPERM, -EINVAL */
int sim_kill(sim_process *sender, pid_t target, int signo);

/* May `sender` send it? 0, -EPERM, -EINVAL */
int sim_may_signal(const sim_process *sender, const sim_process *target, int signo);

/* ------------------------------------------------------------------------------------ waitid -- */

/* Which children: P_ALL, P_PID, P_PGID, P_PIDFD, as waitid(2) names them. */
typedef struct sim_wait {
    idtype_t type;
    id_t id;
    int options;
} sim_wait;

/*
 * Look for a child that has ended, stopped or continued, as the options have it; without WNOWAIT it
 * is reaped, or that is told no more. Its pid, with *out_status filled; 0: there is none yet.
 * -ECHILD: there is none at all. -EINVAL, -EBADF
 */
int sim_wait_for(sim_process *process, const sim_wait *wait, siginfo_t *out_status);

/* ------------------------------------------------------------------------------------- pidfd -- */

/* A file that stands for a process, with one reference. */
sim_file *sim_pidfd_create(sim_process *process);

/* False: the file is no pidfd. NULL in *out_process: the process has been reaped. */
bool sim_pidfd_process(sim_file *file, sim_process **out_process);

/* Its process has ended, or been reaped. */
void sim_pidfds_changed(sim_family *family);
void sim_pidfds_forget(sim_family *family);

#endif
