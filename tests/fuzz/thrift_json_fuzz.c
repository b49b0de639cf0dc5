/* SPDX-License-Identifier: MIT */
/* Fuzz target of the JSON protocol. An input is a message, without a frame. */
#include "thrift_checks.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size <= UINT32_MAX)
        thrift_check_message(COIL_THRIFT_PROTOCOL_JSON, bytes, (uint32_t)size);
    return 0;
}
