/* SPDX-License-Identifier: MIT */
/* Files and power losses on simulated disks. */
#include "names_stage.h"
#include "sim_stage.h"

#include <coil/sim_disk.h>
#include <coil/sugar.h>

#include <cstring>
#include <set>

#include <fcntl.h>

namespace
{

constexpr const char *HOST = "alpha";

std::string contents(const World &world, const char *path)
{
    size_t size_bytes = 0;
    char *bytes = coil_sim_get_file(world.sim, HOST, path, &size_bytes);
    if (bytes == nullptr)
        return "(none)";
    std::string text(bytes, size_bytes);
    coil_sim_free_file(bytes);
    return text;
}

/* --------------------------------------------------------------------------------- programs -- */

async(int, copies_a_file)
{
    vars(int from; int to; ssize_t count; char bytes[100]);
    await(my->from, coil_openat(AT_FDCWD, "/etc/from", O_RDONLY, 0));
    if (my->from < 0)
        return 1;
    defer(ignore(coil_close(my->from)));
    await(my->to, coil_openat(AT_FDCWD, "/tmp/to", O_WRONLY | O_CREAT | O_EXCL, 0644));
    if (my->to < 0)
        return 2;
    defer(ignore(coil_close(my->to)));
    do {
        attempt(my->count, coil_read(my->from, my->bytes, sizeof(my->bytes)));
        if (my->count > 0)
            attempt(coil_write(my->to, my->bytes, (size_t)my->count));
    } while (my->count > 0);
    return 0;
}

int copy(int, char **)
{
    return (int)coil_run(copies_a_file());
}

TEST(SimDisk, AProgramCopiesAFile)
{
    World world;
    const std::string text(10000, 'x');
    EXPECT_EQ(0, coil_sim_put_file(world.sim, HOST, "/etc/from", text.data(), text.size(), 0644));
    EXPECT_EQ(0, world.run(copy));
    EXPECT_EQ(text, contents(world, "/tmp/to"));
}

/* How many completions that takes, or an error. */
async(int, reads_a_little)
{
    vars(int fd; uint64_t before; ssize_t count; char bytes[4]);
    await(my->fd, coil_openat(AT_FDCWD, "/etc/from", O_RDONLY, 0));
    if (my->fd < 0)
        return my->fd;
    defer(ignore(coil_close(my->fd)));
    my->before = coil_loop_statistics(coil_loop_current()).completions;
    attempt(my->count, coil_pread(my->fd, my->bytes, sizeof(my->bytes), 0));
    COIL_CHECK(memcmp(my->bytes, "text", 4) == 0);
    return (int)(coil_loop_statistics(coil_loop_current()).completions - my->before);
}

int read_a_little(int, char **)
{
    return (int)coil_run(reads_a_little());
}

TEST(SimDisk, WhatIsNotCachedIsReadThroughTheRing)
{
    for (const uint32_t ppm : {0U, 1000000U}) {
        World world;
        EXPECT_EQ(0, coil_sim_put_file(world.sim, HOST, "/etc/from", "text", 4, 0644));
        EXPECT_EQ(0, coil_sim_set_fault(world.sim, "not-cached", ppm));
        EXPECT_EQ(ppm > 0 ? 1 : 0, world.run(read_a_little));
    }
}

TEST(SimDisk, AFileThatIsNotThereIsNotOpened)
{
    World world;
    EXPECT_EQ(1, world.run(copy));
}

async(int, fills_the_disk)
{
    vars(int fd; ssize_t count; char bytes[1000]);
    await(my->fd, coil_openat(AT_FDCWD, "/tmp/big", O_WRONLY | O_CREAT, 0644));
    defer(ignore(coil_close(my->fd)));
    do {
        await(my->count, coil_write(my->fd, my->bytes, sizeof(my->bytes)));
    } while (my->count > 0);
    return my->count == -ENOSPC ? 0 : 1;
}

int fill(int, char **)
{
    return (int)coil_run(fills_the_disk());
}

TEST(SimDisk, AFullDiskTakesNoMore)
{
    World world;
    coil_sim_set_disk_size(world.sim, HOST, 20 * 4096);
    EXPECT_EQ(0, world.run(fill));
    const size_t size = contents(world, "/tmp/big").size();
    EXPECT_EQ(0u, size % 4096);
    EXPECT_GE(size, 4096u * 18); /* The program's own file takes a page. */
    EXPECT_EQ(-ENOSPC, coil_sim_put_file(world.sim, HOST, "/etc/late", "text", 4, 0644));
}

/* ------------------------------------------------------------------------------------ pipes -- */

enum { PIPED_BYTES = 300000 };

async(int, writes_to_pipe, (int) fd)
{
    vars(char bytes[7000]; int sent; int size; ssize_t count; int i);
    defer(ignore(coil_close(fd)));
    while (my->sent < PIPED_BYTES) {
        my->size = PIPED_BYTES - my->sent;
        if (my->size > (int)sizeof(my->bytes))
            my->size = sizeof(my->bytes);
        for (my->i = 0; my->i < my->size; my->i++)
            my->bytes[my->i] = (char)((my->sent + my->i) % 251);
        attempt(my->count, coil_write(fd, my->bytes, (size_t)my->size));
        my->sent += (int)my->count;
    }
    return 0;
}

async(int, reads_from_pipe, (int) fd)
{
    vars(char bytes[5000]; int received; ssize_t count; int i);
    defer(ignore(coil_close(fd)));
    do {
        attempt(my->count, coil_read(fd, my->bytes, sizeof(my->bytes)));
        for (my->i = 0; my->i < (int)my->count; my->i++) {
            if (my->bytes[my->i] != (char)((my->received + my->i) % 251))
                return -EPROTO;
        }
        my->received += (int)my->count;
    } while (my->count > 0);
    return my->received == PIPED_BYTES ? 0 : -EIO;
}

async(int, pipes_bytes)
{
    vars(coil_group group; int ends[2]; int rc);
    do {
        my->rc = coil_kernel_pipe(my->ends);
    } while (my->rc == -EMFILE);
    open_group(&my->group);
    spawn(&my->group, writes_to_pipe(my->ends[1]));
    spawn(&my->group, reads_from_pipe(my->ends[0]));
    attempt(coil_group_join(&my->group));
    return 0;
}

int pipe_program(int, char **)
{
    return (int)coil_run(pipes_bytes());
}

TEST(SimPipe, EachByteArrivesOnceAndInOrder)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed);
        ASSERT_EQ(0, world.run(pipe_program)) << "seed " << seed;
    }
}

