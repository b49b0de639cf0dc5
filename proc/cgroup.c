/* SPDX-License-Identifier: MIT */
#include <coil/cgroup.h>

#include "cgroup_private.h"

#include <coil/check.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct coil_cgroup {
    int directory;
    int procs;
    int events;
    char path[];
};

/* ------------------------------------------------------------------------------------ files -- */

/* The whole file, and a '\0'. To be freed. NULL: there is no such file, or no memory. */
static char *read_all(const char *path)
{
    const int fd = coil_kernel_openat(AT_FDCWD, path, O_RDONLY);
    size_t capacity = 4096;
    size_t size = 0;
    char *text = fd < 0 ? NULL : malloc(capacity);
    while (text != NULL) {
        const ssize_t count = coil_kernel_pread(fd, text + size, capacity - size - 1, (off_t)size);
        if (count <= 0)
            break;
        size += (size_t)count;
        if (capacity - size > 1)
            continue;
        char *more = realloc(text, capacity *= 2);
        if (more == NULL)
            free(text);
        text = more;
    }
    if (text != NULL)
        text[size] = '\0';
    if (fd >= 0)
        (void)coil_kernel_close(fd);
    return text;
}

/* A word of /proc/self/mountinfo: blanks are \040 there. */
static void unescape(char *word)
{
    char *to = word;
    for (const char *from = word; *from != '\0'; to++) {
        if (from[0] == '\\' && strlen(from) >= 4) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/*
 * "36 35 98:0 / /sys/fs/cgroup rw,relatime shared:1 - cgroup2 cgroup2 rw": the fifth word, of the
 * first line whose type, behind the lonely dash, is cgroup2. The fourth is what of it is mounted.
 */
static bool parse_mount(char *line, char **out_root, char **out_point)
{
    const char *type = strstr(line, " - ");
    if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0)
        return false;
    char *rest = NULL;
    char *word = strtok_r(line, " ", &rest);
    for (int i = 0; i < 3 && word != NULL; i++)
        word = strtok_r(NULL, " ", &rest);
    *out_root = word;
    *out_point = strtok_r(NULL, " ", &rest);
    if (word == NULL || *out_point == NULL)
        return false;
    unescape(*out_root);
    unescape(*out_point);
    return true;
}

/* The line "0::/path" of /proc/PID/cgroup, in place. NULL: none. */
static char *parse_own(char *text)
{
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (line == NULL)
        return NULL;
    line += line == text ? 3 : 4;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* What of a path is visible below the mount point, whose root may be below the real one. */
static const char *below(const char *own, const char *root)
{
    const size_t length = strlen(root);
    if (strcmp(root, "/") == 0 || strncmp(own, root, length) != 0)
        return strcmp(own, "/") == 0 ? "" : own;
    return own + length;
}

int coil_cgroup_find(const char *process, char out_path[PATH_MAX])
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%s/cgroup", process);
    char *groups = read_all(path);
    const char *own = groups == NULL ? NULL : parse_own(groups);
    char *mounts = own == NULL ? NULL : read_all("/proc/self/mountinfo");
    int rc = -EOPNOTSUPP;
    char *rest = NULL;
    for (char *line = mounts == NULL ? NULL : strtok_r(mounts, "\n", &rest);
            line != NULL && own != NULL && rc < 0; line = strtok_r(NULL, "\n", &rest)) {
        char *root = NULL;
        char *point = NULL;
        if (!parse_mount(line, &root, &point))
            continue;
        const int size = snprintf(out_path, PATH_MAX, "%s%s", point, below(own, root));
        rc = size < PATH_MAX ? 0 : -ENAMETOOLONG;
    }
    free(mounts);
    free(groups);
    return rc;
}

/* ---------------------------------------------------------------------------- open and close -- */

static bool is_good_name(const char *name)
{
    return name[0] != '\0' && name[0] != '/' && strstr(name, "..") == NULL;
}

static void free_cgroup(coil_cgroup *cgroup)
{
    const int fds[] = {cgroup->directory, cgroup->procs, cgroup->events};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            (void)coil_kernel_close(fds[i]);
    }
    free(cgroup);
}

