"""The table of stages: nothing else knows one by name, and each is made from what it should be."""

import ast
from pathlib import Path

import pytest

from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.report.styles import PALETTE
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.point import Point
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import ASKED, STAGES, before, command_of, result_of, starts_of
from tests.conftest import ROOT
from tests.study.studies import write_study

SOURCES = [
    path
    for room in ("study", "report")
    for path in sorted((ROOT / "fairseq_prune" / room).glob("*.py"))
    if path.name != "stages.py"
] + [ROOT / "fairseq_prune/cli/study.py"]  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=[f"{p.parent.name}/{p.name}" for p in SOURCES])
def test_no_stage_is_compared_by_name(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            names = [*ast.walk(node)]
        elif isinstance(node, ast.Match):
            names = [one for case in node.cases for one in ast.walk(case.pattern)]
        elif isinstance(node, ast.Dict):
            names = [key for key in node.keys if key is not None]
        found = {n.value for n in names if isinstance(n, ast.Constant)} & set(STAGES)
        found |= {n.id for n in names if isinstance(n, ast.Name)} & {"PRUNED"}
        # one name as a key says nothing; several are a second table
        allowed = 1 if isinstance(node, ast.Dict) else 0
        assert len(found) <= allowed, f"{path}:{node.lineno} compares {found}"


def test_each_stage_starts_from_one_in_the_table_and_has_a_style_there_is() -> None:
    timed = checked(Recipe(scheme="class-blind", schedule="gradual", end=3))
    for name, stage in STAGES.items():
        for recipe in (None, timed):
            assert set(starts_of(name, recipe)) <= set(STAGES)
        assert stage.style in ("", *PALETTE) and stage.label
        assert not (stage.level and stage.removes)
        shown = STAGES[stage.shown_as or name]
        assert shown.level or shown.removes or not (stage.what and stage.evaluated)


GRID = """\
  - stages: [dense, longer, small]
  - name: half
    stages: [pruned, shrunk, control, control-retrained]
    schemes: class-uniform
    structures: ffn
    sparsities: 0.5
    kinds: [shuffle, reinit]
  - name: units
    stages: retrained
    schemes: class-uniform
    structures: ffn
    sparsities: 0.5
  - stages: [retrained, shrunk]
    from: units
    schemes: class-uniform
    structures: heads
    sparsities: 0.5
  - {stages: sensitivity, schemes: class-blind, sparsities: 0.5}
"""


@pytest.fixture
def points(tmp_path: Path) -> list[Point]:
    path = write_study(tmp_path, GRID)
    config = path.with_name("config.yaml")
    config.write_text(config.read_text() + "small:\n  encoder-embed-dim: 8\n  max-update: 4\n")
    return points_of(read_study(str(path)))


def words(point: Point) -> str:
    return " ".join(command_of(point, lambda one: Path(one.name), "DATA"))


def chain(point: Point) -> list[str]:
    return [one.stage for one in (point, *before(point))]


def test_every_stage_is_made_from_what_it_says(points: list[Point]) -> None:
    found = {tuple(chain(p)) for p in points if not p.own}
    assert found == {
        ("dense",),
        ("longer", "dense"),
        ("small",),
        ("pruned", "dense"),
        ("retrained", "pruned", "dense"),
        ("shrunk", "retrained", "pruned", "dense"),
        # one after the other: what was retrained is pruned again
        ("pruned", "retrained", "pruned", "dense"),
        ("retrained", "pruned", "retrained", "pruned", "dense"),
        ("shrunk", "retrained", "pruned", "retrained", "pruned", "dense"),
        ("sensitivity", "dense"),
    }
    kinds = {(*chain(p), str(p.own["kinds"])) for p in points if p.own}
    control = ("control", "pruned", "dense")
    assert kinds == {
        (*more, *control, kind)
        for kind in ("shuffle", "reinit")
        for more in ((), ("control-retrained",))
    }


def test_commands_of_controls_and_shrunk_models(points: list[Point]) -> None:
    for point in points:
        name, sources = point.name, [f"{one.name}/{result_of(one)}" for one in before(point)]
        said = words(point)
        if chain(point)[0] == "control":
            reinit = point.own["kinds"] == "reinit"
            weights = "--data DATA" if reinit else f"--weights {sources[1]}"
            assert said == (
                f"fairseq-prune control {sources[0]} {weights} --output {name}/control.pt --force "
                f"--kind {point.own['kinds']} --seed 1"
            )
        elif chain(point)[0] == "shrunk":
            assert said == (f"fairseq-prune shrink {sources[0]} --output {name}/shrunk.pt --force")
        elif chain(point)[0] in ("longer", "control-retrained"):
            assert said.endswith(f"--finetune-from-model {sources[0]}") and "--prune" not in said
            assert "--max-update 3 " in said
        elif chain(point)[0] == "small":
            assert "--encoder-embed-dim 8 " in said and "--max-update 4 " in said
            assert "finetune" not in said and "--user-dir" not in said


def test_longer_than_dense_needs_no_plugin_and_stays_a_plain_model(points: list[Point]) -> None:
    (longer,) = (p for p in points if chain(p) == ["longer", "dense"])
    assert "--user-dir" not in words(longer)


def test_blocks_with_a_name_give_their_own_points_a_tag(points: list[Point]) -> None:
    tags = {tuple(chain(p)): dict(p.tags) for p in points if not p.own}
    assert tags["pruned", "dense"] == {"name": "half"}
    assert tags["retrained", "pruned", "dense"] == {"name": "units"}
    assert tags["dense",] == tags["pruned", "retrained", "pruned", "dense"] == {}


BLOCK = "stages: {}\n    schemes: class-uniform\n    structures: ffn\n    sparsities: 0.5"
ONE = f"  - name: a\n    {BLOCK.format('retrained')}\n"
BAD = {
    "unknown kind": (BLOCK.format("control") + "\n    kinds: [shuffel]", "'shuffel' is unknown"),
    "no kind": (BLOCK.format("control"), "the stage control needs kinds, the kinds of"),
    "no stage of kinds": (BLOCK.format("pruned") + "\n    kinds: shuffle", "kinds belongs to"),
    "nothing to prune": ("stages: longer\n    schemes: erk", "schemes belongs to stages that"),
    "no section": ("stages: small", "has no section small; it has model, dense, retrain"),
    "no training": (BLOCK.format("pruned") + "\n    section: dense", "section belongs to stages"),
    "no training for a flag": (
        BLOCK.format("pruned") + "\n    flags: {criterion: x}", "criterion belongs to stages that",
    ),
    "a flag of the study": (
        BLOCK.format("retrained") + "\n    flags: {save-dir: x}", "save-dir has no place",
    ),
    "another task": (BLOCK.format("retrained") + "\n    flags: {task: x}", "task belongs to a mod"),
    "a flag of no recipe": ("stages: longer\n    flags: {prune-end: 5}", "prune-end belongs to st"),
    "sensitivity of what is pruned": (
        BLOCK.format("sensitivity").replace("ffn", "row") + "\n    from: a",
        "the stage sensitivity does not start",
    ),
    "an unknown block": (BLOCK.format("pruned") + "\n    from: b", "no block above has this name"),
    "a start that is not one": (BLOCK.format("fresh") + "\n    from: a", "fresh does not start"),
    "a control of a start": (
        BLOCK.format("control") + "\n    from: a\n    kinds: shuffle", "control does not start",
    ),
    "no unit to cut out": (
        BLOCK.format("shrunk").replace("ffn", "row"), "--prune-structure row leaves no unit",
    ),
    "units of several classes": (BLOCK.format("sensitivity"), "ffn prunes units, which lie in"),
    "a name twice": (BLOCK.format("pruned") + "\n    name: a", "name 'a' stands twice"),
    "a penalty without a start": (
        BLOCK.format("retrained").replace("ffn", "weight")
        + "\n    flags: {criterion: cross_entropy_growing}",
        "A growing penalty needs --prune-start",
    ),
    "a penalty that is none": (
        BLOCK.format("retrained").replace("ffn", "weight")
        + "\n    flags: {criterion: cross_entropy_growing, prune-start: 1, prune-penalty: x}",
        "--prune-penalty 'x' is unknown",
    ),
    "a number that is none": (
        BLOCK.format("retrained").replace("ffn", "weight") + "\n    flags: {criterion: "
        "cross_entropy_growing, prune-start: 1, prune-penalty-ceiling: x}",
        "--prune-penalty-ceiling in its training: invalid float value: 'x'",
    ),
    "more than all": (
        BLOCK.format("retrained") + "\n    flags: {prune-schedule: gradual, prune-end: 200%}",
        "is '200%'; give updates, or 1% to 100%",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_block_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    block, sentence = BAD[name]
    path = write_study(tmp_path, f"{ONE}  - {block}\n")
    with pytest.raises(ValueError) as error:
        read_study(str(path))
    assert sentence in str(error.value), error.value
    assert str(error.value).startswith(f"{path}, line ") and "\n" not in str(error.value)


def test_a_point_has_one_name(tmp_path: Path) -> None:
    study = read_study(str(write_study(tmp_path, ONE + ONE.replace("name: a", "name: b"))))
    with pytest.raises(ValueError, match="two blocks ask for the point .*: leave it out of one"):
        points_of(study)


def test_a_start_has_one_stage(tmp_path: Path) -> None:
    grid = ONE.replace("retrained", "[pruned, retrained]") + f"  - {BLOCK}\n    from: a\n"
    with pytest.raises(ValueError, match="line 18: from 'a': .* are pruned, retrained; give"):
        read_study(str(write_study(tmp_path, grid.format("pruned"))))


def test_flags_and_sections_of_a_block_are_those_of_what_it_trains(tmp_path: Path) -> None:
    grid = (
        "  - stages: [fresh, retrained]\n    schemes: class-blind\n    sparsities: 0.5\n"
        "    section: brief\n    flags: {prune-schedule: gradual, prune-end: 50%, lr: 0.1}\n"
    )
    path = write_study(tmp_path, grid)
    config = path.with_name("config.yaml")
    config.write_text(config.read_text() + "brief:\n  lr: 0.3\n  max-update: 8\n")
    found = {p.stage: p for p in points_of(read_study(str(path)))}
    for stage in ("fresh", "retrained"):
        point = found[stage]
        assert point.training is not None and point.recipe is not None
        assert (point.training.get("lr"), point.training.get("max-update")) == ("0.1", "8")
        assert point.recipe.end == 4  # half of them
    assert found["dense"].training is not None
    assert found["dense"].training.get("max-update") == "6"


def test_tickets_of_several_rounds_are_told_apart(tmp_path: Path) -> None:
    grid = (
        "  - stages: ticket\n    schemes: class-blind\n    sparsities: 0.5\n"
        "    rounds: [1, 3]\n    rewind-to: 2\n"
    )
    found = points_of(read_study(str(write_study(tmp_path, grid))))
    tickets = {p.own["rounds"]: p for p in found if p.own}
    assert {n: result_of(p) for n, p in tickets.items()} == {
        n: f"tickets/round-{n}/checkpoint_best.pt" for n in (1, 3)
    }
    assert {dict(p.tags)["rounds"] for p in tickets.values()} == {"1", "3"}
    assert "--rounds 3 --rewind-to 2" in words(tickets[3])


@pytest.mark.parametrize("name", ASKED)
def test_names_of_points_say_their_stage(name: str) -> None:
    assert name.replace("-", "").isalpha() and name in Point(name, "m", "d", 1).name
