struct Prise { 1: i32 a, 1: string b, 2: i64 a }
// 1:36 the number 1 is that of 'a' already
// 1:46 there is a field 'a' already
struct Shop { 1: list<Prize> prices, 2: shop.Thing thing, 3: i32 c, 0: i32 zero }
// 4:23 no type of the name 'Prize'; is it 'Prise'?
// 4:41 no file of the name 'shop' is included
// 4:76 0 is not the number of a field
enum Twice { A, A = 5 }
// 8:17 there is a value 'A' already
typedef Loop Around
// 12:14 the type 'Around' contains itself
typedef list<Around> Loop
struct Prise { 1: i32 again }
// 13:8 there is a struct 'Prise' already
service Self extends Other {}
service Other extends Self {}
// 16:23 the service 'Other' extends itself
service Lost extends Nobody {}
// 18:22 no service of the name 'Nobody'
service Calls {
  oneway i32 answer()
  oneway void throwing() throws (1: Bad bad)
  void wrong() throws (1: Prise notOne)
}
// 21:10 a oneway function has no result
// 22:41 a oneway function throws nothing
// 23:27 Prise is not an exception
exception Bad { 1: string why }
union Two { 1: i32 a = 1, 2: i32 b = 2 }
// 29:34 a second default in a union
