/* SPDX-License-Identifier: MIT */
/* Whole files, trees of them, and the operations of coil/io.h on names. */
#include "scratch.h"

#include <coil/file.h>

#include <csignal>

#include <sys/resource.h>

#include <coil/sugar.h>

namespace
{

using Names = std::set<std::string>;

async(int, read_into, (const char *) path, (size_t) limit_bytes, (std::string *) out_content)
{
    vars(coil_slice all);

    attempt(my->all, coil_read_file(path, limit_bytes));
    out_content->assign(my->all.bytes, static_cast<size_t>(my->all.size_bytes));
    coil_slice_release(&my->all);
    return 0;
}

coil_slice slice_of(const std::string &bytes)
{
    return {static_cast<int64_t>(bytes.size()), bytes.data(), nullptr};
}

class File : public Scratch
{
protected:
    int64_t read_all(const std::string &from, size_t limit_bytes = 1 << 20)
    {
        got.clear();
        return RUN(read_into(from.c_str(), limit_bytes, &got));
    }

    int64_t replace(const std::string &at, const std::string &bytes, mode_t mode = 0644)
    {
        return RUN(coil_replace_file(at.c_str(), slice_of(bytes), mode));
    }

    std::string got;
};

std::string some_bytes(size_t size_bytes)
{
    std::string bytes(size_bytes, '\0');
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = pattern(i);
    return bytes;
}

/* -------------------------------------------------------------------------------- reading -- */

TEST_F(File, IsReadAsAWhole)
{
    for (const size_t size_bytes : {0, 1, 4095, 4096, 4097, 300000}) {
        const std::string bytes = some_bytes(size_bytes);
        ASSERT_EQ(0, read_all(make("file", bytes))) << size_bytes;
        EXPECT_EQ(bytes, got);
    }
}

TEST_F(File, LargerThanItsLimitIsRefused)
{
    make("file", std::string(100, 'a'));
    EXPECT_EQ(-EFBIG, read_all(path("file"), 99));
    EXPECT_EQ(0, read_all(path("file"), 100));
    EXPECT_EQ(-EFBIG, read_all("/dev/zero", 100000));
    EXPECT_EQ(0, read_all(make("empty"), 0));
}

TEST_F(File, ThatDoesNotTellItsSizeIsReadAllTheSame)
{
    ASSERT_EQ(0, read_all("/proc/self/maps"));
    EXPECT_LT(4096u, got.size());
    EXPECT_EQ('\n', got.back());
}

TEST_F(File, CannotBeReadWithAReason)
{
    EXPECT_EQ(-ENOENT, read_all(path("nothing")));
    EXPECT_EQ(-EISDIR, read_all(root));
    make("file");
    EXPECT_EQ(-ENOTDIR, read_all(path("file/below")));
}

TEST_F(File, IsTransferredInPieces)
{
    const std::string bytes = some_bytes(100000);
    Fd file = make_file();
    EXPECT_EQ(0, RUN(coil_pwrite_all(file, bytes.data(), bytes.size(), 5)));
    std::string back(bytes.size() + 100, '\0');
    EXPECT_EQ(static_cast<int64_t>(bytes.size()),
            RUN(coil_pread_all(file, back.data(), back.size(), 5)));
    back.resize(bytes.size());
    EXPECT_EQ(bytes, back);
    EXPECT_EQ(0, RUN(coil_pread_all(file, back.data(), back.size(), 1 << 20)));
    EXPECT_EQ(-EBADF, RUN(coil_pread_all(-1, back.data(), 1, 0)));
    Fd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(-ENOSPC, RUN(coil_pwrite_all(full, "x", 1, 0)));
}

/* ------------------------------------------------------------------------------ replacing -- */

TEST_F(File, IsReplacedAsAWhole)
{
    const std::string state = path("state");
    for (const size_t size_bytes : {0, 1, 200000, 3}) {
        const std::string bytes = some_bytes(size_bytes);
        ASSERT_EQ(0, replace(state, bytes));
        EXPECT_EQ(bytes, content(state));
        EXPECT_EQ(Names{"state"}, names());
    }
}

TEST_F(File, ReplacedHasTheModeThatWasAskedFor)
{
    const mode_t before = umask(022);
    ASSERT_EQ(0, replace(path("state"), "x", 0666));
    umask(before);
    struct stat status = {};
    ASSERT_EQ(0, stat(path("state").c_str(), &status));
    EXPECT_EQ(0644u, status.st_mode & 0777u);
}

TEST_F(File, InTheWorkingDirectoryIsReplacedToo)
{
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(root);
    EXPECT_EQ(0, replace("state", "here"));
    std::filesystem::current_path(before);
    EXPECT_EQ("here", content(path("state")));
}

TEST_F(File, LinkIsReplacedItself)
{
    make("target", "old");
    std::filesystem::create_symlink("target", path("link"));
    ASSERT_EQ(0, replace(path("link"), "new"));
    EXPECT_EQ("old", content(path("target")));
    EXPECT_EQ("new", content(path("link")));
}

TEST_F(File, ThatCannotBeReplacedStays)
{
    make("state", "old");
    struct rlimit unlimited = {};
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &unlimited));
    const struct rlimit limited = {1000, unlimited.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limited));
    EXPECT_EQ(-EFBIG, replace(path("state"), std::string(2000, 'a')));
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &unlimited));
    signal(SIGXFSZ, SIG_DFL);
    EXPECT_EQ("old", content(path("state")));
    EXPECT_EQ(Names{"state"}, names());
}

