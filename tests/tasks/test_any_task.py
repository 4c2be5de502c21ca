"""Every task of fairseq has the prune flags, under its own name and as pruned_NAME."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LSTM, ROOT, TRAINING, Train, read, run, train_here


def test_every_task_is_registered_twice_and_registering_again_changes_nothing() -> None:
    from fairseq.tasks import TASK_REGISTRY

    from fairseq_prune.tasks import register

    register()
    before = dict(TASK_REGISTRY)
    stock = [name for name in before if not name.startswith("pruned_")]
    assert len(stock) > 25
    assert all(before[name] is before[f"pruned_{name}"] for name in stock)
    register()
    assert dict(TASK_REGISTRY) == before


def test_the_task_can_be_named(train: Train, tmp_path: Path) -> None:
    done = train(
        tmp_path, "--max-update", 1, "--task", "pruned_translation", "--prune-scheme", "erk"
    )
    assert done["cfg"]["task"]["_name"] == "translation"
    assert done["task_state"]["prune"]["config"]["sparsity"] == 0.8


def test_a_language_model_is_pruned_too(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / split).write_text("a b c d e f g\nb c d\n" * 20)
    prefs = [f"--{split}pref={tmp_path / split}" for split in ("train", "valid", "test")]
    run("fairseq-preprocess", "--only-source", *prefs, f"--destdir={tmp_path / 'bin'}")
    train_here(
        [tmp_path / "bin", "--task", "language_modeling", "--arch", "transformer_lm",
         "--decoder-embed-dim", 8, "--decoder-ffn-embed-dim", 16, "--decoder-layers", 1,
         "--decoder-attention-heads", 1, "--tokens-per-sample", 16, "--max-update", 2,
         *TRAINING, "--save-dir", tmp_path / "run", "--prune-scheme", "class-uniform",
         "--prune-sparsity", 0.5, "--ddp-backend", "legacy_ddp"]
    )  # fmt: skip
    done = read(tmp_path / "run" / "checkpoint_last.pt")
    assert done["cfg"]["task"]["_name"] == "language_modeling"
    classes = set(done["task_state"]["prune"]["classes"].values())
    assert {"target-embedding", "target-layer-1.ffn", "target-layer-1.self-attention"} <= classes


def with_hydra(corpus: Path, folder: Path, *settings: str) -> dict[str, Any]:
    """The last checkpoint of a small run of fairseq-hydra-train."""
    side = ("embed_dim=8", "ffn_embed_dim=8", "layers=1", "attention_heads=1")
    run(
        "fairseq-hydra-train", "--config-dir", ROOT / "configs" / "prune",
        "--config-name", "transformer_hydra", f"task.data={corpus}", "common.cpu=true",
        f"checkpoint.save_dir={folder / 'run'}", f"hydra.run.dir={folder / 'hydra'}",
        "dataset.max_tokens=200", "dataset.num_workers=0", "optimization.max_update=2",
        *(f"model.{end}.{size}" for end in ("encoder", "decoder") for size in side), *settings,
    )  # fmt: skip
    return read(folder / "run" / "checkpoint_last.pt")


def test_hydra_takes_the_same_settings(corpus: Path, tmp_path: Path) -> None:
    done = with_hydra(corpus, tmp_path)
    assert done["cfg"]["task"]["_name"] == "translation"
    assert done["task_state"]["prune"]["config"]["scheme"] == "class-distribution"
    assert done["task_state"]["prune"]["config"]["sparsity"] == 0.8


OWN = """
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

@register_task("my_own", dataclass=TranslationConfig)
class MyTask(TranslationTask):
    pass
"""
PLUGINS = {
    "first": {"__init__.py": "import fairseq_prune\n" + OWN},
    "last": {"__init__.py": OWN + "import fairseq_prune\n"},
    "in a folder": {"__init__.py": "import fairseq_prune\n", "tasks/__init__.py": "",
                    "tasks/mine.py": OWN},
}  # fmt: skip


def written(name: str, folder: Path) -> Path:
    """A plugin of this name."""
    plugin = folder / f"plugin_{name.replace(' ', '_')}"
    for path, text in PLUGINS[name].items():
        (plugin / path).parent.mkdir(parents=True, exist_ok=True)
        (plugin / path).write_text(text)
    return plugin


@pytest.mark.parametrize(
    "name", [n if n == "first" else pytest.param(n, marks=pytest.mark.slow) for n in PLUGINS]
)
def test_tasks_of_another_plugin_are_pruned_wherever_it_imports_us(
    name: str, corpus: Path, tmp_path: Path
) -> None:
    plugin = written(name, tmp_path)
    flags = ["--user-dir", plugin, "--task", "my_own", "--max-update", 1]
    run("fairseq-train", corpus, *LSTM, *TRAINING, *flags, "--save-dir", tmp_path / "run",
        "--prune-scheme", "class-blind")  # fmt: skip
    done = read(tmp_path / "run" / "checkpoint_last.pt")
    assert done["task_state"]["prune"]["config"]["sparsity"] == 0.8
    assert done["cfg"]["task"]["_name"] == "my_own"


@pytest.mark.slow
@pytest.mark.parametrize("named", ["my_own", "pruned_my_own"])
@pytest.mark.parametrize("name", PLUGINS)
def test_hydra_takes_tasks_of_another_plugin(
    name: str, named: str, corpus: Path, tmp_path: Path
) -> None:
    plugin = written(name, tmp_path)
    done = with_hydra(corpus, tmp_path, f"common.user_dir={plugin}", f"task._name={named}")
    assert done["task_state"]["prune"]["config"]["sparsity"] == 0.8
    assert done["cfg"]["task"]["_name"] == "my_own"
