/* SPDX-License-Identifier: MIT */
/*
 * What coil-thrift would make of
 *
 *     struct Word { 1: string text, 2: i32 count = 1 }
 *     exception TooLong { 1: string why }
 *     union Mark { 1: string name, 2: string colour }
 *     service Words {
 *       i64 weigh(1: required list<Word> words) throws (1: TooLong too_long)
 *       oneway void note(1: string text)
 *       void nothing()
 *       void choose(1: Mark mark)
 *     }
 *
 * by hand, so that tests of the server do not need the generator.
 */
#ifndef TYPED_SERVICE_H
#define TYPED_SERVICE_H

#include <coil/thrift_server.h>

#include <cstddef>

namespace words
{

struct Word {
    coil_thrift_text text;
    int32_t count;
    uint32_t has;
};

struct TooLong {
    coil_thrift_text why;
    uint32_t has;
};

struct WeighArguments {
    struct {
        Word *items;
        uint32_t count;
    } words;
    uint32_t has;
};

enum { HAS_SUCCESS = 1, HAS_TOO_LONG = 2 };

struct WeighResult {
    int64_t success;
    TooLong too_long;
    uint32_t has;
};

struct WeighCall {
    coil_thrift_call *context;
    WeighArguments arguments;
    WeighResult result;
};

struct NoteArguments {
    coil_thrift_text text;
    uint32_t has;
};

struct NoteCall {
    coil_thrift_call *context;
    NoteArguments arguments;
};

struct Mark {
    int16_t which;
    coil_thrift_text text;
};

struct ChooseArguments {
    Mark mark;
    uint32_t has;
};

struct Empty {
    uint32_t has;
};

struct NothingCall {
    coil_thrift_call *context;
    Empty arguments;
    Empty result;
};

struct ChooseCall {
    coil_thrift_call *context;
    ChooseArguments arguments;
    Empty result;
};

inline coil_thrift_struct_schema structure(const char *name, size_t size_bytes, size_t has_offset,
        const coil_thrift_field_schema *fields, size_t field_count)
{
    coil_thrift_struct_schema schema = {};
    schema.name = name;
    schema.size_bytes = static_cast<uint32_t>(size_bytes);
    schema.has_offset = static_cast<uint32_t>(has_offset);
    schema.fields = fields;
    schema.field_count = static_cast<uint16_t>(field_count);
    return schema;
}

inline coil_thrift_type_schema of_struct(const coil_thrift_struct_schema *structure)
{
    coil_thrift_type_schema type = {};
    type.type = COIL_THRIFT_STRUCT;
    type.size_bytes = structure->size_bytes;
    type.structure = structure;
    return type;
}

inline coil_thrift_type_schema list_of(const coil_thrift_type_schema *element)
{
    coil_thrift_type_schema type = {};
    type.type = COIL_THRIFT_LIST;
    type.size_bytes = sizeof(coil_thrift_items);
    type.element = element;
    type.item_bytes = element->size_bytes;
    return type;
}

inline const coil_thrift_field_schema word_fields[] = {
        {"text", &coil_thrift_string_type, offsetof(Word, text), 1, COIL_THRIFT_DEFAULT},
        {"count", &coil_thrift_i32_type, offsetof(Word, count), 2, COIL_THRIFT_DEFAULT},
};
inline const Word word_default = {{nullptr, 0}, 1, 0};
inline const coil_thrift_struct_schema word = [] {
    coil_thrift_struct_schema schema =
            structure("Word", sizeof(Word), offsetof(Word, has), word_fields, 2);
    schema.initial = &word_default;
    return schema;
}();
inline const coil_thrift_type_schema word_type = of_struct(&word);
inline const coil_thrift_type_schema words_type = list_of(&word_type);

inline const coil_thrift_field_schema too_long_fields[] = {
        {"why", &coil_thrift_string_type, offsetof(TooLong, why), 1, COIL_THRIFT_DEFAULT},
};
inline const coil_thrift_struct_schema too_long =
        structure("TooLong", sizeof(TooLong), offsetof(TooLong, has), too_long_fields, 1);
inline const coil_thrift_type_schema too_long_type = of_struct(&too_long);

inline const coil_thrift_field_schema weigh_argument_fields[] = {
        {"words", &words_type, offsetof(WeighArguments, words), 1, COIL_THRIFT_REQUIRED},
};
inline const uint32_t weigh_required[] = {1};
inline const coil_thrift_struct_schema weigh_arguments = [] {
    coil_thrift_struct_schema schema = structure("weigh_arguments", sizeof(WeighArguments),
            offsetof(WeighArguments, has), weigh_argument_fields, 1);
    schema.required = weigh_required;
    return schema;
}();
inline const coil_thrift_field_schema weigh_result_fields[] = {
        {"success", &coil_thrift_i64_type, offsetof(WeighResult, success), 0, COIL_THRIFT_OPTIONAL},
        {"too_long", &too_long_type, offsetof(WeighResult, too_long), 1, COIL_THRIFT_OPTIONAL},
};
inline const coil_thrift_struct_schema weigh_result = structure(
        "weigh_result", sizeof(WeighResult), offsetof(WeighResult, has), weigh_result_fields, 2);

inline const coil_thrift_field_schema note_fields[] = {
        {"text", &coil_thrift_string_type, offsetof(NoteArguments, text), 1, COIL_THRIFT_DEFAULT},
};
inline const coil_thrift_struct_schema note_arguments = structure(
        "note_arguments", sizeof(NoteArguments), offsetof(NoteArguments, has), note_fields, 1);
inline const coil_thrift_struct_schema nothing =
        structure("nothing", sizeof(Empty), offsetof(Empty, has), nullptr, 0);

inline const coil_thrift_field_schema mark_fields[] = {
        {"name", &coil_thrift_string_type, offsetof(Mark, text), 1, COIL_THRIFT_DEFAULT},
        {"colour", &coil_thrift_string_type, offsetof(Mark, text), 2, COIL_THRIFT_DEFAULT},
};
inline const coil_thrift_struct_schema mark = [] {
    coil_thrift_struct_schema schema = structure("Mark", sizeof(Mark), 0, mark_fields, 2);
    schema.is_union = true;
    schema.which_offset = offsetof(Mark, which);
    return schema;
}();
inline const coil_thrift_type_schema mark_type = of_struct(&mark);
inline const coil_thrift_field_schema choose_fields[] = {
        {"mark", &mark_type, offsetof(ChooseArguments, mark), 1, COIL_THRIFT_DEFAULT},
};
inline const coil_thrift_struct_schema choose_arguments = structure("choose_arguments",
        sizeof(ChooseArguments), offsetof(ChooseArguments, has), choose_fields, 1);

inline const coil_thrift_method_schema weigh_schema = {"weigh", &weigh_arguments, &weigh_result,
        false, false, sizeof(WeighCall), offsetof(WeighCall, arguments),
        offsetof(WeighCall, result)};
inline const coil_thrift_method_schema note_schema = {"note", &note_arguments, nullptr, true, false,
        sizeof(NoteCall), offsetof(NoteCall, arguments), 0};
inline const coil_thrift_method_schema nothing_schema = {"nothing", &nothing, &nothing, false,
        false, sizeof(NothingCall), offsetof(NothingCall, arguments),
        offsetof(NothingCall, result)};
inline const coil_thrift_method_schema choose_schema = {"choose", &choose_arguments, &nothing,
        false, false, sizeof(ChooseCall), offsetof(ChooseCall, arguments),
        offsetof(ChooseCall, result)};

} // namespace words

#endif
