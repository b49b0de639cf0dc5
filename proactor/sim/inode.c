/* SPDX-License-Identifier: MIT */
/* Inodes: what a file is, whatever it is called. */
#include "disk.h"

#include "pipe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/sysmacros.h>

sim_inode *sim_inode_create(sim_disk *disk, mode_t mode)
{
    sim_inode *inode = sim_new(sizeof(*inode));
    inode->disk = disk;
    inode->mode = mode;
    inode->number = ++disk->last_number;
    inode->reference_count = 1;
    coil_list_init(&inode->entries);
    coil_list_init(&inode->watches);
    coil_list_init(&inode->link);
    coil_list_append(&disk->inodes, &inode->link);
    if (S_ISDIR(mode))
        inode->live.size_bytes = inode->stable.size_bytes = SIM_DIRECTORY_BYTES;
    sim_inode_touch(inode);
    return inode;
}

sim_inode *sim_inode_hold(sim_inode *inode)
{
    inode->reference_count++;
    return inode;
}

/* The names in a directory that nobody can reach any more. */
static void drop_entries(sim_inode *inode)
{
    coil_list *link;
    while ((link = coil_list_take_first(&inode->entries)) != NULL) {
        sim_entry *entry = coil_container_of(link, sim_entry, link);
        sim_inode *child = sim_inode_hold(entry->inode);
        child->link_count--;
        child->parent = NULL;
        sim_inode_drop(child);
        sim_delete(entry->name);
        sim_delete(entry);
    }
}

void sim_inode_drop(sim_inode *inode)
{
    if (inode == NULL || --inode->reference_count > 0 || inode->link_count > 0)
        return;
    inode->reference_count = 1; /* So that nobody in here frees it, too. */
    drop_entries(inode);
    for (size_t i = 0; i < inode->live.page_count; i++)
        inode->disk->used_bytes -= inode->live.pages[i] != NULL ? SIM_PAGE_BYTES : 0;
    sim_contents_clear(&inode->live);
    sim_contents_clear(&inode->stable);
    coil_list_remove(&inode->link);
    sim_delete(inode->target);
    sim_delete(inode);
}

/* NULL: none. */
static const sim_entry *entry_of(const sim_inode *inode, const sim_inode **out_directory)
{
    for (coil_list *at = inode->disk->inodes.next; at != &inode->disk->inodes; at = at->next) {
        const sim_inode *directory = coil_container_of(at, sim_inode, link);
        const sim_entry *entry = sim_directory_entry_of(directory, inode);
        if (entry != NULL) {
            *out_directory = directory;
            return entry;
        }
    }
    return NULL;
}

/* From its end to its beginning. */
const char *sim_inode_path(const sim_inode *inode)
{
    static char path[PATH_MAX];
    size_t first = sizeof(path) - 1;
    const sim_inode *directory = NULL;

    path[first] = '\0';
    while (inode != inode->disk->root) {
        const sim_entry *entry = entry_of(inode, &directory);
        const size_t length = entry == NULL ? 0 : strlen(entry->name);
        if (entry == NULL || length + 1 > first)
            return "?";
        first -= length + 1;
        path[first] = '/';
        memcpy(path + first + 1, entry->name, length);
        inode = directory;
    }
    return path[first] == '\0' ? "/" : path + first;
}

/* The wall clock of a simulation begins with its monotonic one. */
void sim_inode_touch(sim_inode *inode)
{
    const coil_time now = sim_now(inode->disk->world);
    inode->modified = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
}

static int64_t block_count(const sim_inode *inode)
{
    int64_t count = 0;
    for (size_t i = 0; i < inode->live.page_count; i++)
        count += inode->live.pages[i] != NULL ? SIM_PAGE_BYTES / 512 : 0;
    return count;
}

/* stat(2). A directory counts itself, its name, and the ".." of each directory in it. */
void sim_inode_stat(const sim_inode *inode, struct stat *out_status)
{
    const bool is_directory = S_ISDIR(inode->mode);

    *out_status = (struct stat){
            .st_dev = makedev(8, 1),
            .st_ino = inode->number,
            .st_mode = inode->mode,
            .st_nlink = inode->link_count,
            .st_uid = SIM_USER,
            .st_gid = SIM_USER,
            .st_rdev = inode->device,
            .st_size = inode->live.size_bytes,
            .st_blksize = SIM_PAGE_BYTES,
            .st_blocks = is_directory ? SIM_DIRECTORY_BYTES / 512 : block_count(inode),
            .st_atim = inode->modified,
            .st_mtim = inode->modified,
            .st_ctim = inode->modified,
    };
    if (is_directory && inode->link_count > 0)
        out_status->st_nlink = 2 + inode->directory_count;
}

int sim_inode_access(const sim_inode *inode, int wanted)
{
    const int granted = (int)(inode->mode >> 6) & (R_OK | W_OK | X_OK);
    return (wanted & ~granted) == 0 ? 0 : -EACCES;
}
