/* SPDX-License-Identifier: MIT */
/* Services of a predecessor that are taken over at odd times: by hooks, and without memory. */
#include "succession_stage.h"

#include "kernel_double.h"

#include <coil/cgroup.h>

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

/* --------------------------------------------------------------------- what it leaves behind -- */

class AdoptedTree : public Succession
{
protected:
    ~AdoptedTree() override
    {
        if (cgroup != nullptr && coil_cgroup_remove(cgroup) < 0)
            coil_cgroup_close(cgroup);
    }

    /* It has started somebody, as `relation` says, when it is ready. */
    coil_service_plan parent(const char *relation)
    {
        coil_service_plan plan = helper("one", {relation, "newline=9"});
        plan.notify_fd = 9;
        plan.policy.readiness = COIL_READY_TOLD;
        plan.whole_tree = true;
        return outliving(plan);
    }

    /* The process ends between two supervisors, and somebody reaps it; then there is the next. */
    void replace(coil_service_plan plan)
    {
        first = leave(plan, COIL_SERVICE_UP);
        ASSERT_EQ(0, kill(first, SIGKILL));
        ASSERT_EQ(first, waitpid(first, nullptr, 0));
        open();
        plan.log = log;
        one = add(plan);
        begin();
        ASSERT_TRUE(eventually(
                [&] { return coil_service_pid(one) > 0 && coil_service_pid(one) != first; }));
    }

    coil_cgroup *cgroup = nullptr;
    coil_service *one = nullptr;
    pid_t first = 0;
};

TEST_F(AdoptedTree, OfAGroupEndsBeforeTheNextInstance)
{
    const coil_service_plan plan = parent("heir");
    const int self = coil_kernel_pidfd_open(getpid());
    const bool knows_groups = coil_kernel_pidfd_signal_group(self, 0) != -EINVAL;
    (void)coil_kernel_close(self);
    if (!knows_groups)
        GTEST_SKIP() << "PIDFD_SIGNAL_PROCESS_GROUP is of Linux 6.9";
    replace(plan);
    EXPECT_TRUE(eventually([&] { return kill(-first, 0) == -1; })) << "init has reaped it";
    end_run();
    close(COIL_KEEPER_ENDS);
}

TEST_F(AdoptedTree, OfACgroupEndsBeforeTheNextInstance)
{
    const std::string name = "coil-test-adopted-" + std::to_string(getpid());
    if (coil_cgroup_open(name.c_str(), &cgroup) < 0)
        GTEST_SKIP() << "no cgroup for us here";
    coil_service_plan plan = parent("daemon");
    spawn_of(plan).cgroup = cgroup;
    replace(plan);
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    pid_t pids[16];
    EXPECT_EQ(2, coil_cgroup_processes(cgroup, pids, 16)) << "the next one and its daemon";
    end_run();
    close(COIL_KEEPER_ENDS);
    EXPECT_EQ(0, coil_cgroup_is_populated(cgroup));
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
