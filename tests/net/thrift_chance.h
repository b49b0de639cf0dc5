/* SPDX-License-Identifier: MIT */
/* Random values of any type that has a schema, in an arena. */
#ifndef THRIFT_CHANCE_H
#define THRIFT_CHANCE_H

#include <coil/thrift_schema.h>

#include <cmath>
#include <cstring>
#include <random>

class ThriftChance
{
public:
    ThriftChance(unsigned int seed, coil_arena *arena) : random_(seed), arena_(arena) {}

    uint32_t below(uint32_t count)
    {
        return static_cast<uint32_t>(random_() % count);
    }

    /* A struct with all that it needs. */
    void *make(const coil_thrift_struct_schema &schema)
    {
        void *value = coil_arena_take(arena_, schema.size_bytes, 16);
        fill_struct(schema, static_cast<char *>(value), 0);
        return value;
    }

private:
    template <typename T> void put(char *place, T value)
    {
        memcpy(place, &value, sizeof(value));
    }

    int64_t integer(int bits)
    {
        const int64_t max = static_cast<int64_t>(UINT64_MAX >> (65 - bits));
        const int64_t edges[] = {0, -1, 1, max, -max - 1, 63, -64, 64};
        if (below(2) == 0)
            return edges[below(8)];
        return static_cast<int64_t>(random_()) >> (64 - bits);
    }

    double number()
    {
        const double edges[] = {
                0, -0.0, 0.1, 1e307, -1e-292, 5e-324, HUGE_VAL, -HUGE_VAL, 9007199254740991.0};
        return below(2) == 0 ? edges[below(9)] : static_cast<double>(integer(64)) / 1000;
    }

    /* Texts are UTF-8, with all that JSON has to escape. */
    coil_thrift_text text(bool is_binary)
    {
        static const char *const pieces[] = {"a", "\"", "\\", "/", "\n", "\t", "\x01", "\xc3\xa9",
                "\xe2\x82\xac", "\xf0\x9f\x98\x80", "plain text"};
        char *bytes = static_cast<char *>(coil_arena_take(arena_, 256, 1));
        uint32_t size = 0;
        for (uint32_t i = below(12); i > 0; i--) {
            if (is_binary) {
                bytes[size++] = static_cast<char>(random_());
                continue;
            }
            const char *piece = pieces[below(11)];
            memcpy(bytes + size, piece, strlen(piece));
            size += static_cast<uint32_t>(strlen(piece));
        }
        return {bytes, size};
    }

    void fill_items(const coil_thrift_type_schema &type, char *place, int depth)
    {
        const uint32_t counts[] = {0, 1, 3, 20};
        const uint32_t count = depth > 4 ? 0 : counts[below(4)];
        char *items = static_cast<char *>(
                coil_arena_take(arena_, static_cast<size_t>(count) * type.item_bytes + 1, 16));
        memset(items, 0, static_cast<size_t>(count) * type.item_bytes);
        for (uint32_t i = 0; i < count; i++) {
            char *item = items + static_cast<size_t>(i) * type.item_bytes;
            if (type.key != nullptr)
                fill(*type.key, item, depth + 1);
            fill(*type.element, item + type.value_offset, depth + 1);
        }
        put(place, coil_thrift_items{items, count});
    }

    void fill_reference(const coil_thrift_type_schema &type, char *place, int depth)
    {
        void *target = nullptr;
        if (depth < 4) {
            target = coil_arena_take(arena_, type.structure->size_bytes, 16);
            fill_struct(*type.structure, static_cast<char *>(target), depth + 1);
        }
        put(place, target);
    }

    void fill(const coil_thrift_type_schema &type, char *place, int depth)
    {
        switch (type.type) {
        case COIL_THRIFT_BOOL:
            put(place, below(2) == 0);
            break;
        case COIL_THRIFT_I8:
            put(place, static_cast<int8_t>(integer(8)));
            break;
        case COIL_THRIFT_I16:
            put(place, static_cast<int16_t>(integer(16)));
            break;
        case COIL_THRIFT_I32:
            put(place, static_cast<int32_t>(integer(32)));
            break;
        case COIL_THRIFT_I64:
            put(place, integer(64));
            break;
        case COIL_THRIFT_DOUBLE:
            put(place, number());
            break;
        case COIL_THRIFT_STRING:
            put(place, text(type.is_binary));
            break;
        case COIL_THRIFT_UUID:
            for (int i = 0; i < 16; i++)
                place[i] = static_cast<char>(random_());
            break;
        case COIL_THRIFT_STRUCT:
            if (type.is_reference) {
                fill_reference(type, place, depth);
            } else {
                fill_struct(*type.structure, place, depth + 1);
            }
            break;
        default:
            fill_items(type, place, depth);
            break;
        }
    }

    void fill_struct(const coil_thrift_struct_schema &schema, char *value, int depth)
    {
        coil_thrift_init_value(&schema, value);
        if (schema.is_union) {
            const coil_thrift_field_schema &field = schema.fields[below(schema.field_count)];
            put(value + schema.which_offset, field.id);
            fill(*field.type, value + field.offset, depth);
            return;
        }
        uint32_t *has = reinterpret_cast<uint32_t *>(value + schema.has_offset);
        for (uint32_t i = 0; i < schema.field_count; i++) {
            const coil_thrift_field_schema &field = schema.fields[i];
            if (field.requiredness != COIL_THRIFT_REQUIRED && below(4) == 0)
                continue;
            has[i / 32] |= 1u << i % 32;
            fill(*field.type, value + field.offset, depth);
        }
    }

    std::mt19937_64 random_;
    coil_arena *arena_;
};

#endif
