/* SPDX-License-Identifier: MIT */
#include <coil/health_probe.h>

#include <coil/fb303_service.h>
#include <coil/stream.h>
#include <coil/thrift_client.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { REQUEST_BYTES = 512, STATUS_LINE_BYTES = 1024 };

static const coil_network_probe *network_probe(coil_health_probe *probe)
{
    return coil_container_of(probe, coil_network_probe, probe);
}

coil_define(int, coil_health_ask, (coil_health_probe *) probe)
{
    coil_vars(int health);

    coil_await(my->health, coil_handler_call(probe->ask, probe));
    return my->health;
}

coil_async(int, ask_nobody, (coil_health_probe *) probe)
{
    coil_vars();
    (void)probe;
    return -ENAMETOOLONG;
}

/* An address that was cut off would be somebody else's. */
static void init(coil_network_probe *probe, coil_handler ask, const char *address)
{
    *probe = (coil_network_probe){.probe = {ask}};
    const size_t size_bytes = strlen(address) + 1;
    if (size_bytes <= sizeof(probe->address)) {
        memcpy(probe->address, address, size_bytes);
    } else {
        probe->probe.ask = coil_handler(ask_nobody, coil_health_probe *);
    }
}

/* ------------------------------------------------------------------------------------- TCP -- */

coil_async(int, ask_tcp, (coil_health_probe *) probe)
{
    coil_vars(coil_stream *peer);

    coil_attempt(my->peer, coil_connect(network_probe(probe)->address));
    coil_stream_close(my->peer);
    return COIL_HEALTH_READY;
}

void coil_tcp_probe_init(coil_network_probe *probe, const char *address)
{
    init(probe, coil_handler(ask_tcp, coil_health_probe *), address);
}

/* ------------------------------------------------------------------------------------ HTTP -- */

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* "HTTP/1.1 200 OK", of which the last part may be missing (RFC 9112, section 4). */
static int judge_status_line(const char *line, size_t size)
{
    if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ' ||
            !is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) ||
            (size > 12 && line[12] != ' ' && line[12] != '\r' && line[12] != '\n'))
        return -EPROTO;
    const int status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (status >= 200 && status < 400)
        return COIL_HEALTH_READY;
    switch (status) {
    case 429:
        return COIL_HEALTH_WARNING;
    case 503:
        return COIL_HEALTH_STARTING;
    }
    return COIL_HEALTH_DEAD;
}

coil_async(int, ask_http, (coil_health_probe *) probe)
{
    coil_vars(coil_stream *peer; coil_slice line; char request[REQUEST_BYTES]; int size);

    my->size = snprintf(my->request, sizeof(my->request),
            "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: coil\r\n\r\n",
            network_probe(probe)->path, network_probe(probe)->address);
    if (my->size >= REQUEST_BYTES)
        return -ENAMETOOLONG;
    coil_attempt(my->peer, coil_connect(network_probe(probe)->address));
    coil_defer(coil_stream_close(my->peer));
    coil_attempt(coil_write_all(my->peer, coil_text(my->request)));
    coil_attempt(my->line, coil_read_until(my->peer, '\n', STATUS_LINE_BYTES));
    coil_defer(coil_slice_release(&my->line));
    if (my->line.size_bytes == 0)
        return -ENODATA;
    return judge_status_line(my->line.bytes, (size_t)my->line.size_bytes);
}

void coil_http_probe_init(coil_network_probe *probe, const char *address, const char *path)
{
    init(probe, coil_handler(ask_http, coil_health_probe *), address);
    probe->path = path;
}

/* ----------------------------------------------------------------------------------- fb303 -- */

static int judge_fb303(int status)
{
    switch (status) {
    case COIL_FB303_DEAD:
    case COIL_FB303_STOPPED:
        return COIL_HEALTH_DEAD;
    case COIL_FB303_STARTING:
        return COIL_HEALTH_STARTING;
    case COIL_FB303_ALIVE:
        return COIL_HEALTH_READY;
    case COIL_FB303_STOPPING:
        return COIL_HEALTH_STOPPING;
    case COIL_FB303_WARNING:
        return COIL_HEALTH_WARNING;
    }
    return -EPROTO;
}

coil_async(int, ask_fb303, (coil_health_probe *) probe)
{
    coil_vars(coil_thrift_client *client; int status);

    coil_attempt(my->client, coil_thrift_connect(network_probe(probe)->address));
    coil_defer(coil_thrift_client_close(my->client));
    coil_attempt(my->status, coil_fb303_get_status(my->client));
    return judge_fb303(my->status);
}

void coil_fb303_probe_init(coil_network_probe *probe, const char *address)
{
    init(probe, coil_handler(ask_fb303, coil_health_probe *), address);
}
