/* SPDX-License-Identifier: MIT */
/*
 * A server for connections that say nothing: each is a task that waits in coil_read_some(). What
 * they cost us is told on request, to the byte: perf/scale asks, with SIGUSR1.
 *
 *     idle --port N
 *
 * One JSON line: the connections; what malloc has given to whom (its callers, with the overhead of
 * a chunk); the block of one of the tasks, and the frames in it.
 */
#include <coil/check.h>
#include <coil/listener.h>
#include <coil/signal.h>
#include <coil/task.h>

#include <dlfcn.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLERS_MAX = 512, /* A power of two. */
    FRAMES_MAX = 16,
    REACH_MAX_BYTES = 1024,
    CHUNK_HEAD_BYTES = 8, /* What glibc's malloc puts before each block. */
};

/* ------------------------------------------------------------------------ what malloc gives -- */

/* By where it was called from. Releases are not known by that: they are a sum. */
typedef struct caller {
    const void *address;
    uint64_t count;
    uint64_t chunk_bytes;
} caller;

static caller callers[CALLERS_MAX];
static uint64_t released_bytes;

void *__real_malloc(size_t size_bytes);
void *__real_calloc(size_t count, size_t size_bytes);
void *__real_realloc(void *memory, size_t size_bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t size_bytes);
void *__wrap_calloc(size_t count, size_t size_bytes);
void *__wrap_realloc(void *memory, size_t size_bytes);
void __wrap_free(void *memory);

static uint64_t chunk_bytes(void *memory)
{
    return memory == NULL ? 0 : malloc_usable_size(memory) + CHUNK_HEAD_BYTES;
}

/* One thread allocates: the loop's. */
static void *counted(void *memory, const void *address)
{
    uintptr_t place = (uintptr_t)address >> 2;
    while (callers[place % CALLERS_MAX].address != NULL &&
            callers[place % CALLERS_MAX].address != address)
        place++;
    caller *found = &callers[place % CALLERS_MAX];
    found->address = address;
    found->count++;
    found->chunk_bytes += chunk_bytes(memory);
    return memory;
}

void *__wrap_malloc(size_t size_bytes)
{
    return counted(__real_malloc(size_bytes), __builtin_return_address(0));
}

void *__wrap_calloc(size_t count, size_t size_bytes)
{
    return counted(__real_calloc(count, size_bytes), __builtin_return_address(0));
}

void *__wrap_realloc(void *memory, size_t size_bytes)
{
    released_bytes += chunk_bytes(memory);
    return counted(__real_realloc(memory, size_bytes), __builtin_return_address(0));
}

void __wrap_free(void *memory)
{
    released_bytes += chunk_bytes(memory);
    __real_free(memory);
}

static const char *name_of(const caller *one)
{
    Dl_info symbol;
    uint64_t mean_bytes = one->chunk_bytes / one->count;

    /* (They come up to four at once.) */
    if (mean_bytes > COIL_SLAB_BYTES / 2 && mean_bytes < COIL_SLAB_BYTES * 5)
        return "slabs";
    if (dladdr(one->address, &symbol) != 0 && symbol.dli_sname != NULL)
        return symbol.dli_sname;
    return "others";
}

/* -------------------------------------------------------------------------- the connections -- */

static size_t connection_count;
static const coil_task *sample; /* One that waits, if there is one. */

coil_async(int, hold, (coil_stream *) peer)
{
    coil_vars(coil_slice in);

    connection_count++;
    coil_defer(coil_stream_close(peer); connection_count--);
    sample = coil_self;
    coil_await(my->in, coil_read_some(peer));
    if (sample == coil_self)
        sample = NULL;
    coil_slice_release(&my->in);
    return 0;
}

/* ------------------------------------------------------------------------------ the report -- */

static void print_callers(void)
{
    printf("\"callers\":[");
    const char *comma = "";
    for (int i = 0; i < CALLERS_MAX; i++) {
        const caller *one = &callers[i];
        if (one->address == NULL)
            continue;
        printf("%s{\"name\":\"%s\",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", comma,
                name_of(one), one->count, one->chunk_bytes);
        comma = ",";
    }
    printf("],\"released_bytes\":%" PRIu64, released_bytes);
}

/* A frame reaches to the one that it awaits, unless that is in another block. */
static ptrdiff_t reach_bytes(const coil_frame *frame, const char *end)
{
    ptrdiff_t between = end - (const char *)frame;
    return between > 0 && between < REACH_MAX_BYTES ? between : (ptrdiff_t)frame->fn->frame_bytes;
}

static void print_task(const coil_task *task)
{
    const coil_frame *chain[FRAMES_MAX];
    const size_t size_bytes = coil_task_memory_bytes(task);
    int count = 0;
    for (const coil_frame *frame = task->top; frame != NULL && count < FRAMES_MAX;
            frame = frame->up)
        chain[count++] = frame;

    printf(",\"task\":{\"bytes\":%zu,\"head_bytes\":%zu,\"is_whole\":%s,\"frames\":[", size_bytes,
            sizeof(*task),
            size_bytes == (size_t)(task->limit - (const char *)task) ? "true" : "false");
    for (int i = count; i-- > 0;) {
        const char *end = i > 0 ? (const char *)chain[i - 1] : task->sp;
        printf("%s{\"name\":\"%s\",\"bytes\":%td}", i == count - 1 ? "" : ",", chain[i]->fn->name,
                reach_bytes(chain[i], end));
    }
    printf("]}");
}

static void print_report(void)
{
    printf("{\"connections\":%zu,", connection_count);
    print_callers();
    if (sample != NULL)
        print_task(sample);
    printf("}\n");
    (void)fflush(stdout);
}

coil_async(int, report_on_request)
{
    coil_vars(coil_signals *signals; int rc);

    my->rc = coil_signals_open(COIL_SIGNALS(SIGUSR1, SIGTERM), &my->signals);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_signals_close(my->signals));
    for (;;) {
        coil_attempt(my->rc, coil_signals_next(my->signals));
        if (my->rc == SIGTERM)
            return 0;
        print_report();
    }
}

coil_async(int, serve, (const char *) address)
{
    coil_vars(coil_listener *listener; coil_group group; int rc);

    my->rc = coil_listen(address, NULL, &my->listener);
    if (my->rc < 0) {
        fprintf(stderr, "idle: cannot listen at %s: %s\n", address, coil_error_text(my->rc));
        return my->rc;
    }
    coil_defer(coil_listener_close(my->listener));
    coil_open_group(&my->group);
    coil_spawn(&my->group, coil_serve(my->listener, coil_handler(hold, coil_stream *)));
    coil_attempt(report_on_request());
    return 0;
}

int main(int argc, char **argv)
{
    char address[64];

    if (argc != 3 || strcmp(argv[1], "--port") != 0) {
        fputs("usage: idle --port N\n", stderr);
        return 2;
    }
    (void)snprintf(address, sizeof(address), "127.0.0.1:%s", argv[2]);
    return coil_run(serve(address)) < 0;
}
