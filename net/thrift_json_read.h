/* SPDX-License-Identifier: MIT */
/* thrift_json_read.h - between thrift_json_read.c and thrift_json_text.c. */
#ifndef COIL_THRIFT_JSON_READ_H
#define COIL_THRIFT_JSON_READ_H

#include <coil/thrift.h>

/* Before and after a value: what stands between it and others. Whether it is the key of a map. */
bool json_begin_value(coil_thrift_reader *reader);
void json_end_value(coil_thrift_reader *reader);

/* Take this character. False after an error, such as that there is another one. */
bool json_expect(coil_thrift_reader *reader, char wanted);

/* Take so many bytes. */
void json_advance(coil_thrift_reader *reader, uint32_t size);

/* The frame ends in a value of this type. */
void json_ends(coil_thrift_reader *reader, uint8_t type) __attribute__((cold));

/* A string, up to the quote at its end. Without `wanted` it is only checked. */
coil_thrift_text json_take_text(coil_thrift_reader *reader, uint8_t type, bool wanted);

/* A string without escapes. */
coil_thrift_text json_take_plain(coil_thrift_reader *reader);

/* Values. */
coil_thrift_text json_read_string(coil_thrift_reader *reader);
coil_thrift_text json_read_binary(coil_thrift_reader *reader);
void json_skip_string(coil_thrift_reader *reader);
void json_read_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16]);

#endif
