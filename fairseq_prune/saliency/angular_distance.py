"""Angular distance: a layer that hardly turns its input is worth little (Gromov et al. 2024).

https://arxiv.org/abs/2403.17887, equation 4: arccos of the cosine of input and output, over pi, of
one layer (n = 1). The paper takes the last token of a sequence; here, the mean is over all tokens,
as an encoder has no last one that has seen all.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.maths.select import Scores
from fairseq_prune.network.probing import check_size, loss_of, undisturbed
from fairseq_prune.saliency.probe import Probe


def angular_distance(probe: Probe) -> Scores:
    """The scores arccos(cos(x, y)) / pi, x being what a layer is given and y what it gives."""
    assert probe.axes is not None
    sample, layers = probe.data, [n for axis in probe.axes.values() for n in axis.modules]
    split, size = sample.unpadded or sample.examples, 0.0
    with undisturbed(sample.model), _watched(sample.model, layers) as sums, torch.no_grad():
        for batch in sample.batches:
            for part in split(batch):
                size += loss_of(sample, part)[1]
    check_size(sample, size, sums)
    for total in sums.values():
        sample.reduce(total)
    means = {name: float(total[0] / total[1].clamp_min(1)) for name, total in sums.items()}
    return probe.unit_scores(
        {
            name: torch.tensor([means[layer] for layer in axis.modules], dtype=torch.float64)
            for name, axis in probe.axes.items()
        }
    )


@contextmanager
def _watched(model: nn.Module, layers: list[str]) -> Iterator[dict[str, Tensor]]:
    """Within it, by layer, the sum of the angles over tokens, and how many tokens that is."""
    device = next(model.parameters()).device
    sums = {name: torch.zeros(2, dtype=torch.float64, device=device) for name in layers}

    def note(total: Tensor, given: Tensor, made: Any) -> None:
        out = made[0] if isinstance(made, tuple) else made
        cosine = nn.functional.cosine_similarity(given.double(), out.double(), dim=-1)
        angles = cosine.clamp(-1, 1).arccos() / torch.pi
        total += torch.stack([angles.sum(), torch.ones_like(angles).sum()])

    with ExitStack() as stack:
        for name, total in sums.items():

            def hook(_: nn.Module, args: Any, made: Any, total: Tensor = total) -> None:
                note(total, args[0], made)

            handle = model.get_submodule(name).register_forward_hook(hook)
            stack.callback(handle.remove)
        yield sums
