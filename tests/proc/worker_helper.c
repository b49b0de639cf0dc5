/* SPDX-License-Identifier: MIT */
/* A worker whose functions do what workers should not do, and some that they should. */
#include <coil/worker.h>

#include <coil/sched.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/socket.h>

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

static int no_memory(coil_work *work)
{
    (void)work;
    exit(COIL_WORKER_NO_MEMORY_STATUS);
}

/* It stays, and is written to. */
static int grow(coil_work *work)
{
    const size_t size_bytes = (size_t)number_of(work);
    char *memory = malloc(size_bytes);
    if (memory == NULL)
        return -ENOMEM;
    memset(memory, 1, size_bytes);
    return memory[size_bytes / 2] - 1;
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
        {.name = "no_memory", .run = no_memory},
        {.name = "grow", .run = grow},
        {.name = "scribble", .run = scribble},
};

/* worker_helper [never-ready | ends-at-once] */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "never-ready") == 0)
        return hang(NULL);
    if (argc > 1 && strcmp(argv[1], "ends-at-once") == 0)
        return 3;
    if (!coil_worker_wanted())
        return 2;
    return coil_worker_main(functions, sizeof(functions) / sizeof(functions[0]));
}
