/* SPDX-License-Identifier: MIT */
/*
 * The stage of the core tests: a scheduler under virtual time, and a notebook in which coroutines
 * write what happens, so that a test can compare the order with one string.
 */
#ifndef VIRTUAL_TIME_H
#define VIRTUAL_TIME_H

#include <coil/sched.h>
#include <coil/trace.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

/* What the coroutines of the running test have written. */
inline std::string notebook;

inline void note(const char *text)
{
    notebook += text;
}

inline void note(char letter)
{
    notebook += letter;
}

/* The scheduler of the running test, for coroutines that ask for the time. */
inline coil_sched *stage;

class VirtualTime : public ::testing::Test
{
protected:
    VirtualTime() : VirtualTime(nullptr) {}

    explicit VirtualTime(coil_allocator *allocator)
    {
        coil_sched_init(&sched, start, allocator);
        sched.root.keep_going = true; /* One failing task of a test does not concern the next. */
        stage = &sched;
        notebook.clear();
    }

    ~VirtualTime() override
    {
        drive();
        coil_sched_fini(&sched);
    }

    /* Let ready tasks run until all of them wait. No time passes. */
    void settle()
    {
        while (coil_sched_run(&sched, 100)) {
        }
    }

    /* Let time pass from event to event, up to `end`. */
    void pass_until(coil_time end)
    {
        settle();
        while (coil_sched_next(&sched) <= end) {
            coil_sched_advance(&sched, coil_sched_next(&sched));
            settle();
        }
        coil_sched_advance(&sched, end);
        settle();
    }

    void pass(coil_duration duration)
    {
        pass_until(coil_time_after(sched.now, duration));
    }

    /* Run everything to its end. */
    void drive()
    {
        settle();
        while (sched.live_count > 0) {
            coil_time next = coil_sched_next(&sched);
            if (next == COIL_NEVER) {
                coil_trace_group(&sched.root, stderr);
                fprintf(stderr, "these tasks wait for nothing\n");
                abort();
            }
            coil_sched_advance(&sched, next);
            settle();
        }
    }

    coil_duration elapsed() const
    {
        return sched.now - start;
    }

    static constexpr coil_time start = 1000;
    coil_sched sched;
};

/* Inside a test: run the call as a task to its end. Its result if that is an integer. */
#define RUN(...)                                                  \
    __extension__({                                               \
        int64_t run_result = 0;                                   \
        coil_spawn_result(&sched.root, &run_result, __VA_ARGS__); \
        drive();                                                  \
        run_result;                                               \
    })

#endif
