"""fairseq-prune vocab: the cut model computes what it did, and stock fairseq reads what is left."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.models import masks_in
from tests.conftest import ARCHES, TRAINING, read, run, train_here

MODELS = {
    "lstm": ("lstm", ()),
    "lstm-tied-output": ("lstm", ("--share-decoder-input-output-embed",)),
    "lstm-shared": ("lstm", ("--share-all-embeddings",)),
    "transformer": ("transformer", ()),  # tied output
    "transformer-shared": ("transformer", ("--share-all-embeddings",)),
}
DOMAIN = "ab ba ca da".split()
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]


@pytest.fixture(scope="module")
def checkpoints(corpus, tmp_path_factory):
    """Trains a model of MODELS for a few updates, once; gives its checkpoint."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def get(name: str) -> Path:
        if name not in made:
            arch, flags = MODELS[name]
            common = (corpus, *ARCHES[arch], *TRAINING, *flags, "--max-update", 12)
            train_here([*common, "--save-dir", folder / name])
            made[name] = folder / name / "checkpoint_last.pt"
        return made[name]

    return get


@pytest.fixture
def domain(tmp_path) -> Path:
    """The prefix of a parallel text with four of the twelve words, and one that is unknown."""
    lines = [DOMAIN, DOMAIN[:2], [*DOMAIN[1:], "new"]]
    (tmp_path / "domain.de").write_text("".join(" ".join(line) + "\n" for line in lines))
    capitals = "".join(" ".join(line[::-1]).upper() + "\n" for line in lines)
    (tmp_path / "domain.en").write_text(capitals)
    return tmp_path / "domain"


@pytest.fixture
def small(tmp_path, corpus, domain, call):
    """Cuts a checkpoint down to the domain; gives checkpoint and folder."""

    def cut(checkpoint, *flags: Any) -> tuple[Path, Path]:
        outputs = tmp_path / "small.pt", tmp_path / "small-bin"
        code, _, err = call(
            "vocab", checkpoint, "--data", corpus, "--output", outputs[0],
            "--output-data", outputs[1], "--corpus", domain, *flags,
        )  # fmt: skip
        assert (code, err) == (0, "")
        return outputs

    return cut


def opened(checkpoint: Path, data: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """The model and the task, as fairseq opens them."""
    from fairseq import checkpoint_utils

    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(checkpoint)], arg_overrides={"data": str(data)}
    )
    return models[0].eval().to(dtype), task


def logits(checkpoint: Path, data: Path, dtype: torch.dtype) -> tuple[torch.Tensor, Any]:
    """Of a batch of two sentences of kept words, forced; and the target dictionary."""
    model, task = opened(checkpoint, data, dtype)
    source, target = task.source_dictionary, task.target_dictionary

    def batch(its: Any, *lines: str) -> torch.Tensor:
        return torch.stack([its.encode_line(x, add_if_not_exist=False).long() for x in lines])

    before = batch(target, "DA CA BA AB", "BA AB BA AB").roll(1, dims=1)
    given = batch(source, "ab ba ca da", "ab ba ab ba")
    with torch.no_grad():
        return model(given, torch.tensor([5, 5]), before)[0], target


def tokens(data: Path, name: str, language: str) -> list[str]:
    """The sentences of a binarised split, as text."""
    from fairseq.data import Dictionary, data_utils

    its = Dictionary.load(str(data / f"dict.{language}.txt"))
    sentences = data_utils.load_indexed_dataset(f"{data}/{name}.de-en.{language}", its)
    return [its.string(sentence) for sentence in sentences]


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_kept_tokens_are_those_of_before(name, checkpoints, corpus, small):
    path = checkpoints(name)
    output, folder = small(path)
    for dtype, allowed in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        before, old = logits(path, corpus, dtype)
        after, new = logits(output, folder, dtype)
        rows = [old.index(token) for token in new.symbols]
        assert len(new) == (4 + 8 if name.endswith("shared") else 4 + 4)
        assert after.shape[-1] == len(new) < before.shape[-1]
        assert (before[..., rows] - after).abs().max() <= allowed


