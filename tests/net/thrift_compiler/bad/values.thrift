enum Color { RED, BLUE = 7 }
struct Point { 1: i32 x, 2: optional i32 y }
union Either { 1: i32 left, 2: string right }
const i8 SMALL = 128
// 4:18 128 does not fit the type i8
const i32 WORD = "word"
// 6:18 a string is not a value of the type i32
const bool MAYBE = 2
// 8:20 the number 2 is not a value of the type bool
const Color GREEN = 5
// 10:21 the enum Color has no value 5
const Point ORIGIN = {"x": 0, "z": 0, "x": 1}
// 12:31 Point has no field 'z'
// 12:39 the field 'x' is here twice
const list<i32> MIXED = [1, 2.5, "three"]
// 15:29 the number 2.5 is not a value of the type i32
// 15:34 a string is not a value of the type i32
const i32 SELF = OTHER
const i32 OTHER = SELF
// 19:19 the constant 'SELF' depends on itself
const i32 UNKNOWN = SMOLL
// 21:21 no constant or value of an enum of the name 'SMOLL'; is it 'SMALL'?
const map<string, Color> COLORS = {"a": Color.RED, 5: Color.BLUE, "c": Color.GREEN}
// 23:52 the number 5 is not a value of the type string
// 23:72 no constant or value of an enum of the name 'Color.GREEN'
const Either BOTH = {"left": 1, "right": "r"}
// 26:21 a union has one field at most
const uuid ID = "6ba7b810"
// 28:17 a uuid is written like
const string FROM_LIST = []
// 30:26 a list is not a value of the type string
struct Defaults { 1: i16 a = 70000, 2: string b = WORD_OK, 3: double c = "x" }
// 32:30 70000 does not fit the type i16
// 32:74 a string is not a value of the type double
const string WORD_OK = "ok"
const i32 TOO_FAR = WORD_OK
// 36:21 a string is not a value of the type i32
