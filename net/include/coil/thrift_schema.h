/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_schema.h - what generated code says of its types, and what can be done with values
 * of any of them.
 *
 * coil-thrift turns `struct Prize` into a struct of C and a table that describes it, its schema.
 * All code that knows the wire is here and reads the tables: a hundred structs cost a hundred
 * tables.
 *
 *     shop_Prize prize;
 *     coil_thrift_read_fields(&reader, &arena, &shop_Prize_schema, &prize);
 *     coil_thrift_write_fields(&writer, &shop_Prize_schema, &prize);
 *
 * Memory. Strings and binaries that are read lie in the frame, everything else that has no place in
 * the struct, elements of containers and structs that are pointed to, in an arena: there is nothing
 * to free. What a frame decodes to is bounded by the limit of the arena, not by what it declares.
 * coil_thrift_copy() makes a value that needs only its arena.
 *
 * How types look in C: bool, int8_t, int16_t, int32_t, int64_t, double; an enum is an enum;
 * coil_thrift_text; coil_thrift_uuid; a struct is a struct, or a pointer where it would contain
 * itself; list<T> and set<T> are `struct { T *items; uint32_t count; }`; map<K, V> is
 * `struct { struct { K key; V value; } *items; uint32_t count; }`. A bit in `has` for each field
 * tells whether it was read, and for optional ones whether it is to be written. A union tells by
 * `which` the number of its field.
 *
 * Schemas are constant: any thread.
 */
#ifndef COIL_THRIFT_SCHEMA_H
#define COIL_THRIFT_SCHEMA_H

#include <coil/arena.h>
#include <coil/thrift.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_uuid coil_thrift_uuid;
typedef struct coil_thrift_items coil_thrift_items;
typedef struct coil_thrift_type_schema coil_thrift_type_schema;
typedef struct coil_thrift_field_schema coil_thrift_field_schema;
typedef struct coil_thrift_struct_schema coil_thrift_struct_schema;
typedef struct coil_thrift_enum_schema coil_thrift_enum_schema;
typedef struct coil_thrift_enum_value coil_thrift_enum_value;

struct coil_thrift_uuid {
    uint8_t bytes[16]; /* In the order in which it is written. */
};

/* Every list, set and map, whatever its items are. */
struct coil_thrift_items {
    void *items;
    uint32_t count;
} __attribute__((may_alias));

struct coil_thrift_enum_value {
    const char *name;
    int32_t value;
};

struct coil_thrift_enum_schema {
    const char *name; /* "Color", as in the interface. */
    const coil_thrift_enum_value *values;
    uint32_t value_count;
};

/* A type, on the wire and in memory. */
struct coil_thrift_type_schema {
    uint8_t type;        /* enum coil_thrift_type. */
    bool is_binary;      /* STRING: bytes rather than text, for printing. */
    bool is_reference;   /* STRUCT: memory has a pointer. */
    uint32_t size_bytes; /* In memory. */

    /* LIST, SET, MAP. */
    const coil_thrift_type_schema *key;
    const coil_thrift_type_schema *element; /* A map's value. */
    uint32_t item_bytes;                    /* Between two in memory. */
    uint32_t value_offset;                  /* MAP: of the value in its item. */

    const coil_thrift_struct_schema *structure; /* STRUCT. */
    const coil_thrift_enum_schema *enumeration; /* I32: of an enum; else NULL. */
};

enum coil_thrift_requiredness {
    COIL_THRIFT_DEFAULT,  /* Always written; need not be there. */
    COIL_THRIFT_REQUIRED, /* Always written; without it a struct is malformed. */
    COIL_THRIFT_OPTIONAL, /* Written if its bit in `has` is set. */
};

struct coil_thrift_field_schema {
    const char *name;
    const coil_thrift_type_schema *type;
    uint32_t offset;
    int16_t id;
    uint8_t requiredness; /* enum coil_thrift_requiredness. */
};

struct coil_thrift_struct_schema {
    const char *name; /* "Prize", as in the interface. */
    uint32_t size_bytes;
    uint16_t field_count;
    bool is_union;
    bool is_exception;
    uint32_t has_offset;                    /* Of the bits, in words of 32: one for each field, */
    const uint32_t *required;               /* and which of them have to be set; NULL: none. */
    uint32_t which_offset;                  /* Of a union: int16_t. */
    const coil_thrift_field_schema *fields; /* Their numbers rise. */
    const void *initial;                    /* A struct with all defaults; NULL: zeros. */
};

/*
 * Read a value of `type` into `out_value`, which has type->size_bytes. Fields of it that are
 * unknown or of other types are skipped. False after an error, which the reader keeps; besides its
 * own there are
 *
 *     -EBADMSG   a required field is missing, or a union has no field that is known, or several
 *     -ENOBUFS   the arena's limit is reached
 *     -ENOMEM    no memory
 */
COIL_API bool coil_thrift_read_value(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_type_schema *type, void *out_value);

/*
 * The fields of a struct, up to and with its end, of which the beginning has been taken:
 * coil_thrift_read_message() and coil_thrift_read_struct() do so. As above.
 */
COIL_API bool coil_thrift_read_fields(coil_thrift_reader *reader, coil_arena *arena,
        const coil_thrift_struct_schema *schema, void *out_value);

/*
 * Write a value of `type`, without a field's header. A field that is a null pointer to a struct is
 * left out, unless it is required; as an element it is written as a struct without fields. Errors
 * are the writer's.
 */
COIL_API void coil_thrift_write_value(
        coil_thrift_writer *writer, const coil_thrift_type_schema *type, const void *value);

/* The fields of a struct and its end, after coil_thrift_writer_begin() or _put_struct(). */
COIL_API void coil_thrift_write_fields(
        coil_thrift_writer *writer, const coil_thrift_struct_schema *schema, const void *value);

/* A struct with all its defaults. */
COIL_API void coil_thrift_init_value(const coil_thrift_struct_schema *schema, void *out_value);

/*
 * Whether two values of `type` would be written alike: a field with its default that has not been
 * read equals one that has. The order in lists, sets and maps counts. NaN equals itself.
 */
COIL_API bool coil_thrift_equal(
        const coil_thrift_type_schema *type, const void *one, const void *other);

/* Copy a value with all that it points to into the arena. -ENOBUFS, -ENOMEM. */
COIL_API COIL_MUST_USE int coil_thrift_copy(
        coil_arena *arena, const coil_thrift_type_schema *type, const void *value, void *out_copy);

/*
 * As text for people: `Prize{name: "cup", weight: 2.5, color: RED}`. Cut to `text_size` bytes with
 * its end, so that a size of 0 only asks. The size it has in full, without its end.
 */
COIL_API size_t coil_thrift_print(
        const coil_thrift_type_schema *type, const void *value, char *text, size_t text_size);

/*
 * A text made as printf(3) would, in the arena: for the message of an exception. A text's own
 * arguments: `"%.*s", (int)text.size, text.bytes`. Empty if there is no memory, or the limit of the
 * arena does not allow it.
 */
COIL_API COIL_MUST_USE coil_thrift_text coil_thrift_format(
        coil_arena *arena, const char *format, ...) COIL_PRINTF(2, 3);

/* The name of an enum's value; NULL. */
COIL_API const char *coil_thrift_enum_name(const coil_thrift_enum_schema *schema, int32_t value);

/* Types that need no table of their own. */
COIL_API extern const coil_thrift_type_schema coil_thrift_bool_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_i8_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_i16_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_i32_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_i64_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_double_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_string_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_binary_type;
COIL_API extern const coil_thrift_type_schema coil_thrift_uuid_type;

COIL_END_DECLS

#endif
