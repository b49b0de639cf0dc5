/* SPDX-License-Identifier: MIT */
/* What hooks may do in the middle of everything: commands, services that come and go, scaling. */
#include "supervisor_stage.h"

#include <map>

namespace
{

/* A task that fails the first time. */
struct Flaky {
    coil_service_task task = {};
    int starts = 0;
};

async(int, fail_once, (coil_service_task *) task)
{
    vars();

    if (reinterpret_cast<Flaky *>(task)->starts++ == 0)
        return -EIO;
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

coil_service_plan flaky(const char *name, Flaky &task)
{
    task.task.run = coil_handler(fail_once, coil_service_task *);
    coil_service_plan plan = {};
    plan.name = name;
    plan.task = &task.task;
    plan.policy.restart = COIL_RESTART_TEMPORARY;
    return plan;
}

class SupervisorHooks : public Supervisor
{
protected:
    /* `act` is done once, in the step in which `service` comes into that state. */
    void once(coil_service *service, coil_service_state state, const std::function<void()> &act)
    {
        hook.on_change = [this, service, state, act](coil_service *changed, coil_service_state) {
            if (changed != service || coil_service_status(service)->state != state || has_acted)
                return;
            has_acted = true;
            act();
        };
    }

    bool has_acted = false;
};

TEST_F(SupervisorHooks, AStopIsNotForgottenForWhatComesAfterIt)
{
    coil_service *one = add(helper("one"));
    once(add(helper("two")), COIL_SERVICE_UP, [&] {
        coil_service_stop(one);
        coil_service_feed(one);
        coil_service_ready(one);
    });
    begin();
    EXPECT_EQ(COIL_SERVICE_DOWN, reach(one, COIL_SERVICE_DOWN));
    stop();
}

TEST_F(SupervisorHooks, NorIsARemoval)
{
    coil_service *one = add(helper("one"));
    once(add(helper("two")), COIL_SERVICE_UP, [&] {
        coil_service_remove(one);
        coil_service_ready(one);
    });
    begin();
    EXPECT_TRUE(eventually([&] { return coil_supervisor_find(supervisor, "one") == nullptr; }));
    stop();
}

TEST_F(SupervisorHooks, ARestartIsOneAlsoIfItIsStartedThen)
{
    coil_service *one = add(helper("one"));
    pid_t first = 0;
    once(add(helper("two")), COIL_SERVICE_UP, [&] {
        first = coil_service_pid(one);
        coil_service_restart(one);
        coil_service_start(one);
    });
    begin();
    EXPECT_TRUE(eventually([&] {
        return first > 0 && coil_service_pid(one) > 0 && coil_service_pid(one) != first;
    }));
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    stop();
}

TEST_F(SupervisorHooks, WhoIsStartedAndSaidToBeReadyIs)
{
    coil_service_plan plan = helper("one");
    plan.policy.readiness = COIL_READY_TOLD;
    plan.policy.keep_down = true;
    coil_service *one = add(plan);
    once(add(helper("two")), COIL_SERVICE_UP, [&] {
        coil_service_start(one);
        coil_service_ready(one);
    });
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    stop();
}

TEST_F(SupervisorHooks, ASupervisorThatIsStoppedBeforeItCouldBeginEndsAtOnce)
{
    coil_supervisor *inner = nullptr;
    ASSERT_EQ(0, coil_supervisor_create(&options, &inner));
    const coil_service_plan leaf = helper("leaf");
    ASSERT_EQ(0, coil_supervisor_add(inner, &leaf, nullptr));
    coil_service_plan plan = {};
    plan.name = "inner";
    plan.supervisor = inner;
    coil_service *service = add(plan);
    once(service, COIL_SERVICE_UP, [&] { coil_service_stop(service); });
    begin();
    EXPECT_EQ(COIL_SERVICE_DOWN, reach(service, COIL_SERVICE_DOWN));
    EXPECT_EQ(0U, coil_service_status(service)->counters.kills);
    EXPECT_EQ(0U, count("leaf up"));

    coil_service_start(service);
    EXPECT_TRUE(eventually([&] { return count("leaf up") == 1; }));
    stop();
    coil_supervisor_destroy(inner);
}

TEST_F(SupervisorHooks, ATemplateIsScaledWhileItIsAdded)
{
    begin();
    (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
    bool is_scaled = false;
    hook.on_change = [&](coil_service *, coil_service_state) {
        if (is_scaled)
            return;
        is_scaled = true;
        EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 3));
    };
    coil_service_plan plan = helper("web");
    plan.instances = 1;
    add(plan);
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 4));
    for (const char *name : {"web@1", "web@2", "web@3", "web@4"})
        EXPECT_NE(nullptr, coil_supervisor_find(supervisor, name)) << name;
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 0));
    EXPECT_TRUE(eventually([&] { return coil_supervisor_each(supervisor, nullptr) == nullptr; }));
    stop();
}

