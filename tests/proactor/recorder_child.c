/* SPDX-License-Identifier: MIT */
/*
 * A program that is recorded, and ends in one of several ways: `recorder_child <way>`. What the
 * recorder writes goes where the environment says. (recorder_test.cc)
 */
#include <coil/check.h>
#include <coil/dump.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <coil/sugar.h>

static volatile int *volatile nowhere;

async(int, waits_for_a_byte, (int) fd)
{
    vars(char byte);
    attempt(coil_read(fd, &my->byte, 1));
    return 0;
}

async(int, writes_then_waits, (const char *) way)
{
    vars(int ends[2]; coil_group group);
    const int rc = coil_kernel_pipe(my->ends);
    if (rc < 0)
        return rc;
    open_group(&my->group);
    attempt(coil_write(my->ends[1], "1234", 4));
    spawn(&my->group, waits_for_a_byte(my->ends[0]));
    await(coil_sleep(coil_ms(1)));
    attempt(coil_group_join(&my->group));
    if (strcmp(way, "check") == 0)
        COIL_CHECK(my->ends[0] == 0);
    if (strcmp(way, "segv") == 0)
        *nowhere = 1;
    if (strcmp(way, "kill") == 0)
        (void)kill(getpid(), SIGSEGV);
    return 0;
}

/* What it says on stderr comes back here, so that it is known when it has. */
async(int, is_dumped)
{
    vars(int ends[2]; char text[PIPE_BUF]; ssize_t count);
    const int rc = coil_kernel_pipe(my->ends);
    if (rc < 0)
        return rc;
    defer(coil_kernel_close(my->ends[0]), coil_kernel_close(my->ends[1]));
    attempt(writes_then_waits("dump"));
    if (dup2(my->ends[1], STDERR_FILENO) < 0)
        return -errno;
    (void)raise(SIGUSR2);
    attempt(my->count, coil_read(my->ends[0], my->text, sizeof(my->text)));
    attempt(coil_write(STDOUT_FILENO, my->text, (size_t)my->count));
    return 0;
}

static void says_so(int signo)
{
    static const char text[] = "the handler of the program\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(signo == SIGABRT ? 42 : 43);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    if (argc > 2 && strcmp(argv[2], "handled") == 0)
        (void)signal(SIGABRT, says_so);
    if (strcmp(way, "dump") == 0 && coil_dump_on_signal(SIGUSR2) < 0)
        return 3;
    return strcmp(way, "dump") == 0 ? (int)coil_run(is_dumped())
                                    : (int)coil_run(writes_then_waits(way));
}
