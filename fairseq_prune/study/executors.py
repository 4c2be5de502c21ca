"""Where workers run: processes of this machine, or jobs of a cluster through submitit."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from fairseq_prune.study import forks, worker


class Job(Protocol):
    """A worker that was started."""

    def is_over(self) -> bool:
        """Whether it has ended, whatever came of it."""

    def how(self) -> str:
        """How it ended, for people."""

    def ask(self) -> None:
        """Ask it to end, with all that it started; it is not waited for."""

    def stop(self) -> None:
        """End it, with all that it started."""


class Executor(Protocol):
    """Starts workers."""

    slots: int  # how many at a time

    def start(self, folder: Path, slot: int) -> Job:
        """Start a worker on the point in ``folder``; ``slot`` is below ``slots`` and free."""


class Local:
    """Workers as processes of this machine.

    Args:
        slots: how many at a time; None for one a core, or one a group of ``gpus`` GPUs.
        gpus: for each training, None for one; where there are none, as many processes.
        cpu: leave GPUs alone.
    """

    def __init__(self, slots: int | None, gpus: int | None, cpu: bool) -> None:
        self.devices = [] if cpu else visible_gpus()
        self.cpu, self.gpus = not self.devices, gpus or 1
        if self.devices and self.gpus > len(self.devices):
            raise ValueError(
                f"--gpus {gpus} is more than the {len(self.devices)} that this machine has."
            )
        most = len(self.devices) or len(os.sched_getaffinity(0))
        self.slots = slots or max(1, most // self.gpus)

    def start(self, folder: Path, slot: int) -> "Worker":
        """Start a worker as a process group of its own."""
        environment = {}
        if not self.cpu:
            first = slot * self.gpus
            mine = [self.devices[(first + i) % len(self.devices)] for i in range(self.gpus)]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        arguments, log = (str(folder), self.gpus, self.cpu), folder / "worker.log"
        # a process that has seen a GPU cannot be forked
        return Worker(forks.start(worker.work, arguments, log, environment, imported=self.cpu))


class Process:
    """A program on this machine, which leads a process group of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def how(self) -> str:
        """Its exit code or signal."""
        return worker.how_it_ended(self.process.returncode)

    def ask(self) -> None:
        """Ask the program and what it started to end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def stop(self) -> None:
        """End the program and what it started."""
        self.ask()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Worker:
    """A worker on this machine."""

    def __init__(self, process: BaseProcess) -> None:
        self.process = process

    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self.process.is_alive()

    def how(self) -> str:
        """Its exit code or signal."""
        assert self.process.exitcode is not None
        return worker.how_it_ended(self.process.exitcode)

    def ask(self) -> None:
        """Ask the worker and what it started to end."""
        self._send(signal.SIGTERM)

    def stop(self) -> None:
        """End the worker and what it started."""
        self.ask()
        self.process.join(timeout=10)
        self._send(signal.SIGKILL)
        self.process.join()

    def _send(self, number: signal.Signals) -> None:
        pid = self.process.pid
        assert pid is not None
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            if self.is_over():
                return
            os.kill(pid, number)  # it leads no group yet


class Cluster:
    """Workers as jobs of a cluster, by submitit.

    Args:
        folder: where submitit keeps its files and the jobs' output.
        cluster: "slurm", or "local" for processes that submitit starts.
        slots: jobs in the queue at a time.
        gpus: of each job.
        options: more of submitit's parameters, such as slurm_partition or timeout_min.

    Raises ValueError where submitit is not installed, or refuses the options.
    """

    def __init__(
        self, folder: Path, cluster: str, slots: int | None, gpus: int, options: Mapping[str, str]
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise ValueError(f"--on {cluster} needs submitit: pip install submitit.") from None
        self.slots, self.gpus = slots or 100, gpus
        values: dict[str, Any] = {"name": "fairseq-prune", "gpus_per_node": gpus}
        if cluster == "local":  # submitit would end a job after two minutes
            values["timeout_min"] = 7 * 24 * 60
        values |= {k: int(v) if v.isdigit() else v for k, v in options.items()}
        try:
            self.executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self.executor.update_parameters(**values)
        except Exception as error:  # submitit raises RuntimeError, NameError, ValueError ...
            raise ValueError(f"submitit refuses --on {cluster}: {error}") from None

    def start(self, folder: Path, slot: int) -> "Submitted":
        """Submit a worker."""
        job = self.executor.submit(worker.work, str(folder), max(1, self.gpus), self.gpus == 0)
        return Submitted(job)


class Submitted:
    """A worker in the hands of submitit."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def is_over(self) -> bool:
        """Whether it has ended."""
        return bool(self.job.done())

    def how(self) -> str:
        """Its state, and where its output lies."""
        return f"ended as {self.job.state}; see {self.job.paths.stderr}"

    def ask(self) -> None:
        """Cancel it."""
        self.job.cancel()

    def stop(self) -> None:
        """Cancel it."""
        self.ask()


def visible_gpus() -> list[str]:
    """The GPUs that a training may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name.strip() not in ("", "-1")]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]
