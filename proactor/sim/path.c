/* SPDX-License-Identifier: MIT */
/*
 * path_resolution(7): from a path to an inode, or to the place where one would be.
 *
 * The walk takes one name after the other off `rest`. A symlink puts its target in front of what is
 * left of it.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct walk {
    sim_disk *disk;
    sim_inode *at; /* A directory, unless there is an error to come. */
    int flags;
    unsigned symlink_count;
    char rest[2 * PATH_MAX];
    const char *next; /* In rest. */
} walk;

/* The directory that a relative path begins at. */
static int starting_point(sim_process *process, int directory_fd, sim_inode **out_inode)
{
    if (directory_fd == AT_FDCWD) {
        const sim_directory *directory = process->working_directory;
        *out_inode = directory == NULL ? sim_disk_of(process->host)->root : directory->inode;
        return 0;
    }
    sim_file *file = sim_descriptor_file(process, directory_fd);
    if (file == NULL)
        return -EBADF;
    const sim_open_file *open_file = sim_open_file_of(file);
    if (open_file == NULL || !S_ISDIR(open_file->inode->mode))
        return -ENOTDIR;
    *out_inode = open_file->inode;
    return 0;
}

/* Take the next name. False: none is left. -ENAMETOOLONG by `*out_rc`. */
static bool take_name(walk *way, char name[NAME_MAX + 1], int *out_rc)
{
    while (*way->next == '/')
        way->next++;
    const size_t size = strcspn(way->next, "/");
    if (size == 0)
        return false;
    if (size > NAME_MAX) {
        *out_rc = -ENAMETOOLONG;
        return false;
    }
    memcpy(name, way->next, size);
    name[size] = '\0';
    way->next += size;
    return true;
}

static bool is_last(const walk *way)
{
    return way->next[strspn(way->next, "/")] == '\0';
}

/* The path goes on with the target of a symlink. */
static int enter_symlink(walk *way, const sim_inode *symlink)
{
    char rest[sizeof(way->rest)];

    if (++way->symlink_count > SIM_SYMLINK_COUNT_MAX)
        return -ELOOP;
    const int size = snprintf(rest, sizeof(rest), "%s%s", symlink->target, way->next);
    if (size < 0 || (size_t)size >= sizeof(rest))
        return -ENAMETOOLONG;
    memcpy(way->rest, rest, (size_t)size + 1);
    way->next = way->rest;
    if (*way->next == '/')
        way->at = way->disk->root;
    return 0;
}

/* Must the symlink `name` be followed? The last one by the flags, or because a slash follows it. */
static bool follows(const walk *way)
{
    if (!is_last(way))
        return true;
    if ((way->flags & SIM_PATH_NAME) != 0)
        return false;
    return (way->flags & SIM_PATH_NOFOLLOW) == 0 || *way->next == '/';
}

/* "." and "..": there is no name that could be changed. */
static bool step_dots(walk *way, const char *name, sim_place *place)
{
    const bool is_up = strcmp(name, "..") == 0;
    if (!is_up && strcmp(name, ".") != 0)
        return false;
    if (is_up && way->at != way->disk->root && way->at->parent != NULL)
        way->at = way->at->parent;
    place->directory = NULL;
    place->inode = way->at;
    place->last = is_up ? ':' : '.';
    return true;
}

/* One name. 1: go on; 0: `place` is it. */
static int step(walk *way, sim_place *place)
{
    int rc = 0;
    char name[NAME_MAX + 1];

    if (!take_name(way, name, &rc))
        return rc;
    if (!S_ISDIR(way->at->mode))
        return -ENOTDIR;
    rc = sim_inode_access(way->at, X_OK);
    if (rc < 0)
        return rc;
    if (step_dots(way, name, place))
        return 1;
    const sim_entry *entry = sim_directory_entry(way->at, name);
    if (entry == NULL && !is_last(way))
        return -ENOENT;
    if (entry != NULL && S_ISLNK(entry->inode->mode) && follows(way)) {
        rc = enter_symlink(way, entry->inode);
        return rc < 0 ? rc : 1;
    }
    place->directory = way->at;
    place->inode = entry == NULL ? NULL : entry->inode;
    place->last = 'n';
    memcpy(place->name, name, strlen(name) + 1);
    if (entry == NULL)
        return 1;
    way->at = entry->inode;
    return 1;
}

static int run(walk *way, sim_place *out_place)
{
    sim_place place = {.inode = way->at, .last = *way->next == '/' ? '/' : '.'};
    int rc;

    do {
        rc = step(way, &place);
    } while (rc > 0 && !(place.inode == NULL && is_last(way)));
    if (rc < 0)
        return rc;
    place.is_directory = *way->next == '/' || place.last != 'n' ||
                         (way->next > way->rest && way->next[-1] == '/');
    if (place.is_directory && place.inode != NULL && !S_ISDIR(place.inode->mode))
        return -ENOTDIR;
    *out_place = place;
    return 0;
}

static int begin(walk *way, const char *path, int flags)
{
    const size_t size = strnlen(path, PATH_MAX);
    if (size >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(way->rest, path, size + 1);
    way->next = way->rest;
    way->flags = flags;
    way->symlink_count = 0;
    return 0;
}

/* AT_EMPTY_PATH: the file of the descriptor. */
static int find_empty(sim_process *process, int directory_fd, sim_place *out_place)
{
    sim_inode *inode;
    if (directory_fd == AT_FDCWD) {
        (void)starting_point(process, directory_fd, &inode);
    } else {
        sim_file *file = sim_descriptor_file(process, directory_fd);
        if (file == NULL)
            return -EBADF;
        const sim_open_file *open_file = sim_open_file_of(file);
        if (open_file == NULL)
            return -EINVAL; /* A pipe, say: its status is that of the file, not of an inode. */
        inode = open_file->inode;
    }
    *out_place = (sim_place){.inode = inode, .last = '.'};
    return 0;
}

int sim_path_find(
        sim_process *process, int directory_fd, const char *path, int flags, sim_place *out_place)
{
    walk way;

    if (path == NULL)
        return -EFAULT;
    if (*path == '\0' && (flags & SIM_PATH_EMPTY) != 0)
        return find_empty(process, directory_fd, out_place);
    if (*path == '\0')
        return -ENOENT;
    int rc = begin(&way, path, flags);
    if (rc < 0)
        return rc;
    way.disk = sim_disk_of(process->host);
    way.at = way.disk->root;
    if (*path != '/')
        rc = starting_point(process, directory_fd, &way.at);
    return rc < 0 ? rc : run(&way, out_place);
}

int sim_path_find_on(sim_disk *disk, const char *path, int flags, sim_place *out_place)
{
    walk way;
    int rc = begin(&way, path, flags);
    way.disk = disk;
    way.at = disk->root;
    return rc < 0 ? rc : run(&way, out_place);
}
