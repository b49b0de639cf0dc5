/* What is served to hostile peers: every type there is, and values that contain themselves. */
namespace c hostile

enum Colour { RED = 1, GREEN = 2 }

struct Word {
  1: string text
  2: i32 count = 1
}

struct Tree {
  1: list<Tree> branches
  2: i32 leaf
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
  9: uuid identity
  10: list<i64> numbers
  11: set<string> names
  12: map<string, list<i32>> index
  13: Word word
  14: Colour colour
  15: list<Word> words
  16: list<bool> bits
  17: map<i32, Word> dictionary
}

service Target {
  string echo(1: string text)
  i32 take(1: Everything thing)
  i32 grow(1: Tree tree)
  oneway void note(1: string text)
  void ping()
}