TEST(SimPipe, EachByteArrivesOnceAndInOrderInAFlakyWorld)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed, COIL_SIM_FLAKY);
        const int rc = world.run(pipe_program);
        /* It may find no memory or no descriptor; what it must not do is to lose a byte. */
        ASSERT_NE((-EPROTO) & 0xff, rc) << "seed " << seed;
        ASSERT_NE((-EIO) & 0xff, rc) << "seed " << seed;
    }
}

/* ----------------------------------------------------------------------------- hang-ups -- */

async(int, writes_to_nobody)
{
    vars(int ends[2]; ssize_t count);
    if (coil_kernel_pipe(my->ends) < 0)
        return 1;
    await(my->count, coil_close(my->ends[0]));
    await(my->count, coil_write(my->ends[1], "x", 1));
    ignore(coil_close(my->ends[1]));
    return my->count == -EPIPE ? 0 : 2;
}

int nobody(int, char **)
{
    return (int)coil_run(writes_to_nobody());
}

TEST(SimPipe, AWriteThatNobodyWillReadFails)
{
    World world;
    EXPECT_EQ(0, world.run(nobody));
}

async(int, reads_a_closed_descriptor, (int) fd, (char *) byte)
{
    vars(ssize_t count);
    await(my->count, coil_read(fd, byte, 1));
    return my->count == 1 ? 0 : -EIO;
}

/* close(2) cancels nothing: the read goes on, though its descriptor is gone. */
async(int, closes_under_a_read)
{
    vars(coil_group group; int ends[2]; char byte; int rc);
    if (coil_kernel_pipe(my->ends) < 0)
        return 1;
    open_group(&my->group);
    spawn(&my->group, reads_a_closed_descriptor(my->ends[0], &my->byte));
    await(coil_sleep(coil_ms(1)));
    ignore(coil_close(my->ends[0]));
    ignore(coil_write(my->ends[1], "x", 1));
    await(my->rc, coil_group_join(&my->group));
    ignore(coil_close(my->ends[1]));
    return my->rc == 0 && my->byte == 'x' ? 0 : 2;
}

int closing(int, char **)
{
    return (int)coil_run(closes_under_a_read());
}

