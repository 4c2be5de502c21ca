"""Studies of a model that is there: its configuration, its identity, and what is refused."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.evaluation import results
from fairseq_prune.files.writing import file_digest
from fairseq_prune.study.grid import points_of
from fairseq_prune.study.layout import check_folder, lay, look
from fairseq_prune.study.point import Point
from fairseq_prune.study.settings import read_study
from fairseq_prune.study.stages import before, command_of, result_of
from fairseq_prune.study.worker import FAILED, OK, work
from tests.conftest import ARCHES, TRAINING, run
from tests.forked import train_here
from tests.study.studies import GRID, STUDY, write_study

EVERY = """\
  - stages: longer
  - {stages: small, flags: {encoder-embed-dim: 8}}
  - stages: [pruned, retrained, scratch, fresh, sensitivity]
    schemes: class-blind
    sparsities: 0.5
  - {stages: control, kinds: shuffle, schemes: class-blind, sparsities: 0.5}
  - {stages: [pruned, retrained], schemes: class-blind, saliencies: random, sparsities: 0.5}
"""


@pytest.fixture(scope="module")
def dense(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense checkpoint of nine updates, with half precision in its settings."""
    folder = tmp_path_factory.mktemp("dense")
    words = [corpus, *ARCHES["lstm"], *TRAINING, "--max-update", "9", "--save-dir", folder]
    train_here([*words, "--lr-scheduler", "inverse_sqrt", "--warmup-updates", "6"])
    return folder / "checkpoint_best.pt"


def study_of(
    folder: Path, checkpoint: object, grid: str = GRID, data: object = "bin", seeds: str = "1"
) -> Path:
    """A study of a checkpoint, or of what is said in place of one."""
    said = checkpoint if isinstance(checkpoint, str) else f"{{checkpoint: {checkpoint}}}"
    path = folder / "study.yaml"
    path.write_text(STUDY.format(data=data, config=said, seeds=seeds, grid=grid))
    return path


def points(path: Path) -> list[Point]:
    return points_of(read_study(str(path)))


def test_its_configuration_is_that_of_the_file(tmp_path: Path, dense: Path) -> None:
    found = {p.stage: p for p in points(study_of(tmp_path, dense, EVERY)) if _is_plain(p)}
    assert found["dense"].training is None and result_of(found["dense"]) == str(dense)
    scratch, again = found["scratch"].training, found["retrained"].training
    assert scratch is not None and again is not None
    for flags in (scratch, again):
        assert (flags.get("arch"), flags.get("decoder-layers"), flags.get("max-tokens")) == (
            "lstm", "2", "200",
        )  # fmt: skip
        assert not {"seed", "cpu", "save-dir", "no-progress-bar"} & dict(flags.pairs).keys()
    assert [scratch.get(n) for n in ("lr", "max-update", "warmup-updates")] == ["0.01", "9", "6"]
    assert [again.get(n) for n in ("lr", "max-update", "warmup-updates")] == ["0.005", "3", "2"]
    small = found["small"].training
    assert small is not None and small.get("encoder-embed-dim") == "8"


def _is_plain(point: Point) -> bool:
    return point.recipe is None or point.recipe.saliency is None


def test_commands_start_from_the_file_and_none_writes_it(tmp_path: Path, dense: Path) -> None:
    for point in points(study_of(tmp_path, dense, EVERY)):
        words = command_of(point, lambda one: Path(one.name), "DATA")
        if point.stage == "dense":
            assert words == []
        elif point.stage in ("pruned", "sensitivity"):
            assert words[2] == str(dense)
        elif point.stage == "longer":
            assert words[words.index("--finetune-from-model") + 1] == str(dense)
        elif point.stage == "control":
            assert words[words.index("--weights") + 1] == str(dense)
        else:
            assert str(dense) not in words
        for flag in ("--output", "--save-dir"):
            assert flag not in words or words[words.index(flag) + 1].startswith(point.name)


def test_what_seeds_do_not_change_is_made_once(tmp_path: Path, dense: Path) -> None:
    found = points(study_of(tmp_path, dense, EVERY, seeds="[1, 2, 3]"))
    seeds: dict[tuple[str, str], set[int | None]] = {}
    for point in found:
        saliency = "" if _is_plain(point) else "random"
        seeds.setdefault((point.stage, saliency), set()).add(point.seed)
    once, each = {None}, {1, 2, 3}
    assert seeds == {
        ("dense", ""): once, ("pruned", ""): once, ("sensitivity", ""): once,
        ("pruned", "random"): each, ("retrained", "random"): each, ("longer", ""): each,
        ("retrained", ""): each, ("scratch", ""): each, ("fresh", ""): each, ("small", ""): each,
        ("control", ""): each,
    }  # fmt: skip


