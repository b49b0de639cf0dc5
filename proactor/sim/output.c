/* SPDX-License-Identifier: MIT */
#include "output.h"

#include "disk.h"

#include <coil/sim.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { FIRST_ROOM_BYTES = 256, OUTPUT_MAX_BYTES = 1 << 20 };

/* Of a process that may be gone. */
typedef struct sim_output {
    coil_list link; /* In world->outputs. */
    pid_t process_id;
    char *text; /* And a zero. */
    size_t size_bytes;
    size_t room_bytes;
} sim_output;

typedef struct sim_output_file {
    sim_file file;
    sim_output *output;
} sim_output_file;

static sim_output *output_of(sim_file *file)
{
    return coil_container_of(file, sim_output_file, file)->output;
}

/* ------------------------------------------------------------------------------------- text -- */

/* The older half goes, up to the end of a line. */
static void forget_half(sim_output *output)
{
    size_t from = output->size_bytes / 2;
    const char *line = memchr(output->text + from, '\n', output->size_bytes - from);
    if (line != NULL)
        from = (size_t)(line + 1 - output->text);
    output->size_bytes -= from;
    memmove(output->text, output->text + from, output->size_bytes);
}

static void make_room(sim_output *output, size_t size_bytes)
{
    while (output->size_bytes > 0 && output->size_bytes + size_bytes > OUTPUT_MAX_BYTES)
        forget_half(output);
    while (output->size_bytes + size_bytes + 1 > output->room_bytes) {
        output->room_bytes *= 2;
        output->text = sim_grown(output->text, output->room_bytes);
    }
}

/* ------------------------------------------------------------------------------------- file -- */

static short poll_output(sim_file *file)
{
    (void)file;
    return POLLOUT | POLLWRNORM;
}

static ssize_t read_nothing(sim_file *file, sim_io *io)
{
    (void)file;
    (void)io;
    return -EBADF; /* Open for writing only. */
}

static ssize_t write_output(sim_file *file, sim_io *io)
{
    sim_output *output = output_of(file);

    make_room(output, sim_io_left(io));
    const size_t count = sim_io_take(io, output->text + output->size_bytes, sim_io_left(io));
    output->size_bytes += count;
    output->text[output->size_bytes] = '\0';
    return (ssize_t)count;
}

static int stat_output(sim_file *file, struct stat *out_status)
{
    *out_status = (struct stat){.st_mode = S_IFIFO | 0600,
            .st_nlink = 1,
            .st_ino = file->id,
            .st_uid = SIM_USER,
            .st_gid = SIM_USER,
            .st_blksize = SIM_PAGE_BYTES};
    return 0;
}

static void release(sim_file *file)
{
    sim_delete(coil_container_of(file, sim_output_file, file));
}

static const sim_file_type output_type = {
        .name = "output",
        .poll = poll_output,
        .read = read_nothing,
        .write = write_output,
        .stat = stat_output,
        .release = release,
};

static sim_file *create(sim_process *process)
{
    sim_world *world = process->world;
    sim_output *output = sim_new(sizeof(*output));
    sim_output_file *file = sim_new(sizeof(*file));

    output->process_id = process->id;
    output->room_bytes = FIRST_ROOM_BYTES;
    output->text = sim_new(output->room_bytes);
    coil_list_init(&output->link);
    coil_list_append(&world->outputs, &output->link);
    sim_file_init(&file->file, &output_type, world);
    file->output = output;
    return &file->file;
}

/* --------------------------------------------------------------------------- of a process -- */

static void fill(sim_process *process, int fd, sim_file *file)
{
    sim_descriptor_fill(process, fd, file);
    process->descriptors[fd].close_on_exec = false;
    process->descriptors[fd].is_inherited = true;
}

void sim_process_open_standard(sim_process *process)
{
    const sim_opening null = {AT_FDCWD, "/dev/null", O_RDWR, 0};
    sim_file *nothing = NULL;

    if (sim_open(process, &null, &nothing) == 0)
        fill(process, 0, nothing);
    sim_file *output = create(process);
    fill(process, 1, output);
    fill(process, 2, sim_file_hold(output));
}

void sim_outputs_forget(sim_world *world)
{
    coil_list *link;
    while ((link = coil_list_take_first(&world->outputs)) != NULL) {
        sim_output *output = coil_container_of(link, sim_output, link);
        sim_delete(output->text);
        sim_delete(output);
    }
}

const char *coil_sim_get_output(const coil_sim *sim, pid_t pid)
{
    for (coil_list *at = sim->outputs.next; at != &sim->outputs; at = at->next) {
        const sim_output *output = coil_container_of(at, sim_output, link);
        if (output->process_id == pid)
            return output->text;
    }
    return NULL;
}
