/* SPDX-License-Identifier: MIT */
#include "thrift_json.h"

static const char *const names[] = {
        [COIL_THRIFT_BOOL] = "tf",
        [COIL_THRIFT_I8] = "i8",
        [COIL_THRIFT_DOUBLE] = "dbl",
        [COIL_THRIFT_I16] = "i16",
        [COIL_THRIFT_I32] = "i32",
        [COIL_THRIFT_I64] = "i64",
        [COIL_THRIFT_STRING] = "str",
        [COIL_THRIFT_STRUCT] = "rec",
        [COIL_THRIFT_MAP] = "map",
        [COIL_THRIFT_SET] = "set",
        [COIL_THRIFT_LIST] = "lst",
        [COIL_THRIFT_UUID] = "uid",
};

enum { TYPE_COUNT = sizeof(names) / sizeof(names[0]) };

const char *thrift_json_type_name(uint8_t type)
{
    return type < TYPE_COUNT ? names[type] : NULL;
}

uint8_t thrift_json_type_of(coil_thrift_text name)
{
    for (unsigned type = 0; type < TYPE_COUNT; type++) {
        if (names[type] != NULL && coil_thrift_text_is(name, names[type]))
            return (uint8_t)type;
    }
    return COIL_THRIFT_STOP;
}
