/* SPDX-License-Identifier: MIT */
/*
 * A worker whose functions do what workers should not do, and some that they should.
 *
 *     worker_helper never-ready       hangs before it has said a word
 *     worker_helper ends-at-once
 *     worker_helper no-page           takes back the page that it sent, and dies of its first job
 *     worker_helper boss              has a pool of its own, says "busy", and waits to be killed
 *     worker_helper cannot-clone      ends with 0 if its job is refused, for want of processes
 */
#include <coil/worker.h>

#include "worker_wire.h"

#include <coil/loop.h>
#include <coil/sched.h>
#include <coil/worker_pool.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int number_of(const coil_work *work)
{
    int number = 0;
    if (work->size_bytes >= sizeof(number))
        memcpy(&number, work->bytes, sizeof(number));
    return number;
}

static int nothing(coil_work *work)
{
    (void)work;
    return 0;
}

static int echo(coil_work *work)
{
    return coil_work_reply(work, work->bytes, work->size_bytes);
}

static int pid(coil_work *work)
{
    (void)work;
    return (int)getpid();
}

static int value(coil_work *work)
{
    return number_of(work);
}

/* A pattern of this size, made in place. */
static int fill(coil_work *work)
{
    const size_t size_bytes = (size_t)number_of(work);
    char *room = coil_work_room(work, size_bytes);
    if (room == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < size_bytes; i++)
        room[i] = (char)(i % 251);
    return 0;
}

/* Replies that are replaced, and what is replied is a part of the room before. */
static int reconsider(coil_work *work)
{
    char *room = coil_work_room(work, 100000);
    if (room == NULL)
        return -ENOMEM;
    memcpy(room + 5, "what is meant", 13);
    return coil_work_reply(work, room + 5, 13);
}

static int doze(coil_work *work)
{
    usleep((useconds_t)number_of(work) * 1000);
    return 0;
}

static int hang(coil_work *work)
{
    (void)work;
    for (;;)
        pause();
    return 0;
}

/* The number of a child that stays. */
static int breed(coil_work *work)
{
    (void)work;
    const pid_t heir = fork();
    while (heir == 0)
        pause();
    return (int)heir;
}

static int leave(coil_work *work)
{
    exit(number_of(work));
}

static int leave_at_once(coil_work *work)
{
    _exit(number_of(work));
}

static int die(coil_work *work)
{
    (void)signal(number_of(work), SIG_DFL);
    (void)raise(number_of(work));
    return 0;
}

static int fault(coil_work *work)
{
    (void)signal(SIGSEGV, SIG_DFL); /* Not the sanitizer's business. */
    volatile int *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *nowhere + number_of(work);
}

/* In the middle of the reply. */
static int die_replying(coil_work *work)
{
    char *room = coil_work_room(work, 1 << 20);
    if (room != NULL)
        room[0] = 1;
    return die(work);
}

static void die_late(void)
{
    (void)signal(SIGABRT, SIG_DFL);
    (void)raise(SIGABRT);
}

static int die_at_exit(coil_work *work)
{
    (void)work;
    return atexit(die_late);
}

static void hang_late(void)
{
    for (;;)
        pause();
}

static int hang_at_exit(coil_work *work)
{
    (void)work;
    return atexit(hang_late);
}

/* Its end is not seen at the socket, which a child of it has, too. */
static int die_with_heir(coil_work *work)
{
    if (fork() == 0) {
        sleep(5);
        _exit(0);
    }
    return leave_at_once(work);
}

static int close_socket(coil_work *work)
{
    (void)work;
    (void)shutdown(COIL_WORKER_FD, SHUT_RDWR);
    for (;;)
        pause();
    return 0;
}

/* What no worker says. */
static int babble(coil_work *work)
{
    char bytes[200];
    memset(bytes, number_of(work), sizeof(bytes));
    (void)send(COIL_WORKER_FD, bytes, sizeof(bytes), 0);
    return hang(work);
}

/* As worker_send_now(), with as many descriptors as one likes. */
static void send_with(const void *bytes, size_t size_bytes, const int *fds, size_t fd_count)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size_bytes};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd_count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr rights = {CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(control, &rights, sizeof(rights));
        memcpy(control + CMSG_LEN(0), fds, fd_count * sizeof(int));
    }
    (void)sendmsg(COIL_WORKER_FD, &message, MSG_NOSIGNAL);
}

