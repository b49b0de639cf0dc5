// After each mistake the parser finds its way again.
struct Missing { 1 i32 name }
// 2:20 expected ':', found 'i32'
struct 7 { }
// 4:8 expected the name of the struct, found '7'
enum Wrong { A = "one" }
// 6:18 expected a whole number, found a string
const list<i32 UNCLOSED = []
// 8:16 expected '>', found 'UNCLOSED'
service S { void f(1: i32 a }
// 10:29 expected a type, found '}'
struct Odd { 1: i32 a.b }
// 12:21 the name of what is defined has no dots: 'a.b'
const string STRANGE = "\q"
// 14:25 no such escape
const i32 HUGE = 99999999999999999999
// 16:18 99999999999999999999 does not fit 64 bits
struct Many { 70000: i32 a }
// 18:15 the number of a field is from 1 to 32767, not 70000
const i32 DOLLAR = $
// 20:20 '$' has no meaning here
senum Past { "a" }
// 22:1 'senum' is of the past and not supported
enum Large { A = 2147483647, B }
// 24:30 the value of 'B' does not fit 32 bits: 2147483648
struct Ends { 1: string a
// 28:1 expected '}', found the end of the file
