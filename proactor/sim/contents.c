/* SPDX-License-Identifier: MIT */
/* The contents of regular files: pages in the cache, pages on the disk, and what a crash mixes. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <linux/falloc.h>

/* ---------------------------------------------------------------------------------- pages -- */

static void page_drop(sim_page *page)
{
    if (page != NULL && --page->reference_count == 0)
        sim_delete(page);
}

static sim_page *page_hold(sim_page *page)
{
    if (page != NULL)
        page->reference_count++;
    return page;
}

static sim_page *page_of(const sim_contents *contents, size_t index)
{
    return index < contents->page_count ? contents->pages[index] : NULL;
}

static void make_room(sim_contents *contents, size_t page_count)
{
    if (page_count <= contents->page_count)
        return;
    size_t room = contents->page_count * 2 > page_count ? contents->page_count * 2 : page_count;
    contents->pages = sim_grown(contents->pages, room * sizeof(*contents->pages));
    memset(contents->pages + contents->page_count, 0,
            (room - contents->page_count) * sizeof(*contents->pages));
    contents->page_count = room;
}

/* Takes over the reference. */
static void set_page(sim_contents *contents, size_t index, sim_page *page)
{
    if (page == NULL && index >= contents->page_count)
        return;
    make_room(contents, index + 1);
    page_drop(contents->pages[index]);
    contents->pages[index] = page;
}

void sim_contents_clear(sim_contents *contents)
{
    for (size_t i = 0; i < contents->page_count; i++)
        page_drop(contents->pages[i]);
    sim_delete(contents->pages);
    *contents = (sim_contents){0};
}

static void mark_dirty(sim_inode *inode, size_t index)
{
    if (inode->dirty_first >= inode->dirty_end) {
        inode->dirty_first = index;
        inode->dirty_end = index + 1;
        return;
    }
    if (index < inode->dirty_first)
        inode->dirty_first = index;
    if (index >= inode->dirty_end)
        inode->dirty_end = index + 1;
}

/* The page, to be written to: nobody else has it, and the disk does not know of it. */
static sim_page *own_page(sim_inode *inode, size_t index)
{
    sim_page *page = page_of(&inode->live, index);
    mark_dirty(inode, index);
    if (page != NULL && page->reference_count == 1) {
        page->is_lost = false;
        return page;
    }
    sim_page *own = sim_new(sizeof(*own));
    own->reference_count = 1;
    if (page != NULL) {
        memcpy(own->bytes, page->bytes, sizeof(own->bytes));
    } else {
        inode->disk->used_bytes += SIM_PAGE_BYTES;
    }
    set_page(&inode->live, index, own);
    return own;
}

static void forget_page(sim_inode *inode, size_t index)
{
    if (page_of(&inode->live, index) == NULL)
        return;
    mark_dirty(inode, index);
    set_page(&inode->live, index, NULL);
    inode->disk->used_bytes -= SIM_PAGE_BYTES;
}

/* ------------------------------------------------------------------------- reading, writing -- */

ssize_t sim_inode_read(sim_inode *inode, sim_io *io, int64_t offset)
{
    static const char zeros[SIM_PAGE_BYTES];
    const size_t before_bytes = io->done_bytes;

    if (sim_io_left(io) > 0 && sim_fault(inode->disk->world, SIM_FAULT_DISK_ERROR))
        return -EIO;
    while (offset < inode->live.size_bytes && sim_io_left(io) > 0) {
        const sim_page *page = page_of(&inode->live, (size_t)(offset / SIM_PAGE_BYTES));
        const size_t at = (size_t)(offset % SIM_PAGE_BYTES);
        size_t size_bytes = SIM_PAGE_BYTES - at;
        if ((int64_t)size_bytes > inode->live.size_bytes - offset)
            size_bytes = (size_t)(inode->live.size_bytes - offset);
        size_bytes = sim_io_put(io, (page != NULL ? page->bytes : zeros) + at, size_bytes);
        offset += (int64_t)size_bytes;
    }
    return (ssize_t)(io->done_bytes - before_bytes);
}

/* -ENOSPC if the disk has no room for another page. */
static int may_grow(const sim_inode *inode, size_t index)
{
    const sim_disk *disk = inode->disk;
    if (page_of(&inode->live, index) != NULL)
        return 0;
    return disk->used_bytes + SIM_PAGE_BYTES > disk->capacity_bytes ? -ENOSPC : 0;
}

/* The disk is full for now, or the user's share of it is: write(2), ENOSPC and EDQUOT. */
static int full_by_chance(sim_world *world)
{
    if (!sim_fault(world, SIM_FAULT_DISK_FULL))
        return 0;
    return sim_random_below(world, 4) == 0 ? -EDQUOT : -ENOSPC;
}

/*
 * A disk that fills up in the middle of it makes the count short, and only the next write fails: so
 * write(2) says ("the number of bytes written may be less than count if, for example, there is
 * insufficient space").
 */
