enum Color { RED = 1, GREEN = 4, PINK = 5 }
// 1:6 warning: 'Color' has no BLUE any more
// 1:23 GREEN is 4, and was 2
// 1:34 warning: those who have the old 'Color' do not know PINK
struct Prize {
// 5:8 'needed' has gone
  1: binary name
  2: optional i32 weight = 6
// 8:19 warning: 'weight' has another default
  3: optional Color color
// 10:21 'color' may be left out
  4: list<map<string, i64>> table
// 12:6 'table' is list<map<string, i64>>, and was list<map<string, i32>>
  7: Prize inner
  8: required i16 loose
// 15:19 'loose' is required
  13: i32 moves
// 17:11 'moves' has the number 13, and had 9
  10: i32 alike
  11: string renamed
  12: bool strict
  14: required i64 added
// 22:20 'added' is required, and those who have the old interface do not know it
  15: string harmless
}
union Choice { 1: i32 number, 2: string text, 3: double real }
// 26:57 warning: a union that is 'real' is nothing
struct Inner { 1: i8 flag }
// 28:19 'flag' is i8, and was bool
struct Deep { 1: map<i32, list<Inner>> inners }
exception Lost { 1: string why }
service Shop {
// 32:9 'Shop' has no function 'stop' any more
  i32 buy(1: i32 item, 2: bool wrapped)
  string sell(1: i32 item) throws (1: Lost lost)
// 35:3 'success' is string, and was i32
// 35:44 warning: those who have the old interface do not know 'lost'
  void tell(1: string what)
// 38:8 'tell' is answered, and was oneway
  Deep deep()
  i32 count()
// 41:7 'count' gives i32, and gave void
  void ping()
  void more()
}
// 1:1 there is no service 'Closed' any more
service Base { void ping() }
