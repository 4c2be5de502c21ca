"""fairseq-prune translate: as many lines out as in, by any kind of model, and bad input."""

import io
import os
import pty
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fairseq_prune
from fairseq_prune.cli.main import main
from fairseq_prune.exports.ctranslate import convert
from tests.cli.conftest import Call
from tests.conftest import ARCHES, TRAINING, train_here

LEARN = (
    *("--max-update", 150, "--lr", 0.005, "--weight-decay", 0, "--dropout", 0),
    *("--disable-validation", "--save-interval", 1000),
)
TEXT = ["ab ba ca", "", "la", "  ka  ja\tia ", "", "unknown ab", "ha ga fa ea da ca", "ab"]


@pytest.fixture(scope="module")
def models(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Transformer, dense.pt, as a compact file and as a folder."""
    folder = tmp_path_factory.mktemp("models")
    train_here([corpus, *ARCHES["transformer"], *TRAINING, "--save-dir", folder, *LEARN])
    (folder / "checkpoint_last.pt").rename(folder / "dense.pt")
    words = ("export", folder / "dense.pt", "--format", "compact", "--output", folder / "small.fsz")
    assert main([str(word) for word in words]) == 0
    convert(str(folder / "dense.pt"), str(corpus), str(folder / "exported"))
    return folder


@pytest.mark.parametrize("with_data", [True, False])
def test_an_lstm_in_8_bits_needs_no_data(
    with_data: bool, corpus: Path, tmp_path: Path, translated: Callable[..., list[str]]
) -> None:
    train_here([corpus, *ARCHES["lstm"], *TRAINING, "--save-dir", tmp_path, *LEARN, "--lr", 0.03])
    words = ("export", tmp_path / "checkpoint_last.pt", "--format", "torch-int8", "--data", corpus,
             "--output", tmp_path / "int8")  # fmt: skip
    assert main([str(word) for word in words]) == 0
    given = ["--data", corpus] if with_data else []
    found = translated(TEXT, tmp_path / "int8", *given, "--max-len-b", 30)
    assert [line == "" for line in found] == [line.strip() == "" for line in TEXT]
    assert len(set(found)) > 3
    assert found[:1] == translated(TEXT[:1], tmp_path / "int8", *given, "--max-len-b", 30)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts these bytes into stdin."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))


@pytest.fixture
def translated(call: Call, typed: Callable[[bytes], None]) -> Callable[..., list[str]]:
    """Calls translate with lines on stdin, which has to succeed; gives the lines of stdout."""

    def run(lines: list[str], *words: Any) -> list[str]:
        typed("".join(line + "\n" for line in lines).encode())
        code, out, err = call("translate", *words)
        assert (code, err) == (0, ""), err
        assert out == "" or out.endswith("\n")
        return out.split("\n")[:-1]

    return run


@pytest.mark.parametrize("name", ["dense.pt", "small.fsz", "exported", "exported without data"])
def test_lines_are_those_of_the_python_interface_whatever_the_model(
    name: str, models: Path, corpus: Path, translated: Callable[..., list[str]]
) -> None:
    model, data = models / name.split()[0], corpus
    given = [] if "without" in name else ["--data", data]
    found = translated(TEXT, model, *given, "--beam", 3, "--max-len-b", 30, "--cpu")
    how: dict[str, Any] = {"beam": 3, "max_len_b": 30, "cpu": True}
    checkpoint = fairseq_prune.open_checkpoint(models / "dense.pt")
    assert found == checkpoint.translate(TEXT, data, **how)
    with fairseq_prune.open_translator(model, data if given else None, **how) as translator:
        assert translator.translate(TEXT) == found
    assert [line == "" for line in found] == [line.strip() == "" for line in TEXT]
    assert len(set(found)) > 4


@pytest.mark.parametrize("size", [1, 3, 7])
def test_every_line_has_its_own_in_order_whatever_the_batch(
    size: int, models: Path, translated: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("fairseq_prune.cli.translate._BATCHES", 2)
    lines = [*TEXT, "", "\u2028ab\x0bba", "ca", "ab ba \x1c"] * 3
    found = translated(lines, models / "exported", "--batch-size", size, "--max-len-b", 30)
    one = {line: translated([line], models / "exported", "--max-len-b", 30) for line in {*lines}}
    assert found == [one[line][0] for line in lines]


def test_a_file_is_written_when_all_is_translated(
    models: Path, call: Call, tmp_path: Path, translated: Callable[..., list[str]]
) -> None:
    text, output = tmp_path / "text", tmp_path / "out"
    text.write_bytes("\n".join(TEXT).encode())  # the last line has no end
    words = ("translate", models / "exported", "--input", text, "--output", output)
    assert call(*words) == (0, "", "")
    assert output.read_text().split("\n")[:-1] == translated(TEXT, models / "exported")
    code, out, err = call(*words)
    assert (code, out) == (2, "") and "exists; give --force to replace it" in err
    text.write_bytes(b"ab\n\xff\n")
    before = output.read_bytes()
    code, out, err = call(*words, "--force")
    assert (code, out) == (2, "") and output.read_bytes() == before
    assert err == (
        f"fairseq-prune: line 2 of {text} is not UTF-8: convert the text, for example with iconv.\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text"]


def test_nothing_gives_nothing(models: Path, translated: Callable[..., list[str]]) -> None:
    assert translated([], models / "exported") == []
    assert translated([""], models / "exported") == [""]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("dense.pt",), "dense.pt holds no dictionaries: give --data DATA, the folder that it was"),
        (("none.pt", "--data", "CORPUS"), "none.pt"),
        (("exported", "--beam", 0), "--beam 0 must be 1 or more."),
        (("exported", "--batch-size", 0), "--batch-size 0 must be 1 or more."),
        (("exported", "--input", "no"), "--input no is not a file; give one of lines of text."),
        (("exported", "-s", "fr"), "exported translates de to en, not fr to en."),
        (("exported", "--data", "no"), "--data no holds no dict.*.txt"),
        (("exported", "--tokens", "--tokenizer", "moses"), "leave out one of them"),
        (("exported", "--bpe-codes", "no"), "bpe_codes no is not a file"),
        (("exported", "--model-overrides", "{}"), "--model-overrides replaces settings of a chec"),
        (("exported:dense.pt",), "is an ensemble"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[Any, ...], why: str, models: Path, corpus: Path, call: Call, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(models)
    given = [corpus if word == "CORPUS" else word for word in words]
    code, out, err = call("translate", *given, "--output", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1) and why in err, err
    assert not (tmp_path / "out").exists()


def test_a_line_that_is_too_long_is_named(
    models: Path, call: Call, typed: Callable[[bytes], None]
) -> None:
    typed(b"ab\n" + b"ab " * 2000)
    code, _, err = call("translate", models / "exported")
    assert code == 2 and err == (
        "fairseq-prune: the line that begins with 'ab ab ab ab ab ab ab ab ab ab ab ab ab a' has "
        f"2,001 tokens, its end included, and {models}/exported takes 1,024: cut it in two.\n"
    )


def test_subwords_that_nothing_makes_are_asked_for(
    models: Path, call: Call, corpus: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(models / "exported", other)
    for path in other.glob("*_vocabulary.json"):
        path.write_text(path.read_text().replace('"ab"', '"\\u2581ab"').replace('"l', '"\\u2581l'))
    code, _, err = call("translate", other)
    assert code == 2 and f"The words of {other} are subwords" in err
    assert "--sentencepiece MODEL, or --tokens" in err


@pytest.mark.slow
def test_a_terminal_is_answered_line_by_line(models: Path) -> None:
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    words = [sys.executable, "-m", "fairseq_prune", "translate", str(models / "exported")]
    process = subprocess.Popen(words, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    answers = []
    for line in (b"ab ba\n", b"\n", b"ca\n"):  # each waits for the answer to the one before
        os.write(ours, line)
        answers.append(process.stdout.readline().decode())
    os.write(ours, b"\x04")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"", b"")
    with fairseq_prune.open_translator(models / "exported") as translator:
        assert [line.rstrip("\n") for line in answers] == translator.translate(["ab ba", "", "ca"])


@pytest.mark.slow
def test_ctrl_c_ends_it_with_a_word(models: Path) -> None:
    words = [sys.executable, "-m", "fairseq_prune", "translate", str(models / "exported")]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    time.sleep(8)
    os.killpg(process.pid, 2)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"fairseq-prune: interrupted.\n")
