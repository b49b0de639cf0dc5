/* SPDX-License-Identifier: MIT */
#include "tty.h"

#include "disk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <sys/sysmacros.h>

enum { END_OF_FILE = 4 }; /* VEOF: Control-D. It ends a line, and is not a part of it. */

/* Bytes on their way. */
typedef struct byte_queue {
    size_t count;
    char bytes[2 * (SIM_TTY_LINE_BYTES + 1) + SIM_TTY_OUTPUT_BYTES];
} byte_queue;

typedef struct pty pty;

typedef struct terminal_end {
    sim_file file;
    pty *terminal;
    bool is_master;
} terminal_end;

struct pty {
    terminal_end *master, *slave; /* NULL: closed. */
    byte_queue input;             /* To the slave: whole lines, and the beginning of one. */
    byte_queue output;            /* To the master. */
};

static terminal_end *end_of(sim_file *file)
{
    return coil_container_of(file, terminal_end, file);
}

static void tell(terminal_end *end)
{
    if (end != NULL)
        sim_file_changed(&end->file);
}

static void push(byte_queue *queue, char byte)
{
    if (queue->count < sizeof(queue->bytes))
        queue->bytes[queue->count++] = byte;
}

static size_t pull(byte_queue *queue, sim_io *io, size_t size_bytes)
{
    const size_t count = sim_io_put(io, queue->bytes, size_bytes);
    queue->count -= count;
    memmove(queue->bytes, queue->bytes + count, queue->count);
    return count;
}

/* The size of the first line with what ends it; 0: there is no whole one. */
static size_t line_bytes(const byte_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->bytes[i] == '\n' || queue->bytes[i] == END_OF_FILE)
            return i + 1;
    }
    return 0;
}

/* ---------------------------------------------------------------------------------- slave -- */

/* One line at most, or a part of it; the rest is for the next read. */
static ssize_t slave_read(pty *terminal, sim_io *io)
{
    byte_queue *input = &terminal->input;
    const size_t line = line_bytes(input);

    if (terminal->master == NULL)
        return 0;
    if (line == 0)
        return -EAGAIN;
    const bool is_end = input->bytes[line - 1] == END_OF_FILE;
    const size_t count = pull(input, io, is_end ? line - 1 : line);
    if (is_end && count == line - 1) {
        input->count--;
        memmove(input->bytes, input->bytes + 1, input->count);
    }
    return (ssize_t)count;
}

/* ONLCR: a line ends in two bytes. */
static ssize_t slave_write(pty *terminal, sim_io *io)
{
    size_t count = 0;
    char byte;

    if (terminal->master == NULL)
        return -EIO;
    while (terminal->output.count + 2 <= SIM_TTY_OUTPUT_BYTES && sim_io_take(io, &byte, 1) == 1) {
        if (byte == '\n')
            push(&terminal->output, '\r');
        push(&terminal->output, byte);
        count++;
    }
    if (count == 0 && sim_io_left(io) > 0)
        return -EAGAIN;
    tell(terminal->master);
    return (ssize_t)count;
}

static int slave_poll(const pty *terminal)
{
    if (terminal->master == NULL)
        return POLLIN | POLLOUT | POLLERR | POLLHUP;
    return (line_bytes(&terminal->input) > 0 ? POLLIN : 0) |
           (terminal->output.count + 2 <= SIM_TTY_OUTPUT_BYTES ? POLLOUT : 0);
}

/* --------------------------------------------------------------------------------- master -- */

static ssize_t master_read(pty *terminal, sim_io *io)
{
    const bool was_full = terminal->output.count + 2 > SIM_TTY_OUTPUT_BYTES;
    size_t size_bytes = terminal->output.count;

    if (size_bytes == 0)
        return terminal->slave == NULL ? -EIO : -EAGAIN;
    if (size_bytes > SIM_TTY_LINE_BYTES)
        size_bytes = SIM_TTY_LINE_BYTES;
    const size_t count = pull(&terminal->output, io, size_bytes);
    if (was_full)
        tell(terminal->slave);
    return (ssize_t)count;
}

static void echo(pty *terminal, char byte)
{
    if (byte == END_OF_FILE)
        return;
    if (byte == '\n')
        push(&terminal->output, '\r');
    push(&terminal->output, byte);
}

/* Everything is taken; what is too long for a line gets lost (termios(3)). */
static ssize_t master_write(pty *terminal, sim_io *io)
{
    size_t count = 0;
    char byte;

    while (sim_io_take(io, &byte, 1) == 1) {
        const bool ends = byte == '\n' || byte == END_OF_FILE;
        if (ends || terminal->input.count < SIM_TTY_LINE_BYTES)
            push(&terminal->input, byte);
        echo(terminal, byte);
        count++;
    }
    tell(terminal->slave);
    tell(terminal->master);
    return (ssize_t)count;
}

static int master_poll(const pty *terminal)
{
    return POLLOUT | (terminal->output.count > 0 ? POLLIN : 0) |
           (terminal->slave == NULL ? POLLHUP : 0);
}

/* ---------------------------------------------------------------------------------- files -- */

static ssize_t tty_read(sim_file *file, sim_io *io)
{
    const terminal_end *end = end_of(file);
    return end->is_master ? master_read(end->terminal, io) : slave_read(end->terminal, io);
}

static ssize_t tty_write(sim_file *file, sim_io *io)
{
    const terminal_end *end = end_of(file);
    return end->is_master ? master_write(end->terminal, io) : slave_write(end->terminal, io);
}

static short tty_poll(sim_file *file)
{
    const terminal_end *end = end_of(file);
    return (short)(end->is_master ? master_poll(end->terminal) : slave_poll(end->terminal));
}

static int tty_stat(sim_file *file, struct stat *out_status)
{
    *out_status = (struct stat){
            .st_mode = S_IFCHR | 0620,
            .st_nlink = 1,
            .st_uid = SIM_USER,
            .st_gid = SIM_USER,
            .st_rdev = end_of(file)->is_master ? makedev(5, 2) : makedev(136, 0), /* pty(7) */
            .st_blksize = 1024,
    };
    return 0;
}

static void tty_release(sim_file *file)
{
    terminal_end *end = end_of(file);
    pty *terminal = end->terminal;

    if (end->is_master) {
        terminal->master = NULL;
        tell(terminal->slave);
    } else {
        terminal->slave = NULL;
        tell(terminal->master);
    }
    if (terminal->master == NULL && terminal->slave == NULL)
        sim_delete(terminal);
    sim_delete(end);
}

const sim_file_type sim_tty_type = {
        .name = "terminal",
        .poll = tty_poll,
        .read = tty_read,
        .write = tty_write,
        .stat = tty_stat,
        .release = tty_release,
};

static terminal_end *new_end(sim_world *world, pty *terminal, bool is_master)
{
    terminal_end *end = sim_new(sizeof(*end));
    sim_file_init(&end->file, &sim_tty_type, world);
    end->terminal = terminal;
    end->is_master = is_master;
    return end;
}

void sim_tty_create(sim_world *world, sim_file **out_master, sim_file **out_slave)
{
    pty *made = sim_new(sizeof(*made));
    made->master = new_end(world, made, true);
    made->slave = new_end(world, made, false);
    *out_master = &made->master->file;
    *out_slave = &made->slave->file;
}
