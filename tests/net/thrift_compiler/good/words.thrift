// Names that are words of C, C++ or of the language itself, where that is clear.
struct words {
  1: i32 int
  2: i64 char
  3: string struct2
  4: bool inline_
  5: double double_
  6: list<i32> list_
}
enum register_ { SIGNED, REGISTERED }
service restrict_ { i32 long(1: i32 signed_) }
