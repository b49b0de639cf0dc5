/* SPDX-License-Identifier: MIT */
#include "lending.h"

#include "process.h"
#include "ring.h"
#include "transfer.h"

#include <string.h>

enum { LOOKED_AT_BYTES = 4096, JUNK = 0xa5 }; /* Of each part. */

static uint64_t sum_part(uint64_t sum, const struct iovec *part)
{
    const unsigned char *bytes = part->iov_base;
    const size_t count = part->iov_len < LOOKED_AT_BYTES ? part->iov_len : LOOKED_AT_BYTES;

    for (size_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

static uint64_t sum(const sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);
    uint64_t all = 0xcbf29ce484222325;

    for (unsigned i = 0; i < count; i++)
        all = sum_part(all, &parts[i]);
    return all;
}

static void spoil(const sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);

    for (unsigned i = 0; i < count; i++) {
        const size_t bytes = parts[i].iov_len;
        if (bytes > 0)
            memset(parts[i].iov_base, JUNK, bytes < LOOKED_AT_BYTES ? bytes : LOOKED_AT_BYTES);
    }
}

void lending_begin(sim_request *request)
{
    if (request->operation->writes)
        request->checksum = sum(request);
    if (request->operation->reads && (request->sqe.flags & IOSQE_BUFFER_SELECT) == 0)
        spoil(request);
}

void lending_verify(sim_request *request)
{
    if (!request->operation->writes || request->checksum == 0)
        return;
    SIM_CHECK(request->ring->process->world, request->checksum == sum(request),
            "the bytes of %s %llu have changed in flight", request->operation->name,
            (unsigned long long)request->number);
}
