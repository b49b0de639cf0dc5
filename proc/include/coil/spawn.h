/* SPDX-License-Identifier: MIT */
/*
 * coil/spawn.h - start a child process: what it runs, what it inherits, and why it did not start.
 *
 *     plan --coil_child_spawn()--> the child runs --its exit is awaited--> coil_child_fini()
 *                   |
 *                   +--> -errno and a line of text; nothing is left: no process, no zombie, no fd
 *
 *     coil_spawn_plan plan = {
 *             .program = "publisher",
 *             .argv = (const char *const[]){"publisher", "--port=9090", NULL},
 *             .in = {.mode = COIL_STDIO_NULL},
 *             .out = {.mode = COIL_STDIO_PIPE},
 *             .err = {.mode = COIL_STDIO_MERGE},
 *     };
 *     coil_child child;
 *     coil_spawn_error error;
 *     int rc = coil_child_spawn(&plan, &child, &error);
 *     if (rc < 0)
 *         log_line("%s", error.text);
 *
 * A plan of zeroes with a program is a good plan. What the child gets is what the plan says and
 * nothing else: no other file descriptor, no blocked and no ignored signal, no signal handler of
 * the parent, not even between clone and exec. And it does not outlive its parent unless told to.
 *
 * The cost is that of vfork: memory is shared, not copied, and the calling thread waits until the
 * kernel has opened and mapped the program (50 to 150 us; as long as the file system takes if that
 * is a slow one). Other threads run on meanwhile.
 *
 * Sources: clone(2), execve(2), prctl(2) PR_SET_PDEATHSIG, close_range(2), signal(7).
 */
#ifndef COIL_SPAWN_H
#define COIL_SPAWN_H

#include <coil/base.h>

#include <stdbool.h>
#include <stdint.h>

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/types.h>

COIL_BEGIN_DECLS

typedef struct coil_stdio coil_stdio;
typedef struct coil_spawn_fd coil_spawn_fd;
typedef struct coil_spawn_limit coil_spawn_limit;
typedef struct coil_spawn_identity coil_spawn_identity;
typedef struct coil_spawn_plan coil_spawn_plan;
typedef struct coil_spawn_error coil_spawn_error;
typedef struct coil_spawn_capabilities coil_spawn_capabilities;
typedef struct coil_child coil_child;
typedef struct coil_cgroup coil_cgroup; /* coil/cgroup.h */

/* What one of the child's descriptors 0, 1 and 2 is. */
typedef enum coil_stdio_mode {
    COIL_STDIO_INHERIT, /* The parent's of the same number; /dev/null if the parent has none. */
    COIL_STDIO_NULL,    /* /dev/null */
    COIL_STDIO_PIPE,    /* A new pipe; the parent's end is in coil_child. */
    COIL_STDIO_FD,      /* `fd`, borrowed for the call. */
    COIL_STDIO_MERGE,   /* Only for `err`: the same as the child's stdout. */
    /*
     * A new pseudo terminal, pty(7), one for all three. It is the controlling terminal of the
     * child, which leads a session then, whatever .group says. Our side of it is in coil_child as
     * those of pipes are; what the child writes to stderr comes from stdout_fd. When the last
     * process that has it has ended, reading it is -EIO.
     */
    COIL_STDIO_PTY,
} coil_stdio_mode;

struct coil_stdio {
    coil_stdio_mode mode;
    int fd; /* COIL_STDIO_FD only. */
};

/* One more descriptor for the child. */
struct coil_spawn_fd {
    int child_fd;  /* Its number there, from 3 on; each number once. */
    int parent_fd; /* Its number here, borrowed for the call. May be equal to any child_fd. */
};

/* How many a plan may name. */
#define COIL_SPAWN_FDS_MAX 128

typedef enum coil_spawn_group {
    COIL_SPAWN_GROUP_INHERIT, /* The parent's process group: ^C on the terminal reaches both. */
    COIL_SPAWN_GROUP_NEW,     /* Leader of its own group: kill(-pid) reaches all of it. */
    COIL_SPAWN_SESSION_NEW,   /* Leader of its own session and group, without a terminal. */
} coil_spawn_group;

/* See setrlimit(2). */
struct coil_spawn_limit {
    int resource; /* RLIMIT_NOFILE, ... */
    struct rlimit limit;
};

/* Who the child is. All three kinds of uid and gid; the list replaces the supplementary groups. */
struct coil_spawn_identity {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* NULL if there are none. */
    size_t group_count;
};

/*
 * What the program may do of what root may: see capabilities(7). Bit n is capability n, CAP_CHOWN
 * is 0. Afterwards it has those of `keep` and no other: permitted, effective, inheritable and
 * ambient, so that the programs that it starts have them, too. If it is root, it has those of
 * `bounding` as well, as root always has all that is not out of bounds.
 */
