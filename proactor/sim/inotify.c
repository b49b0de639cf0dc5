/* SPDX-License-Identifier: MIT */
#include "inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <sys/inotify.h>

enum {
    QUEUE_MAX = 16384, /* /proc/sys/fs/inotify/max_queued_events */
    FLAGS = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD | IN_MASK_CREATE | IN_ISDIR,
};

/* Not in IN_ALL_EVENTS, and always told. */
#define UNASKED (IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)
#define KNOWN ((uint32_t)(IN_ALL_EVENTS | UNASKED | FLAGS) | IN_ONESHOT)

typedef struct queued_event {
    coil_list link;
    int watch;
    uint32_t mask;
    uint32_t cookie;
    char name[NAME_MAX + 1];
} queued_event;

typedef struct instance {
    sim_file file;
    coil_list watches; /* By number. */
    coil_list events;
    size_t event_count;
    bool has_overflow; /* It is the last event. */
    int last_number;
} instance;

typedef struct watch {
    coil_list link;       /* In instance->watches, */
    coil_list inode_link; /* and in inode->watches. */
    instance *owner;
    sim_inode *inode; /* Held. */
    int number;
    uint32_t mask;
} watch;

static const sim_file_type inotify_type;

/* NULL: it is none. */
static instance *instance_of(sim_file *file)
{
    return file->type == &inotify_type ? coil_container_of(file, instance, file) : NULL;
}

/* Of a file that is known to be one. */
static instance *own(sim_file *file)
{
    return coil_container_of(file, instance, file);
}

/* ---------------------------------------------------------------------------------- events -- */

/* inotify_merge() of Linux: only the last one is compared, and of it not the cookie. */
static bool is_repeated(const instance *of, int number, uint32_t mask, const char *name)
{
    if (coil_list_empty(&of->events))
        return false;
    const queued_event *last = coil_container_of(of->events.prev, queued_event, link);
    return (last->mask & IN_IGNORED) == 0 && last->mask == mask && last->watch == number &&
           strcmp(last->name, name) == 0;
}

static void append(instance *of, const queued_event *told)
{
    queued_event *event = sim_new(sizeof(*event));
    *event = *told;
    coil_list_init(&event->link);
    coil_list_append(&of->events, &event->link);
    of->event_count++;
    sim_file_changed(&of->file);
}

/* inotify(7): what does not fit is lost, and one event says so. */
static void queue(instance *of, int number, uint32_t mask, const char *name, uint32_t cookie)
{
    const bool is_full =
            of->event_count >= QUEUE_MAX || sim_fault(of->file.world, SIM_FAULT_EVENTS_LOST);
    queued_event told = {.watch = number, .mask = mask, .cookie = cookie};

    if (is_full && of->has_overflow)
        return;
    if (is_full) {
        of->has_overflow = true;
        append(of, &(queued_event){.watch = -1, .mask = IN_Q_OVERFLOW});
        return;
    }
    if (is_repeated(of, number, mask, name))
        return;
    memcpy(told.name, name, strlen(name) + 1);
    append(of, &told);
}

static void watch_free(watch *of)
{
    coil_list_remove(&of->link);
    coil_list_remove(&of->inode_link);
    sim_inode_drop(of->inode);
    sim_delete(of);
}

/* It ends, and the last that is heard of it is that. */
static void watch_end(watch *of)
{
    queue(of->owner, of->number, IN_IGNORED, "", 0);
    watch_free(of);
}

static void tell_watch(watch *of, uint32_t mask, const char *name, uint32_t cookie)
{
    if ((of->mask & mask & IN_ALL_EVENTS) == 0)
        return;
    queue(of->owner, of->number, mask, name, cookie);
    if ((of->mask & IN_ONESHOT) != 0)
        watch_end(of);
}

/* All that watch the inode. */
static void tell(const sim_inode *inode, uint32_t mask, const char *name, uint32_t cookie)
{
    coil_list *next;
    for (coil_list *at = inode->watches.next; at != &inode->watches; at = next) {
        next = at->next;
        tell_watch(coil_container_of(at, watch, inode_link), mask, name, cookie);
    }
}

/* ------------------------------------------------------------------------ what has happened -- */

static uint32_t kind_of(const sim_inode *inode)
{
    return S_ISDIR(inode->mode) ? IN_ISDIR : 0;
}

void sim_inotify_name(
        const sim_inode *directory, const char *name, const sim_inode *inode, uint32_t mask)
{
    tell(directory, mask | kind_of(inode), name, 0);
}

