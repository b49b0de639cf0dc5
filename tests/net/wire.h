/* SPDX-License-Identifier: MIT */
/* Two streams that are connected, on a test loop where waiting takes no time; and what is noted. */
#ifndef WIRE_H
#define WIRE_H

#include <coil/pipe.h>
#include <coil/stream.h>
#include <coil/stream_options.h>
#include <coil/test_loop.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <coil/sugar.h>

enum Medium { SOCKETS, PIPE, NONBLOCKING_PIPE };

struct Wire {
    explicit Wire(unsigned seed = 4711) : random(seed) {}

    int open(Medium medium)
    {
        if (medium == SOCKETS)
            return coil_stream_pair(&one, &other);
        const int rc = coil_pipe_create(&other, &one);
        if (rc == 0 && medium == NONBLOCKING_PIPE) {
            EXPECT_EQ(0, fcntl(coil_stream_fd(one), F_SETFL, O_NONBLOCK));
            EXPECT_EQ(0, fcntl(coil_stream_fd(other), F_SETFL, O_NONBLOCK));
        }
        return rc;
    }

    /* The kernel keeps little of what is sent. */
    void shrink() const
    {
        coil_stream_options few = {};
        few.send_buffer_bytes = 4096;
        EXPECT_EQ(0, coil_stream_configure(one, &few));
        EXPECT_EQ(0, coil_stream_configure(other, &few));
    }

    coil_stream *one = nullptr;   /* The writing end of a pipe. */
    coil_stream *other = nullptr; /* The reading end. */
    std::string log = "";
    std::string got = "";
    std::mt19937 random;
};

inline std::string text_of(const coil_slice &slice)
{
    return slice.size_bytes > 0 ? std::string(slice.bytes, static_cast<size_t>(slice.size_bytes))
                                : "";
}

inline unsigned wire_seeds(unsigned usual)
{
    const char *more = getenv("COIL_TEST_SEEDS");
    return more == nullptr ? usual : usual * static_cast<unsigned>(atoi(more));
}

/* The handler, with a wire that is open meanwhile. */
async(int, on_open_wire, (coil_handler) handler, (Medium) medium, (Wire *) wire)
{
    vars(int rc);

    EXPECT_EQ(0, wire->open(medium));
    defer({
        coil_stream_close(wire->one);
        coil_stream_close(wire->other);
    });
    await(my->rc, coil_handler_call(handler, wire));
    return my->rc;
}

/* As coil_run() of body(wire), on a test loop. */
#define RUN_ON(medium, wire, body)                                              \
    __extension__({                                                             \
        coil_loop *loop_ = nullptr;                                             \
        EXPECT_EQ(0, coil_test_loop_create(&loop_, nullptr));                   \
        const int64_t result_ = coil_loop_run_until(                            \
                loop_, on_open_wire(coil_handler(body, Wire *), medium, wire)); \
        EXPECT_EQ(0, coil_loop_close(&loop_));                                  \
        result_;                                                                \
    })

#define RUN_ON_WIRE(body)              \
    __extension__({                    \
        Wire wire_;                    \
        RUN_ON(SOCKETS, &wire_, body); \
    })

#endif
