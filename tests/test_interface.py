"""The Python interface, used as a notebook would use it: the page about it is run."""

import json
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
from tests.cli.models import FC, checkpoint, write
from tests.conftest import Train, differences, read

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
    train: Train,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    train(tmp_path, "--max-update", 8, "--share-all-embeddings", arch="transformer")
    Path("checkpoint_last.pt").rename("dense.pt")
    Path("data-bin").symlink_to(corpus)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    assert len(blocks) == 6
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
        (lambda c: c.prune(scheme="class-blind").shrink(), "is pruned and not saved: save it"),
        (lambda c: c.prune(scheme="class-blind").export("x", "compact"), "is pruned and not saved"),
        (lambda c: c.prune(scheme="class-blind").translate(["a"], "data"), "and not saved: save"),
        (lambda c: c.prune(scheme="class-blind").evaluate("data"), "is pruned and not saved"),
        (lambda c: c.shrink(), "has no units that are known here"),
        (lambda c: c.export("x", "onnx"), "--format onnx is not known; the formats are checkpoint"),
        (lambda c: c.export("x", "compact", data="d"), "--data d has no effect with --format"),
        (lambda c: c.export("x", "compact", quantization="int8"), "--quantization int8 has no"),
        (lambda c: c.export("x", "compact", sentencepiece=["a", "b"]), "--sentencepiece a b has"),
        (lambda c: c.export("x", "ctranslate2"), "needs the dictionaries: give --data DATA"),
        (lambda c: c.export("x", "ctranslate2", half=True), "take --quantization float16"),
        (
            lambda c: c.export("x", "ctranslate2", data="d", quantization="int3"),
            "int3 is not known",
        ),
        (lambda c: c.export(c.path, "checkpoint"), "say overwrite=True to replace it"),
        (lambda c: c.evaluate("data", beams=3), "beams is no flag of evaluate; they are also"),
        (lambda c: c.evaluate("data"), "--data data holds no dict.*.txt"),
        (lambda c: fairseq_prune.verify(c.path), "masks"),
        (lambda c: fairseq_prune.verify(c.path, expect=80), "--expect 80 is outside [0, 1)"),
        (lambda c: fairseq_prune.verify("no.pt"), "no.pt is not a file"),
        (lambda c: fairseq_prune.open_checkpoint("no.pt"), "no.pt is not a file"),
        (lambda c: fairseq_prune.open_checkpoint(c.path, "nowhere"), "--user-dir nowhere cannot"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    do: Callable[[Any], Any], why: str, dense: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(why)):
        do(fairseq_prune.open_checkpoint(dense))


@pytest.fixture
def transformer(train: Train, tmp_path: Path) -> str:
    """A small Transformer, trained for a few updates."""
    train(tmp_path / "run", "--max-update", 8, arch="transformer")
    return str(tmp_path / "run" / "checkpoint_last.pt")


def test_each_step_gives_what_its_command_writes(
    transformer: str, corpus: Path, tmp_path: Path
) -> None:
    """Prune, shrink and export; each file is compared, bit for bit, with that of the command."""
    names = ("pruned.pt", "small.pt", "plain.pt", "compact.fsz")
    pruned, small, plain, compact = (str(tmp_path / name) for name in names)
    by_command = tmp_path / "command"
    flags = ["--prune-scheme", "class-uniform", "--prune-structure", "ffn"]
    call("apply", transformer, "--output", pruned, *flags, "--prune-sparsity", "0.5")
    call("shrink", pruned, "--output", small)
    call("export", small, "--format", "checkpoint", "--output", plain)
    call("export", small, "--format", "compact", "--output", compact, "--half")
    by_command.mkdir()
    for name in names:
        (tmp_path / name).rename(by_command / name)
    dense = fairseq_prune.open_checkpoint(transformer)
    made = dense.prune(scheme="class-uniform", structure="ffn", sparsity=0.5).save(pruned)
    assert made.path == pruned and made.sparsity > 0
    cut = made.shrink()
    assert cut.weights["encoder.layers.0.fc1.weight"].shape == (16, 16)
    assert made.weights["encoder.layers.0.fc1.weight"].shape == (32, 16)
    assert "all classes" in str(cut)
    smaller = cut.save(small)
    smaller.export(plain, "checkpoint")
    smaller.export(compact, "compact", half=True)
    for name in names[:3]:
        assert differences(read(tmp_path / name), read(by_command / name)) == [], name
    assert Path(compact).read_bytes() == (by_command / "compact.fsz").read_bytes()
    lines = ["ab ba ca", "la ka"]
    assert smaller.translate(lines, corpus) == made.translate(lines, corpus)


