/* SPDX-License-Identifier: MIT */
/* coil/adoption.h, keeper.h, log_journal.h: supervisors that are killed, over and over. */
#include "adoption_stage.h"

#include <algorithm>
#include <fstream>
#include <map>

#include <coil/supervisor.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include <coil/sugar.h>

namespace
{

/* ------------------------------------------------------------------------ the state file -- */

std::string reason_of(const std::string &text)
{
    coil_child_records records = {};
    char reason[COIL_ADOPTION_TEXT_BYTES] = "";
    int rc = coil_child_records_parse(text.data(), text.size(), &records, reason);
    free(records.records);
    return rc == 0 ? "" : reason;
}

std::string formatted(const std::vector<coil_child_record> &all)
{
    std::vector<coil_child_record> copy = all;
    const coil_child_records records = {copy.data(), copy.size()};
    char *bytes = nullptr;
    size_t size_bytes = 0;
    EXPECT_EQ(0, coil_child_records_format(&records, &bytes, &size_bytes));
    std::string text(bytes, size_bytes);
    free(bytes);
    return text;
}

coil_child_record record(const char *name, pid_t pid, uint64_t identity)
{
    coil_child_record made = {};
    snprintf(made.name, sizeof(made.name), "%s", name);
    made.pid = pid;
    made.identity = identity;
    return made;
}

TEST(StateFile, SaysWhatWasWritten)
{
    const std::string text =
            formatted({record("db/1", 17, UINT64_MAX), record("web/1", 4711, 88231)});
    EXPECT_EQ(
            0u, text.find("coil-children 1\n17 18446744073709551615 db/1\n4711 88231 web/1\nend "));
    coil_child_records records = {};
    ASSERT_EQ(0, coil_child_records_parse(text.data(), text.size(), &records, nullptr));
    ASSERT_EQ(2u, records.count);
    EXPECT_STREQ("web/1", records.records[1].name);
    EXPECT_EQ(4711, records.records[1].pid);
    EXPECT_EQ(88231u, records.records[1].identity);
    free(records.records);
    EXPECT_EQ("", reason_of(formatted({})));
}

TEST(StateFile, IsRefusedIfAnyByteOfItIsWrong)
{
    const std::string text = formatted({record("db/1", 17, 5), record("web/1", 4711, 88231)});
    for (size_t i = 0; i < text.size(); i++) {
        for (int change : {1, 0x20, 0x80}) {
            std::string damaged = text;
            damaged[i] = static_cast<char>(damaged[i] ^ change);
            EXPECT_NE("", reason_of(damaged)) << i;
        }
        EXPECT_NE("", reason_of(text.substr(0, i)));
    }
    EXPECT_NE("", reason_of(text + "\n"));
}

/* With a right checksum, as somebody who means harm would make it. */
std::string sealed(const std::string &body)
{
    uint32_t sum = ~0U;
    for (char byte : body) {
        sum ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (0xedb88320U & -(sum & 1));
    }
    char end[32];
    snprintf(end, sizeof(end), "end %08x\n", ~sum);
    return body + end;
}

TEST(StateFile, IsRefusedWithAReasonThatNamesTheLine)
{
    const std::string head = "coil-children 1\n";
    EXPECT_EQ("line 1: this is no state file", reason_of("elf"));
    EXPECT_EQ("line 1: another version", reason_of(sealed("coil-children 2\n")));
    EXPECT_EQ("line 2: no pid", reason_of(sealed(head + "0 1 a\n")));
    EXPECT_EQ("line 2: no pid", reason_of(sealed(head + "-1 1 a\n")));
    EXPECT_EQ("line 2: no pid", reason_of(sealed(head + "99999999 1 a\n")));
    EXPECT_EQ("line 3: no pid", reason_of(sealed(head + "1 1 a\n007 1 b\n")));
    EXPECT_EQ("line 2: no identity", reason_of(sealed(head + "1 18446744073709551616 a\n")));
    EXPECT_EQ("line 2: no name", reason_of(sealed(head + "1 1 \n")));
    EXPECT_EQ("line 2: no name", reason_of(sealed(head + "1 1 a b\n")));
    EXPECT_EQ("line 2: no name", reason_of(sealed(head + "1 1 " + std::string(60, 'a') + "\n")));
    EXPECT_EQ("line 2: no name", reason_of(sealed(head + "1 1 a")));
    EXPECT_EQ("line 4: a name is there twice", reason_of(sealed(head + "1 1 a\n2 2 a\n")));
}

/* ------------------------------------------------------------------------------ the keeper -- */

coil_kept thing(const char *key, std::vector<int> fds)
{
    coil_kept made = {};
    snprintf(made.key, sizeof(made.key), "%s", key);
    made.fd_count = static_cast<unsigned>(fds.size());
    std::copy(fds.begin(), fds.end(), made.fds);
    return made;
}

class Keeper : public Adoption
{
protected:
    Keeper()
    {
        options.path = socket_path.c_str();
        options.patience = coil_s(20);
    }

