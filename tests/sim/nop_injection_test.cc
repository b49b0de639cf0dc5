/* SPDX-License-Identifier: MIT */
/* What the library makes of each error that an operation can have. */
#include "nop_injection.h"

#include <coil/acceptor.h>
#include <coil/child.h>
#include <coil/datagram.h>
#include <coil/fd_watch.h>
#include <coil/log_capture.h>
#include <coil/receiver.h>
#include <coil/sender.h>

#include <coil/sugar.h>

namespace
{

/* ------------------------------------------------------------------------ single operations -- */

TEST_F(NopInjection, EveryOperationReportsItsError)
{
    Fd file = make_file("0123456789");
    Ends ends = make_unix();
    struct iovec part = {bytes, 1};
    struct msghdr message = {};
    struct statx status;
    siginfo_t ended;
    sockaddr_in address = loopback(1);
    int direct = make_direct(Fd(dup(file)));
    message.msg_iov = &part;
    message.msg_iovlen = 1;

    for (int32_t error : {-EIO, -ENOMEM, -EAGAIN, -EALREADY, -ENOBUFS, -EINVAL}) {
        SCOPED_TRACE(error);
        inject(IORING_OP_READ, error, 2);
        EXPECT_EQ(error, RUN(coil_read(file, bytes, 1)));
        loop->cached_reads.skip_count = 1;
        EXPECT_EQ(error, RUN(coil_pread(file, bytes, 1, 0)));
        inject(IORING_OP_WRITE, error, 2);
        EXPECT_EQ(error, RUN(coil_write(file, bytes, 1)));
        EXPECT_EQ(error, RUN(coil_pwrite(file, bytes, 1, 0)));
        inject(IORING_OP_READV, error);
        EXPECT_EQ(error, RUN(coil_readv(file, &part, 1, 0)));
        inject(IORING_OP_WRITEV, error);
        EXPECT_EQ(error, RUN(coil_writev(file, &part, 1, 0)));
        inject(IORING_OP_POLL_ADD, error);
        EXPECT_EQ(error, RUN(coil_poll(file, POLLIN)));
        inject(IORING_OP_SPLICE, error);
        EXPECT_EQ(error, RUN(coil_splice(file, 0, ends.in, -1, 1, 0)));
        inject(IORING_OP_FIXED_FD_INSTALL, error);
        EXPECT_EQ(error, RUN(coil_install(direct)));
        inject(IORING_OP_RECV, error);
        EXPECT_EQ(error, RUN(coil_recv(ends.out, bytes, 1, 0)));
        inject(IORING_OP_SEND, error);
        EXPECT_EQ(error, RUN(coil_send(ends.in, bytes, 1, 0)));
        inject(IORING_OP_RECVMSG, error);
        EXPECT_EQ(error, RUN(coil_recvmsg(ends.out, &message, 0)));
        inject(IORING_OP_SENDMSG, error);
        EXPECT_EQ(error, RUN(coil_sendmsg(ends.in, &message, 0)));
        inject(IORING_OP_ACCEPT, error);
        EXPECT_EQ(error, RUN(coil_accept_fd(ends.out, nullptr, nullptr)));
        inject(IORING_OP_CONNECT, error);
        EXPECT_EQ(error, RUN(coil_connect_fd(ends.out, any(&address), sizeof(address))));
        inject(IORING_OP_SHUTDOWN, error);
        EXPECT_EQ(error, RUN(coil_shutdown(ends.out, SHUT_RD)));
        inject(IORING_OP_OPENAT, error);
        EXPECT_EQ(error, RUN(coil_openat(AT_FDCWD, ".", O_RDONLY, 0)));
        inject(IORING_OP_FSYNC, error);
        EXPECT_EQ(error, RUN(coil_fsync(file, false)));
        inject(IORING_OP_STATX, error);
        EXPECT_EQ(error, RUN(coil_statx(AT_FDCWD, ".", 0, STATX_SIZE, &status)));
        inject(IORING_OP_WAITID, error);
        EXPECT_EQ(error, RUN(coil_waitid(P_ALL, 0, &ended, WEXITED)));
        inject(IORING_OP_CLOSE, error);
        EXPECT_EQ(error, RUN(coil_close(file)));
    }
    EXPECT_EQ(0, RUN(coil_close(direct)));
}

TEST_F(NopInjection, EveryOperationOnNamesAndSizesReportsItsError)
{
    Fd file = make_file("0123456789");

    for (int32_t error : {-EIO, -ENOMEM, -EAGAIN, -EALREADY, -ENOBUFS, -EINVAL}) {
        SCOPED_TRACE(error);
        inject(IORING_OP_FALLOCATE, error);
        EXPECT_EQ(error, RUN(coil_fallocate(file, 0, 0, 1)));
        inject(IORING_OP_FTRUNCATE, error);
        EXPECT_EQ(error, RUN(coil_ftruncate(file, 1)));
        inject(IORING_OP_RENAMEAT, error);
        EXPECT_EQ(error, RUN(coil_renameat(AT_FDCWD, "none", AT_FDCWD, "nowhere", 0)));
        inject(IORING_OP_LINKAT, error);
        EXPECT_EQ(error, RUN(coil_linkat(AT_FDCWD, "none", AT_FDCWD, "nowhere", 0)));
        inject(IORING_OP_SYMLINKAT, error);
        EXPECT_EQ(error, RUN(coil_symlinkat("none", AT_FDCWD, "nowhere/at/all")));
        inject(IORING_OP_UNLINKAT, error);
        EXPECT_EQ(error, RUN(coil_unlinkat(AT_FDCWD, "nowhere/at/all", 0)));
        inject(IORING_OP_MKDIRAT, error);
        EXPECT_EQ(error, RUN(coil_mkdirat(AT_FDCWD, "nowhere/at/all", 0700)));
    }
}

TEST_F(NopInjection, AnInterruptionThatNobodyAskedForStartsTheOperationAgain)
{
    Ends ends = make_pipe();
    put(ends.in, "a");
    for (int32_t interruption : interruptions)
        inject(IORING_OP_READ, interruption, 2);
    EXPECT_EQ(1, RUN(coil_read(ends.out, bytes, 1)));
    EXPECT_EQ('a', bytes[0]);
}

TEST_F(NopInjection, OnlyInterruptionsStartAgain)
{
    Fd file = make_file("x");
    for (int32_t near : {-511, -517, -EINTR - 1, -EINTR + 1}) {
        inject(IORING_OP_READ, near);
        EXPECT_EQ(near, RUN(coil_read(file, bytes, 1)));
    }
}

TEST_F(NopInjection, AnInterruptionOfATaskThatIsCancelledIsItsCancellation)
{
    Fd file = make_file("x");
    for (int32_t interruption : interruptions) {
        inject(IORING_OP_READ, interruption);
        EXPECT_EQ(-ETIME, RUN_TOO_LATE(coil_read(file, bytes, 1))) << interruption;
    }
    EXPECT_EQ(1, RUN(coil_read(file, bytes, 1))) << "none has read";
}

TEST_F(NopInjection, ACancellationThatNobodyAskedForIsReported)
{
    Fd file = make_file("x");
    inject(IORING_OP_READ, -ECANCELED);
    EXPECT_EQ(-ECANCELED, RUN(coil_read(file, bytes, 1)));
}

/* The read goes on whatever it was, and has a success when there is one. */
TEST_F(NopInjection, TheOutcomeOfACancellationIsNobodysBusiness)
{
    Ends ends = make_pipe();
    for (int32_t outcome : {0, 1, -ENOENT, -EALREADY, -EINVAL}) {
        inject(IORING_OP_ASYNC_CANCEL, outcome);
        later(coil_ms(5), [&] { put(ends.in, "a"); });
        EXPECT_EQ(1, RUN(within(coil_ms(1), coil_read(ends.out, bytes, 1)))) << outcome;
    }
}

TEST_F(NopInjection, AnInterruptedCloseHasClosed)
{
    for (int32_t interruption : interruptions) {
        Fd file = make_file("x");
        inject(IORING_OP_CLOSE, interruption);
        EXPECT_EQ(0, RUN(coil_close(file))) << interruption;
    }
}

TEST_F(NopInjection, ACloseThatNobodyWaitsForIsMadeUpForIfItIsCancelled)
{
    Ends ends = make_pipe();
    inject(IORING_OP_CLOSE, -ECANCELED);
    coil_close_later(loop, ends.in.release());
    EXPECT_EQ(0, RUN(coil_read(ends.out, bytes, 1))) << "the end of the pipe";
}

/* By its number in the table: close(2) knows none such. */
TEST_F(NopInjection, SoIsACloseOfADirectDescriptor)
{
    Ends ends = make_pipe();
    int direct = make_direct(std::move(ends.in));
    inject(IORING_OP_CLOSE, -ECANCELED);
    coil_close_later(loop, direct);
    EXPECT_EQ(0, RUN(coil_read(ends.out, bytes, 1))) << "the end of the pipe";
}

/* --------------------------------------------------------------------------------- receiver -- */

async(int64_t, receives, (coil_receiver *) receiver, (std::string *) got)
{
    vars(coil_slice slice);
    await(my->slice, coil_receiver_next(receiver));
    if (my->slice.size_bytes <= 0)
        return my->slice.size_bytes;
    got->append(my->slice.bytes, static_cast<size_t>(my->slice.size_bytes));
    coil_slice_release(&my->slice);
    return static_cast<int64_t>(got->size());
}

class ReceiverInjection : public NopInjection
{
protected:
    /* What the next bytes are received by, and the end that sends them. */
    Ends open(Ends ends, coil_transport transport)
    {
        EXPECT_EQ(0, coil_receiver_create(loop, ends.out.release(), transport, &receiver));
        return ends;
    }

