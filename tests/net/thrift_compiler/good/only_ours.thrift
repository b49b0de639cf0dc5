// What Apache's 0.17 does not know or refuses: uuid, keywords as names, references, exact doubles.
const uuid ID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
const uuid BRACED = "{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}"
const double EXACT = 0.30000000000000004
const double LARGEST = 1.7976931348623157e308
const map<list<i32>, string> BY_LIST = {[1, 2]: "k"}

struct Words { 1: i32 i8, 2: string next, 3: list<i32> list, 4: bool class, 5: i32 from, 6: Words & self, 7: string string }
enum Old { A = 1 }
struct Loose { 1: Old by_name = A, 2: Old by_another = Older.A, 3: only_ours.Old by_own_name }
enum Older { A = 1 }
const i32 BEFORE = AFTER
const i32 AFTER = 7
typedef Words Forward
