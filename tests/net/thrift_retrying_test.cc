/* SPDX-License-Identifier: MIT */
/* Calls that are made again. */
#include "thrift_ways.h"

namespace
{

/* Answers what `scripts` says to each connection that comes. */
void serve_in_turn(
        const PeerListener &listener, const std::vector<std::function<void(Peer &)>> &scripts)
{
    for (const auto &script : scripts) {
        Peer peer = listener.accepted();
        script(peer);
    }
}

const auto hang_up = [](Peer &peer) { (void)receive_question(peer); };
const auto answer = [](Peer &peer) {
    peer.send(answer_to(receive_question(peer), "at last"));
    (void)peer.at_end();
};

Call one_call(const coil_thrift_method_schema *method,
        const std::vector<std::function<void(Peer &)>> &scripts, Way *out_way = nullptr)
{
    const PeerListener listener;
    Way way = to({listener.address});
    std::vector<Call> calls(1);
    way.again = true;
    calls[0].method = method;
    {
        const Thread server([&] { serve_in_turn(listener, scripts); });
        run(&way, &calls);
    }
    if (out_way != nullptr)
        *out_way = way;
    return calls[0];
}

TEST(ThriftRetrying, CallsIdempotentMethodsAgain)
{
    Way way;
    const Call call = one_call(&oracle_look, {hang_up, hang_up, answer}, &way);
    EXPECT_EQ("at last", call.answer);
    EXPECT_EQ(1u, way.retrying.call_count);
    EXPECT_EQ(2u, way.retrying.retry_count);
}

TEST(ThriftRetrying, DoesNotCallOthersAgainThatWereSent)
{
    const Call call = one_call(&oracle_ask, {hang_up});
    EXPECT_EQ(-ENOTCONN, call.rc);
    EXPECT_TRUE(call.was_sent);
}

TEST(ThriftRetrying, CallsAnyMethodAgainThatWasNotSent)
{
    Way way = to({nobody()});
    way.again = true;
    std::vector<Call> calls(1);
    way.options.balancer.ejection.calls_min = 100;
    run(&way, &calls);
    EXPECT_EQ(-ECONNREFUSED, calls[0].rc);
    EXPECT_EQ(3u, way.retrying.retry_count);
}

TEST(ThriftRetrying, CallsAnyMethodAgainThatAnOverloadedServerHasRefused)
{
    const auto refuse = [](Peer &peer) {
        const Question first = receive_question(peer);
        peer.send(frame(message(3, "ask", first.seqid) + field(11, 1) + text("overloaded") +
                        field(8, 2) + i32(COIL_THRIFT_LOADSHEDDING) + stop()));
    };
    EXPECT_EQ("at last", one_call(&oracle_ask, {refuse, answer}).answer);
}

TEST(ThriftRetrying, TakesOtherExceptionsForAnswers)
{
    const auto except = [](Peer &peer) {
        peer.send(exception_of("look", receive_question(peer).seqid, "no"));
        (void)peer.at_end();
    };
    const Call call = one_call(&oracle_look, {except});
    EXPECT_EQ(-EREMOTEIO, call.rc);
    EXPECT_EQ("no", call.what);
    const auto refuse = [](Peer &peer) {
        peer.send(refusal_of(receive_question(peer), "never"));
        (void)peer.at_end();
    };
    EXPECT_EQ("never", one_call(&oracle_look, {refuse}).why);
}

TEST(ThriftRetrying, HasABudgetInCommonWithOthers)
{
    coil_retry_budget budget;
    coil_retry_budget_init(&budget, 0, 2);
    Way way = to({nobody()});
    way.again = true;
    way.budget = &budget;
    way.options.balancer.ejection.calls_min = 100;
    std::vector<Call> calls(3);
    run(&way, &calls);
    EXPECT_EQ(2u, way.retrying.retry_count);
    EXPECT_EQ(2u, budget.granted_count);
}

TEST(ThriftRetrying, KnowsWhatIsSafeToRepeat)
{
    coil_thrift_invocation invocation = {};
    invocation.method = &oracle_ask;
    invocation.was_sent = true;
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -ENOTCONN));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -EREMOTEIO));
    invocation.exception.type = COIL_THRIFT_LOADSHEDDING;
    EXPECT_TRUE(coil_thrift_is_repeatable(&invocation, -EREMOTEIO));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -ENOTCONN));
    invocation.was_sent = false;
    EXPECT_TRUE(coil_thrift_is_repeatable(&invocation, -ENOTCONN));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, -ECANCELED));
    EXPECT_FALSE(coil_thrift_is_repeatable(&invocation, 0));
    invocation.was_sent = true;
    invocation.method = &oracle_look;
    EXPECT_TRUE(coil_thrift_is_repeatable(&invocation, -ETIME));
}

} // namespace
