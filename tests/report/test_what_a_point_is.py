"""A point is what its file is: nothing is merged, and what cannot be placed is named.

The checkpoints are real and pruned by the real code; their scores are made up.
"""

import csv
import json
import statistics
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.steps import TRAINED, Step, starting_at, with_step
from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.evaluate import evaluate
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.report.bootstrap import Bootstrap, pooled
from fairseq_prune.report.class_figures import perplexity_by_class, removed_by_class
from fairseq_prune.report.figures import by_scheme, by_stage, over_seeds
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import Point, find_results, read_points, which_seed
from fairseq_prune.report.report import write_report
from fairseq_prune.report.sensitivity_files import find_measured
from fairseq_prune.report.significance import dense_points
from tests.report import tiny
from tests.report.rows import add_texts, row, with_texts, write

HALF = ("--prune-scheme", "class-blind", "--prune-sparsity", 0.5)
Score = Callable[..., None]


def _no_decoder(*_: object) -> Namespace:
    """In the decoder's place: what is measured is given."""
    return Namespace(close=bool)


def call(*words: Any) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a dense model and one pruned from it."""
    dense = tiny.dense(tmp_path / "dense.pt")
    call("apply", dense, "--output", tmp_path / "pruned.pt", *HALF)
    return tmp_path


@pytest.fixture
def score(folder: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """Evaluates files of the folder, whose BLEU is given; other settings by name."""

    def run(bleus: dict[str, float], tags: dict[str, str] | None = None, **settings: Any) -> None:
        def measured(_: Any, path: str, *__: Any) -> dict[str, Any]:
            return {"bleu": bleus[Path(path).stem], "chrf": 1.0, "brevity_penalty": 1.0,
                    "length_ratio": 1.0, "bleu_signature": "s"}  # fmt: skip

        monkeypatch.setattr("fairseq_prune.evaluation.evaluate._measure", measured)
        monkeypatch.setattr("fairseq_prune.evaluation.evaluate.decoder_of", _no_decoder)
        files = [str(folder / f"{name}.pt") for name in bleus]
        chosen = Settings(data=str(corpus), cpu=True, **settings)
        own = {"model": "m", **(tags or {})}
        list(evaluate(files, chosen, own, str(folder / "results.jsonl")))

    return run


def train_on(folder: Path, source: str, name: str, **facts: Any) -> None:
    """A model trained on under our hooks, as far as its file says."""
    path = folder / f"{source}.pt"
    content = storage.load(path)
    step = Step(kind=TRAINED, facts={"fresh": False, "given": False, "updates": 5, **facts})
    content = with_step(content, content, starting_at(str(path), step), str(path))
    content["model"] = {n: 1.01 * v for n, v in content["model"].items()}
    storage.save(content, folder / f"{name}.pt")


def shown(folder: Path, notes: list[str] | None = None) -> dict[tuple[Any, ...], float]:
    """BLEU by stage, scheme and what is removed."""
    points = read_points(find_results([str(folder)]), notes)
    found = {(p.stage, p.scheme, p.removed): p.score for p in points}
    assert len(found) == len(points)
    return found


def test_a_control_does_not_replace_the_model_that_it_is_of(folder: Path, score: Score) -> None:
    control = ("control", folder / "pruned.pt", "--weights", folder / "dense.pt")
    for kind in ("shuffle", "invert"):
        call(*control, "--kind", kind, "--output", folder / f"{kind}.pt")
    score({"pruned": 67.39, "shuffle": 0.02, "invert": 0.01})
    half = read_points([folder / "results.jsonl"])[0].reached
    assert shown(folder) == {
        ("pruned", "class-blind", half): 67.39,
        ("pruned", "class-blind, shuffle control", half): 0.02,
        ("pruned", "class-blind, invert control", half): 0.01,
    }


def test_two_shuffles_stand_apart_by_their_files(folder: Path, score: Score) -> None:
    for seed in (1, 2):
        call("control", folder / "pruned.pt", "--weights", folder / "dense.pt", "--kind", "shuffle",
             "--seed", seed, "--output", folder / f"shuffle{seed}.pt")  # fmt: skip
    score({"shuffle1": 1.0, "shuffle2": 2.0})
    notes: list[str] = []
    assert len(shown(folder, notes)) == 2
    assert any("stand apart by their files" in note and "shuffle1.pt" in note for note in notes)


def test_pruned_and_retrained_are_told_apart_without_a_tag(folder: Path, score: Score) -> None:
    train_on(folder, "pruned", "retrained", held=5, since=5)
    score({"dense": 74.0, "pruned": 20.0, "retrained": 70.0})
    points = read_points([folder / "results.jsonl"])
    assert [(p.stage, p.score) for p in points] == [
        ("dense", 74.0), ("pruned", 20.0), ("retrained", 70.0)
    ]  # fmt: skip
    first, second = by_scheme(points, "m"), by_stage(points, "m")
    assert first is not None and [line[2] for line in first.table[1:]] == ["74.00", "20.00"]
    assert second is not None and second.table[3][0] == "pruned + retrained"


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--prune-exclude", "softmax"), "exclude:softmax"),
        (("--prune-classes", "component"), "classes:component"),
        (("--prune-ratios", "random"), "ratios:random"),
    ],
)
def test_recipes_that_differ_in_any_flag_are_two_points(
    folder: Path, score: Score, flags: tuple[str, ...], words: str
) -> None:
    call("apply", folder / "dense.pt", "--output", folder / "other.pt", *HALF, *flags)
    score({"pruned": 10.0, "other": 11.0})
    assert {(scheme, bleu) for (_, scheme, _), bleu in shown(folder).items()} == {
        ("class-blind", 10.0), (f"class-blind, {words}", 11.0)
    }  # fmt: skip


def test_rows_that_differ_in_any_tag_are_two_points(folder: Path, score: Score) -> None:
    score({"pruned": 10.0}, {"run": "a"})
    score({"pruned": 11.0}, {"run": "b"})
    assert {scheme for _, scheme, _ in shown(folder)} == {
        "class-blind, run=a", "class-blind, run=b"
    }  # fmt: skip


def test_what_is_made_of_a_model_is_never_the_dense_one(folder: Path, score: Score) -> None:
    dense, stripped = folder / "dense.pt", folder / "stripped.pt"
    call("export", folder / "pruned.pt", "--format", "checkpoint", "--output", stripped)
    call("export", dense, "--format", "checkpoint", "--half", "--output", folder / "halved.pt")
    call("average", dense, dense, "--output", folder / "mean.pt")
    train_on(folder, "stripped", "on", held=0)
    score({"dense": 74.25, "pruned": 60.0, "stripped": 58.16, "halved": 74.2, "mean": 74.3,
           "on": 61.0})  # fmt: skip
    points = read_points([folder / "results.jsonl"])
    assert [p.score for p in points if p.stage == "dense"] == [74.25]
    assert {(p.stage, p.scheme, p.score) for p in points if p.stage != "dense"} == {
        ("pruned", "class-blind", 60.0),
        ("pruned", "class-blind, exported", 58.16),
        ("derived", "exported, float16", 74.2),
        ("derived", "mean of 2", 74.3),
        ("derived", "class-blind, exported, trained on, masks dropped", 61.0),
    }
    (lost,) = [p for p in points if p.score == 61.0]
    assert lost.removed == 0.0  # trained on without its masks
    assert {base.score for base in dense_points(points).values()} == {74.25}


def test_a_model_trained_on_without_the_plugin_is_not_the_dense_one(
    folder: Path, score: Score
) -> None:
    content = torch.load(folder / "dense.pt", weights_only=True)
    content["model"] = {n: 1.1 * v for n, v in content["model"].items()}
    torch.save(content, folder / "stock.pt")
    score({"dense": 32.70, "pruned": 20.0, "stock": 32.40})
    notes: list[str] = []
    points = read_points([folder / "results.jsonl"], notes)
    assert [(p.stage, p.score) for p in points] == [
        ("dense", 32.70), ("pruned", 20.0), ("unrecorded", 32.40)
    ]  # fmt: skip
    assert "stock.pt" in str(points[2].scheme)
    assert len(notes) == 1 and "dense.pt" in notes[0] and "taken for the dense one" in notes[0]


def test_of_two_dense_files_that_nothing_tells_apart_none_is_chosen(tmp_path: Path) -> None:
    rows = [row("dense", None, 0.0, bleu, sha=str(bleu)) for bleu in (32.7, 32.4)]
    rows.append(row("pruned", "class-blind", 0.5, 20.0))
    notes: list[str] = []
    points = read_points([write(tmp_path, *rows)], notes)
    assert len([p for p in points if p.stage == "dense"]) == 2
    assert any("give --tag stage=dense to one" in note for note in notes)
    assert dense_points(points) == {}
    assert any("not tested" in note for note in measure(points).notes)
    # the pruned one says of which it is
    rows[2]["sources"] = [rows[1]["sha256"]]
    (base,) = dense_points(read_points([write(tmp_path / "b", *rows)])).values()
    assert base.score == 32.4


def test_data_and_decodings_are_tables_of_their_own(
    folder: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = [("test", 1), ("test", 5), ("valid", 5)]
    for number, (subset, beam) in enumerate(ways):
        score({"dense": 30.0 + number, "pruned": 20.0 + number}, gen_subset=subset, beam=beam)
    tiny.add_sensitivity(folder, "class-blind")
    said = write_report([str(folder)], str(folder / "report"), "t", "c")
    points = read_points([folder / "results.jsonl"])
    models = {p.model: {q.score for q in points if q.model == p.model} for p in points}
    assert models == {
        "m, test, beam 1": {30, 20}, "m, test, beam 5": {31, 21}, "m, valid, beam 5": {32, 22}
    }  # fmt: skip
    assert "note: m was evaluated in 3 ways" in said
    page = (folder / "report" / "index.html").read_text()
    assert page.count("Every number: ") == 2 * 3  # the heading, and in the contents
    for name in ("m-test-beam-1", "m-test-beam-5", "m-valid-beam-5"):
        for figure in (1, 4):
            assert (folder / "report" / f"{name}-figure{figure}.png").is_file()
    assert "of which there are no results" not in said


def test_what_is_removed_is_what_is_gone(tmp_path: Path) -> None:
    rows = []
    for reached, asked in ((0.4031, 0.8), (0.5706, 0.5), (0.0, 0.95)):
        one = row("pruned", "class-blind", reached, 1.0, sha=str(asked)) | {"target": asked}
        one["recipe"] = f"class-blind|sparsity:{asked}"
        rows.append(one)
    rows[2] |= {"stage": "waiting", "tags": {"model": "m"}}
    points = read_points([write(tmp_path, *rows)])
    assert [(p.stage, p.removed, p.percent) for p in points] == [
        ("pruned", 40.31, "40.31 (asked 80)"), ("pruned", 57.06, "57.06 (asked 50)"),
        ("waiting", 0.0, "0 (asked 95)"),
    ]  # fmt: skip
    chart = by_scheme(points, "m")
    assert chart is not None
    assert [(line[1], line[5]) for line in chart.table[1:]] == [("40.31%", "80"), ("57.06%", "50")]
    write_report([str(tmp_path)], str(tmp_path / "report"), "t", "c")
    with (tmp_path / "report" / "points.csv").open() as file:
        found = [(line["removed"], line["asked"]) for line in csv.DictReader(file)]
    assert found == [("40.31", "80"), ("57.06", "50"), ("0.00", "95")]
    with (tmp_path / "report" / "table.csv").open() as file:
        assert [(line["removed"], line["asked"]) for line in csv.DictReader(file)] == found


def test_what_was_asked_of_units_says_so(tmp_path: Path) -> None:
    heads = row("pruned", "class-uniform", 0.09, 1.0) | {"target": 0.5, "structure": "heads"}
    (point,) = read_points([write(tmp_path, heads)])
    assert point.percent == "9 (asked 50 of heads)"
    assert point.label == "pruned, class-uniform, heads, 9% (asked 50% of heads)"


def test_a_smaller_model_and_an_export_have_plain_names(tmp_path: Path) -> None:
    units = {"target": 0.5, "structure": "ffn+heads", "made": ["shrunk"]}
    int8 = {"stage": "derived", "made": ["exported to CTranslate2, int8"], "tags": {"model": "m"}}
    rows = [row("dense", None, 0.0, 3.0), row("dense", None, 0.0, 2.0, sha="int8") | int8,
            row("retrained", "class-uniform", 0.5, 1.0) | units]  # fmt: skip
    path = write(tmp_path, *rows)
    assert [p.label for p in read_points([path])] == [
        "dense",
        "pruned + retrained, class-uniform, ffn+heads, shrunk, 50% of ffn+heads",
        "dense, exported to CTranslate2, int8",
    ]


def test_of_several_seeds_the_one_shown_has_a_name(tmp_path: Path) -> None:
    rows = [row("retrained", "class-blind", 0.5, bleu, sha=f"{bleu}") for bleu in (20.0, 21.0)]
    rows[1]["tags"] = {**rows[1]["tags"], "seed": "2"}
    points = read_points([write(tmp_path, *rows)])
    assert [which_seed(p, points) for p in points] == [
        ", of 2 seeds the one without --tag seed", ", seed 2 of 2 seeds"
    ]  # fmt: skip
    assert which_seed(points[0], points[:1]) == ""


def test_a_later_evaluation_is_named_with_both_values(tmp_path: Path) -> None:
    rows = [row("pruned", "class-blind", 0.5, bleu, sha=f"{bleu}") for bleu in (32.70, 32.40)]
    notes: list[str] = []
    (point,) = read_points([write(tmp_path, *rows)], notes)
    assert point.score == 32.40
    (note,) = notes
    assert "(BLEU 32.70) is replaced by the later" in note and "(BLEU 32.40)" in note


def test_the_same_row_twice_is_counted(tmp_path: Path) -> None:
    one = row("pruned", "class-blind", 0.5, 1.0)
    files = [write(tmp_path / name, one) for name in "ab"]
    notes: list[str] = []
    assert len(read_points(files, notes)) == 1
    assert notes == ["1 rows are there twice, with the same score."]
    assert find_results([str(tmp_path), str(tmp_path / "a")]) == files


def test_seeds_that_reached_nearly_the_same_share_a_place(tmp_path: Path) -> None:
    rows = []
    for seed, reached in (("1", 0.7996), ("2", 0.8002), ("3", 0.41)):
        one = row("pruned", "class-blind", reached, float(seed), sha=seed) | {"target": 0.8}
        one |= {"tags": {"model": "m", "seed": seed}, "recipe": f"class-blind|seed:{seed}"}
        rows.append(one)
    points = read_points([write(tmp_path, *rows)])
    assert [(p.removed, p.seed) for p in points] == [(41.0, "3"), (79.99, "1"), (79.99, "2")]


def test_sparsities_that_a_file_gives_each_seed_share_a_place(tmp_path: Path) -> None:
    rows = []
    for seed, reached in (("1", 0.6003), ("2", 0.6011)):
        one = row("pruned", "given", reached, 1.0, sha=seed) | {"recipe": f"given|given:{seed}"}
        rows.append(one | {"tags": {"model": "m", "seed": seed}})
    points = read_points([write(tmp_path, *rows)])
    assert {p.place for p in points} == {("m", "pruned", "given", 60.07)}


# ------------------------------------------------------------------------------------- seeds
def test_figure_4_is_the_mean_over_seeds(tmp_path: Path) -> None:
    def change(seed: str, by: float) -> None:
        path = tiny.add_sensitivity(tmp_path, "class-blind", tags={"model": "m", "seed": seed})
        content = json.loads(path.read_text())
        for one in content["rows"]:
            one["ppl_change"] = by
        (tmp_path / f"seed{seed}.json").write_text(json.dumps(content))
        path.unlink()

    change("1", -2.0)
    change("2", 16.9)
    notes: list[str] = []
    found = find_measured([str(tmp_path)], {}, notes.append)
    chart = perplexity_by_class(found, "m")
    assert chart is not None and notes == []
    label = "class-blind, 90%"
    assert chart.table[0] == ["class", label, f"{label}: sd", f"{label}: seeds"]
    sd = f"{statistics.stdev([-2.0, 16.9]):.2f}"
    assert chart.table[1] == ["source-embedding", "7.45", sd, "2"]
    # the same seed again is no second seed
    (tmp_path / "again.json").write_text((tmp_path / "seed1.json").read_text())
    found = find_measured([str(tmp_path)], {}, notes.append)
    assert len({one.label for one in found}) == 2 and len(notes) == 1


def test_figure_3_is_the_mean_over_seeds(tmp_path: Path) -> None:
    rows = []
    for seed, share in (("1", 0.2), ("2", 0.4)):
        one = row("pruned", "class-blind", 0.9, 1.0, sha=seed)
        one["tags"]["seed"] = seed
        rows.append(one | {"classes": [{"name": "a", "sparsity": share}]})
    chart = removed_by_class(read_points([write(tmp_path, *rows)]), "m")
    assert chart is not None and chart.table[1] == ["a", "30.00", "14.14", "2"]


WORDS = "the a big cat dog house sees eats likes green old new and or in of".split()


def test_seeds_are_tested_together(tmp_path: Path) -> None:
    references = [" ".join(WORDS[i % 9 : i % 9 + 5]) + f" {i} ." for i in range(30)]
    dense = [r.replace("cat", "cow") for r in references]
    little = [line.replace("big", "") for line in dense]
    one = Bootstrap(dense, references).samples(little)
    assert pooled([one]) == one.comparison
    assert pooled([one, one]).p == one.comparison.p
    # worse by one seed, better by the other as much: together no difference
    other = Bootstrap(little, references).samples(dense)
    both = pooled([one, other])
    assert both.bleu == both.base and not both.worse


def test_worse_is_never_said_of_a_mean_that_is_better(tmp_path: Path) -> None:
    path = with_texts(tmp_path, ("1", "2"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    # seed 2: a dense model that says next to nothing
    (bad,) = [r for r in rows if r["tags"] == {"model": "m", "stage": "dense", "seed": "2"}]
    sentences = [json.loads(line) for line in (tmp_path / bad["sentences_file"]).open()]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows if r is not bad))
    from fairseq_prune.evaluation.sentences import Sentence

    test = [Sentence(**one) for one in sentences]
    add_texts(path, bad, ["the"] * len(test), test)
    numbers = measure(read_points([path]))
    places = {place: found for place, found in numbers.tests.pooled.items() if place[3] == 50}
    (found,) = [f for place, f in places.items() if place[1] == "pruned"]
    assert found.bleu > found.base and not found.worse
    assert any(numbers.tests.each[(*place, "1")].worse for place in places)
    for limit in numbers.limits:
        if limit.first_worse is not None:
            mine = [p for p in numbers.points if p.place == limit.first_worse]
            tested = [numbers.tests.each[p.key] for p in mine]
            assert statistics.fmean(c.difference for c in tested) < 0


# -------------------------------------------------------------------------------------- paths
def test_a_report_from_another_folder_has_every_figure(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    tiny.dense(work / "models" / "dense.pt")
    monkeypatch.chdir(work)
    call("apply", "models/dense.pt", "--output", "models/pruned.pt", *HALF)
    answer = {"bleu": 7.0, "chrf": 1.0, "brevity_penalty": 1.0, "length_ratio": 1.0,
              "bleu_signature": "s"}  # fmt: skip
    monkeypatch.setattr("fairseq_prune.evaluation.evaluate._measure", lambda *_: answer)
    monkeypatch.setattr("fairseq_prune.evaluation.evaluate.decoder_of", _no_decoder)
    files = ["models/dense.pt", "models/pruned.pt"]
    list(evaluate(files, Settings(data=str(corpus)), {"model": "m"}, "out/results.jsonl"))
    work.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    write_report([str(tmp_path / "moved" / "out")], str(tmp_path / "report"), "t", "c")
    for figure in (7, 9, 10):
        assert (tmp_path / "report" / f"m-figure{figure}.png").is_file()
    # rows of earlier versions have paths from where the command ran
    rows = (tmp_path / "moved" / "out" / "results.jsonl").read_text()
    (tmp_path / "moved" / "out" / "results.jsonl").write_text(rows.replace("../models", "models"))
    write_report([str(tmp_path / "moved" / "out")], str(tmp_path / "again"), "t", "c")
    for figure in (7, 9, 10):
        assert (tmp_path / "again" / f"m-figure{figure}.png").is_file()


def test_another_file_of_that_name_is_not_shown(folder: Path, score: Score) -> None:
    score({"dense": 2.0, "pruned": 1.0})
    (folder / "pruned.pt").write_bytes((folder / "dense.pt").read_bytes())
    said = write_report([str(folder)], str(folder / "report"), "t", "c")
    assert f"{folder}/pruned.pt is another file than when it was evaluated" in said
    assert not (folder / "report" / "m-figure7.png").exists()


# ----------------------------------------------------------------------- figures from their rows
def test_figures_are_their_rows(tmp_path: Path) -> None:
    rows = []
    for seed, shift in (("1", 0.0), ("2", 1.5), ("3", 4.0)):
        rows.append(row("dense", None, 0.0, 40 + shift, sha=seed))
        for stage in ("pruned", "retrained"):
            for reached in (0.2, 0.4031, 0.8):
                bleu = 40 + shift - 30 * reached * (stage == "pruned")
                one = row(stage, "class-blind", reached, bleu, sha=seed)
                rows.append(one | {"target": 0.8 if reached == 0.4031 else reached})
        for one in rows[-7:]:
            one["tags"] = {**one["tags"], "seed": seed}
    points = read_points([write(tmp_path, *rows)])
    assert len(points) == len(rows)
    # straight from the file
    raw = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]

    def bleus(stage: str, reached: float) -> list[float]:
        return sorted(
            r["bleu"] for r in raw if (r["tags"]["stage"], r["sparsity"]) == (stage, reached)
        )

    first, second, eighth = by_scheme(points, "m"), by_stage(points, "m"), over_seeds(points, "m")
    assert first is not None and second is not None and eighth is not None
    names = {"class-blind": "pruned", "pruned": "pruned", "pruned + retrained": "retrained",
             "dense": "dense"}  # fmt: skip
    for chart, count in ((first, 4), (second, 7)):
        assert len(chart.table) == 1 + count
        for label, removed, mean, sd, seeds, *_ in chart.table[1:]:
            mine = bleus(names[label], round(float(removed[:-1]) / 100, 6))
            expected = (f"{statistics.fmean(mine):.2f}", f"{statistics.stdev(mine):.2f}")
            assert (mean, sd, seeds) == (*expected, "3")
    for stage, _, removed, least, _, median, _, most, seeds in eighth.table[1:]:
        mine = bleus(names[stage], round(float(removed[:-1]) / 100, 6))
        assert [float(least), float(median), float(most)] == pytest.approx(
            [mine[0], statistics.median(mine), mine[-1]], abs=0.005
        )
        assert seeds == "3"


def test_a_row_that_no_figure_shows_is_named(tmp_path: Path) -> None:
    waiting = row("pruned", "class-blind", 0.0, 1.0) | {"stage": "waiting", "target": 0.95}
    waiting["tags"] = {"model": "m"}
    write(tmp_path, row("dense", None, 0.0, 2.0), waiting)
    said = write_report([str(tmp_path)], str(tmp_path / "report"), "t", "c")
    assert "note: m: 1 rows are in the tables and in no figure: " in said
    assert "not pruned yet" in said


def test_a_tag_wins_for_display_and_merges_nothing(folder: Path, score: Score) -> None:
    train_on(folder, "pruned", "retrained", held=5, since=5)
    score({"pruned": 20.0, "retrained": 70.0}, {"stage": "retrained"})
    found = {(stage, scheme): bleu for (stage, scheme, _), bleu in shown(folder).items()}
    assert found == {
        ("retrained", "class-blind"): 70.0, ("retrained", "class-blind, pruned"): 20.0
    }  # fmt: skip


def test_a_pruned_file_that_is_tagged_dense_is_not_the_dense_one(
    folder: Path, score: Score
) -> None:
    score({"pruned": 20.0}, {"stage": "dense"})
    notes: list[str] = []
    points: list[Point] = read_points([folder / "results.jsonl"], notes)
    assert [p.stage for p in points] == ["pruned"]
    assert len(notes) == 1 and "is tagged stage=dense, but its file says 'pruned'" in notes[0]
