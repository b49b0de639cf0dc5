/* SPDX-License-Identifier: MIT */
/* Services whose log cannot read what they write: the journal that it has is full. */
#include "supervisor_stage.h"

#include "directory.h"

#include <fstream>

#include <sys/socket.h>

static int spared_kills; /* So many are not sent. */
static pid_t spared;     /* The last that should have had one. */

extern "C" {

int __real_coil_kernel_pidfd_signal(int pidfd, int signo);
int __wrap_coil_kernel_pidfd_signal(int pidfd, int signo);

int __wrap_coil_kernel_pidfd_signal(int pidfd, int signo)
{
    if (signo != SIGKILL || spared_kills == 0)
        return __real_coil_kernel_pidfd_signal(pidfd, signo);
    std::ifstream facts("/proc/self/fdinfo/" + std::to_string(pidfd));
    for (std::string word; facts >> word && word != "Pid:";)
        continue;
    facts >> spared;
    spared_kills--;
    return 0;
}
}

namespace
{

/* Pipes and sockets of another log, which fill a journal to its last place. */
class Crowd
{
public:
    Crowd(coil_loop *of, coil_log_journal *journal) : loop(of)
    {
        coil_log_options options = {};
        options.on_line = &nobody;
        options.journal = journal;
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_open(&options, &log)));
        for (Fd &each : places) {
            Ends ends = make_pipe();
            EXPECT_EQ(0, coil_log_attach(log, ends.out.release(), ""));
            each = std::move(ends.in);
        }
        int rc = 0;
        while (rc == 0) { /* Each is what the other one waits for. */
            int pair[2];
            EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
            rc = coil_log_attach(log, pair[0], "");
            if (rc == 0)
                rc = coil_log_attach(log, pair[1], "");
            else
                close(pair[1]);
        }
        EXPECT_EQ(-ENOBUFS, rc);
        EXPECT_EQ(size_t(COIL_LOG_JOURNAL_PIPES), count());
    }

    Crowd(const Crowd &) = delete;
    Crowd &operator=(const Crowd &) = delete;

    ~Crowd()
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
        /* To close a loop with so many operations takes the kernel long. */
        for (int i = 0; i < 10000 && loop->pending_count > 100; i++)
            (void)coil_loop_run_until(loop, coil_sleep(coil_us(1)));
    }

    /* One place is free, once the loop has run. */
    void leave_one()
    {
        places[places[0] < 0].reset();
    }

    size_t count() const
    {
        return coil_log_attached_count(log);
    }

private:
    coil_loop *loop;
    coil_log *log = nullptr;
    coil_log_line_hook nobody = {[](coil_log_line_hook *, const coil_log_line *) {}};
    Fd places[2] = {Fd(-1), Fd(-1)};
};

class SupervisorLog : public Supervisor
{
protected:
    SupervisorLog()
    {
        char name[] = "/tmp/coil-service-log-XXXXXX";
        directory = mkdtemp(name);
        path = directory + "/log";
    }

    void SetUp() override
    {
        struct rlimit most = {};
        ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
        most = {before.rlim_max, before.rlim_max};
        if (before.rlim_max < COIL_LOG_JOURNAL_PIPES + 200)
            GTEST_SKIP() << "not enough descriptors for a full journal";
        ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &most));
    }

    void TearDown() override
    {
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
        remove_directory(directory);
    }

    void open_log(coil_log_journal *journal)
    {
        coil_log_options log_options = {};
        log_options.path = path.c_str();
        log_options.journal = journal;
        ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&log_options, &log)));
    }

    void close_log()
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
    }

    std::string logged() const
    {
        std::ifstream file(path);
        std::stringstream bytes;
        bytes << file.rdbuf();
        return bytes.str();
    }

    bool has_logged(const std::string &text) const
    {
        return logged().find(text) != std::string::npos;
    }

    std::string directory;
    std::string path;
    coil_log *log = nullptr;
    struct rlimit before = {};
};

