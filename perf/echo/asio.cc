// SPDX-License-Identifier: MIT

// An echo server on asio: a C++20 coroutine per connection, one io_context of one thread that is
// told so, and no any_io_executor in between. The same source is built for asio's epoll reactor and
// for its io_uring backend (ASIO_HAS_IO_URING, ASIO_DISABLE_EPOLL).
#include "serve.h"

#include <asio.hpp>

#include <csignal>
#include <memory>

namespace
{

using executor = asio::io_context::executor_type;
template <class T> using task = asio::awaitable<T, executor>;
using stream = asio::basic_stream_socket<asio::ip::tcp, executor>;
using acceptor = asio::basic_socket_acceptor<asio::ip::tcp, executor>;

constexpr asio::use_awaitable_t<executor> awaited;
constexpr std::size_t BUFFER_BYTES = 256 * 1024;

// The bytes of a connection stay its own: asio may complete a read before the coroutine runs.
// Without value-initialisation, so that only the pages that are used cost memory.
task<void> echo(stream socket)
{
    const std::unique_ptr<char[]> bytes(new char[BUFFER_BYTES]);
    asio::error_code error;
    const auto quietly = [&error] { return asio::redirect_error(awaited, error); };

    socket.set_option(asio::ip::tcp::no_delay(true), error);
    socket.non_blocking(true, error);
    while (!error) {
        std::size_t got =
                co_await socket.async_read_some(asio::buffer(bytes.get(), BUFFER_BYTES), quietly());
        if (error)
            break;
        // At once, without a turn of the loop; asio waits only for what a full socket refused.
        std::size_t sent = socket.write_some(asio::buffer(bytes.get(), got), error);
        if (error == asio::error::would_block)
            error.clear();
        if (!error && sent < got)
            co_await asio::async_write(
                    socket, asio::buffer(bytes.get() + sent, got - sent), quietly());
    }
}

task<void> serve(acceptor &listener)
{
    const executor where = listener.get_executor();

    for (;;) {
        asio::error_code error;
        stream socket = co_await listener.async_accept(asio::redirect_error(awaited, error));
        if (error == asio::error::operation_aborted)
            break;
        if (!error)
            asio::co_spawn(where, echo(std::move(socket)), asio::detached);
    }
}

} // namespace

int main(int argc, char **argv)
{
    const serve_option options[] = {{nullptr, nullptr, nullptr}};
    const int port = serve_options(argc, argv, options);

    asio::io_context context(1);
    acceptor listener(context.get_executor(), asio::ip::tcp::v4(), serve_listen(port, 0));
    asio::basic_signal_set<executor> terminate(context.get_executor(), SIGTERM, SIGINT);
    terminate.async_wait([&context](asio::error_code, int) { context.stop(); });
    asio::co_spawn(context, serve(listener), asio::detached);
    context.run();
    return 0;
}
