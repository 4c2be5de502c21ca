"""The points that a study's grid asks for, after those that they start from."""

from collections.abc import Iterator
from dataclasses import replace

from fairseq_prune.study.point import Point
from fairseq_prune.study.settings import Cell, Study
from fairseq_prune.study.stages import DENSE, STAGES, before, is_drawn, keys_of, starts_of


def points_of(study: Study) -> list[Point]:
    """Every point that the grid asks for or starts from, each once.

    Seed after seed, so that a study that is stopped early has whole ones; what is needed first.
    """
    found: dict[str, Point] = {}
    for cell in study.cells:
        for data in cell.data:
            for seed in cell.seeds:
                for point in _with_needs(study, cell, data, seed):
                    _add(found, point)
    return sorted(found.values(), key=lambda point: (point.seed or 0, len(list(before(point)))))


def _add(found: dict[str, Point], point: Point) -> None:
    """Add a point; what only others start from has no tags, until a block asks for it."""
    old = found.get(point.name)
    if old is None or not old.tags:
        found[point.name] = point
    elif point.tags and point.tags != old.tags:
        raise ValueError(
            f"two blocks ask for the point {point.name}, under the names {dict(old.tags)} and "
            f"{dict(point.tags)}: leave it out of one."
        )


def _with_needs(study: Study, cell: Cell, data: str, seed: int) -> Iterator[Point]:
    """The dense model, what the cell's point starts from, and the point."""
    yield _dense(study, cell, data, seed)
    asked = point_of(study, cell, data, seed)
    yield from reversed(list(before(asked)))
    yield replace(asked, tags=cell.tags)


def point_of(study: Study, cell: Cell, data: str, seed: int) -> Point:
    """The point of a cell."""
    names = starts_of(cell.stage, cell.recipe)
    made: Point | None = None
    if names[-1] == DENSE:
        names.pop()
        first = cell.start
        made = (_dense(study, cell, data, seed) if first is None else
                point_of(study, first, data, seed))  # fmt: skip
    for name in reversed(names):
        stage = STAGES[name]
        known = {key: value for key, value in cell.settings if key in keys_of([name])}
        # what chance has no part in is made once, of one file for all seeds
        same = made is not None and made.seed is None and not is_drawn(name, cell.recipe)
        own = None if same else seed
        made = Point(
            name, cell.model, data, own,
            recipe=replace(cell.recipe, seed=own) if cell.recipe and stage.prunes else None,
            training=cell.training if stage.training else None,
            needs=made,
            settings=tuple(known.items()),
            checkpoint=study.checkpoint,
        )  # fmt: skip
    assert made is not None
    return made


def _dense(study: Study, cell: Cell, data: str, seed: int) -> Point:
    model = study.models[cell.model]
    file = model.file(seed)
    if file is not None:
        own = None if model.has_one_file else seed
        return Point(DENSE, cell.model, data, own, file=file)
    return Point(DENSE, cell.model, data, seed, training=model.dense, checkpoint=study.checkpoint)
