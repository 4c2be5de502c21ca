"""The table of all methods: its list of methods, its jobs and its arithmetic."""

import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from fairseq_prune.checkpoints import CONTROLS
from fairseq_prune.evaluation import results
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.pruning.flags import add_arguments, recipe_of
from fairseq_prune.saliency import SALIENCIES
from tests.report.rows import row
from tests.scripts.stubs import ROOT, Study, Table

sys.path.insert(0, str(ROOT / "scripts/methods"))
import table  # noqa: E402

METHODS = ROOT / "configs/prune/methods.txt"
LINES = [
    [part.strip() for part in line.split("|")]
    for line in METHODS.read_text().splitlines()
    if "|" in line and line[0] != "#"
]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Table(tmp_path)


@pytest.mark.parametrize(("name", "when", "flags"), LINES, ids=[line[0] for line in LINES])
def test_a_line_is_a_recipe_that_makes_sense(name: str, when: str, flags: str) -> None:
    assert when in ("after", "control", "during", "before", "mask", "tickets"), name
    words = flags.replace("SPARSITY", "0.6").replace("HALF", "75").replace("LATE", "300").split()
    if when == "control":
        assert words[1] in CONTROLS
        return
    parser = ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    for flag in ("--data", "--criterion", "--prune-penalty", "--rounds", "--rewind-to"):
        parser.add_argument(flag)
    if when == "tickets":
        words += ["--prune-scheme", "class-blind"]  # its default
    recipe = recipe_of(parser.parse_args(words)).check()
    assert recipe.active or name == "dense, briefly" or when == "mask"


def test_the_list_has_every_method() -> None:
    words = {word for _, _, flags in LINES for word in flags.split()} | {"magnitude", "one-shot"}
    schemes = set(ALLOCATIONS) - {"given"}  # its sparsities are one model's
    assert (
        set(SALIENCIES) | set(SCHEDULES) | schemes | set(CONTROLS) - {"random", "reinit"} <= words
    )


def test_each_kind_of_method_is_made_in_its_own_way(study: Study) -> None:
    chosen = "magnitude,2:4,shuffled,gradual,static,magnitude's mask"
    code, out, err = study.run(METHODS=chosen, SEEDS="1", PERCENTS="60")
    assert (code, err) == (0, "")
    top, best = "OUT/small-1", "OUT/small-1/dense/checkpoint_best.pt"
    train = {call.split("--save-dir OUT/small-1/")[1] for call in study.calls("fairseq-train")}
    plugin = "--cpu --user-dir ROOT/fairseq_prune"
    assert train == {
        "dense --cpu",
        f"magnitude-60/trained {plugin} --finetune-from-model {top}/magnitude-60/pruned.pt",
        f"2of4/trained {plugin} --finetune-from-model {top}/2of4/pruned.pt",
        f"shuffled-60/trained {plugin} --finetune-from-model {top}/shuffled-60/pruned.pt",
        f"gradual-60/trained {plugin} --prune-scheme class-blind --prune-sparsity 0.60 "
        f"--prune-schedule gradual --prune-end 10 --prune-every 10 --finetune-from-model {best}",
        f"static-60/trained {plugin} --prune-scheme erk --prune-sparsity 0.60 --prune-saliency "
        "random --prune-schedule static",
        f"magnitude-s-mask-60/trained {plugin} --prune-mask-from {top}/magnitude-60/pruned.pt",
    }
    assert sorted(study.calls("fairseq-prune apply") + study.calls("fairseq-prune control")) == [
        f"fairseq-prune apply {best} --output {top}/2of4/pruned.pt --prune-scheme class-uniform "
        "--prune-structure 2:4 --force",
        f"fairseq-prune apply {best} --output {top}/magnitude-60/pruned.pt --prune-scheme "
        "class-blind --prune-sparsity 0.60 --force",
        f"fairseq-prune control {top}/magnitude-60/pruned.pt --weights {best} --output "
        f"{top}/shuffled-60/pruned.pt --kind shuffle --force",
    ]
    (evaluated,) = study.calls("fairseq-prune evaluate")
    assert evaluated.count(".pt") == 1 + 3 * 2 + 3 and "--beam 1 " in evaluated