@pytest.mark.parametrize("name", ["lstm", "transformer-shared"])
def test_splits_have_the_same_words_and_unk_for_those_that_went(name, checkpoints, corpus, small):
    from fairseq.data import Dictionary

    _, folder = small(checkpoints(name))
    for language, words in (("de", DOMAIN), ("en", [w.upper() for w in DOMAIN])):
        for split in ("train", "valid", "test"):
            expected = [
                " ".join(word if word in words else "<unk>" for word in line.split())
                for line in tokens(corpus, split, language)
            ]
            assert tokens(folder, split, language) == expected
        old, new = (Dictionary.load(str(f / f"dict.{language}.txt")) for f in (corpus, folder))
        assert [s for s in old.symbols if s in new] == new.symbols
        assert [old.count[old.index(s)] for s in new.symbols] == new.count


@pytest.mark.parametrize("name", ["lstm", "transformer-shared"])
def test_greedy_translations_stay_where_no_removed_token_is_in_them(
    name, checkpoints, corpus, small, tmp_path
):
    path = checkpoints(name)
    before = greedy(path, corpus)
    (tmp_path / "own.de").write_text("\n".join(tokens(corpus, "test", "de")))
    (tmp_path / "own.en").write_text("\n".join(before))
    output, folder = small(path, "--corpus", tmp_path / "own")
    assert len(read(output)["model"]["decoder.embed_tokens.weight"]) < 28
    assert len(before) == 20 and greedy(output, folder) == before


def greedy(checkpoint: Path, data: Path) -> list[str]:
    """Translations of the test set."""
    from fairseq_prune.evaluation.decode import Decoder
    from fairseq_prune.evaluation.settings import Settings

    decoder = Decoder(Settings(data=str(data), beam=1, max_len_b=10, cpu=True))
    decoder.open(str(checkpoint))
    return decoder.translate("test").hypotheses


def test_training_counts_remove_the_other_language_and_the_filling(checkpoints, corpus, ask):
    for name, left in (("transformer-shared", 28), ("lstm", 16)):
        found = ask("vocab", checkpoints(name), "--data", corpus, "--dry-run")
        assert found["shared"] == name.endswith("shared") and found["bytes"] is None
        for side in found["sides"].values():
            assert (side["before"], side["kept"], side["became_unk"]) == (32, left, 0)


def test_min_count_is_of_the_training_data(checkpoints, corpus, ask):
    words = Counter(" ".join(tokens(corpus, "train", "de")).split())
    least = sorted(words.values())[6]
    flags = ("--data", corpus, "--dry-run", "--min-count", least)
    found = ask("vocab", checkpoints("lstm"), *flags)["sides"]["source"]
    gone = [count for count in words.values() if count < least]
    assert found["kept"] == 4 + len(words) - len(gone)
    assert (found["corpus_tokens"], found["became_unk"]) == (sum(words.values()), sum(gone))


def test_removing_nothing_gives_the_same_dictionary_and_bits(corpus, tmp_path, call):
    data = tmp_path / "bin"
    run(
        "fairseq-preprocess", "-s", "de", "-t", "en", "--padding-factor", 1,
        *(f"--{split}pref={corpus.parent / split}" for split in ("train", "valid", "test")),
        "--destdir", data,
    )  # fmt: skip
    flags = (*ARCHES["transformer"], *TRAINING, "--max-update", 1)
    train_here([data, *flags, "--save-dir", tmp_path])
    path, output, folder = tmp_path / "checkpoint_last.pt", tmp_path / "o.pt", tmp_path / "out"
    code, out, err = call(
        "vocab", path, "--data", data, "--output", output, "--output-data", folder
    )
    assert (code, err) == (0, "") and out.splitlines()[2].split()[2:5] == ["16", "16", "0"]
    for name in ("dict.de.txt", "dict.en.txt", "train.de-en.de.bin", "test.de-en.en.idx"):
        assert (folder / name).read_bytes() == (data / name).read_bytes()
    old, new = read(path)["model"], read(output)["model"]
    assert list(old) == list(new) and all(torch.equal(old[n], new[n]) for n in old)


def test_a_pruned_checkpoint_stays_verified(checkpoints, small, tmp_path, call, ask):
    half = tmp_path / "half.pt"
    recipe = ("--prune-scheme", "class-uniform", "--prune-sparsity", "0.5")
    call("apply", checkpoints("transformer-shared"), "--output", half, *recipe)
    output, _ = small(half)
    assert call("verify", output)[0] == 0
    assert call("inspect", output)[0] == 0
    table = "encoder.embed_tokens.weight"
    assert masks_in(output)[table].shape == (12, 16)
    zeros = (read(output)["model"][table] == 0).logical_or_(masks_in(output)[table])
    assert zeros.all()


