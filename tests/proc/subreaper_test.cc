/* SPDX-License-Identifier: MIT */
/* coil/subreaper.h: orphans are reaped, and nobody's status is taken. */
#include "cast.h"

#include <coil/subreaper.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include <sys/prctl.h>

#include <coil/sugar.h>

static int children_error; /* What a look at our children comes to, if it is not 0. */

extern "C" int __real_coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit);
extern "C" int __wrap_coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit);

int __wrap_coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit)
{
    return children_error < 0 ? children_error
                              : __real_coil_kernel_process_children(pid, out_pids, limit);
}

namespace
{

/* The reaper runs on: not until all tasks have ended. */
#define ASK(...) coil_loop_run_until(loop, __VA_ARGS__)

class Subreaper : public Children
{
protected:
    struct Hook : coil_orphan_hook {
        std::map<pid_t, std::string> ended;
    };

    Subreaper()
    {
        hook.reaped = [](coil_orphan_hook *self, pid_t pid, const coil_exit *exit) {
            char bytes[COIL_EXIT_TEXT_BYTES];
            static_cast<Hook *>(self)->ended[pid] = coil_exit_format(exit, bytes);
        };
        reaper = START(result, coil_subreaper_run(&hook));
        ASK(coil_sleep(0));
    }

    void end()
    {
        if (reaper != nullptr)
            coil_task_cancel(std::exchange(reaper, nullptr));
        run();
    }

    ~Subreaper() override
    {
        end();
    }

    /* False: not within ten seconds. */
    bool await_orphans(size_t count)
    {
        for (int i = 0; i < 1000 && hook.ended.size() < count; i++)
            ASK(coil_sleep(coil_ms(10)));
        return hook.ended.size() == count;
    }

    Hook hook = {};
    int64_t result = 1;
    coil_task *reaper;
};

TEST_F(Subreaper, OrphansAreReapedAndTold)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"daemon", "orphan"}, &relatives);
    kill(relatives[0], SIGTERM);
    kill(relatives[1], SIGUSR1);
    EXPECT_TRUE(await_orphans(2));
    EXPECT_EQ("was killed by SIGTERM", hook.ended[relatives[0]]);
    EXPECT_EQ("was killed by SIGUSR1", hook.ended[relatives[1]]);
    EXPECT_EQ(0, ASK(coil_child_stop(&child, coil_s(10))));
    finish(&child);
}

TEST_F(Subreaper, ChildrenKeepTheirStatusHoweverLongNobodyAsks)
{
    coil_child child = start({"exit", "3"});
    await_zombie(child);
    std::vector<pid_t> relatives;
    coil_child other = start_family({"daemon"}, &relatives);
    kill(relatives[0], SIGKILL);
    EXPECT_TRUE(await_orphans(1)) << "also while a child has ended that nobody has asked for";
    EXPECT_EQ(0, ASK(coil_child_wait(&child)));
    EXPECT_EQ("exited with status 3", text(child));
    EXPECT_TRUE(child.exit.has_usage) << "we have reaped it ourselves";
    EXPECT_EQ(0, ASK(coil_child_stop(&other, coil_s(10))));
    finish(&child);
    finish(&other);
}

TEST_F(Subreaper, HundredsOfChildrenAndOrphansAreNotConfused)
{
    std::vector<coil_child> children;
    std::vector<int64_t> results(200, 1);
    std::vector<pid_t> relatives;
    for (size_t i = 0; i < results.size(); i++) {
        if (i % 20 == 0)
            children.push_back(start_family({"daemon"}, &relatives));
        else
            children.push_back(start({"exit", std::to_string(i % 100)}));
    }
    for (pid_t pid : relatives)
        kill(pid, SIGKILL);
    for (size_t i = 0; i < results.size(); i += 20)
        kill(children[i].pid, SIGTERM);
    for (size_t i = 0; i < results.size(); i++)
        START(results[i], coil_child_wait(&children[i]));
    EXPECT_TRUE(await_orphans(relatives.size()));
    while (std::find(results.begin(), results.end(), 1) != results.end())
        ASK(coil_sleep(coil_ms(1)));
    for (size_t i = 0; i < results.size(); i++) {
        EXPECT_EQ(0, results[i]);
        EXPECT_TRUE(children[i].exit.has_usage);
        EXPECT_EQ(i % 20 == 0 ? "was killed by SIGTERM"
                              : "exited with status " + std::to_string(i % 100),
                text(children[i]));
        finish(&children[i]);
    }
}

TEST_F(Subreaper, OnlyOneRuns)
{
    EXPECT_EQ(-EBUSY, ASK(coil_subreaper_run(nullptr)));
}

TEST_F(Subreaper, OrphansAreStoppedOnDemand)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"stubborn-daemon", "daemon"}, &relatives);
    EXPECT_EQ(2, ASK(coil_subreaper_stop_orphans(coil_ms(20))));
    for (pid_t pid : relatives)
        EXPECT_TRUE(is_gone(pid));
    EXPECT_FALSE(is_gone(child.pid)) << "that is no orphan";
    EXPECT_EQ(0, ASK(coil_child_stop(&child, coil_s(10))));
    finish(&child);
}

/* And nothing leaks, for which there is AddressSanitizer. */
TEST_F(Subreaper, LookThatFailsIsToldOrRepeated)
{
    std::vector<pid_t> relatives;
    coil_child child = start_family({"daemon"}, &relatives);
    children_error = -EMFILE;
    EXPECT_EQ(-EMFILE, ASK(coil_subreaper_stop_orphans(coil_ms(20))));
    kill(relatives[0], SIGTERM);
    ASK(coil_sleep(coil_ms(50)));
    EXPECT_TRUE(hook.ended.empty());
    children_error = 0;
    EXPECT_TRUE(await_orphans(1));
    EXPECT_EQ(0, ASK(coil_child_stop(&child, coil_s(10))));
    finish(&child);
}

/* Whose threads come and go: none of them is an error. */
TEST_F(Subreaper, ThreadsThatEndWhileWeLookAreLeftOut)
{
    std::atomic<bool> is_over{false};
    std::thread source([&] {
        while (!is_over) {
            std::thread one([] {});
            std::thread other([] {});
            one.join();
            other.join();
        }
    });
    coil_child child = start({"pause"});
    for (int i = 0; i < 20000; i++) {
        pid_t pids[16];
        const int count = coil_kernel_process_children(getpid(), pids, 16);
        if (count != 1) {
            ADD_FAILURE() << count << " in look " << i;
            break;
        }
    }
    is_over = true;
    source.join();
    EXPECT_EQ(0, ASK(coil_child_stop(&child, coil_s(10))));
    finish(&child);
}

TEST_F(Subreaper, AfterItsEndOrphansGoElsewhere)
{
    end();
    EXPECT_EQ(-ECANCELED, result);
    int is_subreaper = 1;
    EXPECT_EQ(0, prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper));
    EXPECT_EQ(0, is_subreaper);
}

} // namespace
