# SPDX-License-Identifier: MIT
"""Flame graphs: folds the output of `perf script` and draws it as SVG.

A coroutine's step function and body are one frame, and called like the coroutine.
"""

import re
from xml.sax.saxutils import escape

WIDTH, ROW, MARGIN, LETTER = 1000, 17, 10, 6.6
COLOURS = {"kernel": "#e8925a", "coroutine": "#6fbf73", "coil": "#9ad0c2", "user": "#e5d46e",
           "thread": "#b8b8c8"}
FRAME = re.compile(r"^\s+[0-9a-f]+ (.*) \((.*)\)$")
CLONE = re.compile(r"(\.(constprop|isra|part|cold|lto_priv)(\.\d+)?)+$|\+0x[0-9a-f]+$")
COROUTINE = re.compile(r"^(\w+?)__(step|body)$")


# ---- Folding ----


def frame_of(symbol, binary):
    """(name, kind)"""
    name = CLONE.sub("", CLONE.sub("", symbol))
    if binary.startswith(("[kernel", "[guest.kernel")) or binary.endswith(".ko"):
        return name, "kernel"
    coroutine = COROUTINE.match(name)
    if coroutine:
        return coroutine[1], "coroutine"
    if name == "[unknown]":
        name = f"[{binary.rsplit('/', 1)[-1].strip('[]')}]"
    return name, "coil" if name.startswith("coil_") else "user"


def folded(lines):
    """{stack: samples}; a stack is a tuple of (name, kind), the thread's name first."""
    counts, stack = {}, []
    for line in lines:
        frame = FRAME.match(line)
        if frame:
            stack.append(frame_of(*frame.groups()))
        elif line.strip():
            stack = [(line.split(":")[0].strip(), "thread")]
        elif stack:
            key = without_repetition((stack[0], *reversed(stack[1:])))
            counts[key] = counts.get(key, 0) + 1
            stack = []
    return counts


def without_repetition(stack):
    """The body of a coroutine is in its step function: one of the two is enough."""
    return tuple(frame for place, frame in enumerate(stack)
                 if frame[1] != "coroutine" or place == 0 or stack[place - 1] != frame)


# ---- Drawing ----


class Node:
    def __init__(self):
        self.count = 0
        self.children = {}

    def depth(self):
        return 1 + max((child.depth() for child in self.children.values()), default=0)


def tree_of(counts):
    root = Node()
    for stack, count in counts.items():
        node = root
        node.count += count
        for frame in stack:
            node = node.children.setdefault(frame, Node())
            node.count += count
    return root


def box(frame, count, total, x, y):
    """One frame; the viewer shows the title of what the pointer is at."""
    name, kind = frame
    width = count / total * (WIDTH - 2 * MARGIN)
    letters = int((width - 4) / LETTER)
    label = name if len(name) <= letters else name[:letters - 1] + "…" if letters > 3 else ""
    text = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(label)}</text>' if label else ""
    title = f"{escape(name)} ({kind}): {count / total:.1%}, {count} samples"
    return (f'<g class="{kind}"><title>{title}</title>'
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}"/>{text}</g>\n')


def boxes(node, total, x, y, narrowest):
    for frame, child in sorted(node.children.items()):
        width = child.count / total * (WIDTH - 2 * MARGIN)
        if width >= narrowest:
            yield box(frame, child.count, total, x, y)
            yield from boxes(child, total, x, y - ROW, narrowest)
        x += width


def legend(height):
    x = MARGIN
    for kind, colour in COLOURS.items():
        yield (f'<rect x="{x}" y="{height - ROW}" width="10" height="10" fill="{colour}"/>'
               f'<text x="{x + 14}" y="{height - ROW + 9}">{kind}</text>\n')
        x += 100


def svg(counts, title, narrowest=1.0):
    """What would be narrower than that many pixels is left out."""
    root = tree_of(counts)
    height = (root.depth() + 2) * ROW + 2 * MARGIN
    styles = "".join(f".{kind} rect{{fill:{colour}}}" for kind, colour in COLOURS.items())
    return "".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" ',
        f'height="{height}" font-family="monospace" font-size="11">\n',
        f"<style>{styles}g:hover rect{{stroke:#000}}</style>\n",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n',
        f'<text x="{MARGIN}" y="{MARGIN + 8}" font-weight="bold">{escape(title)}</text>\n',
        *boxes(root, max(root.count, 1), MARGIN, height - MARGIN - 3 * ROW, narrowest),
        *legend(height),
        "</svg>\n"])