void sim_inotify_inode(const sim_inode *inode, uint32_t mask)
{
    tell(inode, mask | kind_of(inode), "", 0);
}

void sim_inotify_moved(
        const sim_place *from, const sim_place *to, const sim_inode *inode, sim_inode *replaced)
{
    const uint32_t cookie = ++inode->disk->last_cookie;

    tell(from->directory, IN_MOVED_FROM | kind_of(inode), from->name, cookie);
    tell(to->directory, IN_MOVED_TO | kind_of(inode), to->name, cookie);
    if (replaced != NULL && !S_ISDIR(replaced->mode))
        sim_inotify_inode(replaced, IN_ATTRIB);
    tell(inode, IN_MOVE_SELF, "", 0); /* Observed: without IN_ISDIR. */
    if (replaced != NULL)
        sim_inotify_left(replaced);
}

/* The name that an open file has now: the one it was opened by, unless that has moved. */
static void follow(sim_open_file *file)
{
    const sim_entry *entry = sim_directory_entry(file->directory, file->name);
    if ((entry != NULL && entry->inode == file->inode) || file->inode->link_count == 0)
        return;
    entry = NULL;
    sim_inode *directory = NULL;
    const sim_disk *disk = file->inode->disk;
    for (coil_list *at = disk->inodes.next; at != &disk->inodes && entry == NULL; at = at->next) {
        directory = coil_container_of(at, sim_inode, link);
        entry = sim_directory_entry_of(directory, file->inode);
    }
    if (entry == NULL)
        return;
    sim_delete(file->name);
    file->name = sim_copy_text(entry->name);
    (void)sim_inode_hold(directory);
    sim_inode_drop(file->directory);
    file->directory = directory;
}

/* IN_EXCL_UNLINK: not of those that have no name any more. */
static void tell_directory(const sim_open_file *file, uint32_t mask)
{
    const bool is_unlinked = file->inode->link_count == 0;
    coil_list *next;
    for (coil_list *at = file->directory->watches.next; at != &file->directory->watches;
            at = next) {
        watch *of = coil_container_of(at, watch, inode_link);
        next = at->next;
        if (!is_unlinked || (of->mask & IN_EXCL_UNLINK) == 0)
            tell_watch(of, mask, file->name, 0);
    }
}

void sim_inotify_file(sim_open_file *file, uint32_t mask)
{
    mask |= kind_of(file->inode);
    if (file->directory != NULL && file->inode->disk->watch_count > 0) {
        follow(file);
        tell_directory(file, mask);
    }
    tell(file->inode, mask, "", 0);
}

void sim_inotify_left(sim_inode *inode)
{
    if (inode->link_count > 0 || inode->open_count > 0 || coil_list_empty(&inode->watches))
        return;
    (void)sim_inode_hold(inode);
    tell(inode, IN_DELETE_SELF, "", 0); /* Observed: without IN_ISDIR. */
    while (!coil_list_empty(&inode->watches))
        watch_end(coil_container_of(inode->watches.next, watch, inode_link));
    sim_inode_drop(inode);
}

/* ------------------------------------------------------------------------------- the calls -- */

static watch *watch_of_inode(const instance *of, const sim_inode *inode)
{
    for (coil_list *at = of->watches.next; at != &of->watches; at = at->next) {
        watch *each = coil_container_of(at, watch, link);
        if (each->inode == inode)
            return each;
    }
    return NULL;
}

static int watch_add(instance *of, sim_inode *inode, uint32_t mask)
{
    watch *made = sim_new(sizeof(*made));
    made->owner = of;
    made->inode = sim_inode_hold(inode);
    made->number = ++of->last_number;
    made->mask = mask;
    coil_list_init(&made->link);
    coil_list_init(&made->inode_link);
    coil_list_append(&of->watches, &made->link);
    coil_list_append(&inode->watches, &made->inode_link);
    inode->disk->watch_count++; /* And never fewer: it is a question of cost alone. */
    return made->number;
}

static int find(sim_process *process, const char *path, uint32_t mask, sim_inode **out_inode)
{
    sim_place place;
    const int how = (mask & IN_DONT_FOLLOW) != 0 ? SIM_PATH_NOFOLLOW : SIM_PATH_FOLLOW;
    int rc = sim_path_find(process, AT_FDCWD, path, how, &place);
    if (rc < 0)
        return rc;
    if (place.inode == NULL)
        return -ENOENT;
    if ((mask & IN_ONLYDIR) != 0 && !S_ISDIR(place.inode->mode))
        return -ENOTDIR;
    rc = sim_inode_access(place.inode, R_OK);
    if (rc < 0)
        return rc;
    *out_inode = place.inode;
    return 0;
}

