/* SPDX-License-Identifier: MIT */
#include <coil/activation.h>

#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

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
