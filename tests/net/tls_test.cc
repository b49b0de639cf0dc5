/* SPDX-License-Identifier: MIT */
#include "tls_cast.h"

#include <random>

#include <coil/sugar.h>

namespace
{

/* ----------------------------------------------------------------------------- handshakes -- */

TEST_F(Tls, CarriesBytesBothWaysAndEndsCleanly)
{
    serve(authority().issue());
    trust(authority());
    client.says = "hello";
    server.says = "and good bye";
    client.hears = server.says.size();
    server.hears = client.says.size();
    meet();
    expect_success();
    EXPECT_EQ("hello", server.heard);
    EXPECT_EQ("and good bye", client.heard);
}

TEST_F(Tls, TellsFacts)
{
    coil_tls_options options = {};
    options.protocols = "h2,http/1.1";
    serve(authority().issue(), options);
    options.protocols = "http/1.1,h2";
    trust(authority(), options);
    meet();
    expect_success();
    EXPECT_EQ("TLSv1.3", client.version);
    EXPECT_NE("", client.cipher);
    EXPECT_EQ("h2", client.protocol) << "the server's best";
    EXPECT_EQ("h2", server.protocol);
    EXPECT_EQ("localhost", server.name);
    EXPECT_EQ("CN = a test", client.subject);
    EXPECT_EQ((std::vector<std::string>{"DNS:localhost", "IP Address:127.0.0.1"}), client.names);
    EXPECT_TRUE(client.facts.is_verified);
    EXPECT_FALSE(server.facts.is_verified);
    EXPECT_FALSE(client.facts.is_resumed);
    EXPECT_EQ("", server.subject);
}

TEST_F(Tls, SpeaksVersion12)
{
    coil_tls_options options = {};
    options.newest = COIL_TLS_1_2;
    serve(authority().issue());
    trust(authority(), options);
    client.says = "hello";
    server.hears = 5;
    meet();
    expect_success();
    EXPECT_EQ("TLSv1.2", server.version);
    EXPECT_EQ("hello", server.heard);
}

TEST_F(Tls, VerifiesAnAddressAsAnAddress)
{
    serve(authority().issue());
    trust(authority());
    client.server_name = "127.0.0.1";
    meet();
    expect_success();
    EXPECT_EQ("", server.name) << "SNI is for names";
}

TEST_F(Tls, VerifiesAnAbsoluteNameWithoutItsDot)
{
    serve(authority().issue());
    trust(authority());
    client.server_name = "localhost.";
    meet();
    expect_success();
    EXPECT_EQ("localhost", server.name) << "RFC 6066, 3";
}

TEST_F(Tls, MovesMegabytesBothWaysAtOnce)
{
    std::mt19937 random(1);
    for (int i = 0; i < 3 * 1024 * 1024; i++) {
        client.says.push_back(static_cast<char>(random()));
        server.says.push_back(static_cast<char>(random()));
    }
    client.hears = server.says.size();
    server.hears = client.says.size();
    serve(authority().issue());
    trust(authority());
    meet();
    expect_success();
    EXPECT_TRUE(client.heard == server.says);
    EXPECT_TRUE(server.heard == client.says);
}

/* ----------------------------------------------------------------------- bad certificates -- */

TEST_F(Tls, NamesAnExpiredCertificate)
{
    serve(authority().issue({"DNS:localhost", "old", -10, -1}));
    trust(authority());
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_EXPIRED);
    expect_failure(server, -EKEYREJECTED, COIL_TLS_EXPIRED);
    EXPECT_FALSE(client.failure.is_peers);
    EXPECT_TRUE(server.failure.is_peers);
}

TEST_F(Tls, NamesACertificateThatIsNotValidYet)
{
    serve(authority().issue({"DNS:localhost", "early", 1, 10}));
    trust(authority());
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_NOT_YET_VALID);
}

TEST_F(Tls, NamesACertificateForAnother)
{
    serve(authority().issue({"DNS:example.org", "other"}));
    trust(authority());
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_WRONG_NAME);
    client.server_name = "127.0.0.1";
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_WRONG_NAME);
}

