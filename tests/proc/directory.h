/* SPDX-License-Identifier: MIT */
/* Directories of the tests' own. */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include <algorithm>
#include <string>
#include <vector>

#include <dirent.h>
#include <unistd.h>

/* Sorted, without those that begin with a dot. */
inline std::vector<std::string> names_in(const std::string &directory)
{
    std::vector<std::string> found;
    DIR *entries = opendir(directory.c_str());
    if (entries == nullptr)
        return found;
    while (struct dirent *entry = readdir(entries)) {
        if (entry->d_name[0] != '.')
            found.emplace_back(entry->d_name);
    }
    closedir(entries);
    std::sort(found.begin(), found.end());
    return found;
}

/* With the files that are in it. */
inline void remove_directory(const std::string &directory)
{
    for (const std::string &name : names_in(directory))
        unlink((directory + "/" + name).c_str());
    rmdir(directory.c_str());
}

#endif
