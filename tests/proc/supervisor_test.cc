/* SPDX-License-Identifier: MIT */
/* coil/supervisor.h, with real processes. What is decided when is tested in supervision_test.cc. */
#include "supervisor_stage.h"

#include <coil/cgroup.h>

namespace
{

TEST_F(Supervisor, ReplacesWhatIsKilled)
{
    coil_service *one = add(helper("one"));
    coil_service *two = add(polite("two"));
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(two, COIL_SERVICE_UP));
    const pid_t second = coil_service_pid(two);
    std::set<pid_t> pids;
    for (int i = 0; i < 20; i++) {
        const pid_t pid = coil_service_pid(one);
        EXPECT_TRUE(is_running(pid));
        EXPECT_TRUE(pids.insert(pid).second);
        (void)coil_loop_run_until(loop, coil_sleep(coil_ms(2)));
        kill(pid, SIGKILL);
        ASSERT_TRUE(eventually([&] { return coil_service_pid(one) != pid; }));
    }
    EXPECT_EQ(second, coil_service_pid(two));
    EXPECT_EQ(20U, coil_service_status(one)->counters.automatic_starts);
    EXPECT_EQ(20U, count("one was killed by SIGKILL"));
    stop();
    EXPECT_EQ(0, result);
    EXPECT_EQ(1U, count("two exited with status 0"));
    EXPECT_FALSE(is_running(second));
}

TEST_F(Supervisor, CancellationStopsEverythingInOrder)
{
    coil_service_plan web = polite("web");
    const char *const needs[] = {"db", nullptr};
    web.needs = needs;
    add(web); /* Before the one that it needs. */
    add(polite("db"));
    begin();
    coil_service *web_service = coil_supervisor_find(supervisor, "web");
    EXPECT_EQ(COIL_SERVICE_UP, reach(web_service, COIL_SERVICE_UP));
    hook.said.clear();
    coil_group_cancel(coil_loop_root(loop));
    await_end();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ((std::vector<std::string>{"web stopping", "web exited with status 0", "web down",
                      "db stopping", "db exited with status 0", "db down"}),
            hook.said);
}

TEST_F(Supervisor, OneThatIgnoresSigtermIsKilledAndOneThatIsStoppedToo)
{
    coil_service_plan deaf = helper("deaf", {"deaf", "notify=READY=1"});
    deaf.notify = true;
    deaf.policy.readiness = COIL_READY_TOLD;
    deaf.policy.stop[0] = {SIGTERM, coil_ms(50)};
    coil_service *service = add(deaf);
    coil_service *frozen = add(polite("frozen"));
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(frozen, COIL_SERVICE_UP));
    EXPECT_EQ(COIL_SERVICE_UP, reach(service, COIL_SERVICE_UP));
    kill(coil_service_pid(frozen), SIGSTOP);
    stop();
    EXPECT_EQ(1U, count("deaf was killed by SIGKILL"));
    EXPECT_EQ(1U, count("frozen exited with status 0"));
}

TEST_F(Supervisor, AStormIsBoundedByPausesAndGovernor)
{
    coil_governor governor = {};
    governor.interval = coil_ms(5);
    governor.burst = 3;
    options.governor = &governor;
    create();
    for (int i = 0; i < 10; i++) {
        const std::string name = "s" + std::to_string(i);
        coil_service_plan plan = helper(name.c_str(), {"exit=3"});
        plan.policy.backoff.stable = coil_s(10);
        plan.policy.backoff.shortest = coil_ms(1);
        add(plan);
    }
    const coil_time start = coil_kernel_now();
    begin();
    EXPECT_TRUE(eventually([&] {
        uint64_t starts = 0;
        for (coil_service *s = nullptr; (s = coil_supervisor_each(supervisor, s)) != nullptr;)
            starts += coil_service_status(s)->counters.automatic_starts;
        EXPECT_LE(starts, 4 + static_cast<uint64_t>((coil_kernel_now() - start) / coil_ms(5)));
        return starts >= 20;
    }));
    stop();
}

TEST_F(Supervisor, AMissingProgramIsSaidOnceAndGivenUp)
{
    coil_service_plan plan = helper("one");
    spawn_of(plan).program = "/nonexistent/program";
    plan.policy.significant = true;
    add(plan);
    begin();
    await_end();
    EXPECT_EQ(-EHOSTDOWN, result);
    EXPECT_EQ(1U, count("cannot run '/nonexistent/program': no such file or directory"));
    EXPECT_STREQ("given up: significant service ended", coil_supervisor_reason(supervisor));
}

