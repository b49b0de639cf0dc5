// What the interoperability tests say to each other: every type, exceptions, and a oneway call.
include "fb303.thrift"

namespace cpp interop

enum Colour { RED = 1, GREEN = 2, BLUE = 40 }

struct Point {
  1: i32 x
  2: i32 y
}

struct Everything {
  1: bool yes
  2: i8 tiny
  3: i16 small
  4: i32 medium
  5: i64 large
  6: double real
  7: string text
  8: binary bytes
  9: Colour colour
  10: list<string> words
  11: set<i32> numbers
  12: map<string, i64> prices
  13: list<Point> path
  14: map<i32, list<Point>> paths
  15: optional Point place
  16: list<bool> flags
  17: map<string, map<string, list<double>>> deep
}

exception Failure {
  1: i32 code
  2: string reason
}

service Interop extends fb303.FacebookService {
  // The same again.
  Everything echo(1: Everything value)
  // Its scalars in words: "true -1 -2 -3 -4 0.5 text 3 bytes colour 40".
  string describe(1: Everything value)
  i64 sum(1: list<i64> numbers, 2: set<i32> more, 3: map<string, i16> named)
  // "declared": a Failure of code 1001; "undeclared": something else; otherwise nothing.
  void check(1: string how) throws (1: Failure failure)
  // What was told can be asked for afterwards.
  oneway void tell(1: string word)
  list<string> told()
} (cpp.no_skeleton = "")
