/* SPDX-License-Identifier: MIT */
#include <coil/coro.h>
#include <coil/kernel.h>
#include <coil/loop_metrics.h>
#include <coil/open_metrics.h>
#include <coil/test_loop.h>

#include <gtest/gtest.h>

#include <thread>

#include <coil/sugar.h>

namespace
{

class LoopMetrics : public testing::Test
{
protected:
    void SetUp() override
    {
        ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
        coil_metrics_init(&metrics, coil_kernel_now());
        coil_loop_metrics_init(&measured, &metrics, loop);
    }

    void TearDown() override
    {
        coil_loop_metrics_fini(&measured);
        coil_metrics_fini(&metrics);
        coil_loop_destroy(loop);
    }

    coil_metric_summary lag()
    {
        const coil_metric_about about = {
                "loop.lag", nullptr, COIL_METRIC_NS, COIL_METRIC_SUM, nullptr, 0};
        coil_metric_summary summary;
        coil_distribution_read(coil_metrics_distribution(&metrics, &about), COIL_METRIC_ALL_TIME,
                coil_kernel_now(), &summary);
        return summary;
    }

    coil_loop *loop = nullptr;
    coil_metrics metrics = {};
    coil_loop_metrics measured = {};
};

void compute_for(coil_duration duration)
{
    const coil_time end = coil_kernel_now() + duration;
    while (coil_kernel_now() < end)
        continue;
}

async(int, compute_and_sleep, (coil_duration) computing, (coil_duration) sleeping, (int) times)
{
    vars(int i);

    for (my->i = 0; my->i < times; my->i++) {
        compute_for(computing);
        await(coil_sleep(sleeping));
    }
    return 0;
}

TEST_F(LoopMetrics, HaveEachTurnWithWhatItHasLetOthersWait)
{
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(coil_ms(20), coil_ms(1), 10)));
    const coil_metric_summary summary = lag();
    EXPECT_GE(summary.count, 10u);
    EXPECT_GE(summary.sum, static_cast<uint64_t>(coil_ms(200)));
    EXPECT_GE(summary.max, static_cast<uint64_t>(coil_ms(20)));
    EXPECT_GE(summary.p95, static_cast<uint64_t>(coil_ms(19)));
}

TEST_F(LoopMetrics, DoNotCountThatThereIsNothingToDo)
{
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_ms(150), 2)));
    std::this_thread::sleep_for(std::chrono::milliseconds(300)); /* Nor what is between runs. */
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_ms(150), 1)));
    EXPECT_LT(lag().sum, static_cast<uint64_t>(coil_ms(300)));
}

async(int, stop_measuring, (coil_loop_metrics *) measured)
{
    vars();

    await(coil_yield());
    coil_loop_metrics_fini(measured);
    await(coil_yield());
    coil_loop_metrics_fini(measured);
    return 0;
}

TEST_F(LoopMetrics, MayEndInTheMiddle)
{
    EXPECT_EQ(0, coil_loop_run_until(loop, stop_measuring(&measured)));
    const uint64_t count = lag().count;
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_ms(1), 5)));
    EXPECT_EQ(count, lag().count);
}

TEST_F(LoopMetrics, GoIntoSeveralRegistriesAtOnce)
{
    coil_metrics others;
    coil_loop_metrics twice;
    coil_metrics_init(&others, coil_kernel_now());
    coil_loop_metrics_init(&twice, &others, loop);
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_ms(1), 5)));
    coil_loop_metrics_fini(&twice);
    const uint64_t count = lag().count;
    EXPECT_GE(count, 5u);
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_ms(1), 5)));
    EXPECT_GT(lag().count, count);
    coil_metrics_fini(&others);
}

TEST_F(LoopMetrics, CountTheTurnsSinceTheyAreMeasured)
{
    coil_metrics others;
    coil_loop_metrics late;
    const coil_metric_about about = {
            "loop.turns", nullptr, COIL_METRIC_NUMBER, COIL_METRIC_SUM, nullptr, 0};
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, 1, 100)));
    coil_metrics_init(&others, coil_kernel_now());
    for (int i = 1; i <= 2; i++) { /* And once more, into the same. */
        coil_loop_metrics_init(&late, &others, loop);
        EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, 1, 5)));
        coil_loop_metrics_fini(&late);
        const uint64_t count = coil_metrics_counter(&others, &about)->total;
        EXPECT_GE(count, 5u * i);
        EXPECT_LT(count, 50u * i);
    }
    coil_metrics_fini(&others);
}

TEST_F(LoopMetrics, AreToldWithTurnsAndTasks)
{
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_ms(1), 5)));
    coil_metrics_refresh(&metrics, coil_kernel_now());
    std::string text(4096, '\0');
    text.resize(coil_open_metrics_format(&metrics, coil_kernel_now(), &text[0], text.size()));
    EXPECT_NE(std::string::npos, text.find("loop_lag_seconds{quantile=\"0.99\"}"));
    EXPECT_NE(std::string::npos, text.find("\nloop_turns_total "));
    EXPECT_NE(std::string::npos, text.find("\nloop_tasks 0\n"));
}

TEST(LoopMetricsOfATestLoop, HaveNoLag)
{
    coil_loop *loop = nullptr;
    coil_metrics metrics;
    coil_loop_metrics measured;
    ASSERT_EQ(0, coil_test_loop_create(&loop, nullptr));
    coil_metrics_init(&metrics, 0);
    coil_loop_metrics_init(&measured, &metrics, loop);
    EXPECT_EQ(0, coil_loop_run_until(loop, compute_and_sleep(0, coil_s(100), 5)));
    coil_metric_summary summary;
    coil_distribution_read(measured.lag, COIL_METRIC_ALL_TIME, COIL_TEST_EPOCH, &summary);
    EXPECT_EQ(0u, summary.count);
    coil_loop_metrics_fini(&measured);
    coil_loop_metrics_fini(nullptr);
    coil_metrics_fini(&metrics);
    EXPECT_EQ(0, coil_loop_close(&loop));
}

} // namespace
