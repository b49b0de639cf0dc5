/* SPDX-License-Identifier: MIT */
/* The stage of supervisors that are killed: a directory, and a reaper of what they leave behind. */
#ifndef ADOPTION_STAGE_H
#define ADOPTION_STAGE_H

#include "cast.h"
#include "directory.h"

#include <fstream>
#include <iostream>
#include <sstream>

#include <coil/adoption.h>

#include <sys/prctl.h>

class Adoption : public Children
{
protected:
    Adoption()
    {
        char name[] = "/tmp/coil-adoption-XXXXXX";
        directory = mkdtemp(name);
        socket_path = directory + "/keeper";
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }

    ~Adoption() override
    {
        prctl(PR_SET_CHILD_SUBREAPER, 0);
        while (waitpid(-1, nullptr, WNOHANG) > 0)
            continue;
        if (HasFailure()) {
            std::cerr << "see " << directory << "\n";
            return;
        }
        remove_directory(directory);
    }

    /* Everything that has ended, and only that, until `pid` has: its status. */
    static int reap_until(pid_t pid)
    {
        int status = -1;
        pid_t ended;
        do
            ended = waitpid(-1, &status, 0);
        while (ended != pid && ended > 0);
        return status;
    }

    /* A supervisor, by its arguments after the directory. */
    pid_t run_program(const char *program, const char *mode, int count) const
    {
        const std::string number = std::to_string(count);
        const pid_t pid = fork();
        if (pid == 0) {
            execl(program, program, mode, directory.c_str(), number.c_str(), nullptr);
            _exit(127);
        }
        return pid;
    }

    /* All that child `number` has said, of all files of its log. */
    std::string said(int number) const
    {
        const std::string current = std::to_string(number) + ".log";
        std::string text;
        std::vector<std::string> files;
        for (const std::string &name : names_in(directory)) {
            if (name.compare(0, current.size() + 1, current + ".") == 0)
                files.push_back(name);
        }
        files.push_back(current);
        for (const std::string &name : files) {
            std::ifstream file(directory + "/" + name);
            std::stringstream bytes;
            bytes << file.rdbuf();
            text += bytes.str();
        }
        return text;
    }

    std::string directory;
    std::string socket_path;
};

#endif
