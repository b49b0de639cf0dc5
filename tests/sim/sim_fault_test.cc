/* SPDX-License-Identifier: MIT */
/*
 * Each kind of fault, by itself: when it strikes every time, a program sees what its name says, and
 * when it never does, it does not.
 */
#include "sim_ring_stage.h"

#include <coil/kernel.h>

#include <coil/sim_disk.h>
#include <coil/sim_network.h>

#include <set>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/inotify.h>

#include <coil/sugar.h>

namespace
{

/* A program has seen the fault if it ends with 0, and nothing unusual if it does with 1. */
enum Sight { SEEN = 0, UNSEEN = 1 };

int sight(bool seen)
{
    return seen ? SEEN : UNSEEN;
}

/* In a program: what has to be so in any case. */
#define HAVE(condition)                \
    do {                               \
        if (!(condition))              \
            return __LINE__ % 250 + 2; \
    } while (0)

void pause_for(coil_duration duration)
{
    const uint32_t word = 0;
    const coil_time end = coil_time_after(coil_kernel_now(), duration);
    while (coil_kernel_now() < end)
        coil_kernel_word_wait(&word, 0, end - coil_kernel_now());
}

/* ----------------------------------------------------------------------------- entering -- */

/* io_uring_enter() for one completion, which does not come, for five seconds. */
int enter_in_vain(int expected)
{
    Ring ring;
    __kernel_timespec limit = {.tv_sec = 5, .tv_nsec = 0};
    io_uring_getevents_arg argument = {};
    argument.ts = (uint64_t)(uintptr_t)&limit;
    HAVE(ring.open(8, 8) == 0);
    const int rc = coil_kernel_ring_enter(&ring.uring, 0, 1,
            IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof(argument));
    HAVE(rc == expected || rc == -ETIME);
    ring.close();
    return sight(rc == expected);
}

int is_interrupted(int, char **)
{
    return enter_in_vain(-EINTR);
}

int wakes_early(int, char **)
{
    return enter_in_vain(0);
}

/* What io_uring_enter() says to four entries, after so many that have been completed. */
int enter_four(unsigned completed, int *out_rc)
{
    Ring ring;
    HAVE(ring.open(16, 16) == 0);
    for (unsigned i = 0; i < completed; i++) {
        io_uring_prep_nop(ring.next(i));
        if ((i + 1) % 16 == 0)
            HAVE(ring.enter(0) == 16);
    }
    for (unsigned i = 0; i < 4; i++)
        io_uring_prep_nop(ring.next(i));
    *out_rc = ring.enter(0);
    ring.uring.sq.sqe_tail = *ring.uring.sq.khead; /* No further attempt. */
    for (unsigned left = completed + (*out_rc > 0 ? (unsigned)*out_rc : 0); left > 0; left--)
        (void)ring.wait();
    ring.close();
    return 0;
}

int has_no_memory_for_entries(int, char **)
{
    int rc;
    HAVE(enter_four(0, &rc) == 0);
    HAVE(rc == 4 || rc == -EAGAIN);
    return sight(rc == -EAGAIN);
}

int is_busy(int, char **)
{
    int rc;
    HAVE(enter_four(32, &rc) == 0); /* 16 have no room in the queue. */
    HAVE(rc == 4 || rc == -EBUSY);
    return sight(rc == -EBUSY);
}

int submits_a_part(int, char **)
{
    int rc;
    HAVE(enter_four(0, &rc) == 0);
    HAVE(rc >= 1 && rc <= 4);
    return sight(rc < 4);
}

int has_no_ring(int, char **)
{
    Ring ring;
    const int rc = ring.open(8, 8);
    if (rc == 0)
        ring.close();
    return sight(rc == -ENOMEM);
}

int registers_nothing(int, char **)
{
    Ring ring;
    HAVE(ring.open(8, 8) == 0);
    const int rc = ring.make_table(4);
    ring.close();
    return sight(rc < 0);
}

/* --------------------------------------------------------------------------- operations -- */

int ends_a_multishot(int, char **)
{
    Ring ring;
    const int fd = coil_kernel_eventfd();
    HAVE(ring.open(8, 8) == 0 && fd >= 0);
    io_uring_prep_poll_multishot(ring.next(1), fd, POLLIN);
    (void)ring.enter(0);
    HAVE(coil_kernel_eventfd_add(fd, 1) == 8);
    const io_uring_cqe cqe = ring.wait();
    HAVE(cqe.res == POLLIN);
    if ((cqe.flags & IORING_CQE_F_MORE) == 0)
        return SEEN;
    io_uring_prep_cancel64(ring.next(2), 1, 0);
    (void)ring.wait();
    (void)ring.wait();
    ring.close();
    return UNSEEN;
}

/* A read that has its byte, and a cancellation of it, together. */
int cancels_too_late(int, char **)
{
    Ring ring;
    int ends[2];
    char byte = 0;
    std::map<uint64_t, int> results;
    HAVE(ring.open(8, 8) == 0 && coil_kernel_pipe(ends) == 0);
    HAVE(coil_kernel_write(ends[1], "x", 1) == 1);
    io_uring_prep_read(ring.next(1), ends[0], &byte, 1, (uint64_t)-1);
    io_uring_prep_cancel64(ring.next(2), 1, 0);
    for (int i = 0; i < 2; i++) {
        const io_uring_cqe cqe = ring.wait();
        results[cqe.user_data] = cqe.res;
    }
    ring.close();
    HAVE(results[1] == 1 || results[1] == -ECANCELED);
    return sight(results[2] == -EALREADY && results[1] == 1);
}

/* A read that waits is cancelled: of the two completions, that of the cancellation is first. */
int ends_after_its_cancellation(int, char **)
{
    Ring ring;
    int ends[2];
    char byte = 0;
    HAVE(ring.open(8, 8) == 0 && coil_kernel_pipe(ends) == 0);
    io_uring_prep_read(ring.next(1), ends[0], &byte, 1, (uint64_t)-1);
    (void)ring.enter(0);
    pause_for(coil_ms(1));
    (void)ring.enter(0); /* It waits now. */
    io_uring_prep_cancel64(ring.next(2), 1, 0);
    const uint64_t first = ring.wait().user_data;
    (void)ring.wait();
    ring.close();
    return sight(first == 2);
}

alignas(4096) char buffer_ring[4096];
char lent[64];

int has_no_buffer(int, char **)
{
    Ring ring;
    memset(buffer_ring, 0, sizeof(buffer_ring));
    io_uring_buf_reg registration = {};
    registration.ring_addr = (uint64_t)(uintptr_t)buffer_ring;
    registration.ring_entries = 4;
    registration.bgid = 2;
    HAVE(ring.open(8, 16) == 0);
    HAVE(coil_kernel_ring_register(&ring.uring, IORING_REGISTER_PBUF_RING, &registration, 1) == 0);
    auto *buffer = reinterpret_cast<io_uring_buf *>(buffer_ring);
    buffer->addr = (uint64_t)(uintptr_t)lent;
    buffer->len = sizeof(lent);
    io_uring_buf_ring_advance(reinterpret_cast<io_uring_buf_ring *>(buffer_ring), 1);
    const int fd = coil_kernel_eventfd();
    HAVE(coil_kernel_eventfd_add(fd, 1) == 8);
    io_uring_sqe *sqe = ring.next(1);
    io_uring_prep_read(sqe, fd, nullptr, sizeof(lent), (uint64_t)-1);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 2;
    const int result = ring.wait().res;
    HAVE(coil_kernel_ring_register(&ring.uring, IORING_UNREGISTER_PBUF_RING, &registration, 1) ==
            0);
    ring.close();
    HAVE(result == 8 || result == -ENOBUFS);
    return sight(result == -ENOBUFS);
}

/* -------------------------------------------------------------------------------- bytes -- */

int writes_a_part(int, char **)
{
    int ends[2];
    HAVE(coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, ends) == 0);
    const ssize_t count = coil_kernel_send_now(ends[1], "0123456789", 10);
    HAVE(count >= 1 && count <= 10);
    return sight(count < 10);
}

