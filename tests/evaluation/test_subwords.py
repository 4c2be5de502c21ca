"""Subwords that were not joined are said to be, with the flag that joins them."""

from pathlib import Path

import pytest
import torch

from fairseq_prune.cli.main import main
from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.subwords import subwords_in
from fairseq_prune.report.measures import measure
from fairseq_prune.report.points import read_points
from tests.report.rows import add_texts, row, with_texts

PIECES = "▁the 9\ns 5\n▁cat 4\n. 3\n"
PARTS = "the 9\nca@@ 5\nt 4\n. 3\n"
WORDS = "".join(f"word{i} 1\n" for i in range(99)) + "▁ 1\n@@ 1\n"
SENTENCEPIECE = (
    "the target is in subwords (▁), so BLEU and chrF would be of subwords, and compare with no "
    "others; give --remove-bpe sentencepiece (remove-bpe in the evaluate section of a study)."
)
SUBWORD_NMT = SENTENCEPIECE.replace("▁", "@@").replace(" sentencepiece", "")


def data(folder: Path, target: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "dict.en.txt").write_text(target, encoding="utf-8")
    (folder / "dict.de.txt").write_text("▁das 3\n", encoding="utf-8")
    (folder / "test.de-en.en.idx").write_bytes(b"")
    return str(folder)


@pytest.mark.parametrize(
    ("target", "given", "doubts"),
    [
        (PIECES, None, [SENTENCEPIECE]),
        (PIECES, "@@ ", [SENTENCEPIECE]),
        (PIECES, "sentencepiece", []),
        (PARTS, None, [SUBWORD_NMT]),
        (PARTS, "sentencepiece", [SUBWORD_NMT]),
        (PARTS, "@@ ", []),
        (PARTS, "subword_nmt", []),
        (WORDS, None, []),
        ("", None, []),
    ],
)
def test_the_targets_dictionary_tells(
    tmp_path: Path, target: str, given: str | None, doubts: list[str]
) -> None:
    assert Settings(data=data(tmp_path, target), remove_bpe=given).doubts() == doubts


def test_both_kinds_of_marks_are_seen_in_lines() -> None:
    assert subwords_in(["▁a ▁b s", "▁c"], 0.5) == "▁"
    assert subwords_in(["a@@ b", "c@@", "d"], 0.5) == "@@"
    assert subwords_in(["mail to a@@b", "c"], 0.5) is None
    assert subwords_in([], 0.5) is None


def test_evaluate_warns_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data(tmp_path / "bin", PIECES)
    (tmp_path / "valid.de-en.en.idx").write_bytes(b"")
    model = tmp_path / "model.pt"
    content = {"model": {}, "cfg": {"task": {"_name": "translation"}}}
    torch.save(content, model)
    code = main(["evaluate", str(model), "--data", folder, "--valid-subset", ""])
    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert said[0] == f"fairseq-prune: warning: {SENTENCEPIECE}"


def test_a_report_says_it_of_old_results(tmp_path: Path) -> None:
    test = [Sentence("s", "the cats .", 3, 1)]
    for stage, scheme, sparsity in (("dense", None, 0.0), ("pruned", "class-blind", 0.5)):
        one = row(stage, scheme, sparsity, 0.0)
        add_texts(tmp_path / "results.jsonl", one, ["▁the ▁cat s ."], test)
    numbers = measure(read_points([tmp_path / "results.jsonl"]))
    assert [note for note in numbers.notes if "subwords" in note] == [
        "Of 2 models the translations are in subwords (▁), so " + SENTENCEPIECE.split(", so ", 1)[1]
    ]
    assert measure(read_points([with_texts(tmp_path / "words")])).notes == []
