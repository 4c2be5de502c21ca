"""Every command that opens models takes --user-dir: a task and a model that fairseq lacks."""

from pathlib import Path

import pytest

from tests.conftest import TRAINING, TRANSFORMER, run

PLUGIN = """
from fairseq.models import register_model_architecture
from fairseq.models.transformer import base_architecture
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask


@register_task("translation_of_mine", dataclass=TranslationConfig)
class Mine(TranslationTask):
    pass


@register_model_architecture("transformer", "transformer_of_mine")
def mine(args):
    base_architecture(args)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins") / "mine"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module")
def checkpoint(plugin: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the plugin's task and architecture."""
    folder = tmp_path_factory.mktemp("of-mine")
    flags = [word if word != "transformer" else "transformer_of_mine" for word in TRANSFORMER]
    run("fairseq-train", corpus, "--user-dir", plugin, "--task", "translation_of_mine", *flags,
        *TRAINING, "--max-update", 2, "--save-dir", folder)  # fmt: skip
    return folder / "checkpoint_last.pt"


def test_without_it_evaluate_says_what_is_missing(checkpoint: Path, corpus: Path) -> None:
    out = run("fairseq-prune", "evaluate", checkpoint, "--data", corpus, "--cpu", fails=True)
    assert (
        "the checkpoint's task translation_of_mine is none of fairseq's; name the plugin that has "
        "it with --user-dir."
    ) in out


@pytest.mark.slow
def test_every_command_that_opens_models_takes_it(
    checkpoint: Path, corpus: Path, plugin: Path, tmp_path: Path
) -> None:
    pruned, fresh = tmp_path / "pruned.pt", tmp_path / "fresh.pt"
    with_plugin = ("--data", corpus, "--user-dir", plugin)
    run("fairseq-prune", "apply", checkpoint, "--output", pruned, *with_plugin, "--prune-scheme",
        "class-blind", "--prune-saliency", "snip", "--prune-score-batches", 2)  # fmt: skip
    run("fairseq-prune", "control", pruned, "--kind", "reinit", "--output", fresh, *with_plugin)
    out = run("fairseq-prune", "evaluate", pruned, *with_plugin, "--cpu", "--max-len-b", 5)
    assert "BLEU" in out and "sparsity 0.8000" in out
    run("fairseq-prune", "sensitivity", checkpoint, *with_plugin, "--cpu", "--each", 0.5,
        "--prune-classes", "component")  # fmt: skip
    run("fairseq-prune", "bench", checkpoint, *with_plugin, "--engines", "fairseq", "--rounds", 1,
        "--beams", 1, "--batches", 8, "--sentences", 8, "--max-len-b", 5)  # fmt: skip
