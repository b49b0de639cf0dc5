/* SPDX-License-Identifier: MIT */
#include <coil/fb303.h>

#include <errno.h>

/*
 * The service in a table. An argument has the number of its place as field id, a result has 0. A
 * result of type STOP is void; that of a oneway method does not exist. `pair` is the type of the
 * values in a map, of which the keys are strings.
 */
struct method {
    const char *name;
    uint8_t arguments[2];
    uint8_t result;
    uint8_t pair;
    bool is_oneway;
};

static const struct method methods[] = {
        [COIL_FB303_GET_NAME] = {.name = "getName", .result = COIL_THRIFT_STRING},
        [COIL_FB303_GET_VERSION] = {.name = "getVersion", .result = COIL_THRIFT_STRING},
        [COIL_FB303_GET_STATUS] = {.name = "getStatus", .result = COIL_THRIFT_I32},
        [COIL_FB303_GET_STATUS_DETAILS] = {.name = "getStatusDetails",
                .result = COIL_THRIFT_STRING},
        [COIL_FB303_GET_COUNTERS] = {.name = "getCounters",
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_I64},
        [COIL_FB303_GET_COUNTER] = {.name = "getCounter",
                .arguments = {COIL_THRIFT_STRING},
                .result = COIL_THRIFT_I64},
        [COIL_FB303_SET_OPTION] = {.name = "setOption",
                .arguments = {COIL_THRIFT_STRING, COIL_THRIFT_STRING}},
        [COIL_FB303_GET_OPTION] = {.name = "getOption",
                .arguments = {COIL_THRIFT_STRING},
                .result = COIL_THRIFT_STRING},
        [COIL_FB303_GET_OPTIONS] = {.name = "getOptions",
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_STRING},
        [COIL_FB303_GET_CPU_PROFILE] = {.name = "getCpuProfile",
                .arguments = {COIL_THRIFT_I32},
                .result = COIL_THRIFT_STRING},
        [COIL_FB303_ALIVE_SINCE] = {.name = "aliveSince", .result = COIL_THRIFT_I64},
        [COIL_FB303_REINITIALIZE] = {.name = "reinitialize", .is_oneway = true},
        [COIL_FB303_SHUTDOWN] = {.name = "shutdown", .is_oneway = true},
        [COIL_FB303_GET_REGEX_COUNTERS] = {.name = "getRegexCounters",
                .arguments = {COIL_THRIFT_STRING},
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_I64},
        [COIL_FB303_GET_SELECTED_COUNTERS] = {.name = "getSelectedCounters",
                .arguments = {COIL_THRIFT_LIST},
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_I64},
        [COIL_FB303_GET_EXPORTED_VALUES] = {.name = "getExportedValues",
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_STRING},
        [COIL_FB303_GET_SELECTED_EXPORTED_VALUES] = {.name = "getSelectedExportedValues",
                .arguments = {COIL_THRIFT_LIST},
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_STRING},
        [COIL_FB303_GET_REGEX_EXPORTED_VALUES] = {.name = "getRegexExportedValues",
                .arguments = {COIL_THRIFT_STRING},
                .result = COIL_THRIFT_MAP,
                .pair = COIL_THRIFT_STRING},
        [COIL_FB303_GET_EXPORTED_VALUE] = {.name = "getExportedValue",
                .arguments = {COIL_THRIFT_STRING},
                .result = COIL_THRIFT_STRING},
};

static_assert(
        sizeof(methods) / sizeof(methods[0]) == COIL_FB303_METHOD_COUNT, "every method has a row");

static const coil_thrift_text no_text = {.bytes = "", .size = 0};

static const struct method *row(enum coil_fb303_method method)
{
    COIL_CHECK((unsigned int)method < COIL_FB303_METHOD_COUNT);
    return &methods[method];
}

const char *coil_fb303_status_name(int64_t status)
{
    static const char *const names[] = {
            [COIL_FB303_DEAD] = "DEAD",
            [COIL_FB303_STARTING] = "STARTING",
            [COIL_FB303_ALIVE] = "ALIVE",
            [COIL_FB303_STOPPING] = "STOPPING",
            [COIL_FB303_STOPPED] = "STOPPED",
            [COIL_FB303_WARNING] = "WARNING",
    };

    if (status < COIL_FB303_DEAD || status > COIL_FB303_WARNING)
        return "UNKNOWN";
    return names[status];
}

const char *coil_fb303_method_name(enum coil_fb303_method method)
{
    return row(method)->name;
}

bool coil_fb303_method_is_oneway(enum coil_fb303_method method)
{
    return row(method)->is_oneway;
}

