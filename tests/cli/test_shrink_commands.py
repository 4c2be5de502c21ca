"""The commands that ``fairseq-prune shrink`` prints, copied into a shell as they stand."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fairseq_prune.network.options import architecture
from tests.conftest import ARCHES, TRAINING, read, run, train_here

HALF = ("--prune-sparsity", "0.5", "--prune-structure")
LANGUAGE_MODEL = (
    "--task language_modeling --arch transformer_lm --decoder-embed-dim 16 --decoder-layers 2 "
    "--decoder-ffn-embed-dim 32 --decoder-attention-heads 4 --optimizer adam --lr 0.01 --cpu "
    "--max-tokens 200 --tokens-per-sample 32 --num-workers 0 --no-epoch-checkpoints"
).split()
EVERY_KIND = (
    "--store-ema --ema-decay 0.9 --lr-scheduler inverse_sqrt --warmup-updates 4 --update-freq 2,1 "
    "--best-checkpoint-metric ppl --valid-subset valid,test --keep-last-epochs 2 --adam-betas"
).split()


def copied(out: str, start: str, folder: Path) -> str:
    """What the line does that begins so, in ``folder``, as bash reads it; it has to succeed."""
    (line,) = [one for one in out.splitlines() if one.startswith(start)]
    said = ["bash", "-c", f"printf '%s\\0' {line.removeprefix(start)}"]
    words = subprocess.run(said, capture_output=True, text=True, check=True).stdout.split("\0")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run(*words[:-1])


def check(last: Path, folder: Path, call, *flags) -> str:
    """Shrinks and trains as the copied line says: the settings are those that there were."""
    small = folder / "its own" / "small model.pt"
    code, out, err = call("shrink", last, "--output", small, *flags)
    assert (code, err) == (0, "")
    said = copied(out, "to train it further: ", folder)
    assert "done training in" in said
    trained = read(small.with_name("small model-trained") / "checkpoint_last.pt")
    wanted = read(small)
    for part in ("optimization", "dataset", "criterion", "optimizer", "lr_scheduler", "task"):
        assert trained["cfg"][part] == wanted["cfg"][part], part
    assert trained["optimizer_history"][-1]["num_updates"] == 4
    # fairseq's second copies of them come anew
    assert all(trained["model"][n].shape == v.shape for n, v in wanted["model"].items())
    assert architecture(trained) == architecture(wanted)
    return out


CASES = [
    ("lstm", "class-uniform", "hidden", []),
    ("transformer", "class-uniform", "ffn+heads", []),
    pytest.param("lstm", "class-blind", "hidden+embedding", [], marks=pytest.mark.slow),
    pytest.param("transformer", "class-blind", "ffn", [], marks=pytest.mark.slow),
    pytest.param(
        "transformer", "class-uniform", "ffn", [*EVERY_KIND, "(0.9, 0.98)"], marks=pytest.mark.slow
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "scheme", "structure", "flags"), CASES)
def test_the_copied_line_trains_it_further(
    arch, scheme, structure, flags, train, call, corpus, tmp_path
):
    train(tmp_path / "run", "--max-update", 4, *flags, arch=arch)
    pruned = tmp_path / "pruned.pt"
    last = tmp_path / "run" / "checkpoint_last.pt"
    call("apply", last, "--output", pruned, "--prune-scheme", scheme, *HALF, structure)
    out = check(pruned, tmp_path, call)
    assert copied(out, "to translate: ", tmp_path).count("\nH-") == 20


def test_subwords_are_joined_by_what_is_to_be_copied(corpus, call, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "data")
    for path in data.glob("dict.*.txt"):  # as subword-nmt marks a piece that goes on
        path.write_text(path.read_text().replace("B ", "B@@ ").replace("A ", "A@@ "))
    train = [data, *ARCHES["transformer"], *TRAINING, "--max-update", 4]
    train_here([*train, "--save-dir", tmp_path / "run"])
    last, pruned = tmp_path / "run" / "checkpoint_last.pt", tmp_path / "pruned.pt"
    call("apply", last, "--output", pruned, "--prune-scheme", "class-uniform", *HALF, "ffn")
    code, out, _ = call("shrink", pruned, "--output", tmp_path / "small.pt")
    assert code == 0 and " --beam 5 --remove-bpe\n" in out
    assert "@@" not in "".join(translations(copied(out, "to translate: ", tmp_path)))
    outputs = ("--output", tmp_path / "fewer.pt", "--output-data", tmp_path / "fewer")
    code, out, _ = call("vocab", last, "--data", data, *outputs)
    assert code == 0 and out.endswith(f" --path {outputs[1]} --beam 5 --remove-bpe\n")


@pytest.mark.slow
def test_a_model_of_hydra_is_trained_further(call, corpus, tmp_path):
    (tmp_path / "tiny.yaml").write_text(
        (Path(__file__).resolve().parents[2] / "configs/prune/transformer_hydra.yaml")
        .read_text()
        .replace("max_epoch: 10", "max_update: 4")
        .replace("prune_sparsity: 0.8", "prune_sparsity: 0.5\n  prune_structure: ffn")
        .replace("class-distribution", "class-uniform")
        .replace("seed: 1", "seed: 1\n  cpu: true")
    )
    run(
        "fairseq-hydra-train", "--config-dir", tmp_path, "--config-name", "tiny",
        f"task.data={corpus}", f"checkpoint.save_dir={tmp_path / 'run'}",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    out = check(tmp_path / "run" / "checkpoint_last.pt", tmp_path, call)
    assert "a plain fairseq checkpoint" in out


@pytest.fixture
def language_model(corpus, tmp_path):
    """A tiny one, trained for four updates; gives the checkpoint."""
    text = corpus.parent
    data = tmp_path / "text"
    run(
        "fairseq-preprocess", "--only-source", "--trainpref", text / "train.de", "--validpref",
        text / "valid.de", "--testpref", text / "test.de", "--destdir", data,
    )  # fmt: skip
    run("fairseq-train", data, *LANGUAGE_MODEL, "--max-update", 4, "--save-dir", tmp_path / "run")
    return tmp_path / "run" / "checkpoint_last.pt"


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["ffn", "heads", "ffn+heads"])
def test_a_language_model_is_shrunk_and_trained_further(structure, language_model, call, tmp_path):
    pruned = tmp_path / "pruned.pt"
    flags = ("--prune-scheme", "class-uniform", *HALF, structure)
    assert call("apply", language_model, "--output", pruned, *flags)[0] == 0
    before = evaluated(run("fairseq-eval-lm", tmp_path / "text", "--path", pruned, "--cpu"))
    out = check(pruned, tmp_path, call)
    assert ("architecture shrunk_transformer_lm" in out) == ("heads" in structure)
    assert evaluated(copied(out, "to evaluate: ", tmp_path)) == before


def evaluated(said: str) -> str:
    """The loss that fairseq-eval-lm found."""
    return said.partition("Loss (base 2): ")[2].split(",")[0]


BART = [flag for flag in ARCHES["transformer"] if not flag.startswith("--share")]
BART[BART.index("transformer")] = "bart_base"
ALIGN = "--alignment-heads 1 --alignment-layer 0 --arch transformer_align".split()


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["ffn", "heads"])
@pytest.mark.parametrize("arch", ["bart", "transformer_align"])
def test_bart_and_aligned_models_are_shrunk_and_trained_further(
    arch, structure, corpus, call, tmp_path
):
    model = BART if arch == "bart" else [*ARCHES["transformer"], *ALIGN]
    train_here([corpus, *model, *TRAINING, "--max-update", 4, "--save-dir", tmp_path / "run"])
    last, pruned = tmp_path / "run" / "checkpoint_last.pt", tmp_path / "pruned.pt"
    flags = ["--prune-scheme", "class-blind", *HALF, structure]
    if arch == "transformer_align" and structure == "heads":
        flags += ["--prune-exclude", "target-layer-1.cross-attention"]
    assert call("apply", last, "--output", pruned, *flags)[0] == 0
    before = run("fairseq-generate", corpus, "--path", pruned, "--beam", 5, "--cpu")
    out = check(pruned, tmp_path, call)
    assert structure == "ffn" or f"architecture shrunk_{arch}: give" in out
    after = copied(out, "to translate: ", tmp_path)
    assert translations(after) == translations(before) and after.count("\nH-") == 20


def translations(said: str) -> list[str]:
    return sorted(line.split("\t")[-1] for line in said.splitlines() if line.startswith("H-"))
