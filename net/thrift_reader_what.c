/* SPDX-License-Identifier: MIT */
/* What is wrong with a frame, in words. The reader keeps facts: mostly nobody wants to know. */
#include "thrift_private.h"

#include <stdio.h>

/* Strings are measured in bytes and containers in elements; scalars are either there or cut. */
static const char *unit_of(uint8_t type)
{
    switch (type) {
    case COIL_THRIFT_LIST:
    case COIL_THRIFT_SET:
        return "elements";
    case COIL_THRIFT_MAP:
        return "pairs";
    default:
        return "bytes";
    }
}

static uint32_t size_limit(const coil_thrift_reader *reader, uint8_t type)
{
    if (type == COIL_THRIFT_STRING)
        return reader->limits->string_max;
    return reader->limits->container_max;
}

/* What a message is that begins with this byte, and was refused. */
static const char *guess_protocol(const coil_thrift_reader *reader, uint32_t byte)
{
    static const char *const names[] = {
            [COIL_THRIFT_PROTOCOL_BINARY] = "the binary protocol",
            [COIL_THRIFT_PROTOCOL_COMPACT] = "the compact protocol",
            [COIL_THRIFT_PROTOCOL_JSON] = "the JSON protocol",
    };
    const uint8_t first = (uint8_t)byte;
    const int protocol = coil_thrift_detect_protocol(&first, 1);

    return protocol < 0 || protocol == reader->protocol ? "no protocol of Thrift" : names[protocol];
}

/* The same for faults that the binary protocol does not have. */
static void say_encoding(const coil_thrift_reader *reader, char *text, size_t text_size)
{
    const char *type = coil_thrift_type_name(reader->fault_type);
    const uint32_t value = reader->fault_value;
    const uint32_t offset = reader->fault_offset;

    switch ((enum thrift_fault)reader->fault) {
    case THRIFT_FAULT_NO_ARENA:
        snprintf(text, text_size, "no place for the %u bytes of a %s at offset %u", value, type,
                offset);
        break;
    case THRIFT_FAULT_OVERLONG:
        snprintf(text, text_size, "%s at offset %u has more bytes than %u bits need", type, offset,
                value);
        break;
    case THRIFT_FAULT_RANGE:
        snprintf(text, text_size, "%s at offset %u is out of range", type, offset);
        break;
    case THRIFT_FAULT_SYNTAX:
        snprintf(text, text_size, "0x%02x at offset %u, which needs a '%c'", value & 0xff, offset,
                (int)(value >> 8));
        break;
    case THRIFT_FAULT_NUMBER:
        snprintf(text, text_size, "no %s at offset %u", type, offset);
        break;
    case THRIFT_FAULT_TYPE_NAME:
        snprintf(text, text_size, "unknown name of a type at offset %u", offset);
        break;
    case THRIFT_FAULT_ESCAPE:
        snprintf(text, text_size, "%s at offset %u has an escape that is none", type, offset);
        break;
    case THRIFT_FAULT_ENDS:
        snprintf(text, text_size, "a frame of %u bytes ends in a %s at offset %u", reader->size,
                type, offset);
        break;
    case THRIFT_FAULT_BASE64:
        snprintf(text, text_size, "%s at offset %u is not in base64", type, offset);
        break;
    default:
        break;
    }
}

const char *coil_thrift_reader_what(const coil_thrift_reader *reader, char *text, size_t text_size)
{
    const char *type = coil_thrift_type_name(reader->fault_type);
    const char *unit = unit_of(reader->fault_type);
    uint32_t value = reader->fault_value;
    uint32_t offset = reader->fault_offset;

    switch ((enum thrift_fault)reader->fault) {
    case THRIFT_FAULT_NONE:
        snprintf(text, text_size, "no error");
        break;
    case THRIFT_FAULT_CUT:
        snprintf(text, text_size, "%s of %u %s at offset %u in a frame of %u", type, value, unit,
                offset, reader->size);
        break;
    case THRIFT_FAULT_NEGATIVE:
        snprintf(text, text_size, "%s of %d %s at offset %u", type, (int32_t)value, unit, offset);
        break;
    case THRIFT_FAULT_OVER_LIMIT:
        snprintf(text, text_size, "%s of %u %s at offset %u in a frame of %u, the limit is %u",
                type, value, unit, offset, reader->size, size_limit(reader, reader->fault_type));
        break;
    case THRIFT_FAULT_UNKNOWN_TYPE:
        snprintf(text, text_size, "unknown type %u at offset %u", value, offset);
        break;
    case THRIFT_FAULT_VERSION:
        snprintf(text, text_size, "message begins with 0x%08x: this looks like %s", value,
                guess_protocol(reader, value >> 24));
        break;
    case THRIFT_FAULT_MESSAGE_TYPE:
        snprintf(text, text_size, "message of unknown type %u", value);
        break;
    case THRIFT_FAULT_DEPTH:
        snprintf(text, text_size, "%s at offset %u is nested more than %u deep", type, offset,
                value);
        break;
    case THRIFT_FAULT_LEFT_OVER:
        snprintf(text, text_size, "%u bytes left over at offset %u", value, offset);
        break;
    case THRIFT_FAULT_MISSING:
        snprintf(text, text_size, "a struct at offset %u ends without its required field %d",
                offset, (int32_t)value);
        break;
    case THRIFT_FAULT_UNION:
        snprintf(text, text_size, "a union that ends at offset %u has %u known fields, not one",
                offset, value);
        break;
    case THRIFT_FAULT_ARENA_LIMIT:
        snprintf(text, text_size, "%u bytes for a %s at offset %u are more than a message may take",
                value, type, offset);
        break;
    case THRIFT_FAULT_NO_MEMORY:
        snprintf(text, text_size, "no memory for a %s at offset %u", type, offset);
        break;
    default:
        say_encoding(reader, text, text_size);
        break;
    }
    return text;
}
