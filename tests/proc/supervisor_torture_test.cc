/* SPDX-License-Identifier: MIT */
/* Each allocation fails once: who starts is heard, and who is there already stays. */
#include "succession_stage.h"

#include "kernel_double.h"
#include "task_double.h"

namespace
{

class SupervisorTorture : public Succession, public testing::WithParamInterface<int>
{
protected:
    SupervisorTorture()
    {
        kernel_double = KernelDouble();
    }

    ~SupervisorTorture() override
    {
        kernel_double = KernelDouble();
    }

    static void fail(int64_t n)
    {
        kernel_double.allocation_count = 0;
        kernel_double.failing_allocation = n;
    }

    /* The run has begun, and has had what it needs. */
    void take_turns()
    {
        for (int i = 0; i < 3; i++)
            (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
        kernel_double.failing_allocation = 0;
    }
};

TEST_P(SupervisorTorture, WhoNotifiesIsHeardOrTheRunFails)
{
    /* The first time, nothing fails: how large the stacks of its tasks have to be is learned. */
    for (const int64_t failing : {0, GetParam()}) {
        coil_service_plan plan = helper("one", {"notify=READY=1"});
        plan.notify = true;
        plan.policy.readiness = COIL_READY_TOLD;
        plan.policy.backoff.longest = coil_ms(10);
        coil_service *one = add(plan);
        result = 1;
        begin();
        fail(failing);
        take_turns();
        if (result == 1) {
            EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
        } else {
            EXPECT_EQ(-ENOMEM, result);
        }
        end_run();
    }
}

/* It is added to a supervisor that runs already, whose predecessor has started it. */
TEST_P(SupervisorTorture, WhoRunsIsTakenOverAndNotEnded)
{
    coil_service_plan plan = outliving(helper("one"));
    const pid_t pid = leave(plan, COIL_SERVICE_UP);
    open();
    plan.log = log;
    begin();
    take_turns();
    fail(GetParam());
    coil_service *one = nullptr;
    const int rc = coil_supervisor_add(supervisor, &plan, &one);
    fail(0);
    if (rc < 0) {
        EXPECT_EQ(-ENOMEM, rc);
        one = add(plan);
    }
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(pid, coil_service_pid(one));
    EXPECT_TRUE(is_running(pid));
    end_run();
    close(COIL_KEEPER_ENDS);
}

/* It is ready, though its supervisor had no memory to have that kept; so the next one finds it. */
TEST_P(SupervisorTorture, WhoWasReadyIsSoForTheNextSupervisor)
{
    open();
    coil_service_plan plan = outliving(helper("one"));
    plan.policy.readiness = COIL_READY_TOLD;
    coil_service *one = add(plan);
    begin();
    EXPECT_TRUE(eventually([&] { return coil_service_pid(one) > 0; }));
    take_turns();
    const pid_t pid = coil_service_pid(one);
    failing_task = GetParam();
    coil_service_ready(one);
    failing_task = 0;
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    (void)coil_loop_run_until(loop, coil_sleep(coil_ms(50)));
    coil_supervisor_leave(supervisor);
    end_run();
    close(COIL_KEEPER_STAYS);

    open();
    plan.log = log;
    one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(pid, coil_service_pid(one));
    end_run();
    close(COIL_KEEPER_ENDS);
}

INSTANTIATE_TEST_SUITE_P(Allocation, SupervisorTorture, testing::Range(0, 9));

} // namespace
