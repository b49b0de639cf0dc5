/* SPDX-License-Identifier: MIT */
/*
 * The same struct by Apache's C++, with a memory buffer that is used again: by the protocols as
 * they are mostly used, and by the templates that know their transport.
 */
#include "../micro/measure.h"
#include "order_types.h"

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/protocol/TJSONProtocol.h>
#include <thrift/transport/TBufferTransports.h>

#include <memory>
#include <string>

using apache::thrift::protocol::T_CALL;
using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::protocol::TBinaryProtocolT;
using apache::thrift::protocol::TCompactProtocol;
using apache::thrift::protocol::TCompactProtocolT;
using apache::thrift::protocol::TJSONProtocol;
using apache::thrift::protocol::TMessageType;
using apache::thrift::protocol::TProtocol;
using apache::thrift::transport::TMemoryBuffer;

namespace
{

enum { NUMBERS = 40, LABELS = 10, LINES = 8 };

perf::Order make_example()
{
    perf::Order example;
    example.__set_paid(true);
    example.__set_priority(3);
    example.__set_region(44);
    example.__set_customer(123456);
    example.__set_placed_at(INT64_C(1700000000000));
    example.__set_total(99.5);
    example.__set_name("a name that is as long as those are");
    example.__set_note("to be delivered on a Thursday in spring");
    example.address.__set_street("Ada Lovelace Street 12");
    example.address.__set_city("Sevenoaks");
    example.address.__set_code(13999);
    for (int i = 0; i < NUMBERS; i++)
        example.numbers.push_back(i * i * 100);
    for (int i = 0; i < LABELS; i++)
        example.labels["label " + std::to_string(i)] = i * INT64_C(1000000);
    for (int i = 0; i < LINES; i++) {
        perf::Line line;
        line.__set_article(1000 + i);
        line.__set_name("sixteen letters.");
        line.__set_count(i);
        line.__set_price(1.25 * i);
        example.lines.push_back(line);
    }
    return example;
}

/* `Seen` is what the generated code knows of the protocol: TProtocol, or the very class. */
template <typename Seen> void encode(Seen *protocol, const perf::Order *source)
{
    protocol->writeMessageBegin("put", T_CALL, 1);
    source->write(protocol);
    protocol->writeMessageEnd();
}

template <typename Protocol, typename Seen = TProtocol> double run_encode(int64_t count)
{
    auto buffer = std::make_shared<TMemoryBuffer>(1 << 16);
    Protocol protocol(buffer);
    const perf::Order example = make_example();
    const perf::Order *source = &example;

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(source);
        buffer->resetBuffer();
        encode<Seen>(&protocol, source);
    }
    return measure_now_ns() - start_ns;
}

/* The result is a new object each time, as the generated server has it. */
template <typename Protocol, typename Seen = TProtocol> double run_decode(int64_t count)
{
    auto written = std::make_shared<TMemoryBuffer>(1 << 16);
    Protocol writer(written);
    const perf::Order example = make_example();
    encode<Seen>(&writer, &example);
    std::string frame = written->getBufferAsString();
    auto buffer = std::make_shared<TMemoryBuffer>();
    Protocol protocol(buffer);
    Seen *seen = &protocol;

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        auto *bytes = reinterpret_cast<uint8_t *>(&frame[0]);
        MEASURE_OPAQUE(bytes);
        buffer->resetBuffer(bytes, static_cast<uint32_t>(frame.size()));
        perf::Order got;
        std::string name;
        TMessageType type;
        int32_t seqid;
        seen->readMessageBegin(name, type, seqid);
        got.read(seen);
        seen->readMessageEnd();
        if (got.lines.size() != LINES || got.lines.back().count != LINES - 1)
            abort();
    }
    return measure_now_ns() - start_ns;
}

using FastBinary = TBinaryProtocolT<TMemoryBuffer>;
using FastCompact = TCompactProtocolT<TMemoryBuffer>;

} // namespace

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"binary_encode", "apache", run_encode<TBinaryProtocol>, 0, MEASURE_NS},
            {"binary_decode", "apache", run_decode<TBinaryProtocol>, 0, MEASURE_NS},
            {"compact_encode", "apache", run_encode<TCompactProtocol>, 0, MEASURE_NS},
            {"compact_decode", "apache", run_decode<TCompactProtocol>, 0, MEASURE_NS},
            {"json_encode", "apache", run_encode<TJSONProtocol>, 0, MEASURE_NS},
            {"json_decode", "apache", run_decode<TJSONProtocol>, 0, MEASURE_NS},
            {"binary_encode", "templates", run_encode<FastBinary, FastBinary>, 0, MEASURE_NS},
            {"binary_decode", "templates", run_decode<FastBinary, FastBinary>, 0, MEASURE_NS},
            {"compact_encode", "templates", run_encode<FastCompact, FastCompact>, 0, MEASURE_NS},
            {"compact_decode", "templates", run_decode<FastCompact, FastCompact>, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
