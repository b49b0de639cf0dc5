/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of what a service manager says by the environment. An input is the values of
 * LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, with zeros between them; a '$' for the first is our
 * own number. What is not there, is not set.
 *
 * Beside not crashing it must hold that as many descriptors as are said have as many names, each of
 * which is found once, in order; and that nothing stays in the environment.
 */
#include <coil/activation.h>
#include <coil/check.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3, OPEN_FDS = 40 };

static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

enum { VARIABLES = sizeof(variables) / sizeof(variables[0]) };

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Descriptors that may be passed. (Some may be the fuzzer's own: they are not closed.) */
static void open_descriptors(void)
{
    static bool is_done;

    if (is_done)
        return;
    for (int fd = FIRST_FD; fd < FIRST_FD + OPEN_FDS; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, fd) != fd)
            abort();
    }
    is_done = true;
}

static void set_variable(unsigned index, const char *value)
{
    char own[16];

    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    if (index == 0 && strcmp(value, "$") == 0)
        value = own;
    COIL_CHECK(setenv(variables[index], value, 1) == 0);
}

static void set_all(const char *text, size_t size)
{
    const char *end = text + size;

    for (unsigned i = 0; i < VARIABLES && text < end; i++) {
        set_variable(i, text);
        text += strlen(text) + 1;
    }
}

/* Each is taken by its name: of those that have the same, the first that is left. */
static void check_taken(coil_activation *activation, int count)
{
    COIL_CHECK(count > 0 && activation->count == (unsigned)count && count <= OPEN_FDS);
    for (unsigned i = 0; i < activation->count; i++) {
        COIL_CHECK(activation->items[i].fd == FIRST_FD + (int)i);
        COIL_CHECK(strchr(activation->items[i].name, ':') == NULL);
    }
    for (unsigned i = 0; i < activation->count; i++) {
        const char *name = activation->items[i].name;
        COIL_CHECK(coil_activation_fd(activation, name) == FIRST_FD + (int)i);
    }
    COIL_CHECK(coil_activation_fd(activation, NULL) == -ENOENT);
}

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    coil_activation activation;

    open_descriptors();
    char *text = malloc(size + 1);
    COIL_CHECK(text != NULL);
    memcpy(text, bytes, size);
    text[size] = '\0';
    set_all(text, size);
    free(text);
    int rc = coil_activation_take(&activation);
    COIL_CHECK(rc >= 0 || rc == -EINVAL || rc == -EBADF);
    if (rc > 0) {
        check_taken(&activation, rc);
    } else {
        COIL_CHECK(activation.count == 0 && activation.items == NULL && activation.names == NULL);
    }
    for (unsigned i = 0; i < VARIABLES; i++)
        COIL_CHECK(getenv(variables[i]) == NULL);
    coil_activation_release(&activation);
    return 0;
}