int reads_a_part(int, char **)
{
    int ends[2];
    char bytes[10];
    HAVE(coil_kernel_pipe(ends) == 0 && coil_kernel_write(ends[1], "0123456789", 10) == 10);
    const ssize_t count = coil_kernel_read_now(ends[0], bytes, sizeof(bytes));
    HAVE(count >= 1 && count <= 10);
    return sight(count < 10);
}

/* -------------------------------------------------------------------------------- files -- */

int has_no_room_on_disk(int, char **)
{
    const int fd = coil_kernel_openat(AT_FDCWD, "/tmp/new", O_WRONLY | O_CREAT);
    return sight(fd == -ENOSPC || fd == -EDQUOT);
}

/* Put there by the test. */
int open_file()
{
    return coil_kernel_openat(AT_FDCWD, "/etc/file", O_RDONLY);
}

int cannot_read_the_disk(int, char **)
{
    char bytes[4];
    const int fd = open_file();
    return sight(fd == -EIO || coil_kernel_pread(fd, bytes, sizeof(bytes), 0) == -EIO);
}

int finds_nothing_in_the_cache(int, char **)
{
    char bytes[4];
    const int fd = open_file();
    HAVE(coil_kernel_pread(fd, bytes, sizeof(bytes), 0) == 4);
    return sight(coil_kernel_pread_now(fd, bytes, sizeof(bytes), 0) == -EAGAIN);
}