TEST_F(SupervisorHooks, WhatAHookScalesToCountsAndNotWhatIsBeingDone)
{
    coil_service_plan plan = helper("web");
    plan.instances = 1;
    add(plan);
    begin();
    EXPECT_TRUE(eventually([&] { return count("web@1 up") == 1; }));
    hook.on_change = [&](coil_service *, coil_service_state) {
        if (has_acted)
            return;
        has_acted = true;
        EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 2));
    };
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 4));
    EXPECT_NE(nullptr, coil_supervisor_find(supervisor, "web@2"));
    EXPECT_EQ(nullptr, coil_supervisor_find(supervisor, "web@3"));
    stop();
}

/* All that it needs has failed, and is told of one by one; the first of them gets a new need. */
TEST_F(SupervisorHooks, AServiceIsAddedWhileAnotherIsFreedFromItsFailures)
{
    Flaky tasks[4];
    const char *const needs[] = {"b", "c", nullptr};
    const char *const before[] = {"b", nullptr};
    coil_service_plan plan = helper("a");
    plan.needs = needs;
    plan.policy.keep_down = true;
    coil_service *a = add(plan);
    coil_service *b = add(flaky("b", tasks[0]));
    coil_service *c = add(flaky("c", tasks[1]));
    begin();
    EXPECT_EQ(COIL_SERVICE_FAILED, reach(b, COIL_SERVICE_FAILED));
    EXPECT_EQ(COIL_SERVICE_FAILED, reach(c, COIL_SERVICE_FAILED));
    once(b, COIL_SERVICE_DOWN, [&] {
        coil_service_plan first = helper("first");
        first.before = before;
        add(first);
    });
    coil_service_start(a);
    EXPECT_EQ(COIL_SERVICE_UP, reach(a, COIL_SERVICE_UP));
    EXPECT_EQ(COIL_SERVICE_UP, coil_service_status(c)->state);
    stop();
}

TEST_F(SupervisorHooks, WhoNeededWhatIsRemovedNeedsItNoMore)
{
    const char *const needs[] = {"db", nullptr};
    coil_service_plan plan = helper("web");
    plan.needs = needs;
    coil_service *web = add(plan);
    coil_service *db = add(helper("db"));
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(web, COIL_SERVICE_UP));
    coil_service_remove(db);
    EXPECT_TRUE(eventually([&] { return coil_supervisor_find(supervisor, "db") == nullptr; }));
    EXPECT_EQ(1U, count("web down"));
    EXPECT_EQ(COIL_SERVICE_UP, reach(web, COIL_SERVICE_UP));
    stop();
}

/* --------------------------------------------------------------------------------- at random -- */

/* Its services die at random, too. */
struct Mayfly {
    coil_service_task task = {};
    unsigned *random = nullptr;
};

async(int, live_shortly, (coil_service_task *) task)
{
    vars(Mayfly *self);

    my->self = reinterpret_cast<Mayfly *>(task);
    if (rand_r(my->self->random) % 4 == 0)
        return -EIO;
    await(coil_sleep(coil_us(rand_r(my->self->random) % 8000)));
    return rand_r(my->self->random) % 2;
}

/* Commands at any time; those in hooks come in the middle of steps, starts and ends. */
class SupervisorAtRandom : public Supervisor, public testing::WithParamInterface<unsigned>
{
protected:
    enum Wish { UP, DOWN, GONE };
    static const unsigned SERVICES = 9;
    static const unsigned INSTANCES = 4;

    SupervisorAtRandom() : random(GetParam())
    {
        options.strategy = static_cast<coil_strategy>(GetParam() % 3);
        hook.on_change = [this](coil_service *, coil_service_state) { interfere(); };
        hook.hook.started = [](coil_supervisor_hook *self, coil_service *service) {
            hook_of(self).on_change(service, COIL_SERVICE_DOWN);
        };
        hook.hook.died = [](coil_supervisor_hook *self, coil_service *service, const coil_death *) {
            hook_of(self).on_change(service, COIL_SERVICE_DOWN);
        };
        hook.hook.failed = [](coil_supervisor_hook *self, coil_service *service,
                                   const coil_spawn_error *) {
            hook_of(self).on_change(service, COIL_SERVICE_DOWN);
        };
    }

    unsigned draw(unsigned bound)
    {
        return static_cast<unsigned>(rand_r(&random)) % bound;
    }

