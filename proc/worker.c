/* SPDX-License-Identifier: MIT */
#include <coil/worker.h>

#include "worker_wire.h"

#include <coil/check.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a worker has, from its beginning to its end. */
typedef struct worker_bench {
    int fd;
    const coil_worker_function *functions;
    size_t function_count;
    worker_request request;
    worker_inbox inbox;
    coil_work work;
    worker_page *page;  /* NULL: there is none. */
    const void *memory; /* Where the bytes of the job are mapped, if they are. */
    _Alignas(max_align_t) char bytes[COIL_WORKER_INLINE_BYTES];
    char reply[COIL_WORKER_INLINE_BYTES];
} worker_bench;

/* --------------------------------------------------------------------------------- replies -- */

static void drop_reply(coil_work *work)
{
    if (work->reply_memory != NULL)
        coil_kernel_memory_unmap(work->reply_memory, work->reply_bytes);
    if (work->reply_fd >= 0)
        (void)coil_kernel_close(work->reply_fd);
    work->reply_memory = NULL;
    work->reply_fd = -1;
    work->reply_bytes = 0;
}

int coil_work_reply(coil_work *work, const void *bytes, size_t size_bytes)
{
    COIL_CHECK(bytes != NULL || size_bytes == 0);
    if (size_bytes <= COIL_WORKER_INLINE_BYTES) {
        if (size_bytes > 0)
            memmove(work->reply, bytes, size_bytes);
        drop_reply(work);
        work->reply_bytes = size_bytes;
        return 0;
    }
    int fd = worker_memory_of(bytes, size_bytes);
    if (fd < 0)
        return fd;
    drop_reply(work);
    work->reply_fd = fd;
    work->reply_bytes = size_bytes;
    return 0;
}

void *coil_work_room(coil_work *work, size_t size_bytes)
{
    drop_reply(work);
    if (size_bytes <= COIL_WORKER_INLINE_BYTES) {
        work->reply_bytes = size_bytes;
        return work->reply;
    }
    int fd = coil_kernel_memory("coil-reply", size_bytes);
    if (fd < 0)
        return NULL;
    void *memory = NULL;
    if (coil_kernel_memory_map(fd, size_bytes, COIL_KERNEL_SHARES, &memory) < 0) {
        (void)coil_kernel_close(fd);
        return NULL;
    }
    work->reply_fd = fd;
    work->reply_memory = memory;
    work->reply_bytes = size_bytes;
    return memory;
}

/* ----------------------------------------------------------------------------- one job's way -- */

/* What has been written to is read only from here on. */
static int seal_reply(coil_work *work)
{
    if (work->reply_memory == NULL)
        return 0;
    coil_kernel_memory_unmap(work->reply_memory, work->reply_bytes);
    work->reply_memory = NULL;
    return coil_kernel_memory_seal(work->reply_fd);
}

static int send_end(worker_bench *bench, uint32_t kind, int value)
{
    coil_work *work = &bench->work;
    worker_head head = {.kind = kind, .value = value, .number = bench->request.head.number};

    if (kind == WORKER_DONE) {
        int rc = seal_reply(work);
        if (rc < 0)
            return rc;
        head.size_bytes = work->reply_bytes;
        head.is_in_memory = work->reply_fd >= 0;
    }
    return worker_send_now(
            bench->fd, &head, sizeof(head), work->reply, head.size_bytes, work->reply_fd);
}

/* Is it a job, and are all its bytes there? */
static int take_job(worker_bench *bench, size_t received_bytes)
{
    const worker_head *head = &bench->request.head;
    int fd = worker_inbox_take_fd(&bench->inbox);
    int rc = -EBADMSG;

    bench->memory = NULL;
    bench->work = (coil_work){.bytes = bench->bytes, .reply = bench->reply, .reply_fd = -1};
    if (received_bytes >= sizeof(bench->request) && head->kind == WORKER_JOB) {
        const size_t inline_bytes = received_bytes - sizeof(bench->request);
        if (head->is_in_memory) {
            rc = worker_memory_map(fd, head->size_bytes, &bench->memory);
            bench->work.bytes = bench->memory;
        } else {
            rc = inline_bytes == head->size_bytes ? 0 : -EBADMSG;
        }
        bench->work.size_bytes = (size_t)head->size_bytes;
    }
    if (fd >= 0)
        (void)coil_kernel_close(fd);
    return rc;
}

