# SPDX-License-Identifier: MIT
"""Plots as SVG, by hand: grouped bars, and lines over linear, logarithmic or percentile axes.

They have no background and colours that read on white and on black; where the viewer says which,
the text follows.
"""

import html
import math

WIDTH, HEIGHT = 960, 440
LEFT, RIGHT, TOP, BOTTOM = 66, 40, 84, 62

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #6a737d; }
  .title { font-size: 17px; font-weight: 600; fill: #57606a; }
  .warning { fill: #d1242f; font-weight: 600; }
  .grid { stroke: #8c959f; stroke-opacity: 0.25; }
  .axis { stroke: #8c959f; }
  .error { stroke: #57606a; stroke-width: 1.2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9aa4ae; }
    .title { fill: #d0d7de; }
    .warning { fill: #ff7b72; }
    .error { stroke: #d0d7de; }
  }
"""

COLOURS = {"coil": "#2f6feb", "epoll": "#e08a2e", "uring": "#2da44e", "libuv": "#8c959f",
           "libevent": "#a0703c", "asio": "#a371f7", "asio_uring": "#6e40c9",
           "asyncio": "#c9a227", "uvloop": "#7a9a01", "go": "#1b9aaa", "node": "#5a8f3d",
           "tokio": "#d1495b"}
SPARE = ("#db61a2", "#4e79a7", "#b07aa1", "#76b7b2")


def colour(name):
    return COLOURS.get(name) or SPARE[sum(name.encode()) % len(SPARE)]


# ---- Axes: each maps a value to 0..1 ----


class Linear:
    def __init__(self, low, high):
        self.low, self.high = low, high

    def place(self, value):
        return (value - self.low) / (self.high - self.low)

    def ticks(self):
        rough = (self.high - self.low) / 6
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(number * step, f"{number * step:.10g}") for number in range(first, last + 1)]


class Log:
    def __init__(self, low, high):
        self.low, self.high = math.log10(low), math.log10(high)
        if self.high - self.low < 0.1:
            self.low, self.high = self.low - 0.3, self.high + 0.3

    def place(self, value):
        return (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self):
        factors = (1,) if self.high - self.low > 3 else (1, 2, 5)
        every = [factor * 10.0 ** power for factor in factors
                 for power in range(math.floor(self.low), math.ceil(self.high) + 1)]
        return [(value, short(value)) for value in sorted(every)
                if -1e-9 <= self.place(value) <= 1 + 1e-9]


class Percentile:
    """Stretches the tail: 90 %, 99 %, 99.9 % are equally far apart."""

    def __init__(self, highest):
        self.decades = -math.log10(1 - highest)

    def place(self, share):
        return -math.log10(1 - share) / self.decades

    def ticks(self):
        shares = (0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
        return [(share, f"{share * 100:.6g} %") for share in shares if self.place(share) <= 1.0001]


def short(value):
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.4g} {suffix}"
    return f"{value:.4g}"


# ---- Drawing ----


class Plot:
    """The frame of a plot: title, axes, legend; and what is drawn into it."""

    def __init__(self, title, remark, warning=False):
        self.parts = []
        self.text(LEFT, 26, title + " (disturbed)" if warning else title, "title")
        self.text(LEFT, 46, remark, "warning" if warning else "")

    def add(self, tag, **attributes):
        words = " ".join(f'{name.rstrip("_").replace("_", "-")}="{self.number(value)}"'
                         for name, value in attributes.items())
        self.parts.append(f"<{tag} {words}/>")

    @staticmethod
    def number(value):
        return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value

    def text(self, x, y, words, class_="", anchor="start", more=""):
        kind = f' class="{class_}"' if class_ else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{kind} text-anchor="{anchor}"{more}>'
                          f"{html.escape(words)}</text>")

    def x(self, share):
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, share):
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def y_axis(self, axis, label):
        for value, words in axis.ticks():
            y = self.y(axis.place(value))
            self.add("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
            self.text(LEFT - 8, y + 4, words, anchor="end")
        middle = self.y(0.5)
        self.text(16, middle, label, anchor="middle", more=f' transform="rotate(-90 16 {middle})"')

    def x_axis(self, axis, label):
        for value, words in axis.ticks():
            x = self.x(axis.place(value))
            self.add("line", class_="grid", x1=x, x2=x, y1=self.y(0), y2=self.y(1))
            self.text(x, self.y(0) + 18, words, anchor="middle")
        self.text(self.x(0.5), HEIGHT - 14, label, anchor="middle")

    def legend(self, names):
        x = LEFT
        for name in names:
            self.add("rect", x=x, y=57, width=11, height=11, rx=2, fill=colour(name))
            self.text(x + 16, 67, name)
            x += 32 + 7 * len(name)

    def error_bar(self, x, low, high):
        self.add("line", class_="error", x1=x, x2=x, y1=low, y2=high)
        for y in (low, high):
            self.add("line", class_="error", x1=x - 3, x2=x + 3, y1=y, y2=y)

    def svg(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                f'width="{WIDTH}" height="{HEIGHT}" role="img">')
        return "\n".join([head, f"<style>{STYLE}</style>"] + self.parts + ["</svg>", ""])


# ---- Bars ----


def bar_axis(groups, base):
    values = [base]
    for _, bars in groups:
        for value, error in bars.values():
            values += [value - (error or 0), value + (error or 0)]
    margin = 0.06 * max(max(values) - min(values), 0.05)
    return Linear(min(values) - margin, max(values) + margin)


def draw_bar(plot, axis, base, name, estimate, left, width):
    value, error = estimate
    ends = sorted((plot.y(axis.place(value)), plot.y(axis.place(base))))
    plot.add("rect", x=left, y=ends[0], width=width, height=max(0.5, ends[1] - ends[0]), rx=1.5,
             fill=colour(name))
    if error:
        plot.error_bar(left + width / 2, plot.y(axis.place(value - error)),
                       plot.y(axis.place(value + error)))


def bars(title, remark, groups, label, base=1.0, warning=False, legend=True):
    """`groups`: [(label, {name: (value, error)})]. Bars begin at `base`: up is more, down is less.
    A label has a line for each " | " in it."""
    plot = Plot(title, remark, warning)
    axis = bar_axis(groups, base)
    plot.y_axis(axis, label)
    slot = 1 / len(groups)
    for number, (words, members) in enumerate(groups):
        room = plot.x(slot) - plot.x(0)
        width = min(46.0, 0.78 * room / max(1, len(members)))
        left = plot.x((number + 0.5) * slot) - width * len(members) / 2
        for place, (name, estimate) in enumerate(members.items()):
            draw_bar(plot, axis, base, name, estimate, left + place * width, width * 0.92)
        for line, part in enumerate(words.split(" | ")):
            plot.text(plot.x((number + 0.5) * slot), plot.y(0) + 18 + 15 * line, part,
                      anchor="middle")
    y = plot.y(axis.place(base))
    plot.add("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
    if legend:
        plot.legend(list(dict.fromkeys(name for _, members in groups for name in members)))
    return plot.svg()


# ---- Lines ----


def lines(title, remark, series, x_axis, y_axis, labels, warning=False, marks=True):
    """`series`: {name: [(x, y), ...]}; `labels`: those of the x and of the y axis."""
    plot = Plot(title, remark, warning)
    plot.x_axis(x_axis, labels[0])
    plot.y_axis(y_axis, labels[1])
    for name, points in series.items():
        places = [(plot.x(x_axis.place(x)), plot.y(y_axis.place(y))) for x, y in points]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        plot.add("path", d=path, fill="none", stroke=colour(name), stroke_linejoin="round",
                 stroke_width=2.6 if name == "coil" else 1.6)
        for x, y in places if marks else []:
            plot.add("circle", cx=x, cy=y, r=3, fill=colour(name))
    plot.legend(list(series))
    return plot.svg()


def log_axis(values):
    """A logarithmic axis for these values, with a little room."""
    return Log(min(values) / 1.15, max(values) * 1.15)