def test_stock_fairseq_generates_from_what_is_left(checkpoints, small):
    output, folder = small(checkpoints("transformer"))
    out = run("fairseq-generate", folder, "--path", output, "--cpu", "--beam", 2)
    assert len([line for line in out.splitlines() if line.startswith("H-")]) == 20


def test_the_report_names_both_and_the_command_to_try(checkpoints, corpus, tmp_path, domain, call):
    outputs = ("--output", tmp_path / "o.pt", "--output-data", tmp_path / "out")
    flags = ("--data", corpus, *outputs, "--corpus", domain)
    code, out, err = call("vocab", checkpoints("lstm"), *flags)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split() for line in (lines[0], *lines[2:4])] == [
        "side tokens kept removed of the corpus now <unk>".split(),
        ["source", "(de)", "32", "8", "24", "0.00%"],
        ["target", "(en)", "32", "8", "24", "0.00%"],
    ]
    assert lines[-1] == (
        f"{tmp_path}/o.pt, {tmp_path}/out: written; try fairseq-generate {tmp_path}/out -s de "
        f"-t en --path {tmp_path}/o.pt --beam 5"
    )


def test_dictionaries_alone(checkpoints, corpus, tmp_path, call):
    outputs = ("--output", tmp_path / "o.pt", "--output-data", tmp_path / "out")
    code, out, _ = call("vocab", checkpoints("lstm"), "--data", corpus, *outputs, "--dict-only")
    assert code == 0 and sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "dict.de.txt", "dict.en.txt"
    ]  # fmt: skip
    assert "try fairseq-preprocess -s de -t en --srcdict" in out.splitlines()[-1]


def test_force_replaces_both_and_alignments_are_copied(checkpoints, corpus, tmp_path, domain, call):
    data = shutil.copytree(corpus, tmp_path / "bin")
    for ending in ("bin", "idx"):
        (data / f"train.align.de-en.{ending}").write_bytes(b"positions")
    outputs = ("--output", tmp_path / "o.pt", "--output-data", tmp_path / "out")
    flags = ("vocab", checkpoints("lstm"), "--data", data, *outputs)
    assert call(*flags)[0] == 0 and call(*flags, "--corpus", domain)[0] == 2
    assert call(*flags, "--corpus", domain, "--force")[0] == 0
    assert len(read(tmp_path / "o.pt")["model"]["encoder.embed_tokens.weight"]) == 8
    assert len((tmp_path / "out" / "dict.de.txt").read_text().splitlines()) == 4
    assert (tmp_path / "out" / "train.align.de-en.idx").read_bytes() == b"positions"
    left = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("domain"))
    assert left == ["bin", "o.pt", "out"]


@pytest.mark.parametrize("name", ["transformer-shared"])
def test_training_goes_on_from_a_cut_file_and_holds_its_masks(name, checkpoints, small, call):
    half = checkpoints(name).parent / "half.pt"
    recipe = ("--prune-scheme", "class-uniform", "--prune-sparsity", "0.5")
    assert call("apply", checkpoints(name), "--output", half, *recipe, "--force")[0] == 0
    output, folder = small(half)
    arch, flags = MODELS[name]
    common = (folder, *ARCHES[arch], *TRAINING, *flags, "--max-update", 2)
    train_here([*common, "--finetune-from-model", output, "--save-dir", folder / "run"])
    retrained = folder / "run" / "checkpoint_last.pt"
    assert masks_in(retrained).digest() == masks_in(output).digest()
    assert call("verify", retrained)[0] == 0


@pytest.fixture
def refused(checkpoints, corpus, tmp_path, call):
    """Calls vocab with these flags, which has to refuse; gives its sentence."""

    def cut(*flags: Any, data: Path = corpus, outputs: tuple[Any, ...] = ()) -> str:
        outputs = outputs or (tmp_path / "o.pt", tmp_path / "out")
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        code, out, err = call(
            "vocab", checkpoints("lstm"), "--data", data, "--output", outputs[0],
            "--output-data", outputs[1], *flags,
        )  # fmt: skip
        assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return err.removeprefix("fairseq-prune: ").rstrip("\n")

    return cut


def test_a_dictionary_of_another_model(corpus, tmp_path, checkpoints, refused):
    data = shutil.copytree(corpus, tmp_path / "bin")
    with (data / "dict.en.txt").open("a") as file:
        file.write("more 1\n")
    assert refused(data=data) == (
        f"{data}/dict.en.txt has 33 tokens, special ones included, and decoder.embed_tokens.weight "
        f"of {checkpoints('lstm')} has 32 rows: give --data the folder that the model was trained "
        "on."
    )


