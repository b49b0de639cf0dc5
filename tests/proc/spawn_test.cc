/* SPDX-License-Identifier: MIT */
#include <coil/spawn.h>

#include "spawn_private.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

namespace
{

coil_child no_child(pid_t pid)
{
    coil_child none = {};
    none.pid = pid;
    none.pidfd = none.stdin_fd = none.stdout_fd = none.stderr_fd = -1;
    return none;
}

const int PATIENCE_MS = 10000; /* For what must happen at once. */
const uid_t NOBODY = 65534;

const std::string &helper()
{
    static const std::string path = SPAWN_HELPER;
    return path;
}

/* Argument or environment strings in the form that a plan takes. */
class Strings
{
public:
    Strings(std::initializer_list<std::string> list) : strings(list)
    {
        for (const std::string &string : strings)
            pointers.push_back(string.c_str());
        pointers.push_back(nullptr);
    }

    operator const char * const *() const
    {
        return pointers.data();
    }

private:
    std::vector<std::string> strings;
    std::vector<const char *> pointers;
};

/* Runs the helper with `arguments`, which must live as long as the plan. */
coil_spawn_plan plan_for(const Strings &arguments)
{
    coil_spawn_plan plan = {};
    plan.program = helper().c_str();
    plan.argv = arguments;
    return plan;
}

std::string read_all(int fd)
{
    std::string all;
    char bytes[4096];
    for (ssize_t size; (size = read(fd, bytes, sizeof(bytes))) > 0;)
        all.append(bytes, static_cast<size_t>(size));
    return all;
}

bool ended_within(int pidfd, int timeout_ms)
{
    pollfd ended = {pidfd, POLLIN, 0};
    return poll(&ended, 1, timeout_ms) == 1;
}

/* What waitid() says of the child: "exit 3", "signal 9". */
std::string reap(coil_child *child)
{
    siginfo_t end = {};
    int rc;
    do
        rc = waitid(P_PID, static_cast<id_t>(child->pid), &end, WEXITED);
    while (rc < 0 && errno == EINTR);
    coil_child_fini(child);
    if (rc < 0)
        return strerror(errno);
    return (end.si_code == CLD_EXITED ? "exit " : "signal ") + std::to_string(end.si_status);
}

/* The same of a child that must end at once, and is helped to if it does not. */
std::string reap_soon(coil_child *child)
{
    bool ended = ended_within(child->pidfd, PATIENCE_MS);
    EXPECT_TRUE(ended);
    if (!ended)
        kill(child->pid, SIGKILL);
    return reap(child);
}

struct Outcome {
    std::string out;
    std::string err;
    std::string end;
};

/* Only for outputs that fit into a pipe. */
Outcome run(const coil_spawn_plan &plan)
{
    Outcome outcome;
    coil_child child;
    coil_spawn_error error;
    int rc = coil_child_spawn(&plan, &child, &error);
    if (rc < 0) {
        outcome.end = error.text;
        return outcome;
    }
    if (child.stdout_fd >= 0)
        outcome.out = read_all(child.stdout_fd);
    if (child.stderr_fd >= 0)
        outcome.err = read_all(child.stderr_fd);
    outcome.end = reap(&child);
    return outcome;
}

typedef std::map<std::string, std::string> Report;

/* Run the helper's report and return it as a map. */
Report report(coil_spawn_plan plan)
{
    Strings arguments = {"helper", "report"};
    if (plan.argv == nullptr)
        plan.argv = arguments;
    plan.program = helper().c_str();
    plan.out = {COIL_STDIO_PIPE, 0};
    Outcome outcome = run(plan);
    EXPECT_EQ("exit 0", outcome.end);

    Report lines;
    size_t start = 0;
    for (size_t end; (end = outcome.out.find('\n', start)) != std::string::npos; start = end + 1) {
        std::string line = outcome.out.substr(start, end - start);
        size_t equals = line.find('=');
        if (equals != std::string::npos)
            lines[line.substr(0, equals)] = line.substr(equals + 1);
    }
    return lines;
}

std::vector<int> fds_of(const Report &lines)
{
    std::vector<int> fds;
    for (const auto &line : lines) {
        if (line.first.rfind("fd.", 0) == 0)
            fds.push_back(atoi(line.first.c_str() + 3));
    }
    return fds;
}

const std::vector<int> STDIO_ONLY = {0, 1, 2};

int count_open_fds()
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory) != nullptr)
        count++;
    closedir(directory);
    return count;
}

