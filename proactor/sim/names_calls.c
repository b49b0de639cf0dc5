/* SPDX-License-Identifier: MIT */
/*
 * The calls that make, move and remove names: mkdir(2), unlink(2), rename(2) and their kin. Errors
 * and their order are those of Linux 6.18 on ext4, observed case by case.
 */
#include "disk.h"
#include "inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/fs.h>
#include <sys/inotify.h>

/* A directory that may be changed: not one that has been removed, and writable. */
static int may_change(const sim_inode *directory)
{
    if (directory->link_count == 0)
        return -ENOENT; /* Observed of a directory that is open and removed. */
    return sim_inode_access(directory, W_OK | X_OK);
}

/* Where something new may be. -EEXIST; `is_directory` is whether the name may end in a slash. */
static int find_free(sim_process *process, int directory, const char *path, bool is_directory,
        sim_place *out_place)
{
    sim_place place;
    int rc = sim_path_find(process, directory, path, SIM_PATH_NAME, &place);

    if (rc < 0)
        return rc;
    if (place.inode != NULL)
        return -EEXIST;
    if (place.is_directory && !is_directory)
        return -ENOENT; /* link("f", "new/"), observed. */
    rc = may_change(place.directory);
    if (rc < 0)
        return rc;
    *out_place = place;
    return 0;
}

/* A new inode at `place`, whose reference is taken over. -ENOSPC */
static int enter(const sim_place *place, sim_inode *inode)
{
    sim_disk *disk = place->directory->disk;
    const sim_naming naming = {place->directory, place->name, inode};
    const bool is_full = sim_fault(disk->world, SIM_FAULT_DISK_FULL);
    if (!is_full) {
        sim_names_change(disk, &naming, 1);
        sim_inotify_name(place->directory, place->name, inode, IN_CREATE);
    }
    sim_inode_drop(inode);
    return is_full ? -ENOSPC : 0;
}

int sim_mkdir(sim_process *process, int directory, const char *path, mode_t mode)
{
    sim_place place;
    int rc = find_free(process, directory, path, true, &place);
    if (rc < 0)
        return rc;
    mode = S_IFDIR | (mode & 01777 & ~process->umask);
    return enter(&place, sim_inode_create(place.directory->disk, mode));
}

int sim_symlink(sim_process *process, const char *target, int directory, const char *path)
{
    sim_place place;

    if (target == NULL)
        return -EFAULT;
    if (*target == '\0')
        return -ENOENT; /* symlink(2) */
    if (strnlen(target, PATH_MAX) >= PATH_MAX)
        return -ENAMETOOLONG;
    int rc = find_free(process, directory, path, false, &place);
    if (rc < 0)
        return rc;
    sim_inode *inode = sim_inode_create(place.directory->disk, S_IFLNK | 0777);
    inode->target = sim_copy_text(target);
    inode->live.size_bytes = inode->stable.size_bytes = (int64_t)strlen(target);
    return enter(&place, inode);
}

/* -------------------------------------------------------------------------------- removing -- */

static int may_remove_directory(const sim_place *place)
{
    switch (place->last) {
    case '.':
        return -EINVAL; /* rmdir(2) */
    case ':':
        return -ENOTEMPTY;
    case '/':
        return -EBUSY;
    default:
        break;
    }
    if (place->inode == NULL)
        return -ENOENT;
    if (!S_ISDIR(place->inode->mode))
        return -ENOTDIR;
    return place->inode->entry_count > 0 ? -ENOTEMPTY : 0;
}

static int may_remove_file(const sim_place *place)
{
    if (place->inode == NULL)
        return -ENOENT;
    return S_ISDIR(place->inode->mode) ? -EISDIR : 0;
}

int sim_unlink(sim_process *process, int directory, const char *path, int flags)
{
    sim_place place;

    if ((flags & ~AT_REMOVEDIR) != 0)
        return -EINVAL;
    int rc = sim_path_find(process, directory, path, SIM_PATH_NAME, &place);
    if (rc < 0)
        return rc;
    rc = flags == AT_REMOVEDIR ? may_remove_directory(&place) : may_remove_file(&place);
    if (rc == 0)
        rc = may_change(place.directory);
    if (rc < 0)
        return rc;
    const sim_naming naming = {place.directory, place.name, NULL};
    sim_inode *inode = sim_inode_hold(place.inode);
    sim_names_change(place.directory->disk, &naming, 1);
    if (flags != AT_REMOVEDIR)
        sim_inotify_inode(inode, IN_ATTRIB); /* Of the number of its names. */
    sim_inotify_left(inode);
    sim_inotify_name(place.directory, place.name, inode, IN_DELETE);
    sim_inode_drop(inode);
    return 0;
}

