"""The page in a browser: no complaint, every figure visible, and the animation moves."""

import base64
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.report.animation import SCHEMES, Animation, animate
from fairseq_prune.tasks.opening import open_checkpoint
from tests.report.tiny import FIGURES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def made(reported: Path) -> Animation:
    """What the page has to show, as Python has it."""
    return animate(open_checkpoint(str(reported / "points" / "dense" / "checkpoint_best.pt")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # as root, and in containers without shared memory
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def opened(browser: Any, reported: Path, complaints: list[str]) -> Any:
    """The page, opened from disk, and what it complains of."""
    shown = browser.new_page()
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("requestfailed", lambda asked: complaints.append(asked.url))
    # what is asked for beside the page itself, even if it came
    shown.on("request", lambda asked: complaints.extend(_beside(asked.url)))
    shown.goto((reported / "report" / "index.html").as_uri())
    return shown


@pytest.fixture
def page(opened: Any, complaints: list[str]) -> Iterator[Any]:
    """The page, which a test may not make complain."""
    opened.set_viewport_size({"width": 1200, "height": 800})
    yield opened
    assert complaints == []


def _beside(url: str) -> list[str]:
    return [] if url.startswith("data:") or url.endswith("/index.html") else [url]


def test_the_page_opens_without_a_complaint(page: Any, complaints: list[str]) -> None:
    assert page.title() == "A study"
    page.locator("summary").first.click()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 500, 390])
def test_nothing_leaves_the_page_and_no_word_of_a_figure_its_figure(
    page: Any, width: int, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT_WORDS) == []
    assert page.evaluate(WORDS_IN_EACH_OTHER) == []
    assert page.evaluate(OUTSIDE) == []  # all else is on the page, or scrolls by itself
    if width == 1280:
        assert page.evaluate(SCROLLING) == []
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    page.emulate_media(color_scheme="light")


def test_the_page_begins_with_an_answer_and_how_it_was_made(page: Any) -> None:
    headings = page.locator("h1, h2").all_inner_texts()
    assert headings[:3] == ["A study", "Answer", "m"]
    facts = page.locator(".facts").inner_text()
    assert re.search(r"made on \d{4}-\d\d-\d\d by fairseq_prune \d", facts)
    assert "measured on AMD EPYC" in facts


def test_headers_stand_where_their_columns_do(page: Any) -> None:
    kinds = page.evaluate(
        "[...document.querySelectorAll('th, td')].map(e => "
        "[e.classList.contains('text'), getComputedStyle(e).textAlign])"
    )
    assert {tuple(kind) for kind in kinds} >= {(True, "left"), (False, "right")}
    assert (True, "right") not in {tuple(kind) for kind in kinds}