ssize_t sim_inode_write(sim_inode *inode, sim_io *io, int64_t offset)
{
    const size_t before_bytes = io->done_bytes;
    int rc = 0;

    if (sim_io_left(io) == 0)
        return 0;
    if (offset >= SIM_FILE_MAX_BYTES)
        return -EFBIG;
    rc = full_by_chance(inode->disk->world);
    while (rc == 0 && sim_io_left(io) > 0 && offset < SIM_FILE_MAX_BYTES) {
        const size_t index = (size_t)(offset / SIM_PAGE_BYTES);
        const size_t at = (size_t)(offset % SIM_PAGE_BYTES);
        rc = may_grow(inode, index);
        if (rc < 0)
            break;
        sim_page *page = own_page(inode, index);
        offset += (int64_t)sim_io_take(io, page->bytes + at, SIM_PAGE_BYTES - at);
        if (offset > inode->live.size_bytes)
            inode->live.size_bytes = offset;
    }
    const size_t count = io->done_bytes - before_bytes;
    if (count == 0)
        return rc;
    sim_inode_touch(inode);
    return (ssize_t)count;
}

/* Zeros from `first` to `end`, which lie in one page. */
static void clear_in_page(sim_inode *inode, int64_t first, int64_t end)
{
    const size_t index = (size_t)(first / SIM_PAGE_BYTES);
    if (first >= end || page_of(&inode->live, index) == NULL)
        return;
    memset(own_page(inode, index)->bytes + first % SIM_PAGE_BYTES, 0, (size_t)(end - first));
}

static void clear_range(sim_inode *inode, int64_t first, int64_t end)
{
    const int64_t limit = (int64_t)inode->live.page_count * SIM_PAGE_BYTES;
    if (end > limit)
        end = limit;
    while (first < end) {
        const int64_t page_end = (first / SIM_PAGE_BYTES + 1) * SIM_PAGE_BYTES;
        const int64_t part_end = page_end < end ? page_end : end;
        if (part_end - first == SIM_PAGE_BYTES) {
            forget_page(inode, (size_t)(first / SIM_PAGE_BYTES));
        } else {
            clear_in_page(inode, first, part_end);
        }
        first = part_end;
    }
}

