"""Fixtures that several rooms share: a tiny corpus, tiny models, and fairseq runs."""

import gc
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from fairseq_prune.checkpoints.audit import Audit, audit
from fairseq_prune.tasks.opening import open_checkpoint
from tests import forked
from tests.forked import train_here
from tests.quick_settings import quick_settings

quick_settings()
# machines are shared and noisy: a slow example is no wrong one
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

LSTM = (
    "--arch lstm --encoder-embed-dim 16 --encoder-hidden-size 16 --encoder-layers 2 "
    "--encoder-bidirectional --decoder-embed-dim 16 --decoder-hidden-size 16 --decoder-layers 2 "
    "--decoder-out-embed-dim 16 --dropout 0.1"
).split()
TRANSFORMER = (
    "--arch transformer --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-layers 2 "
    "--encoder-attention-heads 2 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
    "--decoder-layers 2 --decoder-attention-heads 2 --share-decoder-input-output-embed "
    "--dropout 0.1 --ddp-backend legacy_ddp"
).split()
ARCHES = {"lstm": LSTM, "transformer": TRANSFORMER}
TRAINING = (
    "--optimizer adam --lr 0.01 --clip-norm 1 --weight-decay 0.1 --max-tokens 200 --cpu --seed 1 "
    "--criterion label_smoothed_cross_entropy --label-smoothing 0.1 --no-progress-bar "
    "--log-interval 1 --no-epoch-checkpoints --num-workers 0"
).split()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A binarised corpus (de -> en) whose target is its source reversed, in capitals."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(1)
    words = "ab ba ca da ea fa ga ha ia ja ka la".split()
    for split, size in (("train", 120), ("valid", 20), ("test", 20)):
        lines = [[draw.choice(words) for _ in range(draw.randint(2, 8))] for _ in range(size)]
        source = "".join(" ".join(line) + "\n" for line in lines)
        target = "".join(" ".join(line[::-1]).upper() + "\n" for line in lines)
        (folder / f"{split}.de").write_text(source)
        (folder / f"{split}.en").write_text(target)
    run(
        "fairseq-preprocess", "-s", "de", "-t", "en", "--joined-dictionary",
        *(f"--{split}pref={folder / split}" for split in ("train", "valid", "test")),
        f"--destdir={folder / 'bin'}",
    )  # fmt: skip
    return folder / "bin"


def run(*command: Any, fails: bool = False, fork: bool = True, **environment: str) -> str:
    """The output of a command in a process of its own; it has to succeed, unless ``fails``.

    Args:
        fork: whether the process may be a fork that has imported torch and fairseq already; where
            it cannot do the same, or the environment is another one, it is a new interpreter.
        environment: variables that this process does not have.
    """
    words = [str(word) for word in command]
    if fork and not environment and _read_at_import() == VARIABLES and forked.can_fork(words):
        with tempfile.NamedTemporaryFile() as log:
            code = forked.run(words, Path(log.name))
            out = Path(log.name).read_text()
    else:
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=forked.LIMIT,
        )
        code, out = done.returncode, done.stdout
    assert (code != 0) == fails, out[-4000:]
    return out


def _read_at_import() -> dict[str, str]:
    """The variables that make another interpreter."""
    first = ("FAIRSEQ", "PYTHON", "OMP_", "MKL_")
    return {name: value for name, value in os.environ.items() if name.startswith(first)}


VARIABLES = _read_at_import()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what is imported is never garbage: finding that out takes 0.3 s each time


def torchrun(ranks: int) -> list[Any]:
    """The words before a fairseq command's flags that start it as so many gloo ranks on CPU."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return ["torchrun", "--nproc_per_node", ranks, "--master_port", port, BIN / "fairseq-train"]


Train = Callable[..., dict[str, Any]]


@pytest.fixture
def train(corpus: Path) -> Train:
    """Trains with fairseq's own main in this process; gives the last checkpoint.

    Called as ``train(folder, "--max-update", 4, arch="lstm")``; with ``cut=2`` the run is saved
    after 2 updates, and ended as by a kill.
    """

    def call(
        folder: Path, *flags: Any, arch: str = "lstm", cut: int | None = None
    ) -> dict[str, Any]:
        if cut is not None:
            flags = (*flags, "--save-interval-updates", cut)
        with cut_at(cut):
            train_here([corpus, *ARCHES[arch], *TRAINING, "--save-dir", folder, *flags])
        return read(folder / "checkpoint_last.pt")

    return call


class _Cut(Exception):
    """The end of a run that is cut."""


@contextmanager
def cut_at(update: int | None) -> Iterator[None]:
    """Ends fairseq's training where so many updates are completed."""
    from fairseq.trainer import Trainer

    original = Trainer.train_step

    def train_step(trainer: Any, *arguments: Any, **more: Any) -> Any:
        if trainer.get_num_updates() == update:
            raise _Cut
        return original(trainer, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch, suppress(_Cut):
        patch.setattr(Trainer, "train_step", train_step)
        yield


def audit_of(path: str) -> Audit:
    """What `fairseq-prune verify` finds in a file."""
    return audit(open_checkpoint(path, torn=True))


def read(path: Path) -> dict[str, Any]:
    """A checkpoint, all of it in memory."""
    from fairseq_prune.checkpoints import storage

    loaded = storage.load(path)
    loaded["model"] = {name: value.clone() for name, value in loaded["model"].items()}
    return loaded


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """The paths at which two nested structures of tensors and values differ, bit for bit."""
    if isinstance(a, torch.Tensor):
        same = isinstance(b, torch.Tensor) and (a.dtype, a.shape) == (b.dtype, b.shape)
        # bits, not values: a buffer that fairseq never fills may hold a NaN, which equals nothing
        return [] if same and torch.equal(_bits(a), _bits(b)) else [path]
    if isinstance(a, dict):
        if not isinstance(b, dict) or set(a) != set(b):
            return [f"{path}: keys"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return [f"{path}: length"]
        return [d for i, x in enumerate(a) for d in differences(x, b[i], f"{path}/{i}")]
    return [] if a == b else [f"{path}: {a!r} against {b!r}"]


def _bits(a: torch.Tensor) -> torch.Tensor:
    return a.detach().contiguous().flatten().view(torch.uint8)


def trained(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What training has to reproduce: weights, optimizer, masks; not fairseq's shadow copies."""
    from fairseq_prune.checkpoints.storage import prune_state
    from fairseq_prune.network.weights import SHADOW

    ours = prune_state(checkpoint) or {}
    return {
        "model": {
            name: value
            for name, value in checkpoint["model"].items()
            # fairseq refills the copies at load, and this buffer is never written
            if not SHADOW.search(name) and not name.endswith("_float_tensor")
        },
        "optimizer": checkpoint.get("last_optimizer_state"),
        "ema": checkpoint["extra_state"].get("ema_fp32_params"),
        "prune": {key: value for key, value in ours.items() if key != "command"},
    }
