/* SPDX-License-Identifier: MIT */
#include <coil/child.h>

#include <coil/group.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* For a pipe that somebody else holds, once what is in it has been read. */
#define LINGER coil_ms(100)

enum { READ_BYTES = 16384 };

/* What comes from one stream. */
typedef struct collected {
    int fd; /* -1: nothing does. */
    char *bytes;
    size_t size_bytes;
    size_t capacity_bytes;
    size_t limit_bytes;
    bool was_cut;
    bool has_ended;
} collected;

typedef struct conversation {
    coil_child *child;
    coil_communication *talk;
    size_t sent_bytes;
    collected output;
    collected errors;
} conversation;

/* Room for a read, and the final '\0'. */
static int make_room(collected *into)
{
    if (into->capacity_bytes - into->size_bytes > READ_BYTES)
        return 0;
    const size_t capacity = 2 * into->capacity_bytes + 2 * (size_t)READ_BYTES;
    char *bytes = realloc(into->bytes, capacity);
    if (bytes == NULL)
        return -ENOMEM;
    into->bytes = bytes;
    into->capacity_bytes = capacity;
    return 0;
}

static void take(collected *into, size_t count)
{
    into->size_bytes += count;
    if (into->limit_bytes != 0 && into->size_bytes > into->limit_bytes) {
        into->size_bytes = into->limit_bytes;
        into->was_cut = true;
    }
    into->bytes[into->size_bytes] = '\0';
}

/* To the end, or until so much has come. A terminal that nobody has any more is -EIO. */
coil_async(int, collect, (collected *) into, (size_t) wanted_bytes)
{
    coil_vars(ssize_t count; size_t come_bytes; int rc);

    while (into->fd >= 0 && !into->has_ended && my->come_bytes < wanted_bytes) {
        my->rc = make_room(into);
        if (my->rc < 0)
            return my->rc;
        coil_await(my->count, coil_read(into->fd, into->bytes + into->size_bytes, READ_BYTES));
        if (my->count < 0 && my->count != -EIO)
            return (int)my->count;
        if (my->count > 0) {
            take(into, (size_t)my->count);
            my->come_bytes += (size_t)my->count;
        }
        into->has_ended = my->count <= 0;
    }
    return 0;
}

/* The child has ended: what there is, and what comes in a while, however busy others write on. */
coil_async(int, collect_rest, (collected *) into)
{
    coil_vars(int rc);

    if (into->fd < 0)
        return 0;
    const int held_bytes = coil_kernel_pipe_held(into->fd);
    coil_attempt(collect(into, held_bytes > 0 ? (size_t)held_bytes : 0));
    coil_await(my->rc, coil_within(LINGER, collect(into, SIZE_MAX)));
    return my->rc == -ETIME ? 0 : my->rc;
}

static void close_stdin(coil_child *child)
{
    if (child->stdin_fd >= 0)
        (void)coil_kernel_close(child->stdin_fd);
    child->stdin_fd = -1;
}

/* The end of input is the end of the pipe; on a terminal, it is a key. */
coil_async(int, feed, (conversation *) all)
{
    coil_vars(ssize_t count);
    static const char end_of_input = 4;

    while (all->child->stdin_fd >= 0 && all->sent_bytes < all->talk->input_bytes) {
        coil_await(my->count,
                coil_write(all->child->stdin_fd, (const char *)all->talk->input + all->sent_bytes,
                        all->talk->input_bytes - all->sent_bytes));
        if (my->count < 0)
            break; /* -EPIPE: it does not want it. */
        all->sent_bytes += (size_t)my->count;
    }
    if (all->child->stdin_fd >= 0 && coil_kernel_is_device(all->child->stdin_fd) == 1)
        coil_ignore(coil_write(all->child->stdin_fd, &end_of_input, 1));
    close_stdin(all->child);
    return 0;
}

static void begin(conversation *all, coil_child *child, coil_communication *talk)
{
    *all = (conversation){.child = child, .talk = talk};
    all->output.fd = child->stdout_fd;
    all->errors.fd = child->stderr_fd;
    all->output.limit_bytes = all->errors.limit_bytes = talk->limit_bytes;
    child->stdout_fd = child->stderr_fd = -1;
}

static void hand_over(conversation *all)
{
    coil_communication *talk = all->talk;
    collected *const streams[] = {&all->output, &all->errors};

    close_stdin(all->child);
    for (int i = 0; i < 2; i++) {
        if (streams[i]->fd >= 0)
            (void)coil_kernel_close(streams[i]->fd);
    }
    talk->output = all->output.bytes;
    talk->output_bytes = all->output.size_bytes;
    talk->errors = all->errors.bytes;
    talk->errors_bytes = all->errors.size_bytes;
    talk->was_cut = all->output.was_cut || all->errors.was_cut;
}

coil_define(int, coil_child_communicate, (coil_child *) child, (coil_communication *) talk)
{
    coil_vars(conversation all; coil_group streams; int end; int rc);

    begin(&my->all, child, talk);
    coil_defer(hand_over(&my->all));
    coil_open_group(&my->streams);
    coil_spawn(&my->streams, feed(&my->all));
    coil_spawn(&my->streams, collect(&my->all.output, SIZE_MAX));
    coil_spawn(&my->streams, collect(&my->all.errors, SIZE_MAX));
    coil_await(my->end, coil_child_wait(child));
    if (my->end < 0 && my->end != -ECHILD)
        return my->end;

    coil_group_cancel(&my->streams);
    coil_attempt(coil_group_join(&my->streams));
    coil_attempt(collect_rest(&my->all.output));
    coil_attempt(collect_rest(&my->all.errors));
    return my->end;
}

void coil_communication_fini(coil_communication *talk)
{
    if (talk == NULL)
        return;
    free(talk->output);
    free(talk->errors);
    talk->output = talk->errors = NULL;
    talk->output_bytes = talk->errors_bytes = 0;
}

int coil_child_resize(coil_child *child, unsigned short rows, unsigned short columns)
{
    const struct winsize size = {.ws_row = rows, .ws_col = columns};
    return coil_kernel_terminal_resize(
            child->stdout_fd >= 0 ? child->stdout_fd : child->stdin_fd, &size);
}
