/* SPDX-License-Identifier: MIT */
/*
 * Everything at once on one real loop: connections, pipes, children, files and primitives, each
 * under random deadlines, shields and cancellations of groups, and closed at random points.
 *
 *     stress [--seed N] [--rounds N] [--milliseconds N] [--tasks N] [--descriptors N] [--signals]
 *
 * Byte n of every direction is a function of n, so that each reader can tell whether what it has is
 * a prefix of what was sent, and at a clean end all of it. After a round the process has the
 * descriptors and children that it had before, and the loop has checked that tasks, operations and
 * receive buffers are back. Real time: a seed makes similar rounds, not equal ones.
 */
#include <coil/coil.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/time.h>

#include <coil/sugar.h>

#define CHECK(condition, ...)                                                         \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "stress: seed %lu: %s: ", (unsigned long)seed, __func__); \
            fprintf(stderr, __VA_ARGS__);                                             \
            fputc('\n', stderr);                                                      \
            abort();                                                                  \
        }                                                                             \
    } while (0)

enum {
    LINKS_MAX = 1 << 20,
    ADDRESS_COUNT = 3,
    BLOCK_BYTES = 4096,
    DEPTH_MAX = 3,
};

struct options {
    unsigned rounds;
    unsigned duration_ms;
    unsigned task_count;
    unsigned descriptor_count;
    bool signals;
};

/* What both ends of a connection know about one direction. */
struct lane {
    int64_t attempted_bytes;
    int64_t sent_bytes;
    bool clean; /* All has been sent, and its end announced. */
    int64_t received_bytes;
};

struct link {
    struct lane lanes[2];
};

/* One side of a connection. */
struct end {
    coil_stream *stream;
    struct lane *out;
    struct lane *in;
    bool saw_end; /* All of `in` has been read. */
};

typedef coil_queue_of(int64_t) number_queue;

struct world {
    struct link *links;
    uint64_t link_count;
    char addresses[ADDRESS_COUNT][COIL_ADDRESS_TEXT_BYTES];
    char fifo[64];
    char unix_address[64];
    unsigned depth;

    coil_mutex mutex;
    int inside_mutex;
    coil_semaphore permits;
    number_queue numbers;
    int64_t slots[3];
    int64_t put_sum, got_sum;
    coil_event event;
    volatile sig_atomic_t posted;
    coil_post post;
};

struct counts {
    uint64_t works, sessions, clean_ends, bytes, children, deadlines, raw_bytes, posts;
};

static uint64_t seed = 1;
static uint64_t random_state;
static struct world world;
static struct counts counts;
static coil_loop *the_loop;

/* ---------------------------------------------------------------------------------- chance -- */

static uint64_t random_number(void)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(unsigned limit)
{
    return (unsigned)(random_number() % limit);
}

static bool one_in(unsigned limit)
{
    return below(limit) == 0;
}

/* Mostly short, sometimes over before it begins, sometimes without end. */
static coil_duration soon(void)
{
    switch (below(16)) {
    case 0:
        return 0;
    case 1:
        return -1;
    case 2:
        return coil_ms(below(50));
    case 3:
        return coil_s(1);
    default:
        return coil_us(below(2000));
    }
}

static size_t some_bytes(void)
{
    switch (below(8)) {
    case 0:
        return below(300000);
    case 1:
        return 0;
    case 2:
        return 1;
    default:
        return below(5000);
    }
}

/* ----------------------------------------------------------------------------------- bytes -- */

static char byte_at(int64_t offset)
{
    uint64_t n = (uint64_t)offset;
    return (char)(n ^ (n >> 8) * 37 ^ (n >> 16) * 101);
}

static void fill(char *bytes, size_t size_bytes, int64_t offset)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = byte_at(offset + (int64_t)i);
}

