"""A pruned checkpoint is a plain fairseq checkpoint; a run without flags is a plain run."""

from pathlib import Path

import pytest

from tests.conftest import ARCHES, ROOT, TRAINING, differences, read, run, trained


@pytest.fixture(scope="module", params=["lstm", "transformer"])
def pruned(request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp(request.param)
    run(
        "fairseq-train", corpus, *ARCHES[request.param], *TRAINING, "--save-dir", folder,
        "--max-update", 4, "--user-dir", ROOT / "fairseq_prune", "--prune-scheme", "class-uniform",
    )  # fmt: skip
    return folder / "checkpoint_last.pt"


def test_stock_generate_opens_it(pruned: Path, corpus: Path) -> None:
    out = run("fairseq-generate", corpus, "--path", pruned, "--beam", 2, "--cpu")
    assert "Generate test with beam=2" in out
    assert "fairseq_prune" not in out


def test_stock_validate_opens_it(pruned: Path, corpus: Path) -> None:
    out = run("fairseq-validate", corpus, "--path", pruned, "--task", "translation", "--cpu",
              "--max-tokens", 500)  # fmt: skip
    assert "valid on 'valid' subset" in out


def test_stock_interactive_opens_it(pruned: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("ab ba ca\n")
    out = run(
        "fairseq-interactive", corpus, "--path", pruned, "--cpu", "--input", tmp_path / "input"
    )
    assert "\nH-0\t" in out


def test_from_pretrained_opens_it(pruned: Path, corpus: Path) -> None:
    code = (
        "from fairseq.models import FairseqEncoderDecoderModel as M; import sys; "
        "from fairseq.hub_utils import from_pretrained as load; "
        f"x = load({str(pruned.parent)!r}, {pruned.name!r}, {str(corpus)!r}); "
        "print(type(x['task']).__name__, 'fairseq_prune' in sys.modules)"
    )
    assert run("python", "-c", code).splitlines()[-1] == "TranslationTask False"


def test_the_saved_task_is_the_stock_one_without_prune_fields(pruned: Path) -> None:
    task = read(pruned)["cfg"]["task"]
    assert task["_name"] == "translation"
    assert [name for name in task if name.startswith("prune_")] == []


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
def test_without_flags_a_run_is_the_stock_run(corpus: Path, tmp_path: Path, arch: str) -> None:
    flags = [corpus, *ARCHES[arch], *TRAINING, "--max-update", 4, "--save-dir"]
    run("fairseq-train", *flags, tmp_path / "stock")
    run("fairseq-train", *flags, tmp_path / "ours", "--user-dir", ROOT / "fairseq_prune")
    stock = read(tmp_path / "stock" / "checkpoint_last.pt")
    ours = read(tmp_path / "ours" / "checkpoint_last.pt")
    assert differences(trained(stock), trained(ours)) == []
    for checkpoint in (stock, ours):
        checkpoint["cfg"]["checkpoint"]["save_dir"] = checkpoint["cfg"]["common"]["user_dir"] = ""
    assert differences(stock["cfg"]["task"], ours["cfg"]["task"]) == []
    assert differences(stock["task_state"], ours["task_state"]) == []
