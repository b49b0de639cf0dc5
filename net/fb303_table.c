/* SPDX-License-Identifier: MIT */
#include "fb303_table.h"

#include "thrift_private.h"

#include <errno.h>
#include <stdlib.h>

coil_fb303_pair *fb303_table_find(const coil_fb303_table *table, coil_thrift_text name)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (thrift_texts_equal(&table->pairs[i].name, &name))
            return &table->pairs[i];
    }
    return NULL;
}

static int reserve(coil_fb303_table *table)
{
    if (table->count == table->count_max)
        return -ENOSPC;
    if (table->pairs == NULL)
        table->pairs = calloc(table->count_max, sizeof(*table->pairs));
    if (table->strings == NULL)
        table->strings = calloc(table->count_max, sizeof(*table->strings));
    return table->pairs == NULL || table->strings == NULL ? -ENOMEM : 0;
}

static coil_thrift_text copy_text(char *to, coil_thrift_text text)
{
    if (text.size > 0)
        memcpy(to, text.bytes, text.size);
    to[text.size] = '\0';
    return (coil_thrift_text){to, text.size};
}

int fb303_table_put(coil_fb303_table *table, coil_thrift_text name, coil_thrift_text text,
        coil_fb303_pair **out_pair)
{
    if (name.size > COIL_FB303_TEXT_BYTES_MAX || text.size > COIL_FB303_TEXT_BYTES_MAX)
        return -ENOSPC;
    coil_fb303_pair *pair = fb303_table_find(table, name);
    int rc = pair == NULL ? reserve(table) : 0;
    if (rc < 0)
        return rc;
    if (pair != NULL && thrift_texts_equal(&pair->text, &text)) {
        *out_pair = pair;
        return 0;
    }

    char *string = malloc((size_t)name.size + 1 + text.size + 1);
    if (string == NULL)
        return -ENOMEM;
    if (pair == NULL)
        pair = &table->pairs[table->count++];
    pair->name = copy_text(string, name);
    pair->text = copy_text(string + name.size + 1, text);
    size_t place = (size_t)(pair - table->pairs);
    free(table->strings[place]);
    table->strings[place] = string;
    *out_pair = pair;
    return 0;
}

void fb303_table_release(coil_fb303_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        free(table->strings[i]);
    free(table->strings);
    free(table->pairs);
    *table = (coil_fb303_table){.count_max = table->count_max};
}