/* Memory whose size can change: with it, whoever maps it can be killed by SIGBUS. */
static int open_unsealed(size_t size_bytes)
{
    const int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0 ? fd : -1;
}

/* Sealed memory, or none, stays as it is. */
static void take_back(int fd)
{
    if (ftruncate(fd, 0) < 0 && errno != EPERM && errno != EBADF && errno != EINVAL)
        _exit(EXIT_FAILURE);
}

/* Answers that are none: worker_pool_hostile_test.cc tells each of these lies. */
static int lie(coil_work *work)
{
    enum { LONG_BYTES = 100000 };
    static char message[LONG_BYTES];
    const int *asked = work->bytes; /* Which lie, and the number of the job. */
    worker_head head = {.kind = WORKER_DONE, .number = (uint64_t)asked[1]};
    int fds[2] = {open_unsealed(LONG_BYTES), open("/dev/null", O_RDONLY | O_CLOEXEC)};
    size_t size_bytes = sizeof(head);
    size_t fd_count = 0;

    switch (asked[0]) {
    case 0: /* Of another job. */
        head.number++;
        break;
    case 1: /* In memory that has not come. */
        head.size_bytes = LONG_BYTES;
        head.is_in_memory = 1;
        break;
    case 2: /* In memory that will not be there. */
        head.size_bytes = LONG_BYTES;
        head.is_in_memory = 1;
        fd_count = 1;
        break;
    case 3: /* In what is no memory. */
        head.size_bytes = LONG_BYTES;
        head.is_in_memory = 1;
        fds[0] = fds[1];
        fd_count = 1;
        break;
    case 4: /* Longer than it is. */
        head.size_bytes = 12;
        break;
    case 5: /* Refused for no reason. */
        head.kind = WORKER_REFUSED;
        break;
    case 6:
        head.kind = WORKER_HELLO;
        break;
    case 7: /* Two descriptors, which nobody wants. */
        head.number++;
        fd_count = 2;
        break;
    case 8: /* More than there is room for. */
        head.size_bytes = sizeof(message) - sizeof(head);
        size_bytes = sizeof(message);
        break;
    case 9: /* Less than a head. */
        size_bytes = 4;
        break;
    default: /* Sealed memory, but for the size that is said. */
        head.size_bytes = LONG_BYTES + 1;
        head.is_in_memory = 1;
        fds[0] = worker_memory_of(message, sizeof(message));
        fd_count = 1;
    }
    memcpy(message, &head, sizeof(head));
    send_with(message, size_bytes, fds, fd_count);
    take_back(fds[0]);
    for (;;)
        pause();
    return 0;
}

static int answer_and_die(coil_work *work)
{
    const worker_head head = {.kind = WORKER_DONE, .value = 7, .number = (uint64_t)number_of(work)};
    send_with(&head, sizeof(head), NULL, 0);
    return raise(SIGKILL);
}

static int no_memory(coil_work *work)
{
    (void)work;
    exit(COIL_WORKER_NO_MEMORY_STATUS);
}

/* Memory that is there, whatever the compiler thinks of it. */
static int occupy(char *memory, size_t size_bytes)
{
    memset(memory, 1, size_bytes);
    __asm__ volatile("" : : "r"(memory) : "memory");
    return memory[size_bytes / 2] - 1;
}

/* It stays, and is written to. */
static int grow(coil_work *work)
{
    const size_t size_bytes = (size_t)number_of(work);
    char *memory = malloc(size_bytes);
    if (memory == NULL)
        return -ENOMEM;
    return occupy(memory, size_bytes);
}

/* The same in a cgroup, where there is less. */
static int grow_in(coil_work *work)
{
    enum { GROWN_BYTES = 128 << 20 };
    FILE *procs = fopen(work->bytes, "we");
    if (procs == NULL)
        return -errno;
    (void)fprintf(procs, "%d", (int)getpid());
    (void)fclose(procs);
    char *memory = malloc(GROWN_BYTES);
    if (memory == NULL)
        return -ENOMEM;
    return occupy(memory, GROWN_BYTES);
}