def test_a_file_for_each_seed(tmp_path: Path, dense: Path) -> None:
    other = tmp_path / "other.pt"
    content = torch.load(dense, weights_only=False)
    content["extra_state"]["val_loss"] = 3.0
    torch.save(content, other)
    for said in (f"[{dense}, {other}]", f"{{1: {dense}, 2: {other}}}"):
        path = study_of(tmp_path, f"{{checkpoint: {said}}}")
        path.write_text(path.read_text().replace("seeds: 1\n", ""))  # those of the files
        found = points(path)
        assert {(p.seed, str([p, *before(p)][-1].file.path)) for p in found} == {  # type: ignore[union-attr]
            (1, str(dense)), (2, str(other)),
        }  # fmt: skip
        assert len(found) == 6
        path.write_text(path.read_text().replace("grid:", "seeds: [1, 3]\ngrid:"))
        with pytest.raises(ValueError, match="line 9: m has no checkpoint for seed 3; it has 1, 2"):
            read_study(str(path))


def test_files_that_are_no_seeds_of_one_model_are_refused(tmp_path: Path, dense: Path) -> None:
    copy = tmp_path / "copy.pt"
    shutil.copy(dense, copy)
    with pytest.raises(ValueError, match="line 6: .* are the same model; name it once"):
        read_study(str(study_of(tmp_path, f"{{checkpoint: [{dense}, {copy}]}}")))
    other = changed(dense, tmp_path / "other.pt", "optimization", clip_norm=3.0)
    with pytest.raises(
        ValueError, match=r"trained in different ways \(clip-norm: 1.0, 3.0\): they"
    ):
        read_study(str(study_of(tmp_path, f"{{checkpoint: [{dense}, {other}]}}")))
    other = changed(dense, tmp_path / "other.pt", "common", seed=7)  # which is what seeds are
    assert read_study(str(study_of(tmp_path, f"{{checkpoint: [{dense}, {other}]}}"))).cells


def test_another_file_is_another_study(tmp_path: Path, dense: Path, corpus: Path) -> None:
    mine = tmp_path / "mine.pt"
    shutil.copy(dense, mine)
    path, root = study_of(tmp_path, mine, data=corpus), tmp_path / "out"
    laid = look(read_study(str(path)), root)
    lay(laid, print)
    moved = tmp_path / "moved.pt"
    mine.rename(moved)
    again = study_of(tmp_path, moved, data=corpus)
    assert [p.name for p in points(again)] == [p.name for p in laid.points]
    lay(look(read_study(str(again)), root), print)
    content = torch.load(moved, weights_only=False)
    content["extra_state"]["val_loss"] = 3.0
    torch.save(content, moved)
    with pytest.raises(ValueError, match=r"was made of another .*moved.pt \(SHA-256 .* now it is "):
        check_folder(look(read_study(str(again)), root))


def test_a_file_that_changes_while_the_study_runs_is_not_used(
    tmp_path: Path, dense: Path, corpus: Path
) -> None:
    mine = tmp_path / "mine.pt"
    shutil.copy(dense, mine)
    laid = look(read_study(str(study_of(tmp_path, mine, data=corpus))), tmp_path / "out")
    lay(laid, print)
    first, pruned = (laid.folders[p.name] for p in laid.points[:2])
    assert work(str(first.path), cpu=True) == OK and first.is_done
    assert (first.read("done") or {})["score"].startswith("BLEU")
    mine.write_bytes(mine.read_bytes() + b"x")
    assert work(str(pruned.path), cpu=True) == FAILED
    assert "mine.pt is no longer the file that the study began" in pruned.read("failed")["what"]  # type: ignore[index]


