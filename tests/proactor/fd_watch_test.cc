/* SPDX-License-Identifier: MIT */
/* coil/fd_watch.h: level-triggered, tied to the file, silent after its end. */
#include "stage.h"

#include <coil/fd_watch.h>
#include <coil/test_loop.h>

#include <functional>

namespace
{

struct Observer {
    explicit Observer(std::function<void(int)> what) : action(std::move(what))
    {
        link.self = this;
        hook.ready = [](coil_fd_watch_hook *ready, int events) {
            Observer *self = coil_container_of(ready, Link, hook)->self;
            self->count++;
            self->action(events);
        };
    }

    struct Link {
        coil_fd_watch_hook hook;
        Observer *self;
    } link = {};
    coil_fd_watch_hook &hook = link.hook;
    coil_fd_watch *watch = nullptr;
    int count = 0;
    std::function<void(int)> action;
};

class FdWatch : public BareLoop
{
protected:
    FdWatch() : BareLoop(coil_test_loop_create) {}

    Ends ends = make_unix();
};

TEST_F(FdWatch, TellsOfEachArrival)
{
    std::string got;
    Observer reader([&](int events) {
        EXPECT_EQ(POLLIN, events);
        got += take(ends.out);
    });
    ASSERT_EQ(0, coil_fd_watch_create(loop, ends.out, POLLIN, &reader.hook, &reader.watch));
    coil_test_settle(loop);
    EXPECT_EQ(0, reader.count);
    for (int i = 0; i < 5; i++) {
        put(ends.in, "ab");
        coil_test_settle(loop);
        EXPECT_EQ(i + 1, reader.count);
    }
    EXPECT_EQ("ababababab", got);
    coil_fd_watch_close(reader.watch);
    put(ends.in, "c");
    coil_test_settle(loop);
    EXPECT_EQ(5, reader.count);
}

TEST_F(FdWatch, IsLevelTriggered)
{
    char byte;
    Observer reader([&](int) { EXPECT_EQ(1, read(ends.out, &byte, 1)); });
    ASSERT_EQ(0, coil_fd_watch_create(loop, ends.out, POLLIN, &reader.hook, &reader.watch));
    put(ends.in, "abcdef");
    coil_test_settle(loop);
    EXPECT_EQ(6, reader.count);
    coil_fd_watch_close(reader.watch);
}

TEST_F(FdWatch, MayBeClosedByItsHook)
{
    Observer writer([&](int events) {
        EXPECT_EQ(POLLOUT, events);
        coil_fd_watch_close(writer.watch);
    });
    ASSERT_EQ(0, coil_fd_watch_create(loop, ends.in, POLLOUT, &writer.hook, &writer.watch));
    coil_test_settle(loop);
    EXPECT_EQ(1, writer.count);
}

TEST_F(FdWatch, HoldsTheFileAndNotTheNumber)
{
    Observer reader([&](int) {});
    ASSERT_EQ(0, coil_fd_watch_create(loop, ends.out, POLLIN, &reader.hook, &reader.watch));
    coil_test_settle(loop);
    int number = ends.out;
    ends.out.reset();
    Ends other = make_unix(); /* It takes over the number. */
    EXPECT_EQ(number, other.out);
    put(other.in, "x");
    coil_test_settle(loop);
    EXPECT_EQ(0, reader.count);
    coil_fd_watch_close(reader.watch);
    coil_test_settle(loop);
}

TEST_F(FdWatch, OfNothingIsAnErrorOnce)
{
    int result = 0;
    Observer reader([&](int events) { result = events; });
    ASSERT_EQ(0, coil_fd_watch_create(loop, 9999, POLLIN, &reader.hook, &reader.watch));
    coil_test_settle(loop);
    EXPECT_EQ(-EBADF, result);
    EXPECT_EQ(1, reader.count);
    coil_fd_watch_close(reader.watch);
}

TEST_F(FdWatch, DoesNotKeepTheLoopRunningAndOutlivesIt)
{
    Observer reader([&](int) {});
    coil_loop *own = nullptr;
    ASSERT_EQ(0, coil_loop_create(&own, nullptr));
    ASSERT_EQ(0, coil_fd_watch_create(own, ends.out, POLLIN, &reader.hook, &reader.watch));
    EXPECT_EQ(0, coil_loop_run(own));
    coil_loop_stop(own);
    EXPECT_EQ(0, coil_loop_run_forever(own));
    coil_loop_destroy(own);
    EXPECT_EQ(0, reader.count);
    coil_fd_watch_close(reader.watch);
}

} // namespace
