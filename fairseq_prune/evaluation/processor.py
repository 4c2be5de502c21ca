"""On what a model ran. Sums are taken in another order on another processor, and their last bits,
and all that a training makes of these, are others."""

import platform
from pathlib import Path


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
