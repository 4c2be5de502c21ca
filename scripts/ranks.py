"""One training on one GPU, all of a machine's, or several machines', with the same batches.

    python -m scripts.ranks fairseq-train DATA FLAGS

prints the command that trains so, as GPUS, NODES, ... of scripts/recipe.sh say: one word a line.
"""

import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SIZES = ("--max-tokens", "--batch-size")


@dataclass(frozen=True)
class Ranks:
    """The processes of a training.

    Args:
        local: on this machine.
        nodes, node: how many machines, and which of them this is, from 0.
        address, port: where the first one listens.
        on_gpu: a GPU each.
        fp16: half precision.
    """

    local: int = 1
    nodes: int = 1
    node: int = 0
    address: str = ""
    port: int = 29500
    on_gpu: bool = False
    fp16: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Ranks":
        """What GPUS, NODES, NODE_RANK, MASTER_ADDR, MASTER_PORT and FP16 say.

        Raises ValueError where they make no sense.
        """
        there = _gpus()
        local = _whole(environment, "GPUS", there or 1, 1)
        if there and local > there:
            raise ValueError(f"GPUS={local} is more than the {there} that this machine has.")
        nodes = _whole(environment, "NODES", 1, 1)
        node = _whole(environment, "NODE_RANK", 0, 0)
        address = environment.get("MASTER_ADDR", "")
        if node >= nodes:
            raise ValueError(f"NODE_RANK={node} must be below NODES={nodes}.")
        if nodes > 1 and not address:
            raise ValueError(
                f"NODES={nodes} needs MASTER_ADDR, the name of the first machine, on all of them."
            )
        fp16 = _whole(environment, "FP16", 1 if there else 0, 0) > 0
        port = _whole(environment, "MASTER_PORT", 29500, 1)
        return cls(local, nodes, node, address, port, there > 0, fp16 and there > 0)

    @property
    def count(self) -> int:
        """How many there are on all machines."""
        return self.local * self.nodes

    def launch(self) -> list[str]:
        """The words before the arguments of fairseq-train."""
        if self.count == 1:
            return ["fairseq-train"]
        words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(self.local)]
        if self.nodes == 1:
            words.append("--standalone")
        else:
            words += ["--nnodes", str(self.nodes), "--node-rank", str(self.node)]
            words += ["--master-addr", self.address, "--master-port", str(self.port)]
        return [*words, str(Path(sys.executable).parent / "fairseq-train")]

    def shared(self, words: Sequence[str]) -> list[str]:
        """The flags of one process, so that all together see the batches that one alone would.

        First fewer batches make an update, then the batches are smaller.

        Raises ValueError where a batch cannot be shared.
        """
        flags = list(words)
        rest = self.count
        if "--update-freq" in flags:
            at = flags.index("--update-freq") + 1
            common = math.gcd(int(flags[at]), rest)
            flags[at], rest = str(int(flags[at]) // common), rest // common
        for name in _SIZES:
            if rest > 1 and name in flags:
                at = flags.index(name) + 1
                if int(flags[at]) % rest:
                    raise ValueError(
                        f"{self.count} processes cannot share the batches of this recipe "
                        f"({name[2:]} {flags[at]}); use a number of GPUS x NODES that divides them."
                    )
                flags[at] = str(int(flags[at]) // rest)
        flags += ["--distributed-world-size", str(self.count)]
        if self.count > 1 and "--ddp-backend" not in flags:
            # fairseq's encoder layers own tensors that get no gradient, which others stumble over
            flags += ["--ddp-backend", "legacy_ddp"]
        if not self.on_gpu:
            flags += ["--cpu", *(["--distributed-backend", "gloo"] if self.count > 1 else [])]
        return flags + (["--fp16"] if self.fp16 and "--fp16" not in flags else [])


def _gpus() -> int:
    """How many GPUs may be used here."""
    if not os.environ.get("CUDA_VISIBLE_DEVICES", shutil.which("nvidia-smi")):
        return 0  # none are there, or named: without the seconds that torch takes to say so
    from fairseq_prune.study.executors import visible_gpus

    return len(visible_gpus())


def _whole(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) < least:
        raise ValueError(f"{name}={text[:20]} must be a whole number from {least}.")
    return int(text)


def main(words: Sequence[str]) -> int:
    """The exit code, after printing."""
    try:
        ranks = Ranks.of(os.environ)
        if bad := next((word for word in words if "\n" in word), None):
            raise ValueError(f"{bad!r} has a line's end, which no flag of fairseq-train can have.")
        command = [*ranks.launch(), *ranks.shared(words[1:])]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(command))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
