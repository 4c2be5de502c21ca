"""The inputs of fairseq's own models' matrices, against forward hooks and token counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from torch import Tensor, nn

from fairseq_prune.network.inputs import squared_inputs
from fairseq_prune.network.probing import Sample
from fairseq_prune.network.weights import of_module
from fairseq_prune.tasks import _sample
from fairseq_prune.tasks._sample import sampler
from tests.conftest import Train


@pytest.fixture(params=["lstm", "transformer"])
def sample(request: Any, train: Train, corpus: Path, tmp_path: Path) -> Sample:
    """Two batches of sentences of several lengths, and a model with tied embeddings."""
    tied = ["--share-all-embeddings"]
    train(tmp_path, "--max-update", 1, *tied, arch=request.param)
    (model,), saved, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(tmp_path / "checkpoint_last.pt")], arg_overrides={"data": str(corpus)}
    )
    task.load_dataset("train")
    criterion = task.build_criterion(saved.criterion)
    found = sampler(task, model, criterion, saved.dataset)(1, 1)
    return replace(found, batches=[range(30), range(30, 40)])


def names_of(sample: Sample) -> list[str]:
    return list(of_module(sample.model))


def singles(sample: Sample) -> list[Any]:
    return [one for batch in sample.batches for one in sample.examples(batch)]


def by_hooks(sample: Sample) -> dict[str, Tensor]:
    """The same sums for what modules show: linear layers, LSTM cells, self-attention."""
    found: dict[str, Tensor] = {}

    def add(name: str, x: Tensor) -> None:
        squares = x.detach().double().reshape(-1, x.shape[-1]).square().sum(0)
        found[name] = found.get(name, 0) + squares

    def note(name: str, module: Any, given: Any, named: Any) -> None:
        if isinstance(module, nn.LSTMCell):
            add(f"{name}.weight_ih", given[0])
            add(f"{name}.weight_hh", given[1][0])
        elif name.endswith("self_attn"):  # gives its matrices to one function
            for part in ("query", "key", "value"):
                add(f"{name}.{part[0]}_proj.weight", named[part])
        elif isinstance(module, nn.Linear):
            add(f"{name}.weight", given[0])

    handles = [
        module.register_forward_pre_hook(
            lambda m, given, named, name=name: note(name, m, given, named), with_kwargs=True
        )
        for name, module in sample.model.named_modules()
    ]
    sample.model.train(False)
    with torch.enable_grad():  # with gradients, fairseq takes its plain path
        for one in singles(sample):
            sample.loss(one)
    for handle in handles:
        handle.remove()
    return found


def test_inputs_are_what_the_modules_are_given(sample: Sample) -> None:
    found = squared_inputs(sample, names_of(sample))
    seen = by_hooks(sample)
    compared = [name for name in found if name in seen]
    assert len(compared) >= 7
    for name in compared:
        expected = seen[name].expand(found[name].shape)
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)
    assert all(bool(values.any()) for values in found.values())


def test_a_table_counts_tokens_and_its_use_as_output(sample: Sample) -> None:
    name = "encoder.embed_tokens.weight"
    found = squared_inputs(sample, [name])[name]
    tokens: list[Tensor] = []
    features: list[Tensor] = []
    tables = {m for m in sample.model.modules() if isinstance(m, nn.Embedding)}
    handles = [
        m.register_forward_pre_hook(lambda m, x: tokens.append(x[0].flatten())) for m in tables
    ]
    decoder: Any = sample.model.decoder
    original = decoder.output_layer
    decoder.output_layer = lambda x: features.append(x.flatten(0, 1)) or original(x)
    sample.model.train(False)
    for one in singles(sample):
        sample.loss(one)
    for handle in handles:
        handle.remove()
    counts = torch.bincount(torch.cat(tokens), minlength=len(found)).double()
    squares = torch.cat(features).detach().double().square().sum(0)
    torch.testing.assert_close(found, counts[:, None] + squares[None, :], rtol=1e-4, atol=1e-6)


def test_padding_has_no_effect(sample: Sample) -> None:
    names = names_of(sample)
    assert sample.unpadded is not None
    split = [part for batch in sample.batches for part in sample.unpadded(batch)]
    assert len(sample.batches) < len(split) < len(singles(sample))
    assert sorted(n for part in split for n in part) == list(range(40))
    together = squared_inputs(sample, names)
    alone = squared_inputs(replace(sample, unpadded=None), names)
    for name in names:
        torch.testing.assert_close(together[name], alone[name], rtol=1e-4, atol=1e-6)
    # batches as they are have padding, and that is noticed
    with pytest.raises(ValueError, match="padding must not count"):
        squared_inputs(replace(sample, unpadded=lambda batch: [batch]), names)


def test_sizes_that_do_not_tell_of_padding_are_not_relied_on(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairseq.data import LanguagePairDataset

    assert sample.unpadded is not None
    monkeypatch.setattr(LanguagePairDataset, "size", lambda self, index: 0)
    assert sample.unpadded([0, 1, 2, 3]) == [[0], [1], [2], [3]]


def test_scoring_that_takes_long_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fairseq_prune")
    batches = _sample._Told([[0], [1], [2]], _sample.log_progress)
    assert list(batches) == [[0], [1], [2]] and not caplog.messages
    monkeypatch.setattr(_sample, "_TELL_EVERY", 0.0)
    assert list(batches) == [[0], [1], [2]]
    assert caplog.messages == ["scored 1 of 3 batches", "scored 2 of 3 batches"]
