"""Sentence pairs out of files, and what is said of files that are wrong."""

import gzip
import io
import lzma
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.corpus.packed import sums
from scripts.corpus.pairs import Cleaning, aligned, file_of, lines_of, whole


def files(folder: Path, **contents: bytes) -> dict[str, Path]:
    """Files by name; two underscores in a keyword are a dot."""
    made = {}
    for key, content in contents.items():
        path = folder / key.replace("__", ".")
        path.write_bytes(content)
        made[path.name] = path
    return made


def archive(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            made.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_line_ends_at_a_line_feed_and_nowhere_else(tmp_path: Path) -> None:
    text = "\ufeffeins\u2028zwei\r\n drei \x0b\x85vier\nlast".encode()
    found = list(lines_of(files(tmp_path, a__de=text), "a.de"))
    assert found == ["eins\u2028zwei", "drei \x0b\x85vier", "last"]


def test_packing_makes_no_difference(tmp_path: Path) -> None:
    text = b"one\ntwo\n"
    (tmp_path / "a.en").write_bytes(text)
    (tmp_path / "b.en.gz").write_bytes(gzip.compress(text))
    (tmp_path / "c.en.xz").write_bytes(lzma.compress(text))
    for name in ("a.en", "b.en.gz", "c.en.xz"):
        plain = name.removesuffix(".gz").removesuffix(".xz")
        # the declared name may be packed otherwise than the file
        assert list(lines_of({f"{plain}.gz": tmp_path / name}, plain)) == ["one", "two"]
        assert sums(tmp_path / name, Path(name).suffix)[-1] == sums(tmp_path / "a.en", ".en")[0]


def test_a_byte_that_is_no_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    made = files(tmp_path, a__de=b"eins\nzw\xf6lf\n", a__en=b"one\ntwelve\n")
    with pytest.raises(ValueError, match=r"a\.de, line 2: byte 0xf6 is no UTF-8"):
        list(aligned(made, ["a.*"], ("de", "en")))


@pytest.mark.parametrize("longer", ["de", "en"])
def test_sides_of_different_length_are_refused_with_the_line(tmp_path: Path, longer: str) -> None:
    made = files(tmp_path, a__de=b"1\n2\n", a__en=b"1\n2\n")
    with (tmp_path / f"a.{longer}").open("ab") as file:
        file.write(b"3\n")
    shorter = "en" if longer == "de" else "de"
    with pytest.raises(ValueError, match=rf"a\.{shorter} ends after line 2, but a\.{longer}"):
        list(aligned(made, ["a.*"], ("de", "en")))


def test_several_files_are_one_after_the_other(tmp_path: Path) -> None:
    made = files(tmp_path, a__de=b"1\n2\n", a__en=b"I\nII\n", b__de=b"3", b__en=b"III")
    found = list(aligned(made, ["b.*", "a.*"], ("de", "en")))
    assert found == [("3", "III"), ("1", "I"), ("2", "II")]


def test_talks_and_test_sets_of_ted_and_wmt(tmp_path: Path) -> None:
    talk = "<url>x</url>\n<title>A title</title>\n<keywords>k</keywords>\n Text & more \n"
    test = '<doc>\n<seg id="1"> It\u2019s R&amp;D </seg>\n<seg id="2">two\nlines</seg>\n</doc>'
    path = archive(
        tmp_path / "x.tgz",
        {"./d/train.tags.de-en.en": talk, "d/t.en.xml": test, "d/n-src.en.sgm": test},
    )
    made = {"x.tgz": path}
    assert list(lines_of(made, "x.tgz/d/train.tags.de-en.en")) == ["A title", "Text & more"]
    assert list(lines_of(made, "x.tgz/d/t.en.xml")) == ["It's R&D", "two lines"]
    assert list(lines_of(made, "x.tgz/d/n-src.en.sgm")) == ["It\u2019s R&D", "two lines"]
    with pytest.raises(ValueError, match=r"x\.tgz has no file d/gone\.en"):
        list(lines_of(made, "x.tgz/d/gone.en"))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole_one = archive(tmp_path / "x.tgz", {"a.en": "text\n" * 90000})
    for cut in (10, whole_one.stat().st_size // 2):
        bad = tmp_path / f"{cut}.tgz"
        bad.write_bytes(whole_one.read_bytes()[:cut])
        with pytest.raises(ValueError, match="is damaged|has no file"):
            list(lines_of({"x.tgz": bad}, "x.tgz/a.en"))
    packed = tmp_path / "b.en.gz"
    packed.write_bytes(gzip.compress(b"text\n" * 999)[:-20])
    with pytest.raises(ValueError, match="is damaged"):
        list(lines_of({"b.en": packed}, "b.en"))


def test_names_of_the_two_sides() -> None:
    pattern = "a/news-{src,ref}.*.sgm"
    assert file_of(pattern, 0, "en") == "a/news-src.en.sgm"
    assert file_of(pattern, 1, "de") == "a/news-ref.de.sgm"


def test_a_test_set_must_be_whole() -> None:
    with pytest.raises(ValueError, match="test, line 2: the target is empty"):
        list(whole([("a", "b"), ("c", " ")], "test"))
    with pytest.raises(ValueError, match="valid, line 1: the source is empty"):
        list(whole([("", "b")], "valid"))


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(1, 4),
)
def test_cleaning_keeps_what_the_rules_allow_in_order(
    counts: list[tuple[int, int]], longest: int | None, ratio: float | None
) -> None:
    pairs = [(f"{n} " * a, f"{n} " * b) for n, (a, b) in enumerate(counts)]
    cleaning = Cleaning(longest, ratio)
    kept = list(cleaning.keep(pairs))
    assert kept == [
        pair
        for pair, (a, b) in zip(pairs, counts, strict=True)
        if min(a, b) > 0
        and (longest is None or max(a, b) <= longest)
        and (ratio is None or max(a, b) <= ratio * min(a, b))
    ]
    assert len(kept) + len(cleaning.empty) + cleaning.long + cleaning.uneven == len(pairs)
    assert all(min(counts[line - 1]) == 0 for line in cleaning.empty)