TEST_F(SupervisorLog, WhoseOutputNobodyReadsIsNotStarted)
{
    coil_log_journal *journal = nullptr;
    ASSERT_EQ(0, coil_log_journal_create(&journal));
    open_log(journal);
    {
        Crowd crowd(loop, journal);
        coil_service_plan plan = helper("web", {"ready"});
        plan.log = log;
        plan.policy.backoff.shortest = coil_ms(1);
        plan.policy.backoff.longest = coil_ms(10);
        coil_service *web = add(plan);
        begin();
        EXPECT_EQ(COIL_SERVICE_BACKOFF, reach(web, COIL_SERVICE_BACKOFF));
        EXPECT_EQ(COIL_REASON_NO_RESOURCES, coil_service_status(web)->reason);
        EXPECT_EQ(-ENOBUFS, coil_service_status(web)->error);
        EXPECT_EQ(0, coil_service_pid(web));
        EXPECT_EQ(-1, waitpid(-1, nullptr, WNOHANG)) << "it is gone";
        EXPECT_LE(1U, count("the log of 'web' cannot read its stdout: No buffer space available"));

        crowd.leave_one();
        EXPECT_TRUE(eventually([&] {
            return count("the log of 'web' cannot read its stderr: No buffer space available") > 0;
        }));

        crowd.leave_one();
        EXPECT_EQ(COIL_SERVICE_UP, reach(web, COIL_SERVICE_UP));
        EXPECT_TRUE(eventually([&] { return has_logged("web ready\n"); })) << logged();
        EXPECT_EQ(0U, coil_service_status(web)->counters.failures);
        stop();
    }
    close_log();
    coil_log_journal_close(journal);
}

/* As a process is that sits in the kernel: it dies when it comes back. */
TEST_F(SupervisorLog, WhoIsSlowToDieHoldsUpNobodyAndLeavesNothing)
{
    static const char reason[] =
            "the log of 'web' cannot read its stdout: No buffer space available";
    coil_log_journal *journal = nullptr;
    ASSERT_EQ(0, coil_log_journal_create(&journal));
    open_log(journal);
    {
        Crowd crowd(loop, journal);
        coil_service_plan plan = helper("web", {"heir"});
        spawn_of(plan).group = COIL_SPAWN_GROUP_NEW;
        plan.log = log;
        plan.whole_tree = true;
        plan.policy.backoff.shortest = plan.policy.backoff.longest = coil_s(1000);
        coil_service *web = add(plan);
        spared_kills = 1;
        begin();
        EXPECT_TRUE(eventually([&] { return count(reason) == 1; }));
        for (int turn = 0; turn < 50; turn++) {
            EXPECT_NE(COIL_SERVICE_BACKOFF, coil_service_status(web)->state) << "it is still there";
            (void)coil_loop_run_until(loop, coil_sleep(coil_ms(1)));
        }
        EXPECT_EQ(0, kill(spared, SIGKILL));
        EXPECT_EQ(COIL_SERVICE_BACKOFF, reach(web, COIL_SERVICE_BACKOFF));
        EXPECT_EQ(-ENOBUFS, coil_service_status(web)->error);
        EXPECT_EQ(1U, count(reason));
        EXPECT_TRUE(eventually([&] { return kill(-spared, 0) == -1; })) << "nor is its heir";
        stop();
    }
    close_log();
    coil_log_journal_close(journal);
}

/* Says so before and after it was adopted, and once more at its end. */
const char *const SCRIPT = "echo before; until test -e \"$0/go\"; do sleep 0.01; done; "
                           "echo after; until test -e \"$0/end\"; do sleep 0.01; done; echo end";

class SupervisorLogAdopted : public SupervisorLog
{
protected:
    void open_adoption()
    {
        adoption_options.directory = directory.c_str();
        adoption_options.kills = true;
        ASSERT_LE(0, coil_loop_run_until(
                             loop, coil_adoption_open(&adoption_options, &adoption, nullptr)));
        options.adoption = adoption;
    }

    /* The next supervisor, or the first one. */
    void supervise()
    {
        const char *const argv[] = {"sh", "-c", SCRIPT, directory.c_str(), nullptr};
        coil_spawn_plan spawn = {};
        spawn.program = "/bin/sh";
        spawn.argv = argv;
        spawn.group = COIL_SPAWN_GROUP_NEW;
        spawn.in = {COIL_STDIO_NULL, 0};
        coil_service_plan plan = {};
        plan.name = "web";
        plan.spawn = &spawn;
        plan.log = log;
        plan.outlives = true;
        plan.policy.backoff.longest = coil_ms(10);
        plan.policy.restart = COIL_RESTART_TRANSIENT;
        web = add(plan);
        result = 1;
        begin();
    }

