// A replicated counter: see counter.h.
struct Entry {
  1: i64 client
  2: i64 number
}

service Counter {
  void increment(1: i64 client, 2: i64 number) (idempotent)
  i64 value() (idempotent)

  // Between replicas: keep these, and say what you have kept.
  list<Entry> merge(1: list<Entry> entries) (idempotent)
}
