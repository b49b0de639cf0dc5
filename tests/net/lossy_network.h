/* SPDX-License-Identifier: MIT */
/*
 * Two hosts with a bad line between them: two network namespaces (network_namespaces(7)), each
 * with a tun device whose packets a thread of the test carries to the other, late, out of order,
 * or not at all. So it is the kernel's TCP and UDP that meet the loss, without tc-netem(8), which
 * not every kernel has. Nothing is left behind: the namespaces have no names, and go with their
 * descriptors.
 *
 *     near  10.9.0.2  fd09::2 ----tun== thread ==tun---- 10.9.0.1  fd09::1  far
 */
#ifndef LOSSY_NETWORK_H
#define LOSSY_NETWORK_H

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

/* How bad it is. May change while it is in use. */
struct Weather {
    std::atomic<int> delay_ms{0};         /* In each direction. */
    std::atomic<int> lost_per_1000{0};    /* Packets. */
    std::atomic<int> delayed_per_1000{0}; /* Packets that take `detour_ms` longer than others. */
    std::atomic<int> detour_ms{0};
    std::atomic<bool> loses_ipv6{false}; /* All of it. */
    std::atomic<bool> loses_all{false};
};

class LossyNetwork
{
public:
    enum Side { FAR, NEAR };

    LossyNetwork()
    {
        fds[FAR] = make_host(FAR);
        if (fds[FAR] >= 0)
            fds[NEAR] = make_host(NEAR);
        go_to(home);
        if (fds[FAR] < 0 || fds[NEAR] < 0)
            return;
        wake = eventfd(0, EFD_CLOEXEC);
        carrier = std::thread([this] { carry(); });
    }

    ~LossyNetwork()
    {
        const uint64_t one = 1;
        if (carrier.joinable()) {
            EXPECT_EQ(ssize_t{sizeof(one)}, write(wake, &one, sizeof(one)));
            carrier.join();
        }
        for (int fd : {fds[FAR], fds[NEAR], hosts[FAR], hosts[NEAR], home, wake}) {
            if (fd >= 0)
                close(fd);
        }
    }

    LossyNetwork(const LossyNetwork &) = delete;
    LossyNetwork &operator=(const LossyNetwork &) = delete;

    /* Empty: it exists. Else why it does not. */
    const std::string &missing() const
    {
        return what_is_missing;
    }

    /* While it lives, this thread is on one of the hosts: sockets that it makes are there. */
    class Visit
    {
    public:
        Visit(const LossyNetwork &network, Side side) : before(namespace_of_this_thread())
        {
            network.go_to(network.hosts[side]);
        }

        ~Visit()
        {
            EXPECT_EQ(0, setns(before, CLONE_NEWNET)) << strerror(errno);
            close(before);
        }

        Visit(const Visit &) = delete;
        Visit &operator=(const Visit &) = delete;

    private:
        int before;
    };

    Weather weather;
    std::atomic<uint64_t> carried{0};
    std::atomic<uint64_t> lost{0}; /* Of IPv4. */

private:
    using Clock = std::chrono::steady_clock;

    struct Packet {
        int to;
        std::vector<char> bytes;
    };

    int fail(const std::string &what)
    {
        what_is_missing = what + ": " + strerror(errno);
        return -1;
    }

    static int namespace_of_this_thread()
    {
        return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    }

    void go_to(int host) const
    {
        EXPECT_EQ(0, setns(host, CLONE_NEWNET)) << strerror(errno);
    }

    /* Its tun device. This thread is on it, then. */
    int make_host(Side side)
    {
        if (home < 0)
            home = namespace_of_this_thread();
        if (unshare(CLONE_NEWNET) != 0)
            return fail("no network namespaces");
        hosts[side] = namespace_of_this_thread();
        const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            return fail("no /dev/net/tun");
        ifreq device = {};
        strcpy(device.ifr_name, "line");
        device.ifr_flags = IFF_TUN | IFF_NO_PI;
        if (ioctl(fd, TUNSETIFF, &device) != 0 || !is_up(&device, side)) {
            fail("no tun device");
            close(fd);
            return -1;
        }
        return fd;
    }

