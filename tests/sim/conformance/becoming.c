/* SPDX-License-Identifier: MIT */
/*
 * The end of a program that has run for a while: by execve(2), and by SIGKILL; and what of it is
 * left. The stage itself must stay; so this happens to a child, which is this very program once
 * more (becoming_main()), and which tells by a pipe what there was before and after.
 */
#include "programs.h"

#include "child_syscall.h"

#include <coil/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { REPORT = 40, PASSED, CHILD }; /* Descriptors that all lives have. */

/* ----------------------------------------------------------------------------- what is told -- */

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void tell(const char *format, ...)
{
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    const int size_bytes = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    (void)coil_kernel_write(REPORT, line, (size_t)size_bytes);
}

static void tell_result(const char *what, int64_t result)
{
    if (result < 0) {
        tell("%s: -%s\n", what, coil_error_name((int)result));
    } else {
        tell("%s: %d\n", what, (int)result);
    }
}

/* --------------------------------------------------------------------------- the first life -- */

typedef struct doomed {
    coil_kernel_child child;
    char *const *arguments;
} doomed;

COIL_UNINSTRUMENTED static void sleep_until_death(coil_kernel_child *child)
{
    static char *const no_environment[] = {NULL};
    const doomed *self = coil_container_of(child, doomed, child);
    (void)CHILD_SYSCALL(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    (void)CHILD_SYSCALL(SYS_execve, "/bin/sleep", self->arguments, no_environment);
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, 127);
}

/* It is to be killed when its parent, the thread that has made it, is gone. */
static void have_child(void)
{
    static char name[] = "sleep";
    static char seconds[] = "1000";
    static char *const arguments[] = {name, seconds, NULL};
    doomed sleeps = {.child = {.run = sleep_until_death}, .arguments = arguments};
    int pidfd = -1;
    const pid_t pid = coil_kernel_clone(&sleeps.child, &pidfd);
    tell("clone: %s\n", pid > 0 ? "pid" : "error");
    tell_result("pidfd", coil_kernel_dup_to_pass(pidfd, CHILD));
}

/* A file with three bytes: its descriptor, which is not passed on, but a copy is. */
static int have_file(void)
{
    const int fd = coil_kernel_openat(AT_FDCWD, "becoming", O_RDWR | O_CREAT);
    tell_result("write", coil_kernel_write(fd, "abc", 3));
    tell_result("copy", coil_kernel_dup_to_pass(fd, PASSED));
    tell_result("copy once more", coil_kernel_dup_to_pass(fd, PASSED));
    tell_result("copy to itself", coil_kernel_dup_to_pass(PASSED, PASSED));
    tell_result("copy of none", coil_kernel_dup_to_pass(STAGE_DESCRIPTORS - 1, PASSED));
    tell_result("copy to none", coil_kernel_dup_to_pass(fd, -1));
    tell_result("copy beyond the limit", coil_kernel_dup_to_pass(fd, STAGE_DESCRIPTORS));
    return fd;
}

static void be_handled(int signo)
{
    (void)signo;
}

static void have_signals(void)
{
    const struct sigaction handled = {.sa_handler = be_handled};
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t set;

    (void)coil_kernel_sigaction(SIGUSR1, &handled, NULL);
    (void)coil_kernel_sigaction(SIGUSR2, &ignored, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGTERM);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
    (void)coil_kernel_raise(SIGHUP);
}

/* What an exec refuses changes nothing. */
static void be_refused(void)
{
    static char name[] = "nobody";
    char *const arguments[] = {name, NULL};
    tell_result("exec of nothing", coil_kernel_exec("becoming.missing", arguments));
    tell_result("exec of a directory", coil_kernel_exec(".", arguments));
    tell_result("exec of a file", coil_kernel_exec("becoming", arguments));
}

typedef struct successor {
    coil_kernel_thread thread;
    char pid[16], fd[16], port[16];
} successor;

static void become(successor *next)
{
    static char name[] = "conformance";
    static char option[] = "--become";
    static char second[] = "second";
    static char by_thread[] = "second_by_thread";
    char *const life = coil_kernel_is_main_thread() ? second : by_thread;
    char *const arguments[] = {name, option, life, next->pid, next->fd, next->port, NULL};
    (void)coil_kernel_raise(SIGTERM); /* This thread has blocked it. */
    tell_result("exec", coil_kernel_exec(stage_program, arguments));
}

static void become_by_thread(coil_kernel_thread *thread)
{
    become(coil_container_of(thread, successor, thread));
}

