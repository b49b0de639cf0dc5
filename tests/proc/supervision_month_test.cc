/* SPDX-License-Identifier: MIT */
/*
 * A month of virtual time: services that need each other crash, hang, cannot be started and do not
 * end; and their supervisor is killed, or upgraded, some times a day, and has a successor. After
 * each step supervision_world.h checks that nobody runs twice, that the order of starts and stops
 * is respected, and that whoever is wanted and does not run waits for somebody, or for the end of a
 * pause within its bound. And once a day all is calm for some minutes, and then everybody is up.
 */
#include "supervision_world.h"

namespace
{

const unsigned SERVICES = 10;
const int DAYS = 30;

class Month : public ::testing::TestWithParam<int>
{
protected:
    Month() : random(static_cast<uint64_t>(GetParam())), governor()
    {
        coil_supervision_options options = {};
        options.seed = static_cast<uint64_t>(GetParam());
        options.strategy = static_cast<coil_strategy>(GetParam() % 3);
        governor.interval = coil_ms(100);
        governor.burst = 5;
        options.governor = &governor;
        world = std::make_unique<World>(options);
        for (unsigned i = 0; i < SERVICES; i++)
            add(i);
    }

    uint64_t draw(uint64_t limit)
    {
        return random() % limit;
    }

    void add(unsigned number)
    {
        static const coil_dependency kinds[] = {COIL_AFTER, COIL_WANTS, COIL_NEEDS};
        coil_service_policy policy = {};
        policy.outlives = draw(4) != 0;
        policy.retry_spawn = true;
        policy.readiness = static_cast<coil_readiness>(draw(3));
        policy.start_limit = coil_s(30);
        policy.liveness.start_interval = coil_s(5);
        policy.liveness.watchdog = draw(2) == 0 ? coil_s(3000) : 0;
        if (policy.readiness == COIL_READY_PROBE)
            policy.liveness.interval = coil_s(3600);
        policy.stop[0] = {SIGTERM, coil_s(2)};
        Actor &actor = world->add("s" + std::to_string(number), policy);
        actor.calm = 1000; /* Its longest life is 17 hours. */
        for (unsigned earlier = 0; earlier < number; earlier++) {
            if (draw(4) == 0)
                world->depend(actor, kinds[draw(3)], *world->actors[earlier]);
        }
    }

    void excite()
    {
        for (const auto &actor : world->actors)
            actor->moods = std::make_unique<std::mt19937_64>(random());
    }

    /* From now on those that start are well; those that are not are replaced. */
    void calm_down()
    {
        for (const auto &actor : world->actors) {
            actor->moods = nullptr;
            actor->behaviour = {};
            actor->behaviour.ready_after = coil_s(1);
            actor->behaviour.feeds_every = coil_s(1000);
            if (actor->lives)
                world->tell(COIL_EVENT_RESTART, actor.get());
        }
    }

    /* Those that do not outlive it die with it. */
    void kill_supervisor()
    {
        for (const auto &actor : world->actors) {
            if (actor->service.policy.outlives || !actor->lives)
                continue;
            actor->lives = false;
            actor->ends_at = actor->ready_at = actor->feeds_at = COIL_NEVER;
        }
        killed_count++;
        world->replace_supervisor(coil_ms(static_cast<int64_t>(draw(2000))));
    }

    void upgrade_supervisor()
    {
        world->tell(COIL_EVENT_LEAVE);
        world->live(coil_s(60)); /* A ladder each, for those that have to stop. */
        ASSERT_TRUE(world->gave_up) << world->story;
        upgraded_count++;
        world->replace_supervisor(coil_ms(static_cast<int64_t>(draw(500))));
    }

    void something_happens()
    {
        Actor &actor = *world->actors[draw(SERVICES)];
        switch (draw(6)) {
        case 0:
            kill_supervisor();
            break;
        case 1:
            upgrade_supervisor();
            break;
        case 2:
            world->tell(COIL_EVENT_RESTART, &actor);
            break;
        default:
            if (actor.lives)
                world->kill(actor);
            break;
        }
    }

    void live_a_day()
    {
        const coil_time end = world->now + coil_s(INT64_C(24) * 3600);
        excite();
        while (world->now < end && !HasFatalFailure()) {
            world->live(coil_s(static_cast<int64_t>(draw(3600))));
            something_happens();
        }
        calm_down();
        world->live(coil_s(600));
        for (const auto &actor : world->actors)
            EXPECT_EQ(COIL_SERVICE_UP, actor->service.state) << actor->name << world->story;
    }

    std::mt19937_64 random;
    coil_governor governor;
    std::unique_ptr<World> world;
    unsigned killed_count = 0;
    unsigned upgraded_count = 0;
};

TEST_P(Month, OfFaultsAndSuccessorsLeavesAllInOrder)
{
    world->begin();
    uint64_t starts = 0;
    for (int day = 0; day < DAYS && !HasFailure(); day++) {
        live_a_day();
        world->story.clear();
    }
    for (const auto &actor : world->actors)
        starts += actor->start_count;
    EXPECT_LT(50U, killed_count);
    EXPECT_LT(50U, upgraded_count);
    EXPECT_LT(1000U, starts);
    RecordProperty("starts", static_cast<int>(starts));
}

INSTANTIATE_TEST_SUITE_P(Seeds, Month, ::testing::Range(0, 3));

} // namespace
