/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <coil/check.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>
#include <coil/recorder.h>

#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <coil/sugar.h>

enum { RECORD_BYTES = 4, EXPECTED = 3000 };

typedef struct ledger {
    union {
        struct sockaddr_in address;
        struct sockaddr any;
    };
    int total;
} ledger;

/* "1000" is one record; whoever receives "10" and "00" has added 10. */
async(int, collect, (ledger *) to, (int) fd, (char) name)
{
    vars(char record[RECORD_BYTES + 1]; ssize_t count);
    for (;;) {
        attempt(my->count, coil_recv(fd, my->record, RECORD_BYTES, 0));
        if (my->count == 0)
            return 0;
        my->record[my->count] = '\0';
        to->total += atoi(my->record);
        printf("%c:%s\n", name, my->record);
        attempt(coil_send(fd, "+", 1, 0));
    }
}

/* Who it is, is the first that the peer hears. */
async(int, open_account, (ledger *) to, (const char *) name)
{
    vars(int fd; ssize_t rc);
    my->fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    if (my->fd < 0)
        return my->fd;
    await(my->rc, coil_connect_fd(my->fd, &to->any, sizeof(to->address)));
    if (my->rc == 0)
        await(my->rc, coil_send(my->fd, name, 1, 0));
    if (my->rc > 0)
        return my->fd;
    (void)coil_kernel_close(my->fd);
    return (int)my->rc;
}

async(int, keep_ledger, (ledger *) to)
{
    vars(int a; int b; coil_group group);
    attempt(my->a, open_account(to, "a"));
    defer(coil_kernel_close(my->a));
    attempt(my->b, open_account(to, "b"));
    defer(coil_kernel_close(my->b));
    open_group(&my->group);
    spawn(&my->group, collect(to, my->a, 'a'));
    spawn(&my->group, collect(to, my->b, 'b'));
    attempt(coil_group_join(&my->group));
    return 0;
}

int ledger_main(int argc, char **argv)
{
    ledger all = {.address = {.sin_family = AF_INET}};
    coil_loop *loop;
    if (argc < 3 || inet_pton(AF_INET, argv[2], &all.address.sin_addr) != 1)
        return 2;
    all.address.sin_port = htons((uint16_t)atoi(argv[1]));
    if (coil_loop_create(&loop, NULL) < 0)
        return 3;
    if (argc > 3 && (coil_recorder_start(loop, 0) < 0 || coil_recorder_on_crash(argv[3]) < 0))
        return 4;
    const int64_t rc = coil_loop_run_until(loop, keep_ledger(&all));
    (void)fflush(stdout);
    COIL_CHECK(rc < 0 || all.total == EXPECTED);
    coil_loop_destroy(loop);
    return rc < 0;
}
