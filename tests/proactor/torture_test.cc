/* SPDX-License-Identifier: MIT */
/* Every allocation fails once: nothing leaks, nothing crashes, and the error says what it was. */
#include "kernel_double.h"
#include "stage.h"

#include <coil/acceptor.h>
#include <coil/fd_watch.h>
#include <coil/sender.h>
#include <coil/shutdown.h>

#include <thread>
#include <vector>

extern "C" {
#include "pool.h"
}

#include <coil/sugar.h>

namespace
{

/* While one exists, allocations succeed: tasks that do not start are for other tests. */
struct Unharmed {
    int64_t failing_allocation = std::exchange(kernel_double.failing_allocation, 0);

    ~Unharmed()
    {
        kernel_double.failing_allocation = failing_allocation;
    }
};

class Torture : public testing::Test
{
protected:
    Torture()
    {
        alarm(20);
        kernel_double = KernelDouble();
    }

    ~Torture() override
    {
        kernel_double = KernelDouble();
        alarm(0);
    }

    /* `scene` again and again, each time with another allocation that fails, until none does. */
    void torture(const std::function<void(coil_loop *)> &scene)
    {
        for (int64_t n = 1;; n++) {
            SCOPED_TRACE("allocation " + std::to_string(n));
            ASSERT_GT(200, n);
            coil_loop *loop = nullptr;
            ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
            coil_loop_root(loop)->keep_going = true;
            kernel_double.allocation_count = 0;
            kernel_double.failing_allocation = n;
            scene(loop);
            bool failed = kernel_double.allocation_count >= n;
            kernel_double.failing_allocation = 0;
            EXPECT_EQ(0u, coil_loop_statistics(loop).stale);
            coil_loop_destroy(loop);
            if (!failed)
                return;
        }
    }
};

/* Read to the end or an error; the bytes must be those that were sent, without a gap. */
async(int, reads_all, (coil_receiver *) receiver, (int64_t *) got_bytes, (coil_duration) nap)
{
    vars(coil_slice slice; int64_t i);
    for (;;) {
        if (nap > 0) {
            await(coil_sleep(nap));
        }
        await(my->slice, coil_receiver_next(receiver));
        if (my->slice.size_bytes <= 0)
            return static_cast<int>(my->slice.size_bytes);
        for (my->i = 0; my->i < my->slice.size_bytes; my->i++)
            EXPECT_EQ(pattern(static_cast<uint64_t>(*got_bytes + my->i)), my->slice.bytes[my->i]);
        *got_bytes += my->slice.size_bytes;
        coil_slice_release(&my->slice);
    }
}

TEST_F(Torture, OfCreation)
{
    for (int64_t n = 1;; n++) {
        char reason[COIL_REASON_BYTES] = "";
        coil_loop *loop = nullptr;
        kernel_double.allocation_count = 0;
        kernel_double.failing_allocation = n;
        int rc = coil_loop_create(&loop, reason);
        kernel_double.failing_allocation = 0;
        if (rc < 0) {
            EXPECT_EQ(-ENOMEM, rc);
            EXPECT_STREQ("cannot create a loop: no memory (ENOMEM)", reason);
        }
        coil_loop_destroy(loop);
        if (kernel_double.allocation_count < n)
            return;
    }
}

TEST_F(Torture, OfAReceiver)
{
    std::string all;
    for (uint64_t i = 0; i < 60 * 1000; i++)
        all += pattern(i);
    torture([&all](coil_loop *loop) {
        Ends ends = make_unix();
        coil_receiver *receiver = nullptr;
        int rc = coil_receiver_create(loop, ends.out.release(), COIL_TRANSPORT_SOCKET, &receiver);
        if (rc < 0) {
            EXPECT_EQ(-ENOMEM, rc);
            EXPECT_EQ(nullptr, receiver);
            (void)coil_loop_run(loop);
            return;
        }
        put(ends.in, all);
        ends.in.reset();
        int64_t result = 0;
        int64_t got_bytes = 0;
        {
            Unharmed start;
            START(result, reads_all(receiver, &got_bytes, 0));
        }
        (void)coil_loop_run(loop);
        EXPECT_TRUE(result == 0 || result == -ENOMEM) << result;
        if (result == 0) {
            EXPECT_EQ(static_cast<int64_t>(all.size()), got_bytes);
        }
        coil_receiver_close(receiver);
    });
}

async(int, writes_all, (coil_sender *) sender, (const std::string *) all)
{
    vars();
    attempt(coil_sender_write(
            sender, (coil_slice{static_cast<int64_t>(all->size()), all->data(), nullptr})));
    return 0;
}

/*
 * Two writes that have to wait: all of it arrives, or nobody is told that it has. The first always
 * begins: if it cannot wait for the rest, nothing follows.
 */
TEST_F(Torture, OfASender)
{
    const std::string all(4 * 1024 * 1024, 's');
    writes_all__stack = 1024;
    torture([&all](coil_loop *loop) {
        Ends ends = make_unix();
        coil_sender sender = {};
        coil_sender_init(&sender, ends.in, COIL_TRANSPORT_SOCKET);
        std::thread reader([fd = static_cast<int>(ends.out)] {
            char bytes[64 * 1024];
            while (read(fd, bytes, sizeof(bytes)) > 0)
                continue;
        });
        int64_t results[2] = {1, 1};
        {
            Unharmed start;
            for (int64_t &result : results)
                START(result, writes_all(&sender, &all));
        }
        (void)coil_loop_run(loop);
        uint64_t least_bytes = 0;
        EXPECT_TRUE(results[0] == 0 || results[0] == -ENOMEM) << results[0];
        if (results[0] == 0) {
            EXPECT_TRUE(results[1] == 0 || results[1] == -ENOMEM) << results[1];
        } else {
            EXPECT_EQ(-EPIPE, results[1]);
            EXPECT_GT(all.size(), sender.sent_bytes);
        }
        for (int64_t result : results)
            least_bytes += result == 0 ? all.size() : 0;
        EXPECT_LE(least_bytes, sender.sent_bytes);
        EXPECT_FALSE(coil_sender_busy(&sender));
        EXPECT_EQ(nullptr, sender.extras);
        ends.in.reset();
        reader.join();
    });
}

/* So much at a time that we receive it by ourselves. */
TEST_F(Torture, OfAReceiverThatReceivesByItself)
{
    std::string all;
    for (uint64_t i = 0; i < 400 * 1000; i++)
        all += pattern(i);
    bool has_hot = false;
    torture([&all, &has_hot](coil_loop *loop) {
        Ends ends = make_unix();
        coil_receiver *receiver = nullptr;
        coil_sender sender = {};
        coil_sender_init(&sender, ends.in, COIL_TRANSPORT_SOCKET);
        int rc = coil_receiver_create(loop, ends.out.release(), COIL_TRANSPORT_SOCKET, &receiver);
        if (rc < 0)
            return (void)coil_loop_run(loop);
        int64_t result = 1;
        int64_t got_bytes = 0;
        {
            Unharmed start;
            START(result, reads_all(receiver, &got_bytes, 0));
        }
        std::thread writer([fd = ends.in.release(), &all] {
            for (size_t i = 0; i < all.size();) {
                ssize_t count = send(fd, &all[i], all.size() - i, MSG_NOSIGNAL);
                if (count <= 0)
                    break; /* Nobody reads any more. */
                i += static_cast<size_t>(count);
            }
            close(fd);
        });
        (void)coil_loop_run(loop);
        EXPECT_TRUE(result == 0 || result == -ENOMEM) << result;
        if (result == 0) {
            EXPECT_EQ(static_cast<int64_t>(all.size()), got_bytes);
        }
        has_hot = has_hot || (loop->buffers != nullptr && loop->buffers->hot != nullptr);
        coil_receiver_close(receiver);
        (void)coil_loop_run_until(loop, coil_yield());
        writer.join();
    });
    EXPECT_TRUE(has_hot);
}

async(int, gathers, (coil_receiver *) receiver, (std::string *) got)
{
    vars(coil_slice slice);
    for (;;) {
        await(my->slice, coil_receiver_next(receiver));
        if (my->slice.size_bytes <= 0)
            return static_cast<int>(my->slice.size_bytes);
        got->append(my->slice.bytes, static_cast<size_t>(my->slice.size_bytes));
        coil_slice_release(&my->slice);
    }
}

async(int, parks, (coil_loop *) loop, (int) fd, (bool *) is_parked)
{
    vars(int i);
    attempt(coil_write(fd, "a", 1));
    await(coil_sleep(coil_ms(1)));
    for (my->i = 0; my->i < 3; my->i++)
        loop->idle.timer.fire(&loop->idle.timer); /* As if it had been idle for long. */
    *is_parked = *is_parked || coil_loop_statistics(loop).parkings > 0;
    await(coil_sleep(coil_ms(1)));
    attempt(coil_write(fd, "b", 1));
    ignore(coil_close(fd));
    return 0;
}

TEST_F(Torture, OfAReceiverThatIsParked)
{
    bool is_parked = false;
    parks__stack = 1024;
    torture([&is_parked](coil_loop *loop) {
        Ends ends = make_unix();
        coil_receiver *receiver = nullptr;
        int rc = coil_receiver_create(loop, ends.out.release(), COIL_TRANSPORT_SOCKET, &receiver);
        if (rc < 0)
            return (void)coil_loop_run(loop);
        int64_t result = 1;
        std::string got;
        {
            Unharmed start;
            START(result, gathers(receiver, &got));
            coil_spawn(coil_loop_root(loop), parks(loop, ends.in.release(), &is_parked));
        }
        (void)coil_loop_run(loop);
        EXPECT_TRUE(result == 0 || result == -ENOMEM) << result;
        EXPECT_EQ(std::string("ab").substr(0, got.size()), got);
        if (result == 0) {
            EXPECT_EQ("ab", got);
        }
        coil_receiver_close(receiver);
    });
    EXPECT_TRUE(is_parked);
}

/* Bytes of two connections by turns, so that nothing can be joined and the queues grow. */
async(int, alternates, (int) one, (int) other, (int64_t) size_bytes)
{
    vars(int64_t i; char byte);
    defer(ignore(coil_close(one)));
    defer(ignore(coil_close(other)));
    for (my->i = 0; my->i < size_bytes; my->i++) {
        my->byte = pattern(static_cast<uint64_t>(my->i));
        attempt(coil_write(one, &my->byte, 1));
        await(coil_sleep(coil_us(50)));
        attempt(coil_write(other, &my->byte, 1));
        await(coil_sleep(coil_us(50)));
    }
    return 0;
}

TEST_F(Torture, OfAQueueThatGrowsLosesNothingInTheMiddle)
{
    alternates__stack = 1024; /* No memory for a deeper frame ends the program (decision 8). */
    torture([](coil_loop *loop) {
        Ends ends[2] = {make_unix(), make_unix()};
        coil_receiver *receivers[2] = {};
        for (int i = 0; i < 2; i++)
            (void)coil_receiver_create(
                    loop, ends[i].out.release(), COIL_TRANSPORT_SOCKET, &receivers[i]);
        int64_t results[2] = {};
        int64_t got_bytes[2] = {};
        int64_t sent = 0;
        if (receivers[0] != nullptr && receivers[1] != nullptr) {
            Unharmed start;
            START(sent, alternates(ends[0].in.release(), ends[1].in.release(), 60));
            for (int i = 0; i < 2; i++)
                START(results[i], reads_all(receivers[i], &got_bytes[i], coil_us(700)));
        }
        (void)coil_loop_run(loop);
        for (int i = 0; i < 2; i++) {
            EXPECT_TRUE(results[i] == 0 || results[i] == -ENOMEM) << results[i];
            coil_receiver_close(receivers[i]);
        }
    });
}

TEST_F(Torture, OfAnAcceptor)
{
    for (coil_accept_as as : {COIL_ACCEPT_ORDINARY, COIL_ACCEPT_DIRECT}) {
        torture([as](coil_loop *loop) {
            int listener = listen_on(0);
            int port = port_of(listener);
            coil_acceptor *acceptor = nullptr;
            int rc = coil_acceptor_create(loop, listener, as, &acceptor);
            if (rc < 0) {
                EXPECT_EQ(-ENOMEM, rc);
                (void)coil_loop_run(loop);
                return;
            }
            std::vector<Fd> clients;
            for (int i = 0; i < 100; i++)
                clients.emplace_back(connect_to(port));
            for (int i = 0; i < 20; i++) {
                int64_t fd = INT64_MIN;
                {
                    Unharmed start;
                    START(fd, coil_acceptor_next(acceptor));
                }
                (void)coil_loop_run(loop);
                if (fd >= 0)
                    coil_close_later(loop, static_cast<int>(fd));
                else
                    EXPECT_EQ(-ENOMEM, fd);
            }
            coil_acceptor_close(acceptor);
        });
    }
}

struct Sink {
    coil_fd_watch_hook hook;
    int fd;
    coil_fd_watch *watch;
    int got_bytes;
};

void drain(coil_fd_watch_hook *hook, int events)
{
    Sink *sink = coil_container_of(hook, Sink, hook);
    EXPECT_TRUE(events & POLLIN);
    sink->got_bytes += static_cast<int>(take(sink->fd).size());
    coil_fd_watch_close(sink->watch);
    sink->watch = nullptr;
}

TEST_F(Torture, OfAWatch)
{
    torture([](coil_loop *loop) {
        Ends ends = make_unix();
        put(ends.in, "abc");
        Sink sink = {{drain}, ends.out, nullptr, 0};
        int rc = coil_fd_watch_create(loop, ends.out, POLLIN, &sink.hook, &sink.watch);
        {
            Unharmed start;
            coil_spawn(coil_loop_root(loop), coil_sleep(coil_ms(2)));
        }
        (void)coil_loop_run(loop);
        EXPECT_EQ(rc == 0 ? 3 : 0, sink.got_bytes);
        EXPECT_TRUE(rc == 0 || rc == -ENOMEM) << rc;
    });
}

async(int, supervised, (int *) run_count)
{
    vars();
    ++*run_count;
    await(coil_yield());
    coil_shutdown_begin(coil_shutdown_of(coil_loop_of(coil_self)), coil_ms(1));
    await(coil_shutdown_requested());
    return 7;
}

/* (A task that is known needs one piece of memory; a deeper frame without any ends the program.) */
TEST_F(Torture, OfSupervision)
{
    const auto supervise = [](coil_loop *loop) {
        int run_count = 0;
        int64_t result = INT64_MIN;
        coil_spawn_result(coil_loop_root(loop), &result,
                coil_shutdown_supervise(coil_handler(supervised, int *), &run_count));
        (void)coil_loop_run(loop);
        if (result != INT64_MIN) {
            EXPECT_TRUE(result == 7 || result == -ENOMEM) << result;
            EXPECT_TRUE(run_count == 1 || result == -ENOMEM) << result;
        }
    };
    coil_loop *loop = nullptr;
    ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
    supervise(loop);
    coil_loop_destroy(loop);
    torture(supervise);
}

TEST_F(Torture, OfAppending)
{
    for (int64_t n = 0; n < 5; n++) {
        kernel_double.allocation_count = 0;
        kernel_double.failing_allocation = n;
        coil_slice all = {};
        int rc = 0;
        for (int i = 0; i < 10 && rc == 0; i++) {
            coil_slice piece = {3, "abc", nullptr};
            rc = coil_slice_append(&all, &piece);
            EXPECT_EQ(nullptr, piece.bytes);
            EXPECT_EQ(3 * (i + (rc == 0 ? 1 : 0)), all.size_bytes);
        }
        EXPECT_TRUE(rc == 0 || rc == -ENOMEM);
        coil_slice_release(&all);
        kernel_double.failing_allocation = 0;
    }
}

} // namespace
