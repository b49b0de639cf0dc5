/* SPDX-License-Identifier: MIT */
#include <coil/recorder.h>

#include "stage.h"

#include <cinttypes>
#include <fstream>
#include <sstream>
#include <vector>

#include <regex.h>

extern "C" {
#include "recorder_private.h"
}

namespace
{

bool has(const std::string &text, const std::string &pattern)
{
    regex_t compiled;
    EXPECT_EQ(0, regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB | REG_NEWLINE))
            << pattern;
    const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return found;
}

size_t count(const std::string &text, const std::string &wanted)
{
    size_t number = 0;
    for (size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1))
        number++;
    return number;
}

/* The lines of a recording that are entries, without their number, time and turn. */
std::vector<std::string> entries_of(const std::string &text)
{
    std::vector<std::string> entries;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        uint64_t number;
        int begin = 0;
        if (sscanf(line.c_str(), "%" SCNu64 " %*u.%*u %*u %n", &number, &begin) == 1 && begin > 0)
            entries.push_back(line.substr(static_cast<size_t>(begin)));
    }
    return entries;
}

class Recorder : public Proactor
{
protected:
    std::string written() const
    {
        Fd file = make_file();
        EXPECT_EQ(0, coil_recorder_write(loop, file));
        EXPECT_EQ(0, lseek(file, 0, SEEK_SET));
        std::string text;
        for (std::string part; !(part = take(file)).empty();)
            text += part;
        return text;
    }
};

TEST_F(Recorder, IsOffUntilItIsStarted)
{
    Fd file = make_file();
    EXPECT_EQ(-ENOENT, coil_recorder_write(loop, file));
    EXPECT_EQ(nullptr, loop->ring.recorder);
    EXPECT_EQ(coil_kernel_ring_enter, loop->ring.enter);
    coil_recorder_stop(loop);
}

TEST_F(Recorder, IsStartedOnce)
{
    EXPECT_EQ(-EINVAL, coil_recorder_start(loop, COIL_RECORDER_ENTRIES_MAX + 1));
    EXPECT_EQ(0, coil_recorder_start(loop, 100));
    EXPECT_EQ(-EALREADY, coil_recorder_start(loop, 100));
    coil_recorder_stop(loop);
    EXPECT_EQ(coil_kernel_ring_enter, loop->ring.enter);
    EXPECT_EQ(0, coil_recorder_start(loop, 0));
}

TEST_F(Recorder, NotesWhatIsSubmittedAndWhatComesOfIt)
{
    Ends pipe = make_pipe();
    char bytes[16];
    ASSERT_EQ(0, coil_recorder_start(loop, 0));
    put(pipe.in, "12345");
    EXPECT_EQ(5, RUN(coil_read(pipe.out, bytes, sizeof(bytes))));
    const std::string text = written();
    const std::string fd = std::to_string(pipe.out);
    EXPECT_EQ(0u, text.find("coil recording 1\nloop ")) << text;
    EXPECT_TRUE(has(text, "^loop [0-9]+ started [0-9]+\\.[0-9]{9} first 1 count 3 before 0 0$"))
            << text;
    EXPECT_EQ((std::vector<std::string>{
                      "submit poll fd " + std::to_string(loop->wake_fd) + " size 1 flags 0x1",
                      "submit read fd " + fd + " size 16 at -1",
                      "complete 2 read fd " + fd + " = 5 flags 0x" +
                              (has(text, "= 5 flags 0x4$") ? "4" : "0")}),
            entries_of(text))
            << text;
    EXPECT_TRUE(has(text, "^end 3$")) << text;
}

TEST_F(Recorder, NamesTheTargetOfACancellationAndTheErrno)
{
    Ends pipe = make_pipe();
    char byte;
    ASSERT_EQ(0, coil_recorder_start(loop, 0));
    EXPECT_EQ(-ETIME, RUN(coil_within(coil_ms(1), coil_read(pipe.out, &byte, 1))));
    const std::string text = written();
    EXPECT_TRUE(has(text, "^2 .* submit read fd ")) << text;
    EXPECT_TRUE(has(text, " submit cancel of 2$")) << text;
    EXPECT_TRUE(has(text, " complete 2 read fd [0-9]+ = ECANCELED flags 0x")) << text;
}

