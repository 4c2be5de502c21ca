"""How lines and bars look: a colour of Okabe & Ito's (told apart by the colour-blind), a marker, a
dash and a hatch of its own for each."""

from collections.abc import Iterable
from typing import Any

from fairseq_prune.study.stages import STAGES

Style = dict[str, Any]

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
GRID, QUIET = "#dddddd", "#555555"


def _style(color: str, marker: str, linestyle: Any) -> Style:
    return {"color": color, "marker": marker, "linestyle": linestyle}


# those of schemes and stages, which are in no figure together
PALETTE: dict[str, Style] = {
    "blue": _style(BLUE, "o", "-"),
    "vermilion": _style(VERMILION, "s", "--"),
    "green": _style(GREEN, "^", "-."),
    "orange": _style(ORANGE, "v", (0, (5, 1))),
    "purple": _style(PURPLE, "x", ":"),
    "black": _style(BLACK, "", (0, (6, 4))),
}
_SCHEMES = {
    "class-blind": "blue",
    "class-uniform": "vermilion",
    "class-distribution": "green",
    "erk": "orange",
    "random": "purple",
}
_STAGES = {name: stage.style for name, stage in STAGES.items() if stage.style}
STYLES = {name: PALETTE[colour] for name, colour in {**_SCHEMES, **_STAGES}.items()}
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
