"""Downloads that are cut go on, and never glue two files together."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.corpus.fetch import Missing, fetch
from tests.scripts.server import Site, served

BODY = bytes(range(256)) * 40  # 10,240 bytes
AT_ONCE = (0.0,) * 8


@pytest.fixture()
def site() -> Iterator[Site]:
    with served() as made:
        made.files["a.txt"] = BODY
        yield made


def test_a_line_that_breaks_again_and_again_costs_nothing(site: Site, tmp_path: Path) -> None:
    site.cut = 3000
    said: list[str] = []
    fetch(f"{site.address}/a.txt", tmp_path / "a.part", said.append, AT_ONCE)
    assert (tmp_path / "a.part").read_bytes() == BODY
    assert site.asked == ["/a.txt", *(f"/a.txt bytes={n}-" for n in (3000, 6000, 9000))]
    assert "cut after 3,000 of 10,240 bytes" in said[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.part"]


def test_another_run_goes_on(site: Site, tmp_path: Path) -> None:
    site.cut = 3000
    with pytest.raises(OSError, match="cut after 3,000"):
        fetch(f"{site.address}/a.txt", tmp_path / "a.part", pauses=())
    site.cut = None
    fetch(f"{site.address}/a.txt", tmp_path / "a.part", pauses=())
    assert (tmp_path / "a.part").read_bytes() == BODY
    assert site.asked[-1] == "/a.txt bytes=3000-"


def test_a_whole_part_is_recognised(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    (tmp_path / "a.part.tag").write_text('"one"')
    fetch(f"{site.address}/a.txt", tmp_path / "a.part", pauses=())
    assert site.asked == [f"/a.txt bytes={len(BODY)}-"]
    assert (tmp_path / "a.part").read_bytes() == BODY


@pytest.mark.parametrize("how", ["changed", "no tag", "no ranges"])
def test_what_came_is_dropped_where_the_rest_may_be_of_another_file(
    site: Site, tmp_path: Path, how: str
) -> None:
    site.cut = 3000
    site.tag = None if how == "no tag" else '"one"'
    with pytest.raises(OSError):
        fetch(f"{site.address}/a.txt", tmp_path / "a.part", pauses=())
    site.cut, site.ranges = None, how != "no ranges"
    site.files["a.txt"] = BODY[::-1]
    site.tag = '"two"' if how == "changed" else site.tag
    fetch(f"{site.address}/a.txt", tmp_path / "a.part", pauses=())
    assert (tmp_path / "a.part").read_bytes() == BODY[::-1]


def test_a_file_that_became_shorter_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY + b"more")
    (tmp_path / "a.part.tag").write_text('"one"')
    fetch(f"{site.address}/a.txt", tmp_path / "a.part", pauses=AT_ONCE)
    assert (tmp_path / "a.part").read_bytes() == BODY


def test_what_is_not_there_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Missing, match="404"):
        fetch(f"{site.address}/b.txt", tmp_path / "b.part", pauses=AT_ONCE)
    assert site.asked == ["/b.txt"]
    with pytest.raises(Missing, match="no file"):
        fetch((tmp_path / "b.txt").as_uri(), tmp_path / "b.part")


def test_without_a_network_the_last_try_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(OSError, match="refused"):
        fetch("http://127.0.0.1:9/a.txt", tmp_path / "a.part", said.append, (0.0, 0.0))
    assert len(said) == 2


def test_names_may_have_any_letters(tmp_path: Path) -> None:
    source = tmp_path / "a b%20ü.txt"
    source.write_bytes(BODY)
    fetch(source.as_uri(), tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == BODY
