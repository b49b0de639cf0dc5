/* SPDX-License-Identifier: MIT */
/* coil/supervisor.h: a supervisor is killed, and the next one takes over what it has left. */
#include "adoption_stage.h"

#include <map>
#include <set>

#include <coil/sugar.h>

namespace
{

const int SERVICES = 20;

struct Event {
    std::string what;
    int number = 0;
    pid_t pid = 0;
    int status = 0;
};

class Outliving : public Adoption
{
protected:
    Outliving()
    {
        alarm(120);
        random = {static_cast<uint64_t>(getpid()) * 0x9e3779b97f4a7c15u | 1};
    }

    ~Outliving() override
    {
        alarm(0);
        if (supervisor > 0 && waitpid(supervisor, nullptr, WNOHANG) == 0) /* A test has failed. */
            kill(supervisor, SIGTERM);
    }

    /* A supervisor, and what it tells from now on. */
    void supervise(const char *mode = "outlive")
    {
        seen = all_events().size();
        supervisor = run_program(OUTLIVING_HELPER, mode, SERVICES);
    }

    std::vector<Event> all_events() const
    {
        std::ifstream file(directory + "/events");
        std::vector<Event> events;
        Event event;
        while (file >> event.what >> event.number >> event.pid >> event.status)
            events.push_back(event);
        return events;
    }

    /* The latest pid of each service of which that was told since supervise(). */
    std::map<int, Event> told(const std::string &what) const
    {
        const std::vector<Event> events = all_events();
        std::map<int, Event> found;
        for (size_t i = seen; i < events.size(); i++) {
            if (events[i].what == what)
                found[events[i].number] = events[i];
        }
        return found;
    }

    template <class Condition> static bool eventually(Condition condition)
    {
        for (int i = 0; i < 10000; i++) {
            if (condition())
                return true;
            usleep(1000);
        }
        return false;
    }

    bool all_up() const
    {
        return all("up");
    }

    bool all(const std::string &what) const
    {
        return eventually([&] { return told(what).size() == SERVICES; });
    }

    std::map<int, pid_t> pids() const
    {
        std::map<int, pid_t> found;
        for (const auto &each : told("up"))
            found[each.first] = each.second.pid;
        return found;
    }

    void kill_supervisor()
    {
        kill(supervisor, SIGKILL);
        EXPECT_TRUE(WIFSIGNALED(reap_until(supervisor)));
    }

    void stop_supervisor()
    {
        kill(supervisor, SIGTERM);
        EXPECT_EQ(0, reap_until(supervisor));
        int status = 0;
        while (waitpid(-1, &status, 0) > 0)
            continue; /* The keeper ends; nobody else is there, or this would hang. */
    }

    /* Lives one after another: each a start, numbers without a gap, and an end as it may be. */
    static std::string fault_of(const std::string &said)
    {
        std::istringstream lines(said);
        std::string line;
        bool is_open = false;
        long expected = 0;
        while (std::getline(lines, line)) {
            if (line.compare(0, 6, "start ") == 0) {
                is_open = true;
                expected = 0;
            } else if (is_open && line == std::to_string(expected)) {
                expected++;
            } else if (is_open && line == "bye " + std::to_string(expected)) {
                is_open = false;
            } else if (is_open && line.find(" [no newline]") != std::string::npos) {
                is_open = false;
            } else {
                return "after " + std::to_string(expected - 1) + " there is '" + line + "'";
            }
        }
        return "";
    }

    /* All of these have ended as they should, and everything that they said is there. */
    void expect_ends_of(const std::map<int, pid_t> &before) const
    {
        const auto ends = told("died");
        for (int i = 0; i < SERVICES; i++) {
            EXPECT_EQ(before.at(i), ends.at(i).pid);
            EXPECT_EQ(1 + i % 100, ends.at(i).status);
            EXPECT_EQ("", fault_of(said(i))) << i;
        }
    }

    /* Those that are up as soon as they run may not know yet what to do at a SIGTERM. */
    static int signal_for(int number)
    {
        return number % 3 == 0 || number % 2 == 0 ? SIGKILL : SIGTERM;
    }