int loses_events(int, char **)
{
    alignas(inotify_event) char events[1024];
    const int fd = coil_kernel_inotify();
    HAVE(coil_kernel_inotify_add(fd, "/tmp", IN_CREATE) >= 0);
    HAVE(coil_kernel_openat(AT_FDCWD, "/tmp/new", O_WRONLY | O_CREAT) >= 0);
    HAVE(coil_kernel_read_now(fd, events, sizeof(events)) >= (ssize_t)sizeof(inotify_event));
    const uint32_t mask = reinterpret_cast<const inotify_event *>(events)->mask;
    HAVE(mask == IN_Q_OVERFLOW || mask == IN_CREATE);
    return sight(mask == IN_Q_OVERFLOW);
}

/* ---------------------------------------------------------------------------- resources -- */

int has_no_descriptor(int, char **)
{
    return sight(coil_kernel_eventfd() == -EMFILE);
}

int has_no_memory(int, char **)
{
    void *volatile memory = malloc(10);
    const bool seen = memory == nullptr;
    free(memory);
    return sight(seen);
}

int has_no_process(int, char **)
{
    coil_child child = {};
    coil_spawn_plan plan = {};
    plan.program = "/bin/true";
    plan.in.mode = plan.out.mode = plan.err.mode = COIL_STDIO_NULL;
    const int rc = coil_child_spawn(&plan, &child, nullptr);
    if (rc == 0)
        (void)coil_run(coil_child_wait(&child));
    coil_child_fini(&child);
    return sight(rc == -EAGAIN);
}

/* ------------------------------------------------------------------------------ threads -- */

COIL_PROCESS_WIDE unsigned turns;

void take_turns(coil_kernel_thread *)
{
    for (int i = 0; i < 20; i++) {
        turns++;
        (void)coil_kernel_time_s();
    }
}

int has_no_thread(int, char **)
{
    coil_kernel_thread thread = {take_turns, nullptr, 0, 0};
    const int rc = coil_kernel_thread_start(&thread);
    if (rc == 0)
        coil_kernel_thread_join(&thread);
    return sight(rc == -EAGAIN);
}

/* The other one has turns in our calls. */
int is_preempted(int, char **)
{
    coil_kernel_thread thread = {take_turns, nullptr, 0, 0};
    HAVE(coil_kernel_thread_start(&thread) == 0);
    for (int i = 0; i < 10; i++)
        (void)coil_kernel_time_s();
    const bool seen = turns > 0;
    coil_kernel_thread_join(&thread);
    return sight(seen);
}

int leaves_a_word_early(int, char **)
{
    const uint32_t word = 0;
    const coil_time before = coil_kernel_now();
    coil_kernel_word_wait(&word, 0, coil_s(5));
    return sight(coil_kernel_now() - before < coil_s(5));
}

