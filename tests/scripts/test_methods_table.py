"""The study of all methods: that it has them all, and the arithmetic of its table."""

from pathlib import Path

import pytest

from fairseq_prune.checkpoints import CONTROLS
from fairseq_prune.evaluation import results
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.saliency import SALIENCIES
from fairseq_prune.study.layout import Laid, look
from fairseq_prune.study.settings import Study, read_study
from fairseq_prune.study.stages import STAGES, before, result_of
from scripts.methods import table
from tests.conftest import ROOT
from tests.report.rows import row
from tests.study.studies import write_study


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(str(ROOT / "configs/study/methods.yaml"))


def test_the_study_has_every_kind_of_method(study: Study) -> None:
    recipes = [cell.recipe for cell in study.cells if cell.recipe is not None]
    # a new one can be there before it has been measured
    named = {name for recipe in recipes for name in recipe.saliencies}
    assert named <= set(SALIENCIES) and len(named) >= 10
    # the sparsities of a file are one model's
    schemes = {recipe.scheme for recipe in recipes}
    assert schemes <= set(ALLOCATIONS) - {"given"} and len(schemes) >= 4
    schedules = {recipe.schedule or "one-shot" for recipe in recipes}
    assert schedules <= set(SCHEDULES) and len(schedules) >= 8
    kinds = {dict(cell.settings).get("kinds") for cell in study.cells}
    assert kinds == {None, *CONTROLS} - {"random", "reinit"}
    criteria = {c.training.get("criterion") for c in study.cells if c.training is not None}
    assert {c for c in map(str, criteria) for name in PENALTIES if c.endswith(f"_{name}")} == {
        f"label_smoothed_cross_entropy_{name}" for name in PENALTIES
    }
    stages = {cell.stage for cell in study.cells}
    assert {"pruned", "retrained", "scratch", "fresh", "ticket", "small"} < stages


def test_each_kind_of_method_is_made_in_its_own_way(study: Study) -> None:
    laid = look(study, Path("OUT"))
    ways = {
        (dict(p.tags)["name"], *(one.stage for one in (p, *before(p))))
        for p in laid.points
        if p.tags and p.model == "lstm"
    }
    for expected in (
        ("magnitude", "retrained", "pruned", "dense"),
        ("shuffled", "control-retrained", "control", "pruned", "dense"),
        ("gradual", "retrained", "dense"),
        ("static", "fresh"),
        ("magnitude's mask", "scratch", "pruned", "dense"),
        ("ticket, update 50", "ticket"),
        ("dense, briefly", "small"),
    ):
        assert expected in ways
    # a share of the updates of each model's own training
    ends = {
        c.model: c.recipe.end for c in study.cells if c.recipe and ("name", "gradual") in c.tags
    }
    assert ends == {"lstm": 75, "transformer": 60}


GRID = """\
  - {name: magnitude, stages: [pruned, retrained], schemes: class-blind, sparsities: 0.6}
  - {name: "2:4", stages: pruned, schemes: class-uniform, structures: "2:4"}
  - {name: never run, stages: fresh, schemes: erk, sparsities: 0.6}
  - {name: ratios, stages: fresh, schemes: class-blind, saliencies: random, sparsities: 0.6,
     flags: {prune-ratios: snip}}
  - {name: ticket, stages: ticket, schemes: class-blind, sparsities: 0.6, rounds: 3, rewind-to: 2}
"""


def finish(laid: Laid, bleu: dict[str, float]) -> None:
    """Write results of the points whose method has a BLEU; seeds differ by 4."""
    for point in laid.points:
        name = f"{dict(point.tags).get('name', point.stage)} {point.stage}"
        if name not in bleu:
            continue
        folder = laid.folders[point.name]
        folder.write("point", {"result": result_of(point), "evaluate": None})
        for done in ("made", "done"):
            folder.write(done, {"seconds": 1.0, "evaluate": None})
        (folder.path / result_of(point)).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / result_of(point)).write_text("")
        own = row("pruned", "class-blind", 0.6, bleu[name] + 4 * (point.seed - 1), sha=point.name)
        results.append(folder.path / "results.jsonl", own)


def test_means_and_spreads_are_over_seeds(tmp_path: Path) -> None:
    laid = look(read_study(str(write_study(tmp_path, GRID, seeds="[1, 2]"))), tmp_path / "out")
    bleu = {"dense dense": 50.0, "magnitude pruned": 10.0, "magnitude retrained": 30.0,
            "2:4 pruned": 20.0, "ratios fresh": 40.0, "ticket ticket": 44.0}  # fmt: skip
    finish(laid, bleu)
    one = next(p for p in laid.points if p.seed == 2 and ("name", "2:4") in p.tags)
    (laid.folders[one.name].path / "results.jsonl").unlink()
    scoring = {"per_batch": ["snip"], "m": {"magnitude": 0.5, "random": 1.0, "snip": 2.0}}
    made = table.table_of(laid, "m", scoring)
    assert made == [
        ["m, 2 seeds, 3 updates", "60%: after pruning", "60%: after training", "scoring, steps"],
        ["dense", "", "52.0 ± 2.8", ""],
        ["magnitude", "12.0 ± 2.8", "32.0 ± 2.8", "0.5"],
        ["2:4 (its own sparsity)", "20.0 (n=1)", "", "0.5"],
        ["ratios (6 updates, 2.0 times)", "", "42.0 ± 2.8", "65"],  # 1 + 32 batches of 2
        # the dense run, then three times from update 2 on
        ["ticket (6 + 3 x 4 updates, 6.0 times)", "", "46.0 ± 2.8", ""],
    ]


def test_lines_are_in_the_order_of_the_study(tmp_path: Path) -> None:
    laid = look(read_study(str(write_study(tmp_path, GRID))), tmp_path / "out")
    finish(laid, {"ticket ticket": 1.0, "magnitude pruned": 2.0, "2:4 pruned": 3.0})
    names = list(table.methods_of(laid, "m", {}))
    assert names == ["magnitude", "2:4", "ticket"]


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_the_table_and_the_page_say_how_long_it_trained(study: Study, model: str) -> None:
    laid = look(study, Path("OUT"))
    retrain = laid.study.models[model].retrain
    assert retrain is not None
    text = (ROOT / "docs/methods/table.md").read_text(encoding="utf-8")
    lines = text[text.index(f"| {model}, ") :].split("\n\n")[0].splitlines()
    assert f", {retrain.length[1]:g} updates |" in lines[0]
    labels = {line[2:].split(" |")[0] for line in lines[2:]}
    page = " ".join((ROOT / "docs/which-method.md").read_text(encoding="utf-8").split())
    points = {dict(p.tags)["name"]: p for p in laid.points if p.tags and p.model == model}
    for name, point in points.items():
        length = table.length_of(point, retrain.length[1])
        assert {name + length, f"{name}{length} (its own sparsity)"} & labels
        if STAGES[point.stage].new_weights and (point.own or point.needs):  # tickets and masks
            score = next(line for line in lines if name + length in line).split("|")[5]
            assert f"{score.split(' ±')[0].strip()}{length}" in page
