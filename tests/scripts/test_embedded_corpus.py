"""The embedded corpus: its six files, and what they promise about their sentences."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "scripts" / "data"
sys.path.insert(0, str(DATA))

import embedded_corpus  # noqa: E402  (found through the line above)

# of what the generator of commit 378e552 wrote: studies of earlier versions have these data
SUMS = {
    "test.de": "4ea59c9faac3189137b0a42385a811f5b5a8fd82a63abfa67fa4ab4fa2a55d16",
    "test.en": "e2e0cbcaa07c0a4c6441a216620eaf61752c5a1a91799a1fa2dd9240ee119110",
    "train.de": "7bfb58f8f363ff1bdd50f34b3ad2521261b24d61a6ef811cfe208da43117523a",
    "train.en": "b928404dda5a77954750e8ef7ac5e1827fc6f4de0197961f3727c27294f363de",
    "valid.de": "106298f81b1247977528e4f5b8172c5685d93fe6c7e4489e9eafdf2a3d7f9035",
    "valid.en": "890fda2d3f7dc6dcc224ff054b3b8152b47b861afd32f16c679b46ae53068223",
}


@pytest.fixture(scope="module")
def splits() -> dict[str, list[tuple[str, str]]]:
    files = embedded_corpus.corpus(embedded_corpus.MOST_PAIRS)
    return {
        split: list(zip(files[f"{split}.de"], files[f"{split}.en"], strict=True))
        for split in ("train", "valid", "test")
    }


def test_the_command_writes_the_six_files_that_earlier_versions_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert embedded_corpus.main(["--output", str(folder)]) == 0
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    assert found == SUMS
    assert f"Wrote {folder}/" in capsys.readouterr().out


def test_fewer_pairs_are_the_first_ones_and_leave_valid_and_test_as_they_are() -> None:
    few, all_of_them = embedded_corpus.corpus(20), embedded_corpus.corpus(20_000)
    for name, lines in all_of_them.items():
        assert few[name] == (lines[:20] if name.startswith("train") else lines)


def test_splits_have_their_sizes(splits: dict[str, list[tuple[str, str]]]) -> None:
    sizes = {name: len(pairs) for name, pairs in splits.items()}
    assert sizes == {"train": 20_000, "valid": 500, "test": 500}


def test_no_source_sentence_occurs_twice(splits: dict[str, list[tuple[str, str]]]) -> None:
    sources = [source for pairs in splits.values() for source, _ in pairs]
    assert len(sources) == len(set(sources))


def test_no_target_of_valid_or_test_is_in_train(splits: dict[str, list[tuple[str, str]]]) -> None:
    train = {target for _, target in splits["train"]}
    assert not train & {target for name in ("valid", "test") for _, target in splits[name]}


def test_sentences_have_4_to_16_words_and_are_tidy(
    splits: dict[str, list[tuple[str, str]]],
) -> None:
    for text in (text for pairs in splits.values() for pair in pairs for text in pair):
        assert 4 <= len(text.split()) <= 16
        assert text[0].isupper() and text[-1] in ".?"
        assert not re.search(r"  | [,.?]|,,|,[^ ]|[,.][.?]", text), text


@pytest.mark.parametrize("pairs", ["0", "-3", "20001"])
def test_a_senseless_number_of_pairs_is_refused_before_anything_is_written(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embedded_corpus.main(["--output", str(tmp_path / "new"), f"--pairs={pairs}"]) == 2
    said = capsys.readouterr().err
    assert f"PAIRS must be between 1 and 20000, but is {pairs}." in said and said.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_packed_file_that_is_damaged_or_missing_is_refused_by_name(tmp_path: Path) -> None:
    packed, whole = tmp_path / "embedded.tar.xz", embedded_corpus.PACKED.read_bytes()
    for content, word in ((None, "missing"), (whole[:-1], "damaged"), (b"", "damaged")):
        if content is not None:
            packed.write_bytes(content)
        with pytest.raises(ValueError, match=f"{packed} is {word}; restore it") as error:
            embedded_corpus.corpus(20, packed)
        assert "\n" not in str(error.value)
