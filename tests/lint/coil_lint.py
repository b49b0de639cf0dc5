#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The mistakes in a coroutine that no compiler reports.

    coil_lint.py FILE.c [compiler flags]

E1  a local is used after an await, or in a defer, which it does not survive
E2  the address of a local, a local array or a compound literal goes into a coroutine
E3  within (...), until (...) or shield (...) that is neither awaited nor spawned

Needs clang, and reads nothing but its syntax tree: the bodies of coroutines are the functions called
*__body, an await is over at the label `co__resume`, a call that is about to become a frame is what
initialises `co__c` or `co__w`. (A cleanup attribute and a VLA are errors of clang's own.)

Flow is followed roughly: an await in a branch counts after it, unless the branch returns; what a
loop does in one turn counts in the next; an assignment, or a call that gets its address to write to,
gives a local a value again.
"""
import json
import re
import subprocess
import sys

ADAPTED = re.compile(r"co__w\d+$")
SITES = ("co__site", "co__exit")  # Of an await; of a defer.


def children(node):
    return [child for child in node.get("inner", []) if child]


def descend(node):
    yield node
    for child in children(node):
        yield from descend(child)


def fill_lines(tree, line=0):
    """The JSON names a line only where it differs from the one before. Returns the last one."""
    if isinstance(tree, list):
        for item in tree:
            line = fill_lines(item, line)
    elif isinstance(tree, dict):
        if "offset" in tree:
            line = tree.setdefault("line", line)
        for key, value in tree.items():
            if key != "includedFrom":
                line = fill_lines(value, line)
    return line


def line_of(node):
    """Where it stands in the source: for a macro, where that is used."""
    for where in (node.get("range", {}).get("begin", {}), node.get("loc", {})):
        where = where.get("expansionLoc", where)
        if "line" in where:
            return where["line"]
    return 0


def find_site(node):
    return next((d for d in descend(node)
                 if d.get("kind") == "VarDecl" and d.get("name") in SITES), None)


def is_defer_site(site):
    return any(d.get("kind") == "StringLiteral" and d.get("value") == '"defer"'
               for d in descend(site))


def is_local(node):
    name = node.get("name", "")
    return (node.get("kind") == "VarDecl" and node.get("storageClass") not in ("static", "extern")
            and not name.startswith("co__") and name != "my")


def escaping(node, taken=False):
    """The ids of what this expression takes the address of; None for a compound literal."""
    kind = node.get("kind")
    if kind == "CompoundLiteralExpr" and taken:
        yield None
    elif kind == "DeclRefExpr":
        if taken and node.get("referencedDecl", {}).get("kind") == "VarDecl":
            yield node["referencedDecl"]["id"]
        return
    elif kind == "UnaryOperator" and node.get("opcode") == "&":
        taken = True
    elif kind == "ImplicitCastExpr":
        taken = node.get("castKind") == "ArrayToPointerDecay" or (
            taken and node.get("castKind") != "LValueToRValue")
    elif kind == "CStyleCastExpr":
        pass
    elif kind == "MemberExpr":
        taken = taken and not node.get("isArrow")
    elif kind not in ("ArraySubscriptExpr", "ParenExpr"):
        taken = False
    for child in children(node):
        yield from escaping(child, taken)


def written(argument):
    """The id of the local that this argument is the address of, unless the callee only reads it."""
    is_address = False
    while children(argument):
        kind = argument.get("kind")
        if "const" in argument.get("type", {}).get("qualType", "") and not is_address:
            return None
        if kind == "UnaryOperator" and argument.get("opcode") == "&":
            is_address = True
        elif kind == "ImplicitCastExpr" and argument.get("castKind") == "ArrayToPointerDecay":
            is_address = True
        elif kind not in ("ImplicitCastExpr", "CStyleCastExpr", "ParenExpr") or (
                argument.get("castKind") == "LValueToRValue"):
            return None
        argument = children(argument)[0]
    return argument.get("referencedDecl", {}).get("id") if is_address else None


def always_returns(node):
    if node.get("kind") == "CompoundStmt":
        return bool(children(node)) and always_returns(children(node)[-1])
    return node.get("kind") == "ReturnStmt"


class Body:
    """Walks over one coroutine and collects (line, text)."""

    def __init__(self, function, found):
        self.found = found
        self.scope = {}    # id of a local -> (name, line)
        self.crossed = {}  # id of a local -> the line of the await since it had its value
        self.muted = set() # ids of locals that have just been reported
        self.walk(function)

    def report(self, line, text):
        self.found.add((line, text))

    def cross(self, line):
        for local in self.scope:
            self.crossed.setdefault(local, line)

    def walk(self, node):
        line = line_of(node)
        special = getattr(self, "walk_" + node.get("kind", ""), None)
        if special is not None:
            special(node, line)
        else:
            self.walk_children(node)

    def walk_children(self, node):
        for child in children(node):
            self.walk(child)

    def walk_VarDecl(self, node, line):
        name = node.get("name", "")
        if name in ("co__c", "co__w"):
            self.muted = self.check_escapes(node, line)
        self.walk_children(node)
        self.muted = set()
        if is_local(node):
            self.crossed.pop(node["id"], None)
            self.scope[node["id"]] = (name, line)

    def walk_LabelStmt(self, node, line):
        if node.get("name") == "co__resume":
            self.cross(line)
        self.walk_children(node)

    def walk_TypedefDecl(self, node, line):
        """Nor does typeof."""

    def walk_UnaryExprOrTypeTraitExpr(self, node, line):
        """sizeof does not use its operand."""

    def check_escapes(self, node, line):
        escaped = set(escaping(node))
        for local in escaped:
            if local is None:
                what = "a compound literal"
            elif local in self.scope:
                what = f"'{self.scope[local][0]}'"
            else:
                continue
            self.report(line, f"E2 the address of {what} goes into a coroutine, and is gone while "
                              "that waits; put it into vars (...)")
        return escaped

    def walk_DeclRefExpr(self, node, line):
        local = node.get("referencedDecl", {}).get("id")
        if local in self.crossed and local in self.scope and local not in self.muted:
            name, declared = self.scope[local]
            self.report(line, f"E1 '{name}' (line {declared}) does not survive line "
                              f"{self.crossed[local]}; put it into vars (...)")

    def walk_BinaryOperator(self, node, _line):
        """A plain assignment gives a local a value again."""
        target = children(node)[0]
        while target.get("kind") == "ParenExpr":
            target = children(target)[0]
        local = target.get("referencedDecl", {}).get("id")
        if node.get("opcode") == "=" and local in self.scope:
            self.walk(children(node)[1])
            self.crossed.pop(local, None)
        else:
            self.walk_children(node)

    def walk_CallExpr(self, node, _line):
        """So does a call that gets its address to write to."""
        for argument in children(node)[1:]:
            local = written(argument)
            if local in self.scope:
                self.crossed.pop(local, None)
        self.walk_children(node)

    def walk_CompoundStmt(self, node, _line):
        saved = dict(self.scope)
        for child in children(node):
            self.check_adapted(child)
            self.walk(child)
        self.scope = saved

    def check_adapted(self, node):
        while node.get("kind") in ("ExprWithCleanups", "ParenExpr", "UnaryOperator"):
            node = children(node)[0]
        if node.get("kind") != "StmtExpr":
            return
        first = next((d for d in descend(node) if d.get("kind") == "VarDecl"), {})
        if ADAPTED.match(first.get("name", "")):
            self.report(line_of(node), "E3 this call is neither awaited nor spawned")

    def walk_IfStmt(self, node, _line):
        parts = children(node)
        self.walk(parts[0])
        before = dict(self.crossed)
        after = {}
        for branch in parts[1:]:
            self.crossed = dict(before)
            self.walk(branch)
            if not always_returns(branch):
                after.update(self.crossed)
        self.crossed = {**after} if len(parts) > 2 else {**before, **after}

    def walk_loop(self, node, _line):
        saved = dict(self.scope)
        self.walk_children(node)
        parts = node["inner"][1:] if node["kind"] == "ForStmt" else children(node)
        for part in parts: # Once more: what one turn leaves behind, the next finds.
            if part:
                self.walk(part)
        self.scope = saved

    walk_WhileStmt = walk_loop
    walk_ForStmt = walk_loop

    def walk_DoStmt(self, node, line):
        parts = children(node)
        if parts[-1].get("kind") != "IntegerLiteral":
            self.walk_loop(node, line)
            return
        # The do {} while (0) of a macro. That of a defer is jumped into from outside.
        first = next(iter(children(parts[0])), {})
        site = find_site(first) if first.get("kind") == "IfStmt" else None
        if site is None or not is_defer_site(site):
            self.walk_children(node)
            return
        before = dict(self.crossed)
        for local in self.scope:
            self.crossed.setdefault(local, line)
        for statement in children(parts[0])[1:]:
            self.walk(statement)
        self.crossed = before


def bodies(source, flags):
    """The syntax trees of the coroutines, and what clang complains about."""
    command = ["clang", "-fsyntax-only", "-w", "-Xclang", "-ast-dump=json", "-Xclang",
               "-ast-dump-filter=__body", *flags, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    decoder = json.JSONDecoder()
    trees = []
    line = 0
    at = done.stdout.find("{")
    while at >= 0:
        tree, end = decoder.raw_decode(done.stdout, at)
        line = fill_lines(tree, line)
        trees.append(tree)
        at = done.stdout.find("{", end)
    return trees, done.stderr if done.returncode else ""


def lint(source, flags):
    """{(line, text)}"""
    trees, complaints = bodies(source, flags)
    found = set()
    if complaints:
        first = next((l for l in complaints.splitlines() if "error" in l), "clang failed")
        found.add((0, "cannot be read: " + first))
    for tree in trees:
        if tree.get("kind") == "FunctionDecl" and any(
                c.get("kind") == "CompoundStmt" for c in children(tree)):
            Body(tree, found)
    return found


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found = lint(sys.argv[1], sys.argv[2:])
    for line, text in sorted(found):
        print(f"{sys.argv[1]}:{line}: {text}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
