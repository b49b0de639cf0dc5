/* SPDX-License-Identifier: MIT */
/* The cast of the process tests: children that run spawn_helper, and the streams to them. */
#ifndef CAST_H
#define CAST_H

#include <coil/child.h>
#include <coil/signal.h>
#include <coil/stream.h>

#include "stage.h"

#include <csignal>
#include <sstream>
#include <string>
#include <vector>

class Children : public Proactor
{
protected:
    using Proactor::Proactor;

    /* What the next children get, apart from their arguments. */
    coil_spawn_plan plan = {};

    coil_child start(const std::vector<std::string> &arguments)
    {
        std::vector<const char *> argv = {"helper"};
        for (const std::string &argument : arguments)
            argv.push_back(argument.c_str());
        argv.push_back(nullptr);
        plan.program = SPAWN_HELPER;
        plan.argv = argv.data();
        coil_child child = {};
        coil_spawn_error error = {};
        EXPECT_EQ(0, coil_child_spawn(&plan, &child, &error)) << error.text;
        return child;
    }

    coil_child start_shell(const std::string &script)
    {
        const char *const argv[] = {"sh", "-c", script.c_str(), nullptr};
        plan.program = "/bin/sh";
        plan.argv = argv;
        coil_child child = {};
        coil_spawn_error error = {};
        EXPECT_EQ(0, coil_child_spawn(&plan, &child, &error)) << error.text;
        return child;
    }

    /* One that says "ready" first: the signal handlers stand when this returns. */
    coil_child start_ready(const std::vector<std::string> &arguments)
    {
        plan.out = {COIL_STDIO_PIPE, 0};
        coil_child child = start(arguments);
        EXPECT_EQ("ready\n", take(child.stdout_fd));
        return child;
    }

    /*
     * A family of `relations` (spawn_helper.c). The numbers of the relatives; all signal handlers
     * stand when this returns.
     */
    coil_child start_family(
            const std::vector<std::string> &relations, std::vector<pid_t> *relatives)
    {
        std::vector<std::string> arguments = {"family"};
        arguments.insert(arguments.end(), relations.begin(), relations.end());
        plan.out = {COIL_STDIO_PIPE, 0};
        coil_child child = start(arguments);
        std::string said;
        while (said.find("ready") == std::string::npos) {
            const std::string more = take(child.stdout_fd);
            if (more.empty())
                break;
            said += more;
        }
        std::istringstream lines(said);
        for (pid_t pid; lines >> pid;)
            relatives->push_back(pid);
        EXPECT_LE(relations.size(), relatives->size()) << said;
        return child;
    }

    /* What the command says, without the last newline; or why it did not run. */
    std::string said(const char *command)
    {
        plan.shell = command;
        plan.program = nullptr;
        plan.argv = nullptr;
        if (plan.out.mode == COIL_STDIO_INHERIT)
            plan.out = {COIL_STDIO_PIPE, 0};
        coil_child child = {};
        coil_spawn_error error = {};
        const int rc = coil_child_spawn(&plan, &child, &error);
        stage = error.stage;
        plan.shell = nullptr;
        if (rc < 0)
            return error.text;
        coil_communication talk = {};
        EXPECT_EQ(0, RUN(coil_child_communicate(&child, &talk)));
        std::string output(talk.output == nullptr ? "" : talk.output, talk.output_bytes);
        coil_communication_fini(&talk);
        coil_child_fini(&child);
        while (!output.empty() && (output.back() == '\n' || output.back() == '\r'))
            output.pop_back();
        return output;
    }

    coil_spawn_stage stage = COIL_SPAWN_STAGE_NONE; /* Where it failed. */

    /* Ends, too, if a test has failed and the child would stay. */
    void finish(coil_child *child)
    {
        if (!child->exit.ended) {
            kill(child->pid, SIGKILL);
            waitid(P_PID, static_cast<id_t>(child->pid), nullptr, WEXITED);
        }
        coil_child_fini(child);
    }

    static std::string text(const coil_child &child)
    {
        char bytes[COIL_EXIT_TEXT_BYTES];
        return coil_exit_format(&child.exit, bytes);
    }
};

/* PIDFD_GET_INFO tells the status of those that others have reaped. */
inline bool kernel_remembers()
{
    const int self = coil_kernel_pidfd_open(getpid());
    int status = 0;
    const int rc = coil_kernel_pidfd_exit(self, &status);
    (void)coil_kernel_close(self);
    return rc == -EAGAIN;
}

/* Nobody runs there any more. A zombie may be left, for its parent to reap. */
inline bool is_gone(pid_t pid)
{
    coil_kernel_process process;
    return coil_kernel_process_look(pid, &process) < 0 || process.has_ended;
}

/* A child that has ended and is not reaped yet. */
inline void await_zombie(const coil_child &child)
{
    ASSERT_EQ(0, waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd), nullptr,
                         WEXITED | WNOWAIT));
}

#endif
