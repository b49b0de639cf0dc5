/* SPDX-License-Identifier: MIT */
/* Datagrams to groups: multicast by both families. */
#include "datagram_stage.h"

#include <net/if.h>

namespace
{

async(int, use_multicast, (Scene *) scene, (const char *) group)
{
    vars(coil_datagram_socket *member; coil_datagram_socket *sender; coil_address to;
            coil_datagram in; char text[64]; unsigned loopback; int rc);

    attempt(my->member, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->member));
    snprintf(my->text, sizeof(my->text), "%s:%u", group,
            coil_address_port(coil_datagram_local(my->member)));
    EXPECT_EQ(0, coil_address_parse(my->text, &my->to));
    my->loopback = if_nametoindex("lo");
    my->rc = coil_datagram_join(my->member, &my->to, my->loopback);
    if (my->rc < 0)
        return my->rc;
    EXPECT_EQ(-EADDRINUSE, coil_datagram_join(my->member, &my->to, my->loopback));
    attempt(my->sender, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->sender));
    {
        const coil_multicast multicast = {my->loopback, 1, true};
        my->rc = coil_datagram_set_multicast(my->sender, &multicast);
    }
    if (my->rc < 0)
        return my->rc;
    attempt(coil_datagram_send(my->sender, &my->to, slice_of("all of you")));
    attempt(receive_all(my->member, scene, 1));
    EXPECT_EQ(0, coil_datagram_leave(my->member, &my->to, my->loopback));
    EXPECT_EQ(-EADDRNOTAVAIL, coil_datagram_leave(my->member, &my->to, my->loopback));
    attempt(coil_datagram_send(my->sender, &my->to, slice_of("and now?")));
    await(my->rc, within(coil_ms(20), coil_datagram_receive(my->member, &my->in)));
    scene->results.push_back(my->rc);
    return 0;
}

TEST(Datagram, ReachesThoseWhoHaveJoinedAndNotThoseWhoHaveLeft)
{
    Scene scene;
    scene.address = "0.0.0.0:0";
    scene.options.tells_local = true;
    const int rc = coil_run(use_multicast(&scene, "239.255.71.3"));
    if (rc == -ENODEV || rc == -ENETUNREACH || rc == -EPERM)
        GTEST_SKIP() << "no multicast here: " << rc;
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"all of you"}), scene.got);
    EXPECT_EQ("239.255.71.3:0", scene.to);
    EXPECT_EQ(if_nametoindex("lo"), scene.interface_index);
    EXPECT_EQ((std::vector<int64_t>{-ETIME}), scene.results);
}

TEST(Datagram, ReachesThoseWhoHaveJoinedByIPv6)
{
    Scene scene;
    scene.address = "[::]:0";
    const int rc = coil_run(use_multicast(&scene, "[ff02::7103]"));
    if (rc == -ENODEV || rc == -ENETUNREACH || rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        GTEST_SKIP() << "no multicast here: " << rc;
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"all of you"}), scene.got);
}

