/* SPDX-License-Identifier: MIT */
/*
 * Datagrams by UDP over loopback, with nothing but the kernel's own means, as in
 * perf/micro/datagram.c:
 *
 *     mmsg    a sendmmsg(2) and a recvmmsg(2) for each batch of 32; of those that the kernel cuts
 *             (GSO, GRO), one sendmsg(2) and one recvmsg(2)
 */
#include "../micro/measure.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { BATCH = 32, LARGE_BYTES = 1400, SMALL_BYTES = 64, ROOM_BYTES = 2048, MOST_BYTES = 65535 };

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

static int open_socket(struct sockaddr_in *own)
{
    socklen_t size_bytes = sizeof(*own);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *own = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(bind(fd, own, sizeof(*own)) == 0);
    must(getsockname(fd, own, &size_bytes) == 0);
    return fd;
}

static void prepare(struct mmsghdr *messages, struct iovec *parts, struct sockaddr_in *names,
        char (*bytes)[ROOM_BYTES], size_t size_bytes)
{
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){bytes[i], size_bytes};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
                .msg_namelen = sizeof(names[i]),
                .msg_iov = &parts[i],
                .msg_iovlen = 1};
    }
}

static double run(size_t size_bytes, int64_t count)
{
    static char sent[BATCH][ROOM_BYTES];
    static char received[BATCH][ROOM_BYTES];
    struct mmsghdr out[BATCH];
    struct mmsghdr in[BATCH];
    struct iovec out_parts[BATCH];
    struct iovec in_parts[BATCH];
    struct sockaddr_in to[BATCH];
    struct sockaddr_in from[BATCH];
    struct sockaddr_in own;
    int server = open_socket(&to[0]);
    int client = open_socket(&own);

    for (int i = 1; i < BATCH; i++)
        to[i] = to[0];
    prepare(out, out_parts, to, sent, size_bytes);
    prepare(in, in_parts, from, received, ROOM_BYTES);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i += BATCH) {
        must(sendmmsg(client, out, BATCH, 0) == BATCH);
        for (int got = 0; got < BATCH;) {
            int more = recvmmsg(server, in + got, (unsigned)(BATCH - got), MSG_WAITFORONE, NULL);
            must(more > 0);
            for (int k = got; k < got + more; k++)
                must(in[k].msg_len == size_bytes);
            got += more;
        }
    }
    double spent_ns = measure_now_ns() - start_ns;
    (void)close(server);
    (void)close(client);
    return spent_ns;
}

static double run_64(int64_t count)
{
    return run(SMALL_BYTES, count);
}

static double run_1400(int64_t count)
{
    return run(LARGE_BYTES, count);
}

static double run_1400_cut(int64_t count)
{
    static char bytes[MOST_BYTES];
    struct sockaddr_in to;
    struct sockaddr_in own;
    int one = 1;
    int segment_bytes = LARGE_BYTES;
    int server = open_socket(&to);
    int client = open_socket(&own);

    must(setsockopt(server, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)) == 0);
    must(setsockopt(client, IPPROTO_UDP, UDP_SEGMENT, &segment_bytes, sizeof(segment_bytes)) == 0);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i += BATCH) {
        ssize_t size_bytes = (ssize_t)BATCH * LARGE_BYTES;
        must(sendto(client, bytes, (size_t)size_bytes, 0, &to, sizeof(to)) == size_bytes);
        while (size_bytes > 0) {
            ssize_t more = recv(server, bytes, sizeof(bytes), 0);
            must(more > 0);
            size_bytes -= more;
        }
    }
    double spent_ns = measure_now_ns() - start_ns;
    (void)close(server);
    (void)close(client);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"datagram_64", "mmsg", run_64, 0, MEASURE_NS},
            {"datagram_1400", "mmsg", run_1400, 0, MEASURE_NS},
            {"datagram_1400_cut", "mmsg", run_1400_cut, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
