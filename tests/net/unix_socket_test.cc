/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <coil/unix_socket.h>

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <coil/sugar.h>

namespace
{

/* A file whose content says which one it is. */
int marked(const std::string &mark)
{
    char path[] = "/tmp/coil_unix_socket_test_XXXXXX";
    const int fd = mkostemp(path, O_CLOEXEC);
    EXPECT_GE(fd, 0);
    unlink(path);
    EXPECT_EQ(static_cast<ssize_t>(mark.size()), pwrite(fd, mark.data(), mark.size(), 0));
    return fd;
}

/* Which one it is; it is closed. */
std::string mark_of(int fd)
{
    char mark[100];
    if (fd < 0)
        return "error " + std::to_string(fd);
    EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    const ssize_t size = pread(fd, mark, sizeof(mark), 0);
    close(fd);
    return std::string(mark, size > 0 ? static_cast<size_t>(size) : 0);
}

int open_count()
{
    int count = 0;
    for (int fd = 0; fd < 2000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

async(int, hand_over, (Wire *) wire)
{
    vars(int fds[3]; coil_slice in; int i);

    EXPECT_EQ(0, coil_stream_carry_fds(wire->other));
    EXPECT_EQ(-EAGAIN, coil_stream_take_fd(wire->other));
    for (my->i = 0; my->i < 3; my->i++)
        my->fds[my->i] = marked(std::string(1, static_cast<char>('a' + my->i)));
    attempt(coil_write_all(wire->one, coil_text("before ")));
    attempt(coil_write_fds(wire->one, coil_text("two "), my->fds, 2));
    attempt(coil_write_fds(wire->one, coil_text("one\n"), my->fds + 2, 1));
    for (my->i = 0; my->i < 3; my->i++)
        close(my->fds[my->i]);
    EXPECT_EQ(15u, coil_stream_bytes_written(wire->one));

    attempt(my->in, coil_read_until(wire->other, '\n', 100));
    EXPECT_EQ("before two one\n", text_of(my->in));
    coil_slice_release(&my->in);
    EXPECT_EQ("a", mark_of(coil_stream_take_fd(wire->other)));
    EXPECT_EQ("b", mark_of(coil_stream_take_fd(wire->other)));
    EXPECT_EQ("c", mark_of(coil_stream_take_fd(wire->other)));
    EXPECT_EQ(-EAGAIN, coil_stream_take_fd(wire->other));

    attempt(coil_write_all(wire->other, coil_text("back")));
    attempt(my->in, coil_read_block(wire->one, 4));
    coil_slice_release(&my->in);
    EXPECT_EQ(-EBUSY, coil_stream_carry_fds(wire->one)) << "it has been read before";
    return 0;
}

TEST(UnixSocket, HandsOverDescriptorsInOrder)
{
    const int before = open_count();
    EXPECT_EQ(0, RUN_ON_WIRE(hand_over));
    EXPECT_EQ(before, open_count());
}

async(int, hand_over_to_nobody, (Wire *) wire)
{
    vars(int fd; coil_slice in);

    my->fd = marked("x");
    attempt(coil_write_fds(wire->one, coil_text("text"), &my->fd, 1));
    attempt(coil_write_fds(wire->other, coil_text("kept"), &my->fd, 1));
    close(my->fd);
    attempt(my->in, coil_read_block(wire->other, 4)); /* It does not carry any. */
    coil_slice_release(&my->in);
    EXPECT_EQ(-EAGAIN, coil_stream_take_fd(wire->other));
    EXPECT_EQ(0, coil_stream_carry_fds(wire->one));
    attempt(my->in, coil_read_block(wire->one, 4)); /* It does, and nobody takes it. */
    coil_slice_release(&my->in);
    attempt(coil_write_all(wire->one, coil_text("more")));
    attempt(my->in, coil_read_block(wire->other, 4));
    coil_slice_release(&my->in);
    return 0;
}

TEST(UnixSocket, ClosesDescriptorsThatNobodyTakes)
{
    const int before = open_count();
    EXPECT_EQ(0, RUN_ON_WIRE(hand_over_to_nobody));
    EXPECT_EQ(before, open_count());
}

async(int, misuse, (Wire *) wire)
{
    vars(int fds[254]; int rc; coil_stream *reader; coil_stream *writer);

    await(my->rc, coil_write_fds(wire->one, coil_text(""), my->fds, 1));
    EXPECT_EQ(-EINVAL, my->rc);
    await(my->rc, coil_write_fds(wire->one, coil_text("x"), my->fds, 0));
    EXPECT_EQ(-EINVAL, my->rc);
    await(my->rc, coil_write_fds(wire->one, coil_text("x"), my->fds, 254));
    EXPECT_EQ(-EINVAL, my->rc);
    my->fds[0] = -1;
    await(my->rc, coil_write_fds(wire->one, coil_text("x"), my->fds, 1));
    EXPECT_EQ(-EBADF, my->rc);
    await(my->rc, coil_write_all(wire->one, coil_text("still usable")));
    EXPECT_EQ(0, my->rc);
    EXPECT_EQ(0, coil_pipe_create(&my->reader, &my->writer));
    await(my->rc, coil_write_fds(my->writer, coil_text("x"), my->fds, 1));
    EXPECT_EQ(-EOPNOTSUPP, my->rc);
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_carry_fds(my->reader));
    coil_stream_close(my->reader);
    coil_stream_close(my->writer);
    return 0;
}

/* Descriptors and some of the bytes are out; the rest never will be. */
async(int, cut_a_message, (Wire *) wire)
{
    static const std::string much(1 << 20, 'm');
    vars(int fd; int rc);

    wire->shrink();
    my->fd = STDIN_FILENO;
    await(my->rc, within(coil_ms(10), coil_write_fds(wire->one,
                                              coil_bytes(much.data(), much.size()), &my->fd, 1)));
    EXPECT_EQ(-ETIME, my->rc);
    EXPECT_LT(0u, coil_stream_bytes_written(wire->one));
    EXPECT_GT(much.size(), coil_stream_bytes_written(wire->one));
    await(my->rc, coil_write_all(wire->one, coil_text("behind a part")));
    EXPECT_EQ(-EPIPE, my->rc);
    return 0;
}

TEST(UnixSocket, LetsNothingFollowAMessageThatIsCancelledInItsMiddle)
{
    EXPECT_EQ(0, RUN_ON_WIRE(cut_a_message));
}

TEST(UnixSocket, RefusesWhatCannotBeHandedOver)
{
    EXPECT_EQ(0, RUN_ON_WIRE(misuse));
}

/* A peer that sends descriptors for ever, with one byte each. */
async(int, send_for_ever, (Wire *) wire)
{
    vars(int fds[100]; int i; int rc);

    for (my->i = 0; my->i < 100; my->i++)
        my->fds[my->i] = STDIN_FILENO;
    do {
        await(my->rc, coil_write_fds(wire->one, coil_text("x"), my->fds, 100));
    } while (my->rc == 0);
    return my->rc == -EPIPE || my->rc == -ECONNRESET ? 0 : my->rc;
}

async(int, take_none, (Wire *) wire)
{
    vars(coil_slice in; int count; coil_group group);

    open_group(&my->group);
    spawn(&my->group, send_for_ever(wire));
    EXPECT_EQ(0, coil_stream_carry_fds(wire->other));
    for (;;) {
        await(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes < 0)
            break;
        my->count += static_cast<int>(my->in.size_bytes);
        coil_slice_release(&my->in);
    }
    EXPECT_EQ(-ETOOMANYREFS, my->in.size_bytes);
    EXPECT_EQ(COIL_RECEIVER_FDS_MAX / 100, my->count);
    coil_stream_close(wire->other);
    wire->other = NULL;
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(UnixSocket, BoundsWhatAPeerCanMakeUsHold)
{
    const int before = open_count();
    EXPECT_EQ(0, RUN_ON_WIRE(take_none));
    EXPECT_EQ(before, open_count());
}

/* Three more can be opened. */
void limit_descriptors(const struct rlimit &before)
{
    const int next = dup(0);
    close(next);
    const struct rlimit few = {static_cast<rlim_t>(next) + 3, before.rlim_max};
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
}

async(int, receive_without_room, (Wire *) wire)
{
    vars(int fds[10]; coil_slice in; int i; struct rlimit before);

    for (my->i = 0; my->i < 10; my->i++)
        my->fds[my->i] = STDIN_FILENO;
    EXPECT_EQ(0, coil_stream_carry_fds(wire->other));
    attempt(coil_write_fds(wire->one, coil_text("x"), my->fds, 10));
    EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &my->before));
    limit_descriptors(my->before);
    await(my->in, coil_read_some(wire->other));
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &my->before));
    EXPECT_EQ(-EMFILE, my->in.size_bytes);
    return 0;
}

