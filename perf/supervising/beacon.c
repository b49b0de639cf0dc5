/* SPDX-License-Identifier: MIT */
/* beacon SOCKET: say "PID NANOSECONDS", as of main(), in a datagram to SOCKET; and pause. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    union {
        struct sockaddr_un path;
        struct sockaddr any;
    } address = {.path = {.sun_family = AF_UNIX}};
    struct timespec now;
    char text[64];

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc != 2 || strlen(argv[1]) >= sizeof(address.path.sun_path))
        return 2;
    memcpy(address.path.sun_path, argv[1], strlen(argv[1]));
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int size = snprintf(text, sizeof(text), "%d %lld", (int)getpid(),
            (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    (void)sendto(fd, text, (size_t)size, 0, &address.any, sizeof(address.path));
    (void)close(fd);
    for (;;)
        (void)pause();
}
