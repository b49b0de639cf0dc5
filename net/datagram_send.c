/* SPDX-License-Identifier: MIT */
#include "datagram_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/sched.h>
#include <coil/timer.h>

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>

/* Since Linux 4.18; older headers lack it. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    AT_ONCE_COUNT = 64, /* System calls, and the others have their turn. */
    PAUSE_MS = 1,
    PAYLOAD_MOST_BYTES = 65487, /* Of what is cut by the kernel: less the longest headers. */
};

/* What one system call sends. */
typedef struct parcel {
    coil_address to; /* If it had to be mapped. */
    struct msghdr message;
    struct iovec part;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))];
} parcel;

static void address_parcel(
        parcel *out, const coil_datagram_socket *socket, const coil_address *address)
{
    out->message = (struct msghdr){.msg_iov = &out->part, .msg_iovlen = 1};
    if (address == NULL)
        return;
    if (socket->family != address->storage.ss_family) {
        out->to = datagram_mapped(socket->family, address);
        address = &out->to;
    }
    out->message.msg_name = (void *)(uintptr_t)&address->storage; /* NOLINT(*-int-to-ptr) */
    out->message.msg_namelen = address->size_bytes;
}

/* `segment_bytes` 0: it is one datagram. */
static void fill_parcel(parcel *out, const char *bytes, size_t size_bytes, size_t segment_bytes)
{
    uint16_t segment = (uint16_t)segment_bytes;

    out->part = (struct iovec){(void *)(uintptr_t)bytes, size_bytes}; /* NOLINT(*-int-to-ptr) */
    out->message.msg_control = NULL;
    out->message.msg_controllen = 0;
    if (segment_bytes == 0)
        return;
    memset(out->control, 0, sizeof(out->control));
    out->message.msg_control = out->control;
    out->message.msg_controllen = sizeof(out->control);
    struct cmsghdr *control = CMSG_FIRSTHDR(&out->message);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(control), &segment, sizeof(segment));
}

/*
 * At once, if the kernel takes it; else when it may. A sendmsg by io_uring that has to wait will
 * not do: the kernel takes the bytes before it finds a unix socket's queue full, and once there is
 * room it sends an empty datagram (seen on Linux 6.18; the simulated kernel does so, too). When a
 * socket is not connected, there is no event for the room in the queue of another: then it is tried
 * again every now and then.
 */
coil_async(int, send_parcel, (coil_datagram_socket *) socket, (parcel *) out)
{
    coil_vars(ssize_t count; unsigned attempts);

    if (++socket->sent_at_once > AT_ONCE_COUNT) {
        socket->sent_at_once = 1;
        coil_await(coil_yield());
    }
    for (my->attempts = 0;; my->attempts++) {
        my->count = coil_kernel_sendmsg_now(socket->fd, &out->message);
        if (my->count != -EAGAIN && my->count != -EINTR)
            return my->count < 0 ? (int)my->count : 0;
        socket->sent_at_once = 0;
        if (my->attempts > 0)
            coil_await(coil_sleep(coil_ms(PAUSE_MS)));
        coil_attempt(coil_poll(socket->fd, POLLOUT));
    }
}

coil_define(int, coil_datagram_send, (coil_datagram_socket *) socket, (const coil_address *) to,
        (coil_slice) bytes)
{
    coil_vars(parcel out; int rc);

    address_parcel(&my->out, socket, to);
    fill_parcel(&my->out, bytes.bytes, (size_t)bytes.size_bytes, 0);
    coil_await(my->rc, send_parcel(socket, &my->out));
    socket->counts.sent += my->rc == 0;
    return my->rc;
}

/* -------------------------------------------------------------------------------- segments -- */

/* How much of what is left goes out next; more than a segment only if the kernel cuts it. */
static size_t portion(size_t left_bytes, size_t segment_bytes, bool can_segment)
{
    size_t count = PAYLOAD_MOST_BYTES / segment_bytes;
    if (count > COIL_DATAGRAM_SEGMENTS_MAX)
        count = COIL_DATAGRAM_SEGMENTS_MAX;
    if (!can_segment || count == 0)
        count = 1;
    size_t most_bytes = count * segment_bytes;
    return left_bytes < most_bytes ? left_bytes : most_bytes;
}

/*
 * Could they be sent one by one? The device does not know how to cut (-EIO), which it never will,
 * or these segments do not fit into its packets (-EINVAL, -EMSGSIZE).
 */
static bool does_without(coil_datagram_socket *socket, int rc)
{
    if (rc == -EIO)
        socket->can_segment = false;
    return rc == -EIO || rc == -EINVAL || rc == -EMSGSIZE;
}

coil_define(int, coil_datagram_send_segments, (coil_datagram_socket *) socket,
        (const coil_address *) to, (coil_slice) bytes, (size_t) segment_bytes)
{
    coil_vars(parcel out; size_t done_bytes; size_t portion_bytes; bool can_segment; int rc);

    COIL_CHECK(segment_bytes > 0 && segment_bytes <= COIL_DATAGRAM_MOST_BYTES);
    address_parcel(&my->out, socket, to);
    my->can_segment = socket->can_segment;
    for (my->done_bytes = 0; my->done_bytes < (size_t)bytes.size_bytes;) {
        my->portion_bytes =
                portion((size_t)bytes.size_bytes - my->done_bytes, segment_bytes, my->can_segment);
        fill_parcel(&my->out, bytes.bytes + my->done_bytes, my->portion_bytes,
                my->portion_bytes > segment_bytes ? segment_bytes : 0);
        coil_await(my->rc, send_parcel(socket, &my->out));
        if (my->portion_bytes > segment_bytes && does_without(socket, my->rc)) {
            my->can_segment = false;
            continue;
        }
        if (my->rc < 0)
            return my->rc;
        my->done_bytes += my->portion_bytes;
        socket->counts.sent += (my->portion_bytes + segment_bytes - 1) / segment_bytes;
    }
    return 0;
}
