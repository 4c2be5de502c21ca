"""What is refused of fairseq's distributed backends, and when ranks' weights may differ."""

from types import SimpleNamespace
from typing import Any

import pytest

from fairseq_prune.tasks._backend import check_backend, check_gradients, in_step

SHADOWED = ["encoder.layers.0.fc1.weight", "encoder.layers.0.fc1_weight"]


def config(ranks: int = 2, **distributed: Any) -> Any:
    given = {"ddp_backend": "pytorch_ddp", "find_unused_parameters": False, **distributed}
    return SimpleNamespace(
        distributed_training=SimpleNamespace(distributed_world_size=ranks, **given),
        model=SimpleNamespace(base_layers=1),
    )


@pytest.mark.parametrize("backend", ["pytorch_ddp", "c10d"])
def test_parameters_without_gradients_are_refused_where_torch_would_stop(backend: str) -> None:
    with pytest.raises(ValueError, match=rf"^--ddp-backend {backend} waits for gradients of all"):
        check_gradients(config(ddp_backend=backend), SHADOWED)


def test_where_torch_would_not_stop_nothing_is_refused() -> None:
    check_gradients(config(), SHADOWED[:1])
    check_gradients(config(ranks=1), SHADOWED)
    check_gradients(config(find_unused_parameters=True), SHADOWED)
    check_gradients(config(ddp_backend="legacy_ddp"), SHADOWED)


def test_experts_of_each_rank_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^--base-layers gives each rank experts of its own"):
        check_backend(config())
    check_backend(config(ranks=1))


@pytest.mark.parametrize(
    ("flags", "same"),
    [
        ({"ddp_backend": "legacy_ddp"}, True),
        ({"ddp_backend": "slowmo"}, False),
        ({"ddp_backend": "legacy_ddp", "use_bmuf": True}, False),
    ],
)
def test_weights_may_differ_only_where_fairseq_lets_them(flags: dict[str, Any], same: bool) -> None:
    assert in_step(SimpleNamespace(**flags), SimpleNamespace(**flags)) is same