TEST_F(Supervisor, WantOfDescriptorsIsAPauseWithAReason)
{
    coil_service *one = add(helper("one"));
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    struct rlimit before;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const struct rlimit none = {3, before.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    kill(coil_service_pid(one), SIGKILL);
    EXPECT_EQ(COIL_SERVICE_BACKOFF, reach(one, COIL_SERVICE_BACKOFF));
    EXPECT_TRUE(eventually(
            [&] { return coil_service_status(one)->reason == COIL_REASON_NO_RESOURCES; }));
    EXPECT_EQ(-EMFILE, coil_service_status(one)->error);
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    stop();
}

/* -------------------------------------------------------------------------------- readiness -- */

TEST_F(Supervisor, HearsWhatAServiceNotifies)
{
    coil_service_plan plan =
            helper("one", {"notify=STATUS=warming\\nX=1", "notify=READY=1\\nSTATUS=at work",
                                  "sleep=20", "notify=STOPPING=1", "exit=0"});
    plan.notify = true;
    plan.policy.readiness = COIL_READY_TOLD;
    plan.policy.restart = COIL_RESTART_TRANSIENT;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_STREQ("at work", coil_service_says(one));
    EXPECT_EQ(COIL_SERVICE_DONE, reach(one, COIL_SERVICE_DONE));
    stop();
}

TEST_F(Supervisor, HearsTheLastWordsOfAServiceBeforeItsEnd)
{
    coil_service_plan plan = helper("one", {"notify=STATUS=warming", "notify=X=1", "notify=READY=1",
                                                   "notify=STATUS=that was all", "exit=0"});
    plan.notify = true;
    plan.policy.readiness = COIL_READY_TOLD;
    plan.policy.restart = COIL_RESTART_TRANSIENT;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_DONE, reach(one, COIL_SERVICE_DONE));
    EXPECT_EQ(1U, count("one up"));
    EXPECT_STREQ("that was all", coil_service_says(one));
    stop();
}

TEST_F(Supervisor, BelievesNobodyButTheServiceItself)
{
    coil_service_plan plan = helper("one", {"child=READY=1", "sleep=30", "exit=5"});
    plan.notify = true;
    plan.policy.readiness = COIL_READY_TOLD;
    plan.policy.restart = COIL_RESTART_TEMPORARY;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_FAILED, reach(one, COIL_SERVICE_FAILED));
    EXPECT_EQ(0U, count("one up"));
    EXPECT_EQ(5, coil_service_last_death(one)->exit.code);
    EXPECT_FALSE(coil_service_last_death(one)->was_up);
    stop();
}

TEST_F(Supervisor, AWatchdogThatIsNotFedEndsIt)
{
    coil_service_plan plan = helper("one", {"notify=READY=1\\nWATCHDOG=1"});
    plan.notify = true;
    plan.policy.readiness = COIL_READY_TOLD;
    plan.policy.liveness.watchdog = coil_ms(30);
    plan.policy.liveness.soft_misses = 1;
    plan.policy.liveness.hard_misses = 2;
    plan.dump_signal = SIGWINCH;
    coil_service *one = add(plan);
    begin();
    ASSERT_TRUE(eventually([&] { return coil_service_last_death(one) != nullptr; }));
    EXPECT_EQ(COIL_REASON_WATCHDOG, coil_service_last_death(one)->reason);
    EXPECT_LE(1U, count("one dump"));
    stop();
}

TEST_F(Supervisor, ANewlineOnItsDescriptorMeansReady)
{
    coil_service_plan plan = helper("one", {"sleep=10", "newline=3"});
    plan.notify_fd = 3;
    plan.policy.readiness = COIL_READY_TOLD;
    coil_service *one = add(plan);
    coil_service_plan never = helper("never", {"exit=1"});
    never.notify_fd = 7;
    never.policy.readiness = COIL_READY_TOLD;
    never.policy.restart = COIL_RESTART_TEMPORARY;
    coil_service *other = add(never);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    EXPECT_EQ(COIL_SERVICE_FAILED, reach(other, COIL_SERVICE_FAILED));
    EXPECT_EQ(0U, count("never up"));
    stop();
}