TEST_F(Recorder, KeepsTheLastAndSaysHowManyAreGone)
{
    Ends pipe = make_pipe();
    char byte;
    ASSERT_EQ(0, coil_recorder_start(loop, 16));
    for (int i = 0; i < 100; i++) {
        put(pipe.in, "x");
        EXPECT_EQ(1, RUN(coil_read(pipe.out, &byte, 1)));
    }
    const std::string text = written(); /* 1 poll, 100 reads, 100 completions. */
    EXPECT_TRUE(has(text, " first 186 count 16 before 93 92$")) << text;
    EXPECT_EQ(16u, entries_of(text).size());
    EXPECT_TRUE(has(text, "^201 .* complete 200 read fd ")) << text;
}

TEST_F(Recorder, KnowsAnOperationForLongerThanItsSubmissionIsKept)
{
    Ends slow = make_pipe();
    Ends pipe = make_pipe();
    char byte;
    char slow_byte;
    int64_t result = 0;
    ASSERT_EQ(0, coil_recorder_start(loop, 16));
    START(result, coil_read(slow.out, &slow_byte, 1));
    later(0, [&] { put(pipe.in, std::string(100, 'x')); });
    int64_t results[100];
    for (auto &one : results)
        START(one, coil_read(pipe.out, &byte, 1));
    later(coil_ms(5), [&] { put(slow.in, "y"); });
    run();
    EXPECT_EQ(1, result);
    const std::string text = written();
    EXPECT_TRUE(has(text, " complete 2 read fd " + std::to_string(slow.out) + " = 1 flags"))
            << text;
}

/* All of the table: what is carried is found again, whatever completes first. */
TEST_F(Recorder, CarriesThousandsOfOperations)
{
    enum { PIPES = 300 };
    std::deque<Ends> pipes;
    std::vector<int64_t> results(PIPES);
    std::vector<char> bytes(PIPES);
    Random random = {12345};
    ASSERT_EQ(0, coil_recorder_start(loop, 16));
    for (size_t i = 0; i < PIPES; i++) {
        pipes.push_back(make_pipe());
        START(results[i], coil_read(pipes[i].out, &bytes[i], 1));
    }
    std::vector<size_t> order;
    for (size_t i = 0; i < PIPES; i++)
        order.insert(order.begin() + static_cast<ptrdiff_t>(random.below(i + 1)), i);
    std::string seen;
    for (size_t i = 0; i < PIPES; i++) {
        later(coil_us(200) * static_cast<coil_duration>(i + 1), [&, i] {
            put(pipes[order[i]].in, "x");
            if (i % 8 == 0)
                seen += written();
        });
    }
    run();
    seen += written();
    EXPECT_FALSE(has(seen, " complete - = ")) << seen;
    EXPECT_EQ(0u, count(seen, " complete - ")) << seen;
    EXPECT_EQ(1u, loop->ring.recorder->carried_count); /* The poll of the loop itself. */
}

TEST_F(Recorder, DoesNotKnowWhatWasUnderWayBefore)
{
    Ends pipe = make_pipe();
    char byte;
    int64_t result = 0;
    START(result, coil_read(pipe.out, &byte, 1));
    later(coil_ms(1), [&] { EXPECT_EQ(0, coil_recorder_start(loop, 0)); });
    later(coil_ms(2), [&] { put(pipe.in, "x"); });
    run();
    EXPECT_EQ(1, result);
    const std::string text = written();
    EXPECT_TRUE(has(text, " first 1 count 1 before 2 0$")) << text;
    EXPECT_TRUE(has(text, " complete - = 1 flags 0x")) << text;
}

TEST_F(Recorder, NotesDirectDescriptors)
{
    Ends pipe = make_pipe();
    char byte;
    put(pipe.in, "x");
    const int direct = make_direct(std::move(pipe.out));
    ASSERT_EQ(0, coil_recorder_start(loop, 0));
    EXPECT_EQ(1, RUN(coil_read(direct, &byte, 1)));
    EXPECT_TRUE(has(written(), " submit read direct 100 size 1 at -1$")) << written();
}