static void receive(struct lane *lane, const char *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        CHECK(bytes[i] == byte_at(lane->received_bytes + (int64_t)i),
                "wrong byte at offset %ld of %ld", (long)(lane->received_bytes + (int64_t)i),
                (long)lane->attempted_bytes);
    }
    lane->received_bytes += (int64_t)size_bytes;
    counts.bytes += size_bytes;
    CHECK(lane->received_bytes <= lane->attempted_bytes, "%ld bytes came, %ld were sent",
            (long)lane->received_bytes, (long)lane->attempted_bytes);
}

static void receive_end(const struct lane *lane)
{
    if (!lane->clean)
        return;
    counts.clean_ends++;
    CHECK(lane->received_bytes == lane->sent_bytes, "%ld bytes came, %ld were sent",
            (long)lane->received_bytes, (long)lane->sent_bytes);
}

/* --------------------------------------------------------------------------------- streams -- */

/* Read in some way. Result as of the call that was made; -ETIME happens. */
async(coil_slice, read_somehow, (coil_stream *) stream)
{
    vars(coil_slice got; size_t size_bytes);

    my->size_bytes = 1 + some_bytes();
    switch (below(8)) {
    case 0:
        await(my->got, coil_read_some(stream));
        break;
    case 1:
        await(my->got, within(soon(), coil_read_some(stream)));
        break;
    case 2:
        await(my->got, within(soon(), coil_read_block(stream, my->size_bytes)));
        break;
    case 3:
        await(my->got, coil_read_block(stream, my->size_bytes));
        break;
    case 4:
        await(my->got, within(soon(), coil_read_until(stream, 'x', my->size_bytes)));
        break;
    case 5:
        await(my->got, shield(within(soon(), coil_read_some(stream))));
        break;
    case 6:
        await(my->got, until(coil_now() + soon(), coil_read_until(stream, '\0', my->size_bytes)));
        break;
    default:
        await(my->got, within(soon(), within(soon(), coil_read_some(stream))));
        break;
    }
    return my->got;
}

async(int, reads, (struct end *) end)
{
    vars(coil_slice got; coil_slice rest);

    defer(coil_slice_release(&my->got));
    defer(coil_slice_release(&my->rest));
    for (;;) {
        await(my->got, read_somehow(end->stream));
        if (my->got.size_bytes == -ETIME)
            counts.deadlines++;
        if (my->got.size_bytes == 0) {
            receive_end(end->in);
            end->saw_end = true;
            return 0;
        }
        if (my->got.size_bytes == -ETIME || my->got.size_bytes == -ENODATA ||
                my->got.size_bytes == -EMSGSIZE) {
            my->got = (coil_slice){0, NULL, NULL};
            if (one_in(50))
                return 0;
            await(coil_yield());
            continue;
        }
        if (my->got.size_bytes < 0) {
            CHECK(my->got.size_bytes == -ECONNRESET || my->got.size_bytes == -EPIPE, "%s",
                    coil_error_text((int)my->got.size_bytes));
            return (int)my->got.size_bytes;
        }
        if (one_in(4)) { /* Put a part back. */
            my->rest = coil_slice_split(&my->got, below((unsigned)my->got.size_bytes + 1));
            coil_slice first = my->rest;
            my->rest = my->got;
            my->got = first;
            if (my->rest.size_bytes > 0)
                CHECK(coil_stream_unread_again(end->stream, &my->rest) == 0, "no memory");
        }
        if (one_in(8)) /* Hold it. */
            await(coil_sleep(coil_us(below(500))));
        receive(end->in, my->got.bytes, (size_t)my->got.size_bytes);
        coil_slice_release(&my->got);
    }
}

