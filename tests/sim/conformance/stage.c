/* SPDX-License-Identifier: MIT */
/* The ring of a stage, and playing a program from its beginning to its end. */
#include "stage_private.h"

#include <coil/check.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REGION_BYTES = 4096 };

static const coil_duration PATIENCE = 10LL * 1000000000; /* Then a completion is missing. */
static const coil_duration MOMENT = 30LL * 1000000;

#define FLAGS                                                                            \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | \
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |       \
            IORING_SETUP_R_DISABLED | IORING_SETUP_NO_SQARRAY)

void stage_open(struct stage *stage, unsigned entries, unsigned completions)
{
    struct io_uring_params parameters = {.flags = FLAGS, .cq_entries = completions};
    struct io_uring_region_desc region = {
            .size = REGION_BYTES, .flags = IORING_MEM_REGION_TYPE_USER};
    struct io_uring_mem_region_reg registration = {
            .region_uptr = (uint64_t)(uintptr_t)&region, .flags = IORING_MEM_REGION_REG_WAIT_ARG};

    COIL_CHECK(stage->region == NULL);
    int rc = coil_kernel_ring_setup(&stage->ring, entries, &parameters);
    COIL_CHECK(rc == 0);
    stage->region = coil_kernel_pages(REGION_BYTES);
    COIL_CHECK(stage->region != NULL);
    region.user_addr = (uint64_t)(uintptr_t)stage->region;
    rc = stage_register(stage, IORING_REGISTER_MEM_REGION, &registration, 1);
    COIL_CHECK(rc == 0);
    rc = stage_register(stage, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    COIL_CHECK(rc == 0);
}

static struct io_uring_sqe *next_entry(struct stage *stage)
{
    struct io_uring_sq *sq = &stage->ring.sq;
    if (stage->region == NULL)
        stage_open(stage, 32, 64);
    if (stage_room(stage) == 0)
        (void)stage_submit(stage);
    COIL_CHECK(stage_room(stage) > 0);
    struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
    memset(sqe, 0, sizeof(*sqe));
    return sqe;
}

struct io_uring_sqe *stage_ask(struct stage *stage, const char *name)
{
    struct io_uring_sqe *sqe = next_entry(stage);
    COIL_CHECK(stage->asked_count < ASKED_MAX);
    stage->asked[stage->asked_count++] = (stage_asked){.name = name, .result = INT32_MIN};
    sqe->user_data = stage->asked_count;
    return sqe;
}

static unsigned last_named(const struct stage *stage, const char *name)
{
    unsigned i = stage->asked_count;
    while (i > 0 && strcmp(stage->asked[i - 1].name, name) != 0)
        i--;
    COIL_CHECK(i > 0);
    return i;
}

uint64_t stage_user_data(const struct stage *stage, const char *name)
{
    return last_named(stage, name);
}

struct io_uring_sqe *stage_ask_again(struct stage *stage, const char *name)
{
    struct io_uring_sqe *sqe = next_entry(stage);
    sqe->user_data = stage_user_data(stage, name);
    return sqe;
}

struct io_uring_sqe *stage_ask_cancel(
        struct stage *stage, const char *name, const char *target, unsigned flags)
{
    uint64_t target_name = stage_user_data(stage, target);
    struct io_uring_sqe *sqe = stage_ask(stage, name);
    io_uring_prep_cancel64(sqe, target_name, (int)flags);
    return sqe;
}

int32_t stage_result(const struct stage *stage, const char *name)
{
    return stage->asked[last_named(stage, name) - 1].result;
}

uint32_t stage_flags(const struct stage *stage, const char *name)
{
    return stage->asked[last_named(stage, name) - 1].flags;
}

unsigned stage_room(const struct stage *stage)
{
    const struct io_uring_sq *sq = &stage->ring.sq;
    return sq->ring_entries - (sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE));
}

struct io_uring *stage_ring(struct stage *stage)
{
    return &stage->ring;
}

