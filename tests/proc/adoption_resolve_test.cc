/* SPDX-License-Identifier: MIT */
/* coil/adoption.h: which processes are they, of which the keeper has a pidfd, or only a pipe? */
#include "adoption_stage.h"

#include <coil/sugar.h>

namespace
{

/* What happens when a pidfd of `pid` is asked for, before it is, or instead. */
struct Interruption {
    pid_t pid = 0;
    int error = 0;
    bool ends = false;
};

Interruption interruption;

} // namespace

extern "C" {

int __real_coil_kernel_pidfd_open(pid_t pid);
int __wrap_coil_kernel_pidfd_open(pid_t pid);

int __wrap_coil_kernel_pidfd_open(pid_t pid)
{
    if (pid == interruption.pid && interruption.error < 0)
        return interruption.error;
    if (pid == interruption.pid && interruption.ends) {
        EXPECT_EQ(0, kill(pid, SIGKILL));
        EXPECT_EQ(pid, waitpid(pid, nullptr, 0));
        interruption = Interruption();
    }
    return __real_coil_kernel_pidfd_open(pid);
}
}

namespace
{

class AdoptionResolve : public Adoption
{
protected:
    AdoptionResolve()
    {
        options.path = socket_path.c_str();
        options.patience = coil_s(20);
        alarm(60);
    }

    ~AdoptionResolve() override
    {
        interruption = Interruption();
        alarm(0);
    }

    /* As a predecessor has left it, of Linux before 6.9: there is no identity. */
    void keep(bool runs, pid_t pid, int fd)
    {
        coil_kept kept = {};
        snprintf(kept.key, sizeof(kept.key), "c:web#1");
        kept.note[0] = runs ? 2 : 1;
        kept.note[1] = !runs; /* It has a pipe. */
        const int32_t number = pid;
        memcpy(kept.note + 4, &number, sizeof(number));
        kept.fds[kept.fd_count++] = fd;
        coil_keeper *keeper = nullptr;
        ASSERT_EQ(0, RUN(coil_keeper_open(&options, &keeper)));
        EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
        RUN(coil_keeper_close(keeper, COIL_KEEPER_STAYS));
    }

    int open_adoption()
    {
        coil_adoption_options how = {};
        how.directory = directory.c_str();
        how.patience = coil_s(20);
        return static_cast<int>(
                coil_loop_run_until(loop, coil_adoption_open(&how, &adoption, nullptr)));
    }

    coil_adopted take_it()
    {
        coil_adopted adopted = {};
        EXPECT_EQ(1, open_adoption());
        EXPECT_TRUE(coil_adoption_take(adoption, &adopted));
        EXPECT_STREQ("web#1", adopted.name);
        return adopted;
    }

    void end(coil_adopted *adopted)
    {
        coil_child_fini(&adopted->child);
        coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
        while (waitpid(-1, nullptr, 0) > 0)
            continue;
    }

    /* It writes to a pipe, of which the keeper knows only that it is somebody's. */
    coil_child start_writer()
    {
        plan.out = {COIL_STDIO_PIPE, 0};
        coil_child child = start({"pause"});
        keep(false, 0, child.stdout_fd);
        return child;
    }

    coil_keeper_options options = {};
    coil_adoption *adoption = nullptr;
};

/* Our side of it would end with us, and nobody would have it. */
TEST_F(AdoptionResolve, NobodyOutlivesUsInATerminalOfOurs)
{
    const char *const argv[] = {"true", nullptr};
    coil_child child = {};
    plan.program = "true";
    plan.argv = argv;
    plan.in = {COIL_STDIO_PTY, 0};
    plan.out = {COIL_STDIO_PIPE, 0};
    ASSERT_EQ(0, open_adoption());
    EXPECT_EQ(-EINVAL, coil_loop_run_until(loop,
                               coil_adoption_spawn(adoption, "web#1", &plan, &child, nullptr)));
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
    while (waitpid(-1, nullptr, 0) > 0)
        continue;
}

TEST_F(AdoptionResolve, WhoeverHasTheNumberNowIsNotTakenForWhoHadIt)
{
    coil_child ended = start({"exit", "0"});
    ASSERT_EQ(0, RUN(coil_child_wait(&ended)));
    plan.group = COIL_SPAWN_GROUP_NEW;
    coil_child other = start({"pause"});
    keep(true, other.pid, ended.pidfd);
    coil_child_fini(&ended);
    coil_adopted adopted = take_it();
    EXPECT_EQ(-ESRCH, coil_kernel_pidfd_signal(adopted.child.pidfd, 0));
    EXPECT_EQ(COIL_SPAWN_GROUP_INHERIT, adopted.child.group);
    finish(&other);
    end(&adopted);
}

TEST_F(AdoptionResolve, WhatItLeadsIsSeenWithoutAnIdentity)
{
    plan.group = COIL_SPAWN_GROUP_NEW;
    coil_child child = start({"pause"});
    keep(true, child.pid, child.pidfd);
    coil_adopted adopted = take_it();
    EXPECT_EQ(COIL_SPAWN_GROUP_NEW, adopted.child.group);
    EXPECT_EQ(0, coil_kernel_pidfd_signal(adopted.child.pidfd, 0));
    finish(&child);
    end(&adopted);
}

TEST_F(AdoptionResolve, WhoEndsWhileItIsLookedForHasEnded)
{
    coil_child child = start_writer();
    interruption.pid = child.pid;
    interruption.ends = true;
    coil_adopted adopted = take_it();
    EXPECT_TRUE(adopted.child.exit.ended && adopted.child.exit.lost);
    coil_child_fini(&child);
    end(&adopted);
}

TEST_F(AdoptionResolve, WithoutADescriptorForItNobodyIsGivenUp)
{
    coil_child child = start_writer();
    interruption.pid = child.pid;
    interruption.error = -EMFILE;
    EXPECT_EQ(-EMFILE, open_adoption());
    interruption = Interruption();
    coil_adopted adopted = take_it();
    EXPECT_EQ(child.pid, adopted.child.pid);
    EXPECT_FALSE(adopted.child.exit.ended);
    finish(&child);
    end(&adopted);
}

} // namespace
