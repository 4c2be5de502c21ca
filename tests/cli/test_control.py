"""fairseq-prune control."""

import json

import pytest

from fairseq_prune.masks.storage import masks_of
from tests.cli.conftest import BLIND_HALF
from tests.cli.models import read


@pytest.fixture
def pruned(call, dense, tmp_path):
    path = tmp_path / "pruned.pt"
    assert call("apply", dense, "--output", path, *BLIND_HALF)[0] == 0
    return path


@pytest.mark.parametrize("kind", ["shuffle", "random", "invert"])
def test_a_control_has_the_counts_and_other_weights(call, dense, pruned, tmp_path, kind):
    out = tmp_path / "control.pt"
    flags = ("--weights", dense, "--output", out, "--kind", kind, "--json")
    code, text, _ = call("control", pruned, *flags)
    assert code == 0
    facts = json.loads(text)
    before, after = masks_of(read(pruned), "pruned"), masks_of(read(out), "control")
    assert before is not None and after is not None
    assert after.sparsity() == before.sparsity() == facts["sparsity"]
    assert after.digest() != before.digest()
    assert facts["overlap"] < (0.3 if kind == "invert" else 0.9)
    assert call("verify", out)[0] == 0


def test_bad_input_is_refused(call, dense, pruned, tmp_path):
    out = tmp_path / "control.pt"
    for flags, sentence in (
        ((pruned, "--weights", dense, "--kind", "upside"), "--kind 'upside' is unknown; choose"),
        ((dense, "--weights", dense, "--kind", "shuffle"), "is not pruned: there is no mask"),
        ((pruned, "--weights", pruned, "--kind", "shuffle"), "is pruned itself"),
    ):
        code, _, err = call("control", *flags, "--output", out)
        assert code == 2 and sentence in err and err.count("\n") == 1
    assert not out.exists()