    /* That of the run alone: the adoption has tasks. */
    void await_end_of_run()
    {
        EXPECT_TRUE(eventually([&] { return result == 0; }));
        running = false;
    }

    void close_adoption(coil_keeper_end end)
    {
        coil_supervisor_destroy(supervisor);
        supervisor = nullptr;
        coil_loop_run_until(loop, coil_adoption_close(adoption, end));
    }

    /* A supervisor whose service runs on. Its log has no journal, which would know the pipes. */
    pid_t live_and_leave()
    {
        open_adoption();
        open_log(nullptr);
        supervise();
        EXPECT_EQ(COIL_SERVICE_UP, reach(web, COIL_SERVICE_UP));
        EXPECT_TRUE(eventually([&] { return has_logged("web before\n"); }));
        const pid_t pid = coil_service_pid(web);
        coil_supervisor_leave(supervisor);
        await_end_of_run();
        close_log();
        close_adoption(COIL_KEEPER_STAYS);
        return pid;
    }

    void touch(const char *name) const
    {
        std::ofstream file(directory + "/" + name);
    }

    coil_adoption_options adoption_options = {};
    coil_adoption *adoption = nullptr;
    coil_service *web = nullptr;
};

TEST_F(SupervisorLogAdopted, RunsOnAndWhatItWritesWaits)
{
    const pid_t pid = live_and_leave();
    open_adoption();
    open_log(coil_adoption_journal(adoption));
    {
        Crowd crowd(loop, coil_adoption_journal(adoption));
        supervise();
        EXPECT_EQ(COIL_SERVICE_UP, reach(web, COIL_SERVICE_UP));
        EXPECT_EQ(pid, coil_service_pid(web));
        const std::string said = "web [stdout of process " + std::to_string(pid) +
                                 " is not read yet: No buffer space available]\n";
        EXPECT_TRUE(eventually([&] { return has_logged(said); })) << logged();
        touch("go");
        (void)coil_loop_run_until(loop, coil_sleep(coil_ms(100)));
        EXPECT_FALSE(has_logged("after"));

        crowd.leave_one();
        crowd.leave_one();
        EXPECT_TRUE(eventually([&] { return has_logged("web after\n"); })) << logged();
        EXPECT_EQ(pid, coil_service_pid(web));
        touch("end");
        EXPECT_EQ(COIL_SERVICE_DONE, reach(web, COIL_SERVICE_DONE));
        EXPECT_TRUE(eventually([&] { return has_logged("web end\n"); })) << logged();
        coil_supervisor_stop(supervisor);
        await_end_of_run();
    }
    close_log();
    close_adoption(COIL_KEEPER_ENDS);
}

/* The next supervisor has them, if this one ends before its log could. */
TEST_F(SupervisorLogAdopted, LastWordsThatNobodyHasReadAreLeftToTheNext)
{
    live_and_leave();
    open_adoption();
    open_log(coil_adoption_journal(adoption));
    {
        Crowd crowd(loop, coil_adoption_journal(adoption));
        supervise();
        EXPECT_EQ(COIL_SERVICE_UP, reach(web, COIL_SERVICE_UP));
        touch("go");
        touch("end");
        EXPECT_EQ(COIL_SERVICE_DONE, reach(web, COIL_SERVICE_DONE));
        coil_supervisor_stop(supervisor);
        await_end_of_run();
        close_log();
        EXPECT_FALSE(has_logged("after"));
        crowd.leave_one();
        crowd.leave_one();
        EXPECT_TRUE(eventually([&] { return crowd.count() == COIL_LOG_JOURNAL_PIPES - 2; }));
    }
    close_adoption(COIL_KEEPER_STAYS);

    open_adoption();
    open_log(coil_adoption_journal(adoption));
    supervise();
    const std::string last_words = "is not read yet: No buffer space available]\n"
                                   "web after\nweb end\n";
    EXPECT_TRUE(eventually([&] { return has_logged(last_words); })) << logged();
    coil_supervisor_stop(supervisor);
    await_end_of_run();
    close_log();
    close_adoption(COIL_KEEPER_ENDS);
}

} // namespace