int coil_fb303_method_find(coil_thrift_text name, enum coil_fb303_method *out_method)
{
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++) {
        if (coil_thrift_text_is(name, methods[i].name)) {
            *out_method = (enum coil_fb303_method)i;
            return 0;
        }
    }
    return -ENOENT;
}

/* Remember where the keys are, and go past them, so that they are known to be well formed. */
static void read_keys(coil_thrift_reader *reader, coil_fb303_call *call)
{
    uint32_t left;

    if (!coil_thrift_get_list(reader, COIL_THRIFT_STRING, &left))
        return;
    call->packed = *reader;
    call->key_count = left;
    while (coil_thrift_read_element(reader, &left))
        coil_thrift_skip(reader, COIL_THRIFT_STRING);
}

/* Take the argument in `place` 1 or 2, if it has the type that the method wants there. */
static void read_argument(coil_thrift_reader *reader, coil_fb303_call *call, int place)
{
    uint8_t type = row(call->method)->arguments[place - 1];

    if (type == COIL_THRIFT_I32) {
        coil_thrift_get_i32(reader, &call->duration_s);
    } else if (type == COIL_THRIFT_LIST) {
        read_keys(reader, call);
    } else if (type == COIL_THRIFT_STRING) {
        coil_thrift_get_string(reader, place == 1 ? &call->key : &call->value);
    }
}

/* A call with nothing in it, but for the reader of its keys: that is large, and seldom needed. */
static void clear_call(coil_fb303_call *call)
{
    call->key = no_text;
    call->value = no_text;
    call->duration_s = 0;
    call->key_count = 0;
    call->keys = NULL;
}

static void move_call(const coil_fb303_call *call, coil_fb303_call *out_call)
{
    out_call->method = call->method;
    out_call->key = call->key;
    out_call->value = call->value;
    out_call->duration_s = call->duration_s;
    out_call->key_count = call->key_count;
    out_call->keys = NULL;
    if (call->key_count > 0)
        out_call->packed = call->packed;
}

int coil_fb303_read_call(
        coil_thrift_reader *reader, const coil_thrift_message *message, coil_fb303_call *out_call)
{
    coil_fb303_call call;
    coil_thrift_field field;

    clear_call(&call);
    int rc = coil_fb303_method_find(message->name, &call.method);

    if (rc < 0)
        return rc;
    while (coil_thrift_read_field(reader, &field)) {
        if (field.id == 1 || field.id == 2)
            read_argument(reader, &call, field.id);
    }

    rc = coil_thrift_reader_finish(reader);
    if (rc < 0)
        return rc;
    move_call(&call, out_call);
    return 0;
}

bool coil_fb303_next_key(coil_fb303_call *call, coil_thrift_text *out_key)
{
    if (!coil_thrift_read_element(&call->packed, &call->key_count))
        return false;
    *out_key = coil_thrift_read_string(&call->packed);
    return true;
}

static void write_keys(coil_thrift_writer *writer, const coil_fb303_call *call, int16_t place)
{
    coil_thrift_put_list(writer, place, COIL_THRIFT_STRING, call->key_count);
    for (uint32_t i = 0; i < call->key_count; i++)
        coil_thrift_write_string(writer, call->keys[i]);
}

static void write_argument(coil_thrift_writer *writer, const coil_fb303_call *call, int16_t place)
{
    uint8_t type = row(call->method)->arguments[place - 1];

    if (type == COIL_THRIFT_I32) {
        coil_thrift_put_i32(writer, place, call->duration_s);
    } else if (type == COIL_THRIFT_LIST) {
        write_keys(writer, call, place);
    } else if (type == COIL_THRIFT_STRING) {
        coil_thrift_put_string(writer, place, place == 1 ? call->key : call->value);
    }
}

void coil_fb303_put_call(coil_thrift_writer *writer, const coil_fb303_call *call)
{
    write_argument(writer, call, 1);
    write_argument(writer, call, 2);
}

int coil_fb303_write_call(coil_thrift_writer *writer, int32_t seqid, const coil_fb303_call *call)
{
    const struct method *method = row(call->method);
    coil_thrift_message message = {
            .name = coil_thrift_text_of(method->name),
            .type = method->is_oneway ? COIL_THRIFT_ONEWAY : COIL_THRIFT_CALL,
            .seqid = seqid,
    };

    coil_thrift_writer_begin(writer, &message);
    coil_fb303_put_call(writer, call);
    coil_thrift_write_stop(writer);
    return coil_thrift_writer_finish(writer);
}

