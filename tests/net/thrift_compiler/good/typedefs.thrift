// Typedefs in containers, and of what is defined further down; odd numbers of fields.
typedef list<Number> Numbers
typedef map<Name, list<Points>> Table
typedef Later Sooner
typedef i32 Number
typedef string Name
typedef list<Point> Points
typedef i64 Later
typedef Shape Form
typedef Point Spot

enum Shape { ROUND, SQUARE = 4 }

struct Point {
  1: Number x = 3
  2: optional list<Form> forms = [Shape.ROUND, Shape.SQUARE]
  3: map<Number, Sooner> later = {1: 2}
  4: set<Spot> around
}

// Numbers that are none are drawn anew, as those that are left out.
struct Numberless {
  -7: i32 one
  i32 two
  3: i32 three
  -32768: i32 four
}

const Numbers NUMBERS = [1, 2, 3]
const Table TABLE = {"a": [[{"x": 1}], []]}
