"""fairseq-prune sensitivity: what is refused, and in which words; what is printed."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.files.writing import write_text
from fairseq_prune.masks.state import Masks
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint
from tests.cli.models import PRUNABLE, masks_in

HALF = ("--each", "0.5")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """What looks like binarised data."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dict.de.txt").write_text("a 1\n")
    (tmp_path / "bin" / "valid.de-en.de.idx").write_text("")
    return str(tmp_path / "bin")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A meter that looks at no model; gives the names of what was pruned each time."""
    seen: list[list[str]] = []

    def measure(_: Any, masks: Any) -> dict[str, Any]:
        seen.append(list(masks))
        gone = sum(int((~mask).sum()) for mask in masks.values())
        return {"nll": 2.0 + gone / 100, "ppl": 4.0 + gone, "bleu": None}

    monkeypatch.setattr("fairseq_prune.sensitivity.measure._Meter.__call__", measure)
    return seen


REFUSED = [
    (["--each", "0.5,x"], "--each 0.5,x must be fractions in [0, 1) with commas between them, e.g. "
     "0.5,0.8."),
    (["--each", "0.5", "--prune-sparsity", "0.9"], "--prune-sparsity has no effect with --each, "
     "which prunes each class to sparsities of its own; leave one of them out."),
    (["--propose", "0.5", "--prune-scheme", "erk"], "--prune-scheme has no effect with --propose, "
     "which prunes each class to sparsities of its own; leave one of them out."),
    (["--propose", "1.5"], "--propose 1.5 is outside (0, 1): give the overall sparsity."),
    (["--at-most", "-1"], "--at-most -1.0 must be 0 or more: give the bits a token that "
     "log-perplexity may rise by."),
    (["--at-most", "1", "--propose", "0.5"], "--propose and --at-most are two ways to ask: give "
     "one of them."),
    (["--at-most", "1", "--prune-sparsity", "0.9"], "--prune-sparsity has no effect with "
     "--at-most, which prunes each class to sparsities of its own; leave one of them out."),
    (["--proposal", "x"], "--proposal has no effect without --propose TARGET or --at-most BITS."),
    (["--prune-mask-from", "x"], "--prune-mask-from has no place here: sensitivity finds its own "
     "masks."),
    (["--prune-structure", "ffn"], "--prune-structure ffn prunes units, which lie in several "
     "classes; sensitivity takes weight, row or block:RxC."),
    (["--subset", "tset"], "--data {bin} has no subset 'tset'; it has valid."),
    (["--output", "{bin}"], "--output {bin} is a folder; give the name of a file in it."),
    (["--tag", "x"], "--tag x must be NAME=VALUE, for example stage=retrained."),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "sentence"), REFUSED, ids=[" ".join(f) for f, _ in REFUSED])
def test_bad_input_is_refused_in_a_sentence_before_any_work(
    flags: list[str], sentence: str, dense: str, folder: str, call: Any, fake: Any
) -> None:
    words = [flag.format(bin=folder) for flag in flags]
    code, out, err = call("sensitivity", dense, "--data", folder, *words)
    assert (code, out, err) == (2, "", f"fairseq-prune: {sentence.format(bin=folder)}\n")
    assert fake == []


def test_a_pruned_model_is_refused(pruned: str, folder: str, call: Any) -> None:
    code, out, err = call("sensitivity", pruned, "--data", folder)
    assert (code, out) == (2, "")
    assert err == (
        f"fairseq-prune: {pruned} is pruned already; sensitivity prunes one class of a dense model "
        "at a time.\n"
    )


def test_files_of_others_are_not_replaced_and_other_settings_not_mixed(
    dense: str, folder: str, call: Any, fake: Any, tmp_path: Path
) -> None:
    other, output = tmp_path / "other", tmp_path / "out.json"
    other.write_text('{"rows": []}')
    base = ("sensitivity", dense, "--data", folder, *HALF)
    assert call(*base, "--output", other)[2] == (
        f"fairseq-prune: --output {other} is no result of fairseq-prune sensitivity; give --force "
        "to replace it.\n"
    )
    assert call(*base, "--propose", "0.4", "--proposal", other)[2] == (
        f"fairseq-prune: --proposal {other} exists; give --force to replace it.\n"
    )
    assert other.read_text() == '{"rows": []}'
    assert call(*base, "--output", output)[0] == 0
    changed = ("--prune-saliency", "random", "--tag", "seed=2")
    assert call(*base, "--output", output, *changed)[2] == (
        f"fairseq-prune: --output {output} was begun with other settings: tags.seed 2 (there: "
        "None); saliency random (there: magnitude); settings.recipe.saliency random (there: "
        "magnitude). Repeat those to go on, or give --force to begin anew.\n"
    )
    assert call(*base, "--output", output, *changed, "--force")[0] == 0
    assert json.loads(output.read_text())["tags"] == {"seed": "2"}


def test_the_result_has_the_shape_that_report_reads(
    dense: str, folder: str, call: Any, fake: Any, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    flags = ("--output", output, "--tag", "model=m")
    code, out, err = call("sensitivity", dense, "--data", folder, *flags)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"result: {output}"
    found = json.loads(output.read_text())
    assert list(found) == [
        "kind", "format", "checkpoint", "sha256", "model", "tags", "scheme", "saliency",
        "sparsity", "subset", "dense", "rows", "command", "version", "settings",
    ]  # fmt: skip
    assert (found["kind"], found["format"]) == ("fairseq_prune sensitivity", 1)
    assert (found["model"], found["tags"]) == ("m", {"model": "m"})
    assert (found["scheme"], found["saliency"], found["sparsity"]) == (
        "class-blind", "magnitude", 0.9,
    )  # fmt: skip
    assert found["dense"] == {"ppl": 4.0, "nll": 2.0, "bleu": None}
    for row in found["rows"]:
        assert list(row) == [
            "class", "weights", "removed", "sparsity", "largest_removed", "nll", "ppl",
            "ppl_change", "bleu", "bleu_change",
        ]  # fmt: skip
        assert row["ppl_change"] == row["removed"]
    assert sum(row["removed"] for row in found["rows"]) == 310
    assert [len(names) for names in fake] == [0, 1, 1, 1]


def test_a_run_that_was_cut_goes_on_and_ends_the_same(
    dense: str, folder: str, call: Any, fake: list[list[str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    straight, cut = tmp_path / "straight.json", tmp_path / "cut.json"
    base = ("sensitivity", dense, "--data", folder, "--each", "0.2,0.5", "--output")
    assert call(*base, straight)[0] == 0
    whole, text = list(fake), json.loads(straight.read_text())
    fake.clear()
    with monkeypatch.context() as patch:
        patch.setattr("fairseq_prune.sensitivity.sensitivity_file.write_text", _cut_after(3))
        assert call(*base, cut)[0] == 130
    stored = json.loads(cut.read_text())
    assert len(stored["rows"]) == 2 and all(row in text["rows"] for row in stored["rows"])
    done = len(fake) - 1  # the last one was measured, and not written
    assert call(*base, cut)[0] == 0
    assert [*fake[:done], *fake[done + 1 :]] == whole
    assert {**json.loads(cut.read_text()), "command": ""} == {**text, "command": ""}
    fake.clear()
    before = cut.read_bytes()
    assert call(*base, cut)[0] == 0
    assert (cut.read_bytes(), fake) == (before, [])


def _cut_after(writes: int) -> Any:
    left = iter(range(writes))

    def write(path: Path, text: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write_text(path, text)

    return write


def test_the_classes_share_out_the_mask_of_the_whole_model(
    dense: str, folder: str, call: Any, fake: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        "fairseq_prune.sensitivity.measure._Meter.__call__",
        lambda _, masks: seen.update(masks) or {"nll": 1.0, "ppl": 2.0, "bleu": None},
    )
    _, out, _ = call("sensitivity", dense, "--data", folder, "--prune-sparsity", "0.6", "--json")
    record = apply_recipe(open_checkpoint(dense), Recipe(scheme="class-blind", sparsity=0.6)).record
    assert record.masks is not None
    assert Masks(seen, record.masks.fixed).digest() == record.masks.digest()
    largest = [row["largest_removed"] for row in json.loads(out)["rows"]]
    assert largest == [gone for gone, _ in record.extremes.values()]


def test_a_scheme_given_is_tried_class_by_class(
    dense: str, folder: str, call: Any, fake: Any
) -> None:
    shares = ("--prune-scheme", "given", "--prune-given", "target-layer-1.ffn 0.5; * 0.25")
    _, out, _ = call("sensitivity", dense, "--data", folder, *shares, "--json")
    found = json.loads(out)
    assert [row["removed"] for row in found["rows"]] == [38, 16, 64]
    assert (found["scheme"], found["sparsity"], found["output"]) == ("given", None, None)


def test_a_proposal_is_met_to_the_weight_and_written_again(
    dense: str, folder: str, call: Any, fake: Any, tmp_path: Path
) -> None:
    file, made = tmp_path / "given", tmp_path / "made.pt"
    flags = ("--propose", "0.5", "--proposal", file)
    for _ in range(2):
        code, out, err = call("sensitivity", dense, "--data", folder, *flags)
        assert (code, err) == (0, "")
        assert out.splitlines()[-2:] == [
            f"proposal: {file}",
            f"to prune by it: fairseq-prune apply {dense} --output OUT --prune-scheme given "
            f"--prune-given {file}",
        ]
        assert "all classes" in out
    given = ("--prune-scheme", "given", "--prune-given", file)
    assert call("apply", dense, "--output", made, *given)[0] == 0
    file.unlink()
    assert sum(int((~mask).sum()) for mask in masks_in(made).values()) == PRUNABLE // 2
    assert call("verify", made)[0] == 0


def test_what_a_proposal_is_predicted_to_cost_gives_its_sparsity_back(
    dense: str, folder: str, call: Any, fake: Any, tmp_path: Path
) -> None:
    output, file, made = tmp_path / "curves.json", tmp_path / "given", tmp_path / "made.pt"
    base = ("sensitivity", dense, "--data", folder, "--output", output)
    asked = json.loads(call(*base, "--propose", "0.5", "--json")[1])
    bits = asked["predicted_bits"]
    measured = len(fake)
    flags = ("--at-most", repr(bits), "--proposal", file)
    code, out, err = call(*base, *flags)
    assert (code, err, len(fake)) == (0, "", measured)
    assert "50.00%" in out
    assert file.read_text().startswith(f"# fairseq-prune sensitivity --at-most {bits:g}: for ")
    assert call(*base, *flags)[0] == 0  # its own file is written again
    given = ("--prune-scheme", "given", "--prune-given", file)
    assert call("apply", dense, "--output", made, *given)[0] == 0
    assert sum(int((~mask).sum()) for mask in masks_in(made).values()) == PRUNABLE // 2


def test_a_limit_beyond_all_that_was_measured_says_so(
    dense: str, folder: str, call: Any, fake: Any
) -> None:
    out = call("sensitivity", dense, "--data", folder, *HALF, "--at-most", "1000")[1]
    assert "nothing sparser was measured: --each with larger sparsities looks further\n" in out


@pytest.mark.parametrize("classes", ["component", "rules"])
def test_the_command_for_a_proposal_prunes_by_its_classes(
    dense: str, folder: str, call: Any, fake: Any, tmp_path: Path, classes: str
) -> None:
    if classes == "rules":
        classes = str(tmp_path / "my rules")
        Path(classes).write_text("tables embed_tokens\nrest layers\n")
    flags = ("--propose", "0.5", "--proposal", tmp_path / "given", "--prune-classes", classes)
    code, out, err = call("sensitivity", dense, "--data", folder, *flags)
    assert (code, err) == (0, "")
    words = shlex.split(out.splitlines()[-1].removeprefix("to prune by it: fairseq-prune "))
    made = str(tmp_path / "made.pt")
    assert call(*(made if word == "OUT" else word for word in words))[0] == 0
    assert sum(int((~mask).sum()) for mask in masks_in(made).values()) == PRUNABLE // 2
    code, _, err = call(*words, "--prune-classes", "layer")
    assert (code, "--prune-classes layer contradicts --prune-given" in err) == (2, True)
