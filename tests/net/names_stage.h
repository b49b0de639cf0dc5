/* SPDX-License-Identifier: MIT */
/* A loop and a resolver, and what has been resolved by them. */
#ifndef NAMES_STAGE_H
#define NAMES_STAGE_H

#include <coil/resolver.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

/* A file of the test's own. */
class OwnFile
{
public:
    explicit OwnFile(const std::string &content)
    {
        const int fd = mkstemp(path_);
        if (fd < 0)
            abort();
        close(fd);
        write(content);
    }
    ~OwnFile()
    {
        unlink(path_);
    }
    OwnFile(const OwnFile &) = delete;
    OwnFile &operator=(const OwnFile &) = delete;

    void write(const std::string &content)
    {
        std::ofstream(path_, std::ios::trunc) << content;
    }
    const char *path() const
    {
        return path_;
    }

private:
    char path_[32] = "/tmp/coil-names-XXXXXX";
};

class NamesStage
{
public:
    /* No files, and a server that is not there, unless the options say otherwise. */
    static coil_resolver_options quiet()
    {
        coil_resolver_options options = {};
        options.servers = "127.0.0.1:1";
        options.search = "";
        options.hosts_path = "";
        options.resolv_conf_path = "";
        options.attempts = 1;
        options.timeout = coil_s(10);
        return options;
    }

    explicit NamesStage(const coil_resolver_options &options)
    {
        if (coil_loop_create(&loop, nullptr) < 0 ||
                coil_resolver_create(loop, &options, &resolver) < 0)
            abort();
    }
    ~NamesStage()
    {
        coil_resolver_destroy(resolver);
        coil_loop_destroy(loop);
    }
    NamesStage(const NamesStage &) = delete;
    NamesStage &operator=(const NamesStage &) = delete;

    /* The addresses, as text; or why there are none. */
    std::vector<std::string> resolve(const char *target)
    {
        coil_addresses addresses = {};
        rc = static_cast<int>(
                coil_loop_run_until(loop, coil_resolve(resolver, target, &addresses)));
        ttl = addresses.ttl;
        return taken(&addresses);
    }

    static std::vector<std::string> taken(coil_addresses *addresses)
    {
        std::vector<std::string> texts;
        char text[COIL_ADDRESS_TEXT_BYTES];
        for (unsigned i = 0; i < addresses->count; i++)
            texts.emplace_back(coil_address_format(&addresses->items[i], text));
        coil_addresses_release(addresses);
        return texts;
    }

    coil_resolver_stats stats() const
    {
        return coil_resolver_statistics(resolver);
    }

    coil_loop *loop = nullptr;
    coil_resolver *resolver = nullptr;
    int rc = 1;
    coil_duration ttl = 0;
};

using Texts = std::vector<std::string>;

#endif
