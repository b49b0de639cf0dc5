// Typedefs in containers, and of what is defined further down.
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

const Numbers NUMBERS = [1, 2, 3]
const Table TABLE = {"a": [[{"x": 1}], []]}
