/* SPDX-License-Identifier: MIT */
#include <coil/file_watch.h>

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* inotify(7): enough for one event at least, whatever its name; a read of less is an error. */
enum { BATCH_BYTES = 4096 };
static_assert(BATCH_BYTES >= sizeof(struct inotify_event) + NAME_MAX + 1, "one event fits");

struct coil_file_watch {
    coil_loop *loop;
    int fd;
    size_t used_bytes; /* Of the batch: events, */
    size_t next_bytes; /* and where the next one begins. */
    _Alignas(struct inotify_event) char batch[BATCH_BYTES];
};

int coil_file_watch_create(coil_loop *loop, coil_file_watch **out_watch)
{
    coil_file_watch *watch = malloc(sizeof(*watch));
    if (watch == NULL)
        return -ENOMEM;
    int fd = coil_kernel_inotify();
    if (fd < 0) {
        free(watch);
        return fd;
    }
    watch->loop = loop;
    watch->fd = fd;
    watch->used_bytes = 0;
    watch->next_bytes = 0;
    *out_watch = watch;
    return 0;
}

int coil_file_watch_add(coil_file_watch *watch, const char *path, uint32_t mask)
{
    return coil_kernel_inotify_add(watch->fd, path, mask);
}

int coil_file_watch_remove(coil_file_watch *watch, int number)
{
    return coil_kernel_inotify_remove(watch->fd, number);
}

static coil_file_event take_event(coil_file_watch *watch)
{
    const struct inotify_event *event =
            (const struct inotify_event *)(const void *)(watch->batch + watch->next_bytes);
    watch->next_bytes += sizeof(*event) + event->len;
    return (coil_file_event){.watch = event->wd,
            .mask = event->mask,
            .cookie = event->cookie,
            .name = event->len > 0 ? event->name : ""};
}

coil_define(int, coil_file_watch_next, (coil_file_watch *) watch, (coil_file_event *) out_event)
{
    coil_vars(ssize_t count);

    if (watch->next_bytes == watch->used_bytes) {
        watch->next_bytes = watch->used_bytes = 0;
        coil_attempt(my->count, coil_read(watch->fd, watch->batch, BATCH_BYTES));
        watch->used_bytes = (size_t)my->count;
    }
    *out_event = take_event(watch);
    return 0;
}

void coil_file_watch_close(coil_file_watch *watch)
{
    if (watch == NULL)
        return;
    coil_close_later(watch->loop, watch->fd);
    free(watch);
}
