/* SPDX-License-Identifier: MIT */
/* Results as numbers, for whoever does not know their types. */
#include <coil/task.h>

#include <string.h>

/* What begins a struct of this size is its status. */
static bool begins_with_status(const coil_fn *fn)
{
    return !fn->result_is_scalar && fn->result_bytes >= 2 * sizeof(int64_t);
}

/* A narrow unsigned result cannot say that it is an error, and stays 0. */
void coil_frame_set_other_result(coil_frame *frame, int64_t value)
{
    const coil_fn *fn = frame->fn;
    char *result = (char *)frame + fn->result_at;
    int32_t word = (int32_t)value;
    int16_t half = (int16_t)value;
    int8_t byte = (int8_t)value;

    memset(result, 0, fn->result_bytes);
    if (begins_with_status(fn) || (fn->result_is_scalar && fn->result_bytes == sizeof(value))) {
        memcpy(result, &value, sizeof(value));
    } else if (fn->result_is_scalar && fn->result_bytes == sizeof(word)) {
        memcpy(result, &word, sizeof(word));
    } else if (fn->result_is_scalar && fn->result_is_signed && fn->result_bytes == sizeof(half)) {
        memcpy(result, &half, sizeof(half));
    } else if (fn->result_is_scalar && fn->result_is_signed && fn->result_bytes == sizeof(byte)) {
        memcpy(result, &byte, sizeof(byte));
    }
}

static int64_t signed_result(const coil_fn *fn, const char *result)
{
    int64_t wide = 0;
    int16_t half;

    switch (fn->result_bytes) {
    case sizeof(wide):
        memcpy(&wide, result, sizeof(wide));
        return wide;
    case sizeof(half):
        memcpy(&half, result, sizeof(half));
        return half;
    case sizeof(int8_t):
        return *(const int8_t *)result;
    default:
        return 0;
    }
}

static int64_t unsigned_result(const coil_fn *fn, const char *result)
{
    uint64_t wide = 0;
    uint32_t word;
    uint16_t half;

    switch (fn->result_bytes) {
    case sizeof(wide):
        memcpy(&wide, result, sizeof(wide));
        return (int64_t)wide;
    case sizeof(word):
        memcpy(&word, result, sizeof(word));
        return word;
    case sizeof(half):
        memcpy(&half, result, sizeof(half));
        return half;
    case sizeof(uint8_t):
        return *(const uint8_t *)result;
    default:
        return 0;
    }
}

static COIL_COLD int64_t other_result(const coil_fn *fn, const char *result)
{
    int64_t status = 0;
    if (begins_with_status(fn)) {
        memcpy(&status, result, sizeof(status));
    } else if (fn->result_is_scalar) {
        status = fn->result_is_signed ? signed_result(fn, result) : unsigned_result(fn, result);
    }
    return status;
}

int64_t coil_frame_result(const coil_frame *frame)
{
    const char *result = (const char *)frame + frame->fn->result_at;
    int narrow;

    if (coil_unlikely(!frame->fn->result_is_int))
        return other_result(frame->fn, result);
    memcpy(&narrow, result, sizeof(narrow));
    return narrow;
}
