/* SPDX-License-Identifier: MIT */
/* Directories: made with all that lead there, removed with all that is in them. */
#include <coil/directory.h>
#include <coil/file.h>
#include <coil/io.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* The first failure counts. */
static void note(int *first, int rc)
{
    if (*first == 0 && rc != -ENOENT) /* Somebody else has removed it. */
        *first = rc;
}

coil_async(int, remove_name, (int) directory, (const char *) name)
{
    coil_vars(int fd; int rc; int first; coil_directory *inside; coil_directory_entry entry);

    coil_await(my->rc, coil_unlinkat(directory, name, 0));
    if (my->rc != -EISDIR)
        return my->rc;
    coil_attempt(my->fd, coil_openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0));
    my->rc = coil_directory_create(coil_loop_of(coil_self), my->fd, &my->inside);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_directory_close(my->inside));
    for (;;) {
        coil_await(my->rc, coil_directory_next(my->inside, &my->entry));
        if (my->rc <= 0)
            break;
        coil_await(my->rc, remove_name(my->fd, my->entry.name));
        note(&my->first, my->rc);
    }
    note(&my->first, my->rc);
    coil_await(my->rc, coil_unlinkat(directory, name, AT_REMOVEDIR));
    return my->first < 0 ? my->first : my->rc;
}

coil_define(int, coil_remove_tree, (const char *) path)
{
    coil_vars(int rc);

    coil_await(my->rc, remove_name(AT_FDCWD, path));
    return my->rc;
}
