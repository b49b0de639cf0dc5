/* SPDX-License-Identifier: MIT */
#include "datagram_private.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>

/* Since Linux 5.0; older headers lack it. */
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* What control messages say. */
typedef struct remarks {
    unsigned segment_bytes; /* 0: nothing was joined. */
    unsigned interface_index;
    coil_address to;
} remarks;

static void note_ipv4(remarks *noted, const struct cmsghdr *control)
{
    struct in_pktinfo info;
    struct sockaddr_in to = {.sin_family = AF_INET};
    memcpy(&info, CMSG_DATA(control), sizeof(info));
    to.sin_addr = info.ipi_addr;
    noted->interface_index = (unsigned)info.ipi_ifindex;
    datagram_unmap(&to, sizeof(to), &noted->to);
}

static void note_ipv6(remarks *noted, const struct cmsghdr *control)
{
    struct in6_pktinfo info;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};
    memcpy(&info, CMSG_DATA(control), sizeof(info));
    to.sin6_addr = info.ipi6_addr;
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
        to.sin6_scope_id = info.ipi6_ifindex;
    noted->interface_index = info.ipi6_ifindex;
    datagram_unmap(&to, sizeof(to), &noted->to);
}

static void note(coil_datagram_socket *socket, remarks *noted, const struct cmsghdr *control)
{
    int segment_bytes;
    uint32_t dropped;

    if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
        memcpy(&dropped, CMSG_DATA(control), sizeof(dropped));
        /* Of all 64 bits the kernel says 32, and not less than before. */
        socket->counts.dropped += (uint32_t)(dropped - (uint32_t)socket->counts.dropped);
    } else if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
        memcpy(&segment_bytes, CMSG_DATA(control), sizeof(segment_bytes));
        noted->segment_bytes = segment_bytes > 0 ? (unsigned)segment_bytes : 0;
    } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        note_ipv4(noted, control);
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        note_ipv6(noted, control);
    }
}

/* CMSG_NXTHDR() is a call of libc. */
static void note_all(coil_datagram_socket *socket, remarks *noted, const struct msghdr *about)
{
    const char *at = about->msg_control;
    size_t left_bytes = about->msg_controllen;

    while (left_bytes >= sizeof(struct cmsghdr)) {
        const struct cmsghdr *control = (const struct cmsghdr *)(const void *)at;
        if (control->cmsg_len < sizeof(*control) || control->cmsg_len > left_bytes)
            return;
        note(socket, noted, control);
        size_t step_bytes = CMSG_ALIGN(control->cmsg_len);
        if (step_bytes >= left_bytes)
            return;
        at += step_bytes;
        left_bytes -= step_bytes;
    }
}

static void fill(coil_datagram_socket *socket, coil_datagram *datagram, coil_arrival *arrival)
{
    remarks noted = {0};
    note_all(socket, &noted, &arrival->about);
    datagram->bytes = arrival->payload;
    datagram_unmap(arrival->about.msg_name, arrival->about.msg_namelen, &datagram->from);
    datagram->to.size_bytes = 0;
    if (noted.to.size_bytes > 0)
        datagram->to = noted.to;
    datagram->interface_index = noted.interface_index;
    datagram->whole_bytes = (uint32_t)arrival->whole_bytes;
    socket->rest_segment_bytes =
            noted.segment_bytes < arrival->payload.size_bytes ? noted.segment_bytes : 0;
}

static void copy_address(coil_address *to, const coil_address *from)
{
    memcpy(&to->storage, &from->storage, from->size_bytes);
    to->size_bytes = from->size_bytes;
}

/* All but the bytes. */
static void copy_remarks(coil_datagram *to, const coil_datagram *from)
{
    copy_address(&to->from, &from->from);
    copy_address(&to->to, &from->to);
    to->interface_index = from->interface_index;
    to->whole_bytes = from->whole_bytes;
}