    void interfere()
    {
        for (; allowance > 0 && draw(3) == 0; allowance--)
            act();
    }

    /* The first third are processes, the next tasks, the last supervisors. */
    coil_service_plan plan_of(unsigned number)
    {
        names[number] = "s" + std::to_string(number);
        coil_service_plan plan = {};
        if (number % 3 == 0) {
            plan = helper(names[number].c_str());
            if (draw(5) == 0)
                spawn_of(plan).program = "/nonexistent";
        } else if (number % 3 == 1) {
            mayflies[number].random = &random;
            mayflies[number].task.run = coil_handler(live_shortly, coil_service_task *);
            plan.task = &mayflies[number].task;
        } else {
            plan.supervisor = inner[number];
        }
        plan.name = names[number].c_str();
        plan.policy.backoff.shortest = plan.policy.backoff.longest = coil_ms(1);
        plan.policy.retry_spawn = true;
        return plan;
    }

    void command(coil_service *service, Wish &wish)
    {
        switch (draw(7)) {
        case 0:
            wish = UP;
            coil_service_start(service);
            break;
        case 1:
            wish = UP;
            coil_service_restart(service);
            break;
        case 2:
            wish = DOWN;
            coil_service_stop(service);
            break;
        case 3:
            wish = GONE;
            coil_service_remove(service);
            break;
        case 4:
            coil_service_feed(service);
            break;
        case 5:
            coil_service_ready(service);
            break;
        default:
            (void)coil_service_signal(service, SIGKILL);
            break;
        }
    }

    void act()
    {
        const unsigned number = draw(SERVICES + 1);
        if (number == SERVICES) {
            instances = draw(INSTANCES + 1);
            EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", instances));
            return;
        }
        coil_service *service = coil_supervisor_find(supervisor, names[number].c_str());
        if (service != nullptr && wishes[number] != GONE) {
            command(service, wishes[number]);
        } else if (service == nullptr) {
            wishes[number] = UP;
            const coil_service_plan plan = plan_of(number);
            EXPECT_EQ(0, coil_supervisor_add(supervisor, &plan, nullptr));
        }
    }

    void make_all()
    {
        create();
        coil_service_plan web = helper("web");
        web.instances = instances;
        web.policy.backoff.longest = coil_ms(1);
        add(web);
        for (unsigned i = 0; i < SERVICES; i++) {
            if (i % 3 == 2) {
                ASSERT_EQ(0, coil_supervisor_create(nullptr, &inner[i]));
                const coil_service_plan leaf = helper("leaf");
                ASSERT_EQ(0, coil_supervisor_add(inner[i], &leaf, nullptr));
            }
            wishes[i] = UP;
            add(plan_of(i));
        }
    }

    unsigned random;
    unsigned allowance = 0; /* Of commands in hooks. */
    unsigned instances = 2;
    std::string names[SERVICES];
    Wish wishes[SERVICES] = {};
    Mayfly mayflies[SERVICES];
    coil_supervisor *inner[SERVICES] = {};
};

TEST_P(SupervisorAtRandom, WhatWasCommandedLastIsWhatIs)
{
    make_all();
    begin();
    for (int i = 0; i < 150; i++) {
        allowance = 10;
        act();
        if (draw(3) == 0)
            (void)coil_loop_run_until(loop, coil_sleep(coil_us(draw(2000))));
    }
    allowance = 0;
    for (unsigned i = 0; i < SERVICES; i++) {
        const auto is_so = [&] {
            coil_service *service = coil_supervisor_find(supervisor, names[i].c_str());
            if (wishes[i] == GONE)
                return service == nullptr;
            const coil_supervised *status = coil_service_status(service);
            return wishes[i] == UP ? status->wanted : !status->wanted && !status->alive;
        };
        EXPECT_TRUE(eventually(is_so)) << names[i] << " wish " << wishes[i];
    }
    EXPECT_TRUE(eventually([&] {
        unsigned found = 0;
        for (coil_service *s = nullptr; (s = coil_supervisor_each(supervisor, s)) != nullptr;)
            found += strncmp(coil_service_name(s), "web@", 4) == 0;
        return found == instances;
    }));
    stop();
    EXPECT_EQ(0, result);
    EXPECT_EQ(-1, waitpid(-1, nullptr, WNOHANG)) << "nobody is left";
    coil_supervisor_destroy(supervisor);
    supervisor = nullptr;
    for (coil_supervisor *each : inner)
        coil_supervisor_destroy(each);
}

INSTANTIATE_TEST_SUITE_P(Seed, SupervisorAtRandom, testing::Range(1U, 13U));

} // namespace