TEST_F(Supervisor, ALineOfTheLogMeansReady)
{
    coil_ready_line line;
    coil_ready_line_init(&line, "ready", nullptr);
    coil_log_options log_options = {};
    log_options.on_line = &line.hook;
    coil_log *log = nullptr;
    ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
    coil_service_plan plan = helper("one", {"sleep=10", "ready"});
    plan.log = log;
    plan.policy.readiness = COIL_READY_TOLD;
    line.service = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(line.service, COIL_SERVICE_UP));
    stop();
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
}

TEST_F(Supervisor, AProbeThatIsAProgramTells)
{
    coil_exec_probe probe;
    const coil_service_plan asks = helper("probe", {"exit=0"});
    coil_exec_probe_init(&probe, asks.spawn);
    coil_service_plan plan = helper("one");
    plan.probe = &probe.probe;
    plan.policy.readiness = COIL_READY_PROBE;
    plan.policy.liveness.interval = coil_ms(5);
    plan.policy.liveness.hard_misses = 1;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    (void)coil_loop_run_until(loop, coil_sleep(coil_ms(30)));
    EXPECT_EQ(nullptr, coil_service_last_death(one));
    const coil_service_plan says_dead = helper("dead", {"exit=2"});
    probe.plan = says_dead.spawn;
    ASSERT_TRUE(eventually([&] { return coil_service_last_death(one) != nullptr; }));
    EXPECT_EQ(COIL_REASON_DEAD, coil_service_last_death(one)->reason);
    stop();
}

/* -------------------------------------------------------------------- tasks, and supervisors -- */

struct Counter {
    coil_service_task task = {};
    int starts = 0;
    int result = 0;
    coil_duration life = COIL_FOREVER;
};

async(int, count_starts, (coil_service_task *) task)
{
    vars(Counter *counter);

    my->counter = reinterpret_cast<Counter *>(task);
    my->counter->starts++;
    await(coil_sleep(my->counter->life));
    return my->counter->result;
}

coil_service_plan task_plan(const char *name, Counter &counter)
{
    counter.task.run = coil_handler(count_starts, coil_service_task *);
    coil_service_plan plan = {};
    plan.name = name;
    plan.task = &counter.task;
    return plan;
}

TEST_F(Supervisor, AServiceMayBeATask)
{
    Counter forever;
    Counter failing;
    failing.life = coil_ms(1);
    failing.result = -EIO;
    coil_service *one = add(task_plan("one", forever));
    coil_service_plan plan = task_plan("two", failing);
    plan.policy.failures_max = 2;
    plan.policy.backoff.shortest = coil_ms(1);
    coil_service *two = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_FAILED, reach(two, COIL_SERVICE_FAILED));
    EXPECT_EQ(3, failing.starts);
    EXPECT_STREQ("ended with EIO", coil_service_last_death(two)->text);
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    coil_service_restart(one);
    ASSERT_TRUE(eventually([&] { return forever.starts == 2; }));
    EXPECT_EQ(-ESRCH, coil_service_signal(one, SIGHUP));
    stop();
    EXPECT_EQ(2, forever.starts);
}

TEST_F(Supervisor, OneThatGivesUpIsItsParentsBusiness)
{
    coil_supervisor *inner = nullptr;
    coil_supervisor_options inner_options = {};
    inner_options.intensity = 2;
    inner_options.seed = 1;
    ASSERT_EQ(0, coil_supervisor_create(&inner_options, &inner));
    Counter failing;
    failing.life = coil_ms(1);
    failing.result = -EIO;
    coil_service_plan bad = task_plan("bad", failing);
    bad.policy.backoff.shortest = coil_ms(1);
    ASSERT_EQ(0, coil_supervisor_add(inner, &bad, nullptr));

    coil_service_plan plan = {};
    plan.name = "inner";
    plan.supervisor = inner;
    plan.policy.failures_max = 2;
    plan.policy.backoff.shortest = coil_ms(1);
    plan.policy.significant = true;
    add(plan);
    begin();
    await_end();
    EXPECT_EQ(-EHOSTDOWN, result);
    EXPECT_EQ(9, failing.starts); /* Three times, in three supervisors. */
    EXPECT_STREQ("given up: intensity of restarts", coil_supervisor_reason(inner));
    coil_supervisor_destroy(inner);
}

