"""On what a model ran. Sums are taken in another order on another processor, and their last bits,
and all that a training makes of these, are others."""

import platform
from pathlib import Path

from fairseq_prune import __version__
from fairseq_prune.files.text import this_command


def made_here(cpu: bool) -> dict[str, str]:
    """What a row of results says of the process that measures it."""
    return {"command": this_command(), "version": __version__, "processor": processor(cpu)}


def processor(cpu: bool) -> str:
    """The name of the GPU, or of the CPU with its widest vectors.

    Args:
        cpu: whether GPUs were left alone.
    """
    import torch  # here, as rows are read without it

    if not cpu and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    vectors = torch.backends.cpu.get_cpu_capability()
    return f"{_cpu()}, {vectors}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
