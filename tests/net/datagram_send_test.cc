/* SPDX-License-Identifier: MIT */
/* Datagrams that have to wait, whose tasks are cancelled, and that leave from where they should. */
#include "datagram_stage.h"

#include <coil/test_loop.h>

#include <atomic>
#include <cstdlib>
#include <random>

/* The test plays a device without room: so many times. */
extern "C" {
std::atomic<int> no_room{0};
ssize_t __real_coil_kernel_sendmsg_now(int fd, const struct msghdr *message);
ssize_t __wrap_coil_kernel_sendmsg_now(int fd, const struct msghdr *message);
ssize_t __wrap_coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    return no_room > 0 && no_room-- > 0 ? -ENOBUFS : __real_coil_kernel_sendmsg_now(fd, message);
}
}

namespace
{

/* A unix socket has room for a few: then its senders wait, until somebody reads. */
async(int, send_without_room, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; int rc; int i);

    attempt(my->server, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->client));
    no_room = 2;
    for (my->i = 0; my->i < 3; my->i++) {
        await(my->rc,
                coil_datagram_send(my->client, coil_datagram_local(my->server), slice_of("again")));
        scene->results.push_back(my->rc);
    }
    scene->count = coil_datagram_count(my->client).sent;
    attempt(receive_all(my->server, scene, 1));
    return 0;
}

TEST(Datagram, IsNotSentIfTheDeviceHasNoRoomAndTheSocketGoesOn)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(send_without_room(&scene)));
    EXPECT_EQ((std::vector<int64_t>{-ENOBUFS, -ENOBUFS, 0}), scene.results);
    EXPECT_EQ(1u, scene.count);
    EXPECT_EQ((std::vector<std::string>{"again"}), scene.got);
}

/* Asked at one of several addresses: the answer comes from that. */
async(int, answer_from, (Scene *) scene, (const char *) asked, (bool) by_hand)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in;
            char text[64]);

    attempt(my->server, opened_at(scene->address.c_str(), &scene->options));
    defer(coil_datagram_close(my->server));
    snprintf(my->text, sizeof(my->text), "%s:%u", asked,
            coil_address_port(coil_datagram_local(my->server)));
    attempt(my->client, opened_to(my->text)); /* Hears nobody else. */
    defer(coil_datagram_close(my->client));
    attempt(coil_datagram_send(my->client, nullptr, slice_of("who?")));
    attempt(within(coil_s(10), coil_datagram_receive(my->server, &my->in)));
    defer(coil_datagram_release(&my->in));
    if (by_hand)
        attempt(coil_datagram_send_from(my->server, &my->in.to, 0, &my->in.from, slice_of("I")));
    else
        attempt(coil_datagram_answer(my->server, &my->in, slice_of("I")));
    attempt(receive_all(my->client, scene, 1));
    EXPECT_EQ(1u, coil_datagram_count(my->server).sent);
    return 0;
}

TEST(Datagram, AnswersFromTheAddressThatWasAsked)
{
    for (const std::string &at : {std::string("0.0.0.0:0"), std::string("*:0")}) {
        for (const bool by_hand : {false, true}) {
            Scene scene;
            scene.address = at;
            scene.options.tells_local = true;
            EXPECT_EQ(0, coil_run(answer_from(&scene, "127.0.0.2", by_hand)));
            EXPECT_EQ((std::vector<std::string>{"I"}), scene.got);
        }
    }
}

TEST(Datagram, AnswersByIPv6FromTheAddressThatWasAsked)
{
    Scene scene;
    scene.address = "[::]:0";
    scene.options.tells_local = true;
    const int rc = coil_run(answer_from(&scene, "[::1]", true));
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        GTEST_SKIP() << "no IPv6 here";
    EXPECT_EQ(0, rc);
    EXPECT_EQ((std::vector<std::string>{"I"}), scene.got);
}

async(int, send_from_elsewhere, (const char *) local, (const char *) from)
{
    vars(coil_datagram_socket *socket; coil_address from; coil_address to; int rc);

    attempt(my->socket, opened_at(local, nullptr));
    defer(coil_datagram_close(my->socket));
    EXPECT_EQ(0, coil_address_parse(from, &my->from));
    EXPECT_EQ(0, coil_address_parse("127.0.0.1:9", &my->to));
    await(my->rc, coil_datagram_send_from(my->socket, &my->from, 0, &my->to, slice_of("x")));
    return my->rc;
}

