/* SPDX-License-Identifier: MIT */
#include "hostile_target.h"

#include "hostile_memory.h"
#include "hostile_thrift.h"
#include "served.h"

#include <atomic>
#include <ctime>

namespace
{

using packet::stop;

std::atomic<double> server_ms; /* Of the server's thread. */

double milliseconds(clockid_t clock)
{
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

async(int, echo, (hostile_Target_echo_call *) call)
{
    vars();
    call->result.success = call->arguments.text;
    return 0;
}

async(int, take, (hostile_Target_take_call *) call)
{
    vars();
    call->result.success = static_cast<int32_t>(call->arguments.thing.words.count);
    return 0;
}

async(int, grow, (hostile_Target_grow_call *) call)
{
    vars();
    call->result.success = static_cast<int32_t>(call->arguments.tree.branches.count);
    return 0;
}

async(int, note, (hostile_Target_note_call *) call)
{
    vars();
    (void)call;
    return 0;
}

async(int, ping, (hostile_Target_ping_call *) call)
{
    vars();
    (void)call;
    server_ms = milliseconds(CLOCK_THREAD_CPUTIME_ID);
    return 0;
}

hostile_Target_handlers handlers()
{
    hostile_Target_handlers all = {};
    all.echo = hostile_Target_echo_handler(echo);
    all.take = hostile_Target_take_handler(take);
    all.grow = hostile_Target_grow_handler(grow);
    all.note = hostile_Target_note_handler(note);
    all.ping = hostile_Target_ping_handler(ping);
    return all;
}

struct Target {
    Target() : all(handlers())
    {
        hostile_Target_init(&target, &all);
        served = std::make_unique<Served>(std::vector<coil_thrift_service *>{&target.service});
    }

    hostile_Target_handlers all;
    hostile_Target target;
    std::unique_ptr<Served> served;
};

/* Calls again and again, until it is told that this is enough. */
class Other
{
public:
    explicit Other(const Served &served) : peer(served.connected())
    {
        use(&peer);
        Peer another = served.connected(); /* Of which the server keeps some memory. */
        use(&another);
        ping();
        slowest_ms = 0;
    }

    bool ping()
    {
        const double before = milliseconds(CLOCK_MONOTONIC);
        is_served = peer.send(packet::framed(packet::call("ping", stop()))) &&
                    peer.receive_frame() == packet::reply("ping", stop()) && is_served;
        slowest_ms = std::max(slowest_ms, milliseconds(CLOCK_MONOTONIC) - before);
        return is_served;
    }

    void go_on()
    {
        thread = std::thread([this] {
            memory_of_this_thread_is_not_counted();
            do {
                ping();
                std::this_thread::sleep_for(std::chrono::microseconds(200));
            } while (is_served && !is_enough);
            ping();
        });
    }

    void end()
    {
        is_enough = true;
        thread.join();
    }

    Peer peer;
    double slowest_ms = 0;
    bool is_served = true;

private:
    /*
     * What the server counts for each method is there after its first call; how much stack its
     * tasks need is learned from the first few.
     */
    static void use(Peer *caller)
    {
        for (int i = 0; i < 8; i++)
            call_each(caller);
        EXPECT_TRUE(caller->send(packet::framed(packet::call("note", stop()))));
    }

    static void call_each(Peer *caller)
    {
        EXPECT_TRUE(caller->send(packet::framed(packet::echo(
                packet::field(11, 1) + packet::text(std::string(300000, 'x')) + stop()))));
        EXPECT_NE("", caller->receive_frame());
        for (const char *method : {"echo", "take", "grow", "nobody", "ping", "getCounters"}) {
            EXPECT_TRUE(caller->send(packet::framed(packet::call(method, stop()))));
            EXPECT_NE("", caller->receive_frame());
        }
    }

    std::thread thread;
    std::atomic<bool> is_enough{false};
};

/* All that comes back. */
std::string converse(
        const Served &served, const std::string &bytes, int awaited = 0, bool *out_hangs = nullptr)
{
    Peer peer = served.connected();
    (void)peer.send(bytes); /* The server may have closed it before the end. */
    std::string received;
    for (int i = 0; i < awaited; i++)
        received += packet::framed(peer.receive_frame());
    peer.end();
    for (std::string more = peer.receive(4096); !more.empty(); more = peer.receive(4096))
        received += more;
    if (out_hangs != nullptr)
        *out_hangs = peer.broken != 0 && peer.broken != ECONNRESET;
    return received;
}

/* After these the server's pools are as those of one that has run for a while. */
std::vector<std::string> usual_calls()
{
    const std::string ping = packet::call("ping", stop());
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";

    return {packet::framed(ping), ping, packet::framed("?"), ping.substr(0, 10), packet::i32(-1),
            post + std::to_string(ping.size()) + "\r\n\r\n" + ping, post + "x\r\n\r\n"};
}

} // namespace

HostileOutcome hostile_attack(const HostilePacket &packet)
{
    HostileOutcome outcome = {};

    memory_of_this_thread_is_not_counted();
    const Target target;
    for (const std::string &usual : usual_calls())
        (void)converse(*target.served, usual);
    Other other(*target.served);
    const double before_ms = server_ms;
    const int64_t before_bytes = memory_mark();

    other.go_on();
    const std::string received =
            converse(*target.served, packet.bytes, packet.awaited, &outcome.is_hanging);
    other.end();

    outcome.peak_bytes = memory_peak() - before_bytes;
    outcome.server_ms = server_ms - before_ms;
    outcome.slowest_ms = other.slowest_ms;
    outcome.is_other_served = other.is_served;
    hostile_describe(received, &outcome);
    return outcome;
}