    pid_t supervisor = 0;
    size_t seen = 0;
    Random random = {1};
};

TEST_F(Outliving, AllServicesAreTakenOverAndNoneRunsTwice)
{
    supervise();
    ASSERT_TRUE(all_up());
    std::map<int, pid_t> before = pids();
    for (int round = 0; round < 5; round++) {
        kill_supervisor();
        supervise();
        ASSERT_TRUE(all_up());
        EXPECT_TRUE(all("adopted"));
        EXPECT_TRUE(told("started").empty());
        EXPECT_EQ(before, pids());
    }
    stop_supervisor();
    expect_ends_of(before);
}

TEST_F(Outliving, WhoEndsMeanwhileIsReportedWithItsTrueStatusAndReplaced)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "the kernel does not remember exit statuses (Linux 6.15)";
    supervise();
    ASSERT_TRUE(all_up());
    std::map<int, pid_t> before = pids();
    for (int round = 0; round < 5; round++) {
        kill_supervisor();
        std::set<int> victims;
        for (int i = 0; i < SERVICES / 2; i++)
            victims.insert(static_cast<int>(random.below(SERVICES)));
        for (int i : victims) {
            kill(before[i], signal_for(i));
            reap_until(before[i]);
        }
        supervise();
        ASSERT_TRUE(eventually([&] { return told("started").size() >= victims.size(); }));
        ASSERT_TRUE(all_up());
        ASSERT_TRUE(eventually([&] {
            const auto now = pids();
            return std::all_of(victims.begin(), victims.end(),
                    [&](int i) { return now.at(i) == told("started").at(i).pid; });
        }));
        ASSERT_TRUE(all("adopted"));
        for (int i = 0; i < SERVICES; i++) {
            const bool is_victim = victims.count(i) != 0;
            EXPECT_EQ(before[i], told("adopted").at(i).pid);
            EXPECT_EQ(is_victim, told("died").count(i) != 0) << i;
            EXPECT_EQ(!is_victim, pids().at(i) == before[i]) << i;
            if (is_victim) {
                EXPECT_EQ(before[i], told("died").at(i).pid);
                EXPECT_EQ(signal_for(i) == SIGTERM ? 1 + i % 100 : 2000 + SIGKILL,
                        told("died").at(i).status);
            }
        }
        before = pids();
    }
    stop_supervisor();
    for (int i = 0; i < SERVICES; i++)
        EXPECT_EQ("", fault_of(said(i))) << i;
}

TEST_F(Outliving, WhenASupervisorIsKilledMakesNoDifference)
{
    for (int round = 0; round < 20; round++) {
        supervise();
        usleep(static_cast<useconds_t>(random.below(round % 4 == 0 ? 100000 : 20000)));
        kill_supervisor();
    }
    supervise();
    ASSERT_TRUE(all_up());
    stop_supervisor();
    std::map<int, int> starts;
    for (int i = 0; i < SERVICES; i++) {
        const std::string text = said(i);
        EXPECT_EQ("", fault_of(text)) << i;
        EXPECT_EQ(0u, text.find("start "));
        EXPECT_EQ(std::string::npos, text.find("start ", 1)) << "service " << i << " ran twice";
    }
}

/* coil_supervisor_leave() and exec: the same process, another image. */
TEST_F(Outliving, AnUpgradeRestartsNobodyAndLosesNothing)
{
    supervise();
    ASSERT_TRUE(all_up());
    std::map<int, pid_t> before = pids();
    for (int round = 0; round < 10; round++) {
        seen = all_events().size();
        kill(supervisor, SIGHUP);
        ASSERT_TRUE(all("adopted"));
        ASSERT_TRUE(all_up());
        EXPECT_TRUE(told("started").empty());
        EXPECT_TRUE(told("died").empty());
        EXPECT_EQ(before, pids());
    }
    stop_supervisor();
    expect_ends_of(before);
}

/* However close to each other: each death is reported once, by the old image or by the new one. */
TEST_F(Outliving, WhoDiesInAnUpgradeIsReportedOnce)
{
    if (!kernel_remembers())
        GTEST_SKIP() << "the kernel does not remember exit statuses (Linux 6.15)";
    supervise();
    ASSERT_TRUE(all_up());
    for (int round = 0; round < 10; round++) {
        const std::map<int, pid_t> before = pids();
        const size_t first = seen = all_events().size();
        for (int i = 0; i < SERVICES; i++) {
            if (i == SERVICES / 2)
                kill(supervisor, SIGHUP);
            usleep(static_cast<useconds_t>(random.below(300)));
            kill(before.at(i), SIGKILL);
        }
        ASSERT_TRUE(eventually([&] {
            const auto now = pids();
            return now.size() == SERVICES &&
                   std::all_of(now.begin(), now.end(),
                           [&](const auto &each) { return each.second != before.at(each.first); });
        }));
        std::map<pid_t, int> reports;
        const auto events = all_events();
        for (size_t i = first; i < events.size(); i++) {
            if (events[i].what == "died") {
                EXPECT_EQ(2000 + SIGKILL, events[i].status);
                reports[events[i].pid]++;
            }
        }
        for (const auto &each : before)
            EXPECT_EQ(1, reports[each.second]) << each.first;
        EXPECT_EQ(before.size(), reports.size());
    }
    stop_supervisor();
    for (int i = 0; i < SERVICES; i++)
        EXPECT_EQ("", fault_of(said(i))) << i;
}