def test_a_folder_of_ctranslate2_is_that_of_the_command(
    transformer: str, corpus: Path, tmp_path: Path
) -> None:
    flags = ["--data", str(corpus), "--quantization", "int8"]
    call("export", transformer, "--format", "ctranslate2", "--output", str(tmp_path / "a"), *flags)
    dense, b = fairseq_prune.open_checkpoint(transformer), tmp_path / "b"
    dense.export(b, "ctranslate2", data=corpus, quantization="int8")
    files = {path.name for path in b.iterdir()}
    assert files == {path.name for path in (tmp_path / "a").iterdir()} and "model.bin" in files
    assert all((b / name).read_bytes() == (tmp_path / "a" / name).read_bytes() for name in files)
    with pytest.raises(ValueError, match="say overwrite=True"):
        dense.export(b, "ctranslate2", data=corpus)
    dense.export(b, "ctranslate2", data=corpus, overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").touch()
    with pytest.raises(ValueError, match="holds something else"):
        dense.export(tmp_path / "thesis", "ctranslate2", data=corpus, overwrite=True)


def test_scores_are_those_of_evaluate(
    transformer: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("evaluate", transformer, "--data", str(corpus), "--beam", "2", "--json")
    told = json.loads(capsys.readouterr().out)
    row = fairseq_prune.open_checkpoint(transformer).evaluate(corpus, beam=2)
    measured = {"seconds": 0, "ms_per_sentence": 0, "memory_bytes": 0}
    assert {**row, **measured} == {**told, **measured}
    with pytest.warns(UserWarning, match="--iter-decode-max-iter changes nothing of it"):
        fairseq_prune.open_checkpoint(transformer).evaluate(corpus, iter_decode_max_iter=3)


def test_what_apply_warns_of_is_a_warning(dense: str) -> None:
    with pytest.warns(UserWarning, match="--data is not read: --prune-saliency magnitude"):
        fairseq_prune.open_checkpoint(dense).prune(data="nowhere", scheme="class-blind")


def test_verify_says_what_the_command_says(
    dense: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pruned.pt"
    fairseq_prune.open_checkpoint(dense).prune(scheme="class-blind", sparsity=0.5).save(path)
    found = fairseq_prune.verify(path, expect=0.5)
    assert found.ok and found.removed == 172 and found.prunable == 344
    content = torch.load(path, weights_only=True)
    masks = fairseq_prune.open_checkpoint(path).masks
    assert masks is not None
    content["model"][FC][~masks[FC]] = 1.0  # as training without the plugin does
    torch.save(content, path)
    found = fairseq_prune.verify(path)
    assert not found.ok and len(found.violations) == 1
    assert call("verify", str(path), succeeds=False) == 1
    assert capsys.readouterr().out == f"{found}\n"
    content["task_state"]["prune"]["masks"]["digest"] = "0" * 64
    torch.save(content, path)
    assert "digest does not match" in str(fairseq_prune.verify(path))


def call(*words: str, succeeds: bool = True) -> int:
    """The exit code of a command in this process."""
    from fairseq_prune.cli.main import main

    code = main([*words])
    assert (code == 0) == succeeds
    return code


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
