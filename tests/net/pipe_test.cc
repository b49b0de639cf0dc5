/* SPDX-License-Identifier: MIT */
/* Pipes, FIFOs, what the program was started with, and terminals. */
#include "wire.h"

#include <coil/pipe.h>
#include <coil/terminal.h>

#include <sys/ioctl.h>
#include <sys/stat.h>

#include <coil/sugar.h>

namespace
{

/* -------------------------------------------------------------------------- standard streams -- */

struct Standard {
    int fd;
    std::string got = "";
};

async(int, read_standard, (Standard *) standard)
{
    vars(coil_stream *in; coil_slice line; int rc);
    my->rc = coil_stream_standard(standard->fd, &my->in);
    if (my->rc < 0)
        return my->rc;
    defer(coil_stream_close(my->in));
    for (;;) {
        attempt(my->line, coil_read_until(my->in, '\n', 100));
        if (my->line.size_bytes == 0)
            return 0;
        standard->got += text_of(my->line) + "|";
        coil_slice_release(&my->line);
    }
}

TEST(StandardStream, ReadsAPipeAndLeavesTheDescriptorAsItIs)
{
    int fds[2];
    ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
    ASSERT_EQ(8, write(fds[1], "one\ntwo\n", 8));
    close(fds[1]);
    Standard standard = {fds[0]};
    EXPECT_EQ(0, coil_run(read_standard(&standard)));
    EXPECT_EQ("one\n|two\n|", standard.got);
    EXPECT_EQ(0, fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    close(fds[0]);
}

TEST(StandardStream, ReadsAFile)
{
    char path[] = "/tmp/coil_pipe_test_XXXXXX";
    const int fd = mkostemp(path, O_CLOEXEC);
    unlink(path);
    ASSERT_EQ(8, pwrite(fd, "one\ntwo\n", 8, 0));
    Standard standard = {fd};
    EXPECT_EQ(0, coil_run(read_standard(&standard)));
    EXPECT_EQ("one\n|two\n|", standard.got);
    close(fd);
}

TEST(StandardStream, ReadsNothingFromTheNullDevice)
{
    Standard standard = {open("/dev/null", O_RDONLY | O_CLOEXEC)};
    EXPECT_EQ(0, coil_run(read_standard(&standard)));
    close(standard.fd);
}

TEST(StandardStream, NeedsADescriptor)
{
    Standard standard = {-1};
    EXPECT_EQ(-EBADF, coil_run(read_standard(&standard)));
}

/* ----------------------------------------------------------------------------------- FIFOs -- */

struct Fifo {
    Fifo()
    {
        char name[] = "/tmp/coil_fifo_test_XXXXXX";
        directory = mkdtemp(name);
        path = directory + "/fifo";
        EXPECT_EQ(0, mkfifo(path.c_str(), 0600));
    }

    ~Fifo()
    {
        unlink(path.c_str());
        rmdir(directory.c_str());
    }

    std::string directory;
    std::string path;
    bool reader_first = true;
};

async(int, write_fifo, (Fifo *) fifo)
{
    vars(coil_stream *out; int i);

    if (fifo->reader_first)
        await(coil_sleep(coil_ms(50)));
    attempt(my->out, coil_fifo_open(fifo->path.c_str(), COIL_FIFO_WRITE));
    defer(coil_stream_close(my->out));
    for (my->i = 0; my->i < 1000; my->i++)
        attempt(coil_write_all(my->out, coil_text("a line of some length\n")));
    return 0;
}

async(int, read_fifo, (Fifo *) fifo)
{
    vars(coil_stream *in; coil_slice line; int count);

    if (!fifo->reader_first)
        await(coil_sleep(coil_ms(50)));
    attempt(my->in, coil_fifo_open(fifo->path.c_str(), COIL_FIFO_READ));
    defer(coil_stream_close(my->in));
    for (;;) {
        attempt(my->line, coil_read_until(my->in, '\n', 100));
        if (my->line.size_bytes == 0)
            break;
        my->count++;
        coil_slice_release(&my->line);
    }
    EXPECT_EQ(1000, my->count);
    return 0;
}

async(int, use_fifo, (Fifo *) fifo)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, read_fifo(fifo));
    spawn(&my->group, write_fifo(fifo));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(FifoOpen, WaitsForAWriter)
{
    Fifo fifo;
    EXPECT_EQ(0, coil_run(coil_within(coil_s(10), use_fifo(&fifo))));
}

TEST(FifoOpen, WaitsForAReader)
{
    Fifo fifo;
    fifo.reader_first = false;
    EXPECT_EQ(0, coil_run(coil_within(coil_s(10), use_fifo(&fifo))));
}

async(int, give_up, (Fifo *) fifo)
{
    vars(coil_stream *stream);

    await(my->stream, within(coil_ms(30), coil_fifo_open(fifo->path.c_str(), COIL_FIFO_READ)));
    EXPECT_EQ(-ETIME, coil_pointer_error(my->stream));
    await(my->stream, within(coil_ms(30), coil_fifo_open(fifo->path.c_str(), COIL_FIFO_WRITE)));
    EXPECT_EQ(-ETIME, coil_pointer_error(my->stream));
    await(my->stream, coil_fifo_open(fifo->directory.c_str(), COIL_FIFO_READ));
    EXPECT_EQ(-EOPNOTSUPP, coil_pointer_error(my->stream));
    await(my->stream, coil_fifo_open("/nowhere/at/all", COIL_FIFO_READ));
    EXPECT_EQ(-ENOENT, coil_pointer_error(my->stream));
    return 0;
}

TEST(FifoOpen, CanBeGivenUp)
{
    Fifo fifo;
    EXPECT_EQ(0, coil_run(give_up(&fifo)));
}

/* ------------------------------------------------------------------------------- terminals -- */

class Terminal : public testing::Test
{
protected:
    Terminal()
    {
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        EXPECT_EQ(0, grantpt(master));
        EXPECT_EQ(0, unlockpt(master));
        slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        EXPECT_GE(slave, 0);
    }

