// Apart here, and not in C.
enum Level { LOW, HIGH }
const i32 Level_LOW = 1
// 3:11 needs the name 'clashes_Level_LOW' in C
struct Level_type { 1: i32 int, 2: i32 int_ }
// 5:8 needs the name 'clashes_Level_type' in C
// 5:40 needs the name 'int_' in C
union Choice { 1: i32 one }
struct Choice_one { 1: i32 a }
// 9:8 needs the name 'clashes_Choice_one' in C
service Calls { void f(), void f_call(), void do(), void do_() }
// 11:32 needs the name 'clashes_Calls_f_call' in C
// 11:58 needs the name 'do_' in C
struct Calls_f_arguments { 1: i32 a }
// 14:8 needs the name 'clashes_Calls_f_arguments' in C
