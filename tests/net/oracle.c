/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <stddef.h>

static const coil_thrift_field_schema refusal_fields[] = {
        {.name = "why",
                .type = &coil_thrift_string_type,
                .offset = offsetof(oracle_refusal, why),
                .id = 1},
};

static const coil_thrift_struct_schema refusal_schema = {
        .name = "Refusal",
        .size_bytes = sizeof(oracle_refusal),
        .field_count = 1,
        .is_exception = true,
        .has_offset = offsetof(oracle_refusal, has),
        .fields = refusal_fields,
};

static const coil_thrift_type_schema refusal_type = {
        .type = COIL_THRIFT_STRUCT,
        .size_bytes = sizeof(oracle_refusal),
        .structure = &refusal_schema,
};

static const coil_thrift_field_schema question_fields[] = {
        {.name = "question",
                .type = &coil_thrift_string_type,
                .offset = offsetof(oracle_question, question),
                .id = 1},
};

static const coil_thrift_struct_schema question_schema = {
        .name = "ask_args",
        .size_bytes = sizeof(oracle_question),
        .field_count = 1,
        .has_offset = offsetof(oracle_question, has),
        .fields = question_fields,
};

static const coil_thrift_field_schema answer_fields[] = {
        {.name = "success",
                .type = &coil_thrift_string_type,
                .offset = offsetof(oracle_answer, success),
                .id = 0,
                .requiredness = COIL_THRIFT_OPTIONAL},
        {.name = "refusal",
                .type = &refusal_type,
                .offset = offsetof(oracle_answer, refusal),
                .id = 1,
                .requiredness = COIL_THRIFT_OPTIONAL},
};

static const coil_thrift_struct_schema answer_schema = {
        .name = "ask_result",
        .size_bytes = sizeof(oracle_answer),
        .field_count = 2,
        .has_offset = offsetof(oracle_answer, has),
        .fields = answer_fields,
};

static const coil_thrift_struct_schema nothing_schema = {
        .name = "nothing",
        .size_bytes = sizeof(oracle_nothing),
        .has_offset = offsetof(oracle_nothing, has),
};

const coil_thrift_method_schema oracle_ask = {
        .name = "ask", .arguments = &question_schema, .result = &answer_schema};
const coil_thrift_method_schema oracle_look = {.name = "look",
        .arguments = &question_schema,
        .result = &answer_schema,
        .is_idempotent = true};
const coil_thrift_method_schema oracle_rest = {
        .name = "rest", .arguments = &nothing_schema, .result = &nothing_schema};
const coil_thrift_method_schema oracle_tell = {
        .name = "tell", .arguments = &question_schema, .is_oneway = true};
