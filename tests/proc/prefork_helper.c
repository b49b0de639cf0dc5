/* SPDX-License-Identifier: MIT */
/*
 * A prefork server for the tests.
 *
 *     prefork_helper VERSION WORKERS FLAGS BROKEN
 *
 * A connection says one line:
 *     hello       gets "VERSION GENERATION NUMBER PID"
 *     hold        gets "held", and is served until its peer has enough
 *     breed       gets the number of a child that stays
 *     passed      gets 1 as its PID if there is the descriptor of the plan, else 0
 *     hang, die, grow, stray
 *                 what workers should not do
 *
 * The master says what happens, a line each. FLAGS: d sockets are dealt; f the plans have a
 * descriptor; h heartbeats; l it follows the load; q it is quick to give up; m memory has a limit.
 * If the file BROKEN exists, workers that are started end at once, or hang if there is something in
 * it. Successors are of the next VERSION.
 */
#include <coil/kernel.h>
#include <coil/listener.h>
#include <coil/prefork.h>
#include <coil/server.h>

#include "worker_wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include <coil/sugar.h>

enum { SOCKETS = 4, GROWN_BYTES = 160 << 20, PLAN_FD = 104 };

static char **arguments;

static bool has_flag(char flag)
{
    return strchr(arguments[3], flag) != NULL;
}

/* ---------------------------------------------------------------------------------- workers -- */

typedef struct service {
    coil_server server;
    coil_seat *seat;
} service;

/* More than workers may have. Returns a part, so that it is used. */
static char grow(void)
{
    char *memory = malloc(GROWN_BYTES);
    if (memory == NULL)
        return 0;
    memset(memory, 1, GROWN_BYTES);
    return memory[GROWN_BYTES / 2];
}

/* Words that nobody waits for, with descriptors. */
static void stray(void)
{
    const char word = 'R';
    for (int i = 0; i < 50; i++)
        (void)worker_send_now(3, &word, sizeof(word), NULL, 0, STDIN_FILENO);
}

static int breed(void)
{
    const pid_t heir = fork();
    while (heir == 0)
        pause();
    return heir;
}

static void tell_load(service *self)
{
    coil_seat_set_load(self->seat, (unsigned)self->server.stats.active);
}

async(int, answer, (coil_session *) session)
{
    vars(service *self; coil_slice line; char text[128]; int size_bytes; int pid);

    my->self = coil_container_of(session->server, service, server);
    tell_load(my->self);
    attempt(my->line, coil_read_until(session->stream, '\n', 64));
    defer(coil_slice_release(&my->line));
    if (coil_slice_empty(&my->line))
        return 0;
    if (memcmp(my->line.bytes, "hang", 4) == 0) {
        for (;;)
            pause();
    }
    if (memcmp(my->line.bytes, "die", 3) == 0)
        _exit(7);
    my->pid = getpid();
    if (memcmp(my->line.bytes, "breed", 5) == 0)
        my->pid = breed();
    if (memcmp(my->line.bytes, "passed", 6) == 0)
        my->pid = fcntl(PLAN_FD, F_GETFD) >= 0;
    if (memcmp(my->line.bytes, "stray", 5) == 0)
        stray();
    if (memcmp(my->line.bytes, "grow", 4) == 0 && grow() == 0)
        return -ENOMEM;
    if (memcmp(my->line.bytes, "hold", 4) == 0) {
        attempt(coil_write_all(session->stream, coil_text("held\n")));
        coil_slice_release(&my->line);
        attempt(my->line, coil_read_until(session->stream, '\n', 64));
    }
    my->size_bytes = snprintf(my->text, sizeof(my->text), "%s %u %u %d\n", arguments[1],
            coil_seat_generation(my->self->seat), coil_seat_number(my->self->seat), my->pid);
    attempt(coil_write_all(session->stream, coil_bytes(my->text, (size_t)my->size_bytes)));
    return 0;
}

async(int, step_down, (service *) self)
{
    vars();

    const int rc = coil_seat_ready(self->seat);
    if (rc < 0)
        return rc;
    attempt(coil_seat_leaving(self->seat));
    coil_server_drain(&self->server, coil_s(20));
    return 0;
}

async(int, serve, (coil_seat *) seat)
{
    vars(service self; coil_group group; coil_listener *listener; int fd; int count);

    my->self.seat = seat;
    coil_server_init(&my->self.server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->self.server));
    while ((my->fd = coil_seat_socket(seat, "echo")) >= 0) {
        int rc = coil_listen_fd(my->fd, NULL, &my->listener);
        if (rc < 0)
            return rc;
        coil_server_add(&my->self.server, my->listener);
        my->count++;
    }
    if (my->count == 0)
        return -ENOENT;
    coil_open_group(&my->group);
    coil_spawn(&my->group, step_down(&my->self));
    attempt(coil_server_serve(&my->self.server));
    attempt(coil_group_join(&my->group));
    return 0;
}