static void wait_for_ever(void)
{
    for (;;)
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_s(1000));
}

static void wait_beside(coil_kernel_thread *thread)
{
    (void)thread;
    wait_for_ever();
}

/* A ring with an accept in flight, whose listener is not passed on. */
static uint16_t accept_for_ever(struct stage *stage)
{
    struct sockaddr_in address;
    const int listener = stage_listen(stage, 10, &address);
    io_uring_prep_multishot_accept(stage_ask(stage, "accept"), listener, NULL, NULL, 0);
    (void)stage_submit(stage);
    return ntohs(address.sin_port);
}

static void live(struct stage *stage, bool by_thread)
{
    static successor next;
    static coil_kernel_thread other = {.run = wait_beside};

    have_child();
    have_signals();
    (void)snprintf(next.fd, sizeof(next.fd), "%d", have_file());
    (void)snprintf(next.pid, sizeof(next.pid), "%d", (int)coil_kernel_getpid());
    (void)snprintf(next.port, sizeof(next.port), "%u", (unsigned)accept_for_ever(stage));
    (void)setenv("COLOUR", "green", 1);
    be_refused();
    if (!by_thread) {
        tell_result("another thread", coil_kernel_thread_start(&other));
        become(&next);
    }
    next.thread.run = become_by_thread;
    (void)coil_kernel_thread_start(&next.thread);
    wait_for_ever();
}

static void live_first(struct stage *stage)
{
    live(stage, false);
}

static void live_by_thread(struct stage *stage)
{
    live(stage, true);
}

static void live_until_killed(struct stage *stage)
{
    tell("%u\n", (unsigned)accept_for_ever(stage));
    wait_for_ever();
}

/* -------------------------------------------------------------------------- the second life -- */

static void tell_signals(void)
{
    struct sigaction handled;
    struct sigaction ignored;
    sigset_t blocked;
    sigset_t pending;

    (void)coil_kernel_sigaction(SIGUSR1, NULL, &handled);
    (void)coil_kernel_sigaction(SIGUSR2, NULL, &ignored);
    tell("handled: %d, ignored: %d\n", handled.sa_handler != SIG_DFL,
            ignored.sa_handler == SIG_IGN);
    (void)coil_kernel_sigmask(SIG_BLOCK, NULL, &blocked);
    (void)coil_kernel_sigpending(&pending);
    tell("blocked: HUP %d, INT %d, SEGV %d\n", sigismember(&blocked, SIGHUP),
            sigismember(&blocked, SIGINT), sigismember(&blocked, SIGSEGV));
    tell("pending: HUP %d, TERM %d\n", sigismember(&pending, SIGHUP),
            sigismember(&pending, SIGTERM));
}

/* Its position is shared, as with every copy. */
static void tell_file(int closed)
{
    char text[16] = "";
    tell_result("the descriptor", coil_kernel_is_device(closed));
    tell_result("write to the copy", coil_kernel_write(PASSED, "de", 2));
    (void)coil_kernel_pread(PASSED, text, sizeof(text) - 1, 0);
    tell("%s\n", text);
}

static int bind_to(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
            .sin_port = htons((uint16_t)port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = coil_kernel_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int rc = coil_kernel_bind(fd, (const void *)&address, sizeof(address));
    (void)coil_kernel_close(fd);
    return rc;
}

/* When a ring that is being torn down has let go of its listener. */
static int bind_at_last(int port)
{
    enum { TRIES = 200 };
    int rc = bind_to(port);
    for (int i = 0; i < TRIES && rc == -EADDRINUSE; i++) {
        coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_ms(10));
        rc = bind_to(port);
    }
    return rc;
}

static void tell_child(void)
{
    siginfo_t status = {.si_pid = 0};
    coil_kernel_word_wait(&(const uint32_t){0}, 0, coil_ms(100));
    tell_result("reap", coil_kernel_reap(CHILD, &status));
    if (status.si_pid == 0) {
        tell("the child runs\n");
        (void)coil_kernel_pidfd_signal(CHILD, SIGTERM);
        (void)coil_kernel_reap_soon(CHILD, &status);
    }
    tell("the child was killed: %d, by %d\n", status.si_code == CLD_KILLED, status.si_status);
}

static void live_second(char **argv)
{
    const char *colour = getenv("COLOUR");
    tell("the same process: %d, its first thread: %d\n", atoi(argv[3]) == coil_kernel_getpid(),
            coil_kernel_is_main_thread());
    if (strcmp(argv[2], "second") == 0) {
        tell_result("bind at once", bind_to(atoi(argv[5])));
    } else { /* The rings of other threads linger: mostly -EADDRINUSE at once. */
        tell_result("bind at last", bind_at_last(atoi(argv[5])));
    }
    tell_file(atoi(argv[4]));
    tell_signals();
    tell("%s\n", colour == NULL ? "no colour" : colour);
    tell_result("dumpable", coil_kernel_dumpable());
    tell_child();
}

