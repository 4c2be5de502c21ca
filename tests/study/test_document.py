"""YAML files: texts with their lines, and nothing that could run or grow."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_prune.study.document import read_yaml


def read(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_scalars_are_texts(tmp_path: Path) -> None:
    tree = read_yaml(read(tmp_path, "a: 2:4\nb: on\nc: [1e-3, '']\n"))
    assert tree.entries["a"].text == "2:4"  # YAML itself says 124
    assert tree.entries["b"].text == "on"  # YAML itself says true
    assert tree.entries["c"].items[0].number == 0.001
    assert (tree.entries["c"].line, tree.entries["c"].path) == (3, "c")


def test_one_value_is_a_list_of_one(tmp_path: Path) -> None:
    assert [n.text for n in read_yaml(read(tmp_path, "a: b\n")).entries["a"].items] == ["b"]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("a: &x 1\nb: *x\n", "line 1: an alias or anchor (& or *) has no place here"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: the tag tag:yaml.org,2002:python"),
        ("a: 1\nb: 2\na: 3\n", "line 3: a stands twice, first in line 1"),
        ("a: [1\nb: 2\n", "it must be YAML"),
        ("? [a, b]\n: 1\n", "line 1: a key must be a single word"),
        ("a:\n  b: 1\n c: 2\n", "line 3: "),
        ("", "is empty"),
        ("- " * 5000, "nested too deeply"),
        ("[" * 190_000, "nested too deeply"),  # YAML alone would take hours
    ],
)
def test_what_is_refused_names_the_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        read_yaml(read(tmp_path, text))
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_key_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    tree = read_yaml(read(tmp_path, "title: x\nschems: y\n"))
    with pytest.raises(ValueError) as error:
        tree.keys(("title", "schemes"))
    assert str(error.value) == (
        f"{tmp_path}/s.yaml, line 2: unknown key 'schems'; known are title, schemes. Is it schemes?"
    )


def test_a_key_without_an_end_is_not_all_repeated(tmp_path: Path) -> None:
    tree = read_yaml(read(tmp_path, f"? {'a' * 100_000}\n: 1\n"))
    with pytest.raises(ValueError) as error:
        tree.keys(("title",))
    assert len(str(error.value)) < 3000


@pytest.mark.parametrize("text", ["a: x", "a: ''", "a: []", "a: {b: 1}", "a: ٣"])
def test_what_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="line 1: a "):
        read_yaml(read(tmp_path, text)).entries["a"].whole  # noqa: B018


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        read_yaml(path)
    except ValueError as error:
        assert str(path) in str(error)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="larger than 200 kB"):
        read_yaml(read(tmp_path, "#" * 200_001))