TEST_F(Outliving, NoInstanceHasTheNumberOfAnother)
{
    supervise();
    ASSERT_TRUE(all_up());
    std::vector<int> numbers;
    for (int round = 0; round < 5; round++) {
        /* It is down, and nobody but the keeper knows that it has ever been up. */
        seen = all_events().size();
        kill(supervisor, SIGINT);
        ASSERT_TRUE(eventually([&] { return told("instance").count(0) != 0; }));
        numbers.push_back(told("instance").at(0).status);
        usleep(20000); /* It is forgotten. */
        kill_supervisor();
        supervise();
        ASSERT_TRUE(all_up());
    }
    EXPECT_EQ((std::vector<int>{1, 2, 3, 4, 5}), numbers);
    stop_supervisor();
}

TEST_F(Outliving, TheWatchdogOfWhoWasTakenOverIsStillFed)
{
    supervise();
    ASSERT_TRUE(all_up());
    const auto before = pids();
    kill_supervisor();
    supervise();
    ASSERT_TRUE(all_up());
    usleep(2500000); /* Three misses, and a little. */
    EXPECT_TRUE(told("died").empty());
    EXPECT_EQ(before, pids());
    stop_supervisor();
}

/* The child of that name. (While children come and go, the kernel may leave out one: proc(5).) */
pid_t keeper_of(pid_t supervisor)
{
    const std::string own = std::to_string(supervisor);
    std::ifstream children("/proc/" + own + "/task/" + own + "/children");
    for (pid_t pid; children >> pid;) {
        std::ifstream line("/proc/" + std::to_string(pid) + "/cmdline");
        std::string name;
        if (std::getline(line, name, '\0') && name == "coil-keeper")
            return pid;
    }
    return 0;
}

TEST_F(Outliving, WithoutAKeeperTheStateFileTellsWhoRuns)
{
    supervise("quiet");
    ASSERT_TRUE(all_up());
    const auto before = pids();
    ASSERT_TRUE(eventually([&] { /* It is written a moment later. */
        std::ifstream state(directory + "/state");
        std::string line;
        int count = 0;
        while (std::getline(state, line))
            count += line.find(" s") != std::string::npos;
        return count == SERVICES;
    }));
    pid_t keeper = 0;
    ASSERT_TRUE(eventually([&] { return (keeper = keeper_of(supervisor)) > 0; }));
    kill_supervisor();
    kill(keeper, SIGKILL);
    reap_until(keeper);
    supervise("quiet");
    ASSERT_TRUE(all_up());
    EXPECT_TRUE(all("adopted"));
    EXPECT_TRUE(told("started").empty());
    EXPECT_EQ(before, pids());
    stop_supervisor();
}

/* It does not feed its watchdog; SIGTERM reaches it all the same, as SIGCONT comes with it. */
TEST_F(Outliving, AServiceThatIsFrozenIsReplaced)
{
    const int victim = 2;
    supervise();
    ASSERT_TRUE(all_up());
    const auto before = pids();
    kill(before.at(victim), SIGSTOP);
    ASSERT_TRUE(eventually([&] {
        return told("died").count(victim) != 0 && pids().at(victim) != before.at(victim);
    }));
    EXPECT_EQ(1 + victim, told("died").at(victim).status);
    EXPECT_EQ(1u, told("died").size());
    stop_supervisor();
    EXPECT_EQ("", fault_of(said(victim)));
}

/* Who was away himself for longer than the watchdogs allow does not judge others. */
TEST_F(Outliving, ASupervisorThatIsFrozenBlamesNobody)
{
    supervise();
    ASSERT_TRUE(all_up());
    const auto before = pids();
    for (int round = 0; round < 3; round++) {
        kill(supervisor, SIGSTOP);
        usleep(900000); /* More than one of them. */
        kill(supervisor, SIGCONT);
        usleep(100000);
    }
    EXPECT_TRUE(told("died").empty());
    EXPECT_EQ(before, pids());
    stop_supervisor();
    for (int i = 0; i < SERVICES; i++)
        EXPECT_EQ("", fault_of(said(i))) << i;
}

/* A process and two pipes each; a journal and a socket; and what the keeper has for itself. */
const size_t KEPT = 3 * SERVICES + 3 + 1 + 5;

size_t descriptors_of(pid_t pid)
{
    size_t count = 0;
    DIR *entries = opendir(("/proc/" + std::to_string(pid) + "/fd").c_str());
    while (const dirent *entry = entries == nullptr ? nullptr : readdir(entries))
        count += entry->d_name[0] != '.';
    if (entries != nullptr)
        closedir(entries);
    return count;
}

