/* SPDX-License-Identifier: MIT */
/* The hosts file and resolv.conf: read when they are first needed, and again when they change. */
#include "resolver_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

enum {
    LOOK_EVERY_S = 1,
    HOSTS_MAX_BYTES = 8 << 20, /* What is behind that is not read. */
    CONF_MAX_BYTES = 64 << 10,
    FIRST_BYTES = 4 << 10,
};

typedef struct contents {
    char *text;
    size_t size_bytes;
} contents;

static bool is_same(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
           one->st_size == other->st_size && one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec &&
           one->st_ctim.tv_sec == other->st_ctim.tv_sec &&
           one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

/* Has it changed since this was asked last? That it is gone is a change, too. */
static bool has_changed(resolver_file *file)
{
    struct stat status;
    if (file->path == NULL)
        return false;
    bool is_there = coil_kernel_fstatat(AT_FDCWD, file->path, &status) == 0;
    bool has = is_there != file->was_there || (is_there && !is_same(&status, &file->status));
    file->was_there = is_there;
    if (is_there)
        file->status = status;
    return has;
}

/* All that can be read within the limit, whatever the size was said to be. */
static int read_all(int fd, size_t limit_bytes, contents *out_contents)
{
    size_t room_bytes = 0;
    ssize_t count = 1;
    contents read = {.text = NULL};
    while (count > 0 && read.size_bytes < limit_bytes) {
        if (read.size_bytes == room_bytes) {
            room_bytes = room_bytes == 0 ? FIRST_BYTES : 4 * room_bytes;
            room_bytes = room_bytes < limit_bytes ? room_bytes : limit_bytes;
            char *text = realloc(read.text, room_bytes);
            if (text == NULL) {
                free(read.text);
                return -ENOMEM;
            }
            read.text = text;
        }
        count = coil_kernel_pread(fd, read.text + read.size_bytes, room_bytes - read.size_bytes,
                (off_t)read.size_bytes);
        read.size_bytes += count > 0 ? (size_t)count : 0;
    }
    if (count < 0) {
        free(read.text);
        return (int)count;
    }
    *out_contents = read;
    return 0;
}

static bool is_missing(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -EACCES;
}

/* A file that is not there, or not for us, is empty. Others cannot be read now: an error. */
static int read_file(const resolver_file *file, size_t limit_bytes, contents *out_contents)
{
    *out_contents = (contents){.text = NULL};
    int fd = coil_kernel_openat(AT_FDCWD, file->path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return is_missing(fd) ? 0 : fd;
    int rc = read_all(fd, limit_bytes, out_contents);
    (void)coil_kernel_close(fd);
    return rc;
}

static int read_hosts(coil_resolver *resolver)
{
    contents read;
    int rc = read_file(&resolver->hosts_file, HOSTS_MAX_BYTES, &read);
    if (rc < 0)
        return rc;
    rc = hosts_table_read(&resolver->hosts, read.text != NULL ? read.text : "", read.size_bytes);
    free(read.text);
    return rc;
}

static int read_conf(coil_resolver *resolver)
{
    contents read;
    int rc = read_file(&resolver->conf_file, CONF_MAX_BYTES, &read);
    if (rc < 0)
        return rc;
    resolver_config_init(&resolver->config);
    if (read.text != NULL)
        resolver_config_read(&resolver->config, read.text, read.size_bytes);
    free(read.text);
    files_merge(resolver);
    cache_flush(resolver); /* Other servers may have other answers. */
    return 0;
}

void files_merge(coil_resolver *resolver)
{
    const resolver_config *said = &resolver->said;
    resolver_config *config = &resolver->config;

    if (resolver->says_servers) {
        memcpy(config->servers, said->servers, sizeof(config->servers));
        config->server_count = said->server_count;
    } else if (config->server_count == 0) {
        COIL_CHECK(resolver_config_set_servers(config, "127.0.0.1") == 0);
    }
    if (resolver->says_search) {
        memcpy(config->search, said->search, sizeof(config->search));
        config->search_count = said->search_count;
    }
    if (resolver->options.ndots != 0)
        config->ndots = resolver->options.ndots < 0 ? 0 : (unsigned)resolver->options.ndots;
    if (resolver->options.attempts != 0)
        config->attempts = resolver->options.attempts;
    if (resolver->options.timeout != 0)
        config->timeout = resolver->options.timeout;
    if (resolver->options.rotate)
        config->rotate = true;
}

/* Without memory or descriptors, what was known before holds, and it is tried again. */
static void review(coil_resolver *resolver, resolver_file *file, int (*read)(coil_resolver *))
{
    file->is_due |= has_changed(file);
    if (!file->is_due)
        return;
    file->is_due = read(resolver) < 0;
    resolver->stats.reloads += !file->is_due;
}

void files_review(coil_resolver *resolver, bool at_once)
{
    const coil_time now = coil_loop_now(resolver->loop);
    if (!at_once && now < coil_time_after(resolver->files_looked_at, coil_s(LOOK_EVERY_S)))
        return;
    resolver->files_looked_at = now;
    review(resolver, &resolver->hosts_file, read_hosts);
    review(resolver, &resolver->conf_file, read_conf);
}