static void write_pairs(coil_thrift_writer *writer, uint8_t type, const coil_fb303_result *result)
{
    coil_thrift_put_map(writer, 0, COIL_THRIFT_STRING, type, result->pair_count);
    for (uint32_t i = 0; i < result->pair_count; i++) {
        coil_thrift_write_string(writer, result->pairs[i].name);
        if (type == COIL_THRIFT_I64) {
            coil_thrift_write_i64(writer, result->pairs[i].number);
        } else {
            coil_thrift_write_string(writer, result->pairs[i].text);
        }
    }
}

void coil_fb303_put_result(
        coil_thrift_writer *writer, enum coil_fb303_method method, const coil_fb303_result *result)
{
    switch (row(method)->result) {
    case COIL_THRIFT_STRING:
        coil_thrift_put_string(writer, 0, result->text);
        break;
    case COIL_THRIFT_I32:
        coil_thrift_put_i32(writer, 0, (int32_t)result->number);
        break;
    case COIL_THRIFT_I64:
        coil_thrift_put_i64(writer, 0, result->number);
        break;
    case COIL_THRIFT_MAP:
        write_pairs(writer, row(method)->pair, result);
        break;
    }
}

int coil_fb303_write_result(coil_thrift_writer *writer, const coil_thrift_message *message,
        enum coil_fb303_method method, const coil_fb303_result *result)
{
    coil_thrift_message reply = *message;

    if (row(method)->is_oneway)
        return 0;

    reply.type = COIL_THRIFT_REPLY;
    coil_thrift_writer_begin(writer, &reply);
    coil_fb303_put_result(writer, method, result);
    coil_thrift_write_stop(writer);
    return coil_thrift_writer_finish(writer);
}

/* Remember where the pairs are, and go past them, so that they are known to be well formed. */
static bool read_pairs(coil_thrift_reader *reader, uint8_t type, coil_fb303_result *result)
{
    uint32_t left;

    if (!coil_thrift_get_map(reader, COIL_THRIFT_STRING, type, &left))
        return false;
    result->packed = *reader;
    result->pair_count = left;
    result->pair_type = type;
    while (coil_thrift_read_element(reader, &left)) {
        coil_thrift_skip(reader, COIL_THRIFT_STRING);
        coil_thrift_skip(reader, type);
    }
    return true;
}

/* Take the result, if it is what the method gives. */
static bool read_success(
        coil_thrift_reader *reader, const struct method *method, coil_fb303_result *result)
{
    int32_t number;

    switch (method->result) {
    case COIL_THRIFT_STRING:
        return coil_thrift_get_string(reader, &result->text);
    case COIL_THRIFT_I32:
        if (!coil_thrift_get_i32(reader, &number))
            return false;
        result->number = number;
        return true;
    case COIL_THRIFT_I64:
        return coil_thrift_get_i64(reader, &result->number);
    case COIL_THRIFT_MAP:
        return read_pairs(reader, method->pair, result);
    }
    return false;
}

/* As with calls: the reader of its pairs is left as it is, unless there are any. */
static void clear_result(coil_fb303_result *result)
{
    result->text = no_text;
    result->number = 0;
    result->pair_count = 0;
    result->pairs = NULL;
    result->pair_type = COIL_THRIFT_STOP;
}

static void move_result(const coil_fb303_result *result, coil_fb303_result *out_result)
{
    out_result->text = result->text;
    out_result->number = result->number;
    out_result->pair_count = result->pair_count;
    out_result->pairs = NULL;
    out_result->pair_type = result->pair_type;
    if (result->pair_count > 0)
        out_result->packed = result->packed;
}

int coil_fb303_read_result(
        coil_thrift_reader *reader, enum coil_fb303_method method, coil_fb303_result *out_result)
{
    coil_fb303_result result;
    coil_thrift_field field;

    clear_result(&result);
    bool complete = row(method)->result == COIL_THRIFT_STOP;

    while (coil_thrift_read_field(reader, &field)) {
        if (field.id == 0 && read_success(reader, row(method), &result))
            complete = true;
    }

    int rc = coil_thrift_reader_finish(reader);
    if (rc < 0)
        return rc;
    if (!complete)
        return -ENOMSG;
    move_result(&result, out_result);
    return 0;
}

bool coil_fb303_next_pair(coil_fb303_result *result, coil_fb303_pair *out_pair)
{
    coil_fb303_pair pair = {.text = no_text};

    if (!coil_thrift_read_element(&result->packed, &result->pair_count))
        return false;
    pair.name = coil_thrift_read_string(&result->packed);
    if (result->pair_type == COIL_THRIFT_I64) {
        pair.number = coil_thrift_read_i64(&result->packed);
    } else {
        pair.text = coil_thrift_read_string(&result->packed);
    }
    *out_pair = pair;
    return true;
}
