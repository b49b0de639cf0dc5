// SPDX-License-Identifier: MIT
// C++20 coroutines on asio, asked what perf/micro asks Coil. One io_context of one thread, which is
// told so, and no any_io_executor in between.
//
// asio has no lock, semaphore, event or queue of its own: an experimental::channel is what its
// users make them of.
#include "../micro/measure.h"
#include "../micro/threads.h"

#include <asio.hpp>
#include <asio/experimental/channel.hpp>

#include <memory>
#include <thread>
#include <vector>

namespace
{

using executor = asio::io_context::executor_type;
template <class T> using task = asio::awaitable<T, executor>;
using channel = asio::experimental::channel<executor, void(asio::error_code, int64_t)>;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
        asio::wait_traits<std::chrono::steady_clock>, executor>;

constexpr asio::use_awaitable_t<executor> awaited;
constexpr int MANY = 1000000;
constexpr int HOT_TIMERS = 64;

// Runs the coroutine `body(context, count)`, and all that it starts, to the end.
template <class Body> double drive(Body body, int64_t count)
{
    asio::io_context context(1);
    double start_ns = measure_now_ns();
    asio::co_spawn(context, body(context, count), asio::detached);
    context.run();
    return measure_now_ns() - start_ns;
}

task<void> semaphore(asio::io_context &context, int64_t count)
{
    channel permits(context, 1);
    for (int64_t i = 0; i < count; i++) {
        co_await permits.async_send({}, i, awaited);
        co_await permits.async_receive(awaited);
    }
}

task<void> queue(asio::io_context &context, int64_t count)
{
    channel items(context, 64);
    for (int64_t i = 0; i < count; i++) {
        co_await items.async_send({}, i, awaited);
        co_await items.async_receive(awaited);
    }
}

task<void> put_all(std::shared_ptr<channel> items, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        co_await items->async_send({}, i, awaited);
}

task<void> pass_items(asio::io_context &context, size_t slot_count, int64_t count)
{
    auto items = std::make_shared<channel>(context, slot_count);
    asio::co_spawn(context, put_all(items, count), asio::detached);
    for (int64_t i = 0; i < count; i++)
        co_await items->async_receive(awaited);
}

task<void> queue_64_slots(asio::io_context &context, int64_t count)
{
    return pass_items(context, 64, count);
}

task<void> queue_1_slot(asio::io_context &context, int64_t count)
{
    return pass_items(context, 1, count);
}

task<void> answer(std::shared_ptr<channel> there, std::shared_ptr<channel> back, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        co_await back->async_send({}, co_await there->async_receive(awaited), awaited);
}

task<void> channel_ping_pong(asio::io_context &context, int64_t count)
{
    auto there = std::make_shared<channel>(context, 0);
    auto back = std::make_shared<channel>(context, 0);
    asio::co_spawn(context, answer(there, back, count), asio::detached);
    for (int64_t i = 0; i < count; i++) {
        co_await there->async_send({}, i, awaited);
        co_await back->async_receive(awaited);
    }
}

task<void> yield_often(asio::io_context &context, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        co_await asio::post(context, awaited);
}

task<void> yield(asio::io_context &context, int64_t count)
{
    asio::co_spawn(context, yield_often(context, count / 2), asio::detached);
    return yield_often(context, count / 2);
}

task<void> trivial()
{
    co_return;
}

task<void> spawn_join(asio::io_context &context, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        co_await asio::co_spawn(context, trivial(), awaited);
}

// The run() of drive() is what joins them.
task<void> spawn_join_all(asio::io_context &context, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        asio::co_spawn(context, trivial(), asio::detached);
    co_return;
}

template <task<void> (*body)(asio::io_context &, int64_t)> double run(int64_t count)
{
    return drive(body, count);
}

// ------------------------------------------------------------------------------------- timers

std::chrono::nanoseconds ahead()
{
    static uint64_t state = 88172645463325252;
    return std::chrono::nanoseconds(1000000000000 + measure_random(&state) % 60000000000);
}

void arm(timer &one, std::chrono::nanoseconds duration)
{
    one.expires_after(duration);
    one.async_wait([](asio::error_code) {});
}

std::vector<timer> armed(asio::io_context &context, int count)
{
    std::vector<timer> timers;
    timers.reserve(count);
    for (int i = 0; i < count; i++) {
        timers.emplace_back(context);
        arm(timers.back(), ahead());
    }
    return timers;
}

// A cancelled wait has a completion, which poll() delivers: that is in the price.
double run_timer_1m(int64_t count)
{
    asio::io_context context(1);
    auto timers = armed(context, MANY);
    timer mine(context);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        arm(mine, std::chrono::seconds(1030));
        mine.cancel();
        if (i % HOT_TIMERS == 0)
            context.poll();
    }
    context.poll();
    return measure_now_ns() - start_ns;
}