/* ftruncate(2): what is cut off reads as zeros when the file grows again. */
int sim_inode_truncate(sim_inode *inode, int64_t size_bytes)
{
    if (size_bytes < 0)
        return -EINVAL;
    if (size_bytes > SIM_FILE_MAX_BYTES)
        return -EFBIG;
    if (size_bytes < inode->live.size_bytes) {
        const int64_t whole = (inode->live.size_bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
        clear_range(inode, size_bytes, whole * SIM_PAGE_BYTES);
    }
    inode->live.size_bytes = size_bytes;
    sim_inode_touch(inode);
    return 0;
}

/* fallocate(2) without a mode: room for all of it, or none. */
static int reserve(sim_inode *inode, int64_t first, int64_t end)
{
    const uint64_t end_index = (uint64_t)(end + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
    uint64_t needed_bytes = 0;
    for (uint64_t i = (uint64_t)first / SIM_PAGE_BYTES; i < end_index; i++)
        needed_bytes += page_of(&inode->live, (size_t)i) == NULL ? SIM_PAGE_BYTES : 0;
    if (inode->disk->used_bytes + needed_bytes > inode->disk->capacity_bytes)
        return -ENOSPC;
    for (uint64_t i = (uint64_t)first / SIM_PAGE_BYTES; i < end_index; i++)
        (void)own_page(inode, (size_t)i);
    return 0;
}

int sim_inode_allocate(sim_inode *inode, int mode, int64_t offset, int64_t size_bytes)
{
    const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    const bool punches = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
    const bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;

    if (offset < 0 || size_bytes <= 0)
        return -EINVAL;
    if ((mode & ~known) != 0 || (punches && !keeps_size))
        return -EOPNOTSUPP; /* Observed; and man page, "FALLOC_FL_KEEP_SIZE must also". */
    if (offset > SIM_FILE_MAX_BYTES - size_bytes)
        return -EFBIG;
    int rc = full_by_chance(inode->disk->world);
    if (rc < 0)
        return rc;
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
        clear_range(inode, offset, offset + size_bytes);
    if (!punches)
        rc = reserve(inode, offset, offset + size_bytes);
    if (rc == 0 && !keeps_size && inode->live.size_bytes < offset + size_bytes)
        inode->live.size_bytes = offset + size_bytes;
    sim_inode_touch(inode);
    return rc;
}

/* ----------------------------------------------------------------------- syncing, crashing -- */

/*
 * fsync(2) that fails with EIO says so once. On Linux the pages are then taken for clean, so that
 * the next fsync succeeds and the data is on no disk: whoever calls fsync again and believes it
 * loses data. That is what is_lost does.
 */
int sim_inode_sync(sim_inode *inode)
{
    const bool fails = inode->dirty_first < inode->dirty_end &&
                       sim_fault(inode->disk->world, SIM_FAULT_DISK_ERROR);

    for (size_t i = inode->dirty_first; i < inode->dirty_end; i++) {
        sim_page *page = page_of(&inode->live, i);
        if (fails && page != NULL)
            page->is_lost = page->reference_count == 1;
        if (page == NULL || !page->is_lost)
            set_page(&inode->stable, i, page_hold(page));
    }
    if (!fails)
        inode->stable.size_bytes = inode->live.size_bytes;
    /* What is lost stays different: a crash looks at it again. */
    bool all_stable = true;
    for (size_t i = inode->dirty_first; i < inode->dirty_end && all_stable; i++)
        all_stable = page_of(&inode->live, i) == page_of(&inode->stable, i);
    if (all_stable)
        inode->dirty_first = inode->dirty_end = 0;
    return fails ? -EIO : 0;
}

/* Each sector is the old or the new one: the power went while the page was being written. */
static sim_page *torn_page(sim_world *world, const sim_page *stable, const sim_page *live)
{
    sim_page *torn = sim_new(sizeof(*torn));
    torn->reference_count = 1;
    for (size_t at = 0; at < SIM_PAGE_BYTES; at += SIM_SECTOR_BYTES) {
        const sim_page *from = sim_random_below(world, 2) == 0 ? stable : live;
        if (from != NULL)
            memcpy(torn->bytes + at, from->bytes + at, SIM_SECTOR_BYTES);
    }
    return torn;
}

/* What the disk has of one page. The caller gets a reference. */
static sim_page *surviving_page(sim_world *world, sim_page *stable, sim_page *live)
{
    if (stable == live || (live != NULL && live->is_lost))
        return page_hold(stable);
    switch (sim_random_below(world, 3)) {
    case 0:
        return page_hold(stable);
    case 1:
        return page_hold(live);
    default:
        return torn_page(world, stable, live);
    }
}

/* The old size, the new one, or, if it was growing, something between. */
static int64_t surviving_size(sim_world *world, int64_t stable, int64_t live)
{
    if (stable == live)
        return live;
    switch (sim_random_below(world, 3)) {
    case 0:
        return stable;
    case 1:
        return live;
    default:
        break;
    }
    return live < stable ? stable
                         : stable + (int64_t)sim_random_below(world, (uint64_t)(live - stable));
}

typedef struct losses {
    unsigned kept;
    unsigned lost;
    unsigned torn;
} losses;

static void count_loss(
        losses *all, const sim_page *survivor, const sim_page *stable, const sim_page *live)
{
    all->kept += survivor == live && live != stable;
    all->lost += survivor == stable && live != stable;
    all->torn += survivor != stable && survivor != live;
}

static void say_losses(const sim_inode *inode, const losses *all, int64_t size_bytes)
{
    const int64_t before_bytes = inode->live.size_bytes;
    if (all->lost + all->torn == 0 && size_bytes == before_bytes)
        return;
    if (inode->link_count == 0)
        return; /* Nobody will see it again. */
    sim_trace(inode->disk->world,
            "  %s: of the pages not synced %u are lost, %u torn, %u kept; %lld bytes, not %lld",
            sim_inode_path(inode), all->lost, all->torn, all->kept, (long long)size_bytes,
            (long long)before_bytes);
}

void sim_inode_crash(sim_inode *inode)
{
    sim_world *world = inode->disk->world;
    const int64_t size_bytes =
            surviving_size(world, inode->stable.size_bytes, inode->live.size_bytes);
    losses all = {0};

    for (size_t i = inode->dirty_first; i < inode->dirty_end; i++) {
        sim_page *stable = page_of(&inode->stable, i);
        sim_page *live = page_of(&inode->live, i);
        sim_page *page = surviving_page(world, stable, live);
        count_loss(&all, page, stable, live);
        if (live == NULL && page != NULL)
            inode->disk->used_bytes += SIM_PAGE_BYTES;
        if (live != NULL && page == NULL)
            inode->disk->used_bytes -= SIM_PAGE_BYTES;
        set_page(&inode->stable, i, page_hold(page));
        set_page(&inode->live, i, page);
    }
    inode->dirty_first = inode->dirty_end = 0;
    say_losses(inode, &all, size_bytes);
    /* A page beyond the end is not readable, nor is the rest of the last one. */
    inode->live.size_bytes = (int64_t)inode->live.page_count * SIM_PAGE_BYTES;
    if (inode->live.size_bytes < size_bytes)
        inode->live.size_bytes = size_bytes;
    (void)sim_inode_truncate(inode, size_bytes);
    for (size_t i = inode->dirty_first; i < inode->dirty_end; i++)
        set_page(&inode->stable, i, page_hold(page_of(&inode->live, i)));
    inode->dirty_first = inode->dirty_end = 0;
    inode->stable.size_bytes = size_bytes;
}
