/* SPDX-License-Identifier: MIT */
/* Storms: many real processes that die at once, or over and over. COIL_LONG: as long as it says. */
#include "supervisor_stage.h"

namespace
{

bool is_long()
{
    return getenv("COIL_LONG") != nullptr;
}

class Storm : public Supervisor
{
protected:
    Storm()
    {
        if (is_long())
            alarm(300);
        getrlimit(RLIMIT_NOFILE, &before);
        const rlimit most = {before.rlim_max, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &most);
    }

    ~Storm() override
    {
        setrlimit(RLIMIT_NOFILE, &before);
    }

    void add_many(unsigned count)
    {
        create();
        for (unsigned i = 0; i < count; i++) {
            const std::string name = "s" + std::to_string(i);
            coil_service_plan plan = helper(name.c_str());
            plan.policy.backoff.shortest = coil_ms(1);
            plan.policy.backoff.longest = coil_ms(5);
            services.push_back(add(plan));
        }
    }

    void expect_nobody_left()
    {
        stop();
        EXPECT_EQ(-1, waitpid(-1, nullptr, WNOHANG));
        EXPECT_EQ(ECHILD, errno);
    }

    rlimit before = {};
    std::vector<coil_service *> services;
};

/* Each death is told once, with its true signal. Who was killed is killed again only as another. */
TEST_F(Storm, RandomChildrenAreKilledTwoHundredTimesASecond)
{
    const coil_duration duration = is_long() ? coil_s(60) : coil_s(3);
    Random random = {static_cast<uint64_t>(getpid()) | 1};
    std::vector<uint64_t> kills(60);
    const auto deaths_of = [&](size_t i) {
        return coil_service_status(services[i])->counters.failures;
    };
    add_many(static_cast<unsigned>(kills.size()));
    begin();
    for (const coil_time end = coil_kernel_now() + duration; coil_kernel_now() < end;) {
        (void)coil_loop_run_until(loop, coil_sleep(coil_ms(5)));
        const size_t victim = random.below(kills.size());
        const pid_t pid = coil_service_pid(services[victim]);
        if (pid > 0 && deaths_of(victim) == kills[victim]) {
            kill(pid, SIGKILL);
            kills[victim]++;
        }
    }
    uint64_t killed = 0;
    for (size_t i = 0; i < kills.size(); i++) {
        ASSERT_TRUE(eventually([&] { return deaths_of(i) == kills[i]; }));
        ASSERT_EQ(COIL_SERVICE_UP, reach(services[i], COIL_SERVICE_UP));
        EXPECT_EQ(kills[i], coil_service_status(services[i])->counters.automatic_starts);
        EXPECT_TRUE(is_running(coil_service_pid(services[i])));
        killed += kills[i];
    }
    uint64_t told = 0;
    for (const std::string &said : hook.said)
        told += said.find("was killed by SIGKILL") != std::string::npos;
    EXPECT_EQ(killed, told);
    RecordProperty("kills", static_cast<int>(killed));
    expect_nobody_left();
}

TEST_F(Storm, AllThatDieAtOnceComeBackAtABoundedRate)
{
    const unsigned count = is_long() ? 1000 : 200;
    coil_governor governor = {};
    governor.interval = coil_ms(2);
    governor.burst = 10;
    options.governor = &governor;
    add_many(count);
    begin();
    for (coil_service *service : services)
        ASSERT_EQ(COIL_SERVICE_UP, reach(service, COIL_SERVICE_UP));
    const coil_time start = coil_kernel_now();
    for (coil_service *service : services)
        kill(coil_service_pid(service), SIGKILL);
    uint64_t starts = 0;
    while (starts < count) {
        (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
        starts = 0;
        for (coil_service *service : services)
            starts += coil_service_status(service)->counters.automatic_starts;
        const uint64_t turns = static_cast<uint64_t>((coil_kernel_now() - start) / coil_ms(2));
        ASSERT_LE(starts, governor.burst + turns + 1);
        ASSERT_GT(coil_s(60), coil_kernel_now() - start) << starts;
    }
    for (coil_service *service : services)
        EXPECT_EQ(COIL_SERVICE_UP, reach(service, COIL_SERVICE_UP));
    expect_nobody_left();
}

TEST_F(Storm, WhoseOutputIsClosedIsNoTrouble)
{
    coil_log_options log_options = {};
    log_options.tail_bytes = 64;
    coil_log *log = nullptr;
    ASSERT_EQ(0, RUN(coil_log_open(&log_options, &log)));
    coil_spawn_plan closing = {};
    closing.shell = "exec >&- 2>&-; kill -STOP $$; exit 3";
    coil_service_plan plan = {};
    plan.name = "closing";
    plan.spawn = &closing;
    plan.log = log;
    plan.policy.restart = COIL_RESTART_TEMPORARY;
    coil_service *service = add(plan);
    begin();
    EXPECT_TRUE(eventually([&] { return coil_log_attached_count(log) == 0; }));
    EXPECT_TRUE(eventually([&] {
        kill(coil_service_pid(service), SIGCONT);
        return coil_service_status(service)->state == COIL_SERVICE_FAILED;
    }));
    EXPECT_EQ(1U, count("closing exited with status 3"));
    stop();
    EXPECT_EQ(0, RUN(coil_log_close(log)));
}

} // namespace
