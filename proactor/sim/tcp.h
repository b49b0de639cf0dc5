/* SPDX-License-Identifier: MIT */
/*
 * tcp.h - TCP as its users see it: what is in order, what is lost, what takes how long.
 *
 *     tcp_socket ----> tcp_end ==== segments in flight ====> tcp_end <---- tcp_socket
 *     (the file)         |  <=== news: acknowledged, room ===   |
 *                        +------------ tcp_connection ----------+
 *
 * A connection is two ends. An end outlives its socket, because the kernel sends what was written
 * before a close, and answers what comes after it by RST; it goes when both sockets have gone.
 *
 * Segments of a direction arrive in order: one that is lost holds up those behind it, for the time
 * after which TCP sends again, which doubles each time (RFC 6298). There is no congestion control.
 */
#ifndef SIM_TCP_H
#define SIM_TCP_H

#include "bytes.h"
#include "ledger.h"
#include "socket.h"

typedef struct tcp_socket tcp_socket;
typedef struct tcp_end tcp_end;
typedef struct tcp_connection tcp_connection;

typedef enum tcp_state {
    TCP_IS_CLOSED, /* Not connected yet, or no longer. */
    TCP_IS_LISTENING,
    TCP_IS_CONNECTING,
    TCP_IS_FAILED,    /* To connect; connect(2) will say so. */
    TCP_IS_HALF_OPEN, /* Of a listener, before the last segment of the handshake: SYN_RECV. */
    TCP_IS_OPEN,      /* From ESTABLISHED to LAST_ACK. */
} tcp_state;

/* What arrives next of a handshake; of the client alone. */
typedef enum tcp_handshake {
    TCP_SYN_ARRIVES,     /* It arrives, at the listener. */
    TCP_SYN_ACK_ARRIVES, /* It arrives, at the client. */
    TCP_RST_ARRIVES,     /* RST arrives. */
    TCP_SYN_AGAIN,       /* Nothing has come. */
    TCP_UNREACHABLE,
} tcp_handshake;

struct tcp_socket {
    sim_socket socket; /* First. */
    tcp_state state;
    tcp_end *end; /* NULL: no connection. */

    bool has_passing_port; /* One that connect(2) has chosen. */

    /* LISTENING */
    coil_list backlog; /* Children that are open, by time. */
    size_t backlog_count;
    size_t half_open_count;
    size_t backlog_limit;

    /* A child of a listener. */
    coil_list backlog_link;
    tcp_socket *listener; /* NULL: accepted, or the listener is closed. */

    /* CONNECTING */
    sim_event handshake;
    tcp_handshake awaits;
    unsigned syn_count;
    tcp_end *offered; /* Our end, until it is open. */

    /* OPEN */
    sim_bytes received;
    uint64_t read_position; /* In the stream, of the first byte of `received`. */
    bool has_end;           /* FIN has come. */
    bool has_urgent;        /* tcp(7), MSG_OOB; at this position, and not read yet. */
    bool urgent_is_read;
    uint64_t urgent_position;
};

typedef enum tcp_segment_kind { TCP_OPENS, TCP_BYTES, TCP_FIN, TCP_RST } tcp_segment_kind;

typedef struct tcp_segment {
    coil_list link; /* In end->segments. */
    tcp_segment_kind kind;
    size_t size_bytes;
    coil_time arrival;
} tcp_segment;

struct tcp_end {
    tcp_connection *connection;
    tcp_end *peer;
    tcp_socket *socket; /* NULL: closed. */
    sim_host *host;

    /* What we send. Positions count from the beginning of the stream. */
    sim_ledger ledger;
    sim_bytes unacknowledged; /* From `acknowledged` to `written`. */
    uint64_t written;
    uint64_t sent;
    uint64_t delivered;
    uint64_t acknowledged;
    uint64_t window_end; /* So far the peer lets us send, as we know. */
    bool has_urgent;
    uint64_t urgent_position;
    bool fin_wanted;
    bool fin_sent;
    bool closes_first; /* Before the peer has: it is this end that will be in TIME_WAIT. */
    bool fin_delivered;
    bool fin_acknowledged;
    bool is_dead; /* Reset, given up, without power: it sends nothing but RST. */

