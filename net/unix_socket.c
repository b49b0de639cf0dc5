/* SPDX-License-Identifier: MIT */
#include <coil/unix_socket.h>

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/sender.h>

#include <errno.h>
#include <string.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* --------------------------------------------------------------------------------- sending -- */

/* A message with the descriptors; lent to the kernel. */
typedef struct parcel {
    struct msghdr message;
    struct iovec part;
    char control[CMSG_SPACE(COIL_FDS_MAX * sizeof(int))] __attribute__((aligned(8)));
} parcel;

static void pack(parcel *made, coil_slice bytes, const int *fds, unsigned count)
{
    const size_t fds_bytes = count * sizeof(int);

    made->part = (struct iovec){/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
            (void *)(uintptr_t)bytes.bytes, (size_t)bytes.size_bytes};
    struct cmsghdr *header = (struct cmsghdr *)(void *)made->control;
    header->cmsg_len = CMSG_LEN(fds_bytes);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(header), fds, fds_bytes);
    made->message = (struct msghdr){.msg_iov = &made->part,
            .msg_iovlen = 1,
            .msg_control = made->control,
            .msg_controllen = CMSG_SPACE(fds_bytes)};
}

coil_define(int, coil_write_fds, (coil_stream *) stream, (coil_slice) bytes, (const int *) fds,
        (unsigned) count)
{
    coil_vars(parcel parcel; coil_slice rest; ssize_t sent_bytes; bool is_cut);
    coil_sender *sender = coil_receiver_sender(stream);

    if (bytes.size_bytes <= 0 || count == 0 || count > COIL_FDS_MAX)
        return -EINVAL;
    if (!sender->is_socket || sender->is_layered)
        return -EOPNOTSUPP;
    coil_attempt(coil_sender_hold(coil_receiver_sender(stream)));
    coil_defer(coil_sender_release(coil_receiver_sender(stream), my->is_cut));

    pack(&my->parcel, bytes, fds, count);
    coil_await(my->sent_bytes, coil_sendmsg(coil_stream_fd(stream), &my->parcel.message, 0));
    if (my->sent_bytes < 0) {
        coil_sender_failed(coil_receiver_sender(stream), (int)my->sent_bytes);
        return (int)my->sent_bytes;
    }
    coil_receiver_sender(stream)->sent_bytes += (uint64_t)my->sent_bytes;
    my->rest = bytes;
    coil_slice_consume(&my->rest, my->sent_bytes);
    if (my->rest.size_bytes == 0)
        return 0; /* Also if the task has been cancelled meanwhile: it is done. */
    my->is_cut = true;
    coil_attempt(coil_sender_write_held(coil_receiver_sender(stream), my->rest));
    my->is_cut = false;
    return 0;
}

/* ------------------------------------------------------------------------------- receiving -- */

int coil_stream_carry_fds(coil_stream *stream)
{
    return coil_receiver_carry_fds(stream);
}

int coil_stream_take_fd(coil_stream *stream)
{
    return coil_receiver_take_fd(stream);
}

/* ------------------------------------------------------------------------------- the peer -- */

/* SO_PEERCRED of what is no unix socket is nobody: tell that from a peer. */
static int unix_socket_of(const coil_stream *stream)
{
    const int fd = coil_stream_fd(stream);
    int domain = 0;
    socklen_t size_bytes = sizeof(domain);

    if (coil_fd_is_direct(fd))
        return -EOPNOTSUPP;
    const int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size_bytes);
    return rc < 0 || domain != AF_UNIX ? -EOPNOTSUPP : fd;
}

int coil_stream_peer_credentials(const coil_stream *stream, coil_credentials *out_credentials)
{
    struct ucred peer;
    socklen_t size_bytes = sizeof(peer);
    const int fd = unix_socket_of(stream);

    if (fd < 0)
        return fd;
    const int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size_bytes);
    if (rc < 0)
        return rc;
    *out_credentials = (coil_credentials){.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
    return 0;
}

int coil_stream_peer_pidfd(const coil_stream *stream)
{
    int pidfd = -1;
    socklen_t size_bytes = sizeof(pidfd);
    const int fd = unix_socket_of(stream);

    if (fd < 0)
        return fd;
    const int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size_bytes);
    if (rc < 0)
        return rc == -ENOPROTOOPT || rc == -EINVAL ? -EOPNOTSUPP : rc;
    return pidfd;
}