TEST(SimPipe, ACloseDoesNotEndAPendingRead)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed);
        EXPECT_EQ(0, world.run(closing)) << "seed " << seed;
    }
}

async(int, splices_too_long)
{
    vars(int ends[2]; int fd; ssize_t count);
    attempt(my->fd, coil_openat(AT_FDCWD, "/tmp/spliced", O_WRONLY | O_CREAT, 0644));
    if (coil_kernel_pipe(my->ends) < 0)
        return 1;
    await(my->count, coil_write(my->ends[1], "abcdef", 6));
    await(my->count, coil_splice(my->ends[0], -1, my->fd, 0, 100, 0));
    if (my->count != 6)
        return 2;
    await(my->count, within(coil_ms(50), coil_splice(my->ends[0], -1, my->fd, 6, 100, 0)));
    ignore(coil_close(my->ends[0]));
    ignore(coil_close(my->ends[1]));
    ignore(coil_close(my->fd));
    return my->count == -ETIME ? 0 : 3; /* As on the real kernel. */
}

int splicing(int, char **)
{
    return (int)coil_run(splices_too_long());
}

TEST(SimPipe, ASpliceMovesBytesAndCanBeGivenUp)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed);
        EXPECT_EQ(0, world.run(splicing)) << "seed " << seed;
        EXPECT_EQ("abcdef", contents(world, "/tmp/spliced"));
    }
}

/* ---------------------------------------------------------------------- a write-ahead log -- */

/* A record is acknowledged by this; it is outside of all processes, and survives. */
struct journal {
    bool syncs_data, syncs_name;
    int acknowledged_count;
};
journal book;

enum { RECORD_BYTES = 700 };

std::string record_of(int number)
{
    std::string record(RECORD_BYTES, (char)('a' + number % 26));
    const std::string head = std::to_string(number) + ":";
    return record.replace(0, head.size(), head);
}

async(int, keeps_a_journal)
{
    vars(int fd; int directory; int number; ssize_t count; char bytes[RECORD_BYTES]);
    attempt(my->fd, coil_openat(AT_FDCWD, "/var/log/wal", O_WRONLY | O_CREAT | O_APPEND, 0644));
    if (book.syncs_name) {
        attempt(my->directory, coil_openat(AT_FDCWD, "/var/log", O_RDONLY | O_DIRECTORY, 0));
        attempt(coil_fsync(my->directory, false));
    }
    for (my->number = 0;; my->number++) {
        memcpy(my->bytes, record_of(my->number).data(), RECORD_BYTES);
        attempt(my->count, coil_write(my->fd, my->bytes, RECORD_BYTES));
        if (book.syncs_data)
            attempt(coil_fsync(my->fd, true));
        book.acknowledged_count = my->number + 1;
        await(coil_sleep(coil_ms(1)));
    }
}

int journal_program(int, char **)
{
    return (int)coil_run(keeps_a_journal());
}

/* How many of the acknowledged records a power loss has cost. */
int lost_records(uint64_t seed, bool syncs_data, bool syncs_name)
{
    World world(seed);
    book = {syncs_data, syncs_name, 0};
    coil_sim_put_file(world.sim, HOST, "/var/log/other", "", 0, 0644);
    world.start(journal_program);
    EXPECT_EQ(COIL_SIM_LATE, coil_sim_run(world.sim, coil_ms(10 + (int64_t)(seed % 60))));
    coil_sim_cut_power(world.sim, HOST);
    const std::string text = contents(world, "/var/log/wal");
    int count = 0;
    while (count < book.acknowledged_count &&
            text.compare((size_t)count * RECORD_BYTES, RECORD_BYTES, record_of(count)) == 0 &&
            text.size() >= (size_t)(count + 1) * RECORD_BYTES)
        count++;
    return book.acknowledged_count - count;
}

int losing_seeds(bool syncs_data, bool syncs_name)
{
    int count = 0;
    for (uint64_t seed = 0; seed < 300; seed++)
        count += lost_records(seed, syncs_data, syncs_name) > 0;
    return count;
}

TEST(SimCrash, AJournalThatSyncsLosesNothing)
{
    EXPECT_EQ(0, losing_seeds(true, true));
    EXPECT_GT(book.acknowledged_count, 0);
}

TEST(SimCrash, AJournalThatDoesNotSyncIsFoundOut)
{
    EXPECT_GT(losing_seeds(false, true), 100);
}