double run_timers_1m(int64_t count)
{
    asio::io_context context(1);
    double start_ns = measure_now_ns();
    auto timers = armed(context, static_cast<int>(count));
    for (auto &one : timers)
        one.cancel();
    context.poll();
    return measure_now_ns() - start_ns;
}

// run() returns when none is armed any more.
double run_timer_fire_1m(int64_t count)
{
    asio::io_context context(1);
    uint64_t state = 88172645463325252;
    std::vector<timer> timers;
    timers.reserve(count);
    for (int64_t i = 0; i < count; i++)
        timers.emplace_back(context);
    double start_ns = measure_cpu_ns();
    for (auto &one : timers)
        arm(one, std::chrono::nanoseconds(measure_random(&state) % 100000000));
    context.run();
    return measure_cpu_ns() - start_ns;
}

// --------------------------------------------------------------------------------- round trip

// post() there and back; each context runs on a core of its own.
struct table {
    asio::io_context near{1};
    asio::io_context far{1};
    int64_t left_count;

    void serve()
    {
        asio::post(far, [this] { asio::post(near, [this] { arrived(); }); });
    }
    void arrived()
    {
        if (--left_count > 0) {
            serve();
        } else {
            near.stop();
            far.stop();
        }
    }
};

double run_round_trip(int64_t count)
{
    table game;
    auto near_work = asio::make_work_guard(game.near);
    auto far_work = asio::make_work_guard(game.far);
    game.left_count = count;
    threads_pin(0);
    std::thread thread([&game] {
        threads_pin(1);
        game.far.run();
    });
    double start_ns = measure_now_ns();
    game.serve();
    game.near.run();
    double spent_ns = measure_now_ns() - start_ns;
    thread.join();
    return spent_ns;
}

// ------------------------------------------------------------------------------------- memory

task<void> parks(timer &over)
{
    asio::error_code ignored;
    co_await over.async_wait(asio::redirect_error(awaited, ignored));
}

double run_task_resident(int64_t count)
{
    asio::io_context context(1);
    timer over(context, timer::time_point::max());
    double before = measure_resident_bytes();
    for (int64_t i = 0; i < count; i++)
        asio::co_spawn(context, parks(over), asio::detached);
    context.poll();
    double grown = measure_resident_bytes() - before;
    over.cancel();
    context.run();
    return grown;
}

} // namespace

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"semaphore", "asio", run<semaphore>, 0, MEASURE_NS},
            {"queue", "asio", run<queue>, 0, MEASURE_NS},
            {"queue_64_slots", "asio", run<queue_64_slots>, 0, MEASURE_NS},
            {"queue_1_slot", "asio", run<queue_1_slot>, 0, MEASURE_NS},
            {"channel_ping_pong", "asio", run<channel_ping_pong>, 0, MEASURE_NS},
            {"yield", "asio", run<yield>, 0, MEASURE_NS},
            {"spawn_join", "asio", run<spawn_join>, 0, MEASURE_NS},
            {"spawn_join_all", "asio", run<spawn_join_all>, MANY, MEASURE_NS},
            {"timer_1m", "asio", run_timer_1m, MANY, MEASURE_NS},
            {"timers_1m", "asio", run_timers_1m, MANY, MEASURE_NS},
            {"timer_fire_1m", "asio", run_timer_fire_1m, MANY, MEASURE_NS},
            {"post_round_trip", "asio", run_round_trip, TRIPS, MEASURE_NS},
            {"task_resident", "asio", run_task_resident, MANY, MEASURE_BYTES},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
