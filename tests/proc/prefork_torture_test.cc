/* SPDX-License-Identifier: MIT */
/* Each allocation of a master fails once: there are as many workers as there are to be. */
#include "cast.h"

#include "kernel_double.h"
#include "task_double.h"

#include <coil/prefork.h>

#include <functional>
#include <map>

#include <coil/sugar.h>

namespace
{

/* Says that it is ready, and ends at the first word, or when its master does. */
const char *const WORKER[] = {"sh", "-c", "printf R >&3; head -c1 <&3 >/dev/null", nullptr};

class PreforkTorture : public Proactor, public testing::WithParamInterface<int>
{
protected:
    struct Hook {
        coil_prefork_hook hook;
        std::map<coil_prefork_news, int> news;
        pid_t latest;
        std::function<void()> on_ready;
    };

    PreforkTorture()
    {
        hook.hook.tell = [](coil_prefork_hook *self, const coil_prefork_event *event) {
            Hook &own = *reinterpret_cast<Hook *>(self);
            own.news[event->news]++;
            if (event->news != COIL_PREFORK_READY)
                return;
            own.latest = event->pid;
            if (own.on_ready)
                own.on_ready();
        };
        plan.program = "/bin/sh";
        plan.argv = WORKER;
        options.plan = &plan;
        options.workers = 2;
        options.hook = &hook.hook;
        begin();
        EXPECT_TRUE(has_all());
        learn();
    }

    ~PreforkTorture() override
    {
        end();
    }

    void begin()
    {
        EXPECT_EQ(0, coil_prefork_create(&options, &prefork));
        result = 1;
        START(result, coil_prefork_serve(prefork));
    }

    void end()
    {
        kernel_double = KernelDouble();
        coil_prefork_stop(prefork, coil_s(10));
        run();
        EXPECT_EQ(0, result);
        coil_prefork_destroy(prefork);
    }

    /* The first time, nothing fails: how large the stacks of its tasks have to be is learned. */
    void learn()
    {
        replace();
        for (int reloads = 1; reloads <= 2; reloads++) {
            coil_prefork_reload(prefork);
            EXPECT_TRUE(eventually([&] { return hook.news[COIL_PREFORK_RELOADED] == reloads; }));
            EXPECT_TRUE(has_all());
            replace();
        }
        coil_prefork_upgrade(prefork);
        EXPECT_TRUE(eventually([&] { return hook.news[COIL_PREFORK_UPGRADE_FAILED] == 1; }));
        hook.news.clear();
    }

    void replace()
    {
        kill(hook.latest, SIGKILL);
        EXPECT_TRUE(eventually([&] { return coil_prefork_statistics(prefork).ready < 2; }));
        EXPECT_TRUE(eventually([&] { return coil_prefork_statistics(prefork).ready == 2; }));
    }

    static void fail(int64_t n)
    {
        kernel_double.allocation_count = 0;
        kernel_double.failing_allocation = n;
    }

    template <class Condition> bool eventually(Condition condition)
    {
        for (int i = 0; i < 10000; i++) {
            if (condition())
                return true;
            (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
        }
        return false;
    }

    bool has_all()
    {
        return eventually([&] {
            const coil_prefork_stats stats = coil_prefork_statistics(prefork);
            return stats.ready == stats.target && stats.draining == 0;
        });
    }

    Hook hook = {};
    coil_spawn_plan plan = {};
    coil_prefork_options options = {};
    coil_prefork *prefork = nullptr;
    int64_t result = 1;
};

TEST_P(PreforkTorture, WhoDiesIsReplaced)
{
    fail(GetParam());
    replace();
    replace(); /* Its place is not lost either. */
    EXPECT_EQ(2U, coil_prefork_statistics(prefork).target);
}

TEST_P(PreforkTorture, ScalingComesAsFarAsItCan)
{
    fail(GetParam());
    coil_prefork_scale(prefork, 4);
    EXPECT_TRUE(has_all());
    fail(0);
    coil_prefork_scale(prefork, 4);
    EXPECT_TRUE(has_all());
    EXPECT_EQ(4U, coil_prefork_statistics(prefork).ready);
}

TEST_P(PreforkTorture, AReloadIsOneOrIsSaidToHaveFailed)
{
    fail(GetParam());
    coil_prefork_reload(prefork);
    EXPECT_TRUE(eventually([&] {
        return hook.news[COIL_PREFORK_RELOADED] + hook.news[COIL_PREFORK_RELOAD_FAILED] == 1;
    }));
    EXPECT_TRUE(has_all());
    EXPECT_EQ(2U, coil_prefork_statistics(prefork).ready);
}

/* What is wanted while the first workers begin, and cannot be had when they are there. */
TEST_P(PreforkTorture, ScalingThatHasToWaitComesAsFarAsItCan)
{
    end();
    int ready = 0;
    hook.on_ready = [&] {
        if (++ready == 1)
            coil_prefork_scale(prefork, 4);
        else if (ready == 2)
            failing_task = GetParam();
    };
    begin();
    EXPECT_TRUE(eventually([&] {
        return hook.news[COIL_PREFORK_RELOADED] + hook.news[COIL_PREFORK_RELOAD_FAILED] == 1;
    }));
    failing_task = 0;
    EXPECT_TRUE(has_all());
    hook.on_ready = nullptr;
}

TEST_P(PreforkTorture, AnUpgradeIsSaidToHaveFailed)
{
    fail(GetParam());
    coil_prefork_upgrade(prefork);
    EXPECT_TRUE(eventually([&] { return hook.news[COIL_PREFORK_UPGRADE_FAILED] == 1; }));
    EXPECT_TRUE(has_all());
}

INSTANTIATE_TEST_SUITE_P(Allocation, PreforkTorture, testing::Range(0, 6));

/* Its tasks: for its signals, for limits and heartbeats, for each of two workers. */
class PreforkWithoutATask : public PreforkTorture
{
};

TEST_P(PreforkWithoutATask, DoesNotServe)
{
    end();
    begin();
    failing_task = 1 + GetParam(); /* The first is that of eventually(). */
    EXPECT_TRUE(eventually([&] { return result != 1; }));
    EXPECT_EQ(-ENOMEM, result);
    failing_task = 0;
    coil_prefork_destroy(prefork);
    begin();
    EXPECT_TRUE(has_all());
}

INSTANTIATE_TEST_SUITE_P(Task, PreforkWithoutATask, testing::Range(1, 5));

} // namespace