TEST_F(Recorder, NotesAFullQueueInItsOrder)
{
    enum { COUNT = 1000 }; /* More than the queue has room for. */
    Ends pipe = make_pipe();
    std::vector<int64_t> results(COUNT);
    std::vector<char> bytes(COUNT);
    ASSERT_EQ(0, coil_recorder_start(loop, 0));
    put(pipe.in, std::string(COUNT, 'x'));
    for (size_t i = 0; i < COUNT; i++)
        START(results[i], coil_read(pipe.out, &bytes[i], 1));
    run();
    const std::string text = written();
    EXPECT_EQ(size_t{COUNT}, count(text, " submit read ")) << text;
    EXPECT_EQ(size_t{COUNT}, count(text, " = 1 flags 0x")) << text;
    EXPECT_EQ(0u, count(text, " complete - ")) << text;
}

TEST_F(Recorder, PrintsTheLastOnesAsARecordingOfTheirOwn)
{
    Ends pipe = make_pipe();
    char byte;
    char *text = nullptr;
    size_t size_bytes = 0;
    ASSERT_EQ(0, coil_recorder_start(loop, 0));
    put(pipe.in, "x");
    EXPECT_EQ(1, RUN(coil_read(pipe.out, &byte, 1)));
    FILE *out = open_memstream(&text, &size_bytes);
    coil_recorder_print(loop, 1, out);
    ASSERT_EQ(0, fclose(out));
    EXPECT_TRUE(has(text, " first 3 count 1 before 2 0$")) << text;
    EXPECT_EQ(1u, entries_of(text).size()) << text;
    free(text);
}

TEST_F(Recorder, SaysThatItCannotWrite)
{
    ASSERT_EQ(0, coil_recorder_start(loop, 0));
    Ends pipe = make_pipe();
    EXPECT_EQ(-EBADF, coil_recorder_write(loop, pipe.out));
}

/* ----------------------------------------------------------------------- as a program has it -- */

struct Output {
    int status;
    std::string text;
};

Output run_child(const std::string &arguments, const std::string &environment)
{
    Output result = {-1, ""};
    char bytes[4096];
    const std::string command = environment + " " RECORDER_CHILD " " + arguments + " 2>&1";
    FILE *output = popen(command.c_str(), "r");
    EXPECT_NE(nullptr, output);
    for (size_t size; (size = fread(bytes, 1, sizeof(bytes), output)) > 0;)
        result.text.append(bytes, size);
    result.status = pclose(output);
    return result;
}

std::string slurp(const std::string &path)
{
    std::ifstream file(path);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
}

std::string new_path()
{
    char path[] = "/tmp/recording-XXXXXX";
    Fd file(mkstemp(path));
    return path;
}

TEST(RecorderCrash, AFailedCheckWritesTheLastEntriesToStderr)
{
    const Output result = run_child("check", "COIL_RECORDER=1");
    EXPECT_NE(0, result.status);
    EXPECT_TRUE(has(result.text, "check failed: my->ends\\[0\\] == 0$")) << result.text;
    EXPECT_TRUE(has(result.text, "^coil recording 1$")) << result.text;
    EXPECT_TRUE(has(result.text, " submit write fd [0-9]+ size 4 at -1$")) << result.text;
    EXPECT_TRUE(has(result.text, " complete [0-9]+ read fd [0-9]+ = 1 flags 0x")) << result.text;
}

TEST(RecorderCrash, WritesToItsFileAfterEachKindOfCrash)
{
    for (const char *way : {"check", "segv", "kill"}) {
        const std::string path = new_path();
        const Output result = run_child(way, "COIL_RECORDER=64 COIL_RECORDER_FILE=" + path);
        EXPECT_NE(0, result.status) << way;
        const std::string text = slurp(path);
        EXPECT_EQ(1u, count(text, "coil recording 1\n")) << way << text;
        EXPECT_TRUE(has(text, "^end [0-9]+$")) << way << text;
        EXPECT_FALSE(has(result.text, "coil recording")) << result.text;
        EXPECT_EQ(0, unlink(path.c_str()));
    }
}

