// What perf/thrift_codec encodes and decodes: about a kilobyte.
namespace cpp perf

struct Address {
  1: string street
  2: string city
  3: i32 code
}

struct Line {
  1: i64 article
  2: string name
  3: i32 count
  4: double price
}

struct Order {
  1: bool paid
  2: i8 priority
  3: i16 region
  4: i32 customer
  5: i64 placed_at
  6: double total
  7: string name
  8: string note
  9: Address address
  10: list<i32> numbers
  11: map<string, i64> labels
  12: list<Line> lines
}
