/* SPDX-License-Identifier: MIT */
/* A cgroup in which memory has a limit, of whichever version this machine has. */
#ifndef MEMORY_CGROUP_H
#define MEMORY_CGROUP_H

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

class MemoryCgroup
{
public:
    explicit MemoryCgroup(unsigned long limit_bytes)
    {
        const std::string name = "/coil-test-memory-" + std::to_string(getpid());
        is_limited = make("/sys/fs/cgroup/memory" + name, "/memory.limit_in_bytes", limit_bytes) ||
                     make("/sys/fs/cgroup" + name, "/memory.max", limit_bytes);
        (void)write("/memory.swap.max", "0"); /* Or there is none. */
        (void)write("/memory.memsw.limit_in_bytes", std::to_string(limit_bytes));
    }

    MemoryCgroup(const MemoryCgroup &) = delete;
    MemoryCgroup &operator=(const MemoryCgroup &) = delete;

    /* Its last process may not be quite gone. */
    ~MemoryCgroup()
    {
        for (int i = 0; i < 1000 && !path.empty() && rmdir(path.c_str()) < 0; i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }

    bool add(pid_t pid) const
    {
        return write("/cgroup.procs", std::to_string(pid));
    }

    std::string procs() const
    {
        return path + "/cgroup.procs";
    }

    bool is_limited = false;

private:
    bool make(const std::string &directory, const char *file, unsigned long limit_bytes)
    {
        if (mkdir(directory.c_str(), 0755) < 0)
            return false;
        path = directory;
        if (write(file, std::to_string(limit_bytes)))
            return true;
        rmdir(directory.c_str());
        path.clear();
        return false;
    }

    bool write(const char *file, const std::string &text) const
    {
        struct stat status = {};
        const std::string name = path + file;
        if (path.empty() || stat(name.c_str(), &status) < 0)
            return false;
        std::ofstream out(name);
        out << text << std::flush;
        return out.good();
    }

    std::string path;
};

#endif
