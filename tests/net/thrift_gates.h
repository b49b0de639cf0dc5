/* SPDX-License-Identifier: MIT */
/* A Thrift server whose handlers wait until they may go on, and a client of it. */
#ifndef THRIFT_GATES_H
#define THRIFT_GATES_H

#include "served.h"

#include <atomic>

namespace
{

using packet::field;
using packet::frame;
using packet::message;
using packet::stop;
using packet::text;

/* ------------------------------------------------------------------------------ the service -- */

/* Handlers that wait until a gate is opened, and what has become of them. */
struct Gates {
    coil_thrift_service service;
    std::atomic<bool> is_open{false};
    std::atomic<int> begun{0};
    std::atomic<int> cancelled{0};
    std::atomic<int> noted{0};
};

Gates *gates_of(const coil_thrift_call *call)
{
    return coil_container_of(call->service, Gates, service);
}

coil_thrift_text first_text(coil_thrift_call *call)
{
    coil_thrift_text word = {"", 0};
    coil_thrift_field field;
    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(&call->arguments, &word);
    }
    return word;
}

async(int, pass_gate, (Gates *) gates)
{
    vars(bool passed);

    gates->begun++;
    defer(if (!my->passed) gates->cancelled++);
    while (!gates->is_open)
        await(coil_sleep(coil_ms(1)));
    my->passed = true;
    return 0;
}

/* string hold(1: string text): waits for the gate. */
async(int, hold, (coil_thrift_call *) call)
{
    vars(coil_thrift_text text);

    my->text = first_text(call);
    attempt(pass_gate(gates_of(call)));
    coil_thrift_put_string(coil_thrift_reply(call), 0, my->text);
    return 0;
}

/* string readLate(1: string text): its arguments are read when others are read already. */
async(int, read_late, (coil_thrift_call *) call)
{
    vars();
    await(coil_sleep(coil_ms(1)));
    const coil_thrift_text word = first_text(call);
    coil_thrift_put_string(coil_thrift_reply(call), 0, word);
    gates_of(call)->noted++;
    return 0;
}

/* As hold(), but the reply has been begun before. */
async(int, hold_reply, (coil_thrift_call *) call)
{
    vars(coil_thrift_writer *reply);

    my->reply = coil_thrift_reply(call);
    coil_thrift_put_string(my->reply, 0, first_text(call));
    attempt(pass_gate(gates_of(call)));
    return 0;
}

async(int, echo, (coil_thrift_call *) call)
{
    vars();
    const coil_thrift_text word = first_text(call);
    coil_thrift_put_string(coil_thrift_reply(call), 0, word);
    return 0;
}

async(int, open_gate, (coil_thrift_call *) call)
{
    vars();
    gates_of(call)->is_open = true;
    return 0;
}

/* oneway void note(): waits for the gate. */
async(int, note, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    attempt(pass_gate(gates_of(call)));
    gates_of(call)->noted++;
    return 0;
}

/* The same, but it waits before it says that it is a oneway one. */
async(int, note_late, (coil_thrift_call *) call)
{
    vars();
    await(coil_sleep(coil_ms(1)));
    coil_thrift_no_reply(call);
    attempt(pass_gate(gates_of(call)));
    gates_of(call)->noted++;
    return 0;
}

/* oneway void tell(): at once. */
async(int, tell, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_no_reply(call);
    gates_of(call)->noted++;
    return 0;
}

async(int, refuses, (coil_thrift_call *) call)
{
    vars();
    return coil_thrift_fail(call, 77, "not today");
}

async(int, much, (coil_thrift_call *) call)
{
    vars();
    static const char bytes[1 << 18] = {};
    await(coil_yield());
    coil_thrift_put_string(coil_thrift_reply(call), 0, {bytes, sizeof(bytes)});
    return 0;
}

const coil_thrift_method methods[] = {
        {"hold", coil_handler(hold, coil_thrift_call *), nullptr},
        {"holdReply", coil_handler(hold_reply, coil_thrift_call *), nullptr},
        {"readLate", coil_handler(read_late, coil_thrift_call *), nullptr},
        {"echo", coil_handler(echo, coil_thrift_call *), nullptr},
        {"open", coil_handler(open_gate, coil_thrift_call *), nullptr},
        {"note", coil_handler(note, coil_thrift_call *), nullptr},
        {"noteLate", coil_handler(note_late, coil_thrift_call *), nullptr},
        {"tell", coil_handler(tell, coil_thrift_call *), nullptr},
        {"refuse", coil_handler(refuses, coil_thrift_call *), nullptr},
        {"much", coil_handler(much, coil_thrift_call *), nullptr},
};

using Configure = std::function<void(coil_thrift_server *)>;

class Calls : public testing::Test
{
protected:
    explicit Calls(const Configure &configure = nullptr)
        : served({&gates.service}, configure), peer(served.connected())
    {
    }

    static std::string call(const char *method, const std::string &word, int seqid, int type = 1)
    {
        return frame(message(type, method, seqid) + field(11, 1) + text(word) + stop());
    }

    void await_begun(int count)
    {
        ASSERT_TRUE(soon([&] { return gates.begun == count; })) << gates.begun;
    }

    static void expect_text(Peer &from, const std::string &word)
    {
        const Answer answer(from.receive_frame());
        EXPECT_EQ(COIL_THRIFT_REPLY, answer.type);
        EXPECT_EQ(word, answer.text);
    }

    Gates gates = {{"Gates", methods, std::size(methods)}, {}, {}, {}, {}};
    coil_thrift_method_rule rules[2] = {};
    Served served;
    Peer peer;
};

} // namespace

#endif