TEST(RecorderCrash, TheFileCanBeNamedAfterTheProcess)
{
    const std::string path = new_path();
    EXPECT_EQ(0, unlink(path.c_str()));
    const Output result = run_child("check", "COIL_RECORDER=64 COIL_RECORDER_FILE=" + path + ".%p");
    const Output list = [&] {
        Output found = {0, ""};
        FILE *pipe = popen(
                ("ls " + path + ".*; cat " + path + ".[0-9]*; rm " + path + ".*").c_str(), "r");
        char bytes[4096];
        for (size_t size; (size = fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
            found.text.append(bytes, size);
        found.status = pclose(pipe);
        return found;
    }();
    EXPECT_NE(0, result.status);
    EXPECT_TRUE(has(list.text, "^/tmp/recording-.*\\.[0-9]+$")) << list.text;
    EXPECT_TRUE(has(list.text, "^coil recording 1$")) << list.text;
}

/* Somebody has mistyped it, or the disk is full: what was wrong, and the last entries after all. */
TEST(RecorderCrash, AFileThatCannotBeWrittenIsNamed)
{
    const std::string file = "/nonexistent-directory/recording";
    const std::string why = "^coil: the recording at the end of " + file + ": No such file .*$";
    for (const char *way : {"check", "dump"}) {
        const Output result = run_child(way, "COIL_RECORDER=64 COIL_RECORDER_FILE=" + file);
        EXPECT_TRUE(has(result.text, why.c_str())) << way << result.text;
        EXPECT_TRUE(has(result.text, "^coil recording 1$")) << way << result.text;
    }
    const std::string full = "/dev/full";
    const Output result = run_child("check", "COIL_RECORDER=64 COIL_RECORDER_FILE=" + full);
    EXPECT_TRUE(has(result.text, ("of " + full + ": No space left").c_str())) << result.text;
    EXPECT_TRUE(has(result.text, "^coil recording 1$")) << result.text;
    const std::string longest = "/tmp/" + std::string(5000, 'x');
    const Output cut = run_child("check", "COIL_RECORDER=64 COIL_RECORDER_FILE=" + longest);
    EXPECT_TRUE(has(cut.text, ": File name too long$")) << cut.text;
    EXPECT_TRUE(has(cut.text, "^coil recording 1$")) << cut.text;
}

TEST(RecorderCrash, WhoeverHandledTheSignalBeforeHasItNext)
{
    const Output result = run_child("check handled", "COIL_RECORDER=1");
    EXPECT_TRUE(WIFEXITED(result.status)) << result.status;
    EXPECT_EQ(42, WEXITSTATUS(result.status)) << result.text;
    EXPECT_TRUE(has(result.text, "^coil recording 1$")) << result.text;
    EXPECT_TRUE(has(result.text, "^the handler of the program$")) << result.text;
}

TEST(RecorderDump, ADumpHasTheLastEntries)
{
    const Output result = run_child("dump", "COIL_RECORDER=1");
    EXPECT_EQ(0, result.status) << result.text;
    EXPECT_TRUE(has(result.text, "1 tasks, ")) << result.text;
    EXPECT_TRUE(has(result.text, "^coil recording 1$")) << result.text;
}

TEST(RecorderDump, OrTheyAreInTheFile)
{
    const std::string path = new_path();
    const Output result = run_child("dump", "COIL_RECORDER=1 COIL_RECORDER_FILE=" + path);
    EXPECT_EQ(0, result.status) << result.text;
    EXPECT_TRUE(has(result.text, "^coil: the recording at the end of " + path + ": written$"))
            << result.text;
    EXPECT_TRUE(has(slurp(path), "^coil recording 1$"));
    EXPECT_EQ(0, unlink(path.c_str()));
}

TEST(RecorderEnvironment, IsNotTakenForWhatItIsNot)
{
    const Output result = run_child("none", "COIL_RECORDER=many");
    EXPECT_EQ(0, result.status) << result.text;
    EXPECT_TRUE(has(result.text, "^coil: COIL_RECORDER is a number of entries, not \"many\"$"))
            << result.text;
}

} // namespace