/* One block of the pattern, sent in some way. A block that was not sent whole ends the lane. */
async(int, write_block, (struct end *) end)
{
    vars(size_t size_bytes; char *bytes; int rc; coil_slice block);

    my->size_bytes = some_bytes();
    my->bytes = malloc(my->size_bytes + 1);
    CHECK(my->bytes != NULL, "no memory");
    defer(free(my->bytes));
    fill(my->bytes, my->size_bytes, end->out->attempted_bytes);
    end->out->attempted_bytes += (int64_t)my->size_bytes;

    my->block = coil_bytes(my->bytes, my->size_bytes);
    switch (below(5)) {
    case 0:
        attempt(within(soon(), coil_write_all(end->stream, my->block)));
        break;
    case 1:
        attempt(shield(within(coil_ms(20), coil_write_all(end->stream, my->block))));
        break;
    case 2:
        attempt(within(coil_s(1), coil_write_all(end->stream, my->block)));
        break;
    default:
        attempt(coil_write_all(end->stream, my->block));
        break;
    }
    end->out->sent_bytes += (int64_t)my->size_bytes;
    return 0;
}

async(int, writes, (struct end *) end)
{
    vars(unsigned left; int rc);

    for (my->left = below(20); my->left > 0; my->left--) {
        await(my->rc, write_block(end));
        if (my->rc < 0) {
            CHECK(my->rc == -ETIME || my->rc == -ECONNRESET || my->rc == -EPIPE, "%s",
                    coil_error_text(my->rc));
            return my->rc;
        }
        if (one_in(8))
            await(coil_sleep(soon()));
    }
    end->out->clean = true;
    ignore(coil_stream_shutdown(end->stream));
    return 0;
}

/* Writes nothing among the writer's bytes. -EPIPE: that has been cancelled in their middle. */
async(int, interrupts, (struct end *) end)
{
    vars(unsigned left; int rc);

    for (my->left = below(10); my->left > 0; my->left--) {
        await(my->rc, within(soon(), coil_write_all(end->stream, coil_bytes(NULL, 0))));
        CHECK(my->rc == 0 || my->rc == -ETIME || my->rc == -EPIPE, "%s", coil_error_text(my->rc));
        await(coil_sleep(coil_us(below(1000))));
    }
    return 0;
}

/* Leave a group of tasks in one of the ways that there are. */
async(int, leave_somehow, (coil_group *) group)
{
    vars();

    switch (below(6)) {
    case 0:
        return 0; /* With everything running. */
    case 1:
        await(coil_sleep(soon()));
        coil_group_cancel(group);
        ignore(coil_group_join(group));
        return 0;
    case 2:
        ignore(within(soon(), coil_group_join(group)));
        return 0;
    case 3:
        await(coil_sleep(soon()));
        return 0;
    default:
        ignore(coil_group_join(group));
        return 0;
    }
}

/* A socket that is closed with something unread is reset, and the peer may miss our end. */
static void stop_talking(struct end *end)
{
    if (!end->saw_end)
        end->out->clean = false;
}

async(int, talk, (struct end *) end)
{
    vars(coil_group group);

    counts.sessions++;
    defer(stop_talking(end));
    open_group(&my->group);
    my->group.keep_going = !one_in(4);
    spawn(&my->group, reads(end));
    spawn(&my->group, writes(end));
    spawn(&my->group, interrupts(end));
    attempt(leave_somehow(&my->group));
    return 0;
}

/* The first eight bytes say which link it is. */
async(int, answer, (coil_stream *) peer)
{
    vars(uint64_t link; struct end end; ssize_t count);

    defer(coil_stream_close(peer));
    for (;;) {
        await(my->count, within(soon(), coil_read_exact(peer, &my->link, sizeof(my->link))));
        if (my->count != -ETIME)
            break;
    }
    if (my->count <= 0)
        return (int)my->count;
    CHECK(my->link < world.link_count, "no link %lu", (unsigned long)my->link);
    struct link *link = &world.links[my->link];
    my->end = (struct end){peer, &link->lanes[1], &link->lanes[0], false};
    attempt(talk(&my->end));
    return 0;
}

async(int, call, (unsigned) address)
{
    vars(coil_stream *stream; uint64_t link; struct end end);

    if (world.link_count == LINKS_MAX)
        return 0;
    attempt(my->stream, within(coil_s(1), coil_connect(world.addresses[address])));
    defer(coil_stream_close(my->stream));
    my->link = world.link_count++;
    struct link *link = &world.links[my->link];
    my->end = (struct end){my->stream, &link->lanes[0], &link->lanes[1], false};
    attempt(coil_write_all(my->stream, coil_bytes(&my->link, sizeof(my->link))));
    attempt(talk(&my->end));
    return 0;
}