    coil_keeper *open_keeper()
    {
        coil_keeper *keeper = nullptr;
        EXPECT_EQ(0, RUN(coil_keeper_open(&options, &keeper)));
        return keeper;
    }

    std::map<std::string, coil_kept> list(coil_keeper *keeper)
    {
        std::map<std::string, coil_kept> found;
        EXPECT_EQ(0, RUN(coil_keeper_list(keeper)));
        coil_kept next = {};
        while (RUN(coil_keeper_next(keeper, &next)) == 1)
            found[next.key] = next;
        return found;
    }

    static pid_t only_child()
    {
        std::ifstream children("/proc/self/task/" + std::to_string(getpid()) + "/children");
        pid_t pid = 0;
        children >> pid;
        return pid;
    }

    coil_keeper_options options = {};
};

TEST_F(Keeper, GivesTheNextSupervisorWhatTheLastOneHasLeft)
{
    Ends ends = make_pipe();
    coil_keeper *first = open_keeper();
    coil_kept kept = thing("pipe", {ends.out, ends.in});
    snprintf(kept.note, sizeof(kept.note), "what it is");
    EXPECT_EQ(0, RUN(coil_keeper_put(first, &kept)));
    RUN(coil_keeper_close(first, COIL_KEEPER_STAYS));
    ends.out.reset();
    put(ends.in, "still here");
    ends.in.reset();

    coil_keeper *second = open_keeper();
    auto found = list(second);
    ASSERT_EQ(1u, found.size());
    EXPECT_STREQ("what it is", found["pipe"].note);
    ASSERT_EQ(2u, found["pipe"].fd_count);
    EXPECT_EQ("still here", take(Fd(found["pipe"].fds[0])));
    close(found["pipe"].fds[1]);
    RUN(coil_keeper_close(second, COIL_KEEPER_ENDS));
    int status = 0;
    waitpid(-1, &status, 0);
    EXPECT_EQ(0, status);
}

TEST_F(Keeper, HasManyThingsAndForgetsThemOneByOne)
{
    coil_keeper *keeper = open_keeper();
    Ends ends = make_pipe();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            coil_kept kept = thing(std::to_string(i).c_str(), {ends.out});
            EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
        }
    }
    for (int i = 0; i < 100; i += 2) {
        const std::string key = std::to_string(i);
        EXPECT_EQ(0, RUN(coil_keeper_remove(keeper, key.c_str())));
    }
    EXPECT_EQ(0, RUN(coil_keeper_remove(keeper, "never heard of")));
    auto found = list(keeper);
    EXPECT_EQ(50u, found.size());
    EXPECT_EQ(1u, found.count("99"));
    for (auto &each : found)
        close(each.second.fds[0]);
    RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
}

TEST_F(Keeper, HasOneSupervisorAtATime)
{
    coil_keeper *keeper = open_keeper();
    coil_keeper *other = nullptr;
    EXPECT_EQ(-EBUSY, RUN(coil_keeper_open(&options, &other)));
    RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
}

TEST_F(Keeper, IsCalledByItsNameInListsOfProcesses)
{
    std::ifstream children("/proc/thread-self/children");
    if (!children)
        GTEST_SKIP() << "no CONFIG_PROC_CHILDREN";
    coil_keeper *keeper = open_keeper();
    EXPECT_EQ(0u, list(keeper).size()); /* So it runs. */
    std::vector<std::string> names;
    for (std::string pid, name; children >> pid; names.push_back(name))
        std::ifstream("/proc/" + pid + "/comm") >> name;
    EXPECT_EQ(1, std::count(names.begin(), names.end(), "coil-keeper"));
    RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
}

