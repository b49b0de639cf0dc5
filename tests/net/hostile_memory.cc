/* SPDX-License-Identifier: MIT */
/*
 * Counts what the library takes: the linker leads its calls of malloc and the like here (--wrap).
 * What zlib takes goes the same way; what C++ takes does not.
 */
#include "hostile_memory.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>

namespace
{

std::atomic<int64_t> now_bytes;
std::atomic<int64_t> peak_bytes;
thread_local bool is_uncounted;

void add(int64_t bytes)
{
    if (is_uncounted)
        return;
    const int64_t now = now_bytes.fetch_add(bytes) + bytes;
    if (now > peak_bytes)
        peak_bytes = now;
}

int64_t size_of(void *memory)
{
    return static_cast<int64_t>(malloc_usable_size(memory));
}

} // namespace

extern "C" {

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__real_coil_kernel_pages(size_t size);
void __real_coil_kernel_pages_release(void *pages, size_t size);

void *__wrap_malloc(size_t size)
{
    void *memory = __real_malloc(size);
    add(size_of(memory));
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = __real_calloc(count, size);
    add(size_of(memory));
    return memory;
}

/* While the bytes are copied there are both. */
void *__wrap_realloc(void *memory, size_t size)
{
    const int64_t before = size_of(memory);
    void *moved = __real_realloc(memory, size);
    if (moved != nullptr) {
        add(size_of(moved));
        add(-before);
    }
    return moved;
}

void __wrap_free(void *memory)
{
    add(-size_of(memory));
    __real_free(memory);
}

void *__wrap_coil_kernel_pages(size_t size)
{
    void *pages = __real_coil_kernel_pages(size);
    if (pages != nullptr)
        add(static_cast<int64_t>(size));
    return pages;
}

void __wrap_coil_kernel_pages_release(void *pages, size_t size)
{
    add(-static_cast<int64_t>(size));
    __real_coil_kernel_pages_release(pages, size);
}
}

void memory_of_this_thread_is_not_counted()
{
    is_uncounted = true;
}

int64_t memory_mark()
{
    const int64_t now = now_bytes;
    peak_bytes = now;
    return now;
}

int64_t memory_peak()
{
    return peak_bytes;
}