static void end_job(worker_bench *bench)
{
    void *memory = (void *)(uintptr_t)bench->memory; /* NOLINT(performance-no-int-to-ptr) */

    if (memory != NULL)
        coil_kernel_memory_unmap(memory, bench->work.size_bytes);
    bench->memory = NULL;
    drop_reply(&bench->work);
}

static const coil_worker_function *find_function(const worker_bench *bench)
{
    const char *name = bench->request.name;

    for (size_t i = 0; i < bench->function_count; i++) {
        if (strncmp(name, bench->functions[i].name, sizeof(bench->request.name)) == 0)
            return &bench->functions[i];
    }
    return NULL;
}

/* 0: it has been answered. */
coil_async(int, do_job, (worker_bench *) bench)
{
    coil_vars(const coil_worker_function *function; int value);

    if (bench->page != NULL)
        __atomic_store_n(&bench->page->begun, bench->request.head.number, __ATOMIC_RELEASE);
    my->function = find_function(bench);
    if (my->function == NULL)
        return send_end(bench, WORKER_REFUSED, -ENOSYS);
    if (my->function->run != NULL) {
        my->value = my->function->run(&bench->work);
    } else {
        coil_await(my->value, coil_handler_call(my->function->coroutine, &bench->work));
    }
    return send_end(bench, WORKER_DONE, my->value);
}

/* A pool can do without a page. */
static int say_hello(worker_bench *bench)
{
    const worker_head hello = {.kind = WORKER_HELLO};
    void *memory = NULL;

    const int fd = worker_page_make("coil-worker", &memory);
    bench->page = memory;
    const int rc = worker_send_now(bench->fd, &hello, sizeof(hello), NULL, 0, fd);
    if (fd >= 0)
        (void)coil_kernel_close(fd);
    return rc;
}

coil_async(int, serve, (worker_bench *) bench)
{
    coil_vars(ssize_t count; int rc);

    my->rc = say_hello(bench);
    while (my->rc == 0) {
        worker_inbox_prepare(&bench->inbox, &bench->request, sizeof(bench->request), bench->bytes);
        coil_await(my->count, coil_recvmsg(bench->fd, &bench->inbox.message, MSG_CMSG_CLOEXEC));
        if (my->count <= 0)
            return (int)my->count;
        my->rc = take_job(bench, (size_t)my->count);
        if (my->rc == -EBADMSG)
            break;
        if (my->rc == 0) {
            coil_await(my->rc, do_job(bench));
        } else {
            my->rc = send_end(bench, WORKER_REFUSED, my->rc);
        }
        end_job(bench);
    }
    return my->rc;
}

coil_define(int, coil_worker_serve, (int) fd, (const coil_worker_function *) table, (size_t) count)
{
    coil_vars(worker_bench *bench; int rc);

    my->bench = calloc(1, sizeof(*my->bench));
    if (my->bench == NULL)
        return -ENOMEM;
    coil_defer({
        end_job(my->bench);
        if (my->bench->page != NULL)
            coil_kernel_memory_unmap(my->bench->page, WORKER_PAGE_BYTES);
        free(my->bench);
    });
    my->bench->fd = fd;
    my->bench->functions = table;
    my->bench->function_count = count;
    my->bench->work.reply_fd = -1;
    coil_await(my->rc, serve(my->bench));
    /* A pool that is no more is no failure of ours. */
    return my->rc == -EPIPE || my->rc == -ECONNRESET ? 0 : my->rc;
}

/* --------------------------------------------------------------------------------- the main -- */

bool coil_worker_wanted(void)
{
    const char *text = secure_getenv(COIL_WORKER_VARIABLE);
    const bool is_wanted = text != NULL && strcmp(text, "3") == 0;

    (void)unsetenv(COIL_WORKER_VARIABLE);
    return is_wanted && coil_kernel_close_on_exec(COIL_WORKER_FD) == 0;
}

int coil_worker_main(const coil_worker_function *functions, size_t count)
{
    int rc = coil_run(coil_worker_serve(COIL_WORKER_FD, functions, count));
    if (rc == -ENOMEM)
        return COIL_WORKER_NO_MEMORY_STATUS;
    return rc < 0;
}
