"""Names beside marks: each where it lies on nothing else, or left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

AROUND = 4  # points from a mark to its name
# to the right first, as one reads: steps across and up, and how the name is aligned
_SIDES = (
    (1, 1, "left", "bottom"), (1, 0, "left", "center"), (1, -1, "left", "top"),
    (-1, 1, "right", "bottom"), (-1, 0, "right", "center"), (-1, -1, "right", "top"),
    (0, 2, "center", "bottom"), (0, -2, "center", "top"),
)  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A mark's place in data coordinates, and its name."""

    name: str
    x: float
    y: float


def place_names(axes: Any, marks: Sequence[Named], fontsize: float = 7) -> None:
    """Write the names of marks, the first before others.

    A name stays inside the frame, and off all marks and the other names; one that is beside its
    mark already, at another mark that is as good as there, is not written again. Call it when
    limits and layout are final: places are known from then on.
    """
    renderer = axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    centres = axes.transData.transform([(mark.x, mark.y) for mark in marks])
    half = 3 * axes.figure.dpi / 72  # of a mark
    taken = [_box(x - half, y - half, x + half, y + half) for x, y in centres]
    written: list[tuple[str, Any]] = []
    for mark, centre in zip(marks, centres, strict=True):
        if any(name == mark.name and abs(at - centre).max() < 4 * half for name, at in written):
            continue
        for text in _tried(axes, mark, fontsize):
            box = text.get_window_extent(renderer)
            inside = frame.x0 < box.x0 and box.x1 < frame.x1
            inside = inside and frame.y0 < box.y0 and box.y1 < frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                written.append((mark.name, centre))
                break
            text.remove()


def _tried(axes: Any, mark: Named, fontsize: float) -> Iterator[Any]:
    for across, up, ha, va in _SIDES:
        yield axes.annotate(
            mark.name, (mark.x, mark.y), fontsize=fontsize, ha=ha, va=va,
            xytext=(AROUND * across, 2.5 * up), textcoords="offset points",
        )  # fmt: skip


def _box(x0: float, y0: float, x1: float, y1: float) -> Any:
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(x0, y0, x1, y1)