TEST_F(Supervisor, StoppingATreeStopsItsLeavesInOrder)
{
    coil_supervisor *inner = nullptr;
    ASSERT_EQ(0, coil_supervisor_create(&options, &inner));
    const coil_service_plan leaf = polite("leaf");
    coil_service *leaf_service = nullptr;
    ASSERT_EQ(0, coil_supervisor_add(inner, &leaf, &leaf_service));
    coil_service_plan plan = {};
    plan.name = "inner";
    plan.supervisor = inner;
    add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(leaf_service, COIL_SERVICE_UP));
    hook.said.clear();
    stop();
    EXPECT_EQ(
            (std::vector<std::string>{"inner stopping", "leaf stopping",
                    "leaf exited with status 0", "leaf down", "inner ended with 0", "inner down"}),
            hook.said);
    coil_supervisor_destroy(inner);
}

/* ------------------------------------------------------------------------- while it runs -- */

TEST_F(Supervisor, CommandsMayComeFromHooks)
{
    coil_service *one = add(helper("one"));
    coil_service *two = add(helper("two"));
    hook.on_change = [&](coil_service *service, coil_service_state) {
        if (service == one && coil_service_status(one)->state == COIL_SERVICE_UP)
            coil_service_stop(two);
        if (service == two && coil_service_status(two)->state == COIL_SERVICE_DOWN)
            coil_supervisor_stop(supervisor);
    };
    begin();
    await_end();
    EXPECT_EQ(0, result);
}

TEST_F(Supervisor, ServicesComeGoAndScale)
{
    coil_service_plan plan = helper("web", {"env=NUMBER"});
    const char *const environment[] = {"NUMBER=%i", nullptr};
    spawn_of(plan).env = environment;
    coil_log_options log_options = {};
    struct LineHook {
        coil_log_line_hook hook;
        std::set<std::string> *lines;
    };
    std::set<std::string> seen;
    LineHook line_hook = {
            {[](coil_log_line_hook *self, const coil_log_line *line) {
                reinterpret_cast<LineHook *>(self)->lines->insert(
                        std::string(line->prefix) + std::string(line->bytes, line->size_bytes));
            }},
            &seen};
    log_options.on_line = &line_hook.hook;
    coil_log *log = nullptr;
    ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
    plan.log = log;
    plan.instances = 2;
    begin();
    coil_service *first = add(plan);
    EXPECT_STREQ("web@1", coil_service_name(first));
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 4));
    EXPECT_EQ(-ENOENT, coil_supervisor_scale(supervisor, "mail", 4));
    ASSERT_TRUE(eventually([&] { return seen.size() == 4; }));
    EXPECT_EQ((std::set<std::string>{
                      "web@1 NUMBER=1", "web@2 NUMBER=2", "web@3 NUMBER=3", "web@4 NUMBER=4"}),
            seen);
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 1));
    ASSERT_TRUE(eventually([&] { return coil_supervisor_find(supervisor, "web@2") == nullptr; }));
    EXPECT_TRUE(is_running(coil_service_pid(first)));
    coil_service_remove(first);
    ASSERT_TRUE(eventually([&] { return coil_supervisor_each(supervisor, nullptr) == nullptr; }));
    stop();
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
}

TEST_F(Supervisor, ANameIsTakenOnce)
{
    coil_service_plan web = helper("web");
    web.instances = 2;
    add(web);
    coil_service *unset = nullptr;
    EXPECT_EQ(-EEXIST, coil_supervisor_add(supervisor, &web, &unset)) << "by a template";
    EXPECT_STREQ("there is a service 'web' already", coil_supervisor_reason(supervisor));
    web.instances = 0;
    EXPECT_EQ(-EEXIST, coil_supervisor_add(supervisor, &web, &unset)) << "for a service, too";
    coil_service_plan db = helper("db");
    add(db);
    EXPECT_EQ(-EEXIST, coil_supervisor_add(supervisor, &db, &unset));
    db.instances = 2;
    EXPECT_EQ(-EEXIST, coil_supervisor_add(supervisor, &db, &unset)) << "for a template, too";
    EXPECT_EQ(nullptr, unset);
    EXPECT_EQ(nullptr, coil_supervisor_find(supervisor, "db@1"));
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 3)) << "there is only one of that name";
    EXPECT_NE(nullptr, coil_supervisor_find(supervisor, "web@3"));
}

