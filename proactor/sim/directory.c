/* SPDX-License-Identifier: MIT */
/*
 * What getdents64(2) says of a directory. The position is the order of the last name that was told,
 * so whoever comes later is told later, and nobody is told twice.
 */
#include "disk.h"
#include "inotify.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include <sys/inotify.h>

enum { ORDER_OF_SELF = 0, ORDER_OF_PARENT = 1, ORDER_OF_FIRST = 2 }; /* "." ".." */

/* Where the entries go. */
typedef struct entry_list {
    char *bytes;
    size_t room_bytes;
    size_t used_bytes;
} entry_list;

/* False: there is no room for it. */
static bool put_entry(entry_list *list, const char *name, const sim_inode *inode, int64_t next)
{
    struct dirent64 *entry = (struct dirent64 *)(void *)(list->bytes + list->used_bytes);
    const size_t name_size = strlen(name) + 1;
    const size_t align = _Alignof(struct dirent64);
    const size_t size_bytes =
            (offsetof(struct dirent64, d_name) + name_size + align - 1) / align * align;

    if (size_bytes > list->room_bytes - list->used_bytes)
        return false;
    memset(entry, 0, size_bytes);
    entry->d_ino = inode->number;
    entry->d_off = next;
    entry->d_reclen = (unsigned short)size_bytes;
    entry->d_type = (unsigned char)IFTODT(inode->mode);
    memcpy(entry->d_name, name, name_size);
    list->used_bytes += size_bytes;
    return true;
}

static bool put_itself(entry_list *list, sim_open_file *directory)
{
    const sim_inode *inode = directory->inode;
    const sim_inode *parent = inode->parent != NULL ? inode->parent : inode;

    if (directory->position == ORDER_OF_SELF) {
        if (!put_entry(list, ".", inode, ORDER_OF_PARENT))
            return false;
        directory->position = ORDER_OF_PARENT;
    }
    if (directory->position == ORDER_OF_PARENT) {
        if (!put_entry(list, "..", parent, ORDER_OF_FIRST))
            return false;
        directory->position = ORDER_OF_FIRST;
    }
    return true;
}

static bool put_names(entry_list *list, sim_open_file *directory)
{
    coil_list *names = &directory->inode->entries;

    for (coil_list *at = names->next; at != names; at = at->next) {
        const sim_entry *entry = coil_container_of(at, sim_entry, link);
        const int64_t order = (int64_t)entry->order + ORDER_OF_FIRST;
        if (order <= directory->position)
            continue;
        if (!put_entry(list, entry->name, entry->inode, order))
            return false;
        directory->position = order;
    }
    return true;
}

ssize_t sim_directory_read(sim_file *file, void *entries, size_t size_bytes)
{
    entry_list list = {.bytes = entries, .room_bytes = size_bytes};

    if (file->type != &sim_directory_type)
        return -ENOTDIR;
    sim_open_file *directory = sim_open_file_of(file);
    if (directory->inode->link_count == 0)
        return -ENOENT; /* It has been removed. */
    const bool is_all = put_itself(&list, directory) && put_names(&list, directory);
    sim_inotify_file(directory, IN_ACCESS);
    return list.used_bytes == 0 && !is_all ? -EINVAL : (ssize_t)list.used_bytes;
}
