/* SPDX-License-Identifier: MIT */
/* Programs of others, as the other side of a test. */
#ifndef CHILD_H
#define CHILD_H

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

enum { CHILD_PATIENCE_MS = 10000 };

/* Can the shell find a program of that name? */
inline bool has_program(const std::string &name)
{
    return system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

/* A program with pipes to it. It is killed if it does not end by itself. */
class Child
{
public:
    explicit Child(const std::string &command)
    {
        int to[2], from[2];
        EXPECT_EQ(0, pipe2(to, O_CLOEXEC));
        EXPECT_EQ(0, pipe2(from, O_CLOEXEC));
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, to[0], 0);
        posix_spawn_file_actions_adddup2(&actions, from[1], 1);
        posix_spawn_file_actions_adddup2(&actions, from[1], 2);
        const std::string line = "exec " + command;
        char shell[] = "/bin/sh", option[] = "-c";
        char *arguments[] = {shell, option, const_cast<char *>(line.c_str()), nullptr};
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        EXPECT_EQ(0, posix_spawn(&pid, shell, &actions, &attributes, arguments, environ));
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        ::close(to[0]);
        ::close(from[1]);
        in = to[1];
        out = from[0];
    }

    ~Child()
    {
        end_input();
        kill(-pid, SIGKILL);
        ::close(out);
        while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR)
            ;
    }

    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;

    void say(const std::string &text) const
    {
        EXPECT_EQ(static_cast<ssize_t>(text.size()), write(in, text.data(), text.size()));
    }

    void end_input()
    {
        if (in >= 0)
            ::close(in);
        in = -1;
    }

    /* What it writes up to and including `text`; or to its end, or until it hangs. */
    std::string read_to(const std::string &text)
    {
        size_t at = 0;
        while ((at = heard.find(text)) == std::string::npos) {
            pollfd one = {out, POLLIN, 0};
            if (poll(&one, 1, CHILD_PATIENCE_MS) != 1)
                break;
            char bytes[4096];
            const ssize_t count = read(out, bytes, sizeof(bytes));
            if (count <= 0)
                break;
            heard.append(bytes, static_cast<size_t>(count));
        }
        const std::string said = heard.substr(0, at == std::string::npos ? at : at + text.size());
        heard.erase(0, said.size());
        return said;
    }

    std::string read_to_end()
    {
        return read_to("\x01 what nobody says");
    }

private:
    pid_t pid = -1;
    int in = -1;
    int out = -1;
    std::string heard;
};

#endif