struct io_uring_reg_wait *stage_wait_region(struct stage *stage)
{
    return stage->region;
}

int stage_register(struct stage *stage, unsigned opcode, const void *argument, unsigned count)
{
    return coil_kernel_ring_register(&stage->ring, opcode, argument, count);
}

static stage_kind kind_of(const struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_POLL_ADD:
        return MASK;
    case IORING_OP_ACCEPT:
    case IORING_OP_OPENAT:
    case IORING_OP_SOCKET:
        return sqe->file_index == 0 ? DESCRIPTOR : NUMBER;
    case IORING_OP_FIXED_FD_INSTALL:
        return DESCRIPTOR;
    default:
        return NUMBER;
    }
}

static int enter(struct stage *stage, unsigned min_complete, unsigned flags, void *argument,
        size_t argument_bytes)
{
    struct io_uring_sq *sq = &stage->ring.sq;
    unsigned count = sq->sqe_tail - stage->submitted;

    for (unsigned i = stage->submitted; i != sq->sqe_tail; i++) {
        const struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];
        stage->asked[sqe->user_data - 1].kind = kind_of(sqe);
        stage->pending_count += !(sqe->flags & IOSQE_CQE_SKIP_SUCCESS);
    }
    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    int rc = coil_kernel_ring_enter(
            &stage->ring, count, min_complete, flags, argument, argument_bytes);
    stage->submitted = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
    return rc;
}

int stage_submit(struct stage *stage)
{
    return enter(stage, 0, 0, NULL, 0);
}

static int enter_until(struct stage *stage, coil_time deadline)
{
    const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
                           IORING_ENTER_EXT_ARG_REG | IORING_ENTER_ABS_TIMER;
    struct io_uring_reg_wait *wait = stage->region;
    wait->ts.tv_sec = deadline / 1000000000;
    wait->ts.tv_nsec = deadline % 1000000000;
    wait->flags = IORING_REG_WAIT_TS;
    wait->min_wait_usec = 0;
    return enter(stage, 1, flags, NULL, sizeof(*wait));
}

static void format_completion(struct stage *stage, const struct io_uring_cqe *cqe, char *line)
{
    const stage_asked *request = &stage->asked[cqe->user_data - 1];
    char result[LINE_BYTES / 2];
    char buffer[24] = "";
    if (cqe->flags & IORING_CQE_F_BUFFER)
        (void)snprintf(buffer, sizeof(buffer), " buffer %u", cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    (void)snprintf(line, LINE_BYTES, "%s: %s%s%s%s%s%s", request->name,
            stage_format(result, sizeof(result), request->kind, cqe->res), buffer,
            cqe->flags & IORING_CQE_F_BUF_MORE ? " buffer-more" : "",
            cqe->flags & IORING_CQE_F_SOCK_NONEMPTY ? " nonempty" : "",
            cqe->flags & IORING_CQE_F_NOTIF ? " notification" : "",
            cqe->flags & IORING_CQE_F_MORE ? " more" : "");
}

static void own_descriptor(struct stage *stage, int fd)
{
    COIL_CHECK(stage->descriptor_count < DESCRIPTORS_MAX);
    stage->descriptors[stage->descriptor_count++] = fd;
}

static unsigned take_completions(struct stage *stage)
{
    struct io_uring_cq *cq = &stage->ring.cq;
    unsigned head = *cq->khead;
    unsigned tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);
    unsigned count = tail - head;

    for (; head != tail; head++) {
        const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];
        COIL_CHECK(cqe->user_data - 1 < stage->asked_count);
        COIL_CHECK(stage->line_count < LINES_MAX);
        format_completion(stage, cqe, stage->lines[stage->line_count++]);
        stage->pending_count -= stage->pending_count > 0 && !(cqe->flags & IORING_CQE_F_MORE);
        stage->asked[cqe->user_data - 1].result = cqe->res;
        stage->asked[cqe->user_data - 1].flags = cqe->flags;
        if (stage->asked[cqe->user_data - 1].kind == DESCRIPTOR && cqe->res >= 0)
            own_descriptor(stage, cqe->res);
    }
    __atomic_store_n(cq->khead, head, __ATOMIC_RELEASE);
    return count;
}

