"""Every figure as it is drawn: its words inside the sheet and apart, its bands inside the frame."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairseq_prune.bench.figure import drawn_speeds
from fairseq_prune.report import gallery, mask_figures
from fairseq_prune.report.chart import Chart, drawn, on_lines
from fairseq_prune.report.class_figures import perplexity_by_class, perplexity_by_magnitude
from fairseq_prune.report.figures import by_scheme, by_stage, over_seeds
from fairseq_prune.report.file_finder import FileFinder
from fairseq_prune.report.gallery import FIGURES, Material
from fairseq_prune.report.mask_figures import PooledMask, Rows
from fairseq_prune.report.points import read_points
from fairseq_prune.report.sensitivity_files import ClassPruned, Measured, find_measured
from tests.report import tiny
from tests.report.rows import row, write

EDGE = 0.5  # pixels of 1/100 inch that roundings may take


def words(drawing: Any) -> list[Any]:
    """The texts of a drawing that are seen; labels of ticks beyond an axis are not drawn."""
    from matplotlib.text import Text

    beyond = {
        label
        for axes in drawing.axes
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
        if not (axes.axison and min(ends) <= tick.get_loc() <= max(ends))
    }
    every = [t for t in drawing.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [text for text in every if text not in beyond]


@contextmanager
def laid_out(chart: Chart) -> Iterator[tuple[Any, float]]:
    """The drawing, every text in its place."""
    with drawn(chart) as (drawing, below):
        drawing.draw_without_rendering()
        yield drawing, below


def box(text: Any) -> Any:
    return text.get_window_extent(text.figure.canvas.get_renderer())


def cut_words(drawing: Any) -> list[str]:
    """The texts that are not wholly on the sheet."""
    sheet, found = drawing.bbox, []
    for text in words(drawing):
        b = box(text)
        inside = b.x0 >= -EDGE and b.y0 >= -EDGE
        if not (inside and b.x1 <= sheet.x1 + EDGE and b.y1 <= sheet.y1 + EDGE):
            found.append(text.get_text())
    return found


def words_in_each_other(drawing: Any) -> list[tuple[str, str]]:
    """Texts that lie on one another."""
    shown = [(t.get_text(), box(t)) for t in words(drawing)]
    return [(a, b) for (a, one), (b, other) in combinations(shown, 2) if one.overlaps(other)]


def cut_bands(drawing: Any) -> list[Any]:
    """The bands, bars and level lines that leave their axes."""
    from matplotlib.collections import LineCollection, PolyCollection

    found = []
    for axes in drawing.axes:
        if axes.get_ylabel() != "BLEU":
            continue
        low, high = axes.get_ylim()
        left, right = axes.get_xlim()
        for one in (c for c in axes.collections if isinstance(c, PolyCollection | LineCollection)):
            ends = [y for path in one.get_paths() for _, y in path.vertices]
            found += [one] if ends and not low <= min(ends) <= max(ends) <= high else []
            across = [x for path in one.get_paths() for x, _ in path.vertices]
            found += [one] if ends and not left <= min(across) <= max(across) <= right else []
        found += [p for p in axes.patches if not low <= p.get_extents().y0]
        for line in axes.lines:
            found += [y for y in line.get_ydata() if not low <= y <= high]
    return found


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Chart]:
    """All twelve figures, of a study whose names are long and whose scores lie close together."""
    folder = tiny.study(tmp_path_factory.mktemp("study"))
    for path in folder.rglob("results.jsonl"):
        one = json.loads(path.read_text())
        path.write_text(json.dumps(one | counts(one)) + "\n")
    rows = []
    for seed, level in (("1", 36.0), ("2", 36.9), ("3", 35.8)):
        for stage, shift in (("dense", 0.1), ("longer", 0.4), ("small", -20.0)):
            rows.append(row(stage, None, 0.0, level + shift, sha=f"{stage}{seed}"))
        for sparsity in (0.4, 0.9):
            for scheme in ("class-blind", "ffn, of a name that somebody gave it, class-uniform"):
                for stage in ("pruned", "retrained", "scratch"):
                    bleu = level - 30 * sparsity * float(seed) if stage == "pruned" else level
                    rows.append(row(stage, scheme, sparsity, max(0.0, bleu), sha=stage + seed))
        for one in rows:
            one["tags"].setdefault("seed", seed)
            one |= counts(one)
    write(folder / "more", *rows)
    points = read_points(folder.rglob("results.jsonl"))
    files = FileFinder([str(folder)])
    measured = find_measured([str(folder)], {"dense.pt": "m"}, files.note)
    material = Material(points, "m", files, [*measured, *many_classes()])
    made = {}
    for name, found in gallery._all(material):
        made[name] = found[0] if isinstance(found, tuple) else found
    return made


def counts(one: dict[str, Any]) -> dict[str, Any]:
    left = 300 if one["tags"].get("stage") == "small" else int(1000 * (1 - one["sparsity"]))
    return {"parameters": 1000, "nonzero": left, "multiply_adds": [2000, 2 * left]}


def many_classes() -> list[Measured]:
    """Three schemes on a Transformer's classes: marks that lie together, and some at the edges."""
    parts = [
        f"{side}-layer-{n}.{part}"
        for side, these in (("source", ("self-attention", "ffn")),
                            ("target", ("self-attention", "cross-attention", "ffn")))
        for n in (1, 2)
        for part in these
    ]  # fmt: skip
    parts.append("shared-embedding")
    found = []
    for k, scheme in enumerate(tiny.SCHEMES):
        rows = [
            ClassPruned(name, 0.05 * (n + 1) ** (3 if n > 8 else 1), 0.13 + 0.002 * k * (n - 3))
            for n, name in enumerate(parts)
        ]
        found.append(Measured("m", scheme, f"{scheme}, 90%", rows, f"measure {scheme}"))
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_no_word_is_cut_and_no_two_lie_on_each_other(charts: dict[str, Chart], name: str) -> None:
    with laid_out(charts[name]) as (drawing, below):
        assert len(words(drawing)) > 5 and 0.7 < below < 1
        assert cut_words(drawing) == []
        assert words_in_each_other(drawing) == []


