"""A checkpoint trained with a penalty is a plain one, and every criterion can have it."""

from pathlib import Path

import pytest

from tests.conftest import ARCHES, ROOT, TRAINING, differences, read, run
from tests.criterions.test_runs import LOSS, PENALTIES


@pytest.fixture(
    scope="module", params=["greg-1", pytest.param("group lasso", marks=pytest.mark.slow)]
)
def penalised(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("penalised")
    run(
        "fairseq-train", corpus, *ARCHES["lstm"], *TRAINING, "--save-dir", folder,
        "--max-update", 7, "--user-dir", ROOT / "fairseq_prune", *PENALTIES[request.param],
    )  # fmt: skip
    return folder / "checkpoint_last.pt"


def test_stock_commands_open_it_without_the_plugin(penalised: Path, corpus: Path) -> None:
    out = run("fairseq-validate", corpus, "--path", penalised, "--task", "translation", "--cpu",
              "--max-tokens", 500)  # fmt: skip
    assert "valid on 'valid' subset" in out
    out = run("fairseq-generate", corpus, "--path", penalised, "--beam", 2, "--cpu")
    assert "Generate test with beam=2" in out and "fairseq_prune" not in out


def test_the_saved_criterion_is_the_stock_one_to_the_last_field(
    penalised: Path, corpus: Path, tmp_path: Path
) -> None:
    run("fairseq-train", corpus, *ARCHES["lstm"], *TRAINING, "--save-dir", tmp_path,
        "--max-update", 1)  # fmt: skip
    stock, ours = read(tmp_path / "checkpoint_last.pt"), read(penalised)
    assert ours["cfg"]["criterion"]["_name"] == LOSS
    assert differences(stock["cfg"]["criterion"], ours["cfg"]["criterion"]) == []
    names = [c["optimizer_history"][-1]["criterion_name"] for c in (stock, ours)]
    assert names[0] == names[1]


def test_stock_fairseq_trains_on_from_it(penalised: Path, corpus: Path, tmp_path: Path) -> None:
    run("fairseq-train", corpus, *ARCHES["lstm"], *TRAINING, "--save-dir", tmp_path,
        "--restore-file", penalised, "--max-update", 8)  # fmt: skip
    assert read(tmp_path / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == 8


def test_every_criterion_with_a_dataclass_has_its_penalised_forms() -> None:
    from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

    from fairseq_prune import register

    register()
    before = dict(CRITERION_REGISTRY)
    stock = [
        n for n in CRITERION_DATACLASS_REGISTRY if not n.endswith(("_growing", "_group_lasso"))
    ]
    assert {"cross_entropy", LOSS} <= set(stock) and len(stock) > 10
    for name in stock:
        for suffix in ("growing", "group_lasso"):
            assert before[f"{name}_{suffix}"].__name__ == before[name].__name__
            assert issubclass(before[f"{name}_{suffix}"], before[name])
    register()
    assert dict(CRITERION_REGISTRY) == before


@pytest.mark.slow
def test_hydra_takes_the_same_settings(corpus: Path, tmp_path: Path) -> None:
    side = ("embed_dim=8", "ffn_embed_dim=8", "layers=1", "attention_heads=1")
    out = run(
        "fairseq-hydra-train", "--config-dir", ROOT / "configs" / "prune",
        "--config-name", "transformer_hydra", f"task.data={corpus}", "common.cpu=true",
        f"checkpoint.save_dir={tmp_path / 'run'}", f"hydra.run.dir={tmp_path / 'hydra'}",
        "dataset.max_tokens=200", "dataset.num_workers=0", "optimization.max_update=3",
        *(f"model.{end}.{size}" for end in ("encoder", "decoder") for size in side),
        f"criterion._name={LOSS}_growing", "+criterion.prune_penalty_ceiling=7",
        "+task.prune_start=2",
    )  # fmt: skip
    done = read(tmp_path / "run" / "checkpoint_last.pt")
    assert done["cfg"]["criterion"]["_name"] == LOSS, out[-2000:]
    assert done["cfg"]["criterion"]["label_smoothing"] == 0.1
    ours = done["task_state"]["prune"]
    assert ours["penalty"]["settings"]["penalty_ceiling"] == 7 and ours["acted"] == 2
