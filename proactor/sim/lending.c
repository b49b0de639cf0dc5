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

static size_t looked_at(const struct iovec *part)
{
    return part->iov_len < LOOKED_AT_BYTES ? part->iov_len : LOOKED_AT_BYTES;
}

static void spoil(sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);
    size_t kept_bytes = 0;

    for (unsigned i = 0; i < count; i++)
        kept_bytes += looked_at(&parts[i]);
    if (kept_bytes == 0)
        return;
    char *kept = request->lent = sim_new(kept_bytes);
    for (unsigned i = 0; i < count; i++) {
        const size_t bytes = looked_at(&parts[i]);
        if (bytes == 0)
            continue;
        memcpy(kept, parts[i].iov_base, bytes);
        memset(parts[i].iov_base, JUNK, bytes);
        kept += bytes;
    }
}

/* What lies behind the first `written_bytes` of all parts. */
static void restore(const sim_request *request, size_t written_bytes)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);
    const char *kept = request->lent;

    for (unsigned i = 0; i < count; i++) {
        const size_t bytes = looked_at(&parts[i]);
        const size_t skipped = written_bytes < bytes ? written_bytes : bytes;
        if (bytes > skipped)
            memcpy((char *)parts[i].iov_base + skipped, kept + skipped, bytes - skipped);
        kept += bytes;
        written_bytes -= written_bytes < parts[i].iov_len ? written_bytes : parts[i].iov_len;
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

void lending_end(sim_request *request, int result)
{
    lending_verify(request);
    if (request->lent != NULL)
        restore(request, result > 0 ? (size_t)result : 0);
}