TEST(UnixSocket, SaysWhenThereIsNoRoomForDescriptors)
{
    const int before = open_count();
    EXPECT_EQ(0, RUN_ON_WIRE(receive_without_room));
    EXPECT_EQ(before, open_count());
}

/* ------------------------------------------------------------------------- cancellation -- */

struct Books {
    Wire *wire;
    unsigned sent = 0;
    unsigned taken = 0;
    bool is_over = false;
};

async(int, send_marked, (Books *) books)
{
    vars(int fd; int i; int rc; char text[20]);

    for (my->i = 0; my->i < 60; my->i++) {
        my->fd = marked(std::to_string(books->sent));
        await(my->rc, within(coil_us(books->wire->random() % 200),
                              coil_write_fds(books->wire->one, coil_text("x"), &my->fd, 1)));
        close(my->fd);
        if (my->rc == 0)
            books->sent++;
        else
            EXPECT_EQ(-ETIME, my->rc);
        if (books->wire->random() % 2 == 0)
            await(coil_sleep(coil_us(100)));
    }
    attempt(coil_stream_shutdown(books->wire->one));
    return 0;
}

async(int, take_marked, (Books *) books)
{
    vars(coil_slice in; int fd);

    EXPECT_EQ(0, coil_stream_carry_fds(books->wire->other));
    for (;;) {
        await(my->in, within(coil_us(books->wire->random() % 200),
                              coil_read_block(books->wire->other, 1)));
        if (my->in.size_bytes == -ETIME)
            continue;
        if (my->in.size_bytes <= 0)
            return static_cast<int>(my->in.size_bytes);
        coil_slice_release(&my->in);
        EXPECT_EQ(std::to_string(books->taken++), mark_of(coil_stream_take_fd(books->wire->other)));
    }
}