TEST_F(File, CannotBeReplacedWithAReason)
{
    EXPECT_EQ(-ENOENT, replace(path("no/directory"), "x"));
    EXPECT_EQ(-ENOENT, replace("", "x"));
    const coil_slice failed = {-EIO, nullptr, nullptr};
    EXPECT_EQ(-EIO, RUN(coil_replace_file(path("kept").c_str(), failed, 0644)));
    EXPECT_EQ(-EISDIR, replace(root + "/", "x"));
    EXPECT_EQ(-ENAMETOOLONG, replace(path(std::string(256, 'a')), "x"));
    EXPECT_EQ(0, replace(path(std::string(255, 'a')), "x"));
    std::filesystem::create_directory(path("directory"));
    EXPECT_EQ(-EISDIR, replace(path("directory"), "x"));
    EXPECT_EQ((Names{"directory", std::string(255, 'a')}), names());
}

TEST_F(File, WhoseReplacementIsCancelledIsOldOrNewAndNothingIsLeft)
{
    const std::string old_bytes(10, 'o');
    const std::string new_bytes = some_bytes(50000);
    int replaced = 0;
    for (int i = 0; i < 200; i++) {
        make("state", old_bytes);
        const int64_t rc = RUN(within(coil_us(i * 5),
                coil_replace_file(path("state").c_str(), slice_of(new_bytes), 0644)));
        EXPECT_TRUE(rc == 0 || rc == -ETIME) << rc;
        replaced += rc == 0;
        EXPECT_EQ(rc == 0 ? new_bytes : old_bytes, content(path("state"))) << i;
        EXPECT_EQ(Names{"state"}, names()) << i;
    }
    RecordProperty("replaced", replaced);
}

/* -------------------------------------------------------------------------------- copying -- */

TEST_F(File, IsCopiedWithItsMode)
{
    for (const size_t size_bytes : {0, 1, 5 << 20}) {
        const std::string bytes = some_bytes(size_bytes);
        make("from", bytes);
        ASSERT_EQ(0, chmod(path("from").c_str(), 0751));
        EXPECT_EQ(static_cast<int64_t>(size_bytes),
                RUN(coil_copy_file(path("from").c_str(), path("to").c_str())));
        EXPECT_EQ(bytes, content(path("to")));
        struct stat status = {};
        ASSERT_EQ(0, stat(path("to").c_str(), &status));
        EXPECT_EQ(0751u, status.st_mode & 0777u);
        EXPECT_EQ(-EEXIST, RUN(coil_copy_file(path("from").c_str(), path("to").c_str())));
        std::filesystem::remove(path("to"));
    }
}

TEST_F(File, OfProcIsCopiedThoughItHasNoSize)
{
    EXPECT_LT(0, RUN(coil_copy_file("/proc/self/status", path("to").c_str())));
    EXPECT_NE(std::string::npos, content(path("to")).find("\nPid:"));
}

TEST_F(File, CopyThatFailsLeavesNothing)
{
    EXPECT_EQ(-ENOENT, RUN(coil_copy_file(path("nothing").c_str(), path("to").c_str())));
    EXPECT_EQ(-EISDIR, RUN(coil_copy_file(root.c_str(), path("to").c_str())));
    make("from", some_bytes(3 << 20));
    for (int i = 0; i < 40; i++) {
        const int64_t rc = RUN(
                within(coil_us(i * 50), coil_copy_file(path("from").c_str(), path("to").c_str())));
        EXPECT_TRUE(rc == 3 << 20 || rc == -ETIME) << rc;
        EXPECT_EQ(rc > 0, std::filesystem::exists(path("to")));
        std::filesystem::remove(path("to"));
    }
}

/* ------------------------------------------------------------------------------ temporary -- */

