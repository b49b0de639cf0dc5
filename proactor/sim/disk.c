/* SPDX-License-Identifier: MIT */
/* A disk as a whole: made, filled and read by tests, synced, crashed. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <sys/sysmacros.h>

/* ------------------------------------------------------------------------ without processes -- */

/* On the disk at once. Takes over the reference to `inode`. */
static void enter(sim_disk *disk, const sim_place *place, sim_inode *inode)
{
    const sim_naming naming = {place->directory, place->name, inode};
    sim_names_change(disk, &naming, 1);
    sim_names_sync(place->directory);
    sim_inode_drop(inode);
}

/* mkdir -p of what is before the last slash. */
static int make_parents(sim_disk *disk, const char *path)
{
    char prefix[PATH_MAX];
    sim_place place;

    if (strlen(path) >= sizeof(prefix))
        return -ENAMETOOLONG;
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        memcpy(prefix, path, (size_t)(slash - path));
        prefix[slash - path] = '\0';
        int rc = sim_path_find_on(disk, prefix, SIM_PATH_FOLLOW, &place);
        if (rc < 0)
            return rc;
        if (place.inode == NULL) {
            enter(disk, &place, sim_inode_create(disk, S_IFDIR | 0755));
        } else if (!S_ISDIR(place.inode->mode)) {
            return -ENOTDIR;
        }
    }
    return 0;
}

/* A place for a new node, without one. */
static int find_new(sim_disk *disk, const char *path, sim_place *out_place)
{
    int rc = make_parents(disk, path);
    if (rc < 0)
        return rc;
    rc = sim_path_find_on(disk, path, SIM_PATH_FOLLOW, out_place);
    if (rc < 0)
        return rc;
    return out_place->inode != NULL ? -EEXIST : 0;
}

static void put_directory(sim_disk *disk, const char *path, mode_t mode)
{
    sim_place place;
    if (find_new(disk, path, &place) == 0)
        enter(disk, &place, sim_inode_create(disk, S_IFDIR | mode));
}

static void put_device(sim_disk *disk, const char *path, dev_t device)
{
    sim_place place;
    if (find_new(disk, path, &place) != 0)
        return;
    sim_inode *inode = sim_inode_create(disk, S_IFCHR | 0666);
    inode->device = device;
    enter(disk, &place, inode);
}

/* Write past all faults: chance has nothing to do with what a test prepares. -ENOSPC */
static int fill(sim_inode *inode, const void *bytes, size_t size_bytes)
{
    sim_world *world = inode->disk->world;
    const sim_probability full = world->faults[SIM_FAULT_DISK_FULL];
    const sim_probability error = world->faults[SIM_FAULT_DISK_ERROR];
    const struct iovec part = sim_part_of(bytes, size_bytes);
    sim_io io = {.parts = &part, .part_count = 1, .size_bytes = size_bytes, .offset = 0};

    world->faults[SIM_FAULT_DISK_FULL] = 0;
    world->faults[SIM_FAULT_DISK_ERROR] = 0;
    (void)sim_inode_truncate(inode, 0);
    (void)sim_inode_write(inode, &io, 0);
    (void)sim_inode_sync(inode);
    world->faults[SIM_FAULT_DISK_FULL] = full;
    world->faults[SIM_FAULT_DISK_ERROR] = error;
    return sim_io_left(&io) > 0 ? -ENOSPC : 0;
}

int sim_disk_put(
        sim_disk *disk, const char *path, const void *bytes, size_t size_bytes, mode_t mode)
{
    sim_place place;
    int rc = make_parents(disk, path);
    if (rc < 0)
        return rc;
    rc = sim_path_find_on(disk, path, SIM_PATH_FOLLOW, &place);
    if (rc < 0)
        return rc;
    if (place.inode == NULL) {
        place.inode = sim_inode_create(disk, S_IFREG | (mode & 07777));
        enter(disk, &place, place.inode);
    }
    if (!S_ISREG(place.inode->mode))
        return S_ISDIR(place.inode->mode) ? -EISDIR : -EINVAL;
    place.inode->mode = S_IFREG | (mode & 07777);
    return fill(place.inode, bytes, size_bytes);
}