BAD = {
    "gone": ("{checkpoint: gone.pt}", "line 6: checkpoint: there is no file .*gone.pt"),
    "no checkpoint": ("{checkpoint: study.yaml}", "line 6: .*study.yaml cannot be read"),
    "both": ("{checkpoint: X, config: c.yaml}", "line 6: models.m needs config, .* or checkpoint"),
    "neither": ("{retrain: {lr: 1}}", "line 6: models.m needs config"),
    "a seed": ("{checkpoint: {one: X}}", "line 6: .*'one' is no seed"),
    "a flag": ("{checkpoint: X, retrain: {seed: 3}}", "line 6: seed has no place"),
    "an unknown flag": ("{checkpoint: X, retrain: {lrr: 3}}", "line 6.*lrr"),
    "a section": ("{checkpoint: X, retrain: more}", "must have keys and values"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_entry_is_refused_with_its_line(tmp_path: Path, dense: Path, name: str) -> None:
    said, sentence = BAD[name]
    path = study_of(tmp_path, said.replace("X", str(dense)))
    with pytest.raises(ValueError, match=sentence) as error:
        read_study(str(path))
    assert "\n" not in str(error.value)


def test_what_makes_no_sense_of_a_checkpoint_is_refused(tmp_path: Path, dense: Path) -> None:
    for grid, sentence in (
        ("  - stages: small\n", "has to be said in flags of the block"),
        ("  - {stages: small, section: brief, flags: {lr: 1}}\n", "has no section brief; choose"),
    ):
        with pytest.raises(ValueError, match=sentence):
            read_study(str(study_of(tmp_path, dense, grid)))


def test_a_pruned_checkpoint_is_refused(tmp_path: Path, dense: Path) -> None:
    pruned = tmp_path / "pruned.pt"
    words = ("--prune-scheme", "class-blind", "--prune-sparsity", "0.5")
    run("fairseq-prune", "apply", dense, "--output", pruned, *words)
    with pytest.raises(ValueError, match="pruned.pt has been pruned .*, and a study compares with"):
        read_study(str(study_of(tmp_path, pruned)))


def changed(dense: Path, path: Path, part: str, **settings: Any) -> Path:
    """A checkpoint with other settings."""
    content = torch.load(dense, weights_only=False)
    content["cfg"][part].update(settings) if isinstance(content["cfg"][part], dict) else [
        setattr(content["cfg"][part], name, value) for name, value in settings.items()
    ]
    torch.save(content, path)
    return path


def test_what_is_scored_otherwise_is_refused(tmp_path: Path, dense: Path) -> None:
    path = study_of(tmp_path, dense)
    config = path.with_name("config.yaml")
    config.write_text("model: {task: language_modeling, arch: lm}\ndense: {max-update: 3}\n")
    path.write_text(path.read_text().replace(f"{{checkpoint: {dense}}}", "config.yaml"))
    with pytest.raises(ValueError, match="line 6: m is of the task language_modeling: a study"):
        read_study(str(path))


def test_the_processes_that_trained_it_are_said(tmp_path: Path, dense: Path) -> None:
    mine = changed(dense, tmp_path / "mine.pt", "distributed_training", distributed_world_size=4)
    study = read_study(str(study_of(tmp_path, mine)))
    assert [line for line in study.models["m"].about((1,)) if "4 processes trained it" in line]
    study = read_study(str(study_of(tmp_path, dense)))
    assert not [line for line in study.models["m"].about((1,)) if "processes" in line]


SCRATCH = "  - {stages: [scratch, retrained], schemes: class-blind, sparsities: 0.5}\n"


def test_new_weights_begin_as_the_models_did_or_not_at_all(tmp_path: Path, dense: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    mine = changed(dense, tmp_path / "mine.pt", "model", encoder_embed_path=str(vectors))
    path = study_of(tmp_path, mine, SCRATCH)
    with pytest.raises(ValueError, match="line 9: .*began with the vectors of .*, which is not th"):
        read_study(str(path))
    vectors.write_text("")
    found = {p.stage: p.training for p in points(path)}
    assert found["scratch"].get("encoder-embed-path") == str(vectors)  # type: ignore[union-attr]
    assert found["retrained"].get("encoder-embed-path") is None  # type: ignore[union-attr]
    mine = changed(dense, tmp_path / "mine.pt", "checkpoint", finetune_from_model="first.pt")
    with pytest.raises(ValueError, match="was itself trained further from first.pt"):
        read_study(str(study_of(tmp_path, mine, SCRATCH)))
    assert points(study_of(tmp_path, mine, GRID))


def test_half_precision_is_the_same_point_everywhere(tmp_path: Path, dense: Path) -> None:
    mine = changed(dense, tmp_path / "mine.pt", "common", fp16=True)
    for point in points(study_of(tmp_path, mine, EVERY)):
        if point.training is not None:
            assert "--fp16" in command_of(point, lambda one: Path(one.name), "DATA")


@pytest.mark.slow
def test_without_a_gpu_half_precision_is_left_out(
    tmp_path: Path, dense: Path, corpus: Path
) -> None:
    mine = changed(dense, tmp_path / "mine.pt", "common", fp16=True)
    path = study_of(tmp_path, mine, "  - stages: longer\n", data=corpus)
    laid = look(read_study(str(path)), tmp_path / "out")
    lay(laid, print)
    for point in laid.points:
        assert work(str(laid.folders[point.name].path), cpu=True) == OK
    folder = laid.folders[laid.points[-1].name]
    assert "--fp16" in folder.read("point")["command"]  # type: ignore[index]
    log = (folder.path / "train.log").read_text()
    assert "--cpu" in log.splitlines()[0] and "--fp16" not in log.splitlines()[0]


def test_a_training_without_an_end_ends_when_the_models_did(tmp_path: Path, dense: Path) -> None:
    mine = changed(dense, tmp_path / "mine.pt", "optimization", max_update=0, max_epoch=0)
    found = {p.stage: p.training for p in points(study_of(tmp_path, mine, EVERY))}
    epochs = int(found["scratch"].get("max-epoch") or 0)  # type: ignore[union-attr]
    assert epochs >= 1 and found["retrained"].length == ("epoch", -(-epochs // 3))  # type: ignore[union-attr]


def test_what_is_said_counts_before_the_file(tmp_path: Path, dense: Path) -> None:
    said = f"{{checkpoint: {dense}, retrain: {{lr: 0.5, max-update: 7}}, dense: {{lr: 2}}}}"
    found = {p.stage: p.training for p in points(study_of(tmp_path, said, SCRATCH))}
    assert [found["retrained"].get(n) for n in ("lr", "max-update")] == ["0.5", "7"]  # type: ignore[union-attr]
    assert found["scratch"].get("lr") == "2"  # type: ignore[union-attr]


def test_a_plan_says_what_becomes_of_the_model(tmp_path: Path, dense: Path, corpus: Path) -> None:
    path = study_of(tmp_path, dense, EVERY, data=corpus, seeds="[1, 2]")
    said = run("fairseq-prune", "study", "plan", path, "--output", tmp_path / "out")
    assert f"m: {dense} ({file_digest(dense)[:8]}); retrained with" in said
    assert "--lr 0.005" in said and "--max-update 3" in said
    assert "m: all seeds train this one model further" in said
    assert "; its own training took " in said and "warning" not in said
    path.write_text(path.read_text().replace(str(corpus), "nowhere"))
    said = run("fairseq-prune", "study", "plan", path, "--output", tmp_path / "out")
    assert "warning: data toy: no run is possible yet: --data" in said


@pytest.mark.slow
def test_a_study_of_a_checkpoint_runs(tmp_path: Path, dense: Path, corpus: Path) -> None:
    before_it = dense.read_bytes()
    study = study_of(tmp_path, dense, EVERY, data=corpus, seeds="[1, 2]")
    said = run("fairseq-prune", "study", "run", study, "--output", tmp_path / "out", "--cpu")
    assert "points are done" in said and "Traceback" not in said
    assert dense.read_bytes() == before_it
    assert sorted(p.name for p in dense.parent.iterdir()) == [
        "checkpoint_best.pt", "checkpoint_last.pt",
    ]  # fmt: skip
    assert (tmp_path / "out/report/index.html").is_file()


BOTH = """\
  - stages: longer
  - {stages: [pruned, retrained, scratch], schemes: class-blind, sparsities: 0.5}
  - {stages: pruned, schemes: class-blind, saliencies: random, sparsities: 0.5}
  - {stages: control-retrained, kinds: shuffle, schemes: class-blind, sparsities: 0.5}
"""


@pytest.mark.slow
def test_a_study_of_a_dense_model_gives_what_the_study_that_trained_it_gave(
    tmp_path: Path, corpus: Path
) -> None:
    """The configurations of these tests retrain with half the rate for a third of nine updates."""
    whole = write_study(tmp_path / "whole", BOTH, data=str(corpus), dense=9)
    words = ("--cpu", "--no-report", "--jobs", "2")
    run("fairseq-prune", "study", "run", whole, "--output", tmp_path / "a", *words)
    (dense,) = (tmp_path / "a").glob("points/*-dense-*/checkpoint_best.pt")
    begun = study_of(tmp_path, dense, BOTH, data=corpus)
    run("fairseq-prune", "study", "run", begun, "--output", tmp_path / "b", *words)
    first, second = (measured(tmp_path / name) for name in "ab")
    assert first == second and len(first) == 8


def measured(root: Path) -> dict[str, list[object]]:
    """What was measured, by what tells the points apart but their seed and digest."""
    names = ("bleu", "chrf", "valid_ppl", "test_ppl", "sparsity", "masks_digest")
    return {
        re.sub(r"(-s1)?-[0-9a-f]{8}$", "", path.parent.name): [row[name] for name in names]
        for path in root.glob("points/*/results.jsonl")
        for row in results.read(path)
    }
