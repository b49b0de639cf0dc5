/* SPDX-License-Identifier: MIT */
/* The stage of supervisors that are killed: a directory, and a reaper of what they leave behind. */
#ifndef ADOPTION_STAGE_H
#define ADOPTION_STAGE_H

#include "cast.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>

#include <coil/adoption.h>

#include <dirent.h>
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
        for (const std::string &name : names())
            unlink((directory + "/" + name).c_str());
        rmdir(directory.c_str());
    }

    std::vector<std::string> names() const
    {
        std::vector<std::string> found;
        DIR *entries = opendir(directory.c_str());
        while (struct dirent *entry = readdir(entries)) {
            if (entry->d_name[0] != '.')
                found.emplace_back(entry->d_name);
        }
        closedir(entries);
        std::sort(found.begin(), found.end());
        return found;
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
        for (const std::string &name : names()) {
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
