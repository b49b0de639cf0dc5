namespace c parts

const i32 LIMIT = 100

enum Size { SMALL = 1, LARGE = 9 }

struct Part { 1: Size size = Size.LARGE, 2: list<Part> inner }

exception Lost { 1: Part part }

service Base {
  string name()
  Part part(1: i32 number) throws (1: Lost lost)
}