    void finish()
    {
        coil_receiver_close(receiver);
        receiver = nullptr;
        run();
    }

    coil_receiver *receiver = nullptr;
    std::string got;
};

TEST_F(ReceiverInjection, AnErrorIsTheEndOfTheStream)
{
    for (int32_t error : {-ECONNRESET, -ETIMEDOUT, -EIO, -ENOMEM}) {
        Ends ends = open(make_unix(), COIL_TRANSPORT_SOCKET);
        put(ends.in, "bytes");
        inject(IORING_OP_RECV, error);
        EXPECT_EQ(error, RUN(receives(receiver, &got)));
        EXPECT_EQ(error, RUN(receives(receiver, &got))) << "and stays it";
        finish();
    }
}

/* It goes on in another way, or in the same way once more, and nothing is lost. */
TEST_F(ReceiverInjection, WhatIsNoErrorOfTheStreamIsOvercome)
{
    for (int32_t obstacle :
            {-ENOBUFS, -EBADFD, -EINVAL, -EOPNOTSUPP, -EAGAIN, -EINTR, -ECANCELED}) {
        SCOPED_TRACE(obstacle);
        got.clear();
        Ends ends = open(make_unix(), COIL_TRANSPORT_SOCKET);
        inject(IORING_OP_RECV, obstacle);
        put(ends.in, "bytes");
        EXPECT_EQ(5, RUN(receives(receiver, &got)));
        put(ends.in, " and more");
        EXPECT_EQ(14, RUN(receives(receiver, &got)));
        EXPECT_EQ("bytes and more", got);
        ends.in.reset();
        EXPECT_EQ(0, RUN(receives(receiver, &got)));
        finish();
    }
}

TEST_F(ReceiverInjection, WhatIsNoErrorOfAPipeIsOvercome)
{
    for (int32_t obstacle :
            {-ENOBUFS, -EBADFD, -EINVAL, -EOPNOTSUPP, -EAGAIN, -EINTR, -ECANCELED}) {
        SCOPED_TRACE(obstacle);
        got.clear();
        Ends ends = open(make_pipe(), COIL_TRANSPORT_FILE);
        inject(IORING_OP_READ_MULTISHOT, obstacle);
        put(ends.in, "bytes");
        EXPECT_EQ(5, RUN(receives(receiver, &got)));
        ends.in.reset();
        EXPECT_EQ(0, RUN(receives(receiver, &got)));
        EXPECT_EQ("bytes", got);
        finish();
    }
}

/* Where multishot does not work, so that one receive at a time is asked for. */
TEST_F(ReceiverInjection, ASingleReceiveTakesItsErrorsInTheSameWay)
{
    for (int32_t obstacle : {-EAGAIN, -EINTR, -ECANCELED}) {
        SCOPED_TRACE(obstacle);
        got.clear();
        Ends ends = open(make_pipe(), COIL_TRANSPORT_FILE);
        inject(IORING_OP_READ_MULTISHOT, -EBADFD);
        inject(IORING_OP_READ, obstacle);
        put(ends.in, "bytes");
        EXPECT_EQ(5, RUN(receives(receiver, &got)));
        finish();
    }
    Ends ends = open(make_pipe(), COIL_TRANSPORT_FILE);
    inject(IORING_OP_READ_MULTISHOT, -EBADFD);
    inject(IORING_OP_READ, -EIO);
    put(ends.in, "bytes");
    EXPECT_EQ(-EIO, RUN(receives(receiver, &got)));
    finish();
}

/* -EAGAIN of a receive makes it a poll; which may be interrupted, or fail. */
TEST_F(ReceiverInjection, APollTakesItsErrorsInTheSameWay)
{
    for (int32_t obstacle : {-EINTR, -ECANCELED}) {
        SCOPED_TRACE(obstacle);
        got.clear();
        Ends ends = open(make_unix(), COIL_TRANSPORT_SOCKET);
        inject(IORING_OP_RECV, -EAGAIN);
        inject(IORING_OP_POLL_ADD, obstacle);
        put(ends.in, "bytes");
        EXPECT_EQ(5, RUN(receives(receiver, &got)));
        finish();
    }
    Ends ends = open(make_unix(), COIL_TRANSPORT_SOCKET);
    inject(IORING_OP_RECV, -EAGAIN);
    inject(IORING_OP_POLL_ADD, -ENOMEM);
    put(ends.in, "bytes");
    EXPECT_EQ(-ENOMEM, RUN(receives(receiver, &got)));
    finish();
}

/* ------------------------------------------------------------------------------- the others -- */

TEST_F(NopInjection, AnAcceptorReportsAnErrorOnceAndGoesOn)
{
    for (int32_t error : {-EMFILE, -ENFILE, -ECONNABORTED, -ENOBUFS}) {
        Fd listener(listen_on(0));
        int port = port_of(listener);
        coil_acceptor *acceptor = nullptr;
        ASSERT_EQ(
                0, coil_acceptor_create(loop, listener.release(), COIL_ACCEPT_ORDINARY, &acceptor));
        inject(IORING_OP_ACCEPT, error);
        EXPECT_EQ(error, RUN(coil_acceptor_next(acceptor)));
        Fd client(connect_to(port));
        Fd server(static_cast<int>(RUN(coil_acceptor_next(acceptor))));
        EXPECT_LE(0, server);
        coil_acceptor_close(acceptor);
        run();
    }
}

TEST_F(NopInjection, AnAcceptorOvercomesInterruptions)
{
    Fd listener(listen_on(0));
    int port = port_of(listener);
    coil_acceptor *acceptor = nullptr;
    ASSERT_EQ(0, coil_acceptor_create(loop, listener.release(), COIL_ACCEPT_ORDINARY, &acceptor));
    inject(IORING_OP_ACCEPT, -EINTR);
    inject(IORING_OP_ACCEPT, -ECANCELED);
    Fd client(connect_to(port));
    Fd server(static_cast<int>(RUN(coil_acceptor_next(acceptor))));
    EXPECT_LE(0, server);
    coil_acceptor_close(acceptor);
    run();
}

TEST_F(NopInjection, ASenderReportsItsErrorAndOvercomesInterruptions)
{
    const coil_slice five = {5, "bytes", nullptr};
    for (int32_t result : {0, -EPIPE, -ECONNRESET, -EINTR, -ECANCELED, -EAGAIN}) {
        SCOPED_TRACE(result);
        Ends ends = make_pipe();
        coil_sender sender;
        coil_sender_init(&sender, ends.in, COIL_TRANSPORT_FILE);
        inject(IORING_OP_WRITEV, result);
        bool is_overcome = result == -EINTR || result == -ECANCELED || result == -EAGAIN;
        int64_t expected = is_overcome ? 0 : result;
        EXPECT_EQ(result == 0 ? -EIO : expected, RUN(coil_sender_write(&sender, five)));
        if (is_overcome) {
            EXPECT_EQ("bytes", take(ends.out));
        }
    }
}

TEST_F(NopInjection, ASenderThatCannotWaitForRoomReportsThat)
{
    const coil_slice five = {5, "bytes", nullptr};
    Ends ends = make_pipe();
    coil_sender sender;
    coil_sender_init(&sender, ends.in, COIL_TRANSPORT_FILE);
    inject(IORING_OP_WRITEV, -EAGAIN);
    inject(IORING_OP_POLL_ADD, -ENOMEM);
    EXPECT_EQ(-ENOMEM, RUN(coil_sender_write(&sender, five)));
}

TEST_F(NopInjection, AWatchOfADescriptorTellsItsError)
{
    struct Observer {
        coil_fd_watch_hook hook;
        int events;
    } observer = {{[](coil_fd_watch_hook *hook, int events) {
                      coil_container_of(hook, Observer, hook)->events = events;
                  }},
            0};
    coil_fd_watch *watch = nullptr;
    Ends ends = make_unix();
    inject(IORING_OP_POLL_ADD, -ENOMEM);
    ASSERT_EQ(0, coil_fd_watch_create(loop, ends.out, POLLIN, &observer.hook, &watch));
    EXPECT_EQ(0, RUN(coil_sleep(coil_ms(1))));
    EXPECT_EQ(-ENOMEM, observer.events);
    coil_fd_watch_close(watch);
}

coil_datagram_socket *open_datagrams()
{
    coil_datagram_socket *socket = nullptr;
    coil_datagram_options options = {};
    options.local = "127.0.0.1:0";
    EXPECT_EQ(0, coil_datagram_open(&options, &socket));
    return socket;
}

async(int64_t, receives_datagrams, (std::string *) got, (int32_t *) error)
{
    vars(coil_datagram_socket *socket; coil_datagram one; int i; int rc);
    my->socket = open_datagrams();
    defer(coil_datagram_close(my->socket));
    for (my->i = 0; my->i < 2; my->i++) {
        ignore(coil_datagram_send(
                my->socket, coil_datagram_local(my->socket), {5, "bytes", nullptr}));
        await(my->rc, coil_datagram_receive(my->socket, &my->one));
        if (my->rc < 0) {
            *error = my->rc;
            await(my->rc, coil_datagram_receive(my->socket, &my->one));
        }
        if (my->rc < 0)
            return my->rc;
        got->append(my->one.bytes.bytes, static_cast<size_t>(my->one.bytes.size_bytes));
        coil_datagram_release(&my->one);
    }
    return 0;
}

/* Whatever a multishot receive ends with: no datagram is lost, and an error is told once. */
TEST_F(NopInjection, ADatagramSocketGoesOnAfterAnyError)
{
    for (int32_t result : {-ENOBUFS, -EINVAL, -EINTR, -ECANCELED, -ECONNREFUSED, -ENOMEM, -EIO}) {
        SCOPED_TRACE(result);
        std::string got;
        int32_t error = 0;
        inject(IORING_OP_RECVMSG, result);
        EXPECT_EQ(0, RUN(receives_datagrams(&got, &error)));
        EXPECT_EQ("bytesbytes", got);
        bool is_overcome =
                result == -ENOBUFS || result == -EINVAL || result == -EINTR || result == -ECANCELED;
        EXPECT_EQ(is_overcome ? 0 : result, error);
    }
}

/* Before Linux 6.7 there is no such operation; then the descriptor of the process tells. */
TEST_F(NopInjection, WaitsForAChildWithoutTheOperationForIt)
{
    const char *const arguments[] = {"true", nullptr};
    coil_spawn_plan plan = {};
    coil_child child = {};
    plan.program = "true";
    plan.argv = arguments;
    ASSERT_EQ(0, coil_child_spawn(&plan, &child, nullptr));
    inject(IORING_OP_WAITID, -EINVAL);
    EXPECT_EQ(0, RUN(coil_child_wait(&child)));
    EXPECT_TRUE(child.exit.ended);
    coil_child_fini(&child);
}

/* Before Linux 6.9 there is no such operation. */
TEST_F(NopInjection, ALogCutsOffWhatItCouldNotStoreWithoutTheRing)
{
    char path[] = "/tmp/coil-log-cut-XXXXXX";
    Fd file(mkstemp(path));
    coil_log_options options = {};
    coil_log *log = nullptr;
    options.path = path;
    options.when_full = COIL_LOG_DROP;
    ASSERT_EQ(0, RUN(coil_log_open(&options, &log)));
    ASSERT_EQ(4, write(file, "torn", 4)); /* As if the disk had room for this. */
    inject(IORING_OP_WRITE, -ENOSPC);
    inject(IORING_OP_FTRUNCATE, -EINVAL);
    EXPECT_EQ(0, coil_log_say(log, "", "a line"));
    EXPECT_EQ(0, RUN(coil_log_drain(log)));
    EXPECT_EQ(0, lseek(file, 0, SEEK_END));
    EXPECT_EQ(-ENOSPC, RUN(coil_log_close(log)));
    unlink(path);
}

/* The kernel may disarm it at any time; it is armed again, and posts get through. */
TEST_F(NopInjection, TheWakeUpOfALoopIsArmedAgain)
{
    struct Posted {
        coil_post post;
        int count;
    } posted = {};
    posted.post.run = [](coil_post *post) { coil_container_of(post, Posted, post)->count++; };
    for (int32_t result : {0, 1, -EINTR, -ENOMEM, -EAGAIN}) {
        end();
        inject(IORING_OP_POLL_ADD, result); /* The first poll of a loop is that of its wake-up. */
        ASSERT_EQ(0, coil_loop_create(&loop, nullptr));
        EXPECT_EQ(0, RUN(coil_sleep(coil_ms(1))));
        EXPECT_EQ(0, coil_loop_post(loop, &posted.post));
        EXPECT_EQ(0, RUN(coil_sleep(coil_ms(1))));
    }
    EXPECT_EQ(5, posted.count);
}

} // namespace
