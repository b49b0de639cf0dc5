enum Color { RED = 1, GREEN = 2, BLUE = 3 }
typedef i32 Number
struct Prize {
  1: string name
  2: optional i32 weight = 5
  3: required Color color
  4: list<map<string, i32>> table
  5: string gone
  6: required string needed
  7: Prize inner
  8: optional i16 loose
  9: i32 moves
  10: Number alike
  11: binary bytes
  12: required bool strict
}
union Choice { 1: i32 number, 2: string text }
struct Inner { 1: bool flag }
struct Deep { 1: map<i32, list<Inner>> inners }
exception Lost { 1: string why }
service Base { void ping() }
service Shop extends Base {
  i32 buy(1: i32 item)
  i32 sell(1: i32 item)
  void stop()
  oneway void tell(1: string what)
  Deep deep()
  void count()
}
service Closed {}