    static bool is_up(ifreq *device, Side side)
    {
        std::ofstream("/proc/sys/net/ipv6/conf/line/accept_dad") << "0";
        const int v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const int v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(0x0a090000U + (side == FAR ? 1 : 2));
        memcpy(&device->ifr_addr, &address, sizeof(address));
        bool is_good = ioctl(v4, SIOCSIFADDR, device) == 0;
        address.sin_addr.s_addr = htonl(0xffffff00U);
        memcpy(&device->ifr_netmask, &address, sizeof(address));
        is_good = is_good && ioctl(v4, SIOCSIFNETMASK, device) == 0;
        device->ifr_flags = IFF_UP | IFF_RUNNING;
        is_good = is_good && ioctl(v4, SIOCSIFFLAGS, device) == 0;
        in6_ifreq address6 = {};
        inet_pton(AF_INET6, side == FAR ? "fd09::1" : "fd09::2", &address6.ifr6_addr);
        address6.ifr6_prefixlen = 64;
        address6.ifr6_ifindex = static_cast<int>(if_nametoindex(device->ifr_name));
        is_good = is_good && ioctl(v6, SIOCSIFADDR, &address6) == 0;
        ifreq loopback = {};
        strcpy(loopback.ifr_name, "lo");
        loopback.ifr_flags = IFF_UP | IFF_RUNNING;
        is_good = is_good && ioctl(v4, SIOCSIFFLAGS, &loopback) == 0;
        close(v4);
        close(v6);
        return is_good;
    }

    /* ------------------------------------------------------------------------ its thread -- */

    bool is_lost(const char *packet)
    {
        const bool is_v6 = (packet[0] & 0xf0) == 0x60;
        return weather.loses_all || (weather.loses_ipv6 && is_v6) ||
               static_cast<int>(random() % 1000) < weather.lost_per_1000;
    }

    void take(Side from)
    {
        char packet[65536];
        for (;;) {
            const ssize_t size = read(fds[from], packet, sizeof(packet));
            if (size <= 0)
                return;
            if (is_lost(packet)) {
                lost += (packet[0] & 0xf0) == 0x40; /* (IPv6 also speaks by itself.) */
                continue;
            }
            int ms = weather.delay_ms;
            if (static_cast<int>(random() % 1000) < weather.delayed_per_1000)
                ms += weather.detour_ms;
            under_way.emplace(Clock::now() + std::chrono::milliseconds(ms),
                    Packet{fds[from == FAR ? NEAR : FAR], {packet, packet + size}});
        }
    }

    void deliver()
    {
        while (!under_way.empty() && under_way.begin()->first <= Clock::now()) {
            const Packet &packet = under_way.begin()->second;
            if (write(packet.to, packet.bytes.data(), packet.bytes.size()) > 0)
                carried++;
            under_way.erase(under_way.begin());
        }
    }

    int patience() const
    {
        if (under_way.empty())
            return -1;
        const auto left = under_way.begin()->first - Clock::now();
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        return ms > 0 ? static_cast<int>(ms) : 0;
    }

    void carry()
    {
        pollfd all[3] = {{fds[FAR], POLLIN, 0}, {fds[NEAR], POLLIN, 0}, {wake, POLLIN, 0}};
        while ((all[2].revents & POLLIN) == 0) {
            poll(all, 3, patience());
            take(FAR);
            take(NEAR);
            deliver();
        }
    }

    int home = -1;
    int hosts[2] = {-1, -1};
    int fds[2] = {-1, -1};
    int wake = -1;
    std::string what_is_missing;
    std::mt19937 random{1};
    std::multimap<Clock::time_point, Packet> under_way;
    std::thread carrier;
};

#endif
