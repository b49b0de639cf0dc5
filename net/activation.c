/* SPDX-License-Identifier: MIT */
#include <coil/activation.h>

#include <coil/kernel.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3 /* SD_LISTEN_FDS_START */ };

static const char unnamed[] = "unknown";

/* A decimal number above 0, up to `limit`; 0: it is none. */
static int read_number(const char *text, int limit)
{
    int number = 0;
    if (*text == '\0')
        return 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || number > (limit - (*text - '0')) / 10)
            return 0;
        number = number * 10 + (*text - '0');
    }
    return number;
}

/* How many, if they are for us. */
static int passed_count(void)
{
    const char *pid = secure_getenv("LISTEN_PID");
    const char *count = secure_getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL)
        return 0;
    int for_pid = read_number(pid, INT_MAX);
    if (for_pid == 0)
        return -EINVAL;
    if (for_pid != coil_kernel_getpid())
        return 0;
    int number = read_number(count, INT_MAX - FIRST_FD);
    return number == 0 ? -EINVAL : number;
}

/* Cut the names apart. There have to be as many as descriptors. */
static int set_names(coil_activation *activation)
{
    char *name = activation->names;
    for (unsigned i = 0; i < activation->count; i++) {
        if (name == NULL)
            return -EINVAL;
        char *colon = strchr(name, ':');
        if (colon != NULL)
            *colon++ = '\0';
        activation->items[i].name = name;
        name = colon;
    }
    return name == NULL ? 0 : -EINVAL;
}

/* They are open, which limits how much memory a wrong number can ask for. */
static int keep_from_children(int count)
{
    for (int i = 0; i < count; i++) {
        int rc = coil_kernel_close_on_exec(FIRST_FD + i);
        if (rc < 0)
            return rc;
    }
    return count;
}

static int fill(coil_activation *activation, unsigned count)
{
    const char *names = secure_getenv("LISTEN_FDNAMES");

    activation->count = count;
    activation->items = calloc(count, sizeof(*activation->items));
    activation->names = names == NULL ? NULL : strdup(names);
    if (activation->items == NULL || (names != NULL && activation->names == NULL))
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        activation->items[i] = (coil_passed_fd){FIRST_FD + (int)i, unnamed};
    return names == NULL ? 0 : set_names(activation);
}

static int take(coil_activation *activation)
{
    int count = passed_count();
    if (count > 0)
        count = keep_from_children(count);
    if (count <= 0)
        return count;
    int rc = fill(activation, (unsigned)count);
    return rc < 0 ? rc : count;
}

static void forget(coil_activation *activation)
{
    free(activation->items);
    free(activation->names);
    *activation = (coil_activation){0};
}

int coil_activation_take(coil_activation *out_activation)
{
    coil_activation activation = {0};

    int rc = take(&activation);
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (rc < 0) {
        forget(&activation);
    }
    *out_activation = activation;
    return rc;
}

int coil_activation_fd(coil_activation *activation, const char *name)
{
    for (unsigned i = 0; i < activation->count; i++) {
        coil_passed_fd *each = &activation->items[i];
        if (each->fd >= 0 && (name == NULL || strcmp(each->name, name) == 0)) {
            int fd = each->fd;
            each->fd = -1;
            return fd;
        }
    }
    return -ENOENT;
}

int coil_activation_listen(coil_activation *activation, const char *name,
        const coil_listen_options *options, coil_listener **out_listener)
{
    int fd = coil_activation_fd(activation, name);
    return fd < 0 ? fd : coil_listen_fd(fd, options, out_listener);
}

void coil_activation_release(coil_activation *activation)
{
    for (unsigned i = 0; i < activation->count; i++) {
        if (activation->items[i].fd >= 0)
            (void)coil_kernel_close(activation->items[i].fd);
    }
    forget(activation);
}

/* ---------------------------------------------------------------------------------- passing -- */

static bool is_name(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == ':' || (unsigned char)*at < ' ' || *at == '\x7f')
            return false;
    }
    return name[0] != '\0';
}

static int set_number(const char *variable, int number)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", number);
    return setenv(variable, text, 1) < 0 ? -ENOMEM : 0;
}

static int set_name_list(const coil_passed_fd *items, unsigned count)
{
    size_t size_bytes = 1;
    for (unsigned i = 0; i < count; i++)
        size_bytes += strlen(items[i].name) + 1;
    char *names = calloc(1, size_bytes);
    if (names == NULL)
        return -ENOMEM;
    char *end = names;
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            *end++ = ':';
        end = mempcpy(end, items[i].name, strlen(items[i].name));
    }
    int rc = setenv("LISTEN_FDNAMES", names, 1) < 0 ? -ENOMEM : 0;
    free(names);
    return rc;
}

static int tell_successor(const coil_passed_fd *items, unsigned count)
{
    int rc = set_number("LISTEN_PID", coil_kernel_getpid());
    if (rc == 0)
        rc = set_number("LISTEN_FDS", (int)count);
    return rc < 0 ? rc : set_name_list(items, count);
}

static void close_copies(const int *copies, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)coil_kernel_close(copies[i]);
}

/* Above all numbers that they are to have, so that none takes the place of another. */
static int copy_all(const coil_passed_fd *items, unsigned count, int *out_copies)
{
    for (unsigned i = 0; i < count; i++) {
        out_copies[i] = coil_kernel_dup_above(items[i].fd, FIRST_FD + (int)count);
        if (out_copies[i] < 0) {
            close_copies(out_copies, i);
            return out_copies[i];
        }
    }
    return 0;
}

static int check(const coil_passed_fd *items, unsigned count, const char *path)
{
    if (count == 0 || count > COIL_ACTIVATION_EXEC_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        if (!is_name(items[i].name))
            return -EINVAL;
    }
    return coil_kernel_faccessat(AT_FDCWD, path, X_OK);
}

int coil_activation_exec(
        const coil_passed_fd *items, unsigned count, const char *path, char *const arguments[])
{
    int copies[COIL_ACTIVATION_EXEC_MAX];

    int rc = check(items, count, path);
    if (rc < 0)
        return rc;
    rc = copy_all(items, count, copies);
    if (rc < 0)
        return rc;
    rc = tell_successor(items, count);
    if (rc < 0) {
        close_copies(copies, count);
        return rc;
    }
    for (unsigned i = 0; i < count && rc >= 0; i++)
        rc = coil_kernel_dup_to_pass(copies[i], FIRST_FD + (int)i);
    return rc < 0 ? rc : coil_kernel_exec(path, arguments);
}