bool has_children()
{
    siginfo_t any = {};
    return waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void write_file(const std::string &path, const std::string &text, mode_t mode)
{
    int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    ASSERT_GE(fd, 0) << path;
    ASSERT_EQ(static_cast<ssize_t>(text.size()), write(fd, text.data(), text.size()));
    ASSERT_EQ(0, fchmod(fd, mode));
    close(fd);
}

void copy_file(const std::string &from, const std::string &to)
{
    int fd = open(from.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0) << from;
    write_file(to, read_all(fd), 0755);
    close(fd);
}

/* Each test has a directory of its own, and leaves no process and no fd behind. */
class Spawn : public ::testing::Test
{
protected:
    void SetUp() override
    {
        char pattern[] = "/tmp/spawn_test.XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(pattern));
        directory = pattern;
        ASSERT_EQ(0, chmod(pattern, 0755));
        open_fds = count_open_fds();
    }

    void TearDown() override
    {
        EXPECT_EQ(open_fds, count_open_fds());
        EXPECT_FALSE(has_children());
        std::string command = "rm -rf " + directory;
        EXPECT_EQ(0, system(command.c_str()));
    }

    /* Start what must not start; `error` tells what came of it. */
    void expect_failure(const coil_spawn_plan &plan, int rc, coil_spawn_stage stage)
    {
        coil_child untouched = {};
        untouched.pid = -7;
        EXPECT_EQ(rc, coil_child_spawn(&plan, &untouched, &error));
        EXPECT_EQ(-7, untouched.pid);
        EXPECT_EQ(rc, error.error);
        EXPECT_EQ(stage, error.stage) << coil_spawn_stage_name(error.stage);
        EXPECT_FALSE(has_children());
    }

    void expect_failure_of(const std::string &program, int rc)
    {
        coil_spawn_plan plan = {};
        plan.program = program.c_str();
        expect_failure(plan, rc, COIL_SPAWN_STAGE_EXEC);
    }

    std::string cannot_run(const std::string &name, const std::string &cause)
    {
        return "cannot run '" + name + "': " + cause;
    }

    std::string directory;
    int open_fds = 0;
    coil_spawn_error error = {};
};

/* Runs `body` in a process of its own, so that what it does to itself stays there. */
template <typename Body> std::string in_another_process(Body body)
{
    coil_child other = {};
    other.pid = fork();
    other.pidfd = other.stdin_fd = other.stdout_fd = other.stderr_fd = -1;
    if (other.pid == 0)
        _exit(body());
    return reap(&other);
}

/* Starting, and what the child gets. */

TEST_F(Spawn, AnEmptyPlanRunsTheProgramAndTellsItsExit)
{
    Strings arguments = {"helper", "exit", "3"};
    EXPECT_EQ("exit 3", run(plan_for(arguments)).end);
}

TEST_F(Spawn, TheChildHasAPidfdThatTellsItsEnd)
{
    Strings arguments = {"helper", "pause"};
    coil_spawn_plan plan = plan_for(arguments);
    coil_child child;
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    EXPECT_FALSE(ended_within(child.pidfd, 20));
    EXPECT_EQ(FD_CLOEXEC, fcntl(child.pidfd, F_GETFD));
    EXPECT_EQ(0, syscall(SYS_pidfd_send_signal, child.pidfd, SIGTERM, nullptr, 0));
    EXPECT_EQ("signal 15", reap_soon(&child));
}

TEST_F(Spawn, ErrnoAndTheSignalMaskAreLeftAlone)
{
    uint64_t before = 0;
    uint64_t after = 1;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &before, sizeof(before));
    Strings arguments = {"helper", "exit", "0"};
    errno = EXDEV;
    EXPECT_EQ("exit 0", run(plan_for(arguments)).end);
    EXPECT_EQ(EXDEV, errno);

    coil_child child;
    coil_spawn_plan plan = plan_for(arguments);
    plan.program = "/nowhere";
    EXPECT_EQ(-ENOENT, coil_child_spawn(&plan, &child, nullptr));
    EXPECT_EQ(EXDEV, errno);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &after, sizeof(after));
    EXPECT_EQ(before, after);
}

TEST_F(Spawn, ArgumentsArriveUnchanged)
{
    Strings arguments = {"zero", "report", "", "two words", "$HOME"};
    coil_spawn_plan plan = {};
    plan.argv = arguments;
    Report lines = report(plan);
    EXPECT_EQ("zero", lines["arg.0"]);
    EXPECT_EQ("", lines["arg.2"]);
    EXPECT_EQ("two words", lines["arg.3"]);
    EXPECT_EQ("$HOME", lines["arg.4"]);
    EXPECT_EQ(0U, lines.count("arg.5"));
}

TEST_F(Spawn, WithoutArgumentsTheProgramGetsItsName)
{
    coil_spawn_plan plan = {};
    plan.program = helper().c_str();
    plan.out = {COIL_STDIO_PIPE, 0};
    EXPECT_NE(std::string::npos, run(plan).out.find("arg.0=" + helper() + "\n"));
}

TEST_F(Spawn, TheEnvironmentIsTheParentsUnlessGiven)
{
    setenv("COIL_SPAWN_TEST", "inherited", 1);
    EXPECT_EQ("inherited", report({})["env.COIL_SPAWN_TEST"]);
    unsetenv("COIL_SPAWN_TEST");

    Strings environment = {"ONLY=this"};
    coil_spawn_plan plan = {};
    plan.env = environment;
    Report lines = report(plan);
    EXPECT_EQ("this", lines["env.ONLY"]);
    EXPECT_EQ(0U, lines.count("env.PATH"));
}

TEST_F(Spawn, TheDirectoryAndUmaskAreThosePlanned)
{
    mode_t mask = umask(027);
    coil_spawn_plan plan = {};
    EXPECT_EQ("027", report(plan)["umask"]);
    plan.cwd = directory.c_str();
    plan.set_umask = true;
    Report lines = report(plan);
    EXPECT_EQ(directory, lines["cwd"]);
    EXPECT_EQ("000", lines["umask"]);
    plan.umask = 077;
    EXPECT_EQ("077", report(plan)["umask"]);
    EXPECT_EQ(027U, umask(mask)); /* The parent's own is untouched. */
}

TEST_F(Spawn, ARelativeProgramIsRelativeToTheChildsDirectory)
{
    copy_file(helper(), directory + "/here");
    Strings arguments = {"here", "exit", "4"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.program = "./here";
    plan.cwd = directory.c_str();
    EXPECT_EQ("exit 4", run(plan).end);
}

TEST_F(Spawn, LimitsHoldForTheChildOnly)
{
    rlimit before;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const coil_spawn_limit limits[] = {{RLIMIT_NOFILE, {61, 67}}, {RLIMIT_CORE, {0, 0}}};
    coil_spawn_plan plan = {};
    plan.limits = limits;
    plan.limit_count = 2;
    /* The fds of the plan are no matter of the child's limit. */
    const coil_spawn_fd fds[] = {{100, STDERR_FILENO}};
    plan.fds = fds;
    plan.fd_count = 1;
    Report lines = report(plan);
    EXPECT_EQ("61:67", lines["nofile"]);
    EXPECT_EQ(1U, lines.count("fd.100"));

    rlimit after;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &after));
    EXPECT_EQ(before.rlim_cur, after.rlim_cur);
}

TEST_F(Spawn, TheGroupIsInheritedNewOrThatOfANewSession)
{
    coil_spawn_plan plan = {};
    EXPECT_EQ(std::to_string(getpgrp()), report(plan)["pgid"]);

    plan.group = COIL_SPAWN_GROUP_NEW;
    Report lines = report(plan);
    EXPECT_EQ(lines["pid"], lines["pgid"]);
    EXPECT_EQ(std::to_string(getsid(0)), lines["sid"]);

    plan.group = COIL_SPAWN_SESSION_NEW;
    lines = report(plan);
    EXPECT_EQ(lines["pid"], lines["pgid"]);
    EXPECT_EQ(lines["pid"], lines["sid"]);
}