TEST(Datagram, CannotBeSentFromWhatIsNotOurs)
{
    const int rc = coil_run(send_from_elsewhere("0.0.0.0:0", "192.0.2.1:0"));
    EXPECT_TRUE(rc == -EINVAL || rc == -EADDRNOTAVAIL || rc == -ENETUNREACH) << rc;
    EXPECT_EQ(-EAFNOSUPPORT, coil_run(send_from_elsewhere("0.0.0.0:0", "[::1]:0")));
    const std::string name = abstract_name();
    EXPECT_EQ(-EOPNOTSUPP, coil_run(send_from_elsewhere(name.c_str(), "127.0.0.1:0")));
}

/* -------------------------------------------------------------------------------- several -- */

struct Several {
    std::vector<std::string> texts;
    std::vector<coil_datagram_outgoing> items;
    Scene scene;
};

async(int, send_several, (Several *) self)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; int rc; size_t i);

    attempt(my->server, opened_at(self->scene.address.c_str(), nullptr));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_at(self->scene.address.c_str(), nullptr));
    defer(coil_datagram_close(my->client));
    for (const std::string &text : self->texts)
        self->items.push_back({coil_datagram_local(my->server), nullptr, slice_of(text)});
    await(my->rc, coil_datagram_send_several(my->client, self->items.data(),
                          static_cast<unsigned>(self->items.size())));
    self->scene.results.push_back(my->rc);
    self->scene.count = coil_datagram_count(my->client).sent;
    attempt(receive_all(my->server, &self->scene, self->scene.count));
    return 0;
}

TEST(Datagram, IsOneOfSeveralThatAreSentTogether)
{
    for (const unsigned count : {0U, 1U, 16U, 17U, 100U}) {
        Several self;
        for (unsigned i = 0; i < count; i++)
            self.texts.push_back(std::to_string(i));
        EXPECT_EQ(0, coil_run(send_several(&self)));
        EXPECT_EQ(self.texts, self.scene.got);
        EXPECT_EQ((std::vector<int64_t>{0}), self.scene.results);
    }
}

TEST(Datagram, IsSentIfOneBehindItCannotBe)
{
    Several self;
    for (unsigned i = 0; i < 40; i++)
        self.texts.push_back(std::to_string(i));
    self.texts[20] = std::string(70000, 'x');
    EXPECT_EQ(0, coil_run(send_several(&self)));
    EXPECT_EQ((std::vector<int64_t>{-EMSGSIZE}), self.scene.results);
    EXPECT_EQ(20u, self.scene.got.size());
}

async(int, fill_up, (Scene *) scene)
{
    vars(coil_datagram_socket *server; coil_datagram_socket *client; coil_datagram in;
            char number[16]; int rc; unsigned i);

    attempt(my->server, opened_at(abstract_name().c_str(), nullptr));
    defer(coil_datagram_close(my->server));
    attempt(my->client, opened_to(abstract_name().c_str()));
    defer(coil_datagram_close(my->client));
    for (my->i = 0; my->i < 100000; my->i++) {
        snprintf(my->number, sizeof(my->number), "%u", my->i);
        await(my->rc,
                within(coil_ms(20), coil_datagram_send(my->client, nullptr, slice_of(my->number))));
        if (my->rc < 0)
            break;
    }
    scene->results.push_back(my->rc);
    scene->count = my->i;
    attempt(receive_all(my->server, scene, my->i));
    await(my->rc, within(coil_ms(20), coil_datagram_receive(my->server, &my->in)));
    scene->results.push_back(my->rc); /* What was not sent in time is not sent at all. */
    return 0;
}

TEST(Datagram, WaitsForRoomAtAUnixSocketAndIsNotSentIfThatIsTooLate)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(fill_up(&scene)));
    EXPECT_EQ((std::vector<int64_t>{-ETIME, -ETIME}), scene.results);
    ASSERT_EQ(scene.count, scene.got.size());
    for (size_t i = 0; i < scene.count; i++)
        EXPECT_EQ(std::to_string(i), scene.got[i]);
}

async(int, receive_for_ever, (coil_datagram_socket *) socket)
{
    vars(coil_datagram in);
    for (;;) {
        attempt(coil_datagram_receive(socket, &my->in));
        coil_datagram_release(&my->in);
    }
}

async(int, close_early, (Scene *) scene)
{
    vars(coil_datagram_socket *socket; coil_group group);
    attempt(my->socket, opened_at(scene->address.c_str(), nullptr));
    defer(coil_datagram_close(my->socket));
    open_group(&my->group);
    spawn(&my->group, receive_for_ever(my->socket));
    await(coil_sleep(coil_ms(1)));
    return 0;
}