char *sim_disk_get(sim_disk *disk, const char *path, size_t *out_size_bytes)
{
    sim_place place;

    if (sim_path_find_on(disk, path, SIM_PATH_FOLLOW, &place) < 0 || place.inode == NULL ||
            !S_ISREG(place.inode->mode))
        return NULL;
    const sim_contents *live = &place.inode->live;
    char *bytes = sim_new((size_t)live->size_bytes + 1);
    for (size_t i = 0; i < live->page_count; i++) {
        const int64_t left = live->size_bytes - (int64_t)i * SIM_PAGE_BYTES;
        if (live->pages[i] != NULL && left > 0) {
            memcpy(bytes + i * SIM_PAGE_BYTES, live->pages[i]->bytes,
                    left < SIM_PAGE_BYTES ? (size_t)left : SIM_PAGE_BYTES);
        }
    }
    if (out_size_bytes != NULL)
        *out_size_bytes = (size_t)live->size_bytes;
    return bytes;
}

/* ----------------------------------------------------------------------------------- disk -- */

/* An executable that is a function: the head of its file is that of all on Linux. */
static void put_program(sim_disk *disk, const sim_program *program)
{
    static const char head[] = "\177ELF\2\1\1";
    sim_place place;
    const int rc = sim_disk_put(disk, program->path, head, sizeof(head), 0755);
    if (rc < 0 && rc != -ENOSPC)
        return;
    if (sim_path_find_on(disk, program->path, SIM_PATH_FOLLOW, &place) == 0)
        place.inode->program = program; /* Also on a disk that has no room for its head. */
}

static void put_new_programs(sim_disk *disk)
{
    coil_list *programs = &disk->world->programs;
    coil_list *last = disk->last_program == NULL ? programs : disk->last_program;
    while (last->next != programs) {
        last = last->next;
        disk->last_program = last;
        put_program(disk, coil_container_of(last, sim_program, link));
    }
}

static sim_disk *create(sim_host *host)
{
    static const char *const directories[] = {"/dev", "/tmp", "/run", "/etc", "/bin", "/usr/bin"};
    sim_disk *disk = sim_new(sizeof(*disk));

    host->disk = disk;
    disk->host = host;
    disk->world = host->world;
    disk->capacity_bytes = SIM_DISK_BYTES;
    coil_list_init(&disk->inodes);
    coil_list_init(&disk->changes);
    disk->root = sim_inode_create(disk, S_IFDIR | 0755);
    disk->root->link_count = 1;
    disk->root->parent = disk->root;
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        put_directory(disk, directories[i], i == 1 ? 0777 : 0755);
    put_device(disk, "/dev/null", makedev(1, 3)); /* null(4), full(4), random(4), tty(4) */
    put_device(disk, "/dev/zero", makedev(1, 5));
    put_device(disk, "/dev/full", makedev(1, 7));
    put_device(disk, "/dev/random", makedev(1, 8));
    put_device(disk, "/dev/urandom", makedev(1, 9));
    put_device(disk, "/dev/tty", makedev(5, 0));
    return disk;
}

sim_disk *sim_disk_of(sim_host *host)
{
    sim_disk *disk = host->disk != NULL ? host->disk : create(host);
    put_new_programs(disk);
    return disk;
}

void sim_disk_destroy(sim_disk *disk)
{
    if (disk == NULL)
        return;
    sim_names_sync_all(disk);
    disk->root->link_count = 0;
    sim_inode_drop(disk->root);
    SIM_CHECK(disk->world, coil_list_empty(&disk->inodes), "a file is open on a disk that goes");
    disk->host->disk = NULL;
    sim_delete(disk);
}

void sim_disk_crash(sim_disk *disk)
{
    disk->crash_count++;
    sim_trace(disk->world, "power loss of %s, crash %llu", disk->host->name,
            (unsigned long long)disk->crash_count);
    sim_names_crash(disk);
    for (coil_list *at = disk->inodes.next; at != &disk->inodes; at = at->next) {
        sim_inode *inode = coil_container_of(at, sim_inode, link);
        inode->socket = NULL;
        if (S_ISREG(inode->mode))
            sim_inode_crash(inode);
    }
}

void sim_disk_statvfs(const sim_disk *disk, struct statvfs *out_status)
{
    const uint64_t free_bytes =
            disk->capacity_bytes > disk->used_bytes ? disk->capacity_bytes - disk->used_bytes : 0;
    *out_status = (struct statvfs){
            .f_bsize = SIM_PAGE_BYTES,
            .f_frsize = SIM_PAGE_BYTES,
            .f_blocks = disk->capacity_bytes / SIM_PAGE_BYTES,
            .f_bfree = free_bytes / SIM_PAGE_BYTES,
            .f_bavail = free_bytes / SIM_PAGE_BYTES,
            .f_files = 1U << 20,
            .f_ffree = 1U << 19,
            .f_favail = 1U << 19,
            .f_namemax = NAME_MAX,
    };
}
