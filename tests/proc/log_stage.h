/* SPDX-License-Identifier: MIT */
/* The stage of the log tests: a log in a directory of its own, and what is in its files. */
#ifndef LOG_STAGE_H
#define LOG_STAGE_H

#include "cast.h"
#include "directory.h"

#include <coil/log_capture.h>

#include <sys/stat.h>

#include <coil/sugar.h>

inline std::string contents(const std::string &path)
{
    std::string text;
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd < 0)
        return "(none)";
    char bytes[65536];
    for (ssize_t count; (count = read(fd, bytes, sizeof(bytes))) > 0;)
        text.append(bytes, static_cast<size_t>(count));
    return text;
}

/* Not until all tasks have ended: a log that cannot store has one that does not. */
#define UNTIL(...) coil_loop_run_until(loop, __VA_ARGS__)

class LogCapture : public Children
{
protected:
    LogCapture()
    {
        char name[] = "/tmp/coil-log-XXXXXX";
        directory = mkdtemp(name);
        path = directory + "/current";
        options.path = path.c_str();
    }

    ~LogCapture() override
    {
        close_log();
        remove_directory(directory);
    }

    void open_log()
    {
        ASSERT_EQ(0, RUN(coil_log_open(&options, &log)));
    }

    void close_log()
    {
        coil_log *closing = log;
        log = nullptr;
        EXPECT_EQ(0, UNTIL(coil_log_close(closing)));
    }

    /* A pipe that the log reads: the end to write to. */
    Fd attach(const char *prefix = "")
    {
        Ends ends = make_pipe();
        EXPECT_EQ(0, coil_log_attach(log, ends.out.release(), prefix));
        return std::move(ends.in);
    }

    void drain()
    {
        EXPECT_EQ(0, UNTIL(coil_log_drain(log)));
    }

    /* Of all files, oldest first. */
    std::string all() const
    {
        std::string text;
        for (const std::string &name : names_in(directory)) {
            if (name != "current")
                text += contents(directory + "/" + name);
        }
        return text + contents(path);
    }

    coil_log_stats stats() const
    {
        return coil_log_statistics(log);
    }

    std::string directory;
    std::string path;
    coil_log_options options = {};
    coil_log *log = nullptr;
};

#endif
