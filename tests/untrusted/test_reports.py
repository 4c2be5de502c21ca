"""Results that were made by anybody: what they say is text in the page, and stays in its folder.

More of it: tests/report/test_report.py (names), tests/report/test_browser.py (the real page).
"""

import json
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_prune.evaluation.sentences import Sentence
from fairseq_prune.report import gallery
from fairseq_prune.report.report import write_report
from tests.report import tiny
from tests.report.rows import add_texts, row, with_texts
from tests.untrusted.conftest import Call
from tests.untrusted.damage import FEW, MANY, damaged

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = (
    "<script>alert(1)</script>", "</script><script>alert(2)</script>", "</style><b id=evil>",
    "<img src=x onerror=alert(3)>", "\" onmouseover=\"alert(4)\" x=\"", "' onclick='alert(5)",
    "<a href=javascript:alert(6)>", "<!--", "]]><svg onload=alert(7)>", "&lt;b&gt;<evil>",
    "</title></textarea></svg></math><iframe src=javascript:alert(8)>",
)  # fmt: skip


def evil(number: int) -> str:
    """A name or sentence with all of it, different for each number."""
    return f"{number} " + " ".join(EVIL)


class Tags(HTMLParser):
    """Every element and attribute that a page really has, its scripts and its styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of which every text that can come from data is as bad as above."""
    folder = tmp_path_factory.mktemp("evil")
    path = folder / "points" / "dense" / "results.jsonl"
    tiny.add_dense(folder)
    dense = json.loads(path.read_text())
    path.unlink()
    test = [Sentence(evil(10 + k), evil(20 + k), 9, k) for k in range(6)]
    lines = [one.reference for one in test]
    common: dict[str, Any] = {"command": evil(1), "bleu_signature": evil(2), "bleu_text": evil(3)}
    tags = {"model": evil(4), "data": evil(5)}
    rows = [{**dense, "checkpoint": "d.pt"}, row("pruned", evil(7), 0.5, 1.0, model="p")]
    rows[1]["checkpoint"] = "p.pt"
    for number, one in enumerate(rows):
        one |= {**common, "tags": {**tags, **({} if number else {"stage": "dense"})}}
        add_texts(path, one, lines if not number else [evil(30 + k) for k in range(6)], test)
        one["tags"]["seed"] = evil(6)
    rows[0]["checkpoint"] = dense["checkpoint"]
    rows[1]["classes"] = [{"name": evil(9), "sparsity": 0.5}, {"name": "b", "sparsity": 0.2}]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    measured = tiny.add_sensitivity(folder, "x", tags=tags, scheme=evil(40), command=evil(41))
    content = json.loads(measured.read_text())
    for number, one in enumerate(content["rows"]):
        one["class"] = evil(50 + number)
    measured.write_text(json.dumps(content))
    write_report([str(folder)], str(folder / "report"), evil(60), evil(61))
    return folder / "report" / "index.html"


def test_no_element_and_no_attribute_comes_from_data(page: Path) -> None:
    text = page.read_text()
    found = Tags(text).elements
    known = set(
        "html head meta link title style body main h1 h2 h3 p code aside ul li nav a b div table tr"
        " thead tbody th td br section figure figcaption details summary pre svg g defs path use"
        " rect text clippath script"
        " button label input output span noscript dl dt dd tspan lineargradient stop image".split()
    )
    drawn = ("metadata", "rdf:", "cc:", "dc:")  # what matplotlib says of a drawing
    assert not {tag for tag, _ in found if not tag.startswith(drawn)} - known
    names = {name for _, attributes in found for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "evil" not in {attributes.get("id") for _, attributes in found}
    for _, attributes in found:
        for name in ("href", "src", "xlink:href", "style", "action"):
            assert "javascript:" not in (attributes.get(name) or "")
    assert sum(tag == "script" for tag, _ in found) == 2  # the animation's data, what moves it
    assert sum(tag == "style" and "type" not in a for tag, a in found) == 1
    assert text.count("alert(") > 50


def test_every_file_beside_the_page_is_inside_its_folder(page: Path) -> None:
    above = {path.name for path in page.parents[1].iterdir()}
    assert above == {"points", "report", "sensitivity-x.json"}
    assert all(path.is_file() and len(path.name) < 100 for path in page.parent.iterdir())
    for name in ("table.md", "examples.md"):
        markdown = (page.parent / name).read_text() if (page.parent / name).exists() else ""
        assert "<script" not in markdown and "<img" not in markdown


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_a_browser_nothing_fires(page: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    fired: list[str] = []
    with playwright.sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        shown = browser.new_page(bypass_csp=True)  # what the page forbids must not be there either
        shown.on("dialog", lambda dialog: (fired.append(dialog.message), dialog.dismiss()))
        shown.goto(page.as_uri())
        for summary in shown.locator("summary").all():
            summary.click()
        for target in shown.locator("h1, h3, td, text").all()[:40]:
            target.dispatch_event("mouseover")
            target.dispatch_event("click")
        assert shown.locator("#evil, iframe, img, figure script:not([type])").count() == 0
        assert shown.evaluate("document.scripts.length") == 2
        browser.close()
    assert fired == []


PATHS = (
    "../../secret.txt",
    "/SECRET",
    "hypotheses/../../../secret.txt",
    "link",
    "\x00",
    "x" * 5000,
)


@pytest.mark.parametrize("name", PATHS, ids=range(len(PATHS)))
def test_translations_outside_of_the_folder_are_not_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a" / "b"
    path = with_texts(folder, count=6)
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret\n" * 6)
    (folder / "link").symlink_to(secret)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["hypotheses"] = name.replace("/SECRET", str(secret))
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    said = write_report([str(folder)], str(folder / "report"), "t", "c")
    assert "Rows without translations on disk: " in said
    for file in (folder / "report").iterdir():
        assert b"the secret" not in file.read_bytes(), file


@pytest.mark.parametrize("field", ["checkpoint", "hypotheses", "sentences_file", "command"])
def test_a_row_that_names_a_file_of_the_system_shows_nothing_of_it(
    field: str, tmp_path: Path
) -> None:
    path = with_texts(tmp_path, count=4)
    rows = [json.loads(line) | {field: "/etc/passwd"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    said = write_report([str(tmp_path)], str(tmp_path / "report"), "t", "c")
    for text in (said, (tmp_path / "report" / "index.html").read_text()):
        assert "root:" not in text and "/bin/" not in text


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY // 5, marks=pytest.mark.slow)])
def test_rows_measurements_and_sentences_of_any_kind(
    count: int, call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "save_chart", lambda chart, to, stem: "<svg></svg>")
    place = folder / "results"
    path, measured = with_texts(place, count=4), tiny.add_sensitivity(place, "class-blind")
    (sentences,) = (place / "sentences").iterdir()
    files = {"rows": path, "sentences": sentences}
    content: dict[str, Any] = {name: list(_lines(file)) for name, file in files.items()}
    content["rows"] = content["rows"][:3]
    content["measured"] = json.loads(measured.read_text())

    @settings(max_examples=count, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def one(data: Any) -> None:
        bad = data.draw(damaged(content, tensors=False))
        try:
            texts = {n: "".join(json.dumps(r) + "\n" for r in bad[n]) for n in files if n in bad}
            whole = json.dumps(bad.get("measured"))
        except (TypeError, ValueError):  # no JSON, or not three files
            return
        for name, text in texts.items():
            files[name].write_text(text)
        measured.write_text(whole)
        call("report", place, "--output", folder / "report")

    one()


def _lines(file: Path) -> Iterator[Any]:
    return map(json.loads, file.read_text().splitlines())
