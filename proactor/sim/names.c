/* SPDX-License-Identifier: MIT */
/*
 * The names in directories, and the log of their changes that are not yet on the disk.
 *
 * A change keeps, for each of its one or two names, what was there before and what is there now,
 * so that a power loss can undo it. One that is undone takes with it every later one that shares a
 * name with it: what is found afterwards is something that a journal could have written.
 */
#include "disk.h"

#include <errno.h>
#include <string.h>

enum { NAMINGS_MAX = 2 };

typedef struct naming {
    sim_inode *directory;
    char *name;
    sim_inode *before, *after; /* NULL: no such name. */
} naming;

typedef struct change {
    coil_list link;
    bool is_marked; /* To be undone, or to be settled. */
    unsigned count;
    naming namings[NAMINGS_MAX];
} change;

static change *change_at(coil_list *link)
{
    return coil_container_of(link, change, link);
}

/* -------------------------------------------------------------------------------- entries -- */

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    return hash;
}

sim_entry *sim_directory_entry(const sim_inode *directory, const char *name)
{
    const uint32_t hash = hash_of(name);
    for (coil_list *at = directory->entries.next; at != &directory->entries; at = at->next) {
        sim_entry *entry = coil_container_of(at, sim_entry, link);
        if (entry->hash == hash && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

sim_entry *sim_directory_entry_of(const sim_inode *directory, const sim_inode *inode)
{
    for (coil_list *at = directory->entries.next; at != &directory->entries; at = at->next) {
        sim_entry *entry = coil_container_of(at, sim_entry, link);
        if (entry->inode == inode)
            return entry;
    }
    return NULL;
}

static void entry_take_inode(sim_inode *directory, sim_entry *entry, sim_inode *inode)
{
    entry->inode = inode;
    inode->link_count++;
    if (S_ISDIR(inode->mode)) {
        inode->parent = directory;
        directory->directory_count++;
    }
}

/* The inode of the entry may be gone afterwards. */
static void entry_leave_inode(sim_inode *directory, sim_entry *entry)
{
    sim_inode *inode = entry->inode;
    entry->inode = NULL;
    if (S_ISDIR(inode->mode))
        directory->directory_count--;
    if (--inode->link_count == 0)
        inode->parent = NULL; /* While two directories change places it is 2 for a moment. */
    (void)sim_inode_hold(inode);
    sim_inode_drop(inode);
}

/* The name means `inode` from now on, or nothing. */
static void set_name(sim_inode *directory, const char *name, sim_inode *inode)
{
    sim_entry *entry = sim_directory_entry(directory, name);

    if (entry == NULL && inode == NULL)
        return;
    if (entry == NULL) {
        entry = sim_new(sizeof(*entry));
        entry->name = sim_copy_text(name);
        entry->hash = hash_of(name);
        entry->order = ++directory->disk->last_order;
        coil_list_init(&entry->link);
        coil_list_append(&directory->entries, &entry->link);
        directory->entry_count++;
    } else {
        entry_leave_inode(directory, entry);
    }
    if (inode != NULL) {
        entry_take_inode(directory, entry, inode);
        return;
    }
    coil_list_remove(&entry->link);
    directory->entry_count--;
    sim_delete(entry->name);
    sim_delete(entry);
}

/* -------------------------------------------------------------------------------- changes -- */

static sim_inode *hold_if_any(sim_inode *inode)
{
    return inode == NULL ? NULL : sim_inode_hold(inode);
}

static void change_forget(sim_disk *disk, change *done)
{
    coil_list_remove(&done->link);
    disk->change_count--;
    for (unsigned i = 0; i < done->count; i++) {
        naming *one = &done->namings[i];
        sim_inode_drop(one->before);
        sim_inode_drop(one->after);
        sim_inode_drop(one->directory);
        sim_delete(one->name);
    }
    sim_delete(done);
}

static bool moves_directory(const change *one)
{
    const sim_inode *moved = one->namings[0].before;
    return one->count == 2 && moved != NULL && S_ISDIR(moved->mode);
}

/*
 * Can neither be undone without looking at the other? Moves of directories are kept in order, lest
 * two of them end up inside of each other.
 */
static bool shares_name(const change *a, const change *b)
{
    if (moves_directory(a) && moves_directory(b))
        return true;
    for (unsigned i = 0; i < a->count; i++) {
        for (unsigned k = 0; k < b->count; k++) {
            if (a->namings[i].directory == b->namings[k].directory &&
                    strcmp(a->namings[i].name, b->namings[k].name) == 0)
                return true;
        }
    }
    return false;
}

/* Settle what is marked: it is on the disk, and so is whatever it came after on the same name. */
static void settle_marked(sim_disk *disk)
{
    coil_list *before;
    for (coil_list *at = disk->changes.prev; at != &disk->changes; at = at->prev) {
        if (!change_at(at)->is_marked)
            continue;
        for (coil_list *old = at->prev; old != &disk->changes; old = old->prev)
            change_at(old)->is_marked |= shares_name(change_at(old), change_at(at));
    }
    for (coil_list *at = disk->changes.prev; at != &disk->changes; at = before) {
        before = at->prev;
        if (change_at(at)->is_marked)
            change_forget(disk, change_at(at));
    }
}

void sim_names_change(sim_disk *disk, const sim_naming *namings, unsigned count)
{
    change *made = sim_new(sizeof(*made));

    coil_list_init(&made->link);
    made->count = count;
    for (unsigned i = 0; i < count; i++) {
        naming *one = &made->namings[i];
        const sim_entry *entry = sim_directory_entry(namings[i].directory, namings[i].name);
        one->directory = sim_inode_hold(namings[i].directory);
        one->name = sim_copy_text(namings[i].name);
        one->before = entry == NULL ? NULL : sim_inode_hold(entry->inode);
        one->after = hold_if_any(namings[i].inode);
    }
    for (unsigned i = 0; i < count; i++) {
        naming *one = &made->namings[i];
        set_name(one->directory, one->name, one->after);
        sim_inode_touch(one->directory);
    }
    coil_list_append(&disk->changes, &made->link);
    if (++disk->change_count > SIM_CHANGE_COUNT_MAX) {
        change_at(disk->changes.next)->is_marked = true;
        settle_marked(disk);
    }
}

void sim_names_sync(const sim_inode *directory)
{
    sim_disk *disk = directory->disk;
    for (coil_list *at = disk->changes.next; at != &disk->changes; at = at->next) {
        change *one = change_at(at);
        for (unsigned i = 0; i < one->count; i++)
            one->is_marked |= one->namings[i].directory == directory;
    }
    settle_marked(disk);
}

void sim_names_sync_all(sim_disk *disk)
{
    while (!coil_list_empty(&disk->changes))
        change_forget(disk, change_at(disk->changes.next));
}

/* ---------------------------------------------------------------------------------- crash -- */

/* Each change is undone by chance, and because of an earlier one that is. */
static void choose_victims(sim_disk *disk)
{
    for (coil_list *at = disk->changes.next; at != &disk->changes; at = at->next) {
        change *one = change_at(at);
        one->is_marked = sim_random_below(disk->world, 2) == 0;
        for (coil_list *old = disk->changes.next; old != at; old = old->next)
            one->is_marked |= change_at(old)->is_marked && shares_name(change_at(old), one);
    }
}

/* What is undone, as the trace has it. */
static void say_undone(const naming *one)
{
    const char *what = one->after == NULL ? "is there again" : "means another file again";
    if (one->before == NULL)
        what = "is not there any more";
    const char *directory = sim_inode_path(one->directory);
    sim_trace(one->directory->disk->world, "  the name %s/%s %s",
            strcmp(directory, "/") == 0 ? "" : directory, one->name, what);
}

void sim_names_crash(sim_disk *disk)
{
    choose_victims(disk);
    for (coil_list *at = disk->changes.prev; at != &disk->changes; at = at->prev) {
        change *one = change_at(at);
        for (unsigned i = one->count; one->is_marked && i-- > 0;) {
            say_undone(&one->namings[i]);
            set_name(one->namings[i].directory, one->namings[i].name, one->namings[i].before);
        }
    }
    sim_names_sync_all(disk);
}
