/* SPDX-License-Identifier: MIT */
/* Services of a predecessor that are taken over at odd times: by hooks, and without memory. */
#include "succession_stage.h"

#include "kernel_double.h"

namespace
{

class AdoptedByHook : public Succession
{
protected:
    /* Another service comes up, and in this step the one of the predecessor is added. */
    void add_in_hook(const coil_service_plan &plan, const std::function<void()> &then)
    {
        hook.on_change = [this, plan, then](coil_service *, coil_service_state) {
            if (one != nullptr || is_adding)
                return;
            is_adding = true;
            EXPECT_EQ(0, coil_supervisor_add(supervisor, &plan, &one));
            EXPECT_EQ(COIL_SERVICE_DOWN, coil_service_status(one)->state) << "in a step";
            then();
        };
        add(helper("other"));
        begin();
        EXPECT_TRUE(eventually([&] { return one != nullptr; }));
    }

    coil_service *one = nullptr;
    bool is_adding = false;
};

TEST_F(AdoptedByHook, IsNotEnded)
{
    coil_service_plan plan = outliving(helper("one"));
    const pid_t pid = leave(plan, COIL_SERVICE_UP);
    open();
    plan.log = log;
    add_in_hook(plan, [] {});
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(pid, coil_service_pid(one));
    EXPECT_EQ(0U, count("one stopping"));
    EXPECT_EQ(nullptr, coil_service_last_death(one));
    end_run();
    close(COIL_KEEPER_ENDS);
}

TEST_F(AdoptedByHook, IsAsItWasIfItIsNotDue)
{
    coil_service_plan plan = outliving(helper("one"));
    plan.policy.keep_down = true;
    const pid_t pid = leave(plan, COIL_SERVICE_UP);
    open();
    plan.log = log;
    add_in_hook(plan, [] {});
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(pid, coil_service_pid(one));
    end_run();
    close(COIL_KEEPER_ENDS);
}

TEST_F(AdoptedByHook, EndsIfItIsStoppedThere)
{
    coil_service_plan plan = outliving(helper("one"));
    const pid_t pid = leave(plan, COIL_SERVICE_UP);
    open();
    plan.log = log;
    add_in_hook(plan, [&] { coil_service_stop(one); });
    EXPECT_TRUE(eventually([&] { return !is_running(pid); }));
    EXPECT_EQ(COIL_SERVICE_DOWN, reach(one, COIL_SERVICE_DOWN));
    EXPECT_EQ(pid, coil_service_last_death(one)->pid);
    end_run();
    close(COIL_KEEPER_ENDS);
}

TEST_F(AdoptedByHook, EndsAndIsGoneIfItIsRemovedThere)
{
    coil_service_plan plan = outliving(helper("one"));
    const pid_t pid = leave(plan, COIL_SERVICE_UP);
    open();
    plan.log = log;
    add_in_hook(plan, [&] { coil_service_remove(one); });
    EXPECT_TRUE(eventually([&] { return coil_supervisor_find(supervisor, "one") == nullptr; }));
    EXPECT_FALSE(is_running(pid));
    end_run();
    close(COIL_KEEPER_ENDS);
}

TEST_F(Succession, WhoIsRemovedIsGoneWhenItsLastWordsAreStored)
{
    for (int i = 0; i < 5; i++) {
        open();
        coil_service *one = add(outliving(helper("one")));
        begin();
        EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
        coil_service_remove(one);
        EXPECT_TRUE(eventually([&] { return coil_supervisor_find(supervisor, "one") == nullptr; }));
        end_run();
        close(COIL_KEEPER_ENDS);
    }
}

/* ----------------------------------------------------------------------- one at a time fails -- */

class AdoptedWithoutMemory : public Succession, public testing::WithParamInterface<int>
{
protected:
    ~AdoptedWithoutMemory() override
    {
        kernel_double = KernelDouble();
    }

    static void fail(int64_t n)
    {
        kernel_double.allocation_count = 0;
        kernel_double.failing_allocation = n;
    }

    /* The first time, nothing fails: how large the stacks of its tasks have to be is learned. */
    void learn()
    {
        for (int i = 0; i < 2; i++) {
            const coil_service_plan plan = waiting("one");
            leave(plan, COIL_SERVICE_STARTING);
            open();
            coil_service_plan again = plan;
            again.log = log;
            coil_service *one = add(again);
            begin();
            touch("go");
            EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
            end_run();
            close(COIL_KEEPER_ENDS);
            unlink((directory + "/go").c_str());
        }
    }

    /* The run has begun, and has had what it needs. */
    void take_turns()
    {
        for (int i = 0; i < 3; i++)
            (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
        fail(0);
    }

    /* A run that fails for want of memory, or does not. */
    coil_service *begin_with(const coil_service_plan &plan, int64_t failing)
    {
        coil_service *service = add(plan);
        begin();
        fail(failing);
        take_turns();
        if (result != 1) {
            EXPECT_EQ(-ENOMEM, result);
            result = 1;
            begin();
        }
        return service;
    }
};

TEST_P(AdoptedWithoutMemory, IsHeardWhenItIsReady)
{
    learn();
    coil_service_plan plan = waiting("one");
    const pid_t pid = leave(plan, COIL_SERVICE_STARTING);
    open();
    plan.log = log;
    coil_service *one = begin_with(plan, GetParam());
    touch("go");
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(pid, coil_service_pid(one));
    end_run();
    close(COIL_KEEPER_ENDS);
}

TEST_P(AdoptedWithoutMemory, IsTakenOverThoughNobodyAsksForIt)
{
    learn();
    coil_service_plan plan = outliving(helper("one"));
    plan.policy.keep_down = true;
    const pid_t pid = leave(plan, COIL_SERVICE_UP);
    open();
    plan.log = log;
    coil_service *one = begin_with(plan, GetParam());
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(pid, coil_service_pid(one));
    end_run();
    EXPECT_FALSE(is_running(pid));
    close(COIL_KEEPER_ENDS);
}

/* The same for one that is started. */
TEST_P(AdoptedWithoutMemory, OrIsStartedAndHeard)
{
    learn();
    open();
    coil_service_plan plan = waiting("one");
    touch("go");
    coil_service *one = begin_with(plan, GetParam());
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    end_run();
    close(COIL_KEEPER_ENDS);
}

INSTANTIATE_TEST_SUITE_P(Allocation, AdoptedWithoutMemory, testing::Range(0, 12));

} // namespace