@pytest.mark.parametrize("name", ["figure1", "figure2", "figure8", "figure11", "figure12"])
def test_every_band_is_whole_and_dense_has_one(charts: dict[str, Chart], name: str) -> None:
    with laid_out(charts[name]) as (drawing, _):
        assert cut_bands(drawing) == []
        assert all(axes.patches for axes in drawing.axes if axes.axison)  # the level bands
        legend = [text.get_text() for text in drawing.legends[0].get_texts()]
        assert "dense 36.4 ± 0.5 (n=4)" in [text.replace("\n", " ") for text in legend]


def test_a_band_below_zero_and_one_above_the_top_are_whole(tmp_path: Path) -> None:
    rows = []
    for seed, bleus in enumerate(((0.0, 90.0), (0.1, 10.0), (8.0, 99.0))):
        for stage, bleu in zip(("pruned", "retrained"), bleus, strict=True):
            for sparsity in (0.4, 0.8):
                one = row(stage, "class-blind", sparsity, bleu, sha=f"{seed}")
                one["tags"]["seed"] = str(seed)
                rows.append(one)
    points = read_points([write(tmp_path, *rows)])
    for chart in (by_scheme(points, "m"), by_stage(points, "m"), over_seeds(points, "m")):
        assert chart is not None
        with laid_out(chart) as (drawing, _):
            assert cut_bands(drawing) == [] and cut_words(drawing) == []


def test_figure_5_names_most_marks_inside_its_frame() -> None:
    chart = perplexity_by_magnitude(many_classes(), "m")
    assert chart is not None
    with laid_out(chart) as (drawing, _):
        (axes,) = drawing.axes
        names = [text for text in axes.texts if text.get_text()]
        frame = axes.get_window_extent()
        for text in names:
            b = box(text)
            assert frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1
        assert len({text.get_text() for text in names}) >= 8  # of eleven classes


@pytest.mark.parametrize("label", ["dense.pt", "runs/a/checkpoint_best.pt:runs/b/checkpoint.pt"])
def test_nothing_of_bench_is_cut(label: str) -> None:
    speeds = [
        {"engine": f"{label}: {kind}", "beam": beam, "batch": 1, "ratio": 1.5, "ratios": [1, 2]}
        for kind in ("fairseq", "fairseq-csr", "ctranslate2-int8 (no beam: it refines sentences)")
        for beam in (1, 5)
    ]
    with drawn_speeds(speeds, f"{label} in fairseq") as drawing:
        drawing.draw_without_rendering()
        assert cut_words(drawing) == [] and words_in_each_other(drawing) == []


def test_panels_have_room_for_names_of_tensors() -> None:
    name = "decoder.layers.{}.encoder_attn.out_projection_of_a_long_name.weight"
    names = [name.format(n) for n in range(8)]
    half = np.full((8, 8), 0.5)
    parts = {n: [PooledMask("weight_ih", half, (8, 8), True)] for n in names}
    rows = [Rows(n, np.linspace(0, 1, 9)) for n in names]
    for draw in (
        lambda drawing: mask_figures._draw_bitmaps(drawing, parts, 4),
        lambda drawing: mask_figures._draw_rows(drawing, rows),
    ):
        chart = Chart("figure7", "m", "", [], [], draw, (8.4, 4.7))
        with laid_out(chart) as (drawing, _):
            assert cut_words(drawing) == [] and words_in_each_other(drawing) == []


def test_bars_and_marks_have_room_for_names_of_tensors() -> None:
    name = "decoder.layers.{}.encoder_attn.out_projection_of_a_long_name.weight"
    rows = [ClassPruned(name.format(n), 0.5 * n + 0.1, 0.1 * n + 0.1) for n in range(8)]
    measured = [Measured("m", "class-blind", f"class-blind, {name}", rows, "c")]
    for make in (perplexity_by_class, perplexity_by_magnitude):
        chart = make(measured, "m")
        assert chart is not None
        with laid_out(chart) as (drawing, _):
            assert cut_words(drawing) == [] and words_in_each_other(drawing) == []
            (axes,) = drawing.axes
            assert axes.get_window_extent().width > 0.3 * drawing.bbox.width


def test_names_are_broken_where_one_would_break_them() -> None:
    assert (
        on_lines("decoder.layers.0.self_attn.weight", 16) == "decoder.layers.\n0.self_attn.\nweight"
    )
    assert on_lines("short", 16) == "short" and on_lines("x" * 20, 16) == "x" * 16 + "\n" + "x" * 4
    assert on_lines("x" * 99, 16) == "\n".join(["x" * 16] * 2 + ["x" * 15 + "…"])
    assert on_lines("one two", 3) == "one\ntwo" and on_lines("", 3) == ""