/* Another one is told everything, so services outlive the next supervisor, too, with all lines. */
TEST_F(Outliving, AKeeperThatIsKilledIsReplaced)
{
    supervise();
    ASSERT_TRUE(all_up());
    const auto before = pids();
    pid_t keeper = 0;
    ASSERT_TRUE(eventually([&] { return (keeper = keeper_of(supervisor)) > 0; }));
    for (int round = 0; round < 5; round++) {
        kill(keeper, SIGKILL);
        if (round > 0) /* Its supervisor was killed before it. */
            reap_until(keeper);
        pid_t next = 0;
        ASSERT_TRUE(eventually([&] {
            next = keeper_of(supervisor);
            return next > 0 && next != keeper;
        }));
        keeper = next;
        ASSERT_TRUE(eventually([&] { return descriptors_of(keeper) == KEPT; }));
        kill_supervisor();
        supervise();
        ASSERT_TRUE(all_up());
        EXPECT_TRUE(all("adopted"));
        EXPECT_TRUE(told("started").empty());
        EXPECT_EQ(before, pids());
    }
    stop_supervisor();
    for (int i = 0; i < SERVICES; i++)
        EXPECT_EQ("", fault_of(said(i))) << i;
}

/* Its parent has become another program, which is still its parent. */
TEST_F(Outliving, AKeeperFromBeforeAnUpgradeIsReaped)
{
    supervise();
    ASSERT_TRUE(all_up());
    pid_t keeper = 0;
    ASSERT_TRUE(eventually([&] { return (keeper = keeper_of(supervisor)) > 0; }));
    seen = all_events().size();
    kill(supervisor, SIGHUP);
    ASSERT_TRUE(all("adopted"));
    ASSERT_TRUE(all_up());
    ASSERT_TRUE(eventually([&] { return keeper_of(supervisor) == keeper; }));
    kill(keeper, SIGKILL);
    ASSERT_TRUE(eventually(
            [&] { return keeper_of(supervisor) > 0 && keeper_of(supervisor) != keeper; }));
    EXPECT_TRUE(eventually([&] { return kill(keeper, 0) < 0; })) << "a zombie";
    stop_supervisor();
}

TEST_F(Outliving, ServicesThatDieWithTheirKeeperComeBack)
{
    supervise();
    ASSERT_TRUE(all_up());
    for (int round = 0; round < 10; round++) {
        const auto before = pids();
        pid_t keeper = 0;
        ASSERT_TRUE(eventually([&] { return (keeper = keeper_of(supervisor)) > 0; }));
        seen = all_events().size();
        kill(keeper, SIGKILL);
        for (const auto &each : before)
            kill(each.second, SIGKILL);
        ASSERT_TRUE(all_up());
        EXPECT_TRUE(all("died"));
        EXPECT_TRUE(told("failed").empty());
    }
    stop_supervisor();
    for (int i = 0; i < SERVICES; i++)
        EXPECT_EQ("", fault_of(said(i))) << i;
}

/* EAGAIN from clone: nobody is given up, and all come when there is room. */
TEST_F(Outliving, WithoutRoomForProcessesServicesWait)
{
    const uid_t nobody = 65534;
    if (geteuid() != 0)
        GTEST_SKIP() << "only root can be somebody else";
    ASSERT_EQ(0, chown(directory.c_str(), nobody, nobody));
    const std::string number = std::to_string(SERVICES);
    supervisor = fork();
    if (supervisor == 0) {
        if (setresgid(nobody, nobody, nobody) == 0 && setresuid(nobody, nobody, nobody) == 0)
            execl(OUTLIVING_HELPER, OUTLIVING_HELPER, "die", directory.c_str(), number.c_str(),
                    nullptr);
        _exit(127);
    }
    ASSERT_TRUE(all_up());
    kill(supervisor, SIGUSR1);
    ASSERT_TRUE(eventually([&] { return told("poor").size() == 1; }));
    for (const auto &each : pids())
        kill(each.second, SIGKILL);
    EXPECT_TRUE(eventually([&] { return told("scarce").size() == SERVICES; }));
    EXPECT_EQ(-EAGAIN, told("scarce").at(0).status);
    EXPECT_EQ(SERVICES, static_cast<int>(told("started").size()));
    seen = all_events().size();
    kill(supervisor, SIGUSR2);
    EXPECT_TRUE(all_up());
    EXPECT_TRUE(told("failed").empty());
    stop_supervisor();
}

TEST_F(Outliving, WithTheOtherPolicyNobodyIsLeft)
{
    supervise("die");
    ASSERT_TRUE(all_up());
    const auto before = pids();
    kill_supervisor();
    for (const auto &each : before) {
        EXPECT_TRUE(WIFSIGNALED(reap_until(each.second)) || is_gone(each.second));
        EXPECT_TRUE(is_gone(each.second));
    }
    supervise("die");
    ASSERT_TRUE(all_up());
    EXPECT_TRUE(told("adopted").empty());
    stop_supervisor();
}

} // namespace
