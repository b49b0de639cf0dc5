/**
 * All of the language that both compilers know.
 */
namespace c everything.of.it
namespace py everything
namespace * everything

include "inside/parts.thrift"
include "words.thrift"
cpp_include "<unordered_map>"

# Comments of three kinds
// and
/* more */

enum Color { RED, GREEN = 5, BLUE, DARK = -3 DARKER }
enum Hex { LOW = 0x10; HIGH = 0x7fffffff }
enum Empty {}
enum Annotated { ONE = 1 (meaning = "first", alone), TWO } (kind = "few")

typedef i32 Number
typedef Number Counter
typedef list<Counter> (cpp.template = "std::list") Counters
typedef map<string, set<parts.Part>> Parts (order = "none")

/** A leaf.
 *
 *    Indented.
 */
struct Leaf {
  1: required string name
  2: optional double weight = 1.25,
  3: Color color = Color.GREEN;
  /** By itself. */
  4: optional list<string> words = ["one", "two"] (unique = "yes", big)
  -1: i8 odd
}

const bool YES = true
const bool ONE_IS_TRUE = 1
const byte SMALL = -128
const i16 SHORT = 32767
const i32 LEAST = -2147483648
const i64 MOST = 9223372036854775807
const i64 LEAST_OF_ALL = -9223372036854775808
const i64 PATTERN = 0x7fffffffffffffff
const double THIRD = 0.3333333333333333
const double WHOLE = 3
const double BIG = 1.5e300
const double SMALLER = -2.5E-10
const string TEXT = 'it is "quoted"\tand \\ more'
const string OTHER = "it's"
const binary BYTES = "abc"
const Color FAVOURITE = Color.BLUE
const i32 FROM_ENUM = Color.DARKER
const Number FROM_TYPEDEF = 7
const Counter COUNTER = FROM_TYPEDEF
const list<Color> COLORS = [Color.RED, 5; Color.BLUE,]
const set<string> NO_NAMES = []
const map<string, list<i32>> TABLE = {"a": [1, 2], "b": [], 'c': [Color.GREEN]}
const Leaf LEAF = {"name": "oak", "weight": 2.5, "color": Color.GREEN}
const map<Color, map<i32, Leaf>> DEEP = {Color.RED: {1: {"name": "elm"}}}
const i32 FAR = parts.LIMIT
const parts.Size FAR_SIZE = parts.Size.LARGE
const list<Counter> REPEATED = [COUNTER, FROM_TYPEDEF]

struct Node {
  i32 first
  string second
  5: bool third = 1
  optional binary fourth
  6: list<map<i32, set<double>>> nested
  7: Leaf leaf = {"name": "from a default"}
  8: i64 after = MOST
} (final, order = "3")

struct Nothing {}

union Choice {
  1: i32 number
  2: string text = "none"
  3: Nothing nothing
}

exception Trouble {
  1: i32 code = 404
  2: string why
} (message = "why")

service Nobody {}

/** Services inherit across files. */
service Everything extends parts.Base {
  void nothing()
  oneway void tell(1: string what)
  Leaf find(1: string name, 2: i32 limit = 10, 3: required bool deep),
  map<i64, Choice> many(1: list<parts.Part> parts; 2: Parts all)
      throws (1: Trouble trouble, 2: parts.Lost lost) (idempotent = "true"),
  Counter count() throws (1: Trouble trouble);
  binary raw(i32 unnumbered, string too)
} (version = "1")

service More extends Everything { Color color(1: Color color = Color.DARK) }