struct coil_spawn_capabilities {
    uint64_t keep;
    uint64_t bounding;   /* What exec may give beside `keep`. UINT64_MAX: as it is here. */
    unsigned securebits; /* SECBIT_NOROOT, ...; 0: as they are. */
};

/* As plan.death_signal: the child lives on when its parent dies. */
#define COIL_SPAWN_OUTLIVE (-1)

/*
 * Everything in a plan is borrowed for the duration of the call and never changed. Each field's
 * zero is the usual choice.
 */
struct coil_spawn_plan {
    /*
     * What to run. With a slash it is a path, relative to `cwd` if it is relative. Without one it
     * is searched in PATH, that of `env` if there is an `env`. Only the absolute directories in
     * PATH are searched: what runs must not depend on where somebody stands. Without a PATH:
     * /usr/local/bin, /usr/bin, /bin.
     */
    const char *program;
    const char *const *argv; /* Ends in NULL. NULL: just the program's name. */
    /*
     * In the place of `program` and `argv`: a command for /bin/sh -c. Never put together from what
     * others say: a file name may be `; rm -rf .`.
     */
    const char *shell;
    const char *const *env; /* "NAME=value", ends in NULL. NULL: the parent's environment. */
    const char *cwd;        /* NULL: the parent's. */

    coil_stdio in;
    coil_stdio out;
    coil_stdio err;
    const coil_spawn_fd *fds; /* NULL if there are none. */
    size_t fd_count;          /* At most COIL_SPAWN_FDS_MAX. */

    coil_spawn_group group;
    /*
     * The signal that the child gets when its parent dies; 0 is SIGKILL, COIL_SPAWN_OUTLIVE none.
     * For the kernel the parent is the *thread* that spawned: when that thread ends, the child gets
     * the signal, although the process lives on. So spawn from a thread that lives as long as the
     * process, or as long as the child is wanted. The program can undo it, and the kernel does when
     * the program is set-uid or has capabilities.
     */
    int death_signal;
    /*
     * Keep the calling thread's signal mask and the process's ignored signals, as nohup and shells
     * must. Handlers are reset all the same. (A running loop blocks SIGPIPE in its thread.)
     */
    bool inherit_signals;
    bool no_new_privs; /* Exec never gains privileges: see PR_SET_NO_NEW_PRIVS. */
    bool set_umask;    /* `umask` counts only with this. */
    mode_t umask;

    const coil_spawn_limit *limits; /* NULL if there are none. */
    size_t limit_count;
    const coil_spawn_identity *run_as;           /* NULL: as the parent. */
    const coil_spawn_capabilities *capabilities; /* NULL: as the parent, or as `run_as` has it. */

    struct winsize window; /* Of a COIL_STDIO_PTY: ws_row, ws_col. 0: unknown. */

    bool set_nice; /* `nice` counts only with this: nice(2), from -20 to 19. */
    int nice;
    int io_priority; /* ioprio_set(2): class << 13 | level. 0: the parent's. */
    const int *cpus; /* sched_setaffinity(2), numbers below 1024. NULL: the parent's. */
    size_t cpu_count;
    bool set_oom_score_adjust; /* The next counts only with this: proc_pid_oom_score_adj(5). */
    int oom_score_adjust;      /* From -1000, never, to 1000, first. */

    /*
     * The cgroup that it starts in, with all that it will start. It must stay until the child and
     * coil_child_stop_tree() are over. NULL: the parent's.
     */
    coil_cgroup *cgroup;

    /*
     * chroot(2): `program`, which has to be an absolute path, and `cwd` are in there; without a
     * `cwd` it is "/".
     */
    const char *root;
    /*
     * CLONE_NEWNET, CLONE_NEWPID, ...: namespaces(7) of its own. With CLONE_NEWUSER it needs no
     * privilege: in there the child is root, or who `run_as` says (without groups), and outside who
     * we are.
     */
    unsigned namespaces;
};

/* How a child has ended: see coil/child.h. */
typedef struct coil_exit {
    bool ended;
    bool signaled;       /* Killed by a signal, */
    int code;            /* which is this; else the exit status. */
    bool dumped_core;    /* Only with `signaled`. */
    bool lost;           /* It has ended, but nobody knows how: there is no code. */
    bool has_usage;      /* We have reaped it ourselves, so this is known: getrusage(2). */
    struct rusage usage; /* Its own, and of those of its children that it has waited for. */
} coil_exit;

/*
 * A child that was started. The fds are close-on-exec and blocking, which is what io_uring wants.
 * Each can be taken out by storing -1 in its place.
 */
