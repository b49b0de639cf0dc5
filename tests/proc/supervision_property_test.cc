/* SPDX-License-Identifier: MIT */
/*
 * The policy of supervision under random services, dependencies, faults and commands. What must
 * hold after every step is in supervision_world.h. COIL_TEST_SEEDS=n: n times as many.
 */
#include "supervision_world.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace
{

uint64_t seed_factor()
{
    const char *given = getenv("COIL_TEST_SEEDS");
    return given == nullptr ? 1 : std::max(1UL, strtoul(given, nullptr, 10));
}

class Schedule
{
public:
    explicit Schedule(uint64_t seed) : random_(seed), governor_()
    {
        coil_supervision_options options = {};
        options.seed = seed;
        options.strategy = static_cast<coil_strategy>(draw(3));
        if (draw(3) == 0) {
            options.intensity = static_cast<unsigned>(1 + draw(6));
            options.intensity_period = coil_s(static_cast<int64_t>(1 + draw(60)));
        }
        if (draw(2) == 0) {
            governor_.interval = coil_ms(static_cast<int64_t>(1 + draw(500)));
            governor_.burst = static_cast<unsigned>(draw(4));
            options.governor = &governor_;
        }
        world_ = std::make_unique<World>(options);
        const uint64_t count = 1 + draw(6);
        for (uint64_t i = 0; i < count; i++)
            add_service(i);
    }

    void run()
    {
        world_->begin();
        const uint64_t steps = 4 + draw(20);
        for (uint64_t i = 0; i < steps && !::testing::Test::HasFatalFailure(); i++) {
            world_->live(draw(4) == 0 ? 0 : coil_ms(static_cast<int64_t>(draw(4000))));
            command();
        }
        world_->tell(COIL_EVENT_END);
        world_->live(coil_s(60)); /* A ladder each, one after the other. */
        EXPECT_TRUE(world_->gave_up) << world_->story;
        check_budgets();
    }

    uint64_t hash() const
    {
        return world_->hash;
    }

private:
    uint64_t draw(uint64_t limit)
    {
        return random_() % limit;
    }

    void add_service(uint64_t number)
    {
        coil_service_policy policy = {};
        policy.restart = static_cast<coil_restart>(draw(3) == 0 ? draw(3) : 0);
        policy.oneshot = draw(6) == 0;
        policy.keep_down = draw(5) == 0;
        policy.significant = draw(20) == 0;
        policy.retry_spawn = draw(2) == 0;
        if (draw(4) == 0)
            policy.failures_max = static_cast<unsigned>(1 + draw(5));
        if (draw(4) == 0)
            policy.normal_codes = coil_exit_codes_with({}, 2);
        if (draw(4) == 0)
            policy.final_codes = coil_exit_codes_with({}, 3);
        policy.readiness = static_cast<coil_readiness>(draw(3));
        if (draw(2) == 0)
            policy.stay_up = coil_ms(static_cast<int64_t>(draw(1000)));
        policy.start_limit = coil_s(static_cast<int64_t>(draw(5)));
        policy.backoff.stable = coil_s(static_cast<int64_t>(draw(5)));
        if (draw(2) == 0) {
            policy.liveness.interval = coil_ms(static_cast<int64_t>(200 + draw(2000)));
            policy.liveness.soft_misses = static_cast<unsigned>(draw(3));
            policy.liveness.hard_misses = static_cast<unsigned>(draw(4));
        }
        if (draw(4) == 0)
            policy.liveness.watchdog = coil_ms(static_cast<int64_t>(500 + draw(2000)));
        policy.stop[0] = {SIGTERM, coil_ms(static_cast<int64_t>(1 + draw(1000)))};
        if (draw(2) == 0)
            policy.stop[1] = {SIGINT, coil_ms(static_cast<int64_t>(1 + draw(500)))};
        if (draw(8) == 0)
            policy.every = coil_ms(static_cast<int64_t>(500 + draw(5000)));
        Actor &actor = world_->add("s" + std::to_string(number), policy);
        actor.moods = std::make_unique<std::mt19937_64>(random_());
        static const coil_dependency kinds[] = {COIL_AFTER, COIL_WANTS, COIL_NEEDS};
        for (uint64_t earlier = 0; earlier < number; earlier++) {
            if (draw(3) == 0)
                world_->depend(actor, kinds[draw(3)], *world_->actors[earlier]);
        }
    }

    void command()
    {
        Actor &actor = *world_->actors[draw(world_->actors.size())];
        switch (draw(9)) {
        case 0:
            world_->tell(COIL_EVENT_START, &actor);
            break;
        case 1:
            world_->tell(COIL_EVENT_STOP, &actor);
            break;
        case 2:
            world_->tell(COIL_EVENT_RESTART, &actor);
            break;
        case 3:
            if (actor.lives)
                world_->kill(actor);
            break;
        case 4:
            world_->tell(COIL_EVENT_STOPPING, &actor);
            break;
        case 5:
            world_->tell(COIL_EVENT_TRIGGERED, &actor);
            break;
        case 6: /* What has no meaning now. */
            world_->tell(COIL_EVENT_ANSWERED, &actor, COIL_HEALTH_DEAD);
            break;
        case 7: /* We sleep, and are late. */
            world_->now += coil_ms(static_cast<int64_t>(draw(500)));
            world_->tell(COIL_EVENT_TICK);
            break;
        default:
            world_->tell(COIL_EVENT_READY, &actor);
            break;
        }
    }

    void check_budgets()
    {
        const coil_supervision_options &options = world_->options;
        const size_t intensity = options.intensity;
        const std::vector<coil_time> &failures = world_->failures;
        for (size_t i = intensity; intensity > 0 && i < failures.size(); i++)
            EXPECT_GE(failures[i] - failures[i - intensity], options.intensity_period);
        if (options.governor == nullptr)
            return;
        const size_t burst = std::max(1U, governor_.burst);
        const std::vector<coil_time> &starts = world_->governed;
        for (size_t i = burst; i < starts.size(); i++) {
            EXPECT_GE(starts[i] - coil_s(1000),
                    static_cast<int64_t>(i + 1 - burst) * governor_.interval);
        }
    }

    std::mt19937_64 random_;
    coil_governor governor_;
    std::unique_ptr<World> world_;
};

void run_schedules(uint64_t first, uint64_t count)
{
    for (uint64_t seed = first; seed < first + count; seed++) {
        Schedule schedule(seed);
        schedule.run();
        if (::testing::Test::HasFailure())
            FAIL() << "seed " << seed;
    }
}

/* Sixteen times, so that more than a hundred thousand are shared among processors. */
class SupervisionProperties : public ::testing::TestWithParam<int>
{
};

TEST_P(SupervisionProperties, HoldForRandomSchedules)
{
    const uint64_t count = 6500 * seed_factor();
    run_schedules(1 + static_cast<uint64_t>(GetParam()) * count, count);
}

INSTANTIATE_TEST_SUITE_P(Sixteenth, SupervisionProperties, ::testing::Range(0, 16));

TEST(SupervisionPolicy, TheSameSeedDecidesTheSame)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        Schedule one(seed);
        Schedule other(seed);
        one.run();
        other.run();
        ASSERT_EQ(one.hash(), other.hash()) << "seed " << seed;
    }
}

} // namespace