TEST_F(Keeper, EndsWhenNobodyComesAndKillsWhatItHas)
{
    options.patience = coil_ms(50);
    options.kills = true;
    coil_child child = start({"pause"});
    coil_keeper *keeper = open_keeper();
    coil_kept kept = thing("child", {child.pidfd});
    EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
    RUN(coil_keeper_close(keeper, COIL_KEEPER_STAYS));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_EQ("was killed by SIGKILL", text(child));
    int status = -1;
    waitpid(-1, &status, 0);
    EXPECT_EQ(0, status);
    finish(&child);
}

TEST_F(Keeper, KillsTheGroupsOfWhatItHasAlsoIfTheirLeaderHasEnded)
{
    options.patience = coil_ms(50);
    options.kills = true;
    plan.group = COIL_SPAWN_GROUP_NEW;
    plan.out = {COIL_STDIO_PIPE, 0};
    coil_child child = start_shell("sleep 1000 >/dev/null & echo $!");
    const pid_t orphan = std::stoi(take(child.stdout_fd));
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    if (coil_kernel_pidfd_signal_group(child.pidfd, 0) == -EINVAL) {
        kill(orphan, SIGKILL);
        GTEST_SKIP() << "PIDFD_SIGNAL_PROCESS_GROUP is of Linux 6.9";
    }
    coil_keeper *keeper = open_keeper();
    coil_kept kept = thing("child", {child.pidfd});
    EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
    RUN(coil_keeper_close(keeper, COIL_KEEPER_STAYS));
    const int status = reap_until(orphan);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    coil_child_fini(&child);
    while (waitpid(-1, nullptr, 0) > 0)
        continue;
}

/* It ends before anybody comes, or says a word. */
TEST_F(Keeper, ThatHasNoPatienceLeavesNothingBehind)
{
    options.patience = coil_us(1);
    for (int round = 0; round < 30; round++) {
        coil_keeper *keeper = nullptr;
        if (RUN(coil_keeper_open(&options, &keeper)) == 0)
            RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
        EXPECT_EQ(-1, waitpid(-1, nullptr, WNOHANG)) << "there is a child";
    }
}

TEST_F(Keeper, StartsWhereAnotherHasDied)
{
    coil_keeper *first = open_keeper();
    RUN(coil_keeper_close(first, COIL_KEEPER_STAYS));
    const pid_t pid = only_child();
    ASSERT_LT(0, pid);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    coil_keeper *second = open_keeper();
    EXPECT_TRUE(list(second).empty());
    RUN(coil_keeper_close(second, COIL_KEEPER_ENDS));
}

TEST_F(Keeper, ThatIsKilledIsRenewed)
{
    Ends ends = make_pipe();
    coil_kept kept = thing("pipe", {ends.out});
    coil_keeper *keeper = open_keeper();
    for (int round = 0; round < 3; round++) {
        int64_t gone = 1;
        EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
        START(gone, coil_keeper_gone(keeper));
        kill(only_child(), SIGKILL);
        run();
        EXPECT_EQ(0, gone);
        EXPECT_EQ(-EPIPE, RUN(coil_keeper_put(keeper, &kept)));
        EXPECT_EQ(0, RUN(coil_keeper_renew(keeper)));
        EXPECT_TRUE(list(keeper).empty());
    }
    EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
    EXPECT_EQ(0, RUN(coil_keeper_renew(keeper))) << "the same one";
    auto found = list(keeper);
    ASSERT_EQ(1u, found.size());
    close(found["pipe"].fds[0]);
    RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
    EXPECT_EQ(-1, waitpid(-1, nullptr, 0)) << "all have been reaped";
}