int leaves_a_condition_early(int, char **)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    (void)pthread_mutex_lock(&mutex);
    const coil_time end = coil_time_after(coil_kernel_now(), coil_s(5));
    const bool seen = coil_kernel_cond_wait(&cond, &mutex, end);
    (void)pthread_mutex_unlock(&mutex);
    return sight(seen && coil_kernel_now() < end);
}

/* ------------------------------------------------------------------------------ network -- */

sockaddr_in address_of(uint32_t host)
{
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(7000);
    address.sin_addr.s_addr = htonl(host);
    return address;
}

int bound_socket(int type)
{
    const sockaddr_in own = address_of(INADDR_LOOPBACK);
    const int fd = coil_kernel_socket(AF_INET, type, 0);
    return fd < 0 || coil_kernel_bind(fd, reinterpret_cast<const sockaddr *>(&own), sizeof(own)) < 0
                   ? -1
                   : fd;
}

/* How many there are of one that was sent. */
int count_datagrams(int *out_count)
{
    const sockaddr_in own = address_of(INADDR_LOOPBACK);
    char bytes[8];
    const int fd = bound_socket(SOCK_DGRAM);
    HAVE(fd >= 0);
    HAVE(coil_kernel_connect_now(fd, reinterpret_cast<const sockaddr *>(&own), sizeof(own)) == 0);
    HAVE(coil_kernel_send_now(fd, "hello", 5) == 5);
    pause_for(coil_s(1));
    for (*out_count = 0; coil_kernel_recv_now(fd, bytes, sizeof(bytes)) == 5;)
        ++*out_count;
    return 0;
}

int loses_a_datagram(int, char **)
{
    int count;
    HAVE(count_datagrams(&count) == 0);
    return sight(count == 0);
}

int has_a_datagram_twice(int, char **)
{
    int count;
    HAVE(count_datagrams(&count) == 0);
    return sight(count == 2);
}

async(int, connects_and_accepts, (bool) accepts)
{
    vars(sockaddr_in to; int listener; int client; int rc);
    my->to = address_of(INADDR_LOOPBACK);
    my->listener = bound_socket(SOCK_STREAM);
    my->client = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    if (my->listener < 0 || my->client < 0 || coil_kernel_listen(my->listener, 5) < 0)
        return -EBADF;
    await(my->rc, coil_connect_fd(
                          my->client, reinterpret_cast<const sockaddr *>(&my->to), sizeof(my->to)));
    if (my->rc < 0 || !accepts)
        return my->rc;
    await(my->rc, coil_accept_fd(my->listener, nullptr, nullptr));
    return my->rc;
}

int is_refused(int, char **)
{
    return sight((int)coil_run(connects_and_accepts(false)) == -ECONNREFUSED);
}

int accepts_one_that_has_gone(int, char **)
{
    return sight((int)coil_run(connects_and_accepts(true)) == -ECONNABORTED);
}

/* Of a server on another host, who says something. */
async(int, is_greeted)
{
    vars(coil_stream *peer; coil_slice in);
    await(coil_sleep(coil_ms(50)));
    attempt(my->peer, coil_connect("10.0.0.1:7000"));
    defer(coil_stream_close(my->peer));
    attempt(my->in, coil_read_some(my->peer));
    coil_slice_release(&my->in);
    return 0;
}