TEST_F(Supervisor, ATemplateThatCannotBeAddedLeavesNothing)
{
    const char *const needs_web[] = {"web", nullptr};
    const char *const needs_db[] = {"db", nullptr};
    coil_service_plan db = helper("db");
    db.needs = needs_web;
    add(db);
    coil_service_plan web = helper("web");
    web.needs = needs_db;
    web.instances = 3;
    EXPECT_EQ(-ELOOP, coil_supervisor_add(supervisor, &web, nullptr));
    EXPECT_STREQ("a cycle: db -> web@1 -> db", coil_supervisor_reason(supervisor));
    EXPECT_EQ(-ENOENT, coil_supervisor_scale(supervisor, "web", 1));
    web.needs = nullptr;
    EXPECT_EQ(0, coil_supervisor_add(supervisor, &web, nullptr));
}

TEST_F(Supervisor, WhatIsScaledDownAndUpAgainIsThereWhenItHasStopped)
{
    coil_service_plan web = polite("web");
    web.instances = 3;
    add(web);
    begin();
    coil_service *third = coil_supervisor_find(supervisor, "web@3");
    ASSERT_EQ(COIL_SERVICE_UP, reach(third, COIL_SERVICE_UP));
    const pid_t pid = coil_service_pid(third);
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 1));
    EXPECT_EQ(0, coil_supervisor_scale(supervisor, "web", 4)) << "two of them still stop";
    ASSERT_TRUE(eventually([&] {
        int up = 0;
        coil_service *each = nullptr;
        while ((each = coil_supervisor_each(supervisor, each)) != nullptr)
            up += coil_service_status(each)->state == COIL_SERVICE_UP;
        return up == 4 && coil_service_pid(third) != pid;
    }));
    EXPECT_EQ(third, coil_supervisor_find(supervisor, "web@3"));
    EXPECT_FALSE(is_running(pid));
}

TEST_F(Supervisor, WhoNeedsATemplateOfNobodyWaitsForNobodyAndForThoseThatCome)
{
    const char *const needs_web[] = {"web", nullptr};
    coil_service_plan web = polite("web");
    web.instances = 1;
    add(web);
    ASSERT_EQ(0, coil_supervisor_scale(supervisor, "web", 0));
    coil_service_plan front = helper("front");
    front.needs = needs_web;
    coil_service *service = add(front);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(service, COIL_SERVICE_UP));
    ASSERT_EQ(0, coil_supervisor_scale(supervisor, "web", 2));
    coil_service *second = coil_supervisor_find(supervisor, "web@2");
    ASSERT_EQ(COIL_SERVICE_UP, reach(second, COIL_SERVICE_UP));
    hook.said.clear();
    stop();
    const auto place = [&](const char *what) {
        return std::find(hook.said.begin(), hook.said.end(), what) - hook.said.begin();
    };
    EXPECT_LT(place("front down"), place("web@1 stopping"));
    EXPECT_LT(place("front down"), place("web@2 stopping"));
}

TEST_F(Supervisor, AnAwaitOfWhatIsRemovedEnds)
{
    coil_service *one = add(helper("one"));
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    int64_t awaited = 1;
    START(awaited, coil_service_await(one, COIL_STATE_BIT(COIL_SERVICE_FAILED)));
    coil_service_remove(one);
    ASSERT_TRUE(eventually([&] { return awaited != 1; }));
    EXPECT_EQ(-ESRCH, awaited);
    stop();
}

