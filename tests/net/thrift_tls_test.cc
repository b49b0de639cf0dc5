/* SPDX-License-Identifier: MIT */
/* Thrift by TLS: a server that asks who its clients are, and handlers that know it. */
#include "oracle_calls.h"
#include "tls_authority.h"

#include <coil/thrift_pipeline.h>
#include <coil/tls.h>

namespace
{

/* ----------------------------------------------------------------------------- the server -- */

/* string ask(1: string question): who has asked, by the certificate and its subject. */
async(int, say_who_asks, (coil_thrift_call *) call)
{
    vars(char name[100]; char subject[100]; char answer[250]);

    if (coil_tls_peer_name(call->peer, 0, my->name, sizeof(my->name)) < 0)
        my->name[0] = '\0';
    if (coil_tls_peer_subject(call->peer, my->subject, sizeof(my->subject)) < 0)
        my->subject[0] = '\0';
    (void)snprintf(my->answer, sizeof(my->answer), "%s, %s", my->name, my->subject);
    coil_thrift_put_string(coil_thrift_reply(call), 0, coil_thrift_text_of(my->answer));
    return 0;
}

const coil_thrift_method methods[] = {
        {"ask", coil_handler(say_who_asks, coil_thrift_call *), nullptr}};

struct Scene {
    coil_server server;
    coil_thrift_server thrift;
    coil_tls_context *server_context;
    coil_tls_context *client_context;
    coil_thrift_pipeline_options options;
    std::vector<Call> *calls;
    int shaken; /* What the client's handshake has said. */
};

async(int, serve_secure, (coil_session *) session)
{
    vars(Scene *scene);

    my->scene = coil_container_of(session->server, Scene, server);
    attempt(within(
            coil_s(10), coil_tls_accept(&session->stream, my->scene->server_context, nullptr)));
    attempt(coil_thrift_serve_session(session, &my->scene->thrift));
    return 0;
}

/* ----------------------------------------------------------------------------- the client -- */

async(int, call_all, (Scene *) scene, (coil_stream *) stream)
{
    vars(coil_thrift_pipeline pipeline; coil_group running; coil_group callers; size_t i);

    EXPECT_EQ(0, coil_thrift_pipeline_init(&my->pipeline, stream, &scene->options));
    defer(coil_thrift_pipeline_fini(&my->pipeline));
    open_group(&my->running);
    my->running.keep_going = true;
    spawn(&my->running, coil_thrift_pipeline_run(&my->pipeline));
    open_group(&my->callers);
    for (my->i = 0; my->i < scene->calls->size(); my->i++)
        spawn(&my->callers, make_call(&my->pipeline.channel, &(*scene->calls)[my->i]));
    attempt(coil_group_join(&my->callers));
    coil_thrift_pipeline_finish(&my->pipeline);
    return 0;
}

async(int, converse, (Scene *) scene)
{
    vars(coil_group serving; coil_stream *stream; char address[COIL_ADDRESS_TEXT_BYTES]);

    coil_server_init(&scene->server, coil_handler(serve_secure, coil_session *));
    defer(coil_server_fini(&scene->server));
    EXPECT_EQ(0, coil_server_listen(&scene->server, "127.0.0.1:0", nullptr));
    (void)coil_address_format(coil_server_address(&scene->server, 0), my->address);
    open_group(&my->serving);
    spawn(&my->serving, coil_server_serve(&scene->server));
    attempt(my->stream, coil_connect(my->address));
    defer(coil_stream_close(my->stream));
    await(scene->shaken, within(coil_s(10), coil_tls_connect(&my->stream, scene->client_context,
                                                    "localhost", nullptr)));
    if (scene->shaken == 0)
        attempt(call_all(scene, my->stream));
    coil_server_drain(&scene->server, 0);
    return 0;
}

class ThriftTls : public testing::Test
{
protected:
    ThriftTls()
    {
        coil_tls_options wanted = {};
        wanted.certificates = &server_certificate;
        wanted.certificate_count = 1;
        wanted.ca_pem = authority.pem.c_str(); /* Whoever calls has to show a certificate of it. */
        EXPECT_EQ(0,
                coil_tls_context_create(COIL_TLS_SERVER, &wanted, &scene.server_context, nullptr));
        oracle.methods = methods;
        scene.thrift.services = services;
        scene.thrift.service_count = 1;
        scene.calls = &calls;
    }

    ~ThriftTls() override
    {
        coil_tls_context_destroy(scene.client_context);
        coil_tls_context_destroy(scene.server_context);
    }

    void call_as(const coil_tls_certificate *certificate)
    {
        coil_tls_options wanted = {};
        wanted.certificates = certificate;
        wanted.certificate_count = certificate == nullptr ? 0 : 1;
        wanted.ca_pem = authority.pem.c_str();
        coil_tls_context_destroy(scene.client_context);
        ASSERT_EQ(0,
                coil_tls_context_create(COIL_TLS_CLIENT, &wanted, &scene.client_context, nullptr));
        EXPECT_EQ(0, coil_run(converse(&scene)));
    }

    const Authority authority{"an authority"};
    const Issued server = authority.issue();
    const coil_tls_certificate server_certificate = server.certificate();
    const Issued client = authority.issue({"DNS:delphi.example", "a pilgrim"});
    coil_thrift_service oracle = {"Oracle", methods, std::size(methods)};
    coil_thrift_service *services[1] = {&oracle};
    std::vector<Call> calls;
    Scene scene = {};
};

TEST_F(ThriftTls, TellsAHandlerWhoCalls)
{
    const coil_tls_certificate certificate = client.certificate();
    for (const coil_thrift_transport transport : {COIL_THRIFT_TRANSPORT_FRAMED,
                 COIL_THRIFT_TRANSPORT_UNFRAMED, COIL_THRIFT_TRANSPORT_HEADER}) {
        calls.assign(20, Call());
        scene.options.transport = transport;
        call_as(&certificate);
        for (const Call &call : calls) {
            EXPECT_EQ(0, call.rc);
            EXPECT_EQ("DNS:delphi.example, CN = a pilgrim", call.answer) << transport;
        }
    }
}

TEST_F(ThriftTls, AnswersNoCallOfAClientWithoutACertificate)
{
    calls.assign(3, Call());
    for (Call &call : calls)
        call.timeout = coil_s(10);
    call_as(nullptr);
    for (const Call &call : calls)
        EXPECT_NE(0, call.rc) << "with TLS 1.3 the client's handshake is done before it is refused";
}

} // namespace
