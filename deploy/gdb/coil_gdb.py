# SPDX-License-Identifier: MIT
"""Coil in gdb, for a running program or a core file.

    (gdb) source coil_gdb.py
    (gdb) coil-bt TASK [vars]      the stack of a coil_task *, innermost first, with arguments
    (gdb) coil-tasks [GROUP]       the names of all tasks, or of those of a coil_group * and below
"""
import gdb


def text(value):
    return value.string() if value != 0 else ""


def fields(struct):
    return "{" + ", ".join(f"{field.name} = {struct[field.name]}" for field in struct.type.fields()
                           if not field.name.startswith("co__")) + "}"


def arguments_of(frame, name):
    """What the coroutine was called with, or None if the program has no types for it."""
    try:
        kind = gdb.lookup_type(f"struct {name}__frame")
        return fields(frame.cast(kind.pointer()).dereference()["co__a"])
    except gdb.error:
        return None


def variables_of(frame, name):
    """Its coil_vars(): the struct is local to the body."""
    if frame["vars"] == 0:
        return None
    try:
        places = gdb.decode_line(f"{name}__body")[1]
        block = gdb.block_for_pc(places[0].pc)
        kind = gdb.lookup_symbol("co__vars", block, gdb.SYMBOL_STRUCT_DOMAIN)[0]
        return frame["vars"].cast(kind.type.pointer()).dereference() if kind else None
    except (gdb.error, RuntimeError, TypeError):
        return None


def name_of(task):
    """The name that it was given, else that of its coroutine."""
    try:
        if task["extras"] != 0 and task["extras"]["name"][0] != 0:
            return task["extras"]["name"].string()
    except gdb.error:
        pass  # The core is there without debugging information.
    first = task["first"].address.cast(gdb.lookup_type("coil_frame").pointer())
    return text(first["fn"]["name"])


def groups_of(task):
    """The groups that it has open, youngest first: each is known by the defer that ends it."""
    scope = gdb.lookup_type("group_scope")
    offset = next(field.bitpos // 8 for field in scope.strip_typedefs().fields()
                  if field.name == "end")
    frame = task["top"]
    while frame != 0:
        deferred = frame["defers"]
        while deferred != 0:
            call = int(deferred["exit"]["call"])
            block = gdb.block_for_pc(call) if call != 0 else None
            if block and block.function and block.function.name == "end_group":
                yield gdb.Value(int(deferred) - offset).cast(scope.pointer())["group"]
            deferred = deferred["next"]
        frame = frame["up"]


def owners(head, kind, member="link"):
    """What the elements of a coil_list lie in."""
    kind = gdb.lookup_type(kind)
    offset = next(field.bitpos // 8 for field in kind.strip_typedefs().fields() if field.name == member)
    link = head["next"]
    while link != head.address:
        yield gdb.Value(int(link) - offset).cast(kind.pointer())
        link = link["next"]


def pointer_to(kind, expression):
    """What the user names: an expression of that type, or the bare address that coil-tasks prints."""
    return gdb.parse_and_eval(expression).cast(gdb.lookup_type(kind).pointer())


class CoilBacktrace(gdb.Command):
    """coil-bt TASK [vars]: the stack of a coil_task, innermost first; with vars, their variables too."""

    def __init__(self):
        super().__init__("coil-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not words or words[1:] not in ([], ["vars"]):
            raise gdb.GdbError("usage: coil-bt TASK [vars]")
        try:
            self.print_stack(pointer_to("coil_task", words[0]), words[1:] == ["vars"])
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"{words[0]} is no task: {error}") from None

    def print_stack(self, task, with_variables):
        frame = task["top"]
        number = 0
        while frame != 0:
            self.print_frame(number, frame, with_variables)
            frame = frame["up"]
            number += 1

    def print_frame(self, number, frame, with_variables):
        name = text(frame["fn"]["name"])
        line = f"#{number:<2} {name}"
        if frame["at"] != 0 and int(frame["at"]["line"]) != 0:
            line += f" ({text(frame['fn']['file'])}:{int(frame['at']['line'])})"
            line += f"  await ({text(frame['at']['what'])})"
        print(line)
        arguments = arguments_of(frame, name)
        if arguments not in (None, "{}"):
            print("      arguments", arguments)
        variables = variables_of(frame, name) if with_variables else None
        if variables is not None:
            print("      vars", variables)


class CoilTasks(gdb.Command):
    """coil-tasks [GROUP]: all tasks of a coil_group, with their addresses, and of the groups below;
    without one, those of all loops."""

    def __init__(self):
        super().__init__("coil-tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) > 1:
            raise gdb.GdbError("usage: coil-tasks [GROUP]")
        if words:
            self.print_group(pointer_to("coil_group", words[0]), 0)
            return
        for loop in owners(gdb.parse_and_eval("'loop_registry.c'::all_loops"), "coil_loop"):
            print(f"(coil_loop *) {int(loop):#x}  loop {int(loop['watch']['number'])}, "
                  f"thread {int(loop['watch']['thread'])}")
            for group in (loop["sched"]["root"], loop["runs"], loop["guests"]):
                self.print_group(group, 1)

    def print_group(self, group, depth):
        for task in owners(group["tasks"], "coil_task"):
            where = text(task["top"]["fn"]["name"]) if task["top"] != 0 else "(ended)"
            print(f"{'    ' * depth}(coil_task *) {int(task):#x}  {name_of(task)} in {where}")
            for below in groups_of(task):
                self.print_group(below, depth + 1)


CoilBacktrace()
CoilTasks()
