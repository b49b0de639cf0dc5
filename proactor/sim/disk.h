/* SPDX-License-Identifier: MIT */
/*
 * disk.h - the file system of a simulated host: inodes, names, paths, and what a power loss
 * leaves.
 *
 * Everything is there twice. `live` is what processes see: the page cache. `stable` is what has
 * reached the disk: fsync(2) of a file makes the two equal for its contents, fsync(2) of a
 * directory for its names. Until then a power loss (sim_disk_crash) decides by chance, page by
 * page and name by name, what is found afterwards: the old, the new, or, within a page, some
 * sectors of each.
 *
 *     page:   live ------write------> live'        crash: stable | live' | sectors of both
 *             stable <----fsync------ live'
 *     names:  change 1, change 2, ... (not yet on the disk)    crash: any of them is undone, and
 *             then whatever came after it on the same name
 *
 * A change of names is all or nothing, so that rename(2) never loses both names: file systems with
 * a journal, which are all of today's, do it so. Changes of different names know no order. The
 * death of a process loses nothing, as the cache is the kernel's.
 *
 * There is one user, who owns everything: of permissions the bits of the owner count.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "file.h"
#include "process.h"
#include "world.h"

#include <limits.h>
#include <sys/statvfs.h>

typedef struct sim_inode sim_inode;

enum {
    SIM_PAGE_BYTES = 4096,
    SIM_SECTOR_BYTES = 512,     /* A disk writes a sector as a whole, or not at all. */
    SIM_DIRECTORY_BYTES = 4096, /* What stat(2) says; as of ext4. */
    SIM_SYMLINK_COUNT_MAX = 40, /* path_resolution(7) */
    SIM_CHANGE_COUNT_MAX = 256, /* Older ones have reached the disk: the kernel's own writeback. */
    SIM_USER = 1000,
};

/* A larger offset is EFBIG. That of ext4 is 16 TiB; this keeps the table of pages small. */
#define SIM_FILE_MAX_BYTES ((int64_t)1 << 34)

/* The default size of a disk. */
#define SIM_DISK_BYTES ((uint64_t)16 << 30)

/* Counted, and not to be written to while it is shared. */
typedef struct sim_page {
    unsigned reference_count;
    bool is_lost; /* Writing it to the disk has failed, and nobody tries again: fsync(2), EIO. */
    char bytes[SIM_PAGE_BYTES];
} sim_page;

/* The contents of a regular file; a page that is NULL, or beyond the table, is zeros. */
typedef struct sim_contents {
    sim_page **pages;
    size_t page_count;
    int64_t size_bytes;
} sim_contents;

/* One name in a directory. */
typedef struct sim_entry {
    coil_list link;
    uint64_t order; /* Of creation: what getdents64(2) goes by. */
    uint32_t hash;
    char *name;
    sim_inode *inode;
} sim_entry;

struct sim_inode {
    coil_list link; /* In disk->inodes. */
    sim_disk *disk;
    uint64_t number;
    mode_t mode;              /* Type and permissions. */
    unsigned link_count;      /* Names, now. */
    unsigned reference_count; /* Files, working directories, changes. With neither it is freed. */
    unsigned open_count;      /* Open files. */
    coil_list watches;        /* Those of inotify.c. */
    struct timespec modified;

    sim_contents live; /* S_IFREG; of the others only live.size_bytes. */
    sim_contents stable;
    size_t dirty_first, dirty_end; /* Pages outside of these are the same in both. */

    coil_list entries; /* S_IFDIR: by time of creation. */
    unsigned entry_count;
    unsigned directory_count;   /* Of these, directories. */
    sim_inode *parent;          /* S_IFDIR: what ".." is. NULL: it has been removed. */
    char *target;               /* S_IFLNK */
    dev_t device;               /* S_IFCHR */
    sim_file *socket;           /* S_IFSOCK: what is bound to it; not counted. */
    const sim_program *program; /* S_IFREG: what it does when it is executed. */
};

struct sim_disk {
    sim_host *host;
    sim_world *world;
    sim_inode *root;
    coil_list inodes;
    coil_list changes; /* Of names, not yet on the disk, by time. */
    size_t change_count;
    uint64_t last_number;
    uint64_t last_order;
    uint32_t last_cookie; /* Of a rename that is watched. */
    uint64_t watch_count; /* So many have been set. */
    uint64_t capacity_bytes;
    uint64_t used_bytes;
    coil_list *last_program; /* Those up to here have a file. */
    uint64_t crash_count;
};