static int open_files(coil_cgroup *cgroup)
{
    cgroup->directory = coil_kernel_openat(AT_FDCWD, cgroup->path, O_RDONLY | O_DIRECTORY);
    if (cgroup->directory < 0)
        return cgroup->directory;
    cgroup->procs = coil_kernel_openat(cgroup->directory, "cgroup.procs", O_RDWR);
    if (cgroup->procs < 0)
        return cgroup->procs;
    cgroup->events = coil_kernel_openat(cgroup->directory, "cgroup.events", O_RDONLY);
    return cgroup->events < 0 ? cgroup->events : 0;
}

int coil_cgroup_open(const char *name, coil_cgroup **out_cgroup)
{
    char own[PATH_MAX];
    if (!is_good_name(name))
        return -EINVAL;
    int rc = coil_cgroup_find("self", own);
    if (rc < 0)
        return rc;
    const size_t size = strlen(own) + strlen(name) + 2;
    if (size > PATH_MAX)
        return -ENAMETOOLONG;
    coil_cgroup *cgroup = malloc(sizeof(*cgroup) + size);
    if (cgroup == NULL)
        return -ENOMEM;
    cgroup->directory = cgroup->procs = cgroup->events = -1;
    const int length = snprintf(cgroup->path, size, "%s/%s", own, name);
    COIL_CHECK(length + 1 == (int)size);
    rc = coil_kernel_mkdir(cgroup->path);
    if (rc == 0 || rc == -EEXIST)
        rc = open_files(cgroup);
    if (rc < 0) {
        free_cgroup(cgroup);
        return rc;
    }
    *out_cgroup = cgroup;
    return 0;
}

void coil_cgroup_close(coil_cgroup *cgroup)
{
    if (cgroup != NULL)
        free_cgroup(cgroup);
}

int coil_cgroup_remove(coil_cgroup *cgroup)
{
    int rc = cgroup == NULL ? 0 : coil_kernel_rmdir(cgroup->path);
    if (rc == 0 || rc == -ENOENT)
        coil_cgroup_close(cgroup);
    return rc == -ENOENT ? 0 : rc;
}

const char *coil_cgroup_path(const coil_cgroup *cgroup)
{
    return cgroup->path;
}

int coil_cgroup_procs_fd(const coil_cgroup *cgroup)
{
    return cgroup->procs;
}

/* ------------------------------------------------------------------------------ its files -- */

int coil_cgroup_write(coil_cgroup *cgroup, const char *file, const char *text)
{
    const int fd = coil_kernel_openat(cgroup->directory, file, O_WRONLY);
    if (fd < 0)
        return fd;
    const ssize_t rc = coil_kernel_write(fd, text, strlen(text));
    (void)coil_kernel_close(fd);
    return rc < 0 ? (int)rc : 0;
}

