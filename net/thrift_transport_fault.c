/* SPDX-License-Identifier: MIT */
#include "thrift_transport_fault.h"

#include "http_message.h"
#include "thrift_transport_private.h"

#include <errno.h>
#include <stdio.h>

typedef struct fault_words {
    int error;
    enum coil_thrift_exception_type exception;
    const char *words;
} fault_words;

static const fault_words faults[TRANSPORT_FAULT_COUNT] = {
        [TRANSPORT_FAULT_NOTHING] = {0, COIL_THRIFT_UNKNOWN, "no error"},
        [TRANSPORT_FAULT_LENGTH] = {-EMSGSIZE, COIL_THRIFT_PROTOCOL_ERROR, NULL},
        [TRANSPORT_FAULT_TLS] = {-EPROTONOSUPPORT, COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE,
                "this looks like TLS, which this port does not speak"},
        [TRANSPORT_FAULT_FIRST_BYTES] = {-EBADMSG, COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE,
                "a connection that begins like this is none of Thrift"},
        [TRANSPORT_FAULT_NO_MESSAGE] = {-EBADMSG, COIL_THRIFT_INVALID_PROTOCOL,
                "no protocol of Thrift has messages that begin like this"},
        [TRANSPORT_FAULT_EMPTY] = {-EBADMSG, COIL_THRIFT_PROTOCOL_ERROR,
                "there is no message inside"},
        [TRANSPORT_FAULT_UNFRAMED] = {-EBADMSG, COIL_THRIFT_PROTOCOL_ERROR,
                "the unframed message is malformed, or above a limit"},
        [TRANSPORT_FAULT_HEADER_CUT] = {-EBADMSG, COIL_THRIFT_PROTOCOL_ERROR,
                "THeader: something begins in the header and does not end in it"},
        [TRANSPORT_FAULT_HEADER_SIZE] = {-EMSGSIZE, COIL_THRIFT_PROTOCOL_ERROR,
                "THeader: the header is larger than 32768 bytes"},
        [TRANSPORT_FAULT_HEADER_COUNT] = {-EMSGSIZE, COIL_THRIFT_PROTOCOL_ERROR,
                "THeader: there are more than 128 headers"},
        [TRANSPORT_FAULT_PROTOCOL_ID] = {-EPROTONOSUPPORT, COIL_THRIFT_INVALID_PROTOCOL,
                "THeader: the protocol is unknown"},
        [TRANSPORT_FAULT_TRANSFORM] = {-EPROTONOSUPPORT, COIL_THRIFT_INVALID_TRANSFORM,
                "THeader: a transform is unknown, or applied twice"},
        [TRANSPORT_FAULT_ZLIB] = {-EBADMSG, COIL_THRIFT_INVALID_TRANSFORM,
                "zlib: the compressed bytes are malformed"},
        [TRANSPORT_FAULT_ZLIB_CUT] = {-EBADMSG, COIL_THRIFT_INVALID_TRANSFORM,
                "zlib: the compressed bytes do not end where the message does"},
        [TRANSPORT_FAULT_ZLIB_SIZE] = {-EMSGSIZE, COIL_THRIFT_INVALID_TRANSFORM,
                "zlib: the message becomes larger than allowed, or than its size may account for"},
        [TRANSPORT_FAULT_ZLIB_MISSING] = {-EPROTONOSUPPORT, COIL_THRIFT_INVALID_TRANSFORM,
                "zlib: it is not in this build"},
        [TRANSPORT_FAULT_HTTP] = {-EBADMSG, COIL_THRIFT_PROTOCOL_ERROR, NULL},
        [TRANSPORT_FAULT_HTTP_STATUS] = {-EPROTO, COIL_THRIFT_PROTOCOL_ERROR, NULL},
        [TRANSPORT_FAULT_HTTP_MISSING] = {-EPROTONOSUPPORT, COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE,
                "HTTP: it is not in this build"},
        [TRANSPORT_FAULT_END] = {-ENODATA, COIL_THRIFT_PROTOCOL_ERROR,
                "the connection ended within a message"},
        [TRANSPORT_FAULT_NO_SPACE] = {-ENOMEM, COIL_THRIFT_INTERNAL_ERROR, "no memory"},
};

const char *thrift_transport_what(const thrift_transport *transport, char *text, size_t text_size)
{
    const uint8_t *seen = transport->seen;
    const char *words = faults[transport->fault].words;

    switch (transport->fault) {
    case TRANSPORT_FAULT_LENGTH:
        return coil_thrift_frame_what(seen, transport->limits, text, text_size);
    case TRANSPORT_FAULT_HTTP:
        (void)snprintf(text, text_size, "HTTP: %s", http_message_what(transport->http));
        return text;
    case TRANSPORT_FAULT_HTTP_STATUS:
        (void)snprintf(text, text_size, "HTTP: the answer has status %d",
                http_message_status(transport->http));
        return text;
    case TRANSPORT_FAULT_FIRST_BYTES:
        (void)snprintf(text, text_size, "%02x %02x: %s", seen[0], seen[1], words);
        return text;
    case TRANSPORT_FAULT_NO_MESSAGE:
        (void)snprintf(text, text_size, "%02x: %s", seen[0], words);
        return text;
    default:
        (void)snprintf(text, text_size, "%s", words);
        return text;
    }
}

int thrift_transport_fail_as(thrift_transport *transport, enum transport_fault fault, int error)
{
    transport->state = STATE_FAILED;
    transport->fault = (uint8_t)fault;
    transport->exception = faults[fault].exception;
    return error;
}

int thrift_transport_fail(thrift_transport *transport, enum transport_fault fault)
{
    return thrift_transport_fail_as(transport, fault, faults[fault].error);
}

int thrift_transport_fail_at(
        thrift_transport *transport, enum transport_fault fault, const uint8_t *bytes, size_t size)
{
    memset(transport->seen, 0, sizeof(transport->seen));
    memcpy(transport->seen, bytes, size < sizeof(transport->seen) ? size : sizeof(transport->seen));
    return thrift_transport_fail(transport, fault);
}

int thrift_transport_fail_inflating(thrift_transport *transport, int error)
{
    switch (error) {
    case -ENODATA:
        return thrift_transport_fail(transport, TRANSPORT_FAULT_ZLIB_CUT);
    case -EMSGSIZE:
        return thrift_transport_fail(transport, TRANSPORT_FAULT_ZLIB_SIZE);
    case -EPROTONOSUPPORT:
        return thrift_transport_fail(transport, TRANSPORT_FAULT_ZLIB_MISSING);
    case -ENOMEM:
        return thrift_transport_fail(transport, TRANSPORT_FAULT_NO_SPACE);
    default:
        return thrift_transport_fail(transport, TRANSPORT_FAULT_ZLIB);
    }
}

int thrift_transport_fail_length(thrift_transport *transport, const uint8_t *bytes, size_t size)
{
    bool is_empty = thrift_load_32(bytes) == 0;

    (void)thrift_transport_fail_at(transport, TRANSPORT_FAULT_LENGTH, bytes, size);
    return is_empty ? -EBADMSG : -EMSGSIZE;
}
