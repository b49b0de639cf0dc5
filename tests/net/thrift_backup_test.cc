/* SPDX-License-Identifier: MIT */
/* Calls that are made twice, where the answer is slow. */
#include "thrift_ways.h"

namespace
{

/* Two servers, of which the first connection meets the silent one. */
TEST(ThriftBackup, AsksAgainWhereTheAnswerIsSlowAndTakesTheFirst)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.backup_delay = coil_ms(20);
    std::vector<Call> calls(1);
    calls[0].method = &oracle_look;
    const Thread server([&] {
        Peer slow = listener.accepted();
        (void)receive_question(slow);
        Peer quick = listener.accepted();
        quick.send(answer_to(receive_question(quick), "quick"));
        (void)slow.at_end();
    });
    run(&way, &calls);
    EXPECT_EQ("quick", calls[0].answer);
    EXPECT_EQ(1u, way.backup.backup_count);
    EXPECT_EQ(1u, way.backup.won_count);
}

TEST(ThriftBackup, TakesTheAnswerToTheFirstCallIfThatComesFirst)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.backup_delay = coil_ms(20);
    std::vector<Call> calls(1);
    calls[0].method = &oracle_look;
    const Thread server([&] {
        Peer slow = listener.accepted();
        const Question question = receive_question(slow);
        Peer other = listener.accepted();
        (void)receive_question(other);
        slow.send(answer_to(question, "slow"));
        (void)other.at_end();
    });
    run(&way, &calls);
    EXPECT_EQ("slow", calls[0].answer);
    EXPECT_EQ(1u, way.backup.backup_count);
    EXPECT_EQ(0u, way.backup.won_count);
}

TEST(ThriftBackup, DoesNotAskAgainWhereTheAnswerIsQuickOrTheMethodIsNotIdempotent)
{
    Shrine delphi("Delphi");
    Way way = to({delphi.address()});
    way.backup_delay = coil_s(5);
    std::vector<Call> calls(2);
    calls[0].method = &oracle_look;
    run(&way, &calls);
    EXPECT_EQ(2u, answered(calls, "Delphi"));
    EXPECT_EQ(2, delphi.oracle.asked);
    EXPECT_EQ(1u, way.backup.call_count);
    EXPECT_EQ(0u, way.backup.backup_count);
}

TEST(ThriftBackup, WaitsForTheOtherAnswerIfOneCallFails)
{
    const PeerListener listener;
    Way way = to({listener.address});
    way.backup_delay = coil_ms(20);
    std::vector<Call> calls(1);
    calls[0].method = &oracle_look;
    const Thread server([&] {
        Peer first = listener.accepted();
        (void)receive_question(first);
        Peer second = listener.accepted();
        const Question question = receive_question(second);
        first.close();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        second.send(answer_to(question, "yes"));
        (void)second.at_end();
    });
    run(&way, &calls);
    EXPECT_EQ("yes", calls[0].answer);
}

TEST(ThriftBackup, HasABudget)
{
    coil_retry_budget budget;
    coil_retry_budget_init(&budget, 0, 1);
    Shrine delphi("Delphi");
    delphi.oracle.slow_ms = 40;
    Way way = to({delphi.address()});
    way.backup_delay = coil_ms(5);
    way.budget = &budget;
    std::vector<Call> calls(3);
    for (Call &call : calls)
        call.method = &oracle_look;
    run(&way, &calls);
    EXPECT_EQ(3u, answered(calls, "Delphi"));
    EXPECT_EQ(1u, way.backup.backup_count);
}

} // namespace