ssize_t coil_cgroup_read(coil_cgroup *cgroup, const char *file, char *out_text, size_t size_bytes)
{
    COIL_CHECK(size_bytes > 0);
    const int fd = coil_kernel_openat(cgroup->directory, file, O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t size = coil_kernel_pread(fd, out_text, size_bytes - 1, 0);
    (void)coil_kernel_close(fd);
    if (size < 0)
        return size;
    if (size > 0 && out_text[size - 1] == '\n')
        size--;
    out_text[size] = '\0';
    return size;
}

/* The controller is what is before the dot. It has to be enabled by the cgroup above. */
static void enable(const coil_cgroup *cgroup, const char *file)
{
    char path[PATH_MAX];
    char wanted[32];
    const int above = (int)(strrchr(cgroup->path, '/') - cgroup->path);
    (void)snprintf(wanted, sizeof(wanted), "+%.*s", (int)strcspn(file, "."), file);
    const int size =
            snprintf(path, sizeof(path), "%.*s/cgroup.subtree_control", above, cgroup->path);
    const int fd = size < PATH_MAX ? coil_kernel_openat(AT_FDCWD, path, O_WRONLY) : -1;
    if (fd < 0)
        return;
    (void)coil_kernel_write(fd, wanted, strlen(wanted));
    (void)coil_kernel_close(fd);
}

static int set_limit(coil_cgroup *cgroup, const char *file, const char *text)
{
    int rc = coil_cgroup_write(cgroup, file, text);
    if (rc == -ENOENT) {
        enable(cgroup, file);
        rc = coil_cgroup_write(cgroup, file, text);
    }
    return rc == -ENOENT ? -EOPNOTSUPP : rc;
}

int coil_cgroup_limit(coil_cgroup *cgroup, const coil_cgroup_limits *limits)
{
    const uint64_t period_us = 100000;
    const struct {
        const char *file;
        uint64_t value;
    } table[] = {
            {"memory.max", limits->memory_max_bytes},
            {"memory.high", limits->memory_high_bytes},
            {"pids.max", limits->process_max_count},
            {"cpu.max", limits->cpu_permille * (period_us / 1000)},
            {"cpu.weight", limits->cpu_weight},
            {"io.weight", limits->io_weight},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[32];
        if (table[i].value == 0)
            continue;
        (void)snprintf(text, sizeof(text), "%" PRIu64, table[i].value);
        int rc = set_limit(cgroup, table[i].file, text);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------------ who is in there -- */

/* A number and a newline for each, behind the `count` that are there: how many there are then. */
static int read_processes(int procs, pid_t *out_pids, int count, int limit)
{
    char text[4096];
    off_t offset = 0;
    pid_t pid = 0;

    for (;;) {
        const ssize_t size = coil_kernel_pread(procs, text, sizeof(text), offset);
        if (size <= 0 || count >= limit)
            return size < 0 ? (int)size : count;
        offset += size;
        for (ssize_t i = 0; i < size; i++) {
            if (text[i] != '\n') {
                pid = pid * 10 + (text[i] - '0');
                continue;
            }
            if (count < limit)
                out_pids[count++] = pid;
            pid = 0;
        }
    }
}

int coil_cgroup_processes(coil_cgroup *cgroup, pid_t *out_pids, int limit)
{
    return read_processes(cgroup->procs, out_pids, 0, limit);
}

/* What cannot be read, or has been removed by now, has nobody in it for us. */
static int look_at(int directory, pid_t *out_pids, int count, int limit)
{
    const int procs = coil_kernel_openat(directory, "cgroup.procs", O_RDONLY);
    const int more = procs < 0 ? procs : read_processes(procs, out_pids, count, limit);
    if (procs >= 0)
        (void)coil_kernel_close(procs);
    return more < 0 ? count : more;
}

/* All cgroups in `directory`, which is closed, and what is in those. */
static int look_below(int directory, int depth, pid_t *out_pids, int count, int limit)
{
    _Alignas(struct dirent64) char entries[2048];
    ssize_t size = 1;

    while (depth < CGROUP_DEPTH_MAX && size > 0) {
        size = coil_kernel_getdents(directory, entries, sizeof(entries));
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
            at += entry->d_reclen;
            if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                continue;
            const int inner = coil_kernel_openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY);
            if (inner < 0)
                continue;
            count = look_at(inner, out_pids, count, limit);
            count = look_below(inner, depth + 1, out_pids, count, limit);
        }
    }
    (void)coil_kernel_close(directory);
    return count;
}

int coil_cgroup_tree_processes(coil_cgroup *cgroup, pid_t *out_pids, int limit)
{
    const int count = read_processes(cgroup->procs, out_pids, 0, limit);
    if (count < 0)
        return count;
    /* Opened anew: the place in a directory belongs to the descriptor. */
    const int directory = coil_kernel_openat(cgroup->directory, ".", O_RDONLY | O_DIRECTORY);
    return directory < 0 ? count : look_below(directory, 0, out_pids, count, limit);
}

int coil_cgroup_kill(coil_cgroup *cgroup)
{
    const int rc = coil_cgroup_write(cgroup, "cgroup.kill", "1");
    return rc == -ENOENT ? -EOPNOTSUPP : rc;
}

int coil_cgroup_is_populated(coil_cgroup *cgroup)
{
    char text[256];
    const ssize_t size = coil_kernel_pread(cgroup->events, text, sizeof(text) - 1, 0);
    if (size < 0)
        return size == -ENODEV ? 0 : (int)size; /* It has been removed. */
    text[size] = '\0';
    return strstr(text, "populated 1") != NULL;
}

/* The file is "exceptional" from a change to the next time that it is read. */
coil_define(int, coil_cgroup_wait_empty, (coil_cgroup *) cgroup)
{
    coil_vars(int rc);

    for (;;) {
        my->rc = coil_cgroup_is_populated(cgroup);
        if (my->rc <= 0)
            return my->rc;
        coil_attempt(coil_poll(cgroup->events, POLLPRI));
    }
}
