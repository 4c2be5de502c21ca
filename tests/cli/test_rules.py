"""``--prune-classes FILE``: rules that name nothing, and weights that no rule names."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import BLIND_HALF
from tests.cli.models import EMBEDDING, FC, QUERY, masks_in


@pytest.fixture
def rules(tmp_path: Path) -> Any:
    """Writes rules; gives the file's name."""

    def write(*lines: str) -> str:
        path = tmp_path / "rules"
        path.write_text("".join(line + "\n" for line in lines))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("lines", "wrong", "why"),
    [
        (["tables embed", "gates weight_hh"], "gates weight_hh", "no weight of this model"),
        (["all .", "tables embed"], "tables embed", "nothing that no rule above it names"),
    ],
)
@pytest.mark.parametrize("command", [("apply", "--dry-run", *BLIND_HALF), ("inspect",)])
def test_a_rule_that_names_nothing_is_refused(lines, wrong, why, command, rules, dense, call):
    path = rules(*lines)
    code, out, err = call(command[0], dense, *command[1:], "--prune-classes", path)
    assert (code, out) == (2, "")
    assert err == (
        f"fairseq-prune: --prune-classes {path}: the rule `{wrong}` names {why}; correct it, or "
        "take it out.\n"
    )


@pytest.mark.parametrize("command", [("apply", "--dry-run", *BLIND_HALF), ("inspect",)])
def test_weights_that_no_rule_names_are_said_with_their_class(command, rules, dense, call):
    path = rules("tables embed")
    code, out, err = call(command[0], dense, *command[1:], "--prune-classes", path)
    assert code == 0
    assert err == (
        f"fairseq-prune: note: no rule of --prune-classes {path} names 2 of the 3 that are pruned; "
        f"they have the paper's classes: source-layer-1.self-attention ({QUERY}), "
        f"target-layer-1.ffn ({FC})\n"
    )
    assert all(label in out for label in ("tables", "source-layer-1.self-attention"))
    path = rules("tables embed", "rest layers")
    assert call(command[0], dense, *command[1:], "--prune-classes", path)[2] == ""


def test_what_is_excluded_is_named_and_not_missed(rules, dense, call):
    path = rules("tables embed", "one fc1")
    flags = ("--prune-classes", path, "--prune-exclude", "tables")
    err = call("apply", dense, "--dry-run", *BLIND_HALF, *flags)[2]
    assert "names 1 of the 2 that are pruned" in err
    assert EMBEDDING not in err


def test_data_that_a_saliency_does_not_need_are_accepted(dense, call, tmp_path):
    with_data, without = tmp_path / "with.pt", tmp_path / "without.pt"
    code, _, err = call(
        "apply", dense, "--output", with_data, *BLIND_HALF, "--data", "anywhere"
    )  # fmt: skip
    assert code == 0
    assert err == "fairseq-prune: note: --data is not read: --prune-saliency magnitude needs none\n"
    assert call("apply", dense, "--output", without, *BLIND_HALF)[2] == ""
    assert masks_in(with_data).digest() == masks_in(without).digest()
