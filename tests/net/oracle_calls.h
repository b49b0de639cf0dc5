/* SPDX-License-Identifier: MIT */
/* Calls of the Oracle, and servers of it that are scripted byte by byte. */
#ifndef ORACLE_CALLS_H
#define ORACLE_CALLS_H

#include "oracle.h"
#include "served.h"

#include <cerrno>

namespace
{

using packet::field;
using packet::frame;
using packet::i32;
using packet::message;
using packet::stop;
using packet::text;

std::string string_of(coil_thrift_text value)
{
    return std::string(value.bytes, value.size);
}

/* -------------------------------------------------------------------- scripted servers -- */

struct Question {
    std::string name;
    int type = 0;
    int seqid = 0;
    std::string text;
};

inline Question receive_question(Peer &peer)
{
    Question question;
    coil_thrift_reader reader;
    coil_thrift_message call;
    coil_thrift_field field;
    coil_thrift_text text = {};

    const std::string bytes = peer.receive_frame();
    coil_thrift_reader_init(&reader, bytes.data(), static_cast<uint32_t>(bytes.size()), nullptr);
    if (!coil_thrift_read_message(&reader, &call))
        return question;
    while (coil_thrift_read_field(&reader, &field)) {
        if (field.id == 1 && coil_thrift_get_string(&reader, &text))
            question.text = string_of(text);
    }
    EXPECT_EQ(0, coil_thrift_reader_finish(&reader));
    question.name = string_of(call.name);
    question.type = call.type;
    question.seqid = call.seqid;
    return question;
}

inline std::string answer_to(const Question &question, const std::string &word)
{
    return frame(message(2, question.name, question.seqid) + field(11, 0) + text(word) + stop());
}

inline std::string refusal_of(const Question &question, const std::string &why)
{
    return frame(message(2, question.name, question.seqid) + field(12, 1) + field(11, 1) +
                 text(why) + stop() + stop());
}

inline std::string exception_of(const std::string &name, int seqid, const std::string &what)
{
    return frame(
            message(3, name, seqid) + field(11, 1) + text(what) + field(8, 2) + i32(6) + stop());
}

/* --------------------------------------------------------------------------------- calls -- */

/* What a test lets a task call, and what comes of it. */
struct Call {
    const coil_thrift_method_schema *method = &oracle_ask;
    const char *question = "question";
    coil_duration timeout = 0;
    coil_duration cancel_after = COIL_FOREVER;
    bool wants_result = true;
    const char *service = nullptr;
    size_t arena_bytes = 1 << 20;
    int rc = 1;
    std::string answer = "";
    std::string why = "";  /* Of a refusal. */
    std::string what = ""; /* Of an exception that all have. */
    bool was_sent = false;
};

void keep_outcome(Call *call, const coil_thrift_invocation *invocation, const oracle_answer *answer)
{
    call->was_sent = invocation->was_sent;
    if (invocation->result != nullptr && call->method->result == oracle_ask.result) {
        if ((answer->has & 1) != 0 && call->rc == 0)
            call->answer = string_of(answer->success);
        if ((answer->has & 2) != 0 && call->rc == -EREMOTEIO)
            call->why = string_of(answer->refusal.why);
    }
    if (call->rc == -EREMOTEIO && call->why.empty())
        call->what = string_of(invocation->exception.message);
}

async(int, make_call, (coil_thrift_channel *) channel, (Call *) call)
{
    vars(coil_thrift_invocation invocation; oracle_question question; oracle_answer answer;
            coil_arena arena);

    coil_arena_init(&my->arena, call->arena_bytes);
    defer(coil_arena_fini(&my->arena));
    my->question.question = coil_thrift_text_of(call->question);
    my->invocation.method = call->method;
    my->invocation.arguments = call->question == nullptr ? nullptr : &my->question;
    my->invocation.arena = &my->arena;
    my->invocation.result = call->wants_result ? &my->answer : nullptr;
    my->invocation.timeout = call->timeout;
    my->invocation.service = call->service;
    await(call->rc, within(call->cancel_after, coil_thrift_invoke(channel, &my->invocation)));
    keep_outcome(call, &my->invocation, &my->answer);
    return 0;
}

} // namespace

#endif
