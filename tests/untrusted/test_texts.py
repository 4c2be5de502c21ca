"""Settings, dictionaries and lists that were made by anybody, and the folder of a study.

More of it: tests/study/test_document.py (YAML), tests/scripts/test_corpus.py (declarations).
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_prune.data.dictionary import read_dictionary
from fairseq_prune.files.strict_json import parse
from fairseq_prune.network import patterns
from fairseq_prune.network.classes import classify
from fairseq_prune.pruning.shares import read_shares
from fairseq_prune.study.folder import Folder
from fairseq_prune.study.layout import look
from fairseq_prune.study.model_file import read_flags
from fairseq_prune.study.settings import read_study
from scripts.corpus import declaration
from tests.untrusted.damage import FEW, MANY, damaged, spoilt

ROOT = Path(__file__).resolve().parents[2]
FUZZ: dict[str, Any] = dict(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
COUNTS = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


def corpus(path: Path) -> Any:
    """What scripts/corpus reads of a declaration."""
    folder, declaration.FOLDER = declaration.FOLDER, path.parent
    try:
        return declaration.read(path.stem)
    finally:
        declaration.FOLDER = folder


def rules(path: Path) -> Any:
    return classify({"a.weight": ["a.weight"], "b" * 40: ["b" * 40]}, str(path))


def dictionary(path: Path) -> Any:
    return read_dictionary(path)


# how each file is read, a sound one, and what it is called
READERS: dict[str, tuple[Any, str, str]] = {
    "study": (lambda path: read_study(str(path)), "s.yaml", "configs/study/tiny.yaml"),
    "model": (
        lambda path: read_flags(path, ["model", "dense"]),
        "m.yaml",
        "configs/train/embedded/lstm.yaml",
    ),
    "corpus": (corpus, "c.yaml", "configs/data/multi30k.yaml"),
    "rules": (rules, "r.txt", "attention attn\n# a comment\nffn (fc1|fc2)\\.\n"),
    "shares": (lambda path: read_shares(str(path)), "g.txt", "softmax 0.5\n* 0.9  # rest\n"),
    "dictionary": (dictionary, "dict.x.txt", "haus 30\nund 20 #fairseq:overwrite\nkatze 3\n"),
    "json": (lambda path: parse(path.read_bytes()), "j.json", '{"a": [1, 2.5, "\\u00e4"]}'),
}


def only_refuses(read: Any, path: Path) -> bool:
    """Whether the file is taken; all that may be said of another is one sentence."""
    try:
        read(path)
    except ValueError as error:
        assert "\n" not in str(error), error
        return False
    return True


@COUNTS
@pytest.mark.parametrize("kind", READERS)
def test_bytes_that_were_changed_or_cut(
    kind: str, count: int, tmp_path: Path, watched: list[str], folder: Path
) -> None:
    read, name, sound = READERS[kind]
    data = (ROOT / sound).read_bytes() if sound.startswith("configs/") else sound.encode()
    path = folder / name
    for bad in spoilt(data, count):
        path.write_bytes(bad)
        only_refuses(read, path)


@COUNTS
@pytest.mark.parametrize("kind", ["study", "model", "corpus"])
def test_values_where_others_belong(
    kind: str, count: int, folder: Path, watched: list[str]
) -> None:
    read, name, sound = READERS[kind]
    content = yaml.safe_load((ROOT / sound).read_text())

    @settings(max_examples=count, **FUZZ)
    @given(damaged(content, tensors=False))
    def one(bad: Any) -> None:
        try:
            text = yaml.safe_dump(bad, allow_unicode=True)
        except yaml.YAMLError:
            return
        (folder / name).write_text(text)
        only_refuses(read, folder / name)

    one()


@settings(max_examples=30, **FUZZ)
@given(st.binary(max_size=60))
def test_noise_is_taken_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    for read, name, _ in READERS.values():
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(noise)
        only_refuses(read, path)


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "1e999", '"\\ud800"', "{", "9" * 10_000])
def test_json_that_cannot_be_written_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_a_pattern_that_would_never_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.1)
    path = tmp_path / "rules.txt"
    path.write_text("bad (x|xx)+$\n")
    with pytest.raises(ValueError) as caught:
        classify({"w": ["x" * 60 + "!"]}, str(path))
    assert "regular expression '(x|xx)+$' takes longer than 0.1 s on xxx" in str(caught.value)


@pytest.fixture
def laid(tmp_path: Path) -> Any:
    """The tiny study and where it would lie."""
    return look(read_study(str(ROOT / "configs/study/tiny.yaml")), tmp_path / "study")


@pytest.mark.parametrize("name", ["point", "made", "done", "failed"])
def test_files_of_a_study_that_are_none_are_as_if_not_there(name: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "p")
    folder.path.mkdir()
    for text in ("[" * 100_000, "[]", "{}", '{"seconds": "x"}', '{"result": 3, "evaluate": []}'):
        for other in ("point", "made", "done"):
            (folder.path / f"{other}.json").write_text(text)
        (folder.path / f"{name}.json").write_text(text)
        assert not folder.is_done and isinstance(folder.is_made, bool)
        assert name == "made" or folder.read(name) is None, text


def test_what_runs_is_what_the_study_says_and_not_what_lies_in_its_folder(
    laid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairseq_prune.study import layout

    monkeypatch.setattr(layout.data_sets, "prepare", lambda study, folder, say: study.data)
    monkeypatch.setattr(layout, "_check_data", lambda laid, sets: None)
    for folder in laid.folders.values():
        bad = {"command": ["bash", "-c", "touch ran"], "result": "../x", "evaluate": None}
        folder.write("point", bad)
    layout.lay(laid, print)
    for folder in laid.folders.values():
        point = json.loads((folder.path / "point.json").read_text())
        assert point["command"][0] in ("fairseq-train", "fairseq-prune"), point["command"]
        assert "/" not in point["result"].replace("tickets/round-", "")