/* ----------------------------------------------------------------------------------- disk -- */

/*
 * The disk of a host, made when somebody first asks for it: /bin, /dev with null, zero, full,
 * random, urandom and tty, /tmp, /run, /etc, and an executable file for each program of the world.
 */
sim_disk *sim_disk_of(sim_host *host);

/* No process of the host is left. Takes NULL. */
void sim_disk_destroy(sim_disk *disk);

/*
 * A power loss: what had not been synced is lost, kept or torn. No process of the host may be
 * alive. The same disk is what the host finds when it starts again.
 */
void sim_disk_crash(sim_disk *disk);

/*
 * Make or replace a file, with the directories above it; all of it is on the disk at once. Not
 * subject to faults. 0, or what open(2) fails with; -ENOSPC: as much as fits is there.
 */
int sim_disk_put(
        sim_disk *disk, const char *path, const void *bytes, size_t size_bytes, mode_t mode);

/*
 * A copy of the contents, with a zero behind them, for sim_delete(). NULL: no regular file there.
 */
char *sim_disk_get(sim_disk *disk, const char *path, size_t *out_size_bytes);

/* ----------------------------------------------------------------------------------- path -- */

/* Where a path leads. `inode` is NULL if only its last name is missing. */
typedef struct sim_place {
    sim_inode
            *directory; /* The last name is in here, but if it is "." or ".." or the root: NULL. */
    sim_inode *inode;
    char name[NAME_MAX + 1];
    bool is_directory; /* It ends in a slash, or is "." or "..": nothing else may be there. */
    char last;         /* '.' or ':' for "." and "..", '/' for the root, else 'n'. */
} sim_place;

enum {
    SIM_PATH_FOLLOW = 0,
    SIM_PATH_NOFOLLOW = 1 << 0, /* A symlink is the place itself, but if a slash follows. */
    SIM_PATH_NAME = 1 << 1,     /* Also then: the name counts (unlink(2), rename(2), mkdir(2)). */
    SIM_PATH_EMPTY = 1 << 2,    /* "" is the file of `directory_fd` itself: AT_EMPTY_PATH. */
};

/*
 * path_resolution(7). A missing last name is no error. -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG,
 * -EACCES, -EBADF, -EFAULT
 */
int sim_path_find(
        sim_process *process, int directory_fd, const char *path, int flags, sim_place *out_place);

/* The same from the root of a disk, for no process. */
int sim_path_find_on(sim_disk *disk, const char *path, int flags, sim_place *out_place);

/* May the user do this (R_OK | W_OK | X_OK)? 0 or -EACCES */
int sim_inode_access(const sim_inode *inode, int wanted);

/* --------------------------------------------------------------------------------- inodes -- */

sim_inode *sim_inode_create(sim_disk *disk, mode_t mode);
sim_inode *sim_inode_hold(sim_inode *inode);
void sim_inode_drop(sim_inode *inode); /* Takes NULL. */
/* A path that leads to it now, "?" if there is none: for reports. Valid until the next call. */
const char *sim_inode_path(const sim_inode *inode);
void sim_inode_stat(const sim_inode *inode, struct stat *out_status);
void sim_inode_touch(sim_inode *inode);

/* As pread(2) and pwrite(2) of a regular file. -ENOSPC, -EDQUOT, -EFBIG, -EIO */
ssize_t sim_inode_read(sim_inode *inode, sim_io *io, int64_t offset);
ssize_t sim_inode_write(sim_inode *inode, sim_io *io, int64_t offset);
int sim_inode_truncate(sim_inode *inode, int64_t size_bytes);

/* fallocate(2); only 0, KEEP_SIZE, ZERO_RANGE and PUNCH_HOLE. */
int sim_inode_allocate(sim_inode *inode, int mode, int64_t offset, int64_t size_bytes);

/* Contents and size are on the disk from now on. -EIO: they are not, and never will be. */
int sim_inode_sync(sim_inode *inode);
void sim_contents_clear(sim_contents *contents);

/* What a power loss leaves of the contents. */
void sim_inode_crash(sim_inode *inode);

/* ---------------------------------------------------------------------------------- names -- */

/* NULL: there is none. */
sim_entry *sim_directory_entry(const sim_inode *directory, const char *name);
sim_entry *sim_directory_entry_of(const sim_inode *directory, const sim_inode *inode);

