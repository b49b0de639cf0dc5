/* SPDX-License-Identifier: MIT */
/* Directories: made with all that lead there, removed with all that is in them. */
#include <coil/directory.h>
#include <coil/file.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 /* Directories that are open at a time, of a tree that is removed. */ };

/* --------------------------------------------------------------------------------- making -- */

/* Is what exists at `path` a directory, or a link to one? */
coil_async(int, check_directory, (const char *) path)
{
    coil_vars(struct statx status);

    coil_attempt(coil_statx(AT_FDCWD, path, 0, STATX_TYPE, &my->status));
    return S_ISDIR(my->status.stx_mode) ? 0 : -ENOTDIR;
}

coil_async(int, make_directory, (const char *) path, (mode_t) mode)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_mkdirat(AT_FDCWD, path, mode));
    if (my->rc == -EEXIST)
        coil_await(my->rc, check_directory(path));
    return my->rc;
}

/* The end of the next name behind `at`: a slash or the end of the path. */
static char *end_of_name(char *at)
{
    at += strspn(at, "/");
    return at + strcspn(at, "/");
}

coil_define(int, coil_make_directories, (const char *) path, (mode_t) mode)
{
    coil_vars(char *copy; char *end; char cut; int rc);

    coil_await(my->rc, make_directory(path, mode)); /* Mostly that is all there is to do. */
    if (my->rc != -ENOENT || *path == '\0')
        return my->rc;
    my->copy = strdup(path);
    if (my->copy == NULL)
        return -ENOMEM;
    coil_defer(free(my->copy));
    my->end = my->copy;
    do {
        my->end = end_of_name(my->end);
        my->cut = *my->end;
        *my->end = '\0';
        coil_attempt(make_directory(my->copy, mode));
        *my->end = my->cut;
    } while (my->cut != '\0');
    return 0;
}

/* ------------------------------------------------------------------------------- removing -- */

/* What was there, and is no more, somebody else has removed: that is as good. */
static int unless_gone(int rc)
{
    return rc == -ENOENT ? 0 : rc;
}

/* The first failure counts. */
static void note(int *first, int rc)
{
    if (*first == 0)
        *first = unless_gone(rc);
}

/*
 * How deep a tree is, its maker decides: a descriptor for each level might be all that we have. So
 * what lies too deep is first moved to the top, and is removed when the rest is gone.
 */
typedef struct removal {
    int top; /* The directory that is removed, while it is open. */
    uint64_t raised_count;
} removal;

coil_async(int, raise_directory, (removal *) all, (int) directory, (const char *) name)
{
    coil_vars(int rc; uint64_t number; char at_top[24]);

    coil_await(my->rc, coil_unlinkat(directory, name, AT_REMOVEDIR));
    if (my->rc != -ENOTEMPTY)
        return my->rc;
    coil_kernel_random(&my->number, sizeof(my->number));
    (void)snprintf(my->at_top, sizeof(my->at_top), ".%016" PRIx64, my->number);
    coil_attempt(coil_renameat(directory, name, all->top, my->at_top, 0));
    all->raised_count++;
    return 0;
}

coil_async(int, remove_name, (removal *) all, (int) directory, (const char *) name, (int) depth)
{
    coil_vars(int fd; int rc; int first; coil_directory *inside; coil_directory_entry entry);

    coil_await(my->rc, coil_unlinkat(directory, name, 0));
    if (my->rc != -EISDIR)
        return my->rc;
    if (depth == DEPTH_MAX) {
        coil_await(my->rc, raise_directory(all, directory, name));
        return my->rc;
    }
    coil_await(my->fd, coil_openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0));
    if (my->fd < 0)
        return unless_gone(my->fd);
    my->rc = coil_directory_create(coil_loop_of(coil_self), my->fd, &my->inside);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_directory_close(my->inside));
    if (depth == 0)
        all->top = my->fd;
    for (;;) {
        coil_await(my->rc, coil_directory_next(my->inside, &my->entry));
        if (my->rc <= 0)
            break;
        coil_await(my->rc, remove_name(all, my->fd, my->entry.name, depth + 1));
        note(&my->first, my->rc);
    }
    note(&my->first, my->rc);
    coil_await(my->rc, coil_unlinkat(directory, name, AT_REMOVEDIR));
    return my->first < 0 ? my->first : unless_gone(my->rc);
}

coil_define(int, coil_remove_tree, (const char *) path)
{
    coil_vars(removal all; int rc; int first; bool was_there);

    do {
        my->all.raised_count = 0;
        coil_await(my->rc, remove_name(&my->all, AT_FDCWD, path, 0));
        if (my->was_there)
            my->rc = unless_gone(my->rc);
        my->was_there = true;
        if (my->first == 0 && (my->rc != -ENOTEMPTY || my->all.raised_count == 0))
            my->first = my->rc;
    } while (my->rc < 0 && my->all.raised_count > 0);
    return my->first;
}