TEST_F(File, WithoutANameIsGoneWhenItIsClosed)
{
    Fd file(static_cast<int>(RUN(coil_open_temporary(root.c_str()))));
    ASSERT_LE(0, file);
    EXPECT_EQ(Names{}, names());
    put(file, "hidden");
    ASSERT_EQ(0, lseek(file, 0, SEEK_SET));
    EXPECT_EQ("hidden", take(file));
    EXPECT_EQ(FD_CLOEXEC, fcntl(file, F_GETFD));
    EXPECT_EQ(-ENOENT, RUN(coil_open_temporary(path("nothing").c_str())));
}

/* proc(5) has no O_TMPFILE, and lets nobody create anything either. */
TEST_F(File, WithoutANameNeedsAFileSystemToBeIn)
{
    EXPECT_GT(0, RUN(coil_open_temporary("/proc/self")));
}

TEST_F(File, TemporaryHasANameOfItsOwn)
{
    Names made;
    for (int i = 0; i < 20; i++) {
        std::string name = path("spool-XXXXXX");
        Fd file(static_cast<int>(RUN(coil_make_temporary(name.data()))));
        ASSERT_LE(0, file);
        struct stat status = {};
        ASSERT_EQ(0, stat(name.c_str(), &status));
        EXPECT_EQ(0600u, status.st_mode & 0777u);
        EXPECT_TRUE(made.insert(std::filesystem::path(name).filename()).second);
    }
    EXPECT_EQ(made, names());
    std::string directory = path("dir-XXXXXX");
    EXPECT_EQ(0, RUN(coil_make_temporary_directory(directory.data())));
    EXPECT_TRUE(std::filesystem::is_directory(directory));
    char wrong[] = "/tmp/XXXXX";
    EXPECT_EQ(-EINVAL, RUN(coil_make_temporary(wrong)));
    EXPECT_EQ(-EINVAL, RUN(coil_make_temporary_directory(wrong)));
}

/* ---------------------------------------------------------------------------------- trees -- */

TEST_F(File, DirectoriesAreMadeWithAllThatLeadsThere)
{
    EXPECT_EQ(0, RUN(coil_make_directories(path("a/b//c/").c_str(), 0755)));
    EXPECT_TRUE(std::filesystem::is_directory(path("a/b/c")));
    EXPECT_EQ(0, RUN(coil_make_directories(path("a/b/c").c_str(), 0755)));
    EXPECT_EQ(0, RUN(coil_make_directories("/", 0755)));
    EXPECT_EQ(-ENOENT, RUN(coil_make_directories("", 0755)));
    make("file");
    EXPECT_EQ(-ENOTDIR, RUN(coil_make_directories(path("file").c_str(), 0755)));
    EXPECT_EQ(-ENOTDIR, RUN(coil_make_directories(path("file/below").c_str(), 0755)));
    std::filesystem::create_directory_symlink("a", path("link"));
    EXPECT_EQ(0, RUN(coil_make_directories(path("link/new").c_str(), 0755)));
    EXPECT_TRUE(std::filesystem::is_directory(path("a/new")));
}

TEST_F(File, TreesAreRemoved)
{
    std::filesystem::create_directories(path("tree/a/b/c"));
    for (int i = 0; i < 1000; i++)
        make("tree/a/file-" + std::to_string(i));
    make("kept", "kept");
    std::filesystem::create_directory(path("other"));
    make("other/kept");
    std::filesystem::create_symlink("../kept", path("tree/link"));
    std::filesystem::create_directory_symlink("../../other", path("tree/a/link"));
    EXPECT_EQ(0, RUN(coil_remove_tree(path("tree").c_str())));
    EXPECT_EQ((Names{"kept", "other"}), names());
    EXPECT_TRUE(std::filesystem::exists(path("other/kept")));
    EXPECT_EQ(0, RUN(coil_remove_tree(path("kept").c_str())));
    EXPECT_EQ(-ENOENT, RUN(coil_remove_tree(path("kept").c_str())));
}

async(int, remove_into, (const char *) path, (int *) out_rc)
{
    vars();
    await(*out_rc, coil_remove_tree(path));
    return 0;
}

async(int, remove_together, (const char *) path, (int *) rcs, (int) count)
{
    vars(coil_group removers);
    coil_open_group(&my->removers);
    for (int i = 0; i < count; i++)
        coil_spawn(&my->removers, remove_into(path, &rcs[i]));
    attempt(coil_group_join(&my->removers));
    return 0;
}