struct coil_child {
    pid_t pid;
    int pidfd;     /* Readable when the child has ended. */
    int stdin_fd;  /* Writes to the child's stdin; -1 unless .in is COIL_STDIO_PIPE or _PTY. */
    int stdout_fd; /* Reads its stdout, if .out is COIL_STDIO_PIPE, or the terminal that any of */
                   /* the three has by COIL_STDIO_PTY; else -1. */
    int stderr_fd; /* Reads its stderr; -1 unless .err is COIL_STDIO_PIPE. */
    coil_exit exit;
    coil_spawn_group group; /* What it leads: for coil_child_stop_tree(). */
    coil_cgroup *cgroup;    /* That of the plan. */
};

/* Where a spawn failed. The child's stages are passed in this order. */
typedef enum coil_spawn_stage {
    COIL_SPAWN_STAGE_NONE,

    COIL_SPAWN_STAGE_SEARCH, /* No program of that name in PATH. */
    COIL_SPAWN_STAGE_PIPE,   /* Or a pseudo terminal. */
    COIL_SPAWN_STAGE_CLONE,  /* Also the namespaces. */

    COIL_SPAWN_STAGE_USER_NAMESPACE,
    COIL_SPAWN_STAGE_GROUP,
    COIL_SPAWN_STAGE_TERMINAL,
    COIL_SPAWN_STAGE_CGROUP,
    COIL_SPAWN_STAGE_STDIO, /* Also the further fds. */
    COIL_SPAWN_STAGE_LIMITS,
    COIL_SPAWN_STAGE_PRIORITY, /* nice, io_priority, cpus, oom_score_adjust */
    COIL_SPAWN_STAGE_ROOT,
    COIL_SPAWN_STAGE_CHDIR,
    COIL_SPAWN_STAGE_IDENTITY,
    COIL_SPAWN_STAGE_CAPABILITIES,
    COIL_SPAWN_STAGE_DEATH_SIGNAL,
    COIL_SPAWN_STAGE_PRIVILEGES,
    COIL_SPAWN_STAGE_SIGNALS,
    COIL_SPAWN_STAGE_EXEC,
} coil_spawn_stage;

#define COIL_SPAWN_TEXT_BYTES 320

struct coil_spawn_error {
    int error; /* What the call returned. */
    coil_spawn_stage stage;
    /*
     * One line for people, without a newline:
     *     cannot run 'publsher': no such file or directory (not found in PATH)
     *     cannot run './job': its interpreter '/bin/foo' does not exist
     */
    char text[COIL_SPAWN_TEXT_BYTES];
};

/*
 * Start the child that `plan` describes. Returns 0 when the program is running, and fills
 * *out_child, which the caller owns then: its fds, and the duty to wait for the process
 * (waitid(2)), without which it stays a zombie.
 *
 * A failure, of exec too, leaves nothing behind; *out_error (NULL if not wanted) tells the stage
 * and the cause:
 *
 *     -ENOENT, -EACCES, -ENOEXEC, -E2BIG, -ELOOP, -ENAMETOOLONG, ...   the program: execve(2)
 *     -ETXTBSY            the program is being written. Worth another try a moment later if this
 *                         process has just written it: a child that another thread is spawning
 *                         may hold the file open until its own exec.
 *     -ENOENT, -ENOTDIR, -EACCES at COIL_SPAWN_STAGE_CHDIR             the directory
 *     -EMFILE, -ENFILE    no fd left
 *     -EAGAIN, -ENOMEM    no process left: clone(2)
 *     -EBADF              an fd of the plan is not open
 *     -EPERM              identity, limits, priorities, capabilities, namespaces, root: not allowed
 *     -EINVAL             more than COIL_SPAWN_FDS_MAX fds, a bad limit, a bad death signal, a
 *                         `program` with a `root` that is not an absolute path, a bad priority
 *     -ENODEV             no cgroup there any more
 *
 * A child that is killed by a signal before its exec has been started: it is reported by its exit.
 *
 * Any thread, several at once; see death_signal for the choice. Nobody may change the process's
 * environment (setenv) or the plan meanwhile. SIGCHLD must not be ignored, or exit statuses are
 * lost. errno and the signal mask stay as they were.
 */
COIL_API COIL_MUST_USE int coil_child_spawn(
        const coil_spawn_plan *plan, coil_child *out_child, coil_spawn_error *out_error);

/*
 * Close the fds that `child` still has. Neither ends nor reaps the process. NULL and a second call
 * are allowed.
 */
COIL_API void coil_child_fini(coil_child *child);

/* "exec", "chdir", ... Static memory; any thread. */
COIL_API const char *coil_spawn_stage_name(coil_spawn_stage stage);

COIL_END_DECLS

#endif
