/* SPDX-License-Identifier: MIT */
/* How often something is said, for the tests of recordings. */
#ifndef OCCURRENCES_H
#define OCCURRENCES_H

#include <string>

inline size_t count(const std::string &text, const std::string &wanted)
{
    size_t number = 0;
    for (size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1))
        number++;
    return number;
}

#endif
