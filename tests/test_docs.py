"""README and docs say what the code does: their tables, links, commands and snippets."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from fairseq_prune.cli.main import build_parser
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES, Probe

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.S | re.M)


def section(page: str, title: str) -> str:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {title}.*?(?=^#+ |\Z)", text, flags=re.S | re.M)
    assert found is not None, title
    return found.group()


@pytest.mark.parametrize(
    ("page", "title", "known"),
    [
        ("methods.md", "Schemes:", ALLOCATIONS),
        ("methods.md", "Saliencies:", SALIENCIES),
        ("methods.md", "Saliencies of units", UNIT_SALIENCIES),
        ("schedules-and-structures.md", "Schedules:", SCHEDULES),
        ("schedules-and-structures.md", "Penalties:", PENALTIES),
    ],
)
def test_a_table_has_every_method_and_its_file(
    page: str, title: str, known: dict[str, object]
) -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| `([\w/.]+)` \|$", section(page, title), flags=re.M)
    assert {name for name, _ in rows} == set(known)
    assert all((ROOT / "fairseq_prune" / file).is_file() for _, file in rows)


def test_the_saliency_of_the_docs_works(monkeypatch: pytest.MonkeyPatch) -> None:
    page = section("adding-a-method.md", "A method of your own")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    monkeypatch.setattr(SALIENCIES, "_entries", dict(SALIENCIES))
    exec(compile(code, "adding-a-method.md", "exec"), {})
    weights = {"w": Weight("w", torch.tensor([[0.1, -3.0], [2.0, 0.5]]), "c")}
    recipe = checked(Recipe(scheme="class-blind", saliency="worth", sparsity=0.5))
    masks = Pruner(recipe).update(0.5, Probe(weights)).masks
    assert masks["w"].tolist() == [[False, True], [True, False]]


def anchors(page: Path) -> set[str]:
    """The names that a page's headings have in links, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def commands() -> list[tuple[str, str]]:
    """Every line of ``fairseq-prune`` in a fence of a page, with the page's name."""
    found = []
    for page in PAGES:
        for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
            lines = body.replace("\\\n", " ").splitlines() if language in ("", "bash") else []
            found += [
                (str(page.relative_to(ROOT)), line.strip())
                for line in lines
                if line.strip().startswith("fairseq-prune ")
            ]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_of_ours_is_taken(page: str, line: str) -> None:
    """What a page shows is parsed; ``...`` stands for more of the same."""
    words = [word for word in shlex.split(line, comments=True) if word != "..."]
    words = words[: words.index(">")] if ">" in words else words  # the shell's own
    build_parser().parse_args(words[1:])
