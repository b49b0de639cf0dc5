/* SPDX-License-Identifier: MIT */
/*
 * no_uring ERRNO PROGRAM [ARGUMENT...] - run a program under a seccomp filter, like that of a
 * container, that lets io_uring_setup(2) fail with ERRNO.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    const unsigned error = (unsigned)strtoul(argv[1], NULL, 10);
    struct sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
            prctl(PR_SET_SECCOMP, (long)SECCOMP_MODE_FILTER, &program, 0L, 0L) < 0) {
        perror("no_uring");
        return 77;
    }
    (void)execv(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
