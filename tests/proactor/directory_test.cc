/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <coil/directory.h>

#include <dirent.h>

#include <coil/sugar.h>

namespace
{

using Names = std::multiset<std::string>;

async(int, list_all, (const char *) path, (Names *) out_names)
{
    vars(coil_directory *directory; coil_directory_entry entry; int rc);

    attempt(my->directory, coil_directory_open(AT_FDCWD, path));
    defer(coil_directory_close(my->directory));
    for (;;) {
        attempt(my->rc, coil_directory_next(my->directory, &my->entry));
        if (my->rc == 0)
            return 0;
        out_names->insert(my->entry.name);
    }
}

/* With each name under a deadline that may pass at any time. */
async(int, list_hastily, (const char *) path, (Names *) out_names, (int *) out_cancelled)
{
    vars(coil_directory *directory; coil_directory_entry entry; int rc; int pace);

    attempt(my->directory, coil_directory_open(AT_FDCWD, path));
    defer(coil_directory_close(my->directory));
    for (;;) {
        await(my->rc,
                within(coil_us(my->pace++ % 40), coil_directory_next(my->directory, &my->entry)));
        if (my->rc == 0)
            return 0;
        if (my->rc == 1)
            out_names->insert(my->entry.name);
        else
            (*out_cancelled)++;
    }
}

class Directory : public Scratch
{
};

TEST_F(Directory, TellsEachNameOnceAndNotItself)
{
    Names expected;
    for (int i = 0; i < 3000; i++)
        expected.insert("file-with-a-rather-long-name-" + std::to_string(i));
    for (const std::string &name : expected)
        make(name);
    Names found;
    EXPECT_EQ(0, RUN(list_all(root.c_str(), &found)));
    EXPECT_EQ(expected, found);
}

TEST_F(Directory, MayBeEmpty)
{
    Names found;
    EXPECT_EQ(0, RUN(list_all(root.c_str(), &found)));
    EXPECT_TRUE(found.empty());
}

async(int, type_of_first, (const char *) path)
{
    vars(coil_directory *directory; coil_directory_entry entry; int rc);

    attempt(my->directory, coil_directory_open(AT_FDCWD, path));
    defer(coil_directory_close(my->directory));
    attempt(my->rc, coil_directory_next(my->directory, &my->entry));
    return my->rc == 1 ? my->entry.type : -ENOENT;
}

TEST_F(Directory, TellsWhatKindOfFileItIs)
{
    std::filesystem::create_directory(path("below"));
    const int64_t type = RUN(type_of_first(root.c_str()));
    EXPECT_TRUE(type == DT_DIR || type == DT_UNKNOWN) << type;
}

TEST_F(Directory, CannotBeOpenedWithAReason)
{
    Names found;
    EXPECT_EQ(-ENOENT, RUN(list_all(path("nothing").c_str(), &found)));
    EXPECT_EQ(-ENOTDIR, RUN(list_all(make("file").c_str(), &found)));
}

TEST_F(Directory, CancelledWaitLosesNoName)
{
    Names expected;
    for (int i = 0; i < 2000; i++)
        expected.insert("file-" + std::to_string(i));
    for (const std::string &name : expected)
        make(name);
    Names found;
    int cancelled = 0;
    EXPECT_EQ(0, RUN(list_hastily(root.c_str(), &found, &cancelled)));
    EXPECT_EQ(expected, found);
    RecordProperty("cancelled", cancelled);
}

TEST_F(Directory, IsSyncedByItsPathOrByADescriptor)
{
    make("file");
    EXPECT_EQ(0, RUN(coil_directory_sync(AT_FDCWD, root.c_str())));
    Fd at(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::filesystem::create_directory(path("below"));
    EXPECT_EQ(0, RUN(coil_directory_sync(at, "below")));
    EXPECT_EQ(0, RUN(coil_directory_sync(at, "")));
    EXPECT_EQ(-ENOENT, RUN(coil_directory_sync(at, "nothing")));
    EXPECT_EQ(-ENOTDIR, RUN(coil_directory_sync(at, "file")));
    EXPECT_EQ(-EBADF, RUN(coil_directory_sync(-1, "")));
}

TEST_F(Directory, TakesNullAtTheClose)
{
    coil_directory_close(nullptr);
}

} // namespace