    ~Terminal() override
    {
        close(master);
        close(slave);
    }

    int master;
    int slave;
};

struct Keys {
    int master;
    int slave;
};

async(int, press, (Keys *) keys)
{
    vars(coil_terminal terminal; coil_stream *in; coil_slice key; int rc);

    my->rc = coil_terminal_raw(&my->terminal, keys->slave);
    if (my->rc < 0)
        return my->rc;
    defer(coil_terminal_restore(&my->terminal));
    EXPECT_EQ(0, coil_stream_standard(keys->slave, &my->in));
    defer(coil_stream_close(my->in));
    EXPECT_EQ(1, write(keys->master, "q", 1));
    await(my->key, within(coil_s(10), coil_read_block(my->in, 1)));
    EXPECT_EQ("q", text_of(my->key)) << "no line, and it came";
    coil_slice_release(&my->key);
    await(coil_sleep(coil_s(3600)));
    return 0;
}

TEST_F(Terminal, IsRawInTheScopeAndAsBeforeBehindIt)
{
    termios before;
    termios after;
    Keys keys = {master, slave};
    ASSERT_EQ(0, tcgetattr(slave, &before));
    EXPECT_EQ(-ETIME, coil_run(coil_within(coil_ms(200), press(&keys))));
    ASSERT_EQ(0, tcgetattr(slave, &after));
    EXPECT_EQ(before.c_lflag, after.c_lflag);
    EXPECT_EQ(before.c_iflag, after.c_iflag);
    EXPECT_EQ(before.c_oflag, after.c_oflag);
    EXPECT_EQ(0, fcntl(slave, F_GETFL) & O_NONBLOCK);
}

TEST_F(Terminal, HasASize)
{
    const winsize size = {24, 80, 0, 0};
    coil_terminal_extent extent = {};
    ASSERT_EQ(0, ioctl(slave, TIOCSWINSZ, &size));
    EXPECT_EQ(0, coil_terminal_size(slave, &extent));
    EXPECT_EQ(24u, extent.rows);
    EXPECT_EQ(80u, extent.columns);
}

TEST(NoTerminal, IsSaidToBeNone)
{
    int fds[2];
    coil_terminal terminal = {};
    coil_terminal_extent extent = {};
    ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
    EXPECT_EQ(-ENOTTY, coil_terminal_raw(&terminal, fds[0]));
    EXPECT_FALSE(terminal.is_changed);
    coil_terminal_restore(&terminal);
    EXPECT_EQ(-ENOTTY, coil_terminal_size(fds[0], &extent));
    EXPECT_EQ(-EBADF, coil_terminal_raw(&terminal, -1));
    close(fds[0]);
    close(fds[1]);
}

} // namespace
