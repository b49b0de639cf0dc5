/* SPDX-License-Identifier: MIT */
/* Handlers that take structs: what the server reads before them and writes after them. */
#include "served.h"
#include "typed_service.h"

#include <cerrno>

namespace
{

using packet::field;
using packet::frame;
using packet::i32;
using packet::i64;
using packet::list;
using packet::message;
using packet::stop;
using packet::text;
using words::ChooseCall;
using words::NoteCall;
using words::NothingCall;
using words::WeighCall;

struct Notes {
    coil_thrift_service service;
    std::string last;
};

/* The sum of the lengths; an exception for words of more than eight letters. */
async(int, weigh, (WeighCall *) call)
{
    vars(uint32_t i);

    call->result.has = words::HAS_SUCCESS; /* As a careless handler leaves it. */
    await(coil_yield());
    for (my->i = 0; my->i < call->arguments.words.count; my->i++) {
        const words::Word *word = &call->arguments.words.items[my->i];
        call->result.success += static_cast<int64_t>(word->text.size) * word->count;
        if (word->text.size > 8) {
            call->result.too_long.why = word->text;
            call->result.has |= words::HAS_TOO_LONG;
        }
    }
    return call->arguments.words.count > 100 ? -ERANGE : 0;
}

async(int, note, (NoteCall *) call)
{
    vars();
    Notes *notes = coil_container_of(call->context->service, Notes, service);
    notes->last.assign(call->arguments.text.bytes, call->arguments.text.size);
    return 0;
}

async(int, nothing, (NothingCall *) call)
{
    vars();
    return coil_arena_take(call->context->arena, 100, 8) == nullptr ? -ENOMEM : 0;
}

async(int, choose, (ChooseCall *) call)
{
    vars();
    return call->arguments.mark.which > 0 ? 0 : -EINVAL;
}

const coil_thrift_method methods[] = {
        {"weigh", coil_handler(weigh, WeighCall *), &words::weigh_schema},
        {"note", coil_handler(note, NoteCall *), &words::note_schema},
        {"nothing", coil_handler(nothing, NothingCall *), &words::nothing_schema},
        {"choose", coil_handler(choose, ChooseCall *), &words::choose_schema},
};

std::string word(const std::string &bytes)
{
    return field(11, 1) + text(bytes) + stop();
}

std::string weigh_call(const std::vector<std::string> &some)
{
    std::string call = field(15, 1) + list(12, static_cast<int64_t>(some.size()));
    for (const std::string &one : some)
        call += word(one);
    return packet::call("weigh", call + stop());
}

class TypedCall : public testing::Test
{
protected:
    explicit TypedCall(const std::function<void(coil_thrift_server *)> &configure = nullptr)
        : served({&notes.service}, configure), peer(served.connected())
    {
    }

    std::string ask(const std::string &call)
    {
        EXPECT_TRUE(peer.send(frame(call)));
        return peer.receive_frame();
    }

    Notes notes = {{"Words", methods, std::size(methods)}, ""};
    Served served;
    Peer peer;
};

TEST_F(TypedCall, FindsItsArgumentsReadAndItsResultIsWritten)
{
    EXPECT_EQ(
            packet::reply("weigh", field(10, 0) + i64(5) + stop()), ask(weigh_call({"a", "bcde"})));
    EXPECT_EQ(packet::reply("weigh", field(10, 0) + i64(0) + stop()), ask(weigh_call({})));
}

TEST_F(TypedCall, EndsWithADeclaredExceptionInsteadOfAResult)
{
    const std::string why = field(12, 1) + field(11, 1) + text("abcdefghi") + stop();
    EXPECT_EQ(packet::reply("weigh", why + stop()), ask(weigh_call({"a", "abcdefghi"})));
}

TEST_F(TypedCall, OfAVoidMethodIsAnsweredWithAnEmptyResult)
{
    EXPECT_EQ(packet::reply("nothing", stop()), ask(packet::call("nothing", stop())));
}

TEST_F(TypedCall, OfAOnewayMethodIsNeverAnswered)
{
    ASSERT_TRUE(peer.send(frame(message(4, "note", 1) + field(11, 1) + text("one") + stop())));
    ASSERT_TRUE(peer.send(frame(message(1, "note", 2) + field(11, 1) + text("two") + stop())));
    EXPECT_EQ(packet::reply("nothing", stop()), ask(packet::call("nothing", stop())));
    served.stop();
    EXPECT_EQ("two", notes.last);
}

TEST_F(TypedCall, ThatFailsIsAnInternalErrorToTheCaller)
{
    const Answer answer(ask(weigh_call(std::vector<std::string>(101, "x"))));
    EXPECT_EQ(COIL_THRIFT_INTERNAL_ERROR, answer.exception);
    EXPECT_EQ(packet::reply("nothing", stop()), ask(packet::call("nothing", stop())));
}

TEST_F(TypedCall, WithoutARequiredArgumentIsAProtocolError)
{
    const Answer answer(ask(packet::call("weigh", stop())));
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, answer.exception);
    EXPECT_NE(std::string::npos, answer.what.find("required field")) << answer.what;
    EXPECT_EQ(packet::reply("nothing", stop()), ask(packet::call("nothing", stop())))
            << "its client has another version of the interface, but is no enemy";
}

/* Nor one who has added a field to a union, or thinks that it is a struct. */
TEST_F(TypedCall, WithAUnionThatIsNoneIsAProtocolError)
{
    const auto choose = [](const std::string &fields) {
        return packet::call("choose", field(12, 1) + fields + stop() + stop());
    };
    const std::string name = field(11, 1) + text("a"), colour = field(11, 2) + text("red");
    const std::string newer = field(11, 3) + text("z");
    for (const std::string &fields : {std::string(), newer, name + colour}) {
        const Answer answer(ask(choose(fields)));
        EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, answer.exception);
        EXPECT_NE(std::string::npos, answer.what.find("union")) << answer.what;
    }
    EXPECT_EQ(packet::reply("choose", stop()), ask(choose(newer + colour)));
}

/* A word of no fields is one byte on the wire, and 32 in memory. */
TEST_F(TypedCall, MayNotBecomeMuchLargerThanItsMessage)
{
    const std::string empty_words = field(15, 1) + list(12, 10000) + std::string(10000, '\0');
    const Answer answer(ask(packet::call("weigh", empty_words + stop())));
    EXPECT_EQ(COIL_THRIFT_PROTOCOL_ERROR, answer.exception);
    EXPECT_NE(std::string::npos, answer.what.find("may take")) << answer.what;
    EXPECT_EQ(packet::reply("nothing", stop()), ask(packet::call("nothing", stop())));
}

class TypedCallWithRoom : public TypedCall
{
protected:
    TypedCallWithRoom()
        : TypedCall([](coil_thrift_server *server) { server->decode_max = 1 << 20; })
    {
    }
};

TEST_F(TypedCallWithRoom, MayBecomeAsLargeAsTheServerSays)
{
    const std::string empty_words = field(15, 1) + list(12, 10000) + std::string(10000, '\0');
    const Answer answer(ask(packet::call("weigh", empty_words + stop())));
    EXPECT_EQ(COIL_THRIFT_INTERNAL_ERROR, answer.exception); /* More than 100 words. */
}

} // namespace