int becoming_main(int argc, char **argv)
{
    static const conformance_program lives[] = {{"first", live_first},
            {"by_thread", live_by_thread}, {"killed", live_until_killed}, {NULL, NULL}};

    if (argc == 6 && strncmp(argv[2], "second", 6) == 0)
        live_second(argv);
    for (const conformance_program *life = lives; life->name != NULL; life++) {
        if (strcmp(argv[2], life->name) == 0)
            free(stage_play(life));
    }
    return 7;
}

/* ------------------------------------------------------------------------------ the program -- */

typedef struct beginning {
    coil_kernel_child child;
    char *const *arguments;
    int report;
} beginning;

COIL_UNINSTRUMENTED static void begin(coil_kernel_child *child)
{
    static char *const no_environment[] = {NULL};
    const beginning *self = coil_container_of(child, beginning, child);
    (void)CHILD_SYSCALL(SYS_dup3, self->report, REPORT, 0);
    (void)CHILD_SYSCALL(SYS_execve, stage_program, self->arguments, no_environment);
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, 127);
}

/* The end of the pipe by which it tells. */
static int begin_life(struct stage *stage, const char *life, int *out_pidfd)
{
    static char name[] = "conformance";
    static char option[] = "--become";
    char *const arguments[] = {name, option, stage_memory(stage, strlen(life) + 1), NULL};
    const stage_ends pipe = stage_pipe(stage);
    beginning child = {.child = {.run = begin}, .arguments = arguments, .report = pipe.in};

    strcpy(arguments[2], life);
    const pid_t pid = coil_kernel_clone(&child.child, out_pidfd);
    stage_say(stage, "clone: %s", pid > 0 ? "pid" : "error");
    stage_close(stage, pipe.in);
    return pipe.out;
}

static void end_life(struct stage *stage, int report, int pidfd)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    stage_say_result(stage, "reap", coil_kernel_reap_soon(pidfd, status));
    stage_say(
            stage, "%s %d", status->si_code == CLD_EXITED ? "exited" : "killed", status->si_status);
    stage_close(stage, report);
    stage_close(stage, pidfd);
}

static void say_report(struct stage *stage, int report)
{
    enum { REPORT_BYTES = 4096 };
    char *text = stage_memory(stage, REPORT_BYTES);
    unsigned size_bytes = 0;
    int32_t count;

    do {
        io_uring_prep_read(stage_ask(stage, "read"), report, text + size_bytes,
                REPORT_BYTES - 1 - size_bytes, UINT64_MAX);
        stage_do(stage, 1);
        count = stage_result(stage, "read");
        size_bytes += count > 0 ? (unsigned)count : 0;
    } while (count > 0);
    if (size_bytes > 0)
        text[size_bytes - 1] = '\0'; /* The end of its last line is that of ours. */
    stage_say(stage, "%s", text);
}

static void become_another(struct stage *stage, const char *life)
{
    int pidfd = -1;
    const int report = begin_life(stage, life, &pidfd);
    say_report(stage, report);
    end_life(stage, report, pidfd);
}

/* Its number, its environment, its children, and what is not close-on-exec are left. */
void play_program_becomes_another(struct stage *stage)
{
    become_another(stage, "first");
}

/* That thread is the first one then, and alone: for children of the others, a parent has died. */
void play_program_becomes_another_by_thread(struct stage *stage)
{
    become_another(stage, "by_thread");
}

/* Pitfall 3: when it has been reaped, its ring is mostly still being torn down, for some ms. */
void play_program_is_killed_while_accepting(struct stage *stage)
{
    enum { PORT_BYTES = 16 };
    char *port = stage_memory(stage, PORT_BYTES);
    int pidfd = -1;
    const int report = begin_life(stage, "killed", &pidfd);

    io_uring_prep_read(stage_ask(stage, "read"), report, port, PORT_BYTES - 1, UINT64_MAX);
    stage_do(stage, 1);
    stage_say_result(stage, "while it runs", bind_to(atoi(port)));
    (void)coil_kernel_pidfd_signal(pidfd, SIGKILL);
    end_life(stage, report, pidfd);
    stage_say_result(stage, "at last", bind_at_last(atoi(port)));
}