async(int, greets)
{
    vars(coil_listener *listener; coil_stream *peer; int rc);
    my->rc = coil_listen("*:7000", nullptr, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(my->peer, coil_accept(my->listener));
    ignore(coil_write_all(my->peer, coil_text("hello")));
    coil_stream_close(my->peer);
    return 0;
}

int is_reset(int, char **)
{
    return sight((int)coil_run(is_greeted()) == -ECONNRESET);
}

/* ---------------------------------------------------------------------------------- all -- */

const struct Kind {
    const char *fault;
    int (*program)(int, char **);
} kinds[] = {
        {"preempt", is_preempted},
        {"short-read", reads_a_part},
        {"short-write", writes_a_part},
        {"enter-eintr", is_interrupted},
        {"enter-ebusy", is_busy},
        {"enter-eagain", has_no_memory_for_entries},
        {"partial-submit", submits_a_part},
        {"early-wake", wakes_early},
        {"multishot-ends", ends_a_multishot},
        {"cancel-too-late", cancels_too_late},
        {"cancel-ends-last", ends_after_its_cancellation},
        {"no-buffer", has_no_buffer},
        {"ring-setup", has_no_ring},
        {"ring-register", registers_nothing},
        {"no-descriptor", has_no_descriptor},
        {"no-thread", has_no_thread},
        {"no-memory", has_no_memory},
        {"word-wake", leaves_a_word_early},
        {"cond-wake", leaves_a_condition_early},
        {"connect-refused", is_refused},
        {"reset", is_reset},
        {"datagram-lost", loses_a_datagram},
        {"datagram-twice", has_a_datagram_twice},
        {"accept-aborted", accepts_one_that_has_gone},
        {"disk-full", has_no_room_on_disk},
        {"disk-error", cannot_read_the_disk},
        {"not-cached", finds_nothing_in_the_cache},
        {"no-process", has_no_process},
        {"events-lost", loses_events},
};

/* How its program ends in a world where this fault is so frequent, and no other one strikes. */
int played(const Kind &kind, uint64_t seed, uint32_t ppm)
{
    World world(seed);
    EXPECT_STREQ("10.0.0.1", coil_sim_address(world.sim, "one"));
    coil_sim_program(world.sim, "/bin/true", [](int, char **) { return 0; });
    coil_sim_program(world.sim, "/bin/test", kind.program);
    coil_sim_program(
            world.sim, "/bin/server", [](int, char **) { return (int)coil_run(greets()); });
    (void)coil_sim_put_file(world.sim, "two", "/etc/file", "text", 4, 0644);
    if (kind.program == is_reset)
        (void)coil_sim_start(world.sim, "one", "/bin/server", nullptr);
    for (const char *order : {"preempt", "cancel-ends-last"})
        (void)coil_sim_set_fault(world.sim, order, 0);
    EXPECT_EQ(0, coil_sim_set_fault(world.sim, kind.fault, ppm));
    const pid_t pid = coil_sim_start(world.sim, "two", "/bin/test", nullptr);
    (void)coil_sim_run(world.sim, coil_s(3600));
    EXPECT_EQ(ppm > 0, coil_sim_fault_count(world.sim, kind.fault) > 0) << kind.fault;
    return coil_sim_status(world.sim, pid);
}

class SimFault : public ::testing::TestWithParam<Kind>
{
};

TEST_P(SimFault, IsSeenWhereItStrikes)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        EXPECT_EQ(SEEN, played(GetParam(), seed, 1000000)) << "seed " << seed;
}

/* The order of completions is also decided by how they come about. */
TEST_P(SimFault, IsNotSeenWhereItDoesNot)
{
    const bool may_be_seen = GetParam().program == ends_after_its_cancellation;
    int unseen_count = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const int status = played(GetParam(), seed, 0);
        EXPECT_TRUE(status == UNSEEN || may_be_seen) << "seed " << seed << ": " << status;
        unseen_count += status == UNSEEN;
    }
    EXPECT_GT(unseen_count, 0);
}

INSTANTIATE_TEST_SUITE_P(
        Kinds, SimFault, ::testing::ValuesIn(kinds), [](const ::testing::TestParamInfo<Kind> &all) {
            std::string name = all.param.fault;
            for (char &letter : name)
                letter = letter == '-' ? '_' : letter;
            return name;
        });

TEST(SimFaults, EachHasItsProgram)
{
    std::set<std::string> known;
    for (const Kind &kind : kinds)
        known.insert(kind.fault);
    size_t count = 0;
    for (const char *name = coil_sim_fault_name(0); name != nullptr;
            name = coil_sim_fault_name(++count))
        EXPECT_EQ(1U, known.count(name)) << name;
    EXPECT_EQ(known.size(), count);
}

} // namespace
