/* SPDX-License-Identifier: MIT */
/*
 * thrift_json.h - what reading and writing JSON have in common.
 *
 *     [1,"name",TYPE,SEQID,{...}]       a message
 *     {"ID":{"TYPE":VALUE},...}         a struct
 *     ["TYPE",COUNT,VALUE,...]          a list or set
 *     ["KEY","TYPE",COUNT,{KEY:VALUE}]  a map; its keys are quoted if they are numbers
 *
 * Who reads or writes a value knows nothing of what it is in: levels do.
 */
#ifndef COIL_THRIFT_JSON_H
#define COIL_THRIFT_JSON_H

#include <coil/thrift.h>

enum { JSON_VERSION = 1 };

enum json_level {
    JSON_MESSAGE,
    JSON_STRUCT_BEGUN, /* No field yet. */
    JSON_STRUCT,       /* Behind a field. */
    JSON_FIELD,        /* Behind the header of a field, of which the value is missing. */
    JSON_LIST,
    JSON_MAP_BEGUN,
    JSON_MAP, /* A key is next where `left` is even. */
};

/* A type's name; NULL. */
const char *thrift_json_type_name(uint8_t type);

/* The type of a name; STOP if it is none. */
uint8_t thrift_json_type_of(coil_thrift_text name);

#endif
