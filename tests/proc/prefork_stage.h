/* SPDX-License-Identifier: MIT */
/* The stage of the prefork tests: a real master, real workers, clients that count what fails. */
#ifndef PREFORK_STAGE_H
#define PREFORK_STAGE_H

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than anything takes that is not stuck. */
const int PATIENCE_MS = 20000;

struct Reply {
    int version = 0;
    int generation = 0;
    int number = -1;
    pid_t pid = 0;
};

class Prefork : public testing::Test
{
protected:
    Prefork()
    {
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* Masters whose masters are gone are ours. */
        broken = testing::TempDir() + "prefork_broken_" + std::to_string(getpid());
        unlink(broken.c_str());
    }

    ~Prefork() override
    {
        if (master > 0)
            kill(master, SIGINT);
        reap_all();
        if (events >= 0)
            close(events);
        unlink(broken.c_str());
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    }

    void start(int workers, const char *flags, const std::string &program = PREFORK_HELPER)
    {
        int ends[2] = {-1, -1};
        ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        const std::string count = std::to_string(workers);
        const char *argv[] = {program.c_str(), "1", count.c_str(), flags, broken.c_str(), nullptr};
        ASSERT_EQ(0, posix_spawn(&master, program.c_str(), &actions, nullptr,
                             const_cast<char *const *>(argv), environ));
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        if (events >= 0)
            close(events);
        events = ends[0];
        buffered.clear();
        const std::string where = wait_for("at");
        port = std::stoi(where.substr(where.rfind(':') + 1));
        for (int i = 0; i < workers; i++)
            wait_for("ready");
    }

    /* The next line of the masters that begins with this word; those before it are counted. */
    std::string wait_for(const std::string &word)
    {
        for (;;) {
            const std::string line = next_line();
            if (line.empty()) {
                ADD_FAILURE() << "no '" << word << "' comes";
                return "0 0:0";
            }
            const std::string first = line.substr(0, line.find(' '));
            counts[first]++;
            if (first == word)
                return line;
        }
    }

    std::string next_line()
    {
        size_t end;
        while ((end = buffered.find('\n')) == std::string::npos) {
            struct pollfd watched = {events, POLLIN, 0};
            char bytes[4096];
            if (poll(&watched, 1, PATIENCE_MS) <= 0)
                return "";
            const ssize_t size = read(events, bytes, sizeof(bytes));
            if (size <= 0)
                return "";
            buffered.append(bytes, static_cast<size_t>(size));
        }
        const std::string line = buffered.substr(0, end);
        buffered.erase(0, end + 1);
        return line;
    }

    static pid_t pid_of(const std::string &line)
    {
        return static_cast<pid_t>(std::stol(line.substr(line.find(' ') + 1)));
    }

    /* A connection that has said this; -1: refused. */
    int say(const std::string &line) const
    {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval patience = {PATIENCE_MS / 1000, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0 &&
                send(fd, line.data(), line.size(), MSG_NOSIGNAL) ==
                        static_cast<ssize_t>(line.size()))
            return fd;
        close(fd);
        return -1;
    }

    static std::string hear(int fd)
    {
        std::string all;
        char bytes[256];
        ssize_t size;
        while ((size = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
            all.append(bytes, static_cast<size_t>(size));
            if (all.back() == '\n')
                break;
        }
        return all;
    }

    /* One request. False: it has failed. */
    bool ask(Reply *reply) const
    {
        const int fd = say("hello\n");
        if (fd < 0)
            return false;
        std::istringstream words(hear(fd));
        close(fd);
        return static_cast<bool>(
                words >> reply->version >> reply->generation >> reply->number >> reply->pid);
    }

    /* The old ones serve until they have drained; then others answer. */
    bool ask_until(const std::function<bool(const Reply &)> &is_new) const
    {
        for (int i = 0; i < PATIENCE_MS; i++) {
            Reply reply;
            if (ask(&reply) && is_new(reply))
                return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

    /* Clients that ask all the time, while `act` is done. How many requests have failed. */
    unsigned under_load(const std::function<void()> &act)
    {
        std::atomic<bool> is_over(false);
        std::atomic<unsigned> failed(0);
        std::vector<std::thread> clients;
        requests = 0;
        for (int i = 0; i < 4; i++) {
            clients.emplace_back([&] {
                while (!is_over) {
                    Reply reply;
                    failed += !ask(&reply);
                    requests++;
                }
            });
        }
        act();
        is_over = true;
        for (std::thread &client : clients)
            client.join();
        return failed;
    }

    void reap_all()
    {
        for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 5) {
            int status;
            const pid_t pid = waitpid(-1, &status, WNOHANG);
            if (pid < 0)
                return;
            if (pid == 0)
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        ADD_FAILURE() << "somebody has not ended";
        kill(master, SIGKILL);
    }

    /* Workers from now on: they end at once, or with anything in it, are never ready. */
    void make_broken(const char *how = "") const
    {
        FILE *file = fopen(broken.c_str(), "we");
        ASSERT_NE(nullptr, file);
        fputs(how, file);
        fclose(file);
    }

    pid_t master = -1;
    int events = -1;
    int port = 0;
    std::string buffered;
    std::string broken;
    std::map<std::string, int> counts;
    std::atomic<unsigned> requests{0};
};

#endif
