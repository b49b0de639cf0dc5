/* SPDX-License-Identifier: MIT */
/* open(2), stat(2), access(2), chdir(2), and what others ask a path for. */
#include "disk.h"
#include "inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sys/inotify.h>
#include <sys/sysmacros.h>

/* --------------------------------------------------------------------------------- opening -- */

static sim_file *new_open_file(const sim_file_type *type, sim_inode *inode, int flags)
{
    sim_open_file *open_file = sim_new(sizeof(*open_file));
    sim_file_init(&open_file->file, type, inode->disk->world);
    open_file->file.is_nonblocking = (flags & O_NONBLOCK) != 0;
    open_file->inode = sim_inode_hold(inode);
    inode->open_count++;
    open_file->flags = flags;
    return &open_file->file;
}

static int wanted_access(int flags)
{
    static const int wanted[] = {R_OK, W_OK, R_OK | W_OK, R_OK | W_OK};
    return wanted[flags & O_ACCMODE] | ((flags & O_TRUNC) != 0 ? W_OK : 0);
}

static int open_device(sim_inode *inode, int flags, sim_file **out_file)
{
    if (major(inode->device) != 1)
        return -ENXIO; /* tty(4): no process has a controlling terminal. */
    *out_file = new_open_file(&sim_device_type, inode, flags);
    return 0;
}

static int open_directory(sim_inode *inode, int flags, sim_file **out_file)
{
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0)
        return -EISDIR;
    *out_file = new_open_file(&sim_directory_type, inode, flags);
    return 0;
}

static int open_regular(sim_inode *inode, int flags, sim_file **out_file)
{
    *out_file = new_open_file(&sim_regular_type, inode, flags);
    return 0;
}

/* What is there already. */
static int open_inode(sim_inode *inode, int flags, sim_file **out_file)
{
    if ((flags & O_DIRECTORY) != 0 && !S_ISDIR(inode->mode))
        return -ENOTDIR;
    if ((flags & O_PATH) != 0) {
        *out_file = new_open_file(&sim_path_type, inode, flags);
        return 0;
    }
    if (S_ISDIR(inode->mode) && (flags & O_CREAT) != 0)
        return -EISDIR;
    if (S_ISLNK(inode->mode))
        return -ELOOP;
    int rc = sim_inode_access(inode, wanted_access(flags));
    if (rc < 0)
        return S_ISDIR(inode->mode) && (flags & O_ACCMODE) != O_RDONLY ? -EISDIR : rc;
    switch (inode->mode & S_IFMT) {
    case S_IFDIR:
        return open_directory(inode, flags, out_file);
    case S_IFCHR:
        return open_device(inode, flags, out_file);
    case S_IFSOCK:
        return -ENXIO;
    default:
        return open_regular(inode, flags, out_file);
    }
}

static int create(sim_process *process, const sim_place *place, const sim_opening *opening,
        sim_file **out_file)
{
    sim_inode *directory = place->directory;
    const mode_t mode = S_IFREG | (opening->mode & 07777 & ~process->umask);

    if (directory->link_count == 0)
        return -ENOENT;
    int rc = sim_inode_access(directory, W_OK | X_OK);
    if (rc == 0 && sim_fault(directory->disk->world, SIM_FAULT_DISK_FULL))
        rc = -ENOSPC;
    if (rc < 0)
        return rc;
    sim_inode *inode = sim_inode_create(directory->disk, mode);
    const sim_naming naming = {directory, place->name, inode};
    sim_names_change(directory->disk, &naming, 1);
    *out_file = new_open_file(&sim_regular_type, inode, opening->flags);
    sim_inotify_name(directory, place->name, inode, IN_CREATE);
    sim_inode_drop(inode);
    return 0;
}

