/* SPDX-License-Identifier: MIT */
/* A supervisor and the next one, in the same process: what the first leaves, the second adopts. */
#ifndef SUCCESSION_STAGE_H
#define SUCCESSION_STAGE_H

#include "supervisor_stage.h"

#include "directory.h"

#include <fstream>

class Succession : public Supervisor
{
protected:
    Succession()
    {
        char name[] = "/tmp/coil-succession-XXXXXX";
        directory = mkdtemp(name);
    }

    ~Succession() override
    {
        remove_directory(directory);
    }

    void open()
    {
        coil_log_options log_options = {};
        log_options.tail_bytes = 100;
        coil_adoption_options how = {};
        how.directory = directory.c_str();
        how.kills = true;
        ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
        ASSERT_LE(0, coil_loop_run_until(loop, coil_adoption_open(&how, &adoption, nullptr)));
        options.adoption = adoption;
        result = 1;
    }

    void close(coil_keeper_end end)
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
        coil_loop_run_until(loop, coil_adoption_close(adoption, end));
        options.adoption = nullptr;
    }

    void end_run()
    {
        coil_supervisor_stop(supervisor);
        EXPECT_TRUE(eventually([&] { return result != 1; }));
        running = false;
        coil_supervisor_destroy(supervisor);
        supervisor = nullptr;
    }

    coil_service_plan outliving(coil_service_plan plan)
    {
        plan.log = log;
        plan.outlives = true;
        plan.policy.backoff.longest = coil_ms(10);
        spawn_of(plan).group = COIL_SPAWN_GROUP_NEW;
        return plan;
    }

    /* It writes a newline to descriptor 9 when there is a file "go". */
    coil_service_plan waiting(const char *name)
    {
        static const char script[] = "until test -e \"$0/go\"; do sleep 0.01; done; echo >&9; "
                                     "while sleep 1; do :; done";
        coil_service_plan plan = helper(name);
        Arguments &list = lists.back();
        list.texts = {"sh", "-c", script, directory};
        list.argv.clear();
        for (const std::string &argument : list.texts)
            list.argv.push_back(argument.c_str());
        list.argv.push_back(nullptr);
        list.spawn.program = "/bin/sh";
        list.spawn.argv = list.argv.data();
        plan.notify_fd = 9;
        plan.policy.readiness = COIL_READY_TOLD;
        return outliving(plan);
    }

    /* A first supervisor, whose service is in `state` when that ends. Its process. */
    pid_t leave(coil_service_plan plan, coil_service_state state)
    {
        open();
        plan.log = log;
        coil_service *service = add(plan);
        begin();
        if (plan.policy.keep_down)
            coil_service_start(service);
        EXPECT_TRUE(eventually([&] {
            return coil_service_status(service)->state == state && coil_service_pid(service) > 0;
        }));
        const pid_t pid = coil_service_pid(service);
        coil_supervisor_leave(supervisor);
        end_run();
        close(COIL_KEEPER_STAYS);
        hook.said.clear();
        return pid;
    }

    void touch(const char *name) const
    {
        std::ofstream file(directory + "/" + name);
    }

    std::string directory;
    coil_log *log = nullptr;
    coil_adoption *adoption = nullptr;
};

#endif