/* Of a group, what one sender says; the other is not heard. */
async(int, listen_to_one, (Scene *) scene, (const char *) group)
{
    vars(coil_datagram_socket *member; coil_datagram_socket *heard; coil_datagram_socket *other;
            coil_address to; char text[64]; unsigned loopback; int rc);

    attempt(my->member, opened_at("0.0.0.0:0", nullptr));
    defer(coil_datagram_close(my->member));
    attempt(my->heard, opened_at("127.0.0.1:0", nullptr));
    defer(coil_datagram_close(my->heard));
    attempt(my->other, opened_at("127.0.0.2:0", nullptr));
    defer(coil_datagram_close(my->other));
    snprintf(my->text, sizeof(my->text), "%s:%u", group,
            coil_address_port(coil_datagram_local(my->member)));
    EXPECT_EQ(0, coil_address_parse(my->text, &my->to));
    my->loopback = if_nametoindex("lo");
    {
        const coil_address *source = coil_datagram_local(my->heard);
        my->rc = coil_datagram_join_source(my->member, &my->to, source, my->loopback);
        if (my->rc < 0)
            return my->rc;
        EXPECT_EQ(-EADDRNOTAVAIL,
                coil_datagram_join_source(my->member, &my->to, source, my->loopback));
        const coil_multicast multicast = {my->loopback, 1, true};
        my->rc = coil_datagram_set_multicast(my->heard, &multicast);
        if (my->rc == 0)
            my->rc = coil_datagram_set_multicast(my->other, &multicast);
        if (my->rc < 0)
            return my->rc;
    }
    attempt(coil_datagram_send(my->other, &my->to, slice_of("not heard")));
    attempt(coil_datagram_send(my->heard, &my->to, slice_of("heard")));
    attempt(receive_all(my->member, scene, 1));
    EXPECT_EQ(0, coil_datagram_leave_source(
                         my->member, &my->to, coil_datagram_local(my->heard), my->loopback));
    EXPECT_EQ(-EINVAL, coil_datagram_leave_source(
                               my->member, &my->to, coil_datagram_local(my->heard), my->loopback));
    return 0;
}

TEST(Datagram, ReachesThoseWhoHaveJoinedItsSender)
{
    Scene scene;
    const int rc = coil_run(listen_to_one(&scene, "232.71.3.1"));
    if (rc == -ENODEV || rc == -ENETUNREACH || rc == -EPERM)
        GTEST_SKIP() << "no multicast here: " << rc;
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"heard"}), scene.got);
}

/* One group after the other, until the kernel has enough. */
async(int, join_many)
{
    vars(coil_datagram_socket *socket; int rc);

    attempt(my->socket, opened_at("0.0.0.0:0", nullptr));
    defer(coil_datagram_close(my->socket));
    for (int i = 0; my->rc == 0 && i < 2000; i++) {
        coil_address group;
        const std::string at =
                "239.71." + std::to_string(i / 200) + "." + std::to_string(i % 200 + 1) + ":1";
        EXPECT_EQ(0, coil_address_parse(at.c_str(), &group));
        my->rc = coil_datagram_join(my->socket, &group, if_nametoindex("lo"));
    }
    return my->rc;
}

TEST(Datagram, JoinsAsManyGroupsAsTheKernelAllows)
{
    const int rc = coil_run(join_many());
    if (rc == -ENODEV || rc == -EPERM || rc == 0)
        GTEST_SKIP() << "no multicast here, or no limit (net.ipv4.igmp_max_memberships): " << rc;
    EXPECT_EQ(-ENOBUFS, rc);
}

async(int, misuse_multicast)
{
    vars(coil_datagram_socket *socket; int rc);
    const coil_multicast none = {};
    const coil_multicast far = {0, 256, false};
    coil_address group;
    EXPECT_EQ(0, coil_address_parse("239.1.1.1:1", &group));
    my->rc = open_at(abstract_name().c_str(), nullptr, &my->socket);
    EXPECT_EQ(0, my->rc);
    EXPECT_EQ(-EOPNOTSUPP, coil_datagram_join(my->socket, &group, 0));
    EXPECT_EQ(-EOPNOTSUPP, coil_datagram_set_multicast(my->socket, &none));
    coil_datagram_close(my->socket);
    my->rc = open_at("127.0.0.1:0", nullptr, &my->socket);
    EXPECT_EQ(0, my->rc);
    EXPECT_EQ(-EINVAL, coil_datagram_set_multicast(my->socket, &far));
    EXPECT_EQ(-EINVAL, coil_datagram_join(my->socket, coil_datagram_local(my->socket), 0));
    coil_datagram_close(my->socket);
    return 0;
}

TEST(Datagram, HasNoGroupsWhereThereIsNoMulticast)
{
    EXPECT_EQ(0, coil_run(misuse_multicast()));
}

} // namespace
