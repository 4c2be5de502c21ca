"""Keeps the points of a study going: starts what can start, notices what has ended, says so."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fairseq_prune.files.text import last_lines
from fairseq_prune.study.executors import Executor, Job
from fairseq_prune.study.layout import Laid
from fairseq_prune.study.point import Point
from fairseq_prune.study.progress import Costs, how_far, in_words, longest_first, time_left

_LOOK = 0.2  # seconds between looks
_ELSEWHERE = 3.0  # seconds between looks at what another run is doing
_QUIET = 60.0  # seconds after which a sign of life is due


@dataclass
class Outcome:
    """How a run of a study ended: points by name."""

    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Running:
    point: Point
    job: Job
    slot: int
    begin: float


class Driver:
    """One run of a study.

    Args:
        laid: the study in its folder, all points written down.
        executor: where workers run.
        say: prints a sentence.
    """

    def __init__(self, laid: Laid, executor: Executor, say: Callable[[str], None]) -> None:
        self.laid, self.executor, self.say = laid, executor, say
        self.outcome, self.costs = Outcome(), Costs()
        # every point is in one of: waiting, running, outcome
        self.waiting = {p.name: p for p in laid.points}
        self.running: dict[str, _Running] = {}
        self.elsewhere: dict[str, float] = {}  # when to look again at what another run does
        self.said = time.monotonic()
        self._order: list[Point] | None = None

    def run(self) -> Outcome:
        """Do all points that can be done; what others do in the same folder is waited for."""
        for name in [name for name in self.waiting if self.laid.folders[name].is_done]:
            self._done(self.waiting.pop(name))
        if self.outcome.done:
            self._tell(f"{len(self.outcome.done)} points were done before")
        try:
            while self.waiting or self.running:
                self._collect()
                self._start()
                self._sign_of_life()
                time.sleep(_LOOK)
        except BaseException:
            for running in self.running.values():  # all, should a second Ctrl-C cut the waiting
                running.job.ask()
            for name, running in self.running.items():
                self.say(f"stopping  {name}")
                running.job.stop()
            raise
        return self.outcome

    def _start(self) -> None:
        if self._order is None:
            self._order = longest_first(self.waiting.values(), self.costs)
        for point in self._order:
            name = point.name
            if len(self.running) >= self.executor.slots:
                return
            if name not in self.waiting:
                continue
            if not self._is_ready(point) or self.elsewhere.get(name, 0) > time.monotonic():
                continue
            folder = self.laid.folders[name]
            if folder.is_busy:
                self._is_elsewhere(point)
            elif folder.is_done:  # by another run, meanwhile
                self._done(self.waiting.pop(name))
            else:
                taken = {running.slot for running in self.running.values()}
                slot = next(i for i in range(self.executor.slots) if i not in taken)
                folder.remove("failed")  # of another time
                job = self.executor.start(folder.path, slot)
                self.running[name] = _Running(self.waiting.pop(name), job, slot, time.monotonic())
                self._tell(f"started   {name}")

    def _is_elsewhere(self, point: Point) -> None:
        if point.name not in self.elsewhere:
            self._tell(f"elsewhere {point.name}: another run, or what one left, is at work on it")
        self.elsewhere[point.name] = time.monotonic() + _ELSEWHERE

    def _is_ready(self, point: Point) -> bool:
        """Whether what the point needs is done; a point that can never start is ended."""
        if point.needs is None or point.needs.name in self.outcome.done:
            return True
        need = point.needs.name
        if need in self.outcome.failed or need in self.outcome.blocked:
            self.waiting.pop(point.name)
            self.outcome.blocked.append(point.name)
            self._tell(f"left out  {point.name}: it needs {need}")
        return False

    def _collect(self) -> None:
        for name, running in list(self.running.items()):
            if not running.job.is_over():
                continue
            del self.running[name]
            folder = self.laid.folders[name]
            if folder.is_done:
                self._done(running.point)
                took = in_words(time.monotonic() - running.begin)
                score = (folder.read("done") or {}).get("score")
                self._tell(f"finished  {name}  ({took}){f': {score}' if score else ''}")
            elif folder.is_busy:  # its worker was killed, and what it started lives on
                self.waiting[name], self._order = running.point, None
                self._is_elsewhere(running.point)
            else:
                self._fail(name, running.job)

    def _fail(self, name: str, job: Job) -> None:
        folder = self.laid.folders[name]
        report = folder.read("failed")
        if report is None:  # the worker itself was killed, or broke
            lines = last_lines(folder.path / "worker.log")
            report = {"what": f"its worker {job.how()}", "lines": lines, "log": None}
            folder.write("failed", {**report, "time": time.time()})
        self.outcome.failed[name] = str(report["what"])
        self._tell(f"FAILED    {name}: {report['what']}")
        for line in report["lines"]:
            self.say(f"    {line}")
        if report["log"]:
            self.say(f"    the whole log: {report['log']}")

    def _done(self, point: Point) -> None:
        self._order = None  # costs are better known
        self.outcome.done.add(point.name)
        self.costs.add(point, self.laid.folders[point.name])

    def _sign_of_life(self) -> None:
        if time.monotonic() - self.said > _QUIET:
            self._tell("running   " + ", ".join(self._at_work() or self.elsewhere))

    def _at_work(self) -> list[str]:
        """What runs, with how far its training is."""
        far = {n: how_far(r.point, self.laid.folders[n]) for n, r in self.running.items()}
        return [f"{name} ({said})" if said else name for name, said in far.items()]

    def _tell(self, sentence: str) -> None:
        self.said = time.monotonic()
        done, total = len(self.outcome.done), len(self.laid.points)
        self.say(f"{sentence}  [{done} of {total}{self._left()}]")

    def _left(self) -> str:
        left = [*self.waiting.values(), *(running.point for running in self.running.values())]
        now = time.monotonic()
        spent = {name: now - running.begin for name, running in self.running.items()}
        seconds, unknown = time_left(left, self.costs, self.executor.slots, spent)
        parts = [f"about {in_words(seconds)}"] if seconds >= 0.5 else []
        if unknown:
            parts.append(f"{unknown} point{'s' * (unknown > 1)} of unknown length")
        return f"; left: {' and '.join(parts)}" if parts else ""