/* A name that a change gives to an inode, or takes away (`inode` NULL). */
typedef struct sim_naming {
    sim_inode *directory;
    const char *name;
    sim_inode *inode;
} sim_naming;

/* Do them all now, in their order; a power loss undoes all or none. At most two. */
void sim_names_change(sim_disk *disk, const sim_naming *namings, unsigned count);

/* All changes of names in this directory are on the disk, and what they depend on. */
void sim_names_sync(const sim_inode *directory);
void sim_names_sync_all(sim_disk *disk);

/* What a power loss leaves of the names. */
void sim_names_crash(sim_disk *disk);

/* The calls on names, as their man pages; *at(2) ones with AT_... flags. 0 or -errno */
int sim_unlink(sim_process *process, int directory, const char *path, int flags);
int sim_mkdir(sim_process *process, int directory, const char *path, mode_t mode);
int sim_symlink(sim_process *process, const char *target, int directory, const char *path);

/* The two paths of rename(2) and link(2). */
typedef struct sim_path_pair {
    int from_directory;
    const char *from;
    int to_directory;
    const char *to;
} sim_path_pair;

int sim_rename(sim_process *process, const sim_path_pair *paths, unsigned flags);
int sim_hard_link(sim_process *process, const sim_path_pair *paths, int flags);

/* ---------------------------------------------------------------------------------- files -- */

/* An open regular file, directory, symlink or socket node (O_PATH), or device. */
typedef struct sim_open_file {
    sim_file file;
    sim_inode *inode;
    sim_inode *directory; /* Where it was opened, held; NULL: without a name. */
    char *name;           /* In there. */
    int flags;            /* Of open(2). */
    int64_t position;
} sim_open_file;

extern const sim_file_type sim_regular_type;
extern const sim_file_type sim_directory_type;
extern const sim_file_type sim_device_type;
extern const sim_file_type sim_path_type; /* O_PATH */

/* NULL: it is not a file of the file system. */
sim_open_file *sim_open_file_of(sim_file *file);

/* How open(2) is told what to do. */
typedef struct sim_opening {
    int directory;
    const char *path;
    int flags;
    mode_t mode;
} sim_opening;

/* open(2): the file, with a reference for the caller. */
int sim_open(sim_process *process, const sim_opening *opening, sim_file **out_file);

/* stat(2) and its kin, with AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH. */
int sim_stat(
        sim_process *process, int directory, const char *path, int flags, struct stat *out_status);
int sim_stat_file(sim_file *file, struct stat *out_status);
int sim_access(sim_process *process, int directory, const char *path, int mode, int flags);
void sim_disk_statvfs(const sim_disk *disk, struct statvfs *out_status);

/* getdents64(2): whole entries, by time of creation, "." and ".." first. -ENOTDIR, -EINVAL */
ssize_t sim_directory_read(sim_file *file, void *entries, size_t size_bytes);

/* ftruncate(2), fallocate(2), splice(2) at once: -EAGAIN if the pipe is empty or full. */
int sim_file_truncate(sim_file *file, int64_t size_bytes);
int sim_file_allocate(sim_file *file, int mode, int64_t offset, int64_t size_bytes);

/* ------------------------------------------------------------------------------- for others -- */

/* The program that execve(2) of this path would run. -ENOENT, -EACCES, -ENOEXEC, ... */
int sim_path_program(
        sim_process *process, int directory, const char *path, const sim_program **out_program);

/*
 * bind(2) of a unix socket: its node, held for the caller, which knows the file until
 * sim_disk_unbind(). -EADDRINUSE, or what path_resolution(7) says. Unbinding takes NULL.
 */
int sim_disk_bind(sim_process *process, const char *path, sim_file *socket, sim_inode **out_node);
void sim_disk_unbind(sim_inode *node);

/* connect(2) to a unix socket: what is bound there, not held. -ENOENT, -ECONNREFUSED, -EACCES */
int sim_disk_connect(sim_process *process, const char *path, sim_file **out_socket);

/* chdir(2); a child starts where its parent is; at the end of a process. */
int sim_chdir(sim_process *process, const char *path);
void sim_working_directory_inherit(sim_process *child, const sim_process *parent);
void sim_working_directory_leave(sim_process *process);

struct sim_directory {
    sim_inode *inode;
};

#endif
