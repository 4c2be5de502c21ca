"""Where each of fairseq's optimizers keeps its copies of the parameters."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from fairseq_prune.tasks._optimizer import slots_of

A, B = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(4))


def flat() -> nn.Parameter:
    return nn.Parameter(torch.arange(10.0))


LAYOUTS: dict[str, Any] = {
    "plain, memory-efficient fp16, amp": SimpleNamespace(params=[A, B]),
    "flat masters by device": SimpleNamespace(fp16_params=[A, B], fp32_params={0: flat()}),
    "one flat master": SimpleNamespace(fp16_params=[A, B], fp32_params=flat()),
    "a master each": SimpleNamespace(
        fp16_params=[A, B], fp32_params=[nn.Parameter(A.data.clone()), nn.Parameter(B.data.clone())]
    ),
}


@pytest.mark.parametrize("optimizer", LAYOUTS.values(), ids=LAYOUTS)
def test_each_parameter_has_its_part_of_what_is_optimised(optimizer: Any) -> None:
    slots = slots_of(optimizer)
    assert [id(slot.parameter) for slot in slots] == [id(A), id(B)]
    parts = [slot.view(slot.optimised) for slot in slots]
    assert [tuple(part.shape) for part in parts if part is not None] == [(2, 3), (4,)]
    if slots[0].optimised.numel() == 10:
        assert parts[1] is not None and parts[1].tolist() == [6.0, 7.0, 8.0, 9.0]