/* ------------------------------------------------------------------------- linking, moving -- */

int sim_hard_link(sim_process *process, const sim_path_pair *paths, int flags)
{
    sim_place from;
    sim_place to;
    int how = (flags & AT_SYMLINK_FOLLOW) != 0 ? SIM_PATH_FOLLOW : SIM_PATH_NOFOLLOW;

    if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0)
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) != 0)
        how |= SIM_PATH_EMPTY;
    int rc = sim_path_find(process, paths->from_directory, paths->from, how, &from);
    if (rc < 0)
        return rc;
    if (from.inode == NULL)
        return -ENOENT;
    rc = find_free(process, paths->to_directory, paths->to, false, &to);
    if (rc < 0)
        return rc;
    if (S_ISDIR(from.inode->mode))
        return -EPERM;
    if (from.inode->link_count == 0)
        return -ENOENT;
    const sim_naming naming = {to.directory, to.name, from.inode};
    sim_names_change(to.directory->disk, &naming, 1);
    sim_inotify_inode(from.inode, IN_ATTRIB);
    sim_inotify_name(to.directory, to.name, from.inode, IN_CREATE);
    return 0;
}

static bool is_inside(const sim_inode *inode, const sim_inode *directory)
{
    for (; inode != NULL; inode = inode->parent == inode ? NULL : inode->parent) {
        if (inode == directory)
            return true;
    }
    return false;
}

/* rename(2): may what is at `from` take the place of what is at `to`? */
static int may_replace(const sim_place *from, const sim_place *to)
{
    if (to->inode == NULL)
        return 0;
    if (S_ISDIR(from->inode->mode)) {
        if (!S_ISDIR(to->inode->mode))
            return -ENOTDIR;
        return to->inode->entry_count > 0 ? -ENOTEMPTY : 0;
    }
    return S_ISDIR(to->inode->mode) ? -EISDIR : 0;
}

static int may_move(const sim_place *from, const sim_place *to, unsigned flags)
{
    const bool exchanges = (flags & RENAME_EXCHANGE) != 0;

    if (from->inode == NULL || (exchanges && to->inode == NULL))
        return -ENOENT;
    if ((flags & RENAME_NOREPLACE) != 0 && to->inode != NULL)
        return -EEXIST;
    if (to->inode == NULL && to->is_directory && !S_ISDIR(from->inode->mode))
        return -ENOTDIR; /* rename("file", "new/") */
    if (S_ISDIR(from->inode->mode) && is_inside(to->directory, from->inode))
        return -EINVAL; /* Into itself. */
    if (to->inode != NULL && S_ISDIR(to->inode->mode) && is_inside(from->directory, to->inode))
        return exchanges ? -EINVAL : -ENOTEMPTY;
    int rc = may_change(from->directory);
    if (rc == 0)
        rc = may_change(to->directory);
    return rc < 0 || exchanges ? rc : may_replace(from, to);
}

/* The last names of both, neither of which may be "." or ".." or the root. */
static int find_both(
        sim_process *process, const sim_path_pair *paths, sim_place *out_from, sim_place *out_to)
{
    int rc = sim_path_find(process, paths->from_directory, paths->from, SIM_PATH_NAME, out_from);
    if (rc < 0)
        return rc;
    rc = sim_path_find(process, paths->to_directory, paths->to, SIM_PATH_NAME, out_to);
    if (rc < 0)
        return rc;
    return out_from->last != 'n' || out_to->last != 'n' ? -EBUSY : 0;
}

int sim_rename(sim_process *process, const sim_path_pair *paths, unsigned flags)
{
    sim_place from;
    sim_place to;

    if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 ||
            flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int rc = find_both(process, paths, &from, &to);
    if (rc == 0)
        rc = may_move(&from, &to, flags);
    if (rc < 0)
        return rc;
    if (from.inode == to.inode)
        return 0; /* rename(2): two names of one file stay both. */
    const sim_naming namings[2] = {
            {from.directory, from.name, (flags & RENAME_EXCHANGE) != 0 ? to.inode : NULL},
            {to.directory, to.name, from.inode},
    };
    sim_inode *replaced = to.inode == NULL ? NULL : sim_inode_hold(to.inode);
    sim_names_change(from.directory->disk, namings, 2);
    if ((flags & RENAME_EXCHANGE) != 0) {
        sim_inotify_moved(&from, &to, from.inode, NULL);
        sim_inotify_moved(&to, &from, replaced, NULL);
    } else {
        sim_inotify_moved(&from, &to, from.inode, replaced);
    }
    sim_inode_drop(replaced);
    return 0;
}
