/* SPDX-License-Identifier: MIT */
/* copy - files and directories with all that is in them, several files at a time. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_A_TIME = 16 };

typedef struct copying {
    coil_group *group;
    coil_list pairs; /* Those that have not been copied yet. */
    uint64_t file_count;
    uint64_t directory_count;
    uint64_t skipped_count;
    int64_t size_bytes;
    struct statx top; /* What is made first: it is not copied, if it lies in what is. */
} copying;

/* What is to be copied, and where to. */
typedef struct pair {
    coil_list link;
    char *from;
    char *to;
} pair;

static char *joined(const char *directory, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static void forget(pair *done)
{
    coil_list_remove(&done->link);
    free(done->from);
    free(done->to);
    free(done);
}

/* Takes both paths, also if it fails. */
static pair *remember(copying *all, char *from, char *to)
{
    pair *added = malloc(sizeof(*added));
    if (added == NULL || from == NULL || to == NULL) {
        free(from);
        free(to);
        free(added);
        return NULL;
    }
    *added = (pair){.from = from, .to = to};
    coil_list_append(&all->pairs, &added->link);
    return added;
}

static bool is_same(const struct statx *one, const struct statx *other)
{
    return one->stx_ino == other->stx_ino && one->stx_dev_major == other->stx_dev_major &&
           one->stx_dev_minor == other->stx_dev_minor;
}

coil_declare_private(int, copy, (copying *)all, (pair *)what);

/* Each entry becomes a task; how many run at a time is the group's business. */
async(int, copy_directory, (copying *) all, (const pair *) what)
{
    vars(coil_directory *directory; coil_directory_entry entry; int rc);

    attempt(coil_mkdirat(AT_FDCWD, what->to, 0777));
    if (all->directory_count++ == 0)
        attempt(coil_statx(AT_FDCWD, what->to, 0, STATX_INO, &all->top));
    attempt(my->directory, coil_directory_open(AT_FDCWD, what->from));
    defer(coil_directory_close(my->directory));
    for (;;) {
        attempt(my->rc, coil_directory_next(my->directory, &my->entry));
        if (my->rc == 0)
            return 0;
        pair *next =
                remember(all, joined(what->from, my->entry.name), joined(what->to, my->entry.name));
        if (next == NULL)
            return -ENOMEM;
        spawn(all->group, copy(all, next));
    }
}

async(int, copy_what_it_is, (copying *) all, (const pair *) what)
{
    vars(struct statx status; int64_t count);

    attempt(coil_statx(
            AT_FDCWD, what->from, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO, &my->status));
    if (S_ISREG(my->status.stx_mode)) {
        attempt(my->count, coil_copy_file(what->from, what->to));
        all->size_bytes += my->count;
        all->file_count++;
    } else if (S_ISDIR(my->status.stx_mode) && !is_same(&my->status, &all->top)) {
        attempt(copy_directory(all, what));
    } else {
        all->skipped_count++;
    }
    return 0;
}

/* The first that fails cancels the others, and is named. */
coil_define(int, copy, (copying *) all, (pair *) what)
{
    vars(int rc);

    defer(forget(what));
    await(my->rc, copy_what_it_is(all, what));
    if (my->rc < 0)
        fprintf(stderr, "copy: %s to %s: %s\n", what->from, what->to, coil_error_text(my->rc));
    return my->rc;
}

async(int, copy_all, (const char *) from, (const char *) to)
{
    vars(copying all; coil_group group);

    coil_list_init(&my->all.pairs);
    defer(while (!coil_list_empty(&my->all.pairs))
                    forget(coil_container_of(my->all.pairs.next, pair, link)));
    open_group(&my->group);
    my->group.limit = AT_A_TIME;
    my->all.group = &my->group;
    pair *first = remember(&my->all, strdup(from), strdup(to));
    if (first == NULL)
        return -ENOMEM;
    spawn(&my->group, copy(&my->all, first));
    attempt(coil_group_join(&my->group));
    printf("%llu files in %llu directories, %lld bytes; %llu others were skipped\n",
            (unsigned long long)my->all.file_count, (unsigned long long)my->all.directory_count,
            (long long)my->all.size_bytes, (unsigned long long)my->all.skipped_count);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("copy FROM TO\n\nCopy a file, or a directory with all that is in it, to something "
              "new. What is neither, such as\na symbolic link, is skipped; so is the copy, if it "
              "lies in what is copied.\n",
                stderr);
        return 2;
    }
    return coil_run(copy_all(argv[1], argv[2])) < 0;
}
