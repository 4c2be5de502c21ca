"""The settings of runs are those that hydra makes of their flags where nothing is quicker."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from omegaconf import Node

from fairseq_prune.study import forks

TRAINING = "--optimizer adam --lr 0.01,0.02 --max-tokens 200 --cpu --max-update"
PRUNE = "--prune-scheme class-blind --prune-sparsity 0.7 --prune-schedule gradual --prune-end 9"
RUNS = [
    f"--arch lstm --encoder-layers 2 {TRAINING} 4",
    f"--arch lstm --encoder-layers 3 {TRAINING} 5 {PRUNE} --save-dir elsewhere",
    f"--arch transformer --share-all-embeddings {TRAINING} 4 --lr-scheduler inverse_sqrt",
    f"--task language_modeling --arch transformer_lm {TRAINING} 4 {PRUNE}",
    "--task multilingual_translation --lang-pairs de-en,fr-en --arch multilingual_transformer "
    f"--criterion label_smoothed_cross_entropy --label-smoothing 0.1 {TRAINING} 4",
    f"--arch transformer --eval-bleu --eval-bleu-remove-bpe=@@  {TRAINING} 6 --patience 3",
]


def settings(runs: list[str]) -> list[Any]:
    """Of each run, every setting with its place, its type and what omegaconf keeps of it."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    import fairseq_prune

    fairseq_prune.register()
    made = []
    for flags in runs:
        words = ["DATA", *flags.split()]
        parsed = options.parse_args_and_arch(options.get_training_parser(), words)
        made.append(_flat("", convert_namespace_to_omegaconf(parsed)))
    return made


def _flat(name: str, node: Any) -> list[Any]:
    if not isinstance(node, Node):
        return [(name, repr(node))]
    content = node.__dict__.get("_content")
    if not isinstance(content, dict | list):
        return [(name, type(node).__name__, repr(node), repr(node._metadata))]
    inside = list(content.items() if isinstance(content, dict) else enumerate(content))
    assert all(value._get_parent() is node for _, value in inside if isinstance(value, Node)), name
    own = (name, type(node).__name__, repr(node._metadata))
    return [own, *(one for key, value in inside for one in _flat(f"{name}.{key}", value))]


def _write(path: str) -> int:
    Path(path).write_bytes(pickle.dumps(settings(RUNS)))
    return 0


@pytest.mark.slow
def test_they_are_what_hydra_makes(tmp_path: Path) -> None:
    stock = forks.start(_write, (str(tmp_path / "stock"),), tmp_path / "log", {})
    quick = settings(RUNS + RUNS)
    stock.join(200)
    assert stock.exitcode == 0, (tmp_path / "log").read_text()
    expected = pickle.loads((tmp_path / "stock").read_bytes())
    assert quick == expected + expected
    assert len({repr(one) for one in expected}) == len(RUNS) and len(expected[0]) > 300
