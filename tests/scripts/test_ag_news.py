"""AG News's files: cleaned, split, refused with file and line, made once."""

import lzma
from pathlib import Path

import pytest

from fairseq_prune.study.model_file import read_flags
from scripts.ag_news import binarise
from tests.conftest import ROOT
from tests.models import news

GOOD = '"3","A title","and a text"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wall St. dwindling\\band", "wall st . dwindling band"),
        ("a record \\$55.8bn, \\\\", "a record $55 . 8bn ,"),
        ("Haiti #39;s  quot;straits quot;", "haiti ' s straits"),
        ('Haiti\'s "straits"', "haiti ' s straits"),
        ("Marsh  amp; Co; past  #36;46", "marsh & co past $46"),
        ("&lt;b&gt;...&lt;/b&gt; new", ". . . new"),
        ("(short-sellers)? Yes!", "( short-sellers ) ? yes !"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(binarise.words(text)) == expected


def test_quotes_are_doubled_and_title_and_description_are_one_text(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.xz"
    with lzma.open(file, "wt") as out:
        out.write('"1","The ""Top""","of, it"\n"4","B","two\nlines"\n')
    assert binarise.examples(file) == [
        ("1", ["the", "top", "of", ",", "it"]), ("4", ["b", "two", "lines"])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b'"3","two"\n', "line 3: 2 columns; a row is CLASS,TITLE,DESCRIPTION."),
        (b'"5","a","b"\n', "line 3: the class is '5'; it must be one of 1, 2, 3, 4."),
        (b'"Class Index","Title","Description"\n', "line 3: the class is 'Class Index'; it must"),
        (b'"1","","\\"\n', "line 3: the text is empty; remove the row."),
        (b'"1","caf\xe9","b"\n', "line 3: 0xe9 is no UTF-8; convert the file"),
        (b'"1","a","b\n' + GOOD.encode(), "line 3: no CSV ("),
        (b"\n", "line 3: 0 columns"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(bad: bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    file.write_bytes(GOOD.encode() * 2 + bad)
    with pytest.raises(ValueError) as refused:
        binarise.examples(file)
    assert str(refused.value).startswith(f"{file} {sentence}")


def test_rows_are_counted_by_the_lines_they_take(tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    file.write_text('"1","a","two\nlines"\n"9","a","b"\n')
    with pytest.raises(ValueError, match="line 3: the class is '9'"):
        binarise.examples(file)


def test_the_split_is_drawn_by_seed_and_loses_no_row() -> None:
    rows = [("1", [str(number)]) for number in range(100)]
    train, valid = binarise.split(rows, 0.05, seed=1)
    assert (len(train), len(valid)) == (95, 5)
    assert sorted(train + valid) == sorted(rows)
    assert binarise.split(rows, 0.05, seed=1)[1] == valid != binarise.split(rows, 0.05, seed=2)[1]
    with pytest.raises(ValueError, match="--valid-share 0.001 of 100 rows is 0"):
        binarise.split(rows, 0.001, seed=1)


def test_data_are_made_once_from_training_words_and_others_are_refused(tmp_path: Path) -> None:
    from fairseq.data import Dictionary, data_utils

    news.write_rows(tmp_path / "train.csv", 40, seed=1)
    (tmp_path / "test.csv").write_text('"4","unheard","of"\n"1","of","the"\n')
    said = news.binarise(tmp_path, "--valid-share", 0.25)
    data = tmp_path / "data"
    assert f"{data}: train 30 rows, valid 10 rows, test 2 rows; " in said
    assert {path.name for path in data.iterdir()} == {"input0", "label", "made.json"}
    words = Dictionary.load(str(data / "input0" / "dict.txt"))
    texts = data_utils.load_indexed_dataset(str(data / "input0" / "test"), words)
    assert words.string(texts[0], unk_string="?", escape_unk=False).split()[1:] == ["of"]
    assert texts[0][0] == words.unk()
    classes = Dictionary.load(str(data / "label" / "dict.txt"))
    labels = data_utils.load_indexed_dataset(str(data / "label" / "test"), classes)
    # what sentence_prediction subtracts leaves the class, from 0
    assert [int(label[0]) - classes.nspecial for label in labels] == [3, 0]

    made = (data / "made.json").stat().st_mtime_ns
    assert news.binarise(tmp_path, "--valid-share", 0.25) == said
    assert (data / "made.json").stat().st_mtime_ns == made
    refused = news.binarise(tmp_path, "--seed", 2, fails=True)
    assert "holds data that differ in valid_share, seed; remove it" in refused
    (data / "made.json").write_text("[3]")
    assert "exists and is not this program's" in news.binarise(tmp_path, fails=True)


def test_the_configuration_has_its_sections() -> None:
    config = ROOT / "configs/train/ag_news/embedding_bag.yaml"
    dense, retrain = (read_flags(config, ["model", part]) for part in ("dense", "retrain"))
    assert (dense.get("lr"), dense.length) == ("5", ("epoch", 10))
    assert (retrain.get("lr"), retrain.length) == ("2.5", ("epoch", 4))