TEST_F(Supervisor, RefusesWhatCannotWork)
{
    create();
    struct Case {
        std::function<void(coil_service_plan &)> spoil;
        int error;
        const char *reason;
    };
    const char *const itself[] = {"bad", nullptr};
    Counter counter;
    const Case cases[] = {
            {[](coil_service_plan &plan) { plan.name = "a@b"; }, -EINVAL,
                    "a service needs a name, without '@'"},
            {[](coil_service_plan &plan) { plan.spawn = nullptr; }, -EINVAL,
                    "'bad' has to be one of process, task and supervisor"},
            {[&](coil_service_plan &plan) { plan.task = &counter.task; }, -EINVAL,
                    "'bad' has to be one of process, task and supervisor"},
            {[&](coil_service_plan &plan) { spawn_of(plan).out.mode = COIL_STDIO_PIPE; }, -EINVAL,
                    "'bad' has a pipe that nobody serves: give it a log"},
            {[&](coil_service_plan &plan) { spawn_of(plan).in.mode = COIL_STDIO_PTY; }, -EINVAL,
                    "'bad' has a terminal that nobody serves"},
            {[&](coil_service_plan &plan) { spawn_of(plan).out.mode = COIL_STDIO_PTY; }, -EINVAL,
                    "'bad' has a terminal that nobody serves"},
            {[&](coil_service_plan &plan) { spawn_of(plan).err.mode = COIL_STDIO_PTY; }, -EINVAL,
                    "'bad' has a terminal that nobody serves"},
            {[](coil_service_plan &plan) { plan.policy.liveness.interval = 1; }, -EINVAL,
                    "'bad' is to be asked, and has no probe"},
            {[](coil_service_plan &plan) { plan.policy.outlives = true; }, -EINVAL,
                    "'bad' is to outlive us: its plan says so, not its policy"},
            {[&](coil_service_plan &plan) { plan.needs = itself; }, -ELOOP, "a cycle: bad -> bad"},
            {[](coil_service_plan &plan) { plan.name = "good"; }, -EEXIST,
                    "there is a service 'good' already"},
    };
    add(helper("good"));
    for (const Case &one : cases) {
        coil_service_plan plan = helper("bad");
        one.spoil(plan);
        EXPECT_EQ(one.error, coil_supervisor_add(supervisor, &plan, nullptr));
        EXPECT_STREQ(one.reason, coil_supervisor_reason(supervisor));
    }
    coil_service_plan plan = helper("lonely");
    const char *const nobody[] = {"nobody", nullptr};
    plan.needs = nobody;
    add(plan);
    EXPECT_EQ(-ENOENT, RUN(coil_supervisor_run(supervisor)));
    EXPECT_STREQ(
            "'lonely' needs 'nobody', which does not exist", coil_supervisor_reason(supervisor));
}

/* Also beside a log, which has pipes of its own. */
TEST_F(Supervisor, RefusesATerminalOfAServiceWithALog)
{
    coil_log_options log_options = {};
    log_options.tail_bytes = 64;
    coil_log *log = nullptr;
    ASSERT_EQ(0, RUN(coil_log_open(&log_options, &log)));
    create();
    coil_service_plan plan = helper("bad");
    plan.log = log;
    for (coil_stdio *stream : {&spawn_of(plan).in, &spawn_of(plan).out, &spawn_of(plan).err}) {
        const coil_stdio before = *stream;
        stream->mode = COIL_STDIO_PTY;
        EXPECT_EQ(-EINVAL, coil_supervisor_add(supervisor, &plan, nullptr));
        EXPECT_STREQ("'bad' has a terminal that nobody serves", coil_supervisor_reason(supervisor));
        *stream = before;
    }
    EXPECT_EQ(0, RUN(coil_log_close(log)));
}

TEST_F(Supervisor, ItMayRunAgain)
{
    coil_service *one = add(polite("one"));
    for (int i = 1; i <= 3; i++) {
        begin();
        EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
        EXPECT_EQ(-EBUSY, coil_loop_run_until(loop, coil_supervisor_run(supervisor)));
        stop();
        EXPECT_EQ(0, result);
    }
    EXPECT_EQ(3U, count("one exited with status 0"));
}

TEST_F(Supervisor, ADeathIsRecordedWithItsLastLines)
{
    coil_log_options log_options = {};
    struct Ignore {
        coil_log_line_hook hook;
    } ignore_lines = {{[](coil_log_line_hook *, const coil_log_line *) {}}};
    log_options.on_line = &ignore_lines.hook;
    log_options.tail_bytes = 1024;
    coil_log *log = nullptr;
    ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
    options.strategy = COIL_ONE_FOR_ALL;
    coil_service_plan plan = helper("one", {"ready", "abort"});
    plan.log = log;
    plan.policy.failures_max = 1;
    plan.policy.backoff.first = coil_s(1000);
    plan.policy.backoff.stable = coil_s(1000);
    coil_service *one = add(plan);
    coil_service *two = add(helper("two"));
    begin();
    ASSERT_TRUE(eventually([&] {
        const coil_death *death = coil_service_last_death(one);
        return death != nullptr && *death->last_lines != '\0';
    }));
    const coil_death *death = coil_service_last_death(one);
    EXPECT_NE(nullptr, strstr(death->last_lines, "ready"));
    EXPECT_EQ(SIGABRT, death->exit.code);
    EXPECT_EQ(1U, death->instance);
    EXPECT_EQ(COIL_REASON_EXIT, death->reason);
    EXPECT_GE(death->ended_at, death->started_at);
    EXPECT_EQ(1U, death->also_stopped);
    EXPECT_EQ(COIL_SERVICE_BACKOFF, reach(two, COIL_SERVICE_BACKOFF));
    stop();
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
}

