# SPDX-License-Identifier: MIT
"""Coil in gdb, for a running program or a core file.

    (gdb) source coil_gdb.py
    (gdb) coil-tasks               the names of all tasks of all loops, with their addresses
    (gdb) coil-tasks GROUP         those of a coil_group *, and of the groups below
    (gdb) coil-bt TASK [vars]      the stack of a coil_task *, innermost first, with arguments
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


def container_of(member, type_name, name):
    """The struct of this type whose member `name` is at the address `member`."""
    kind = gdb.lookup_type(type_name)
    offset = next(field.bitpos // 8 for field in kind.strip_typedefs().fields()
                  if field.name == name)
    return gdb.Value(int(member) - offset).cast(kind.pointer())


def links_of(head):
    """The members of a coil_list, from its first."""
    link = head["next"]
    while link != head.address:
        yield link
        link = link["next"]


def ends_group(deferred):
    call = deferred["exit"]["call"]
    block = gdb.block_for_pc(int(call)) if call != 0 else None
    return block is not None and block.function is not None and block.function.name == "end_group"


def groups_of(task):
    """The groups that it has open, youngest first: each is known by the defer that ends it."""
    frame = task["top"]
    while frame != 0:
        deferred = frame["defers"]
        while deferred != 0:
            if ends_group(deferred):
                yield container_of(deferred, "group_scope", "end")["group"]
            deferred = deferred["next"]
        frame = frame["up"]


def loops():
    """All loops of the process that have not been destroyed."""
    symbol = gdb.lookup_static_symbol("all_loops")
    if symbol is None:
        raise gdb.GdbError("Coil is not there, or was built without debugging information")
    for link in links_of(symbol.value()):
        yield container_of(link, "coil_loop", "link")


class CoilBacktrace(gdb.Command):
    """coil-bt TASK [vars]: the stack of a coil_task, innermost first; with vars, their variables too."""

    def __init__(self):
        super().__init__("coil-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not words or words[1:] not in ([], ["vars"]):
            raise gdb.GdbError("usage: coil-bt TASK [vars]")
        task = gdb.lookup_type("coil_task").pointer()  # (An address alone is a number.)
        frame = gdb.parse_and_eval(words[0]).cast(task)["top"]
        number = 0
        while frame != 0:
            self.print_frame(number, frame, words[1:] == ["vars"])
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
    """coil-tasks [GROUP]: all tasks of a coil_group, and of the groups below; without one, of all loops."""

    def __init__(self):
        super().__init__("coil-tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) > 1:
            raise gdb.GdbError("usage: coil-tasks [GROUP]")
        if words:
            group = gdb.lookup_type("coil_group").pointer()
            self.print_group(gdb.parse_and_eval(words[0]).cast(group), 0)
            return
        for loop in loops():
            print(f"loop {int(loop['watch']['number'])} (thread {int(loop['watch']['thread'])})")
            for group in (loop["sched"]["root"], loop["runs"], loop["guests"]):
                self.print_group(group, 1)

    def print_group(self, group, depth):
        for link in links_of(group["tasks"]):
            task = container_of(link, "coil_task", "link")
            where = text(task["top"]["fn"]["name"]) if task["top"] != 0 else "(ended)"
            print(f"{'    ' * depth}(coil_task *) {int(task):#x}  {name_of(task)} in {where}")
            for below in groups_of(task):
                self.print_group(below, depth + 1)


CoilBacktrace()
CoilTasks()
