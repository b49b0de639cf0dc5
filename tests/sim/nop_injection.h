/* SPDX-License-Identifier: MIT */
/*
 * For tests of what the library makes of each error that an operation can have. A request is
 * exchanged for a NOP with an injected result on its way to the kernel, so that the completion is a
 * real one, with the request's own name, in its own time; only that nothing else has happened.
 *
 * To be included once in a program, which is linked with --wrap=coil_kernel_ring_enter.
 */
#ifndef NOP_INJECTION_H
#define NOP_INJECTION_H

#include "../proactor/stage.h"

#include <vector>

#include <coil/sugar.h>

#ifndef IORING_NOP_INJECT_RESULT
#define IORING_NOP_INJECT_RESULT (1U << 0)
#endif

namespace
{

/* The next `count` requests with this opcode have this result. */
struct Injection {
    int opcode;
    int32_t result;
    int count;
};

std::vector<Injection> injections;

void inject_into(struct io_uring_sqe *sqe)
{
    for (Injection &injection : injections) {
        if (injection.count == 0 || injection.opcode != sqe->opcode)
            continue;
        injection.count--;
        const uint64_t name = sqe->user_data;
        memset(sqe, 0, sizeof(*sqe));
        io_uring_prep_nop(sqe);
        sqe->nop_flags = IORING_NOP_INJECT_RESULT;
        sqe->len = static_cast<unsigned>(injection.result);
        sqe->user_data = name;
        return;
    }
}

} // namespace

extern "C" {

int __real_coil_kernel_ring_enter(struct io_uring *, unsigned, unsigned, unsigned, void *, size_t);
int __wrap_coil_kernel_ring_enter(struct io_uring *, unsigned, unsigned, unsigned, void *, size_t);

int __wrap_coil_kernel_ring_enter(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    struct io_uring_sq *sq = &ring->sq;
    for (unsigned i = sq->sqe_tail - to_submit; i != sq->sqe_tail; i++)
        inject_into(&sq->sqes[i & sq->ring_mask]);
    return __real_coil_kernel_ring_enter(
            ring, to_submit, min_complete, flags, argument, argument_bytes);
}
}

namespace
{

const int32_t interruptions[] = {-EINTR, -512, -513, -514, -516};

class NopInjection : public Proactor
{
protected:
    NopInjection()
    {
        injections.clear();
        EXPECT_EQ(0, RUN(coil_sleep(coil_us(1)))); /* The loop's own poll is submitted now. */
    }

    ~NopInjection() override
    {
        for (const Injection &injection : injections)
            EXPECT_EQ(0, injection.count) << "of opcode " << injection.opcode;
        injections.clear();
    }

    static void inject(int opcode, int32_t result, int count = 1)
    {
        injections.push_back({opcode, result, count});
    }

    char bytes[64] = "";
};

} // namespace

#endif
