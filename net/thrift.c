/* SPDX-License-Identifier: MIT */
#include <coil/thrift.h>

#include "thrift_load.h"

#include <errno.h>
#include <stdio.h>

enum { DEFAULT_FRAME_MAX = 16384000 };

const coil_thrift_limits coil_thrift_limits_default = {
        .frame_max = DEFAULT_FRAME_MAX,
        .string_max = DEFAULT_FRAME_MAX,
        .container_max = DEFAULT_FRAME_MAX,
        .depth_max = COIL_THRIFT_DEPTH_MAX,
        .buffer_max = 64 << 20,
};

const char *coil_thrift_type_name(uint8_t type)
{
    static const char *const names[] = {
            [COIL_THRIFT_STOP] = "field",
            [COIL_THRIFT_BOOL] = "bool",
            [COIL_THRIFT_I8] = "i8",
            [COIL_THRIFT_DOUBLE] = "double",
            [COIL_THRIFT_I16] = "i16",
            [COIL_THRIFT_I32] = "i32",
            [COIL_THRIFT_I64] = "i64",
            [COIL_THRIFT_STRING] = "string",
            [COIL_THRIFT_STRUCT] = "struct",
            [COIL_THRIFT_MAP] = "map",
            [COIL_THRIFT_SET] = "set",
            [COIL_THRIFT_LIST] = "list",
            [COIL_THRIFT_UUID] = "uuid",
    };

    if (type >= sizeof(names) / sizeof(names[0]) || names[type] == NULL)
        return "unknown";
    return names[type];
}

coil_thrift_text coil_thrift_text_of(const char *string)
{
    size_t size = strlen(string);
    COIL_CHECK(size <= UINT32_MAX);
    return (coil_thrift_text){.bytes = string, .size = (uint32_t)size};
}

bool coil_thrift_text_is(coil_thrift_text text, const char *string)
{
    size_t size = strlen(string);
    return text.size == size && (size == 0 || memcmp(text.bytes, string, size) == 0);
}

static uint32_t frame_max(const coil_thrift_limits *limits)
{
    return limits == NULL ? DEFAULT_FRAME_MAX : limits->frame_max;
}

int coil_thrift_frame_size(const uint8_t first[4], const coil_thrift_limits *limits)
{
    uint32_t size = thrift_load_32(first);

    if (size == 0)
        return -EBADMSG;
    if (size > INT32_MAX || size > frame_max(limits))
        return -EMSGSIZE;
    return (int)size;
}

/*
 * What a peer speaks that begins like this, or NULL. Asked only about frames that were refused, so
 * it may be generous: all of these, read as a size, are above 340 MB or negative.
 */
static const char *guess_protocol(const uint8_t first[4])
{
    static const char *const http[] = {
            "GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC", "CONN", "TRAC", "HTTP", "PRI "};

    for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++) {
        if (memcmp(first, http[i], 4) == 0)
            return "HTTP";
    }
    if (first[0] == 0x80 && first[1] == 0x01)
        return "unframed Thrift, binary protocol";
    if (first[0] == 0x82)
        return "unframed Thrift, compact protocol";
    if (first[0] == '[')
        return "unframed Thrift, JSON protocol";
    if (first[0] == 0x16 && first[1] == 0x03)
        return "TLS";
    if (memcmp(first, "SSH-", 4) == 0)
        return "SSH";
    return NULL;
}

const char *coil_thrift_frame_what(
        const uint8_t first[4], const coil_thrift_limits *limits, char *text, size_t text_size)
{
    const char *protocol = guess_protocol(first);
    uint32_t size = thrift_load_32(first);

    if (size == 0) {
        snprintf(text, text_size, "frame of 0 bytes");
    } else {
        snprintf(text, text_size, "frame of %u bytes, the limit is %u%s%s", size, frame_max(limits),
                protocol == NULL ? "" : ": this looks like ", protocol == NULL ? "" : protocol);
    }
    return text;
}

int coil_thrift_detect_protocol(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return -EAGAIN;
    switch (bytes[0]) {
    case 0x80: /* The version's first byte. */
    case 0x00: /* The size of a name, of which there are none with 16 MiB. */
        return COIL_THRIFT_PROTOCOL_BINARY;
    case 0x82:
        return COIL_THRIFT_PROTOCOL_COMPACT;
    case '[':
        return COIL_THRIFT_PROTOCOL_JSON;
    default:
        return -EBADMSG;
    }
}

const char *coil_thrift_protocol_name(enum coil_thrift_protocol protocol)
{
    static const char *const names[] = {
            [COIL_THRIFT_PROTOCOL_BINARY] = "binary",
            [COIL_THRIFT_PROTOCOL_COMPACT] = "compact",
            [COIL_THRIFT_PROTOCOL_JSON] = "JSON",
    };

    COIL_CHECK(protocol <= COIL_THRIFT_PROTOCOL_JSON);
    return names[protocol];
}

const char *coil_thrift_exception_name(int32_t type)
{
    static const char *const names[] = {
            [COIL_THRIFT_UNKNOWN] = "unknown exception",
            [COIL_THRIFT_UNKNOWN_METHOD] = "unknown method",
            [COIL_THRIFT_INVALID_MESSAGE_TYPE] = "invalid message type",
            [COIL_THRIFT_WRONG_METHOD_NAME] = "wrong method name",
            [COIL_THRIFT_BAD_SEQUENCE_ID] = "bad sequence id",
            [COIL_THRIFT_MISSING_RESULT] = "missing result",
            [COIL_THRIFT_INTERNAL_ERROR] = "internal error",
            [COIL_THRIFT_PROTOCOL_ERROR] = "protocol error",
            [COIL_THRIFT_INVALID_TRANSFORM] = "invalid transform",
            [COIL_THRIFT_INVALID_PROTOCOL] = "invalid protocol",
            [COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE] = "unsupported client type",
            [COIL_THRIFT_LOADSHEDDING] = "overloaded",
            [COIL_THRIFT_TIMEOUT] = "timeout",
    };

    if (type < 0 || type > COIL_THRIFT_TIMEOUT)
        return names[COIL_THRIFT_UNKNOWN];
    return names[type];
}

void coil_thrift_read_exception(coil_thrift_reader *reader, coil_thrift_exception *out_exception)
{
    coil_thrift_exception exception = {.type = COIL_THRIFT_UNKNOWN, .message = {.bytes = ""}};
    coil_thrift_field field;

    while (coil_thrift_read_field(reader, &field)) {
        switch (field.id) {
        case 1:
            coil_thrift_get_string(reader, &exception.message);
            break;
        case 2:
            coil_thrift_get_i32(reader, &exception.type);
            break;
        }
    }
    *out_exception = exception;
}

void coil_thrift_write_exception(coil_thrift_writer *writer, const coil_thrift_exception *exception)
{
    coil_thrift_put_string(writer, 1, exception->message);
    coil_thrift_put_i32(writer, 2, exception->type);
    coil_thrift_write_stop(writer);
}

int coil_thrift_reply_exception(coil_thrift_writer *writer, const coil_thrift_message *call,
        enum coil_thrift_exception_type type, coil_thrift_text text)
{
    coil_thrift_message reply = *call;
    coil_thrift_exception exception = {.type = (int32_t)type, .message = text};

    reply.type = COIL_THRIFT_EXCEPTION;
    coil_thrift_writer_begin(writer, &reply);
    coil_thrift_write_exception(writer, &exception);
    return coil_thrift_writer_finish(writer);
}
