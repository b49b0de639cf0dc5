/* SPDX-License-Identifier: MIT */
/* The stage of the senders: one of them, and the writes of many tasks. */
#ifndef SENDER_STAGE_H
#define SENDER_STAGE_H

#include "stage.h"

#include <coil/sender.h>

#include <list>
#include <string>

#include <coil/sugar.h>

inline coil_slice all_of(const std::string &bytes)
{
    return {static_cast<int64_t>(bytes.size()), bytes.data(), nullptr};
}

/* One write, and what came of it. */
struct Write {
    coil_sender *sender;
    std::string bytes;
    std::string lent = bytes; /* The sender's, and something else as soon as it has ended. */
    coil_task *task = nullptr;
    int rc = INT_MIN;
};

async(int, writes, (Write *) write)
{
    vars();
    defer(write->task = nullptr; write->lent.assign(write->lent.size(), '#'));
    write->rc = -ECANCELED;
    await(write->rc, coil_sender_write(write->sender, all_of(write->lent)));
    return 0;
}

/* `in` is what is sent by, `out` the other end. */
class SenderStage : public Proactor
{
protected:
    SenderStage() : Proactor(coil_test_loop_create) {}

    void use(Ends ends, coil_transport transport = COIL_TRANSPORT_SOCKET)
    {
        in = std::move(ends.in);
        out = std::move(ends.out);
        EXPECT_EQ(0, fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK));
        coil_sender_init(&sender, in, transport);
    }

    Write *start(const std::string &bytes)
    {
        all.push_back({&sender, bytes});
        Write *write = &all.back();
        write->task = coil_spawn(coil_loop_root(loop), writes(write));
        return write;
    }

    Fd in;
    Fd out;
    coil_sender sender = {};
    std::list<Write> all;
};

#endif