/* O_TMPFILE: a file without a name. */
static int create_nameless(
        sim_process *process, sim_inode *directory, const sim_opening *opening, sim_file **out_file)
{
    const mode_t mode = S_IFREG | (opening->mode & 07777 & ~process->umask);

    if ((opening->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    if (!S_ISDIR(directory->mode))
        return -ENOTDIR;
    sim_inode *inode = sim_inode_create(directory->disk, mode);
    *out_file = new_open_file(&sim_regular_type, inode, opening->flags);
    sim_inode_drop(inode);
    return 0;
}

static int check_flags(int flags)
{
    const bool is_nameless = (flags & O_TMPFILE) == O_TMPFILE;
    /* Observed; until Linux 6.3 it made a regular file. */
    if ((flags & O_DIRECTORY) != 0 && (flags & O_CREAT) != 0 && !is_nameless)
        return -EINVAL;
    return 0;
}

/*
 * It is open: told to those who watch, and cut, if that is wanted, which is so also if it is opened
 * for reading alone, where POSIX leaves it open (observed).
 */
static void opened(const sim_place *place, int flags, sim_file *file)
{
    sim_open_file *open_file = sim_open_file_of(file);

    if (place->directory != NULL) {
        open_file->directory = sim_inode_hold(place->directory);
        open_file->name = sim_copy_text(place->name);
    }
    if ((flags & O_PATH) != 0)
        return;
    sim_inotify_file(open_file, IN_OPEN);
    if ((flags & O_TRUNC) != 0 && place->inode != NULL && S_ISREG(place->inode->mode)) {
        (void)sim_inode_truncate(place->inode, 0);
        sim_inotify_file(open_file, IN_MODIFY);
    }
}

int sim_open(sim_process *process, const sim_opening *opening, sim_file **out_file)
{
    const bool is_nameless = (opening->flags & O_TMPFILE) == O_TMPFILE;
    sim_opening wanted = *opening;
    sim_place place;

    if ((wanted.flags & O_PATH) != 0) /* All others are ignored: open(2). */
        wanted.flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
    const int flags = wanted.flags;
    int rc = check_flags(flags);
    if (rc < 0)
        return rc;
    const bool is_new = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
    rc = sim_path_find(process, wanted.directory, wanted.path,
            is_new || (flags & O_NOFOLLOW) != 0 ? SIM_PATH_NOFOLLOW : SIM_PATH_FOLLOW, &place);
    if (rc < 0)
        return rc;
    if (place.inode != NULL && is_nameless)
        return create_nameless(process, place.inode, &wanted, out_file);
    if (place.inode == NULL && ((flags & O_CREAT) == 0 || is_nameless))
        return -ENOENT;
    if (place.inode == NULL && place.is_directory)
        return -EISDIR; /* open("new/", O_CREAT) */
    if (place.inode == NULL) {
        rc = create(process, &place, &wanted, out_file);
    } else {
        rc = is_new ? -EEXIST : open_inode(place.inode, flags, out_file);
    }
    if (rc == 0)
        opened(&place, flags, *out_file);
    return rc;
}

/* ---------------------------------------------------------------------------- looking at it -- */

/* What must be there. */
static int find(
        sim_process *process, int directory, const char *path, int flags, sim_inode **out_inode)
{
    sim_place place;
    int how = (flags & AT_SYMLINK_NOFOLLOW) != 0 ? SIM_PATH_NOFOLLOW : SIM_PATH_FOLLOW;
    if ((flags & AT_EMPTY_PATH) != 0)
        how |= SIM_PATH_EMPTY;
    int rc = sim_path_find(process, directory, path, how, &place);
    if (rc < 0)
        return rc;
    if (place.inode == NULL)
        return -ENOENT;
    *out_inode = place.inode;
    return 0;
}

int sim_stat(
        sim_process *process, int directory, const char *path, int flags, struct stat *out_status)
{
    sim_inode *inode = NULL;

    if ((flags & AT_EMPTY_PATH) != 0 && directory >= 0 && path != NULL && *path == '\0') {
        sim_file *file = sim_descriptor_file(process, directory);
        return file == NULL ? -EBADF : sim_stat_file(file, out_status);
    }
    int rc = find(process, directory, path, flags, &inode);
    if (rc == 0)
        sim_inode_stat(inode, out_status);
    return rc;
}

int sim_access(sim_process *process, int directory, const char *path, int mode, int flags)
{
    sim_inode *inode = NULL;

    if ((mode & ~(R_OK | W_OK | X_OK)) != 0)
        return -EINVAL;
    int rc = find(process, directory, path, flags & AT_SYMLINK_NOFOLLOW, &inode);
    return rc < 0 ? rc : sim_inode_access(inode, mode);
}

/* execve(2): EACCES also for what is no regular file; ENOEXEC for what is none of the programs. */
int sim_path_program(
        sim_process *process, int directory, const char *path, const sim_program **out_program)
{
    sim_inode *inode = NULL;
    int rc = find(process, directory, path, 0, &inode);

    if (rc < 0)
        return rc;
    if (!S_ISREG(inode->mode) || sim_inode_access(inode, X_OK) < 0)
        return -EACCES;
    if (inode->program == NULL)
        return -ENOEXEC;
    *out_program = inode->program;
    return 0;
}

/* --------------------------------------------------------------------------- unix sockets -- */

int sim_disk_bind(sim_process *process, const char *path, sim_file *socket, sim_inode **out_node)
{
    sim_place place;
    int rc = sim_path_find(process, AT_FDCWD, path, SIM_PATH_NAME, &place);

    if (rc < 0)
        return rc;
    if (place.inode != NULL)
        return -EADDRINUSE; /* Whatever it is: observed of files and dangling symlinks, too. */
    if (place.directory->link_count == 0 || place.is_directory)
        return -ENOENT;
    rc = sim_inode_access(place.directory, W_OK | X_OK);
    if (rc < 0)
        return rc;
    sim_inode *node = sim_inode_create(place.directory->disk, S_IFSOCK | (0777 & ~process->umask));
    node->socket = socket;
    const sim_naming naming = {place.directory, place.name, node};
    sim_names_change(node->disk, &naming, 1);
    sim_inotify_name(place.directory, place.name, node, IN_CREATE);
    *out_node = node;
    return 0;
}

void sim_disk_unbind(sim_inode *node)
{
    if (node == NULL)
        return;
    node->socket = NULL;
    sim_inode_drop(node);
}

/* unix(7): ECONNREFUSED for a file that is no socket, and for a socket that nobody has any more. */
int sim_disk_connect(sim_process *process, const char *path, sim_file **out_socket)
{
    sim_inode *inode = NULL;
    int rc = find(process, AT_FDCWD, path, 0, &inode);

    if (rc < 0)
        return rc;
    rc = sim_inode_access(inode, W_OK);
    if (rc < 0)
        return rc;
    if (inode->socket == NULL)
        return -ECONNREFUSED;
    *out_socket = inode->socket;
    return 0;
}

/* ---------------------------------------------------------------------- working directories -- */

static int enter(sim_process *process, sim_inode *inode)
{
    if (!S_ISDIR(inode->mode))
        return -ENOTDIR;
    if (sim_inode_access(inode, X_OK) < 0)
        return -EACCES;
    sim_directory *directory = sim_new(sizeof(*directory));
    directory->inode = sim_inode_hold(inode);
    sim_working_directory_leave(process);
    process->working_directory = directory;
    return 0;
}

int sim_chdir(sim_process *process, const char *path)
{
    sim_inode *inode = NULL;
    int rc = find(process, AT_FDCWD, path, 0, &inode);
    return rc < 0 ? rc : enter(process, inode);
}

void sim_working_directory_inherit(sim_process *child, const sim_process *parent)
{
    if (parent != NULL && parent->working_directory != NULL)
        (void)enter(child, parent->working_directory->inode);
}

void sim_working_directory_leave(sim_process *process)
{
    sim_directory *directory = process->working_directory;
    if (directory == NULL)
        return;
    process->working_directory = NULL;
    sim_inode_drop(directory->inode);
    sim_delete(directory);
}