TEST_F(Supervisor, WhatAServiceLeavesBehindIsStoppedBeforeTheNext)
{
    coil_service_plan plan = helper("one", {"heir", "notify=READY=1"});
    spawn_of(plan).group = COIL_SPAWN_GROUP_NEW;
    plan.notify = true;
    plan.policy.readiness = COIL_READY_TOLD;
    plan.whole_tree = true;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    const pid_t first = coil_service_pid(one);
    EXPECT_EQ(0, kill(-first, 0));
    kill(first, SIGKILL);
    ASSERT_TRUE(eventually(
            [&] { return coil_service_pid(one) > 0 && coil_service_pid(one) != first; }));
    EXPECT_TRUE(eventually([&] { return kill(-first, 0) == -1; })); /* Init reaps it. */
    stop();
}

TEST_F(Supervisor, ADaemonDoesNotEscapeTheCgroupOfItsService)
{
    const std::string name = "coil-test-" + std::to_string(getpid());
    coil_cgroup *cgroup = nullptr;
    if (coil_cgroup_open(name.c_str(), &cgroup) < 0)
        GTEST_SKIP() << "no cgroup for us here";
    coil_service_plan plan = helper("one", {"daemon", "notify=READY=1"});
    spawn_of(plan).cgroup = cgroup;
    plan.notify = true;
    plan.policy.readiness = COIL_READY_TOLD;
    plan.whole_tree = true;
    coil_service *one = add(plan);
    const auto members = [&] {
        std::vector<pid_t> pids(100);
        pids.resize(static_cast<size_t>(coil_cgroup_processes(cgroup, pids.data(), 100)));
        return std::set<pid_t>(pids.begin(), pids.end());
    };
    begin();
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    const std::set<pid_t> before = members();
    EXPECT_EQ(2U, before.size());
    kill(coil_service_pid(one), SIGKILL);
    ASSERT_TRUE(eventually([&] { return coil_service_status(one)->counters.failures == 1; }));
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    for (pid_t pid : members())
        EXPECT_EQ(0U, before.count(pid));
    EXPECT_EQ(2U, members().size());
    stop();
    EXPECT_EQ(0, coil_cgroup_is_populated(cgroup));
    EXPECT_EQ(0, coil_cgroup_remove(cgroup));
}

TEST_F(Supervisor, AnIdleSupervisorSleeps)
{
    coil_log_options log_options = {};
    log_options.tail_bytes = 64;
    coil_log *log = nullptr;
    ASSERT_EQ(0, RUN(coil_log_open(&log_options, &log)));
    std::vector<coil_service *> services;
    for (int i = 0; i < 20; i++) {
        const std::string name = "s" + std::to_string(i);
        coil_service_plan plan = helper(name.c_str());
        plan.log = log;
        services.push_back(add(plan));
    }
    begin();
    for (coil_service *service : services)
        ASSERT_EQ(COIL_SERVICE_UP, reach(service, COIL_SERVICE_UP));
    (void)coil_loop_run_until(loop, coil_sleep(coil_ms(20)));
    const uint64_t before = coil_loop_statistics(loop).turns;
    (void)coil_loop_run_until(loop, coil_sleep(coil_ms(200)));
    EXPECT_GE(6U, coil_loop_statistics(loop).turns - before);
    stop();
    EXPECT_EQ(0, RUN(coil_log_close(log)));
}

/* ------------------------------------------------ what went wrong in the monitor of the talk -- */

