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
    explicit GuardedBytes(const std::string &content)
    {
        size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        capacity_ = (content.size() + page - 1) / page * page;
        void *start = mmap(nullptr, capacity_ + page, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED)
            abort();
        start_ = static_cast<uint8_t *>(start);
        if (mprotect(start_ + capacity_, page, PROT_NONE) != 0)
            abort();
        mapped_ = capacity_ + page;
        assign(content);
    }
    ~GuardedBytes()
    {
        munmap(start_, mapped_);
    }
    GuardedBytes(const GuardedBytes &) = delete;
    GuardedBytes &operator=(const GuardedBytes &) = delete;

    /* Other content, which must fit into the pages of the first. */
    void assign(const std::string &content)
    {
        if (content.size() > capacity_)
            abort();
        size_ = content.size();
        bytes_ = start_ + capacity_ - size_;
        memcpy(bytes_, content.data(), size_);
    }

    const uint8_t *bytes() const
    {
        return bytes_;
    }
    uint32_t size() const
    {
        return static_cast<uint32_t>(size_);
    }

private:
    size_t capacity_;
    size_t mapped_ = 0;
    size_t size_ = 0;
    uint8_t *start_ = nullptr;
    uint8_t *bytes_ = nullptr;
};

#endif
