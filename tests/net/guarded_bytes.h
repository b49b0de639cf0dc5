/* SPDX-License-Identifier: MIT */
/* Bytes that end where a page without access begins: reading one byte too far is a crash. */
#ifndef GUARDED_BYTES_H
#define GUARDED_BYTES_H

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

class GuardedBytes
{
public:
    explicit GuardedBytes(const std::string &content) : size_(content.size())
    {
        size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        size_t usable = (size_ + page - 1) / page * page;
        mapped_ = usable + page;
        void *start =
                mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED)
            abort();
        start_ = static_cast<uint8_t *>(start);
        if (mprotect(start_ + usable, page, PROT_NONE) != 0)
            abort();
        bytes_ = start_ + usable - size_;
        memcpy(bytes_, content.data(), size_);
    }
    ~GuardedBytes()
    {
        munmap(start_, mapped_);
    }
    GuardedBytes(const GuardedBytes &) = delete;
    GuardedBytes &operator=(const GuardedBytes &) = delete;

    const uint8_t *bytes() const
    {
        return bytes_;
    }
    uint32_t size() const
    {
        return static_cast<uint32_t>(size_);
    }

private:
    size_t size_;
    size_t mapped_ = 0;
    uint8_t *start_ = nullptr;
    uint8_t *bytes_ = nullptr;
};

#endif