async(int, exchange_marked, (Wire *) wire)
{
    vars(Books *books; coil_group group);

    my->books = new Books{wire};
    defer(delete my->books);
    open_group(&my->group);
    spawn(&my->group, send_marked(my->books));
    spawn(&my->group, take_marked(my->books));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(my->books->sent, my->books->taken);
    return 0;
}

TEST(UnixSocket, LosesNoDescriptorHoweverOftenItIsCancelled)
{
    const int before = open_count();
    for (unsigned seed = 1; seed <= wire_seeds(4); seed++) {
        SCOPED_TRACE(seed);
        Wire wire(seed);
        EXPECT_EQ(0, RUN_ON(SOCKETS, &wire, exchange_marked));
    }
    EXPECT_EQ(before, open_count());
}

/* ------------------------------------------------------------------------------- the peer -- */

async(int, ask_for_peer, (Wire *) wire)
{
    vars();
    coil_credentials peer = {};
    EXPECT_EQ(0, coil_stream_peer_credentials(wire->one, &peer));
    EXPECT_EQ(getpid(), peer.pid);
    EXPECT_EQ(getuid(), peer.uid);
    EXPECT_EQ(getgid(), peer.gid);
    const int pidfd = coil_stream_peer_pidfd(wire->one);
    if (pidfd != -EOPNOTSUPP) {
        EXPECT_GE(pidfd, 0);
        EXPECT_EQ(FD_CLOEXEC, fcntl(pidfd, F_GETFD));
        pollfd one = {pidfd, POLLIN, 0};
        EXPECT_EQ(0, poll(&one, 1, 0)) << "we live";
        close(pidfd);
    }
    coil_stream *reader = nullptr;
    coil_stream *writer = nullptr;
    EXPECT_EQ(0, coil_pipe_create(&reader, &writer));
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_peer_credentials(reader, &peer));
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_peer_pidfd(reader));
    coil_stream_close(reader);
    coil_stream_close(writer);
    coil_stream *tcp = nullptr;
    EXPECT_EQ(0, coil_stream_create(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         COIL_TRANSPORT_SOCKET, &tcp));
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_peer_credentials(tcp, &peer)) << "and not of nobody";
    EXPECT_EQ(-EOPNOTSUPP, coil_stream_peer_pidfd(tcp));
    coil_stream_close(tcp);
    return 0;
}

TEST(UnixSocket, KnowsItsPeer)
{
    EXPECT_EQ(0, RUN_ON_WIRE(ask_for_peer));
}

} // namespace