TEST_F(Keeper, ThatCannotBeRenewedIsTriedAgain)
{
    Ends ends = make_pipe();
    const coil_kept kept = thing("pipe", {ends.out});
    coil_keeper *keeper = open_keeper();
    kill(only_child(), SIGKILL);
    EXPECT_EQ(0, RUN(coil_keeper_gone(keeper)));
    const std::string moved = directory + "-moved";
    ASSERT_EQ(0, rename(directory.c_str(), moved.c_str()));
    EXPECT_EQ(-ENOENT, RUN(coil_keeper_renew(keeper)));
    EXPECT_EQ(-EPIPE, RUN(coil_keeper_put(keeper, &kept)));
    EXPECT_EQ(0, RUN(coil_keeper_gone(keeper))) << "it still is";
    ASSERT_EQ(0, rename(moved.c_str(), directory.c_str()));
    EXPECT_EQ(0, RUN(coil_keeper_renew(keeper)));
    EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
    RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
}

TEST_F(Keeper, TakesAFewPages)
{
    coil_keeper *keeper = open_keeper();
    const pid_t pid = only_child();
    std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
    std::string word;
    long pss_kib = -1;
    while (rollup >> word) {
        if (word == "Pss:")
            rollup >> pss_kib;
    }
    if (pss_kib < 0)
        GTEST_SKIP() << "no smaps_rollup";
    RecordProperty("pss_kib", static_cast<int>(pss_kib));
    EXPECT_GE(32, pss_kib);
    RUN(coil_keeper_close(keeper, COIL_KEEPER_ENDS));
}

/* -------------------------------------------------------------------------- another version -- */

class Versions : public Keeper
{
protected:
    /* How many there were; `*out_reason` is what it says. */
    int open_adoption(std::string *out_reason)
    {
        coil_adoption_options how = {};
        how.directory = directory.c_str();
        how.patience = coil_s(20);
        char text[COIL_ADOPTION_TEXT_BYTES] = "unset";
        const int rc = static_cast<int>(
                coil_loop_run_until(loop, coil_adoption_open(&how, &adoption, text)));
        *out_reason = text;
        return rc;
    }

    /* As a library of another version might have left it. */
    void put_journal(int fd)
    {
        Ends ends = make_pipe();
        Fd memory(fd);
        coil_kept kept = thing("journal", {memory, ends.out, ends.in});
        kept.note[0] = 3;
        coil_keeper *keeper = open_keeper();
        EXPECT_EQ(0, RUN(coil_keeper_put(keeper, &kept)));
        RUN(coil_keeper_close(keeper, COIL_KEEPER_STAYS));
    }

    coil_adoption *adoption = nullptr;
};

TEST_F(Versions, NothingIsLookedForWhereOthersMayPutIt)
{
    std::string reason;
    ASSERT_EQ(0, chmod(directory.c_str(), 0770));
    EXPECT_EQ(-EPERM, open_adoption(&reason));
    EXPECT_EQ("others than its owner may write to directory " + directory, reason);
    ASSERT_EQ(0, chmod(directory.c_str(), 0755));
    EXPECT_EQ(0, open_adoption(&reason)) << "who may look may not put";
    EXPECT_EQ("", reason);
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
    adoption = nullptr;
}

TEST_F(Versions, TheJournalOfAnotherIsReplacedAndChildrenAreAdopted)
{
    std::string reason;
    coil_child child = {};
    coil_spawn_error error = {};
    const char *const argv[] = {"sleep", "1000", nullptr};
    coil_spawn_plan sleeping = {};
    sleeping.program = "sleep";
    sleeping.argv = argv;
    sleeping.out = {COIL_STDIO_PIPE, 0};
    ASSERT_EQ(0, open_adoption(&reason));
    ASSERT_EQ(0, coil_loop_run_until(
                         loop, coil_adoption_spawn(adoption, "web#1", &sleeping, &child, &error)));
    const pid_t pid = child.pid;
    coil_child_fini(&child);
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_STAYS));

    put_journal(coil_kernel_memory("coil-log-journal", 123456));
    ASSERT_EQ(1, open_adoption(&reason));
    EXPECT_EQ(
            "the journal is of another version: lines that were being stored may be lost", reason);
    EXPECT_NE(nullptr, coil_adoption_journal(adoption));
    coil_adopted adopted = {};
    ASSERT_TRUE(coil_adoption_take(adoption, &adopted));
    EXPECT_EQ(pid, adopted.child.pid);
    coil_child_fini(&adopted.child);
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_STAYS));

    ASSERT_EQ(1, open_adoption(&reason));
    EXPECT_EQ("", reason) << "the new one is as it should be";
    ASSERT_TRUE(coil_adoption_take(adoption, &adopted));
    EXPECT_EQ(0, coil_loop_run_until(loop, coil_child_stop(&adopted.child, coil_s(1))));
    coil_child_fini(&adopted.child);
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
    while (waitpid(-1, nullptr, 0) > 0)
        continue;
}

