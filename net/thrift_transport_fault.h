/* SPDX-License-Identifier: MIT */
/* What can be wrong around a message; thrift_transport_fault.c has the words. */
#ifndef COIL_THRIFT_TRANSPORT_FAULT_H
#define COIL_THRIFT_TRANSPORT_FAULT_H

#include "thrift_transport.h"

enum transport_fault {
    TRANSPORT_FAULT_NOTHING,
    TRANSPORT_FAULT_LENGTH,
    TRANSPORT_FAULT_TLS,
    TRANSPORT_FAULT_FIRST_BYTES,
    TRANSPORT_FAULT_NO_MESSAGE,
    TRANSPORT_FAULT_EMPTY,
    TRANSPORT_FAULT_UNFRAMED,
    TRANSPORT_FAULT_HEADER_CUT,
    TRANSPORT_FAULT_HEADER_SIZE,
    TRANSPORT_FAULT_HEADER_COUNT,
    TRANSPORT_FAULT_PROTOCOL_ID,
    TRANSPORT_FAULT_TRANSFORM,
    TRANSPORT_FAULT_ZLIB,
    TRANSPORT_FAULT_ZLIB_CUT,
    TRANSPORT_FAULT_ZLIB_SIZE,
    TRANSPORT_FAULT_ZLIB_MISSING,
    TRANSPORT_FAULT_HTTP,
    TRANSPORT_FAULT_HTTP_STATUS,
    TRANSPORT_FAULT_HTTP_MISSING,
    TRANSPORT_FAULT_END,
    TRANSPORT_FAULT_NO_SPACE,
    TRANSPORT_FAULT_COUNT,
};

/* What a program sees of a fault: the error, and the type of the exception that answers it. */
int transport_fault_error(unsigned fault);
enum coil_thrift_exception_type transport_fault_exception(unsigned fault);

#endif