TEST_F(Spawn, PrivilegesCanBeGivenUp)
{
    coil_spawn_plan plan = {};
    std::string before = report(plan)["NoNewPrivs"];
    plan.no_new_privs = true;
    EXPECT_EQ("1", report(plan)["NoNewPrivs"]);
    EXPECT_EQ(before, std::to_string(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
}

TEST_F(Spawn, TheIdentityIsChangedAndTheDeathSignalSurvivesThat)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root";
    copy_file(helper(), directory + "/helper");
    Strings arguments = {"helper", "report"};
    std::string program = directory + "/helper";
    coil_spawn_identity nobody = {NOBODY, NOBODY, nullptr, 0};
    coil_spawn_plan plan = plan_for(arguments);
    plan.program = program.c_str();
    plan.run_as = &nobody;
    plan.out = {COIL_STDIO_PIPE, 0};
    Outcome outcome = run(plan);
    EXPECT_EQ("exit 0", outcome.end);
    EXPECT_NE(std::string::npos,
            outcome.out.find("uid=65534\neuid=65534\ngid=65534\negid=65534\ngroups=0\n"));
    EXPECT_NE(std::string::npos, outcome.out.find("death_signal=9\n"));
}

TEST_F(Spawn, AnotherIdentityOfTheChildDoesNotMakeTheParentUndumpable)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root";
    ASSERT_EQ(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    coil_spawn_identity nobody = {NOBODY, NOBODY, nullptr, 0};
    coil_spawn_plan plan = {};
    plan.program = "/bin/true";
    plan.run_as = &nobody;
    EXPECT_EQ("exit 0", run(plan).end);
    EXPECT_EQ(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

TEST_F(Spawn, NorDoManyAtTheSameTime)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root";
    ASSERT_EQ(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    auto spawner = [] {
        coil_spawn_identity nobody = {NOBODY, NOBODY, nullptr, 0};
        coil_spawn_plan plan = {};
        plan.program = "/bin/true";
        plan.run_as = &nobody;
        for (int i = 0; i < 200; i++)
            EXPECT_EQ("exit 0", run(plan).end);
    };
    std::thread one(spawner);
    std::thread other(spawner);
    one.join();
    other.join();
    EXPECT_EQ(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

/* The search in PATH. */

TEST_F(Spawn, ANameIsSearchedInThePathOfTheChildsEnvironment)
{
    copy_file(helper(), directory + "/coil-found");
    Strings arguments = {"coil-found", "exit", "5"};
    Strings environment = {"A=B", "PATH=/nowhere:" + directory + ":/bin"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.program = "coil-found";
    plan.env = environment;
    EXPECT_EQ("exit 5", run(plan).end);

    plan.env = nullptr;
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_SEARCH);
    EXPECT_EQ(
            cannot_run("coil-found", "no such file or directory (not found in PATH)"), error.text);
}

TEST_F(Spawn, WithoutAPathTheUsualDirectoriesAreSearched)
{
    Strings environment = {"PATHS=/nowhere"};
    coil_spawn_plan plan = {};
    plan.program = "true";
    plan.env = environment;
    EXPECT_EQ("exit 0", run(plan).end);
}

TEST_F(Spawn, RelativeAndEmptyDirectoriesOfPathAreNotSearched)
{
    copy_file(helper(), directory + "/coil-found");
    std::string end = in_another_process([this] {
        if (chdir(directory.c_str()) < 0)
            return 1;
        coil_spawn_plan plan = {};
        plan.program = "coil-found";
        plan.cwd = directory.c_str();
        for (const char *path : {"PATH=.", "PATH=", "PATH=:", "PATH=/nowhere:", "PATH=:/nowhere"}) {
            Strings environment = {path};
            plan.env = environment;
            expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_SEARCH);
        }
        return HasFailure() ? 2 : 0;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, TheSearchPassesOverWhatCannotBeExecuted)
{
    std::string first = directory + "/1";
    std::string second = directory + "/2";
    std::string third = directory + "/3";
    ASSERT_EQ(0, mkdir(first.c_str(), 0755));
    ASSERT_EQ(0, mkdir(second.c_str(), 0755));
    ASSERT_EQ(0, mkdir(third.c_str(), 0755));
    write_file(first + "/tool", "not a program", 0644);
    ASSERT_EQ(0, mkdir((second + "/tool").c_str(), 0755));

    Strings arguments = {"tool", "exit", "6"};
    Strings environment = {"PATH=" + first + ":" + second + ":" + third};
    coil_spawn_plan plan = plan_for(arguments);
    plan.program = "tool";
    plan.env = environment;
    expect_failure(plan, -EACCES, COIL_SPAWN_STAGE_SEARCH);
    EXPECT_EQ(cannot_run("tool", "permission denied ('" + first + "/tool' may not be executed)"),
            error.text);

    copy_file(helper(), third + "/tool");
    EXPECT_EQ("exit 6", run(plan).end);
}

TEST_F(Spawn, PathsThatAreTooLongAreNoTrouble)
{
    std::string name(300, 'n');
    std::string path(2 * PATH_MAX, 'd');
    Strings environment = {"PATH=/" + path + ":/bin"};
    coil_spawn_plan plan = {};
    plan.program = "true";
    plan.env = environment;
    EXPECT_EQ("exit 0", run(plan).end);

    /* Cut off, this one would still be the name of something. */
    Strings slashes = {"PATH=/bin" + std::string(2 * PATH_MAX, '/')};
    plan.env = slashes;
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_SEARCH);

    plan.env = environment;
    plan.program = name.c_str();
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_SEARCH);
    EXPECT_NE(nullptr, strstr(error.text, "'...nnn"));
    EXPECT_NE(nullptr, strstr(error.text, "not found in PATH"));

    name = "/" + path;
    expect_failure_of(name, -ENAMETOOLONG);
    EXPECT_NE(nullptr, strstr(error.text, "ddd': file name too long"));
}

/* Standard streams. */

TEST_F(Spawn, PipesConnectAllThreeStreams)
{
    Strings arguments = {"helper", "cat"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.in = plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    coil_child child;
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    EXPECT_EQ(5, write(child.stdin_fd, "hello", 5));
    close(child.stdin_fd);
    child.stdin_fd = -1;
    EXPECT_EQ("hello", read_all(child.stdout_fd));
    EXPECT_EQ("", read_all(child.stderr_fd));
    EXPECT_EQ("exit 0", reap(&child));
}

TEST_F(Spawn, EndsOfPipesAreBlockingAndOursAreCloseOnExec)
{
    Strings arguments = {"helper", "report"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.in = plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    coil_child child;
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    for (int fd : {child.stdin_fd, child.stdout_fd, child.stderr_fd}) {
        EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
        EXPECT_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
    }
    std::string lines = read_all(child.stdout_fd);
    EXPECT_NE(std::string::npos, lines.find("nonblock.0=0"));
    EXPECT_NE(std::string::npos, lines.find("nonblock.1=0"));
    EXPECT_NE(std::string::npos, lines.find("nonblock.2=0"));
    EXPECT_EQ("exit 0", reap(&child));
}

TEST_F(Spawn, StdoutAndStderrArriveApartOrMerged)
{
    Strings arguments = {"helper", "say", "out", "err"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    Outcome outcome = run(plan);
    EXPECT_EQ("out", outcome.out);
    EXPECT_EQ("err", outcome.err);

    plan.err = {COIL_STDIO_MERGE, 0};
    outcome = run(plan);
    EXPECT_EQ("outerr", outcome.out);
    EXPECT_EQ("", outcome.err);
}

TEST_F(Spawn, NullStreamsAreEmptyAndSwallow)
{
    coil_spawn_plan plan = {};
    plan.in = plan.err = {COIL_STDIO_NULL, 0};
    Report lines = report(plan);
    EXPECT_EQ("/dev/null", lines["fd.0"]);
    EXPECT_EQ("/dev/null", lines["fd.2"]);
    EXPECT_EQ(STDIO_ONLY, fds_of(lines));

    Strings arguments = {"helper", "say", "out", "err"};
    plan = plan_for(arguments);
    plan.out = {COIL_STDIO_NULL, 0};
    plan.err = {COIL_STDIO_MERGE, 0};
    EXPECT_EQ("exit 0", run(plan).end);
}

TEST_F(Spawn, AGivenFdServesAnyStreamAndMayServeSeveral)
{
    std::string path = directory + "/log";
    int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    Strings arguments = {"helper", "say", "one ", "two"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.out = plan.err = {COIL_STDIO_FD, fd};
    EXPECT_EQ("exit 0", run(plan).end);
    EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
    EXPECT_EQ("one two", read_all(fd));
    EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD)); /* Ours is as before. */
    close(fd);
}

TEST_F(Spawn, TheParentsOwnStreamsCanBeExchanged)
{
    /* err gets the parent's 1 and out its 2: copying one after the other would lose one. */
    std::string end = in_another_process([] {
        int out[2];
        int err[2];
        if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
            return 1;
        dup2(out[1], 1);
        dup2(err[1], 2);
        close(out[1]);
        close(err[1]);
        Strings arguments = {"helper", "say", "OUT", "ERR"};
        coil_spawn_plan plan = plan_for(arguments);
        plan.out = {COIL_STDIO_FD, 2};
        plan.err = {COIL_STDIO_FD, 1};
        std::string how = run(plan).end;
        close(1);
        close(2);
        bool exchanged = read_all(out[0]) == "ERR" && read_all(err[0]) == "OUT";
        return how == "exit 0" && exchanged ? 0 : 2;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, AParentWithoutStreamsGivesNullAndNotItsPipes)
{
    std::string end = in_another_process([] {
        close(0);
        close(1);
        close(2);
        Report lines = report({}); /* Its pipe gets the numbers 0 and 1 at first. */
        bool right = lines["fd.0"] == "/dev/null" && lines["fd.2"] == "/dev/null" &&
                     lines["fd.1"].rfind("pipe:", 0) == 0 && fds_of(lines) == STDIO_ONLY;
        return right ? 0 : 1;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, ACloseOnExecStreamOfTheParentIsInheritedAllTheSame)
{
    std::string end = in_another_process([] {
        fcntl(0, F_SETFD, FD_CLOEXEC);
        fcntl(2, F_SETFD, FD_CLOEXEC);
        return fds_of(report({})) == STDIO_ONLY ? 0 : 1;
    });
    EXPECT_EQ("exit 0", end);
}

/* Further fds, and no others. */

TEST_F(Spawn, NoFdLeaksIntoTheChild)
{
    int leaky[2];
    ASSERT_EQ(0, pipe(leaky)); /* As a library would that has never heard of O_CLOEXEC. */
    int high = fcntl(leaky[0], F_DUPFD, 500);
    EXPECT_EQ(STDIO_ONLY, fds_of(report({})));
    close(leaky[0]);
    close(leaky[1]);
    close(high);
}

TEST_F(Spawn, FurtherFdsArriveUnderTheirNumbers)
{
    std::string path = directory + "/file";
    write_file(path, "x", 0600);
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const coil_spawn_fd fds[] = {{3, fd}, {17, fd}, {400, fd}};
    coil_spawn_plan plan = {};
    plan.fds = fds;
    plan.fd_count = 3;
    Report lines = report(plan);
    EXPECT_EQ(path, lines["fd.3"]);
    EXPECT_EQ(path, lines["fd.17"]);
    EXPECT_EQ(path, lines["fd.400"]);
    EXPECT_EQ(6U, fds_of(lines).size());
    close(fd);
}

TEST_F(Spawn, FdsCanSwapNumbersAndKeepTheirOwn)
{
    write_file(directory + "/a", "a", 0600);
    write_file(directory + "/b", "b", 0600);
    write_file(directory + "/c", "c", 0600);
    int a = open((directory + "/a").c_str(), O_RDONLY | O_CLOEXEC);
    int b = open((directory + "/b").c_str(), O_RDONLY | O_CLOEXEC);
    int c = open((directory + "/c").c_str(), O_RDONLY | O_CLOEXEC);
    const coil_spawn_fd fds[] = {{a, b}, {b, a}, {c, c}};
    coil_spawn_plan plan = {};
    plan.fds = fds;
    plan.fd_count = 3;
    plan.err = {COIL_STDIO_FD, a};
    Report lines = report(plan);
    EXPECT_EQ(directory + "/b", lines["fd." + std::to_string(a)]);
    EXPECT_EQ(directory + "/a", lines["fd." + std::to_string(b)]);
    EXPECT_EQ(directory + "/c", lines["fd." + std::to_string(c)]);
    EXPECT_EQ(directory + "/a", lines["fd.2"]);
    close(a);
    close(b);
    close(c);
}

TEST_F(Spawn, AnFdMayTakeTheNumberOfAPipeThatIsBeingMade)
{
    /* 3 to 40 are the child's, whatever the pipes of the spawn itself are called. */
    std::vector<coil_spawn_fd> fds;
    for (int number = 3; number <= 40; number++)
        fds.push_back({number, STDERR_FILENO});
    coil_spawn_plan plan = {};
    plan.in = {COIL_STDIO_PIPE, 0};
    plan.fds = fds.data();
    plan.fd_count = fds.size();
    Report lines = report(plan);
    EXPECT_EQ(41U, fds_of(lines).size());
    EXPECT_EQ("pipe:", lines["fd.0"].substr(0, 5));
    EXPECT_EQ("pipe:", lines["fd.1"].substr(0, 5));
    EXPECT_EQ(lines["fd.2"], lines["fd.3"]);
    EXPECT_EQ(lines["fd.2"], lines["fd.40"]);
}

TEST_F(Spawn, TheNumberOfFurtherFdsIsBounded)
{
    std::vector<coil_spawn_fd> fds;
    for (int i = 0; i < COIL_SPAWN_FDS_MAX; i++)
        fds.push_back({3 + i, STDERR_FILENO});
    coil_spawn_plan plan = {};
    plan.fds = fds.data();
    plan.fd_count = fds.size();
    EXPECT_EQ(COIL_SPAWN_FDS_MAX + 3U, fds_of(report(plan)).size());

    fds.push_back({3 + COIL_SPAWN_FDS_MAX, STDERR_FILENO});
    plan.program = "true";
    plan.fds = fds.data();
    plan.fd_count = fds.size();
    expect_failure(plan, -EINVAL, COIL_SPAWN_STAGE_STDIO);
    EXPECT_EQ(cannot_run("true", "more than 128 file descriptors for it"), error.text);
}

TEST_F(Spawn, ConcurrentSpawnsDoNotLeakToEachOther)
{
    std::atomic<bool> done(false);
    std::atomic<int> wrong(0);
    std::thread careless([&done] {
        while (!done.load()) {
            int ends[2];
            if (pipe(ends) == 0) {
                close(ends[0]);
                close(ends[1]);
            }
        }
    });
    auto spawner = [&wrong] {
        Strings arguments = {"helper", "report"};
        for (int i = 0; i < 60; i++) {
            coil_spawn_plan plan = plan_for(arguments);
            plan.in = plan.err = {COIL_STDIO_PIPE, 0};
            if (fds_of(report(plan)) != STDIO_ONLY)
                wrong++;
        }
    };
    std::thread one(spawner);
    std::thread two(spawner);
    one.join();
    two.join();
    done.store(true);
    careless.join();
    EXPECT_EQ(0, wrong.load());
}

TEST_F(Spawn, TwoHundredSpawnsLeaveNothingBehind)
{
    Strings arguments = {"helper", "exit", "0"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.in = plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    coil_spawn_plan hopeless = plan;
    hopeless.program = "/nowhere";
    for (int i = 0; i < 200; i++) {
        coil_child child;
        ASSERT_EQ("exit 0", run(plan).end);
        ASSERT_EQ(-ENOENT, coil_child_spawn(&hopeless, &child, &error));
    }
    EXPECT_EQ(open_fds, count_open_fds());
    EXPECT_FALSE(has_children());
}

TEST_F(Spawn, FiniTakesNullAndASecondCall)
{
    coil_child_fini(nullptr);
    Strings arguments = {"helper", "exit", "0"};
    coil_spawn_plan plan = plan_for(arguments);
    plan.in = plan.out = plan.err = {COIL_STDIO_PIPE, 0};
    coil_child child;
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    EXPECT_EQ("exit 0", reap(&child));
    coil_child_fini(&child);
    EXPECT_EQ(-1, child.pidfd);
    EXPECT_EQ(-1, child.stdout_fd);
}

/* Signals. */

TEST_F(Spawn, TheChildStartsWithoutBlockedAndIgnoredSignals)
{
    std::string end = in_another_process([] {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, nullptr);
        for (int number : {SIGPIPE, SIGHUP, SIGINT, SIGRTMIN, SIGRTMAX})
            signal(number, SIG_IGN);
        Report lines = report({});
        const std::string none(16, '0');
        bool clean = lines["SigBlk"] == none && lines["SigIgn"] == none;
        sigset_t after;
        sigprocmask(SIG_SETMASK, nullptr, &after);
        bool kept = sigismember(&after, SIGTERM) == 1 && sigismember(&after, SIGRTMAX) == 1;
        return clean && kept ? 0 : 1;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, TheMaskAndIgnoredSignalsCanBeInherited)
{
    std::string end = in_another_process([] {
        sigset_t some;
        sigemptyset(&some);
        sigaddset(&some, SIGTERM);
        sigprocmask(SIG_SETMASK, &some, nullptr);
        signal(SIGHUP, SIG_IGN);
        coil_spawn_plan plan = {};
        plan.inherit_signals = true;
        Report lines = report(plan);
        unsigned long blocked = strtoul(lines["SigBlk"].c_str(), nullptr, 16);
        unsigned long ignored = strtoul(lines["SigIgn"].c_str(), nullptr, 16);
        bool right = blocked == 1UL << (SIGTERM - 1) && (ignored & (1UL << (SIGHUP - 1))) != 0;
        return right ? 0 : 1;
    });
    EXPECT_EQ("exit 0", end);
}

pid_t handler_owner;
std::atomic<int> handled_here;
std::atomic<int> handled_elsewhere;

void count_signal(int)
{
    if (syscall(SYS_getpid) == handler_owner)
        handled_here++;
    else
        handled_elsewhere++;
}

TEST_F(Spawn, TheParentsHandlersNeverRunInTheChild)
{
    /* A thread fires at the whole process group, and so at each child before its exec, too. */
    const pid_t group = getpgrp();
    ASSERT_EQ(0, setpgid(0, 0));
    handler_owner = getpid();
    signal(SIGUSR1, count_signal);
    std::atomic<bool> done(false);
    std::thread gun([&done] {
        while (!done.load())
            kill(0, SIGUSR1);
    });
    Strings arguments = {"helper", "exit", "0"};
    coil_spawn_plan plan = plan_for(arguments);
    for (int i = 0; i < 300; i++)
        run(plan); /* Whether SIGUSR1 ends the child before or after its exit is chance. */
    done.store(true);
    gun.join();
    EXPECT_EQ(0, handled_elsewhere.load());
    EXPECT_LT(0, handled_here.load());
    signal(SIGUSR1, SIG_DFL);
    ASSERT_EQ(0, setpgid(0, group));
}

/* The death of the parent. */

TEST_F(Spawn, TheDeathSignalIsKillUnlessSaidOtherwise)
{
    coil_spawn_plan plan = {};
    EXPECT_EQ("9", report(plan)["death_signal"]);
    plan.death_signal = SIGTERM;
    EXPECT_EQ("15", report(plan)["death_signal"]);
    plan.death_signal = COIL_SPAWN_OUTLIVE;
    EXPECT_EQ("0", report(plan)["death_signal"]);
}

/*
 * Have a process spawn a child and be killed by SIGKILL. Returns a pidfd of that child, which is
 * then ours to reap if we are a subreaper.
 */
int orphan_by_kill(int death_signal, pid_t *out_pid)
{
    int tell[2];
    EXPECT_EQ(0, pipe2(tell, O_CLOEXEC));
    pid_t middle = fork();
    if (middle == 0) {
        Strings arguments = {"helper", "pause"};
        coil_spawn_plan plan = plan_for(arguments);
        plan.death_signal = death_signal;
        coil_child child;
        pid_t pid = coil_child_spawn(&plan, &child, nullptr) == 0 ? child.pid : -1;
        if (write(tell[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        for (;;)
            pause();
    }
    EXPECT_EQ(static_cast<ssize_t>(sizeof(*out_pid)), read(tell[0], out_pid, sizeof(*out_pid)));
    close(tell[0]);
    close(tell[1]);
    int pidfd = static_cast<int>(syscall(SYS_pidfd_open, *out_pid, 0));
    EXPECT_FALSE(ended_within(pidfd, 20));
    kill(middle, SIGKILL);
    waitpid(middle, nullptr, 0);
    return pidfd;
}

TEST_F(Spawn, AChildDiesWithItsKilledParent)
{
    ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    coil_child orphan = no_child(-1);
    orphan.pidfd = orphan_by_kill(0, &orphan.pid);
    EXPECT_EQ("signal 9", reap_soon(&orphan));

    orphan.pidfd = orphan_by_kill(SIGTERM, &orphan.pid);
    EXPECT_EQ("signal 15", reap_soon(&orphan));
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_F(Spawn, AChildOutlivesItsKilledParentIfTold)
{
    ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    coil_child orphan = no_child(-1);
    orphan.pidfd = orphan_by_kill(COIL_SPAWN_OUTLIVE, &orphan.pid);
    EXPECT_FALSE(ended_within(orphan.pidfd, 100));
    kill(orphan.pid, SIGINT);
    EXPECT_EQ("signal 2", reap(&orphan));
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_F(Spawn, AChildDiesWithTheThreadThatSpawnedIt)
{
    coil_child child;
    std::thread([&child] {
        Strings arguments = {"helper", "pause"};
        coil_spawn_plan plan = plan_for(arguments);
        EXPECT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    }).join();
    EXPECT_EQ("signal 9", reap_soon(&child));
}

/*
 * The child's side of a spawn whose parent dies between clone and prctl. Returns how it ended, as
 * seen from here, who inherits it.
 */
std::string lose_the_parent_before_prctl(int death_signal)
{
    pid_t late_pid = -1;
    int tell[2];
    EXPECT_EQ(0, pipe2(tell, O_CLOEXEC));
    pid_t middle = fork();
    if (middle == 0) {
        pid_t parent = getpid();
        pid_t late = fork();
        if (late == 0) {
            while (getppid() == parent)
                usleep(100);
            Strings arguments = {"helper", "exit", "0"};
            coil_spawn_plan plan = plan_for(arguments);
            spawn_job job = {};
            job.plan = &plan;
            job.path = plan.program;
            job.argv = plan.argv;
            job.env = environ;
            job.death_signal = death_signal;
            job.parent_pid = parent;
            coil_spawn_child_main(&job.child); /* Does not return. */
        }
        _exit(write(tell[1], &late, sizeof(late)) != sizeof(late));
    }
    EXPECT_EQ(static_cast<ssize_t>(sizeof(late_pid)), read(tell[0], &late_pid, sizeof(late_pid)));
    close(tell[0]);
    close(tell[1]);
    waitpid(middle, nullptr, 0);
    coil_child late = no_child(late_pid);
    return reap(&late);
}

TEST_F(Spawn, AChildWhoseParentDiedBeforePrctlNeverRunsItsProgram)
{
    ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    EXPECT_EQ("signal 9", lose_the_parent_before_prctl(SIGKILL));
    EXPECT_EQ("signal 9", lose_the_parent_before_prctl(SIGTERM));
    EXPECT_EQ("exit 0", lose_the_parent_before_prctl(0)); /* Told to outlive. */
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* What can go wrong. */

TEST_F(Spawn, AMissingFileIsNamed)
{
    expect_failure_of("/nowhere/tool", -ENOENT);
    EXPECT_EQ(cannot_run("/nowhere/tool", "no such file or directory"), error.text);
    expect_failure_of("/dev/null/tool", -ENOTDIR);
    EXPECT_EQ(cannot_run("/dev/null/tool", "not a directory"), error.text);

    coil_spawn_plan plan = {};
    plan.program = "";
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_SEARCH);
}

TEST_F(Spawn, AMissingInterpreterIsNamed)
{
    std::string script = directory + "/job";
    write_file(script, "#! /bin/foo -x\n", 0755);
    expect_failure_of(script, -ENOENT);
    EXPECT_EQ(cannot_run(script, "its interpreter '/bin/foo' does not exist"), error.text);

    write_file(script, "#!/bin/sh\r\nexit 0\r\n", 0755);
    expect_failure_of(script, -ENOENT);
    EXPECT_EQ(cannot_run(script,
                      "its interpreter '/bin/sh?' does not exist (its first line ends in CR LF)"),
            error.text);
}

TEST_F(Spawn, AMissingInterpreterIsFoundRelativeToTheChildsDirectory)
{
    write_file(directory + "/job", "#!/bin/foo\n", 0755);
    coil_spawn_plan plan = {};
    plan.program = "./job";
    plan.cwd = directory.c_str();
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_EXEC);
    EXPECT_EQ(cannot_run("./job", "its interpreter '/bin/foo' does not exist"), error.text);
}

TEST_F(Spawn, AMissingLoaderIsNamed)
{
    /* The system's own, dynamic, /bin/true with the name of its loader damaged. */
    copy_file("/bin/true", directory + "/true");
    int fd = open((directory + "/true").c_str(), O_RDWR | O_CLOEXEC);
    std::string bytes = read_all(fd);
    size_t place = bytes.find("/lib64/ld-linux");
    if (place == std::string::npos) {
        close(fd);
        GTEST_SKIP() << "/bin/true is not what it is on x86-64";
    }
    EXPECT_EQ(6, pwrite(fd, "/nowhr", 6, static_cast<off_t>(place)));
    close(fd);
    expect_failure_of(directory + "/true", -ENOENT);
    EXPECT_NE(nullptr, strstr(error.text, "its loader '/nowhr/ld-linux"));
}

TEST_F(Spawn, WhatMayNotBeExecutedIsToldApart)
{
    expect_failure_of(directory, -EACCES);
    EXPECT_EQ(cannot_run(directory, "is a directory"), error.text);
    expect_failure_of("/dev/null", -EACCES);
    EXPECT_EQ(cannot_run("/dev/null", "is not a regular file"), error.text);

    std::string file = directory + "/file";
    write_file(file, "#!/bin/sh\n", 0644);
    expect_failure_of(file, -EACCES);
    EXPECT_EQ(cannot_run(file, "permission denied (not executable: its mode is 0644)"), error.text);

    std::string script = directory + "/script";
    write_file(script, "#!" + file + "\n", 0755);
    expect_failure_of(script, -EACCES);
    EXPECT_EQ(cannot_run(script, "its interpreter '" + file + "' may not be executed"), error.text);
}

TEST_F(Spawn, NoExecMountsAndDirectoriesWithoutEntryAreNamed)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "needs root";
    copy_file(helper(), directory + "/helper");
    ASSERT_EQ(0, chmod(directory.c_str(), 0700));
    coil_spawn_identity nobody = {NOBODY, NOBODY, nullptr, 0};
    std::string program = directory + "/helper";
    coil_spawn_plan plan = {};
    plan.program = program.c_str();
    plan.run_as = &nobody;
    expect_failure(plan, -EACCES, COIL_SPAWN_STAGE_EXEC);
    EXPECT_EQ(cannot_run(program, "permission denied (for uid 65534, gid 65534)"), error.text);

    /* /proc is mounted noexec almost everywhere, but has nothing executable; so only where we may.
     */
    std::string end = in_another_process([&program, this] {
        if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
            return 1;
        expect_failure_of(program, -EACCES);
        bool right = strstr(error.text, "a directory on the way may not be entered") != nullptr;
        return right && !HasFailure() ? 0 : 2;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, ABusyFileIsToldFromABadOne)
{
    std::string program = directory + "/busy";
    copy_file(helper(), program);
    int fd = open(program.c_str(), O_WRONLY | O_CLOEXEC);
    expect_failure_of(program, -ETXTBSY);
    EXPECT_EQ(cannot_run(program, "text file busy (somebody has it open for writing)"), error.text);
    close(fd);

    write_file(program, "no magic here", 0755);
    expect_failure_of(program, -ENOEXEC);
    EXPECT_EQ(cannot_run(program,
                      "exec format error (neither a program for this machine nor a #! script)"),
            error.text);
}

TEST_F(Spawn, TooManyArgumentsAreCounted)
{
    Strings long_argument = {"helper", std::string(200000, 'x')};
    coil_spawn_plan plan = plan_for(long_argument);
    expect_failure(plan, -E2BIG, COIL_SPAWN_STAGE_EXEC);
    EXPECT_NE(nullptr, strstr(error.text, "a single string of 200001 bytes, at most 131072"));

    std::string kilobytes(99999, 'x');
    std::vector<const char *> many(100, kilobytes.c_str());
    many.push_back(nullptr);
    Strings nothing = {};
    plan.argv = many.data();
    plan.env = nothing;
    expect_failure(plan, -E2BIG, COIL_SPAWN_STAGE_EXEC);
    EXPECT_NE(nullptr, strstr(error.text, "(10000000 bytes of arguments and environment)"));
}

TEST_F(Spawn, AMissingDirectoryIsNamed)
{
    coil_spawn_plan plan = {};
    plan.program = "true";
    plan.cwd = "/nowhere";
    plan.out = {COIL_STDIO_PIPE, 0};
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_CHDIR);
    EXPECT_EQ(
            cannot_run("true", "its directory '/nowhere': no such file or directory"), error.text);
}

TEST_F(Spawn, AnFdThatIsNotOpenIsNamed)
{
    coil_spawn_plan plan = {};
    plan.program = "true";
    plan.err = {COIL_STDIO_FD, 9999};
    expect_failure(plan, -EBADF, COIL_SPAWN_STAGE_STDIO);
    EXPECT_EQ(cannot_run("true", "its stderr: bad file descriptor"), error.text);

    const coil_spawn_fd fds[] = {{11, STDERR_FILENO}, {12, 9999}};
    plan.err = {COIL_STDIO_INHERIT, 0};
    plan.fds = fds;
    plan.fd_count = 2;
    expect_failure(plan, -EBADF, COIL_SPAWN_STAGE_STDIO);
    EXPECT_EQ(cannot_run("true", "its file descriptor 12: bad file descriptor"), error.text);
}

TEST_F(Spawn, ABadLimitOrDeathSignalIsRefused)
{
    const coil_spawn_limit limits[] = {{9999, {1, 1}}};
    coil_spawn_plan plan = {};
    plan.program = "true";
    plan.limits = limits;
    plan.limit_count = 1;
    expect_failure(plan, -EINVAL, COIL_SPAWN_STAGE_LIMITS);
    EXPECT_EQ(cannot_run("true", "its resource limit 9999: invalid argument"), error.text);

    plan.limit_count = 0;
    plan.death_signal = 9999;
    expect_failure(plan, -EINVAL, COIL_SPAWN_STAGE_DEATH_SIGNAL);
    EXPECT_EQ(cannot_run("true", "death signal: invalid argument"), error.text);
}

TEST_F(Spawn, AnIdentityThatMayNotBeTakenIsRefused)
{
    std::string end = in_another_process([this] {
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
            return 1;
        coil_spawn_identity root = {0, 0, nullptr, 0};
        coil_spawn_plan plan = {};
        plan.program = "true";
        plan.run_as = &root;
        expect_failure(plan, -EPERM, COIL_SPAWN_STAGE_IDENTITY);
        return HasFailure() ? 2 : 0;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, WithoutFreeFdsTheSpawnFailsAndLeaksNone)
{
    std::string end = in_another_process([this] {
        coil_spawn_plan plan = {};
        plan.program = "true";
        plan.in = plan.out = plan.err = {COIL_STDIO_PIPE, 0};
        int lowest = dup(0);
        close(lowest);
        /* From no free fd to one too few: three pipes, and the pidfd. */
        for (int free_fds = 0; free_fds < 7; free_fds++) {
            rlimit limit = {static_cast<rlim_t>(lowest + free_fds), 4096};
            if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1;
            expect_failure(
                    plan, -EMFILE, free_fds < 6 ? COIL_SPAWN_STAGE_PIPE : COIL_SPAWN_STAGE_CLONE);
            int next = dup(0);
            close(next);
            if (free_fds > 0 && next != lowest)
                return 2;
        }
        return HasFailure() ? 3 : 0;
    });
    EXPECT_EQ("exit 0", end);
}

TEST_F(Spawn, AtTheLimitOfProcessesTheCloneFails)
{
    std::string end = in_another_process([this] {
        rlimit limit = {0, 0};
        if (setrlimit(RLIMIT_NPROC, &limit) < 0)
            return 1;
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
            return 2;
        coil_spawn_plan plan = {};
        plan.program = "true";
        expect_failure(plan, -EAGAIN, COIL_SPAWN_STAGE_CLONE);
        return HasFailure() ? 3 : 0;
    });
    EXPECT_EQ("exit 0", end);
    EXPECT_STREQ("clone", coil_spawn_stage_name(COIL_SPAWN_STAGE_CLONE));
}

TEST_F(Spawn, TextsAreSafeForATerminalAndFit)
{
    coil_spawn_plan plan = {};
    plan.program = "/nowhere/\x1b[2J\n";
    expect_failure(plan, -ENOENT, COIL_SPAWN_STAGE_EXEC);
    EXPECT_EQ(cannot_run("/nowhere/?[2J?", "no such file or directory"), error.text);

    std::string script = directory + "/job";
    std::string interpreter = "/" + std::string(250, 'i');
    write_file(script, "#!" + interpreter + "\n", 0755);
    expect_failure_of(script, -ENOENT);
    EXPECT_NE(nullptr, strstr(error.text, "iii' does not exist"));
}

TEST_F(Spawn, DamagedElfFilesAreExplainedWithoutHarm)
{
    int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
    std::string whole = read_all(fd);
    close(fd);
    std::string program = directory + "/damaged";
    unsigned random = 1;
    for (int i = 0; i < 150; i++) {
        std::string bytes = whole.substr(0, 4 + (i % 50) * 40U);
        for (int change = 0; change < 8; change++) {
            random = random * 1664525 + 1013904223;
            bytes[4 + (random >> 8) % (bytes.size() - 3) % 600 % bytes.size()] =
                    static_cast<char>(random >> 24);
        }
        write_file(program, bytes, 0755);
        spawn_report failed = {COIL_SPAWN_STAGE_EXEC, -ENOENT, 0};
        coil_spawn_plan plan = {};
        plan.program = program.c_str();
        coil_spawn_explain(&plan, program.c_str(), &failed, &error);
        EXPECT_EQ(0, strncmp("cannot run '", error.text, 12));
        EXPECT_LT(strlen(error.text), sizeof(error.text) - 1);
    }
}

TEST(SpawnDeathTest, ContradictoryPlansAreProgrammingErrors)
{
    coil_child child;
    coil_spawn_plan plan = {};
    EXPECT_DEATH(EXPECT_EQ(0, coil_child_spawn(&plan, &child, nullptr)), "program");
    plan.program = "true";
    plan.out.mode = COIL_STDIO_MERGE;
    EXPECT_DEATH(EXPECT_EQ(0, coil_child_spawn(&plan, &child, nullptr)), "MERGE");
    plan.out.mode = COIL_STDIO_INHERIT;
    const coil_spawn_fd twice[] = {{5, 2}, {5, 1}};
    plan.fds = twice;
    plan.fd_count = 2;
    EXPECT_DEATH(EXPECT_EQ(0, coil_child_spawn(&plan, &child, nullptr)), "child_fd");
}

} // namespace
