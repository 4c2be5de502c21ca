"""How lines and bars look: a colour of Okabe & Ito's (told apart by the colour-blind), a marker, a
dash and a hatch of its own for each."""

from collections.abc import Iterable
from typing import Any

Style = dict[str, Any]

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
GRID, QUIET = "#dddddd", "#555555"


def _style(color: str, marker: str, linestyle: Any) -> Style:
    return {"color": color, "marker": marker, "linestyle": linestyle}


STYLES: dict[str, Style] = {
    "class-blind": _style(BLUE, "o", "-"),
    "class-uniform": _style(VERMILION, "s", "--"),
    "class-distribution": _style(GREEN, "^", "-."),
    "erk": _style(ORANGE, "v", (0, (5, 1))),
    "random": _style(PURPLE, "x", ":"),
    "dense": _style(BLACK, "", (0, (6, 4))),
    "pruned": _style(BLUE, "o", "-"),
    "retrained": _style(VERMILION, "s", "--"),
    "scratch": _style(GREEN, "^", "-."),
    "ticket": _style(ORANGE, "v", (0, (5, 1))),
    "random retrained": _style(PURPLE, "x", ":"),
}
# for those without a style of their own, in this order
SPARE = [
    _style(SKY, "D", (0, (3, 1, 1, 1))),
    _style(BLACK, "d", "-"),
    _style(ORANGE, "P", "--"),
    _style(BLUE, "*", ":"),
    _style(VERMILION, "<", "-."),
    _style(GREEN, ">", "-"),
    _style(PURPLE, "h", "--"),
]
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "--")


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """The style of each name: its own, that of its first word, or one of those to spare.

    "class-blind, 90%" looks like class-blind where nothing else does.
    """
    wanted = list(dict.fromkeys(names))
    found = {name: STYLES[name] for name in wanted if name in STYLES}
    spare = 0
    for name in wanted:
        if name in found:
            continue
        style = STYLES.get(name.partition(", ")[0])
        if style is None or style in found.values():
            style, spare = SPARE[spare % len(SPARE)], spare + 1
        found[name] = style
    return found
