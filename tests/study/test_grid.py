"""Points: what they start from, their names, and their commands."""

from pathlib import Path

import pytest

from fairseq_prune.study.grid import points_of
from fairseq_prune.study.point import Point
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import command_of, result_of
from tests.study.studies import write_study

EVERY = """\
  - stages: [pruned, retrained, scratch, fresh, sensitivity]
    schemes: class-blind
    sparsities: 0.5
  - stages: ticket
    schemes: class-blind
    sparsities: 0.5
    rounds: 2
    rewind-to: 3
  - stages: retrained
    schemes: class-blind
    sparsities: 0.5
    flags: {prune-schedule: gradual, prune-end: 2}
"""


def points(tmp_path: Path, **more: str) -> list[Point]:
    return points_of(read_study(str(write_study(tmp_path, **more))))


def by_stage(found: list[Point]) -> dict[str, Point]:
    return {p.stage + ("+" if p.recipe and p.recipe.schedule else ""): p for p in found}


def test_what_points_start_from_is_made_once_and_first(tmp_path: Path) -> None:
    found = points(tmp_path, grid=EVERY)
    assert len(found) == len({p.name for p in found}) == 8
    place = {p.name: i for i, p in enumerate(found)}
    assert all(p.needs is None or place[p.needs.name] < place[p.name] for p in found)
    stages = by_stage(found)
    assert stages["retrained"].needs == stages["scratch"].needs == stages["pruned"]
    assert stages["pruned"].needs == stages["sensitivity"].needs == stages["dense"]
    assert stages["retrained+"].needs == stages["dense"]
    assert stages["fresh"].needs is stages["ticket"].needs is stages["dense"].needs is None


def test_one_seed_is_finished_before_the_next(tmp_path: Path) -> None:
    seeds = [p.seed for p in points(tmp_path, seeds="[1, 2, 3]")]
    assert seeds == sorted(seeds) and len(seeds) == 9


def test_names_change_with_what_decides_a_point_and_with_nothing_else(tmp_path: Path) -> None:
    names = {p.stage: p.name for p in points(tmp_path / "a")}
    assert {p.stage: p.name for p in points(tmp_path / "b")} == names
    path = write_study(tmp_path / "c")
    config = path.with_name("config.yaml")
    config.write_text(config.read_text().replace("  lr: 0.005", "  lr: 0.004"))
    changed = {p.stage: p.name for p in points_of(read_study(str(path)))}
    assert changed["dense"] == names["dense"] and changed["pruned"] == names["pruned"]
    assert changed["retrained"] != names["retrained"]
    # what a point starts from is part of it
    longer = {p.stage: p.name for p in points(tmp_path / "d", dense=7)}  # type: ignore[arg-type]
    assert not set(longer.values()) & set(names.values())


# of the version before stages had a table; a folder of that time goes on by these names
BEFORE = """
m-toy-dense-s1-497ebf28
m-toy-fresh-class-blind-50-s1-1d08976a
m-toy-ticket-class-blind-50-s1-8a5e4074
m-toy-pruned-class-blind-50-s1-fe91dec4
m-toy-sensitivity-class-blind-50-s1-d89655b4
m-toy-retrained-class-blind-gradual-50-s1-de17ea2e
m-toy-retrained-class-blind-50-s1-89a910da
m-toy-scratch-class-blind-50-s1-36f7e901
"""


def test_names_are_those_of_earlier_versions(tmp_path: Path) -> None:
    assert [p.name for p in points(tmp_path, grid=EVERY)] == BEFORE.split()


def test_files_count_by_what_is_in_them(tmp_path: Path) -> None:
    grid = "  - stages: pruned\n    schemes: class-blind\n    flags: {prune-classes: c.txt}\n"
    names = []
    for place, text in (("a", "all .\n"), ("b", "all .\n"), ("c", "every .\n")):
        path = write_study(tmp_path / place, grid)
        path.with_name("c.txt").write_text(text)
        names.append(points_of(read_study(str(path)))[1].name)
    assert names[0] == names[1] != names[2]


def test_the_checkpoint_that_counts_is_part_of_a_point(tmp_path: Path) -> None:
    best = {p.name for p in points(tmp_path)}
    path = write_study(tmp_path)
    path.write_text(path.read_text() + "checkpoint: last\n")
    last = points_of(read_study(str(path)))
    assert not best & {p.name for p in last}
    assert result_of(last[0]) == "checkpoint_last.pt"


def test_commands_are_those_a_user_would_type(tmp_path: Path) -> None:
    stages = by_stage(points(tmp_path, grid=EVERY))

    def words(stage: str) -> str:
        said = " ".join(command_of(stages[stage], lambda p: Path(p.stage.upper()), "DATA"))
        place = stages[stage].stage.upper()
        said = said.replace("DENSE/checkpoint_best.pt", "from.pt").replace(place, "HERE")
        return said.replace("PRUNED/pruned.pt", "from.pt")

    assert words("dense").startswith("fairseq-train DATA --task translation --arch lstm ")
    assert words("dense").endswith("--save-dir HERE") and "prune" not in words("dense")
    flags = "--prune-scheme class-blind --prune-sparsity 0.5 --prune-seed 1"
    assert words("pruned") == (
        f"fairseq-prune apply from.pt --output HERE/pruned.pt --force {flags}"
    )
    assert words("retrained").endswith("fairseq_prune --finetune-from-model from.pt")
    assert "--prune-scheme" not in words("retrained")
    assert "--prune-schedule gradual" in words("retrained+")
    assert words("scratch").endswith("--prune-mask-from from.pt")
    assert "finetune" not in words("scratch") + words("fresh")
    assert words("fresh").endswith(flags)
    assert words("ticket").startswith(f"fairseq-prune tickets --output HERE/tickets {flags} ")
    assert result_of(stages["ticket"]) == "tickets/round-2/checkpoint_best.pt"


def test_dense_training_of_our_architectures_has_the_plugin(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    config = path.with_name("config.yaml")
    config.write_text(config.read_text().replace("arch: lstm", "arch: see2016_lstm"))
    dense = by_stage(points_of(read_study(str(path))))["dense"]
    words = command_of(dense, lambda _: Path("HERE"), "DATA")
    assert words[-2] == "--user-dir" and Path(words[-1]).name == "fairseq_prune"


@pytest.mark.parametrize("stage, unit, length", [("dense", "update", 6), ("ticket", "update", 18)])
def test_work_counts_updates(tmp_path: Path, stage: str, unit: str, length: int) -> None:
    assert by_stage(points(tmp_path, grid=EVERY))[stage].work == (unit, length)
