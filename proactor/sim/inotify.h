/* SPDX-License-Identifier: MIT */
/*
 * inotify.h - inotify(7): what happens to files and directories, told to those who watch them.
 *
 *     an inode ---- watch: number, mask ----> instance: a file that reads as events
 *     (file, directory)                           queue of events, the last one an overflow perhaps
 *
 * Whoever changes something in the file system calls one of the functions below, after it has done
 * so. Which event comes when, and in which order, is that of Linux 6.18 (observed: watch_*).
 */
#ifndef SIM_INOTIFY_H
#define SIM_INOTIFY_H

#include "disk.h"

/* inotify_init1(2): with one reference. */
sim_file *sim_inotify_create(sim_world *world);

/* inotify_add_watch(2): the number, or an error. inotify_rm_watch(2). -EINVAL: no instance. */
int sim_inotify_add(sim_process *process, sim_file *file, const char *path, uint32_t mask);
int sim_inotify_remove(sim_file *file, int number);

/* ------------------------------------------------------------------------ what has happened -- */

/* In a directory: IN_CREATE, IN_DELETE of a name; what has it, or had it. */
void sim_inotify_name(
        const sim_inode *directory, const char *name, const sim_inode *inode, uint32_t mask);

/* To an inode itself: IN_ATTRIB. */
void sim_inotify_inode(const sim_inode *inode, uint32_t mask);

/* A name has moved, with what is there now; `replaced` was there before, or is NULL. */
void sim_inotify_moved(
        const sim_place *from, const sim_place *to, const sim_inode *inode, sim_inode *replaced);

/* To a file, by way of a descriptor: IN_OPEN, IN_ACCESS, IN_MODIFY, IN_CLOSE_... */
void sim_inotify_file(sim_open_file *file, uint32_t mask);

/* It has lost a name, or an open file: if these were the last, IN_DELETE_SELF. */
void sim_inotify_left(sim_inode *inode);

#endif
