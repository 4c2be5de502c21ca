"""The README says what the code does."""

import re
from pathlib import Path

import pytest
import torch

from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.network.weights import Weight
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.penalty_flags import PENALTIES
from fairseq_prune.pruning.pruner import Pruner
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES, Probe

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^#+ {title}.*?(?=^#+ |\Z)", README, flags=re.S | re.M)
    assert found is not None, title
    return found.group()


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("Schemes", ALLOCATIONS),
        ("Saliencies", SALIENCIES),
        ("Saliencies of units", UNIT_SALIENCIES),
        ("Schedules", SCHEDULES),
        ("Penalties", PENALTIES),
    ],
)
def test_a_table_has_every_method_and_its_file(title: str, known: dict[str, object]) -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| `([\w/.]+)` \|$", section(title), flags=re.M)
    assert {name for name, _ in rows} == set(known)
    package = Path(__file__).resolve().parents[1] / "fairseq_prune"
    assert all((package / file).is_file() for _, file in rows)


def test_the_saliency_of_the_readme_works(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", section("A method of your own"), flags=re.S)
    monkeypatch.setattr(SALIENCIES, "_entries", dict(SALIENCIES))
    exec(compile(code, "README.md", "exec"), {})
    weights = {"w": Weight("w", torch.tensor([[0.1, -3.0], [2.0, 0.5]]), "c")}
    recipe = checked(Recipe(scheme="class-blind", saliency="worth", sparsity=0.5))
    masks = Pruner(recipe).update(0.5, Probe(weights)).masks
    assert masks["w"].tolist() == [[False, True], [True, False]]