/* Its memory can become smaller, so nobody may look at it. */
TEST_F(Versions, AJournalThatIsNotSealedIsReplaced)
{
    std::string reason;
    put_journal(memfd_create("coil-log-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(0, open_adoption(&reason));
    EXPECT_NE(std::string::npos, reason.find("another version")) << reason;
    EXPECT_NE(nullptr, coil_adoption_journal(adoption));
    coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
}

/* ---------------------------------------------------------------- a state file on a bad disk -- */

/* For a while nothing can be written: its directory is elsewhere. */
class BadDisk : public Versions
{
protected:
    BadDisk()
    {
        std::string reason;
        EXPECT_EQ(0, open_adoption(&reason));
        away = directory + "-away";
        EXPECT_EQ(0, rename(directory.c_str(), away.c_str()));
        const char *const argv[] = {"sleep", "1000", nullptr};
        coil_spawn_plan sleeping = {};
        coil_spawn_error error = {};
        sleeping.program = "sleep";
        sleeping.argv = argv;
        sleeping.out = {COIL_STDIO_PIPE, 0};
        EXPECT_EQ(0, coil_loop_run_until(loop,
                             coil_adoption_spawn(adoption, "web#1", &sleeping, &child, &error)));
        coil_loop_run_until(loop, coil_sleep(coil_ms(200)));
    }

    void come_back()
    {
        EXPECT_EQ(0, rename(away.c_str(), directory.c_str()));
    }

    void close_adoption()
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_child_stop(&child, coil_s(1))));
        coil_child_fini(&child);
        coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
    }

    bool is_in_state_file(const std::string &name) const
    {
        std::ifstream state(directory + "/state");
        std::stringstream text;
        text << state.rdbuf();
        return text.str().find(name) != std::string::npos;
    }

    std::string away;
    coil_child child = {};
};

/* Should the keeper be killed with us, who is not in the file would be started twice. */
TEST_F(BadDisk, TheStateFileIsWrittenWhenItCanBe)
{
    come_back();
    for (int i = 0; i < 500 && !is_in_state_file("web#1"); i++)
        coil_loop_run_until(loop, coil_sleep(coil_ms(10)));
    EXPECT_TRUE(is_in_state_file("web#1"));
    close_adoption();
}

TEST_F(BadDisk, NobodyWaitsForItAtTheEnd)
{
    close_adoption();
    come_back();
}

/* ------------------------------------------------------------------------ left at the start -- */

struct Leaver {
    coil_supervisor_hook hook = {};
    coil_supervisor *supervisor = nullptr;
    bool leaves_at_start = false;
    pid_t pid = 0;
};

async(int, leave_later, (Leaver *) leaver, (coil_duration) delay)
{
    vars();
    await(coil_sleep(delay));
    if (leaver->supervisor != nullptr)
        coil_supervisor_leave(leaver->supervisor);
    return 0;
}

size_t count_descriptors()
{
    size_t count = 0;
    DIR *entries = opendir("/proc/self/fd");
    while (readdir(entries) != nullptr)
        count++;
    closedir(entries);
    return count;
}

class Leaving : public Adoption
{
protected:
    Leaving()
    {
        leaver.hook.started = [](coil_supervisor_hook *hook, coil_service *service) {
            Leaver &self = *reinterpret_cast<Leaver *>(hook);
            self.pid = coil_service_pid(service);
            if (self.leaves_at_start)
                coil_supervisor_leave(self.supervisor);
        };
    }

    void add_service(coil_log *log)
    {
        static const char *const argv[] = {ADOPTION_HELPER, "child", "0", "newline", nullptr};
        coil_spawn_plan spawn = {};
        spawn.program = ADOPTION_HELPER;
        spawn.argv = argv;
        spawn.in = {COIL_STDIO_NULL, 0};
        spawn.group = COIL_SPAWN_GROUP_NEW;
        coil_service_plan service = {};
        service.name = "web";
        service.spawn = &spawn;
        service.log = log;
        service.notify_fd = 9;
        service.policy.readiness = COIL_READY_TOLD;
        service.outlives = true;
        ASSERT_EQ(0, coil_supervisor_add(leaver.supervisor, &service, nullptr));
    }

