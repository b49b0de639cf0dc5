/* SPDX-License-Identifier: MIT */
/* The stage of the supervisor: plans that run service_helper, and what its hook is told. */
#ifndef SUPERVISOR_STAGE_H
#define SUPERVISOR_STAGE_H

#include "cast.h"

#include <list>
#include <set>

#include <coil/supervisor.h>

#include <sys/prctl.h>
#include <sys/resource.h>

#include <coil/sugar.h>

static const coil_duration LONG = coil_s(10);

struct Hook {
    coil_supervisor_hook hook = {};
    std::vector<std::string> said;
    std::function<void(coil_service *, coil_service_state)> on_change;
    std::function<void(coil_service *)> on_dump;
};

inline Hook &hook_of(coil_supervisor_hook *hook)
{
    return *reinterpret_cast<Hook *>(hook);
}

class Supervisor : public Proactor
{
protected:
    Supervisor()
    {
        hook.hook.changed = [](coil_supervisor_hook *self, coil_service *service,
                                    coil_service_state before) {
            const coil_supervised *status = coil_service_status(service);
            hook_of(self).said.push_back(std::string(coil_service_name(service)) + " " +
                                         coil_service_state_name(status->state));
            if (hook_of(self).on_change)
                hook_of(self).on_change(service, before);
        };
        hook.hook.failed = [](coil_supervisor_hook *self, coil_service *,
                                   const coil_spawn_error *error) {
            hook_of(self).said.push_back(error->text);
        };
        hook.hook.died = [](coil_supervisor_hook *self, coil_service *service,
                                 const coil_death *death) {
            hook_of(self).said.push_back(
                    std::string(coil_service_name(service)) + " " + death->text);
        };
        hook.hook.dump = [](coil_supervisor_hook *self, coil_service *service) {
            hook_of(self).said.push_back(std::string(coil_service_name(service)) + " dump");
            if (hook_of(self).on_dump)
                hook_of(self).on_dump(service);
        };
        options.hook = &hook.hook;
        options.seed = 1;
    }

    ~Supervisor() override
    {
        if (supervisor == nullptr)
            return;
        if (running)
            stop();
        coil_supervisor_destroy(supervisor);
    }

    void create()
    {
        if (supervisor == nullptr) {
            ASSERT_EQ(0, coil_supervisor_create(&options, &supervisor));
        }
    }

    /* A plan that runs the helper. */
    coil_service_plan helper(const char *name, std::vector<std::string> arguments = {})
    {
        arguments.insert(arguments.begin(), "service");
        lists.push_back({arguments, {}, {}});
        Arguments &list = lists.back();
        for (const std::string &argument : list.texts)
            list.argv.push_back(argument.c_str());
        list.argv.push_back(nullptr);
        list.spawn.program = SERVICE_HELPER;
        list.spawn.argv = list.argv.data();
        list.spawn.in = {COIL_STDIO_NULL, 0};
        coil_service_plan plan = {};
        plan.name = name;
        plan.spawn = &list.spawn;
        plan.policy.backoff.stable = coil_ms(1);
        return plan;
    }

    /* The same, and it says when it is ready: then SIGTERM ends it with status 0. */
    coil_service_plan polite(const char *name)
    {
        coil_service_plan plan = helper(name, {"newline=9"});
        plan.notify_fd = 9;
        plan.policy.readiness = COIL_READY_TOLD;
        return plan;
    }

    coil_spawn_plan &spawn_of(const coil_service_plan &plan)
    {
        return const_cast<coil_spawn_plan &>(*plan.spawn);
    }

    coil_service *add(const coil_service_plan &plan)
    {
        create();
        coil_service *service = nullptr;
        EXPECT_EQ(0, coil_supervisor_add(supervisor, &plan, &service))
                << coil_supervisor_reason(supervisor);
        return service;
    }

    void begin()
    {
        create();
        running = true;
        START(result, coil_supervisor_run(supervisor));
    }

    void stop()
    {
        coil_supervisor_stop(supervisor);
        await_end();
    }

    void await_end()
    {
        run();
        running = false;
    }

    coil_service_state reach(coil_service *service, coil_service_state state)
    {
        return static_cast<coil_service_state>(coil_loop_run_until(
                loop, within(LONG, coil_service_await(service, COIL_STATE_BIT(state)))));
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

    unsigned count(const std::string &what)
    {
        return static_cast<unsigned>(std::count(hook.said.begin(), hook.said.end(), what));
    }

    struct Arguments {
        std::vector<std::string> texts;
        std::vector<const char *> argv;
        coil_spawn_plan spawn = {};
    };
    std::list<Arguments> lists;
    Hook hook;
    coil_supervisor_options options = {};
    coil_supervisor *supervisor = nullptr;
    bool running = false;
    int64_t result = 1;
};

inline bool is_running(pid_t pid)
{
    return pid > 0 && kill(pid, 0) == 0;
}

#endif