TEST_F(File, TreesMayBeRemovedByTwoAtATime)
{
    enum { REMOVERS = 4 };
    for (int i = 0; i < 20; i++) {
        std::filesystem::create_directories(path("tree/a/b/c"));
        std::filesystem::create_directories(path("tree/d"));
        make("tree/file");
        int rcs[REMOVERS] = {1, 1, 1, 1};
        EXPECT_EQ(0, RUN(remove_together(path("tree").c_str(), rcs, REMOVERS)));
        for (const int rc : rcs)
            EXPECT_EQ(0, rc);
        EXPECT_EQ(Names{}, names());
    }
}

TEST_F(File, DeepTreesAreRemoved)
{
    std::string below = "tree";
    for (int i = 0; i < 200; i++)
        below += "/d";
    std::filesystem::create_directories(path(below));
    EXPECT_EQ(0, RUN(coil_remove_tree(path("tree").c_str())));
    EXPECT_EQ(Names{}, names());
}

/* Deeper than any path is long, by whoever wants to have all our descriptors. */
TEST_F(File, TreesAreRemovedWithFewDescriptorsHoweverDeepTheyAre)
{
    std::filesystem::create_directory(path("tree"));
    for (const char *side : {"left", "right"}) {
        Fd at(open(path("tree").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ASSERT_EQ(0, mkdirat(at, side, 0755));
        Fd below(openat(at, side, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        for (int i = 0; i < 1000; i++) {
            ASSERT_EQ(0, mkdirat(below, "d", 0755));
            below = Fd(openat(below, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        }
        Fd file(openat(below, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
    rlimit before;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const rlimit few = {100, before.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
    EXPECT_EQ(0, RUN(coil_remove_tree(path("tree").c_str())));
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    EXPECT_EQ(Names{}, names());
}

TEST_F(File, RemovalThatIsCancelledClosesWhatItHasOpened)
{
    for (int i = 0; i < 40; i++) {
        std::filesystem::create_directories(path("tree/a/b/c/d/e/f"));
        const int64_t rc = RUN(within(coil_us(i * 20), coil_remove_tree(path("tree").c_str())));
        EXPECT_TRUE(rc == 0 || rc == -ETIME) << rc;
    }
} /* (Descriptors that are left are found by the leak check.) */

/* ---------------------------------------------------------------------------------- names -- */

TEST_F(File, NamesAreGivenAndTaken)
{
    const std::string one = make("one", "1");
    const std::string two = path("two");
    EXPECT_EQ(0, RUN(coil_renameat(AT_FDCWD, one.c_str(), AT_FDCWD, two.c_str(), 0)));
    EXPECT_EQ(Names{"two"}, names());
    EXPECT_EQ(0, RUN(coil_linkat(AT_FDCWD, two.c_str(), AT_FDCWD, one.c_str(), 0)));
    EXPECT_EQ(-EEXIST, RUN(coil_linkat(AT_FDCWD, two.c_str(), AT_FDCWD, one.c_str(), 0)));
    EXPECT_EQ(-EEXIST,
            RUN(coil_renameat(AT_FDCWD, one.c_str(), AT_FDCWD, two.c_str(), RENAME_NOREPLACE)));
    EXPECT_EQ(0, RUN(coil_symlinkat("one", AT_FDCWD, path("link").c_str())));
    EXPECT_EQ("1", content(path("link")));
    Fd directory(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(0, RUN(coil_mkdirat(directory, "below", 0755)));
    EXPECT_EQ(-EISDIR, RUN(coil_unlinkat(directory, "below", 0)));
    EXPECT_EQ(-ENOTDIR, RUN(coil_unlinkat(directory, "one", AT_REMOVEDIR)));
    EXPECT_EQ(0, RUN(coil_unlinkat(directory, "below", AT_REMOVEDIR)));
    EXPECT_EQ(0, RUN(coil_unlinkat(directory, "one", 0)));
    EXPECT_EQ((Names{"two", "link"}), names());
    EXPECT_EQ(-ENOENT, RUN(coil_unlinkat(directory, "one", 0)));
}

TEST_F(File, RoomIsMadeAndTaken)
{
    Fd file = make_file("0123456789");
    const int64_t rc = RUN(coil_ftruncate(file, 4));
    if (rc == -EINVAL)
        GTEST_SKIP() << "a kernel before 6.9";
    EXPECT_EQ(0, rc);
    EXPECT_EQ("0123", take(file));
    EXPECT_EQ(0, RUN(coil_fallocate(file, 0, 0, 8192)));
    struct stat status = {};
    ASSERT_EQ(0, fstat(file, &status));
    EXPECT_EQ(8192, status.st_size);
    EXPECT_EQ(-EINVAL, RUN(coil_fallocate(file, 0, 0, 0)));
}

} // namespace