TEST_F(Tls, TakesAStarForOneWholeLabel)
{
    trust(authority());
    serve(authority().issue({"DNS:*.example.org", "any"}));
    client.server_name = "www.example.org";
    meet();
    expect_success();
    for (const char *name : {"example.org", "a.www.example.org", "www.example.com"}) {
        client.server_name = name;
        meet();
        expect_failure(client, -EKEYREJECTED, COIL_TLS_WRONG_NAME);
    }
    serve(authority().issue({"DNS:w*.example.org", "some"}));
    client.server_name = "www.example.org";
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_WRONG_NAME);
}

TEST_F(Tls, NamesASelfSignedCertificate)
{
    serve(Authority::self_signed());
    trust(authority());
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_SELF_SIGNED);
    expect_failure(server, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

TEST_F(Tls, NamesAnUnknownAuthority)
{
    serve(Authority("somebody else").issue());
    trust(authority());
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

TEST_F(Tls, TrustsTheSystemByDefault)
{
    const coil_tls_options options = {};
    serve(authority().issue());
    coil_tls_context_create(COIL_TLS_CLIENT, &options, &client.context, nullptr);
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

TEST_F(Tls, AcceptsAnythingWhenToldTo)
{
    coil_tls_options options = {};
    options.verify = COIL_TLS_VERIFY_NONE;
    serve(Authority::self_signed({"DNS:example.org"}));
    trust(authority(), options);
    meet();
    expect_success();
    EXPECT_FALSE(client.facts.is_verified);
}

TEST_F(Tls, WantsANameToVerify)
{
    serve(authority().issue());
    trust(authority());
    client.server_name = "";
    meet();
    EXPECT_EQ(-EINVAL, client.shaken);
}

/* ------------------------------------------------------------------------- both certified -- */

class Mutual : public Tls
{
protected:
    Mutual()
    {
        wants.ca_pem = authority().pem.c_str();
        serve(authority().issue(), wants);
    }

    void show(const Issued &issued)
    {
        const coil_tls_certificate own = issued.certificate();
        coil_tls_options options = {};
        options.certificates = &own;
        options.certificate_count = 1;
        trust(authority(), options);
    }

    coil_tls_options wants = {};
};

TEST_F(Mutual, KnowsTheClient)
{
    show(authority().issue({"URI:spiffe://test/client", "a client"}));
    meet();
    expect_success();
    EXPECT_TRUE(server.facts.is_verified);
    EXPECT_EQ("CN = a client", server.subject);
    EXPECT_EQ((std::vector<std::string>{"URI:spiffe://test/client"}), server.names);
}

TEST_F(Mutual, RefusesAClientWithoutCertificate)
{
    trust(authority());
    meet();
    expect_failure(server, -EKEYREJECTED, COIL_TLS_NO_CERTIFICATE);
    EXPECT_EQ(0, client.shaken) << "with TLS 1.3 it hears of it when it reads";
    EXPECT_EQ(-EKEYREJECTED, client.end_rc);
    EXPECT_EQ(COIL_TLS_NO_CERTIFICATE, client.failure.reason) << client.failure.text;
    EXPECT_TRUE(client.failure.is_peers);
}

TEST_F(Mutual, RefusesAClientOfAnotherAuthority)
{
    show(Authority("somebody else").issue());
    meet();
    expect_failure(server, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

TEST_F(Mutual, TakesAClientWithoutCertificateIfThatWillDo)
{
    wants.verify = COIL_TLS_VERIFY_IF_GIVEN;
    serve(authority().issue(), wants);
    trust(authority());
    meet();
    expect_success();
    EXPECT_FALSE(server.facts.is_verified);
}

/* ------------------------------------------------------------------------------ agreement -- */

TEST_F(Tls, NamesAVersionThatIsTooOld)
{
    coil_tls_options options = {};
    options.oldest = COIL_TLS_1_3;
    serve(authority().issue(), options);
    options.oldest = options.newest = COIL_TLS_1_2;
    trust(authority(), options);
    meet();
    expect_failure(server, -EPROTONOSUPPORT, COIL_TLS_VERSION);
    expect_failure(client, -EPROTONOSUPPORT, COIL_TLS_VERSION);
}

TEST_F(Tls, NamesALackOfCiphers)
{
    coil_tls_options options = {};
    options.newest = COIL_TLS_1_2;
    options.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    serve(authority().issue(), options);
    options.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    trust(authority(), options);
    meet();
    expect_failure(server, -EPROTONOSUPPORT, COIL_TLS_CIPHER);
    expect_failure(client, -EPROTONOSUPPORT, COIL_TLS_CIPHER);
}

TEST_F(Tls, NamesALackOfProtocols)
{
    coil_tls_options options = {};
    options.protocols = "h2";
    serve(authority().issue(), options);
    options.protocols = "http/1.1";
    trust(authority(), options);
    meet();
    expect_failure(server, -EPROTONOSUPPORT, COIL_TLS_PROTOCOL);
    expect_failure(client, -EPROTONOSUPPORT, COIL_TLS_PROTOCOL);
}

class Names : public Tls
{
protected:
    Names()
    {
        const Issued first = authority().issue({"DNS:first.test", "first"});
        const Issued second = authority().issue({"DNS:*.second.test,DNS:second.test", "second"});
        const coil_tls_certificate both[] = {first.certificate(), second.certificate()};
        options.certificates = both;
        options.certificate_count = 2;
        EXPECT_EQ(0, coil_tls_context_create(COIL_TLS_SERVER, &options, &lenient, nullptr));
        options.refuses_unknown_names = true;
        EXPECT_EQ(0, coil_tls_context_create(COIL_TLS_SERVER, &options, &server.context, nullptr));
        trust(authority());
    }

    ~Names() override
    {
        coil_tls_context_destroy(lenient);
    }

    coil_tls_options options = {};
    coil_tls_context *lenient = nullptr;
};

TEST_F(Names, ChooseTheCertificate)
{
    for (const auto &[name, subject] :
            std::vector<std::pair<const char *, std::string>>{{"first.test", "CN = first"},
                    {"second.test", "CN = second"}, {"a.second.test", "CN = second"}}) {
        client.server_name = name;
        meet();
        expect_success();
        EXPECT_EQ(subject, client.subject) << name;
    }
}

TEST_F(Tls, NamesChooseAmongKeysOfDifferentKinds)
{
    const Issued ecdsa = authority().issue({"DNS:first.test,DNS:both.test", "ECDSA"});
    const Issued rsa = authority().issue({"DNS:second.test,DNS:both.test", "RSA", -1, 1, true});
    trust(authority());
    for (const auto &[one, other] : {std::pair(ecdsa, rsa), std::pair(rsa, ecdsa)}) {
        const coil_tls_certificate both[] = {one.certificate(), other.certificate()};
        coil_tls_options options = {};
        options.certificates = both;
        options.certificate_count = 2;
        coil_tls_context_destroy(server.context);
        ASSERT_EQ(0, coil_tls_context_create(COIL_TLS_SERVER, &options, &server.context, nullptr));
        for (const auto &[name, subject] :
                std::vector<std::pair<const char *, std::string>>{{"first.test", "CN = ECDSA"},
                        {"second.test", "CN = RSA"}, {"both.test", "CN = ECDSA"}}) {
            client.server_name = name;
            meet();
            expect_success();
            EXPECT_EQ(subject, client.subject) << name;
        }
    }
}

TEST_F(Names, AreRefusedIfUnknown)
{
    client.server_name = "third.test";
    meet();
    expect_failure(client, -EPROTONOSUPPORT, COIL_TLS_UNKNOWN_NAME);
    expect_failure(server, -EPROTONOSUPPORT, COIL_TLS_UNKNOWN_NAME);
}

TEST_F(Names, FallBackToTheFirstCertificate)
{
    std::swap(server.context, lenient);
    client.server_name = "third.test";
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_WRONG_NAME);
}

/* ------------------------------------------------------------------------------- sessions -- */

TEST_F(Tls, ResumesSessions)
{
    serve(authority().issue());
    for (const coil_tls_version newest : {COIL_TLS_1_3, COIL_TLS_1_2}) {
        coil_tls_options options = {};
        options.newest = newest;
        trust(authority(), options);
        meet();
        expect_success();
        EXPECT_FALSE(client.facts.is_resumed);
        for (int i = 0; i < 3; i++) {
            meet();
            expect_success();
            EXPECT_TRUE(client.facts.is_resumed);
            EXPECT_TRUE(server.facts.is_resumed);
            EXPECT_TRUE(client.facts.is_verified);
        }
        client.server_name = "127.0.0.1";
        meet();
        EXPECT_FALSE(client.facts.is_resumed) << "it is another name";
        client.server_name = "localhost";
    }
}

TEST_F(Tls, DoesNotResumeIfToldNotTo)
{
    coil_tls_options options = {};
    options.refuses_resumption = true;
    serve(authority().issue(), options);
    trust(authority());
    meet();
    meet();
    expect_success();
    EXPECT_FALSE(client.facts.is_resumed);
}

TEST_F(Tls, TakesANewCertificateWithoutARestart)
{
    const Issued after = authority().issue({"DNS:localhost", "after"});
    const coil_tls_certificate next = after.certificate();
    coil_tls_options options = {};
    options.certificates = &next;
    options.certificate_count = 1;
    serve(authority().issue({"DNS:localhost", "before"}));
    trust(authority());
    meet();
    EXPECT_EQ("CN = before", client.subject);
    EXPECT_EQ(0, coil_tls_context_reload(server.context, &options, nullptr));
    meet();
    expect_success();
    EXPECT_EQ("CN = after", client.subject);
    EXPECT_FALSE(client.facts.is_resumed);
}

/* With a session, nobody would look at the certificate. */
TEST_F(Tls, VerifiesByTheNewOptionsWhatItHasTalkedToBefore)
{
    const Authority other("another");
    coil_tls_options options = {};
    options.ca_pem = other.pem.c_str();
    serve(authority().issue());
    trust(authority());
    for (const bool is_resumed : {false, true}) {
        meet();
        expect_success();
        EXPECT_EQ(is_resumed, client.facts.is_resumed);
    }
    EXPECT_EQ(0, coil_tls_context_reload(client.context, &options, nullptr));
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

/* The server's tickets come after the handshake; by then there are other options. */
async(int, reload_before_the_tickets, (Side *) client, (Side *) server,
        (const coil_tls_options *) options)
{
    vars(coil_stream *one; coil_stream *other; coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    defer(coil_stream_close(my->one));
    open_group(&my->group);
    spawn(&my->group, play(server, my->other));
    attempt(coil_tls_connect(&my->one, client->context, client->server_name, &client->failure));
    EXPECT_EQ(0, coil_tls_context_reload(client->context, options, nullptr));
    attempt(coil_stream_shutdown(my->one));
    attempt(hear(client, my->one));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Tls, VerifiesByTheNewOptionsEvenIfTicketsOfBeforeAreLate)
{
    const Authority other("another");
    coil_tls_options options = {};
    options.ca_pem = other.pem.c_str();
    serve(authority().issue());
    trust(authority());
    EXPECT_EQ(0, RUN_AT_ONCE(coil_within(
                         coil_s(100), reload_before_the_tickets(&client, &server, &options))));
    meet();
    expect_failure(client, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

TEST_F(Tls, KeepsTheOldCertificateIfTheNewOneIsNoGood)
{
    const Issued one = authority().issue();
    const Issued other = authority().issue();
    coil_tls_certificate mixed = one.certificate();
    mixed.key_pem = other.key.c_str();
    coil_tls_options options = {};
    options.certificates = &mixed;
    options.certificate_count = 1;
    coil_tls_failure failure = {};
    serve(one);
    trust(authority());
    EXPECT_EQ(-EINVAL, coil_tls_context_reload(server.context, &options, &failure));
    EXPECT_EQ(COIL_TLS_FILE, failure.reason);
    EXPECT_NE(
            std::string::npos, std::string(failure.text).find("key is not the key of certificate"))
            << failure.text;
    meet();
    expect_success();
}

/* -------------------------------------------------------------------------------- loading -- */

TEST_F(Tls, LoadsFiles)
{
    const Issued issued = authority().issue();
    const TemporaryFile chain(issued.chain);
    const TemporaryFile key(issued.key);
    const TemporaryFile both(issued.chain + issued.key);
    const TemporaryFile ca(authority().pem);
    for (const char *key_file : {key.path.c_str(), static_cast<const char *>(nullptr)}) {
        coil_tls_certificate source = {};
        source.chain_file = key_file != nullptr ? chain.path.c_str() : both.path.c_str();
        source.key_file = key_file;
        coil_tls_options options = {};
        options.certificates = &source;
        options.certificate_count = 1;
        coil_tls_context_destroy(server.context);
        ASSERT_EQ(0, coil_tls_context_create(COIL_TLS_SERVER, &options, &server.context, nullptr));
        options = {};
        options.ca_file = ca.path.c_str();
        coil_tls_context_destroy(client.context);
        ASSERT_EQ(0, coil_tls_context_create(COIL_TLS_CLIENT, &options, &client.context, nullptr));
        meet();
        expect_success();
    }
}

TEST_F(Tls, TrustsWhomTheSystemTrusts)
{
    const TemporaryFile ca(authority().pem);
    const coil_tls_options options = {};
    serve(authority().issue());
    setenv("SSL_CERT_FILE", ca.path.c_str(), 1);
    EXPECT_EQ(0, coil_tls_context_create(COIL_TLS_CLIENT, &options, &client.context, nullptr));
    unsetenv("SSL_CERT_FILE");
    meet();
    expect_success();
}

TEST_F(Tls, SaysWhichFileIsNoGood)
{
    const TemporaryFile nonsense("nonsense");
    coil_tls_context *none = nullptr;
    coil_tls_failure failure = {};
    coil_tls_options options = {};
    options.ca_file = "/nowhere/at/all";
    EXPECT_EQ(-ENOENT, coil_tls_context_create(COIL_TLS_CLIENT, &options, &none, &failure));
    EXPECT_EQ(COIL_TLS_FILE, failure.reason);
    EXPECT_NE(std::string::npos, std::string(failure.text).find("/nowhere/at/all"));
    options.ca_file = nonsense.path.c_str();
    EXPECT_EQ(-EINVAL, coil_tls_context_create(COIL_TLS_CLIENT, &options, &none, &failure));
    const Issued issued = authority().issue();
    coil_tls_certificate source = {};
    source.chain_pem = issued.chain.c_str();
    source.key_file = "/nowhere/key";
    options = {};
    options.certificates = &source;
    options.certificate_count = 1;
    EXPECT_EQ(-ENOENT, coil_tls_context_create(COIL_TLS_CLIENT, &options, &none, &failure));
    EXPECT_NE(std::string::npos, std::string(failure.text).find("/nowhere/key")) << failure.text;
    const TemporaryFile chain(issued.chain);
    const TemporaryFile other(authority().issue().key);
    source.chain_pem = nullptr;
    source.chain_file = chain.path.c_str();
    source.key_file = other.path.c_str();
    EXPECT_EQ(-EINVAL, coil_tls_context_create(COIL_TLS_CLIENT, &options, &none, &failure));
    EXPECT_EQ(other.path + " is not the key of " + chain.path + ": key values mismatch",
            failure.text);
    options = {};
    EXPECT_EQ(-EINVAL, coil_tls_context_create(COIL_TLS_SERVER, &options, &none, &failure));
    options.protocols = "h2,,http/1.1";
    EXPECT_EQ(-EINVAL, coil_tls_context_create(COIL_TLS_CLIENT, &options, &none, &failure));
    options = {};
    options.ciphers = "nothing that exists";
    EXPECT_EQ(-EINVAL, coil_tls_context_create(COIL_TLS_CLIENT, &options, &none, &failure));
    EXPECT_EQ(nullptr, none);
}

/* ------------------------------------------------------------------------------------ ends -- */

TEST_F(Tls, TellsAnAbortFromAnEnd)
{
    coil_tls_options options = {};
    options.refuses_resumption = true; /* Tickets that are not read would make it a reset. */
    serve(authority().issue(), options);
    trust(authority());
    client.says = "all but the";
    client.shuts_down = server.shuts_down = false; /* A client that does not read that is reset. */
    client.reads_end = false;
    server.hears = client.says.size();
    meet();
    EXPECT_EQ("all but the", server.heard);
    EXPECT_EQ(-ECONNABORTED, server.end_rc);
    EXPECT_EQ(COIL_TLS_TRUNCATED, server.failure.reason);
}

TEST_F(Tls, GoesOnReadingAfterAShutdown)
{
    serve(authority().issue());
    trust(authority());
    server.says = std::string(300000, 's');
    client.hears = server.says.size();
    meet();
    expect_success();
    EXPECT_TRUE(client.heard == server.says);
}

} // namespace