/* Until so many lines are there, or none comes for too long. */
static void wait_for(struct stage *stage, unsigned count, coil_duration patience)
{
    coil_time deadline = coil_kernel_now() + patience;
    bool is_over = false;
    (void)take_completions(stage);
    while (!is_over) {
        is_over = stage->line_count >= count && stage->submitted == stage->ring.sq.sqe_tail;
        if (is_over)
            break;
        is_over = coil_kernel_now() >= deadline;
        (void)enter_until(stage, deadline);
        (void)take_completions(stage);
    }
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void tell(struct stage *stage, unsigned count)
{
    for (unsigned i = 0; i < stage->line_count; i++)
        stage_say(stage, "%s", stage->lines[i]);
    if (stage->line_count < count)
        stage_say(stage, "missing: %u", count - stage->line_count);
    stage->line_count = 0;
}

void stage_expect_in_order(struct stage *stage, unsigned count)
{
    wait_for(stage, count, PATIENCE);
    tell(stage, count);
}

void stage_expect(struct stage *stage, unsigned count)
{
    wait_for(stage, count, PATIENCE);
    qsort(stage->lines, stage->line_count, LINE_BYTES, compare_lines);
    tell(stage, count);
}

void stage_do(struct stage *stage, unsigned count)
{
    wait_for(stage, count, PATIENCE);
    COIL_CHECK(stage->line_count == count);
    stage->line_count = 0;
}

void stage_expect_nothing(struct stage *stage)
{
    wait_for(stage, 1, MOMENT);
    if (stage->line_count == 0)
        stage_say(stage, "nothing");
    tell(stage, 0);
}

static void forget_lines(struct stage *stage, const char *name)
{
    const size_t length = strlen(name);
    unsigned kept_count = 0;
    for (unsigned i = 0; i < stage->line_count; i++) {
        const char *line = stage->lines[i];
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            continue;
        memmove(stage->lines[kept_count++], line, LINE_BYTES);
    }
    stage->line_count = kept_count;
}

int32_t stage_await(struct stage *stage, const char *name)
{
    coil_time deadline = coil_kernel_now() + PATIENCE;
    (void)take_completions(stage);
    while (stage_result(stage, name) == INT32_MIN && coil_kernel_now() < deadline) {
        (void)enter_until(stage, deadline);
        (void)take_completions(stage);
    }
    forget_lines(stage, name);
    return stage_result(stage, name);
}

/* What is pending ends; whatever it says is not told. */
static void close_ring(struct stage *stage)
{
    if (stage->region == NULL)
        return;
    struct io_uring_sqe *sqe = stage_ask(stage, "end");
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    while (stage_result(stage, "end") == INT32_MIN || stage->pending_count > 0) {
        (void)enter_until(stage, coil_kernel_now() + PATIENCE);
        (void)take_completions(stage);
        stage->line_count = 0;
    }
    coil_kernel_ring_close(&stage->ring);
    coil_kernel_pages_release(stage->region, REGION_BYTES);
}

char *stage_play(const conformance_program *program)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    COIL_CHECK(stage != NULL);
    stage->text = calloc(1, TEXT_BYTES);
    stage->memory = coil_kernel_pages(MEMORY_BYTES);
    COIL_CHECK(stage->text != NULL);
    COIL_CHECK(stage->memory != NULL);

    program->play(stage);
    close_ring(stage);
    while (stage->descriptor_count > 0)
        stage_close(stage, stage->descriptors[0]);
    char *text = stage->text;
    coil_kernel_pages_release(stage->memory, MEMORY_BYTES);
    free(stage);
    return text;
}
