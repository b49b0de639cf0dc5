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
    BATCH_COUNT = 16,           /* Of one system call. */
    CONTROL_BYTES = CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

/* What one system call sends. */
typedef struct parcel {
    coil_address to; /* If it had to be mapped. */
    struct msghdr message;
    struct iovec part;
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
} parcel;

/* One control message more, behind those that there are. */
static void add_control(parcel *out, int level, int type, const void *value, size_t size_bytes)
{
    const size_t used_bytes = out->message.msg_controllen;

    memset(out->control + used_bytes, 0, CMSG_SPACE(size_bytes));
    struct cmsghdr *control = (struct cmsghdr *)(void *)(out->control + used_bytes);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size_bytes);
    memcpy(CMSG_DATA(control), value, size_bytes);
    out->message.msg_control = out->control;
    out->message.msg_controllen = used_bytes + CMSG_SPACE(size_bytes);
}

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
    const uint16_t segment = (uint16_t)segment_bytes;

    out->part = (struct iovec){(void *)(uintptr_t)bytes, size_bytes}; /* NOLINT(*-int-to-ptr) */
    out->message.msg_control = NULL;
    out->message.msg_controllen = 0;
    if (segment_bytes > 0)
        add_control(out, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
}

/* From where: 0, or why not. After fill_parcel(). `from` NULL: as the routes say. */
static int set_source(parcel *out, const coil_datagram_socket *socket, const coil_address *from,
        unsigned interface_index)
{
    if (socket->family == AF_UNIX)
        return -EOPNOTSUPP;
    const coil_address own =
            from == NULL ? (coil_address){0} : datagram_mapped(socket->family, from);
    if (from != NULL && own.storage.ss_family != socket->family)
        return -EAFNOSUPPORT;
    const void *storage = &own.storage;
    const struct sockaddr_in *v4 = storage;
    const struct sockaddr_in6 *v6 = storage;
    if (socket->family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_ifindex = interface_index};
        if (from != NULL)
            info.ipi6_addr = v6->sin6_addr;
        add_control(out, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
        return 0;
    }
    struct in_pktinfo info = {.ipi_ifindex = (int)interface_index};
    if (from != NULL)
        info.ipi_spec_dst = v4->sin_addr;
    add_control(out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    return 0;
}

/*
 * At once, if the kernel takes it; else when it may. A sendmsg by io_uring that has to wait will
 * not do: the kernel takes the bytes before it finds a unix socket's queue full, and once there is
 * room it sends an empty datagram (seen on Linux 6.18; the simulated kernel does so, too). When a
 * socket is not connected, there is no event for the room in the queue of another: then it is tried
 * again every now and then.
 */
coil_async(int, wait_for_room, (coil_datagram_socket *) socket, (unsigned) attempts)
{
    coil_vars();

    socket->sent_at_once = 0;
    if (attempts > 0)
        coil_await(coil_sleep(coil_ms(PAUSE_MS)));
    coil_attempt(coil_poll(socket->fd, POLLOUT));
    return 0;
}

/* So many are about to be sent. Others have their turn now and then. */
static bool is_to_yield(coil_datagram_socket *socket, unsigned count)
{
    socket->sent_at_once += count;
    if (socket->sent_at_once <= AT_ONCE_COUNT)
        return false;
    socket->sent_at_once = count;
    return true;
}

coil_async(int, send_parcel, (coil_datagram_socket *) socket, (parcel *) out)
{
    coil_vars(ssize_t count; unsigned attempts);

    if (is_to_yield(socket, 1))
        coil_await(coil_yield());
    for (my->attempts = 0;; my->attempts++) {
        my->count = coil_kernel_sendmsg_now(socket->fd, &out->message);
        if (my->count != -EAGAIN && my->count != -EINTR)
            return my->count < 0 ? (int)my->count : 0;
        coil_attempt(wait_for_room(socket, my->attempts));
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

/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_define(int, coil_datagram_send_from, (coil_datagram_socket *) socket,
        (const coil_address *) from, (unsigned) interface_index, (const coil_address *) to,
        (coil_slice) bytes)
{
    coil_vars(parcel out; int rc);

    address_parcel(&my->out, socket, to);
    fill_parcel(&my->out, bytes.bytes, (size_t)bytes.size_bytes, 0);
    my->rc = set_source(&my->out, socket, from, interface_index);
    if (my->rc < 0)
        return my->rc;
    coil_await(my->rc, send_parcel(socket, &my->out));
    socket->counts.sent += my->rc == 0;
    return my->rc;
}

/* Is it one of ours, rather than a group or everybody's? */
static bool is_own(const coil_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_in *v4 = storage;
    const struct sockaddr_in6 *v6 = storage;

    if (address->size_bytes == 0)
        return false;
    if (address->storage.ss_family == AF_INET6)
        return !IN6_IS_ADDR_MULTICAST(&v6->sin6_addr);
    return !IN_MULTICAST(ntohl(v4->sin_addr.s_addr)) &&
           v4->sin_addr.s_addr != htonl(INADDR_BROADCAST);
}

/* Such addresses mean something on one interface only; for others the routes know better. */
static unsigned interface_of(const coil_datagram *question)
{
    const void *storage = &question->to.storage;
    const struct sockaddr_in6 *v6 = storage;
    const bool is_link_local =
            question->to.storage.ss_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
    return is_link_local ? question->interface_index : 0;
}

coil_define(int, coil_datagram_answer, (coil_datagram_socket *) socket,
        (const coil_datagram *) question, (coil_slice) bytes)
{
    coil_vars(int rc);

    if (is_own(&question->to)) {
        coil_await(my->rc, coil_datagram_send_from(socket, &question->to, interface_of(question),
                                   &question->from, bytes));
        return my->rc;
    }
    coil_await(my->rc, coil_datagram_send(socket, &question->from, bytes));
    return my->rc;
}

/* --------------------------------------------------------------------------------- several -- */

/* What one system call sends of several. */
typedef struct batch {
    parcel parcels[BATCH_COUNT];
    struct mmsghdr messages[BATCH_COUNT];
    unsigned count;
} batch;

/* From the first of them on. 0, or what is wrong with that; what is wrong with another waits. */
static int fill_batch(batch *out, const coil_datagram_socket *socket,
        const coil_datagram_outgoing *items, unsigned count)
{
    for (out->count = 0; out->count < count && out->count < BATCH_COUNT; out->count++) {
        const coil_datagram_outgoing *item = &items[out->count];
        parcel *each = &out->parcels[out->count];
        address_parcel(each, socket, item->to);
        fill_parcel(each, item->bytes.bytes, (size_t)item->bytes.size_bytes, 0);
        int rc = item->from == NULL ? 0 : set_source(each, socket, item->from, 0);
        if (rc < 0)
            return out->count == 0 ? rc : 0;
        out->messages[out->count].msg_hdr = each->message;
    }
    return 0;
}

coil_define(int, coil_datagram_send_several, (coil_datagram_socket *) socket,
        (const coil_datagram_outgoing *) items, (unsigned) count)
{
    coil_vars(batch batch; unsigned done; unsigned attempts; int rc);

    for (my->done = 0; my->done < count;) {
        my->rc = fill_batch(&my->batch, socket, items + my->done, count - my->done);
        if (my->rc < 0)
            return my->rc;
        if (is_to_yield(socket, my->batch.count))
            coil_await(coil_yield());
        my->rc = coil_kernel_sendmmsg_now(socket->fd, my->batch.messages, my->batch.count);
        if (my->rc > 0) {
            my->done += (unsigned)my->rc;
            socket->counts.sent += (unsigned)my->rc;
            my->attempts = 0;
        } else if (my->rc == -EAGAIN || my->rc == -EINTR) {
            coil_attempt(wait_for_room(socket, my->attempts++));
        } else {
            return my->rc;
        }
    }
    return 0;
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
