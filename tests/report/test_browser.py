"""The page in a browser: no complaint, every figure visible, and the animation moves."""

import base64
import json
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


def test_it_starts_with_nothing_removed_and_says_what_is_seen(opened: Any, reported: Path) -> None:
    shown = opened.context.new_page()
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
