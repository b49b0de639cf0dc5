/* SPDX-License-Identifier: MIT */
/* Tickets of one server at another, and after its keys have changed. */
#include "tls_cast.h"

#include <cstring>

namespace
{

using Keys = std::vector<coil_tls_ticket_key>;

coil_tls_ticket_key new_key()
{
    coil_tls_ticket_key key = {};
    EXPECT_EQ(0, coil_tls_ticket_key_make(&key));
    return key;
}

class TlsTickets : public Tls, public testing::WithParamInterface<coil_tls_version>
{
protected:
    TlsTickets()
    {
        trust_up_to(GetParam());
    }

    void trust_up_to(coil_tls_version newest)
    {
        coil_tls_options options = {};
        options.newest = newest;
        trust(authority(), options);
    }

    /* Another process, as far as sessions go. */
    void serve_with(const Keys &keys, coil_tls_options options = {})
    {
        options.ticket_keys = keys.data();
        options.ticket_key_count = keys.size();
        serve(issued, options);
    }

    bool resumes()
    {
        meet();
        expect_success();
        EXPECT_EQ(client.facts.is_resumed, server.facts.is_resumed);
        return client.facts.is_resumed;
    }

    void use(const Keys &keys) const
    {
        EXPECT_EQ(0, coil_tls_context_set_ticket_keys(server.context, keys.data(), keys.size()));
    }

    const Issued issued = authority().issue();
    const coil_tls_ticket_key one = new_key();
    const coil_tls_ticket_key other = new_key();
};

TEST_P(TlsTickets, AreTakenByWhoHasTheSameKey)
{
    serve_with({one});
    EXPECT_FALSE(resumes());
    for (int i = 0; i < 5; i++) { /* With each there is a ticket for the next. */
        serve_with({one});
        EXPECT_TRUE(resumes()) << i;
    }
    serve_with({other});
    EXPECT_FALSE(resumes());
}

TEST_P(TlsTickets, AreTheServersOwnWithoutKeys)
{
    serve_with({});
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes());
    serve_with({});
    EXPECT_FALSE(resumes());
    serve_with({});
    EXPECT_FALSE(resumes());
}

TEST_P(TlsTickets, OutliveARotationAndAreSealedAnewByTheNextKey)
{
    serve_with({one});
    EXPECT_FALSE(resumes());
    use({one, other});
    EXPECT_TRUE(resumes());
    use({other, one});
    EXPECT_TRUE(resumes()) << "of the key before; and there is a new one";
    use({other});
    const bool takes_new_one = GetParam() == COIL_TLS_1_3; /* Of 1.2, OpenSSL's client does not. */
    EXPECT_EQ(takes_new_one, resumes());
    use({one});
    EXPECT_FALSE(resumes());
}

TEST_P(TlsTickets, OutliveAReloadThatHasTheirKey)
{
    const coil_tls_certificate certificate = issued.certificate();
    coil_tls_options options = {};
    options.certificates = &certificate;
    options.certificate_count = 1;
    serve_with({one});
    EXPECT_FALSE(resumes());
    options.ticket_keys = &one;
    options.ticket_key_count = 1;
    EXPECT_EQ(0, coil_tls_context_reload(server.context, &options, nullptr));
    EXPECT_TRUE(resumes());
    options.ticket_key_count = 0;
    EXPECT_EQ(0, coil_tls_context_reload(server.context, &options, nullptr));
    EXPECT_FALSE(resumes()) << "it is one of its own now";
}

/* The ticket says that the client was verified: by others than whom this server trusts. */
TEST_P(TlsTickets, AreNothingToAServerThatVerifiesByOtherAuthorities)
{
    const Authority another("another");
    const Issued own = authority().issue({"DNS:localhost", "a client"});
    const coil_tls_certificate certificate = own.certificate();
    coil_tls_options clients = {};
    clients.newest = GetParam();
    clients.certificates = &certificate;
    clients.certificate_count = 1;
    trust(authority(), clients);

    coil_tls_options demanding = {};
    demanding.ca_pem = authority().pem.c_str();
    serve_with({one}, demanding);
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes());
    EXPECT_EQ("CN = a client", server.subject);
    demanding.ca_pem = another.pem.c_str();
    serve_with({one}, demanding);
    meet();
    expect_failure(server, -EKEYREJECTED, COIL_TLS_UNKNOWN_CA);
}

TEST_P(TlsTickets, OfAnUnverifiedClientAreNothingToAServerThatDemandsACertificate)
{
    coil_tls_options demanding = {};
    demanding.ca_pem = authority().pem.c_str();
    serve_with({one});
    EXPECT_FALSE(resumes());
    serve_with({one}, demanding);
    meet();
    expect_failure(server, -EKEYREJECTED, COIL_TLS_NO_CERTIFICATE);
}

INSTANTIATE_TEST_SUITE_P(Of, TlsTickets, testing::Values(COIL_TLS_1_2, COIL_TLS_1_3),
        [](const auto &version) { return version.param == COIL_TLS_1_2 ? "TLS12" : "TLS13"; });

using TlsTicketKeys = Tls;

TEST_F(TlsTicketKeys, AreCounted)
{
    const Keys many(COIL_TLS_TICKET_KEYS_MAX + 1, new_key());
    serve(authority().issue());
    trust(authority());
    coil_tls_context *context = server.context;
    EXPECT_EQ(-EINVAL, coil_tls_context_set_ticket_keys(context, nullptr, 0));
    EXPECT_EQ(-EINVAL, coil_tls_context_set_ticket_keys(context, many.data(), many.size()));
    EXPECT_EQ(0, coil_tls_context_set_ticket_keys(context, many.data(), many.size() - 1));
    EXPECT_EQ(-EINVAL, coil_tls_context_set_ticket_keys(client.context, many.data(), 1));

    const Issued issued = authority().issue();
    const coil_tls_certificate certificate = issued.certificate();
    coil_tls_options options = {};
    options.certificates = &certificate;
    options.certificate_count = 1;
    options.ticket_keys = many.data();
    options.ticket_key_count = many.size();
    coil_tls_failure failure = {};
    EXPECT_EQ(-EINVAL, coil_tls_context_reload(context, &options, &failure));
    EXPECT_EQ(COIL_TLS_FILE, failure.reason);
    EXPECT_NE(nullptr, strstr(failure.text, "ticket keys")) << failure.text;
    meet();
    expect_success();
}

TEST_F(TlsTicketKeys, AreMadeByChance)
{
    const coil_tls_ticket_key one = new_key();
    const coil_tls_ticket_key other = new_key();
    EXPECT_NE(0, memcmp(one.bytes, other.bytes, sizeof(one.bytes)));
}

} // namespace
