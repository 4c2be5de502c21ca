"""README and docs say what the code does: their tables, links, commands, sentences and snippets."""

import ast
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from fairseq_prune.cli.main import parsed
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES, Probe
from tests.conftest import BIN

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


def lines_of(*programs: str) -> list[tuple[str, str]]:
    """Every command line of these programs in a fence of a page, with the page's name."""
    found = []
    for page in PAGES:
        for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
            lines = body.replace("\\\n", " ").splitlines() if language in ("", "bash") else []
            found += [
                (str(page.relative_to(ROOT)), line.strip())
                for line in lines
                if line.strip().startswith(tuple(f"{program} " for program in programs))
            ]
    return found


def words_of(line: str) -> list[str]:
    """The words after the program's name; ``...`` stands for more of the same."""
    words = [word for word in shlex.split(line, comments=True) if word != "..."][1:]
    ends = [words.index(sign) for sign in "<>" if sign in words]  # the shell's own
    return words[: min(ends)] if ends else words


@pytest.mark.parametrize(("page", "line"), lines_of("fairseq-prune"))
def test_every_command_of_ours_is_taken(page: str, line: str) -> None:
    words = words_of(line)
    if words not in (["--version"], ["-V"]):  # which print and exit
        parsed(words)


FAIRSEQ = ("fairseq-train", "fairseq-generate", "fairseq-preprocess", "fairseq-interactive")


@pytest.mark.parametrize(("page", "line"), lines_of(*FAIRSEQ))
def test_every_command_of_fairseq_is_taken(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By fairseq's own parser, with our flags, architectures and criterions."""
    from fairseq import options

    import fairseq_prune

    fairseq_prune.register()
    program, words = line.split()[0].removeprefix("fairseq-"), words_of(line)
    if "--user-dir" in words:  # which is this package, or a page's own: imported here already
        place = words.index("--user-dir")
        del words[place : place + 2]
    kind = {"train": "training", "generate": "generation", "preprocess": "preprocessing"}
    parser = getattr(options, f"get_{kind.get(program, program)}_parser")()
    try:
        if program == "preprocess":
            parser.parse_args(words)
        else:
            options.parse_args_and_arch(parser, words)
    except SystemExit:
        pytest.fail(f"{line}\n{capsys.readouterr().err[-300:]}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("scripts/SET/", "scripts/multi30k/")
    named = re.findall(r"(?<![\w/.])((?:scripts|configs|tests)/[\w./-]+\.(?:sh|py|yaml))", text)
    gone = {"scripts/methods_table.sh"}  # of the commit that the page names
    assert [name for name in named if name not in gone and not (ROOT / name).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 10_000


def test_the_readme_counts_right() -> None:
    text = README.read_text(encoding="utf-8")
    assert f"**{len(ALLOCATIONS)} schemes**" in text
    assert f"**{len({*SALIENCIES, *UNIT_SALIENCIES})} saliencies**" in text


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    links = re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))
    linked = {(index.parent / link).resolve() for link in links if "://" not in link}
    assert {page for page in PAGES if page not in (README, index)} <= linked


@cache
def sentences() -> list[str]:
    """Patterns of all texts in the package that have a part of thirty fixed characters."""
    found = []
    for file in (ROOT / "fairseq_prune").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            values = node.values if isinstance(node, ast.JoinedStr) else [node]
            fixed = [getattr(value, "value", None) for value in values]
            parts = [part if isinstance(part, str) else "%s" for part in fixed]
            pieces = re.split(r"%[\d.]*[sdfg]", "".join(parts).replace("%%", "%"))
            if max(map(len, pieces)) >= 30:
                found.append(".*".join(map(re.escape, pieces)))
    return found


def quoted() -> Iterator[str]:
    """The sentences of ours that are shown as what goes wrong."""
    for page in ("troubleshooting.md", "checkpoints-and-safety.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for language, body in FENCE.findall(text):
            if language == "text":
                yield from body.splitlines()


@pytest.mark.parametrize("sentence", quoted())
def test_a_sentence_that_is_quoted_is_one_of_ours(sentence: str) -> None:
    assert any(re.search(pattern, sentence) for pattern in sentences())


def parts(page: str) -> dict[str, list[str]]:
    """By heading, the shell commands of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    headed = re.split(r"^## (.+)$", text, flags=re.M)[1:]
    return {
        title: [fence for language, fence in FENCE.findall(body) if language == "bash"]
        for title, body in zip(headed[::2], headed[1::2], strict=True)
    }


@pytest.mark.slow
def test_getting_started_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """On a tenth of the embedded corpus, which is what a reader's own text is afterwards, too."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    titles = parts("getting-started.md")
    del titles["Set up"]
    own = "\n".join(titles.pop("Your own data")).replace("vocab_size=2000", "vocab_size=400")
    lines = ["set -euo pipefail", *(fence for fences in titles.values() for fence in fences)]
    lines += ["mkdir own", "cp corpus/raw/* own", "cd own", own]
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "PAIRS": "2000", "VOCAB": "400"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=tmp_path, env={**os.environ, **env},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "demo" / "report" / "index.html").exists()
    assert (tmp_path / "own" / "data-bin" / "test.de-en.en.idx").exists()