static int work(coil_seat *seat)
{
    struct stat broken;

    if (stat(arguments[4], &broken) == 0) {
        while (broken.st_size > 0)
            pause();
        coil_seat_release(seat);
        return 3;
    }
    const int rc = coil_run(serve(seat));
    coil_seat_release(seat);
    return rc < 0;
}

/* ------------------------------------------------------------------------------- the master -- */

static void tell(coil_prefork_hook *hook, const coil_prefork_event *event)
{
    static const char *const words[] = {
            [COIL_PREFORK_READY] = "ready",
            [COIL_PREFORK_DIED] = "died",
            [COIL_PREFORK_UNREADY] = "unready",
            [COIL_PREFORK_HUNG] = "hung",
            [COIL_PREFORK_LEFT] = "left",
            [COIL_PREFORK_RELOADED] = "reloaded",
            [COIL_PREFORK_RELOAD_FAILED] = "reload-failed",
            [COIL_PREFORK_UPGRADED] = "upgraded",
            [COIL_PREFORK_UPGRADE_FAILED] = "upgrade-failed",
            [COIL_PREFORK_RECYCLED] = "recycled",
    };
    char how[COIL_EXIT_TEXT_BYTES] = "";

    (void)hook;
    if (event->exit != NULL)
        (void)coil_exit_format(event->exit, how);
    printf("%s %d %s %s\n", words[event->news], (int)event->pid,
            event->error < 0 ? coil_error_name(event->error) : "", how);
}

/* One socket, or one for each queue. */
static int open_sockets(coil_prefork *prefork)
{
    const unsigned count = has_flag('d') ? SOCKETS : 1;
    const coil_listen_options options = {.reuse_port = true};
    coil_address address;
    char name[COIL_ADDRESS_TEXT_BYTES] = "127.0.0.1:0";
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < count; i++) {
        int fd = coil_prefork_passed(prefork, "echo");
        if (fd < 0) {
            fd = coil_listen_socket(name, &options, &address);
            if (fd >= 0)
                (void)coil_address_format(&address, name);
            printf("at %s\n", name);
        }
        if (fd < 0)
            return fd;
        rc = has_flag('d') ? coil_prefork_deal(prefork, "echo", fd)
                           : coil_prefork_share(prefork, "echo", fd);
    }
    return rc;
}

async(int, master)
{
    vars(coil_prefork *prefork; coil_prefork_hook hook; coil_spawn_plan workers;
            coil_spawn_plan next; coil_spawn_fd fd; char version[16]; const char *argv[6]; int rc);

    (void)snprintf(my->version, sizeof(my->version), "%d", atoi(arguments[1]) + 1);
    for (int i = 0; i < 5; i++)
        my->argv[i] = arguments[i];
    my->argv[1] = my->version;
    my->next = (coil_spawn_plan){.program = arguments[0], .argv = my->argv};
    my->workers = (coil_spawn_plan){.argv = (const char *const *)arguments};
    if (has_flag('f')) { /* This one's is that of the master before it. */
        my->fd = (coil_spawn_fd){PLAN_FD, atoi(arguments[1]) == 1 ? STDOUT_FILENO : PLAN_FD};
        my->workers.fds = my->next.fds = &my->fd;
        my->workers.fd_count = my->next.fd_count = 1;
    }
    my->hook.tell = tell;
    coil_prefork_options options = {.plan = &my->workers,
            .successor = &my->next,
            .workers = (unsigned)atoi(arguments[2]),
            .ready_limit = has_flag('q') ? coil_ms(300) : coil_s(10),
            .memory_max_bytes = has_flag('m') ? GROWN_BYTES : 0,
            .drain_limit = coil_s(20),
            .hook = &my->hook};
    if (has_flag('h')) {
        options.heartbeat_limit = coil_ms(400);
        options.abort_limit = coil_ms(200);
    }
    if (has_flag('l')) {
        options.workers_max = 4;
        options.load_each = 2;
        options.calm_limit = coil_ms(100);
    }
    my->rc = coil_prefork_create(&options, &my->prefork);
    if (my->rc < 0)
        return my->rc;
    defer(coil_prefork_destroy(my->prefork));
    my->rc = open_sockets(my->prefork);
    if (my->rc < 0)
        return my->rc;
    printf("master %d\n", getpid());
    attempt(coil_prefork_serve(my->prefork));
    return 0;
}

int main(int argc, char **argv)
{
    coil_seat *seat = NULL;

    if (argc != 5)
        return 2;
    arguments = argv;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    const int rc = coil_seat_take(&seat);
    if (rc != 0)
        return rc < 0 ? 4 : work(seat);
    const int end = coil_run(master());
    printf("end %d\n", getpid());
    return end < 0;
}