async(int, listens, (const char *) at, (unsigned) index)
{
    vars(coil_listener *listener);

    coil_listen_options options = {.direct_sockets = one_in(2), .max_connections = below(40)};
    int rc = coil_listen(at, &options, &my->listener);
    CHECK(rc == 0, "cannot listen at %s: %s", at, coil_error_text(rc));
    defer(coil_listener_close(my->listener));
    (void)coil_address_format(coil_listener_address(my->listener), world.addresses[index]);
    attempt(coil_serve(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

/* ----------------------------------------------------------------- operations of the kernel -- */

/* Every write counts in full or not at all, whatever cancels it. */
async(int, writes_raw, (int) fd, (bool) socket, (struct lane *) lane)
{
    vars(char block[BLOCK_BYTES]; unsigned left; ssize_t count; size_t size_bytes);

    defer(ignore(coil_close(fd)));
    for (my->left = below(60); my->left > 0; my->left--) {
        my->size_bytes = 1 + below(BLOCK_BYTES);
        fill(my->block, my->size_bytes, lane->sent_bytes);
        lane->attempted_bytes = lane->sent_bytes + (int64_t)my->size_bytes;
        if (socket)
            await(my->count, within(soon(), coil_send(fd, my->block, my->size_bytes, 0)));
        else
            await(my->count, within(soon(), coil_write(fd, my->block, my->size_bytes)));
        if (my->count == -EPIPE || my->count == -ECONNRESET)
            return 0;
        CHECK(my->count > 0 || my->count == -ETIME, "%s", coil_error_text((int)my->count));
        if (my->count > 0)
            lane->sent_bytes += my->count;
        else
            lane->attempted_bytes = lane->sent_bytes;
    }
    lane->clean = true;
    return 0;
}

async(int, reads_raw, (int) fd, (bool) socket, (struct lane *) lane)
{
    vars(char block[BLOCK_BYTES]; ssize_t count);

    defer(ignore(coil_close(fd)));
    for (;;) {
        size_t size_bytes = 1 + below(BLOCK_BYTES);
        if (socket)
            await(my->count, within(soon(), coil_recv(fd, my->block, size_bytes, 0)));
        else
            await(my->count, within(soon(), coil_read(fd, my->block, size_bytes)));
        if (my->count == 0) {
            receive_end(lane);
            return 0;
        }
        if (my->count == -ECONNRESET)
            return 0;
        CHECK(my->count > 0 || my->count == -ETIME, "%s", coil_error_text((int)my->count));
        if (my->count > 0)
            receive(lane, my->block, (size_t)my->count);
        if (one_in(16))
            await(coil_sleep(soon()));
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        coil_close_later(the_loop, *fd);
    *fd = -1;
}

async(int, moves_raw)
{
    vars(coil_group group; int fds[2]; bool socket; struct lane lane);

    my->fds[0] = my->fds[1] = -1;
    my->socket = one_in(2);
    int rc = my->socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, my->fds)
                        : coil_kernel_pipe(my->fds);
    if (rc < 0)
        return -EMFILE;
    defer(close_fd(&my->fds[0]); close_fd(&my->fds[1]));
    open_group(&my->group);
    if (spawn(&my->group, reads_raw(my->fds[0], my->socket, &my->lane)) != NULL)
        my->fds[0] = -1;
    if (spawn(&my->group, writes_raw(my->fds[1], my->socket, &my->lane)) != NULL)
        my->fds[1] = -1;
    attempt(leave_somehow(&my->group));
    counts.raw_bytes += (uint64_t)my->lane.received_bytes;
    return 0;
}

/* An open of a FIFO waits in a worker thread of the kernel until the other side is there. */
async(int, opens_fifo, (int) flags)
{
    vars(int fd; char byte; ssize_t count);

    await(my->fd, within(soon(), coil_openat(AT_FDCWD, world.fifo, flags, 0)));
    if (my->fd < 0)
        return 0;
    defer(ignore(coil_close(my->fd)));
    if (flags == O_RDONLY)
        await(my->count, within(soon(), coil_read(my->fd, &my->byte, 1)));
    else
        await(my->count, within(soon(), coil_write(my->fd, "", 1)));
    ignore(within(soon(), coil_poll(my->fd, POLLIN | POLLOUT)));
    return 0;
}

/* ------------------------------------------------------------------------------- children -- */

async(int, passes_through, (coil_child *) child)
{
    vars(coil_stream *in; coil_stream *out; struct end to; struct end from; struct lane lane;
            coil_group group);

    if (coil_stream_create(child->stdin_fd, COIL_TRANSPORT_FILE, &my->in) < 0)
        return -ENOMEM;
    child->stdin_fd = -1;
    defer(coil_stream_close(my->in));
    if (coil_stream_create(child->stdout_fd, COIL_TRANSPORT_FILE, &my->out) < 0)
        return -ENOMEM;
    child->stdout_fd = -1;
    defer(coil_stream_close(my->out));
    my->to = (struct end){my->in, &my->lane, NULL, false};
    my->from = (struct end){my->out, NULL, &my->lane, false};
    open_group(&my->group);
    spawn(&my->group, reads(&my->from));
    attempt(write_block(&my->to));
    ignore(within(soon(), write_block(&my->to)));
    attempt(leave_somehow(&my->group));
    return 0;
}

async(int, has_a_child)
{
    vars(coil_child child; int rc; coil_duration grace);

    static const char *const programs[] = {"/bin/cat", "/bin/sleep", "/bin/true"};
    static const char *const argv[][3] = {{"cat", NULL}, {"sleep", "100", NULL}, {"true", NULL}};
    unsigned which = below(3);
    coil_spawn_plan plan = {.program = programs[which], .argv = argv[which]};
    if (which == 0)
        plan.in.mode = plan.out.mode = COIL_STDIO_PIPE;
    int rc = coil_child_spawn(&plan, &my->child, NULL);
    if (rc < 0) {
        CHECK(rc == -EMFILE, "cannot spawn: %s", coil_error_text(rc));
        return rc;
    }
    counts.children++;
    defer(coil_child_fini(&my->child));
    my->grace = soon();
    defer(ignore(coil_child_stop(&my->child, my->grace)));
    if (which == 0)
        ignore(passes_through(&my->child));
    await(my->rc, within(soon(), coil_child_wait(&my->child)));
    CHECK(my->rc == 0 || my->rc == -ETIME, "%s", coil_error_text(my->rc));
    if (one_in(2))
        ignore(shield(coil_child_stop(&my->child, soon())));
    return 0;
}

/* ----------------------------------------------------------------------------- primitives -- */

async(int, locks)
{
    vars(int rc);

    await(my->rc, within(soon(), coil_mutex_lock(&world.mutex)));
    if (my->rc < 0)
        return my->rc;
    defer(world.inside_mutex--; coil_mutex_unlock(&world.mutex));
    CHECK(world.inside_mutex++ == 0, "two have the mutex");
    await(coil_sleep(coil_us(below(300))));
    attempt(within(soon(), coil_semaphore_acquire(&world.permits)));
    defer(coil_semaphore_release(&world.permits, 1));
    await(coil_yield());
    return 0;
}

async(int, puts_and_gets)
{
    vars(int64_t number; int64_t got; int rc; unsigned left);

    for (my->left = below(10); my->left > 0; my->left--) {
        my->number = below(1000);
        await(my->rc, within(soon(), coil_queue_put(&world.numbers, &my->number)));
        if (my->rc == 0)
            world.put_sum += my->number;
        if (one_in(4))
            coil_event_set(&world.event);
        coil_event_clear(&world.event);
        await(my->rc, within(soon(), coil_queue_get(&world.numbers, &my->got)));
        if (my->rc == 0)
            world.got_sum += my->got;
        await(within(soon(), coil_event_wait(&world.event)));
    }
    return 0;
}

async(int, waits_for_a_signal)
{
    vars(int rc);

    kill(getpid(), one_in(2) ? SIGUSR1 : SIGUSR2);
    await(my->rc, within(soon(), coil_signal_wait(COIL_SIGNALS(SIGUSR1, SIGUSR2))));
    CHECK(my->rc > 0 || my->rc == -ETIME || my->rc == -EMFILE, "%s", coil_error_text(my->rc));
    return 0;
}

/* ----------------------------------------------------------------------------------- world -- */

coil_declare(int, works);

/* A handful of works, cancelled together. */
async(int, bunch)
{
    vars(coil_group group; unsigned left);

    if (world.depth >= DEPTH_MAX)
        return 0;
    world.depth++;
    defer(world.depth--);
    open_group(&my->group);
    my->group.keep_going = one_in(2);
    for (my->left = below(5); my->left > 0; my->left--)
        spawn(&my->group, works());
    attempt(leave_somehow(&my->group));
    return 0;
}

async(int, work_somehow)
{
    vars();

    switch (below(12)) {
    case 0:
        ignore(has_a_child());
        break;
    case 1:
        ignore(locks());
        break;
    case 2:
        ignore(puts_and_gets());
        break;
    case 3:
        ignore(moves_raw());
        break;
    case 4:
        ignore(opens_fifo(one_in(2) ? O_RDONLY : O_WRONLY));
        break;
    case 5:
        ignore(bunch());
        break;
    case 6:
        ignore(waits_for_a_signal());
        break;
    default:
        ignore(call(below(ADDRESS_COUNT)));
        break;
    }
    return 0;
}

coil_define(int, works)
{
    vars();

    counts.works++;
    switch (below(4)) {
    case 0:
        ignore(within(soon(), work_somehow()));
        break;
    case 1:
        ignore(shield(within(coil_ms(below(100)), work_somehow())));
        break;
    default:
        ignore(work_somehow());
        break;
    }
    return one_in(100) ? -EIO : 0;
}

async(int, round_of, (const struct options *) options)
{
    vars(coil_group servers; coil_group workers; coil_time end);

    static const char *const at[ADDRESS_COUNT] = {"127.0.0.1:0", world.unix_address, "[::1]:0"};
    open_group(&my->servers);
    for (unsigned i = 0; i < ADDRESS_COUNT; i++)
        spawn(&my->servers, listens(at[i], i));
    await(coil_yield());
    await(coil_yield());

    open_group(&my->workers);
    my->workers.keep_going = true;
    my->end = coil_now() + coil_ms(options->duration_ms);
    while (coil_now() < my->end) {
        while (my->workers.live_count < options->task_count)
            spawn(&my->workers, works());
        await(coil_sleep(coil_us(below(1000))));
    }
    if (one_in(2))
        ignore(within(coil_s(1), coil_group_join(&my->workers)));
    return 0;
}

static void note_post(coil_post *post)
{
    (void)post;
    counts.posts++;
    world.posted = 0;
}

/* Interrupts system calls, and posts from a signal handler. */
static void on_alarm(int signo)
{
    (void)signo;
    if (the_loop == NULL || world.posted)
        return;
    world.posted = 1;
    coil_loop_post(the_loop, &world.post);
}

static void set_alarms(bool on)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval every = {{0, on ? 700 : 0}, {0, on ? 700 : 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

/* For those that come while nobody waits for them. */
static void survive_signals(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

static unsigned entries_of(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;
    CHECK(directory != NULL, "%s", path);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void begin_world(void)
{
    world.link_count = 0;
    memset(world.links, 0, LINKS_MAX * sizeof(*world.links));
    world.depth = 0;
    world.inside_mutex = 0;
    world.put_sum = world.got_sum = 0;
    world.post.run = note_post;
    coil_mutex_init(&world.mutex);
    coil_semaphore_init(&world.permits, 2, 2);
    coil_queue_init(&world.numbers, world.slots, 3);
    coil_event_init(&world.event);
}

static void end_world(void)
{
    int64_t number;
    while (coil_queue_try_get(&world.numbers, &number) == 0)
        world.got_sum += number;
    CHECK(world.put_sum == world.got_sum, "numbers: put %ld, got %ld", (long)world.put_sum,
            (long)world.got_sum);
    CHECK(world.permits.available_count == 2, "permits are gone");
    coil_mutex_fini(&world.mutex);
    coil_semaphore_fini(&world.permits);
    coil_queue_fini(&world.numbers);
    coil_event_fini(&world.event);
}

static void run_round(const struct options *options)
{
    char reason[COIL_REASON_BYTES];
    unsigned open_before = entries_of("/proc/self/fd");
    siginfo_t child = {0};

    random_state = seed;
    begin_world();
    int rc = coil_loop_create(&the_loop, reason);
    CHECK(rc == 0, "%s", reason);
    set_alarms(options->signals);
    (void)coil_spawn(coil_loop_root(the_loop), round_of(options));
    rc = coil_loop_run(the_loop);
    CHECK(rc == 0, "the round ended with %s", coil_error_text(rc));
    set_alarms(false);
    CHECK(coil_loop_statistics(the_loop).stale == 0, "stale completions");
    coil_loop *loop = the_loop;
    the_loop = NULL;
    coil_loop_destroy(loop);
    end_world();

    unsigned open_after = entries_of("/proc/self/fd");
    CHECK(open_before == open_after, "%u descriptors before, %u after", open_before, open_after);
    CHECK(waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD,
            "a child is left");
}

static struct options read_options(int argc, char **argv)
{
    static const struct option known[] = {
            {"seed", required_argument, NULL, 's'},
            {"rounds", required_argument, NULL, 'r'},
            {"milliseconds", required_argument, NULL, 'm'},
            {"tasks", required_argument, NULL, 't'},
            {"descriptors", required_argument, NULL, 'd'},
            {"signals", no_argument, NULL, 'g'},
            {NULL, 0, NULL, 0},
    };
    struct options options = {.rounds = 1, .duration_ms = 1000, .task_count = 100};
    int letter;

    while ((letter = getopt_long(argc, argv, "s:r:m:t:d:g", known, NULL)) != -1) {
        unsigned long number = optarg == NULL ? 0 : strtoul(optarg, NULL, 10);
        switch (letter) {
        case 's':
            seed = number;
            break;
        case 'r':
            options.rounds = (unsigned)number;
            break;
        case 'm':
            options.duration_ms = (unsigned)number;
            break;
        case 't':
            options.task_count = (unsigned)number;
            break;
        case 'd':
            options.descriptor_count = (unsigned)number;
            break;
        case 'g':
            options.signals = true;
            break;
        default:
            exit(2);
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = read_options(argc, argv);

    if (options.descriptor_count > 0) {
        struct rlimit limit = {options.descriptor_count, options.descriptor_count};
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    }
    survive_signals();
    world.links = calloc(LINKS_MAX, sizeof(*world.links));
    CHECK(world.links != NULL, "no memory");
    snprintf(world.fifo, sizeof(world.fifo), "/tmp/coil-stress-%ld", (long)getpid());
    snprintf(world.unix_address, sizeof(world.unix_address), "unix:@coil-stress-%ld",
            (long)getpid());
    CHECK(mkfifo(world.fifo, 0600) == 0, "mkfifo");
    for (unsigned i = 0; i < options.rounds; i++, seed++)
        run_round(&options);
    (void)unlink(world.fifo);
    free(world.links);
    printf("works %lu, sessions %lu, clean ends %lu, bytes %lu, raw bytes %lu, children %lu, "
           "deadlines %lu, posts %lu\n",
            counts.works, counts.sessions, counts.clean_ends, counts.bytes, counts.raw_bytes,
            counts.children, counts.deadlines, counts.posts);
    return 0;
}
