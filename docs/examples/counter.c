/* SPDX-License-Identifier: MIT */
#include "counter.h"

#include <coil/sugar.h>

void counter_put_table(coil_thrift_writer *writer, int16_t id, const counter_table *table)
{
    coil_thrift_put_list(writer, id, COIL_THRIFT_STRUCT, table->count);
    for (uint32_t i = 0; i < table->count; i++) {
        coil_thrift_put_i64(writer, 1, table->entries[i].client);
        coil_thrift_put_i64(writer, 2, table->entries[i].number);
        coil_thrift_write_stop(writer);
    }
}

static counter_entry read_entry(coil_thrift_reader *reader)
{
    counter_entry entry = {0, 0};
    coil_thrift_field field;

    if (!coil_thrift_read_struct(reader))
        return entry;
    while (coil_thrift_read_field(reader, &field)) {
        if (field.id == 1)
            coil_thrift_get_i64(reader, &entry.client);
        if (field.id == 2)
            coil_thrift_get_i64(reader, &entry.number);
    }
    return entry;
}

int counter_get_table(coil_thrift_reader *reader, counter_table *table)
{
    uint32_t left;
    int rc = 0;

    if (!coil_thrift_get_list(reader, COIL_THRIFT_STRUCT, &left))
        return 0;
    while (rc == 0 && coil_thrift_read_element(reader, &left)) {
        const counter_entry entry = read_entry(reader);
        if (reader->error == 0)
            rc = counter_raise(table, entry);
    }
    return rc;
}

coil_define(int, counter_increment, (const char *) address, (int64_t) client, (int64_t) number)
{
    vars(coil_thrift_client *connection);

    attempt(my->connection, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->connection));
    coil_thrift_writer *arguments = coil_thrift_client_begin(my->connection, "increment");
    coil_thrift_put_i64(arguments, 1, client);
    coil_thrift_put_i64(arguments, 2, number);
    attempt(coil_thrift_client_call(my->connection));
    return 0;
}

coil_define(int64_t, counter_value, (const char *) address)
{
    vars(coil_thrift_client *connection; int64_t value);
    coil_thrift_field field;

    attempt(my->connection, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->connection));
    coil_thrift_client_begin(my->connection, "value");
    attempt(coil_thrift_client_call(my->connection));

    coil_thrift_reader *reply = coil_thrift_client_reply(my->connection);
    my->value = -ENOMSG;
    while (coil_thrift_read_field(reply, &field)) {
        if (field.id == 0)
            coil_thrift_get_i64(reply, &my->value);
    }
    const int rc = coil_thrift_reader_finish(reply);
    return rc < 0 ? rc : my->value;
}

coil_define(int, counter_merge, (const char *) address, (const counter_table *) table,
        (counter_table *) answer)
{
    vars(coil_thrift_client *connection);
    coil_thrift_field field;
    int rc = 0;

    attempt(my->connection, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->connection));
    counter_put_table(coil_thrift_client_begin(my->connection, "merge"), 1, table);
    attempt(coil_thrift_client_call(my->connection));

    coil_thrift_reader *reply = coil_thrift_client_reply(my->connection);
    while (rc == 0 && coil_thrift_read_field(reply, &field)) {
        if (field.id == 0)
            rc = counter_get_table(reply, answer);
    }
    return rc < 0 ? rc : coil_thrift_reader_finish(reply);
}