TEST(SimCrash, AJournalThatForgetsItsDirectoryIsFoundOut)
{
    EXPECT_GT(losing_seeds(true, false), 100);
}

TEST(SimCrash, AProcessThatDiesLosesNothing)
{
    World world(3);
    book = {false, false, 0};
    coil_sim_put_file(world.sim, HOST, "/var/log/other", "", 0, 0644);
    world.start(journal_program);
    EXPECT_EQ(COIL_SIM_LATE, coil_sim_run(world.sim, coil_ms(50)));
    EXPECT_GE(
            contents(world, "/var/log/wal").size(), (size_t)book.acknowledged_count * RECORD_BYTES);
    EXPECT_GT(book.acknowledged_count, 5);
}

TEST(SimCrash, TheSameSeedLosesTheSame)
{
    for (uint64_t seed = 0; seed < 20; seed++)
        EXPECT_EQ(lost_records(seed, false, false), lost_records(seed, false, false));
}

/* ------------------------------------------------------------------------------------ names -- */

/* What is in a file after it was replaced, and the power has gone. */
std::string replaced(uint64_t seed, bool syncs_file, bool syncs_directory)
{
    World world(seed);
    coil_sim_put_file(world.sim, HOST, "/etc/config", "old", 3, 0644);
    EXPECT_EQ(0, stage_write(world.sim, HOST, "/etc/config.new", "brand new"));
    EXPECT_EQ(0, syncs_file ? stage_sync(world.sim, HOST, "/etc/config.new") : 0);
    EXPECT_EQ(0, stage_rename(world.sim, HOST, "/etc/config.new", "/etc/config"));
    EXPECT_EQ(0, syncs_directory ? stage_sync(world.sim, HOST, "/etc") : 0);
    EXPECT_EQ("brand new", contents(world, "/etc/config"));
    coil_sim_cut_power(world.sim, HOST);
    return contents(world, "/etc/config");
}

std::set<std::string> all_replaced(bool syncs_file, bool syncs_directory)
{
    std::set<std::string> found;
    for (uint64_t seed = 0; seed < 200; seed++)
        found.insert(replaced(seed, syncs_file, syncs_directory));
    return found;
}

TEST(SimCrash, AFileThatIsReplacedIsOldOrNew)
{
    EXPECT_EQ((std::set<std::string>{"brand new", "old"}), all_replaced(true, false));
}

TEST(SimCrash, AFileThatIsReplacedAndSyncedIsNew)
{
    EXPECT_EQ((std::set<std::string>{"brand new"}), all_replaced(true, true));
}

TEST(SimCrash, AFileThatIsReplacedBeforeItsContentsAreSyncedMayBeEmpty)
{
    const std::set<std::string> found = all_replaced(false, true);
    EXPECT_EQ(1u, found.count("brand new"));
    EXPECT_EQ(1u, found.count(""));
    EXPECT_EQ(0u, found.count("old"));
}

TEST(SimCrash, NamesDoNotDependOnEachOther)
{
    std::set<std::string> found;
    for (uint64_t seed = 0; seed < 100; seed++) {
        World world(seed);
        EXPECT_EQ(0, stage_mkdir(world.sim, HOST, "/a"));
        EXPECT_EQ(0, stage_write(world.sim, HOST, "/a/x", "x"));
        EXPECT_EQ(0, stage_write(world.sim, HOST, "/b", "b"));
        coil_sim_cut_power(world.sim, HOST);
        found.insert(std::string(contents(world, "/a/x") != "(none)" ? "x" : "-") +
                     (contents(world, "/b") != "(none)" ? "b" : "-"));
    }
    EXPECT_EQ((std::set<std::string>{"--", "-b", "x-", "xb"}), found);
}

TEST(SimCrash, AFileThatWasRemovedMayBeBack)
{
    std::set<std::string> found;
    for (uint64_t seed = 0; seed < 50; seed++) {
        World world(seed);
        coil_sim_put_file(world.sim, HOST, "/etc/gone", "here", 4, 0644);
        EXPECT_EQ(0, stage_unlink(world.sim, HOST, "/etc/gone"));
        EXPECT_EQ("(none)", contents(world, "/etc/gone"));
        coil_sim_cut_power(world.sim, HOST);
        found.insert(contents(world, "/etc/gone"));
    }
    EXPECT_EQ((std::set<std::string>{"(none)", "here"}), found);
}

} // namespace
