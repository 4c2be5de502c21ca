"""A model of several language pairs, shrunk: it opens, and the line to train it further works."""

import shlex
from pathlib import Path

import pytest

from tests.conftest import TRAINING, run, train_here

PAIRS = (
    "--task multilingual_translation --lang-pairs de-en,en-de --arch multilingual_transformer "
    "--encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-layers 1 "
    "--encoder-attention-heads 2 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
    "--decoder-layers 1 --decoder-attention-heads 2 --ddp-backend legacy_ddp"
).split()


@pytest.fixture(scope="module")
def pairs(corpus, tmp_path_factory) -> Path:
    """A checkpoint of two language pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    flags = [*PAIRS, *TRAINING, "--criterion", "cross_entropy", "--max-update", 1]
    train_here([corpus, *drop(flags, "--label-smoothing"), "--save-dir", folder])
    return folder / "checkpoint_last.pt"


def drop(flags, name):
    place = flags.index(name)
    return [*flags[:place], *flags[place + 2 :]]


def cut(path, output, call, kind):
    flags = ("--prune-scheme", "class-uniform", "--prune-sparsity", 0.5, "--prune-structure", kind)
    assert call("apply", path, "--output", output, "--force", *flags)[0] == 0
    return call("shrink", output, "--output", output.with_name("small.pt"))


def test_widths_that_all_pairs_have_are_said_and_the_file_opens(pairs, tmp_path, call):
    code, out, err = cut(pairs, tmp_path / "pruned.pt", call, "ffn")
    assert (code, err) == (0, "")
    assert "models.de-en.encoder.layers.0.ffn" in out and "models.en-de.decoder" in out
    line = next(x for x in out.splitlines() if x.startswith("to train it further: "))
    words = shlex.split(line.partition(": ")[2])
    assert words[words.index("--encoder-ffn-embed-dim") + 1] == "16"
    words[words.index("--save-dir") + 1] = str(tmp_path / "further")
    words[words.index("--max-update") + 1] = "2"
    run(*words)


def test_heads_are_refused_with_the_reason(pairs, tmp_path, call):
    code, _, err = cut(pairs, tmp_path / "pruned.pt", call, "heads")
    assert code == 2
    assert "no architecture of ours is there for multilingual_transformer" in err
    assert not (tmp_path / "small.pt").exists()


def test_classes_are_those_of_each_pair(pairs, call):
    code, out, _ = call("inspect", pairs)
    assert code == 0 and "de-en/source-layer-1.ffn" in out and "en-de/target-layer-1.ffn" in out