int sim_inotify_add(sim_process *process, sim_file *file, const char *path, uint32_t mask)
{
    instance *of = instance_of(file);
    sim_inode *inode = NULL;

    if ((mask & ~KNOWN) != 0 || (mask & KNOWN) == 0)
        return -EINVAL;
    if (of == NULL || ((mask & IN_MASK_ADD) != 0 && (mask & IN_MASK_CREATE) != 0))
        return -EINVAL;
    int rc = find(process, path, mask, &inode);
    if (rc < 0)
        return rc;
    watch *there = watch_of_inode(of, inode);
    if (there == NULL)
        return watch_add(of, inode, mask);
    if ((mask & IN_MASK_CREATE) != 0)
        return -EEXIST;
    there->mask = (mask & IN_MASK_ADD) != 0 ? there->mask | mask : mask;
    return there->number;
}

int sim_inotify_remove(sim_file *file, int number)
{
    instance *of = instance_of(file);
    if (of == NULL)
        return -EINVAL;
    for (coil_list *at = of->watches.next; at != &of->watches; at = at->next) {
        watch *each = coil_container_of(at, watch, link);
        if (each->number == number) {
            watch_end(each);
            return 0;
        }
    }
    return -EINVAL;
}

/* --------------------------------------------------------------------------------- reading -- */

/* A name is followed by zeros up to a multiple of the size of an event (observed). */
static size_t name_bytes(const queued_event *event)
{
    enum { STEP_BYTES = sizeof(struct inotify_event) };
    const size_t length = strlen(event->name);
    return length == 0 ? 0 : (length + STEP_BYTES) / STEP_BYTES * STEP_BYTES;
}

static void give(instance *of, queued_event *event, sim_io *io)
{
    static const char zeros[sizeof(struct inotify_event)];
    const size_t length = strlen(event->name);
    const struct inotify_event head = {.wd = event->watch,
            .mask = event->mask,
            .cookie = event->cookie,
            .len = (uint32_t)name_bytes(event)};

    (void)sim_io_put(io, &head, sizeof(head));
    (void)sim_io_put(io, event->name, length);
    (void)sim_io_put(io, zeros, head.len - length);
    of->has_overflow &= event->mask != IN_Q_OVERFLOW;
    of->event_count--;
    coil_list_remove(&event->link);
    sim_delete(event);
}

/* As many as fit, whole. -EINVAL: not even one does (inotify(7)). */
static ssize_t read_events(sim_file *file, sim_io *io)
{
    instance *of = own(file);
    const size_t before_bytes = io->done_bytes;
    bool fits = true;

    while (!coil_list_empty(&of->events) && fits) {
        queued_event *next = coil_container_of(of->events.next, queued_event, link);
        fits = sizeof(struct inotify_event) + name_bytes(next) <= sim_io_left(io);
        if (fits)
            give(of, next, io);
    }
    if (io->done_bytes > before_bytes)
        return (ssize_t)(io->done_bytes - before_bytes);
    return fits ? -EAGAIN : -EINVAL;
}

static short poll_events(sim_file *file)
{
    return coil_list_empty(&own(file)->events) ? 0 : POLLIN | POLLRDNORM;
}

static ssize_t refuse_write(sim_file *file, sim_io *io)
{
    (void)file;
    (void)io;
    return -EBADF; /* It is open for reading alone. */
}

static void release(sim_file *file)
{
    instance *of = own(file);
    coil_list *link;

    while (!coil_list_empty(&of->watches))
        watch_free(coil_container_of(of->watches.next, watch, link));
    while ((link = coil_list_take_first(&of->events)) != NULL)
        sim_delete(coil_container_of(link, queued_event, link));
    sim_delete(of);
}

static const sim_file_type inotify_type = {
        .name = "inotify",
        .has_messages = true,
        .poll = poll_events,
        .read = read_events,
        .write = refuse_write,
        .release = release,
};

sim_file *sim_inotify_create(sim_world *world)
{
    instance *made = sim_new(sizeof(*made));
    sim_file_init(&made->file, &inotify_type, world);
    coil_list_init(&made->watches);
    coil_list_init(&made->events);
    return &made->file;
}
