/* SPDX-License-Identifier: MIT */
/* A name server on a thread, at a loopback port, by UDP and TCP. It says what the test wants. */
#ifndef NAME_SERVER_H
#define NAME_SERVER_H

#include "dns_words.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct DnsQuery {
    uint16_t id = 0;
    std::string name = {};
    unsigned type = 0;
    bool is_tcp = false;
    unsigned nth = 0; /* The how manieth of this name and type, from 0. */

    std::string answer(const dns::Answer &what) const
    {
        return what.message(id, name, type);
    }
};

class NameServer
{
public:
    /* All that is sent back for a query: nothing, or several messages. */
    using Answerer = std::function<std::vector<std::string>(const DnsQuery &)>;

    explicit NameServer(Answerer answerer) : answerer_(std::move(answerer))
    {
        open_sockets();
        stop_ = eventfd(0, EFD_CLOEXEC);
        thread_ = std::thread([this] { serve(); });
    }
    ~NameServer()
    {
        const uint64_t one = 1;
        if (write(stop_, &one, sizeof(one)) < 0)
            abort();
        thread_.join();
        close(stop_);
        close(udp_);
        close(tcp_);
    }
    NameServer(const NameServer &) = delete;
    NameServer &operator=(const NameServer &) = delete;

    std::string where() const
    {
        return "127.0.0.1:" + std::to_string(port_);
    }

    /* How often it was asked for a name, whatever the type. */
    unsigned count(const std::string &name)
    {
        std::lock_guard<std::mutex> guard(lock_);
        unsigned sum = 0;
        for (const auto &each : counts_)
            sum += each.first.first == name ? each.second : 0;
        return sum;
    }

private:
    void open_sockets()
    {
        for (;;) { /* Until a port is free for both. */
            sockaddr_in at = {};
            at.sin_family = AF_INET;
            at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            socklen_t size = sizeof(at);
            udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const int on = 1;
            setsockopt(tcp_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
            auto *address = static_cast<sockaddr *>(static_cast<void *>(&at));
            if (bind(udp_, address, size) == 0 && getsockname(udp_, address, &size) == 0 &&
                    bind(tcp_, address, size) == 0 && listen(tcp_, 16) == 0) {
                port_ = ntohs(at.sin_port);
                return;
            }
            close(udp_);
            close(tcp_);
        }
    }

    DnsQuery parse(const std::string &bytes, bool is_tcp)
    {
        auto u16 = [&](size_t at) {
            return static_cast<uint16_t>(static_cast<uint8_t>(bytes.at(at)) << 8 |
                                         static_cast<uint8_t>(bytes.at(at + 1)));
        };
        DnsQuery query;
        query.id = u16(0);
        size_t at = 12;
        while (bytes.at(at) != 0) {
            const auto length = static_cast<size_t>(bytes.at(at));
            query.name += (query.name.empty() ? "" : ".") + bytes.substr(at + 1, length);
            at += length + 1;
        }
        query.type = u16(at + 1);
        query.is_tcp = is_tcp;
        std::lock_guard<std::mutex> guard(lock_);
        query.nth = counts_[{query.name, query.type}]++;
        return query;
    }

    void answer_udp()
    {
        char bytes[4096];
        sockaddr_in from = {};
        socklen_t size = sizeof(from);
        auto *address = static_cast<sockaddr *>(static_cast<void *>(&from));
        const ssize_t count = recvfrom(udp_, bytes, sizeof(bytes), 0, address, &size);
        if (count < 12)
            return;
        const auto query = parse(std::string(bytes, static_cast<size_t>(count)), false);
        for (const auto &message : answerer_(query))
            (void)!sendto(udp_, message.data(), message.size(), 0, address, size);
    }

    static bool read_all(int fd, char *bytes, size_t count)
    {
        return recv(fd, bytes, count, MSG_WAITALL) == static_cast<ssize_t>(count);
    }

    void answer_tcp()
    {
        const int fd = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0)
            return;
        const timeval limit = {10, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        uint8_t length[2];
        char bytes[4096];
        for (;;) {
            if (!read_all(fd, static_cast<char *>(static_cast<void *>(length)), 2))
                break;
            const size_t count = static_cast<size_t>(length[0]) << 8 | length[1];
            if (count > sizeof(bytes) || !read_all(fd, bytes, count))
                break;
            std::string out;
            for (const auto &message : answerer_(parse(std::string(bytes, count), true)))
                out += dns::u16(static_cast<unsigned>(message.size())) + message;
            if (out.empty())
                break;
            (void)!send(fd, out.data(), out.size(), MSG_NOSIGNAL);
        }
        close(fd);
    }

    void serve()
    {
        pollfd fds[] = {{stop_, POLLIN, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
        while (poll(fds, 3, -1) > 0 && fds[0].revents == 0) {
            if (fds[1].revents != 0)
                answer_udp();
            if (fds[2].revents != 0)
                answer_tcp();
        }
    }

    Answerer answerer_;
    int stop_ = -1;
    int udp_ = -1;
    int tcp_ = -1;
    unsigned port_ = 0;
    std::mutex lock_{};
    std::map<std::pair<std::string, unsigned>, unsigned> counts_{};
    std::thread thread_{};
};

#endif
