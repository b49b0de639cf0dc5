/* SPDX-License-Identifier: MIT */
/* Each allocation fails once: who starts is heard, and who is there already stays. */
#include "supervisor_stage.h"

#include "directory.h"
#include "kernel_double.h"

namespace
{

class SupervisorTorture : public Supervisor, public testing::WithParamInterface<int>
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

    void open_adoption(const std::string &directory)
    {
        coil_adoption_options how = {};
        how.directory = directory.c_str();
        how.kills = true;
        ASSERT_LE(0, coil_loop_run_until(loop, coil_adoption_open(&how, &adoption, nullptr)));
        options.adoption = adoption;
    }

    void end_run()
    {
        coil_supervisor_stop(supervisor);
        EXPECT_TRUE(eventually([&] { return result != 1; }));
        running = false;
        coil_supervisor_destroy(supervisor);
        supervisor = nullptr;
    }

    coil_log *log = nullptr;
    coil_adoption *adoption = nullptr;
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
    char name[] = "/tmp/coil-torture-XXXXXX";
    const std::string directory = mkdtemp(name);
    coil_log_options log_options = {};
    log_options.tail_bytes = 100;
    ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
    open_adoption(directory);
    coil_service_plan plan = helper("one");
    plan.log = log;
    plan.outlives = true;
    plan.policy.backoff.longest = coil_ms(10);
    spawn_of(plan).group = COIL_SPAWN_GROUP_NEW;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    const pid_t pid = coil_service_pid(one);
    coil_supervisor_leave(supervisor);
    end_run();
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_STAYS));

    open_adoption(directory);
    result = 1;
    begin();
    take_turns();
    fail(GetParam());
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
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
    remove_directory(directory);
}

INSTANTIATE_TEST_SUITE_P(Allocation, SupervisorTorture, testing::Range(0, 9));

} // namespace