TEST(Datagram, SocketsCloseWhileTheKernelReceives)
{
    Scene scene;
    EXPECT_EQ(0, coil_run(close_early(&scene)));
}

/*
 * The model: a sequence, sent over a socket that loses nothing, is received whole and in order, by
 * somebody who is interrupted all the time, and holds what it gets for a while.
 */
struct Model {
    explicit Model(unsigned seed) : random(seed)
    {
        options.buffer_count = 1U << below(5);
        options.max_bytes = 3000;
    }

    unsigned below(unsigned limit)
    {
        return std::uniform_int_distribution<unsigned>(0, limit - 1)(random);
    }

    std::mt19937 random;
    coil_datagram_options options = {};
    coil_datagram_socket *server = nullptr;
    coil_datagram_socket *client = nullptr;
    std::vector<coil_datagram> held;
    uint32_t received = 0;
    bool failed = false;
};

enum { MODEL_COUNT = 400 };

async(int, send_sequence, (Model *) model)
{
    vars(uint32_t i; size_t size_bytes; char bytes[3000]);
    for (my->i = 0; my->i < MODEL_COUNT; my->i++) {
        my->size_bytes = sizeof(my->i) + model->below(2900);
        memset(my->bytes, static_cast<int>(my->i), my->size_bytes);
        memcpy(my->bytes, &my->i, sizeof(my->i));
        attempt(coil_datagram_send(model->client, nullptr,
                coil_slice{static_cast<int64_t>(my->size_bytes), my->bytes, nullptr}));
        if (model->below(4) == 0)
            await(coil_sleep(coil_us(model->below(300))));
    }
    return 0;
}

void check(Model *model, const coil_datagram *in)
{
    uint32_t number;
    EXPECT_LE(static_cast<int64_t>(sizeof(number)), in->bytes.size_bytes);
    if (in->bytes.size_bytes < static_cast<int64_t>(sizeof(number))) {
        model->failed = true;
        return;
    }
    memcpy(&number, in->bytes.bytes, sizeof(number));
    model->failed |= number != model->received;
    for (int64_t i = sizeof(number); i < in->bytes.size_bytes; i++)
        model->failed |= in->bytes.bytes[i] != static_cast<char>(number);
    model->received++;
}

async(int, receive_sequence, (Model *) model)
{
    vars(coil_datagram in[3]; int rc);
    while (model->received < MODEL_COUNT && !model->failed) {
        await(my->rc, within(coil_us(model->below(200)), coil_datagram_receive_some(model->server,
                                                                 my->in, 1 + model->below(3))));
        for (int i = 0; i < my->rc; i++) {
            check(model, &my->in[i]);
            model->held.push_back(my->in[i]);
        }
        if (my->rc < 0 && my->rc != -ETIME)
            return my->rc;
        while (!model->held.empty() && (model->held.size() > 12 || model->below(2) == 0)) {
            const size_t which = model->below(static_cast<unsigned>(model->held.size()));
            coil_datagram_release(&model->held[which]);
            model->held.erase(model->held.begin() + static_cast<ptrdiff_t>(which));
        }
    }
    for (coil_datagram &rest : model->held)
        coil_datagram_release(&rest);
    return 0;
}

async(int, play, (Model *) model)
{
    vars(coil_group group);
    attempt(model->server, opened_at(abstract_name().c_str(), &model->options));
    defer(coil_datagram_close(model->server));
    attempt(model->client, opened_to(abstract_name().c_str()));
    defer(coil_datagram_close(model->client));
    open_group(&my->group);
    spawn(&my->group, send_sequence(model));
    spawn(&my->group, receive_sequence(model));
    attempt(within(coil_s(60), coil_group_join(&my->group)));
    return 0;
}

TEST(Datagram, IsNotLostHoweverOftenItsReceiverIsInterrupted)
{
    const char *times = getenv("COIL_TEST_SEEDS");
    const unsigned seeds = 5 * (times == nullptr ? 1U : static_cast<unsigned>(atoi(times)));
    for (unsigned seed = 1; seed <= seeds; seed++) {
        Model model(seed);
        EXPECT_EQ(0, coil_run(play(&model))) << "seed " << seed;
        EXPECT_FALSE(model.failed) << "seed " << seed;
        EXPECT_EQ(static_cast<uint32_t>(MODEL_COUNT), model.received) << "seed " << seed;
    }
}

} // namespace