/* Somebody else is killed for it. */
static int grow_beside(coil_work *work)
{
    const pid_t other = fork();
    if (other == 0)
        _exit(grow_in(work));
    int status = 0;
    (void)waitpid(other, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Is what was given to us read only? */
static int scribble(coil_work *work)
{
    char *bytes = (char *)(uintptr_t)work->bytes;
    bytes[0] = 'x';
    return 0;
}

coil_async(int, doze_well, (coil_work *) work)
{
    coil_vars();

    coil_await(coil_sleep(coil_ms(number_of(work))));
    return coil_work_reply(work, "well", 4);
}

static const coil_worker_function functions[] = {
        {.name = "nothing", .run = nothing},
        {.name = "echo", .run = echo},
        {.name = "pid", .run = pid},
        {.name = "value", .run = value},
        {.name = "fill", .run = fill},
        {.name = "reconsider", .run = reconsider},
        {.name = "doze", .run = doze},
        {.name = "doze_well", .coroutine = coil_handler(doze_well, coil_work *)},
        {.name = "breed", .run = breed},
        {.name = "hang", .run = hang},
        {.name = "leave", .run = leave},
        {.name = "leave_at_once", .run = leave_at_once},
        {.name = "die", .run = die},
        {.name = "fault", .run = fault},
        {.name = "die_replying", .run = die_replying},
        {.name = "die_at_exit", .run = die_at_exit},
        {.name = "hang_at_exit", .run = hang_at_exit},
        {.name = "die_with_heir", .run = die_with_heir},
        {.name = "close_socket", .run = close_socket},
        {.name = "babble", .run = babble},
        {.name = "answer_and_die", .run = answer_and_die},
        {.name = "lie", .run = lie},
        {.name = "no_memory", .run = no_memory},
        {.name = "grow", .run = grow},
        {.name = "grow_in", .run = grow_in},
        {.name = "grow_beside", .run = grow_beside},
        {.name = "scribble", .run = scribble},
};

/* -------------------------------------------------------------------------------- no worker -- */

static int take_page_back(void)
{
    const worker_head hello = {.kind = WORKER_HELLO};
    const int page = open_unsealed(WORKER_PAGE_BYTES);
    char byte;

    send_with(&hello, sizeof(hello), &page, 1);
    take_back(page);
    (void)recv(COIL_WORKER_FD, &byte, 1, 0);
    return 5;
}

enum { BOSS_JOBS = 3 };

coil_async(int, have_job_done, (coil_worker_pool *) pool, (coil_job *) job)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_worker_pool_run(pool, job));
    return my->rc;
}

coil_async(int, be_boss, (const char *) function, (coil_job_end *) end)
{
    coil_vars(coil_group group; coil_worker_pool *pool; coil_job jobs[BOSS_JOBS]; int rc; int i);
    const coil_worker_pool_options options = {.workers = BOSS_JOBS};

    coil_open_group(&my->group);
    my->rc = coil_worker_pool_open(&my->group, &options, &my->pool);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_ignore(coil_worker_pool_close(my->pool, 0)));
    for (; my->i < BOSS_JOBS; my->i++) {
        my->jobs[my->i] = (coil_job){.function = function};
        my->group.keep_going = true;
        coil_spawn(&my->group, have_job_done(my->pool, &my->jobs[my->i]));
    }
    while (coil_worker_pool_statistics(my->pool).busy < BOSS_JOBS &&
            my->jobs[0].end == COIL_JOB_PENDING)
        coil_await(coil_sleep(coil_ms(1)));
    (void)puts("busy");
    (void)fflush(stdout);
    while (my->jobs[0].end == COIL_JOB_PENDING)
        coil_await(coil_sleep(coil_ms(1)));
    *end = my->jobs[0].end;
    return my->jobs[0].error;
}

int main(int argc, char **argv)
{
    const char *role = argc > 1 ? argv[1] : "";
    coil_job_end end = COIL_JOB_PENDING;

    if (strcmp(role, "never-ready") == 0)
        return hang(NULL);
    if (strcmp(role, "ends-at-once") == 0)
        return 3;
    if (strcmp(role, "no-page") == 0)
        return take_page_back();
    if (strcmp(role, "boss") == 0)
        return coil_run(be_boss("hang", &end)) < 0;
    if (strcmp(role, "cannot-clone") == 0) /* Nor can a leak check at the exit. */
        _exit(coil_run(be_boss("nothing", &end)) == -EAGAIN && end == COIL_JOB_REFUSED ? 0 : 1);
    if (!coil_worker_wanted())
        return 2;
    return coil_worker_main(functions, sizeof(functions) / sizeof(functions[0]));
}