def test_a_second_run_makes_nothing_again(study: Study) -> None:
    study.run(METHODS="magnitude,gradual")
    assert len(study.calls("fairseq-train")) == 2 * (1 + 2 * 2)
    code, out, err = study.run(METHODS="magnitude,gradual")
    assert (code, err) == (0, "")
    assert study.calls() == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"METHODS": "magnetude"}, "METHODS=magnetude names no method"),
        ({"PERCENTS": "100"}, "100 is no percentage from 1 to 99"),
    ],
)
def test_what_makes_no_sense_is_refused(
    study: Study, settings: dict[str, str], sentence: str
) -> None:
    code, _, err = study.run(**settings)
    assert code == 2 and sentence in err and study.calls() == []


def test_means_and_spreads_are_over_seeds(tmp_path: Path) -> None:
    for seed, bleu in (("1", 10.0), ("2", 14.0)):
        folder = tmp_path / f"lstm-{seed}"
        for place, value in (
            ("dense/checkpoint_best.pt", 50.0),
            ("magnitude-60/pruned.pt", bleu),
            ("magnitude-60/trained/checkpoint_last.pt", bleu + 20),
            ("2of4/pruned.pt", 30.0),
        ):
            if (seed, place) == ("2", "2of4/pruned.pt"):
                continue
            one = row("pruned", "class-blind", 0.6, value, sha=f"{seed}{place}")
            one["checkpoint"] = str(folder / place)
            results.append(folder / "results.jsonl", one)
    matched = "after --prune-scheme class-uniform --prune-saliency random --prune-ratios snip"
    methods = {
        "magnitude": "after --prune-scheme class-blind".split(),
        "2:4": matched.split(),
        "never run": ["during"],
    }
    scoring = {"per_batch": ["snip"], "lstm": {"magnitude": 0.5, "random": 1.0, "snip": 2.0}}
    scores, signatures = table.read_scores(tmp_path, methods, ["60"])
    made = table.table_of("lstm", scores, methods, ["60"], scoring)
    assert made == [
        ["lstm, 2 seeds", "60%: after pruning", "60%: after training", "scoring, steps"],
        ["dense", "", "50.0 ± 0.0", ""],
        ["magnitude", "12.0 ± 2.8", "32.0 ± 2.8", "0.5"],
        ["2:4 (its own sparsity)", "30.0 (n=1)", "", "65"],  # 1 + 32 batches of 2
    ]
    assert len(signatures) == 1


CONFIGS = {m: ROOT / f"configs/train/embedded/{m}.yaml" for m in ("lstm", "transformer")}


def test_a_line_says_how_long_it_trained_where_others_trained_less() -> None:
    lengths, flags = {"brief": 530, "brief-retrain": 150}, ["--rounds", "3", "--rewind-to", "50"]
    assert table.label_of("magnitude", ["after", "--x"], lengths) == "magnitude"
    assert table.label_of("gradual", ["during"], lengths) == "gradual"
    assert table.label_of("mask", ["mask"], lengths) == "mask (530 updates, 3.5 times)"
    # the dense run, then three times from update 50 on: 1970 of 150
    ticket = "ticket (530 + 3 x 480 updates, 13.1 times)"
    assert table.label_of("ticket", ["tickets", *flags], lengths) == ticket
    assert table.label_of("ticket", ["tickets", *flags], {}) == "ticket"


@pytest.mark.parametrize("model", CONFIGS)
def test_the_table_and_the_readme_say_it_where_they_give_the_scores(model: str) -> None:
    lengths, methods = table.lengths_of(CONFIGS[model]), table.methods_of(METHODS)
    text = (ROOT / "docs/methods/table.md").read_text(encoding="utf-8")
    lines = text[text.index(f"| {model}, ") :].split("\n\n")[0].splitlines()
    assert f", {lengths['brief-retrain']} updates |" in lines[0]
    labels = {line[2:].split(" |")[0] for line in lines[2:]}
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for name, words in methods.items():
        label = table.label_of(name, words, lengths)
        assert label in labels or f"{label} (its own sparsity)" in labels
        if words[0] in ("mask", "tickets"):
            score = next(line for line in lines if label in line).split("|")[5].split(" ±")[0]
            length = label[label.index(name) + len(name) :].strip()
            assert f"{score.strip()} {length}" in readme
