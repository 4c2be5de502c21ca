"""The Python interface, used as a notebook would use it: the page about it is run."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fairseq_prune
from fairseq_prune.files.registry import Registry
from fairseq_prune.maths.schedule import SCHEDULES
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.saliency import SALIENCIES, UNIT_SALIENCIES
from tests.cli.models import checkpoint, write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python" / "README.md"


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As they were, after each test."""
    for registry in (SALIENCIES, UNIT_SALIENCIES, ALLOCATIONS, SCHEDULES):
        monkeypatch.setattr(registry, "_entries", dict(registry))
    yield


@pytest.fixture
def dense(tmp_path: Path) -> str:
    return write(tmp_path / "dense.pt", checkpoint())


def test_the_page_runs_from_top_to_bottom(
    dense: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    assert len(blocks) == 4
    space: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{PAGE}:{number}", "exec"), space)
    assert "all classes" in capsys.readouterr().out
    # what it has registered prunes, counts and schedules
    found = fairseq_prune.prune(
        space["model"], batches=space["batches"], loss=space["loss"], scheme="first-pays",
        saliency="steep", sparsity=0.3,
    )  # fmt: skip
    assert found.rows[-1].removed == 0 and found.sparsity == pytest.approx(0.3, abs=1e-3)
    assert SCHEDULES["twice"].build(0.5, 2, 8).sparsity(4) == 0.25


def test_what_is_saved_is_what_apply_writes(dense: str, tmp_path: Path) -> None:
    from fairseq_prune.cli.main import main

    flags = ["--prune-scheme", "class-uniform", "--prune-sparsity", "0.4"]
    assert main(["apply", dense, "--output", str(tmp_path / "a.pt"), *flags]) == 0
    made = fairseq_prune.open_checkpoint(dense).prune(scheme="class-uniform", sparsity=0.4)
    made.save(tmp_path / "b.pt")
    a, b = (fairseq_prune.open_checkpoint(tmp_path / name) for name in ("a.pt", "b.pt"))
    assert a.masks is not None and b.masks is not None
    assert a.masks.digest() == b.masks.digest() == made.masks.digest()  # type: ignore[union-attr]
    assert str(a) == str(b) and a.recipe == b.recipe == made.recipe and a.sparsity == made.sparsity
    assert set(a.classes) == set(a.weights)


@pytest.mark.parametrize(
    ("do", "why"),
    [
        (lambda c: c.prune(sparsity=0.5), "has no effect without --prune-scheme"),
        (lambda c: c.prune(scheme="class-blind", sparse=0.5), "sparse is no prune flag"),
        (lambda c: c.prune(scheme="class-blind", saliency="snip"), "give --data DATA"),
        (lambda c: c.save("x.pt"), "there is nothing to save"),
        (lambda c: c.prune(scheme="class-blind").prune(scheme="class-blind"), "save it, and open"),
        (lambda c: c.prune(scheme="class-blind").save(c.path), "say overwrite=True"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    do: Callable[[Any], Any], why: str, dense: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(why)):
        do(fairseq_prune.open_checkpoint(dense))


def module() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 6), nn.Linear(6, 3))


def test_a_module_is_pruned_exactly_and_held_through_momentum_and_decay() -> None:
    model = module()
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=0.1, lr=0.1)
    for _ in range(2):
        _step(model, optimizer)
    done = fairseq_prune.prune(model, scheme="class-blind", sparsity=0.5)
    held = fairseq_prune.hold(model, done.masks, optimizer)
    assert sum(row.removed for row in done.rows) == 39  # half of 36 + 24 + 18
    for _ in range(3):
        _step(model, optimizer)
        for name, mask in done.masks.items():
            parameter = model.get_parameter(name)
            assert bool((parameter[~mask] == 0).all())
            assert bool((optimizer.state[parameter]["exp_avg"][~mask] == 0).all())
    held.remove()
    for _ in range(2):
        _step(model, optimizer)
    assert any(bool((model.get_parameter(n)[~m] != 0).any()) for n, m in done.masks.items())


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.arange(9)).square().sum().backward()
    optimizer.step()


def test_adams_moments_are_the_curvature() -> None:
    model = module()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match="moments"):
        fairseq_prune.prune(model, scheme="class-blind", saliency="obd-adam", optimizer=optimizer)
    _step(model, optimizer)
    weight = model.get_parameter("1.weight")
    scores = optimizer.state[weight]["exp_avg_sq"].double() * weight.detach().double() ** 2
    done = fairseq_prune.prune(
        model, scheme="class-uniform", saliency="obd-adam", sparsity=0.5, optimizer=optimizer
    )
    mask = done.masks["1.weight"]
    assert scores[mask].min() >= scores[~mask].max() and int(mask.sum()) == 12


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"schedule": "gradual", "end": 3}, "at once"),
        ({"saliency": "synflow"}, "copy of the network"),
        ({"saliency": "taylor"}, "give batches"),
        ({"mask_from": "x.pt"}, "hold takes masks"),
        ({"saliency": "grasp", "batches": [0], "loss": lambda _: torch.ones(())}, "logits"),
    ],
)
def test_a_module_takes_what_it_can(flags: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fairseq_prune.prune(module(), scheme="class-blind", **flags)


def test_masks_of_another_module_are_refused() -> None:
    masks = fairseq_prune.Masks({"9.weight": torch.ones(2, 2, dtype=torch.bool)})
    model = module()
    with pytest.raises(ValueError, match=r"no weight 9\.weight"):
        fairseq_prune.hold(model, masks, torch.optim.SGD(model.parameters(), lr=1.0))


def test_what_is_public_is_there_and_torch_is_not_asked_for_its_list() -> None:
    for name in fairseq_prune.__all__:
        assert getattr(fairseq_prune, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fairseq_prune.nothing


BAD: dict[str, Callable[[Any], Any]] = {
    "scores of other shapes": lambda p: {n: w.tensor[0] for n, w in p.weights.items()},
    "no score of one": lambda p: {},
    "no numbers": lambda p: {n: w.tensor * float("nan") for n, w in p.weights.items()},
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_a_saliency_that_scores_wrongly_is_named(kind: str) -> None:
    fairseq_prune.register_saliency("bad", summary="wrong")(BAD[kind])
    with pytest.raises(ValueError, match="saliency bad must score|not all finite"):
        fairseq_prune.prune(module(), scheme="class-blind", saliency="bad")


@pytest.mark.parametrize("keep", [lambda n: n, lambda n: -1, lambda n: 0])
def test_a_scheme_that_counts_wrongly_is_named(keep: Callable[[int], int]) -> None:
    def wrong(scores: Any, sparsity: float, classes: Any) -> dict[str, int]:
        return {name: keep(score.numel_alive) for name, score in scores.items()}

    fairseq_prune.register_scheme("wrong", summary="wrong")(wrong)
    with pytest.raises(ValueError, match="scheme wrong must say"):
        fairseq_prune.prune(module(), scheme="wrong", sparsity=0.5)


def test_a_registry_keeps_its_names() -> None:
    registry = Registry[int]("thing", {"one": 1})
    registry.register("two", 2)
    registry.register("two", 2)
    assert list(registry) == ["one", "two"] and "three" not in registry and len(registry) == 2
    with pytest.raises(ValueError, match="there is a thing one already"):
        registry.register("one", 3)
    for name in ("", "Two", "a b", "-x", "x" * 50, "a/b"):
        with pytest.raises(ValueError, match="needs another name"):
            registry.register(name, 4)