    coil_list segments; /* On their way. */
    sim_event arrival;  /* Of the first. */
    bool is_delivering;
    sim_event news;          /* What the peer has got comes to be known. */
    coil_time failing_since; /* COIL_NEVER: all is well. */
    unsigned retry_count;

    sim_event probe; /* SO_KEEPALIVE */
    unsigned probe_count;
    coil_time heard_at;
};

struct tcp_connection {
    coil_list link; /* In sim_network_connections(). */
    sim_world *world;
    tcp_end ends[2]; /* Of the client, of the server. */
    sim_event end;   /* To free it. */
    bool was_open;
};

static inline tcp_socket *tcp_socket_of(sim_file *file)
{
    return coil_container_of(sim_socket_of(file), tcp_socket, socket);
}

/* A socket of TCP, not connected. */
tcp_socket *tcp_socket_new(sim_host *host, int family);

/* ------------------------------------------------------------------------- tcp_connection.c -- */

/* Of two ends without sockets. Belongs to the network, and goes when both sockets have gone. */
tcp_connection *tcp_connection_new(sim_host *client, sim_host *server);

/* The socket has gone, and what it has not read; the end has still to leave. */
void tcp_end_detach(tcp_end *end);

/* That, and the connection goes if the peer's socket has gone, too. */
void tcp_end_leave(tcp_end *end);

/* RST has come, or would have. */
void tcp_end_reset(tcp_end *end);

/* Nobody has answered for too long: tcp(7), ETIMEDOUT. The peer learns nothing of it. */
void tcp_end_time_out(tcp_end *end);

/*
 * If it is half open, nothing will come any more that opens it. (The kernel finds out after some
 * seconds.)
 */
void tcp_end_forget_half_open(tcp_end *end);

/* ------------------------------------------------------------------------------ tcp_flow.c -- */

/* Of an end that is zeroed but for its connection, peer and host. */
void tcp_flow_init(tcp_end *end);

/* What is on its way gets lost. */
void tcp_flow_drop(tcp_end *end);

/* The handshake is done, as the client sees it; what tells the server is on its way. */
void tcp_end_open(tcp_end *end);

/* More has been written, or shut: send what may be sent. */
void tcp_end_push(tcp_end *end);

/* The owner has read: the peer may send more. */
void tcp_end_has_room(tcp_end *end);

/* RST, and nothing else any more. */
void tcp_end_abort(tcp_end *end);

/* -------------------------------------------------------------------------- tcp_keep_alive.c -- */

/* Begin to ask, or to ask by other options; nothing without SO_KEEPALIVE. */
void tcp_end_keep_alive(tcp_end *end);

/* ---------------------------------------------------------------------------- tcp_connect.c -- */

int tcp_listen(sim_file *file, int backlog);
int tcp_connect(sim_file *file, const struct sockaddr *address, socklen_t size_bytes);
int tcp_accept(
        sim_file *file, struct sockaddr *address, socklen_t *size_bytes, sim_file **out_file);

/* It listens no more: those that wait to be accepted are reset. */
void tcp_listener_close(tcp_socket *listener);

/* The handshake is over for the child. False: nobody listens any more. */
bool tcp_child_open(tcp_socket *child);

/* The client has gone before the end of the handshake. */
void tcp_child_drop(tcp_socket *child);

/* ----------------------------------------------------------------------------- tcp_remains.c -- */

/* A socket goes, having closed first: for a minute its port is in use. */
void tcp_remains_leave(const tcp_socket *tcp);

/* Whoever looks for a port calls this before. */
void tcp_remains_expire(sim_world *world);

/* Of that host (NULL: of all). */
void tcp_remains_forget(sim_world *world, const sim_host *host);

/* ------------------------------------------------------------------------------------ tcp.c -- */

/* The socket has no connection any more. Its error, if it has one, and bytes remain. */
void tcp_socket_closed(tcp_socket *tcp);

/* SO_KEEPALIVE or TCP_KEEPIDLE of it has been set. */
void tcp_keep_alive_changed(sim_socket *socket);

#endif