/* The first of those that were joined; the others are the rest. What was cut is the last. */
static void take_segment(coil_datagram_socket *socket, coil_datagram *datagram)
{
    coil_datagram *rest = &socket->rest;
    uint32_t segment_bytes = socket->rest_segment_bytes;

    copy_remarks(datagram, rest);
    if (rest->bytes.size_bytes > segment_bytes) {
        datagram->bytes = coil_slice_split(&rest->bytes, segment_bytes);
        datagram->whole_bytes = segment_bytes;
        rest->whole_bytes -= segment_bytes;
    } else {
        datagram->bytes = coil_slice_take(&rest->bytes);
        socket->rest_segment_bytes = 0;
        if (datagram->whole_bytes > segment_bytes)
            datagram->whole_bytes = segment_bytes; /* More of them are missing altogether. */
    }
}

/* One that is there. */
static void take(coil_datagram_socket *socket, coil_datagram *datagram)
{
    if (socket->rest_segment_bytes == 0) {
        coil_arrival arrival = coil_datagram_receiver_take(socket->receiver);
        fill(socket, datagram, &arrival);
        if (socket->rest_segment_bytes > 0) {
            socket->rest.bytes = datagram->bytes;
            copy_remarks(&socket->rest, datagram);
        }
    }
    if (socket->rest_segment_bytes > 0)
        take_segment(socket, datagram);
    socket->counts.received++;
    socket->counts.cut += datagram->bytes.size_bytes < datagram->whole_bytes;
}

/* Up to `count`: how many, -EAGAIN, or an error. */
static int take_some(
        coil_datagram_socket *socket, coil_task *task, coil_datagram *datagrams, unsigned count)
{
    unsigned taken = 0;
    int rc = 1;

    while (taken < count) {
        if (socket->rest_segment_bytes == 0) {
            if (taken > 0 && coil_datagram_receiver_queued(socket->receiver) == 0)
                break; /* An error, if there is one, is told next time. */
            rc = coil_datagram_receiver_look(socket->receiver, task);
        }
        if (rc < 0)
            return rc;
        take(socket, &datagrams[taken++]);
    }
    return (int)taken;
}

/* Results are how many, or, of one, 0. */
static coil_turn receive(coil_task *task, coil_frame *leaf, coil_datagram_socket *socket,
        coil_datagram *datagrams, unsigned count, bool counts)
{
    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    int rc = take_some(socket, task, datagrams, count);
    if (rc == -EAGAIN) {
        if (leaf->at != NULL && coil_task_unwind_here(task))
            return coil_leave(task, leaf);
        coil_datagram_receiver_wait(socket->receiver, task);
        return coil_leaf_suspend(leaf);
    }
    coil_frame_set_result(leaf, rc < 0 || counts ? rc : 0);
    return coil_leave(task, leaf);
}

static coil_turn receive_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_datagram_receive__args *arguments =
            coil_arguments(coil_datagram_receive, leaf);
    return receive(task, leaf, arguments->socket, arguments->out_datagram, 1, false);
}

coil_define_leaf(coil_datagram_receive, receive_step, coil_leaf_wake);

static coil_turn receive_some_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_datagram_receive_some__args *arguments =
            coil_arguments(coil_datagram_receive_some, leaf);
    COIL_CHECK(arguments->count > 0);
    return receive(task, leaf, arguments->socket, arguments->out_datagrams, arguments->count, true);
}

coil_define_leaf(coil_datagram_receive_some, receive_some_step, coil_leaf_wake);

unsigned coil_datagram_unread(const coil_datagram_socket *socket)
{
    unsigned unread = coil_datagram_receiver_queued(socket->receiver);
    if (socket->rest_segment_bytes > 0) {
        unread += ((unsigned)socket->rest.bytes.size_bytes + socket->rest_segment_bytes - 1) /
                  socket->rest_segment_bytes;
    }
    return unread;
}
