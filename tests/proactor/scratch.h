/* SPDX-License-Identifier: MIT */
/* A directory for the files of one test, gone with it. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "stage.h"

#include <filesystem>
#include <fstream>
#include <set>

class Scratch : public Proactor
{
protected:
    Scratch()
    {
        char name[] = "/tmp/coil-test-XXXXXX";
        EXPECT_NE(nullptr, mkdtemp(name));
        root = name;
    }

    ~Scratch() override
    {
        std::filesystem::remove_all(root);
    }

    /* It stays: RUN() starts a call, and the path is used later. */
    const std::string &path(const std::string &name)
    {
        return *paths.insert(root + "/" + name).first;
    }

    const std::string &make(const std::string &name, const std::string &content = "")
    {
        std::ofstream(path(name)) << content;
        return path(name);
    }

    static std::string content(const std::string &path)
    {
        std::ifstream file(path, std::ios::binary);
        EXPECT_TRUE(file.good()) << path;
        return {std::istreambuf_iterator<char>(file), {}};
    }

    /* All that is in the directory, hidden or not. */
    std::set<std::string> names() const
    {
        std::set<std::string> found;
        for (const auto &entry : std::filesystem::directory_iterator(root))
            found.insert(entry.path().filename());
        return found;
    }

    std::string root;
    std::set<std::string> paths;
};

#endif