@pytest.mark.parametrize("width", [1200, 390])
def test_every_figure_is_there_and_fits_the_screen(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in FIGURES:
        figure = page.locator(f"figure#m-{name}")
        box = figure.bounding_box()
        assert box["width"] > 300 and box["height"] > 150, name
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, name
        assert figure.locator("h3").is_visible() and figure.locator("figcaption").is_visible()
    for drawing in page.locator("figure > svg, .picture > svg").all():
        box = drawing.bounding_box()
        assert box["width"] > 250 and box["height"] > 100
        assert drawing.evaluate("e => e.getBBox().width") > 0


def move(page: Any, step: int) -> None:
    page.locator(".slider").evaluate(
        "(e, step) => { e.value = step; e.dispatchEvent(new Event('input')); }", step
    )


def test_the_slider_moves_thresholds_and_counts_as_the_schemes_have_them(
    page: Any, made: Animation
) -> None:
    widths = []
    for step in (0, 30, 60, 95):
        move(page, step)
        assert page.locator(".now").inner_text() == f"{made.sparsities[step]:g}%"
        cells = page.locator(".histogram").evaluate_all("all => all.map(e => ({...e.dataset}))")
        assert len(cells) == 3 * len(made.classes)
        for place, cell in enumerate(cells):
            k, scheme = place // 3, SCHEMES[place % 3]
            assert (cell["scheme"], cell["class"]) == (scheme, list(made.classes)[k])
            threshold = made.thresholds[scheme][step][k]
            assert float(cell["threshold"]) == pytest.approx(threshold, rel=1e-4)
            assert int(cell["removed"]) == made.removed[scheme][step][k]
        rect = page.locator(".histogram .gone").first
        widths.append(float(rect.get_attribute("width")))
        threshold = made.thresholds[SCHEMES[0]][step][0]
        assert widths[-1] == pytest.approx(200 * min(1, threshold / made.limit), rel=1e-3)
    assert widths == sorted(set(widths))


def test_the_bitmap_shows_who_is_left(page: Any, made: Animation) -> None:
    move(page, 50)
    for place, cell in enumerate(page.locator(".bitmap").all()):
        bitmap, scheme = made.bitmaps[place // 3], SCHEMES[place % 3]
        share = (bitmap.dies[scheme] > 50).mean()
        assert cell.locator("p").inner_text() == f"{100 * share:.1f}% left"
        size = cell.locator("canvas").evaluate("e => [e.height, e.width]")
        assert tuple(size) == bitmap.shape


def test_play_runs_and_pause_holds(page: Any) -> None:
    button, slider = page.locator(".play"), page.locator(".slider")
    move(page, 3)
    button.focus()
    page.keyboard.press("Enter")
    assert button.inner_text() == "Pause"
    for _ in range(200):  # a page that forbids eval cannot be polled from inside
        page.wait_for_timeout(50)
        if int(slider.input_value()) >= 5:
            break
    page.keyboard.press("Enter")
    assert button.inner_text() == "Play"
    held = slider.input_value()
    assert int(held) >= 5
    page.wait_for_timeout(300)
    assert slider.input_value() == held
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert int(slider.input_value()) == int(held) + 1


def test_it_plays_to_the_end_and_from_there_from_the_start(page: Any, made: Animation) -> None:
    last = len(made.sparsities) - 1
    move(page, last - 1)
    page.locator(".play").click()
    playwright.expect(page.locator(".play")).to_have_text("Play")
    assert page.locator(".slider").input_value() == str(last)
    page.locator(".play").click()
    assert int(page.locator(".slider").input_value()) < 5


def test_it_starts_with_nothing_removed_and_says_what_is_seen(browser: Any, reported: Path) -> None:
    shown = browser.new_page()
    shown.goto((reported / "report" / "index.html").as_uri())
    slider, seen = shown.locator(".slider"), shown.locator(".seen")
    assert slider.input_value() == "0" and shown.locator(".now").inner_text() == "0%"
    assert "lines move outwards" in shown.locator(".what").inner_text()
    assert seen.inner_text() == "Nothing is removed yet: every weight is there."
    move(shown, 60)
    said = seen.inner_text()
    assert said.startswith("At 60% of all weights, these are gone: class-blind from ")
    shares = shown.locator(".histogram.class-blind b").all_inner_texts()
    low, high = (pick(shares, key=lambda text: float(text[:-1])) for pick in (min, max))
    assert f"from {low} of " in said and f"to {high} of " in said
    shown.close()


def test_it_runs_from_nothing_to_the_end_in_a_few_seconds(page: Any, made: Animation) -> None:
    move(page, 0)
    begun = time.monotonic()
    page.locator(".play").click()
    frames = set()
    while page.locator(".play").inner_text() == "Pause":
        frames.add(int(page.locator(".slider").input_value()))
        assert time.monotonic() - begun < 20
    assert page.locator(".slider").input_value() == str(len(made.sparsities) - 1)
    assert time.monotonic() - begun > 4 and len(frames) > 10


def test_less_motion_means_fewer_and_slower_steps(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    move(page, 0)
    page.locator(".play").click()
    page.wait_for_timeout(400)
    assert page.locator(".slider").input_value() == "0"
    page.wait_for_timeout(1000)
    assert int(page.locator(".slider").input_value()) >= 5
    page.locator(".play").click()
    page.emulate_media(reduced_motion="no-preference")


def test_paper_has_the_figures_and_no_controls(page: Any) -> None:
    move(page, 3)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".now").inner_text() == "80%"
    assert not page.locator(".play").is_visible() and not page.locator("nav").is_visible()
    assert all(page.locator(f"figure#m-{name}").is_visible() for name in FIGURES)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator(".now").inner_text() == "3%"


def test_a_screenshot_has_the_figure_drawn(page: Any) -> None:
    for name in ("figure1", "figure10"):
        figure = page.locator(f"figure#m-{name}")
        colours = page.evaluate(COUNT_COLOURS, base64.b64encode(figure.screenshot()).decode())
        assert colours > 20, json.dumps({name: colours})


# the words of drawings that are not wholly in them
CUT_WORDS = """[...document.querySelectorAll("figure svg")].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.width > 0 && (box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
  }).map((text) => `${svg.closest("figure").id}: ${text.textContent}`);
})"""
# words of a drawing that lie on each other; what turns has a box that is too large
WORDS_IN_EACH_OTHER = """[...document.querySelectorAll("figure svg")].flatMap((svg) => {
  const words = [...svg.querySelectorAll("text")].map((e) => [e, e.getBoundingClientRect()])
    .filter(([e, box]) => box.width > 0 && !/rotate\\(-?[1-9]/.test(e.getAttribute("transform")));
  return words.flatMap(([a, one], i) => words.slice(i + 1).filter(([, other]) =>
    one.left + 1 < other.right && other.left + 1 < one.right
    && one.top + 1 < other.bottom && other.top + 1 < one.bottom
  ).map(([b]) => `${svg.closest("figure").id}: ${a.textContent} | ${b.textContent}`));
})"""
# what is beyond the edges of the page and in nothing that scrolls
OUTSIDE = """[...document.querySelectorAll("main *")].filter((e) => {
  const box = e.getBoundingClientRect();
  const beyond = box.left < -1 || box.right > document.documentElement.clientWidth + 1;
  return beyond && box.width > 0 && !e.closest(".scroll, .picture, pre, svg");
}).map((e) => e.outerHTML.slice(0, 80))"""
SCROLLING = """[...document.querySelectorAll(".scroll")].filter(
  (e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.innerText.slice(0, 80))"""
# how many colours a PNG has: a blank figure has next to none; decoded where fetching is allowed
COUNT_COLOURS = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  return new Set(data).size;
}"""