    /* A supervisor, its service, and leave so long after it was run. */
    void supervise_and_leave(coil_duration delay)
    {
        coil_adoption_options how = {};
        coil_adoption *adoption = nullptr;
        how.directory = directory.c_str();
        ASSERT_EQ(0, coil_loop_run_until(loop, coil_adoption_open(&how, &adoption, nullptr)));
        coil_log *log = nullptr;
        const std::string path = directory + "/0.log";
        coil_log_options logs = {};
        logs.path = path.c_str();
        logs.journal = coil_adoption_journal(adoption);
        ASSERT_EQ(0, coil_loop_run_until(loop, coil_log_open(&logs, &log)));
        coil_supervisor_options options = {};
        options.hook = &leaver.hook;
        options.adoption = adoption;
        ASSERT_EQ(0, coil_supervisor_create(&options, &leaver.supervisor));
        add_service(log);
        int64_t result = 0;
        START(result, leave_later(&leaver, delay));
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_supervisor_run(leaver.supervisor)));
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_log_close(log)));
        coil_supervisor_destroy(leaver.supervisor);
        leaver.supervisor = nullptr;
        coil_loop_run_until(loop, coil_adoption_close(adoption, COIL_KEEPER_ENDS));
        run();
    }

    Leaver leaver;
};

/* Before it runs, while it is being spawned, while it starts: its tasks may not have begun. */
TEST_F(Leaving, AtAnyTimeOfAStartLeavesNoDescriptorBehind)
{
    alarm(60);
    for (int round = 0; round < 12; round++) {
        const size_t before = count_descriptors();
        leaver.pid = 0;
        leaver.leaves_at_start = round % 4 == 3;
        supervise_and_leave(coil_us(round * 300));
        if (leaver.pid > 0) {
            EXPECT_EQ(0, kill(leaver.pid, SIGKILL)) << "it lives on";
            reap_until(leaver.pid);
        }
        EXPECT_EQ(before, count_descriptors()) << round;
    }
    alarm(0);
}

/* ---------------------------------------------------------------------------- kill -9, again -- */

/* "" if it is one start, numbers without a gap, and the end. */
std::string fault_of(const std::string &said)
{
    std::istringstream lines(said);
    std::string line;
    std::getline(lines, line);
    if (line.compare(0, 6, "start ") != 0)
        return "begins with '" + line + "'";
    long expected = 0;
    while (std::getline(lines, line) && line == std::to_string(expected))
        expected++;
    if (line != "bye " + std::to_string(expected))
        return "after " + std::to_string(expected - 1) + " there is '" + line + "'";
    if (std::getline(lines, line))
        return "goes on after its end with '" + line + "'";
    return "";
}

TEST_F(Adoption, SurvivesTwentySupervisors)
{
    const int count = 50;
    alarm(120);
    Random random = {static_cast<uint64_t>(getpid()) * 0x9e3779b97f4a7c15u | 1};
    for (int round = 0; round < 20; round++) {
        const pid_t pid = run_program(ADOPTION_HELPER, "run", count);
        usleep(static_cast<useconds_t>(random.below(round % 4 == 0 ? 30000 : 120000)));
        kill(pid, SIGKILL);
        const int status = reap_until(pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << "it ended with " << WEXITSTATUS(status);
    }
    EXPECT_EQ(0, reap_until(run_program(ADOPTION_HELPER, "stop", count)));

    std::ifstream ends(directory + "/ends");
    std::map<int, int> statuses;
    for (int number = 0, status = 0; ends >> number >> status;)
        statuses[number] = status;
    EXPECT_EQ(static_cast<size_t>(count), statuses.size());
    for (int i = 0; i < count; i++) {
        EXPECT_EQ(1 + i % 100, statuses[i]) << i;
        EXPECT_EQ("", fault_of(said(i))) << i;
    }
    while (waitpid(-1, nullptr, 0) > 0)
        continue; /* The keeper ends; nobody else is there, or this would hang. */
}

} // namespace