/* 1. Only stderr was read, and stdout a pipe: once that is full, the child hangs for ever. */
TEST_F(Supervisor, AServiceThatFillsBothPipesDoesNotHang)
{
    coil_log_options log_options = {};
    struct Count {
        coil_log_line_hook hook;
        unsigned lines;
    } counted = {{[](coil_log_line_hook *self, const coil_log_line *) {
                     reinterpret_cast<Count *>(self)->lines++;
                 }},
            0};
    log_options.on_line = &counted.hook;
    coil_log *log = nullptr;
    ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
    coil_service_plan plan = helper("one", {"fill=640000", "exit=0"});
    plan.log = log;
    plan.policy.restart = COIL_RESTART_TRANSIENT;
    coil_service *one = add(plan);
    begin();
    EXPECT_EQ(COIL_SERVICE_DONE, reach(one, COIL_SERVICE_DONE));
    stop();
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
    EXPECT_EQ(20000U, counted.lines);
}

/* 3. The parent may die before its child has asked for a signal at that. */
TEST_F(Supervisor, AServiceDoesNotOutliveItsSupervisorHoweverEarlyThatIsKilled)
{
    for (int i = 0; i < 10; i++) {
        int ends[2];
        ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
        const pid_t parent = fork();
        if (parent == 0) {
            /* The pipe is the service's stdin: when all who have it are gone, we see its end. */
            coil_service_plan plan = helper("one", {"deaf"});
            spawn_of(plan).out = {COIL_STDIO_FD, ends[1]};
            coil_loop *own = nullptr;
            coil_supervisor *other = nullptr;
            if (coil_loop_create(&own, nullptr) != 0 ||
                    coil_supervisor_create(nullptr, &other) != 0 ||
                    coil_supervisor_add(other, &plan, nullptr) != 0)
                _exit(1);
            (void)coil_loop_run_until(own, coil_supervisor_run(other));
            _exit(2);
        }
        close(ends[1]);
        usleep(static_cast<unsigned>(i) * 700);
        kill(parent, SIGKILL);
        ASSERT_EQ(parent, waitpid(parent, nullptr, 0));
        char byte;
        EXPECT_EQ(0, read(ends[0], &byte, 1)); /* Or the test hangs. */
        close(ends[0]);
    }
}

/* 4. The signal at the parent's death comes when the *thread* that has spawned ends. */
TEST_F(Supervisor, AServiceOutlivesOtherThreads)
{
    coil_service *one = add(polite("one"));
    begin();
    for (int i = 0; i < 5; i++) {
        coil_kernel_thread thread = {};
        thread.run = [](coil_kernel_thread *) {};
        ASSERT_EQ(0, coil_kernel_thread_start(&thread));
        coil_kernel_thread_join(&thread);
    }
    EXPECT_EQ(COIL_SERVICE_UP, reach(one, COIL_SERVICE_UP));
    (void)coil_loop_run_until(loop, coil_sleep(coil_ms(20)));
    EXPECT_EQ(nullptr, coil_service_last_death(one));
    stop();
    EXPECT_EQ(1U, count("one exited with status 0")); /* Asked, not killed. */
}

/* ------------------------------------------------------------------------------- in numbers -- */

TEST_F(Supervisor, ManyAreStartedAndKilledAtRandom)
{
    create();
    const unsigned count = 60;
    for (unsigned i = 0; i < count; i++) {
        const std::string name = "s" + std::to_string(i);
        coil_service_plan plan = helper(name.c_str());
        plan.policy.backoff.shortest = coil_ms(1);
        plan.policy.backoff.longest = coil_ms(5);
        add(plan);
    }
    begin();
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%d", rand_r(&seed) % static_cast<int>(count));
        coil_service *service = coil_supervisor_find(supervisor, name);
        if (coil_service_pid(service) > 0)
            kill(coil_service_pid(service), rand_r(&seed) % 2 == 0 ? SIGKILL : SIGSEGV);
        if (round % 10 == 0)
            (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
    }
    std::set<pid_t> pids;
    for (coil_service *s = nullptr; (s = coil_supervisor_each(supervisor, s)) != nullptr;) {
        EXPECT_EQ(COIL_SERVICE_UP, reach(s, COIL_SERVICE_UP));
        pids.insert(coil_service_pid(s));
    }
    EXPECT_EQ(count, pids.size());
    stop();
    EXPECT_EQ(-1, waitpid(-1, nullptr, WNOHANG)); /* Nobody is left. */
    EXPECT_EQ(ECHILD, errno);
}

} // namespace