def test_a_folder_that_is_not_there(tmp_path, refused):
    assert refused(data=tmp_path / "no") == (
        f"--data {tmp_path}/no is not a folder; give the one that fairseq-preprocess wrote."
    )


def test_several_folders(corpus, refused):
    assert refused(data=f"{corpus}:{corpus}") == (
        f"--data {corpus}:{corpus} names 2 folders, and vocab takes one: call it for each with the "
        "same --corpus, so that the same tokens stay."
    )


def test_a_folder_without_dictionaries_or_languages(corpus, tmp_path, checkpoints, refused):
    data = tmp_path / "bin"
    data.mkdir()
    assert refused(data=data) == (
        f"Neither {checkpoints('lstm')} nor the names of the files in --data {data} say what the "
        "languages are: give the folder that fairseq-preprocess wrote."
    )
    shutil.copy(corpus / "test.de-en.de.idx", data)
    assert refused(data=data) == (
        f"--data {data} has no dict.de.txt: give the folder that the model was trained on."
    )


def test_nothing_to_count(corpus, tmp_path, refused):
    data = shutil.copytree(corpus, tmp_path / "bin", ignore=shutil.ignore_patterns("train*"))
    assert refused(data=data) == (
        f"--data {data} has no binarised train split to count tokens in: give --corpus PREFIX, "
        "text that is tokenised as the training data was."
    )


def test_counts_that_remove_nothing_or_everything(corpus, refused):
    assert refused("--min-count", "0") == (
        "--min-count 0 must be 1 or more: 1 removes what never occurs."
    )
    sentence = refused("--min-count", "5000")
    assert sentence.startswith(f"--min-count 5000 leaves no token of {corpus}/dict.de.txt: the ")


def test_an_empty_corpus_and_one_in_another_encoding(tmp_path, domain, refused):
    (tmp_path / "domain.en").write_text("")
    assert refused("--corpus", domain) == (
        f"{domain}.en has no words: give text, tokenised as the training data was."
    )
    (tmp_path / "domain.en").write_bytes("\u00e4".encode("latin-1"))
    assert refused("--corpus", domain) == (
        f"{domain}.en is not UTF-8 (byte 0xe4): convert it, as with iconv -t UTF-8."
    )
    assert refused("--corpus", f"{domain}2") == (
        f"{domain}2.de cannot be read: No such file or directory."
    )


def test_outputs_that_exist_or_are_the_input(corpus, tmp_path, refused):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.de-en.de.idx").write_text("")
    outputs = (tmp_path / "o.pt", tmp_path / "full")
    assert refused(outputs=outputs) == (
        f"--output-data {outputs[1]} has files in it; give --force to replace those of the same "
        "name."
    )
    assert refused("--force", outputs=outputs) == (
        f"--output-data {outputs[1]} has old.de-en.de.idx, which is not among the new files and "
        "would not fit the new dictionary: remove it, or give another folder."
    )
    assert refused("--force", outputs=(outputs[0], f"{corpus}/../{corpus.name}")) == (
        f"--output-data {corpus}/../{corpus.name} is --data itself, whose numbers the old "
        "checkpoint needs: give another folder."
    )
    assert refused(outputs=(tmp_path / "o", f"{tmp_path}/full/../o")) == (
        f"--output and --output-data are both {tmp_path}/o: give a file and a folder."
    )
    assert refused("--force", outputs=(outputs[0], outputs[1] / "old.de-en.de.idx")) == (
        f"--output-data {outputs[1]}/old.de-en.de.idx is a file; give the name of a folder."
    )


def test_damaged_data_leaves_nothing_behind(corpus, tmp_path, refused):
    data = shutil.copytree(corpus, tmp_path / "bin")
    (data / "valid.de-en.de.idx").write_bytes(b"nothing")
    assert refused(data=data).startswith(f"{data}/valid.de-en.de ")
    shutil.copy(corpus / "valid.de-en.de.idx", data)
    (data / "valid.de-en.de.bin").write_bytes(
        b"\xff" * (data / "valid.de-en.de.bin").stat().st_size
    )
    assert refused(data=data) == (
        f"{data}/valid.de-en.de.bin has the token number 65,535, but its dictionary has only 32 "
        "tokens: binarise the data again with that dictionary."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]
