"""The rounds of ``fairseq-prune tickets``: prune, rewind, prove it, train again."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints import storage
from fairseq_prune.checkpoints.apply import apply_recipe
from fairseq_prune.checkpoints.audit import audit
from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.control import make_control
from fairseq_prune.checkpoints.record import Record
from fairseq_prune.checkpoints.resume import LAST, is_trained
from fairseq_prune.checkpoints.tickets import (
    check_survivors,
    rewound,
    sparsity_of_round,
    updates_of,
)
from fairseq_prune.cli import _output
from fairseq_prune.cli._fairseq_train import train
from fairseq_prune.cli._journal import Row
from fairseq_prune.cli._task import looks_at
from fairseq_prune.files.text import value_of
from fairseq_prune.pruning.flags import words_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import Given


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, checked.

    Args:
        output: the folder of all rounds.
        command: the user's words for fairseq-train.
        recipe: how each round prunes; its sparsity is that of the last round.
        rewind_to: the update that survivors go back to.
        rewind: "weights" or "learning-rate".
        controls: names of TICKET_CONTROLS.
        control_seed: of their initial weights and shuffling.
    """

    output: Path
    command: tuple[str, ...]
    recipe: Recipe
    rounds: int
    rewind_to: int
    rewind: str
    controls: tuple[str, ...]
    control_seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """What a run must have in common with the one that it goes on with."""
        return {
            "rounds": self.rounds,
            "rewind-to": self.rewind_to,
            "rewind": self.rewind,
            **{f"prune-{k.replace('_', '-')}": v for k, v in self.recipe.settings.items()},
            "control-seed": self.control_seed,
            "fairseq-train": list(self.command),
        }

    @property
    def kept(self) -> Path:
        """The state after ``rewind_to`` updates."""
        return self.output / "rewind.pt"

    def recipe_of(self, number: int) -> Recipe:
        """The recipe of a round."""
        assert self.recipe.sparsity is not None
        sparsity = sparsity_of_round(self.recipe.sparsity, number, self.rounds)
        return replace(self.recipe, sparsity=sparsity)

    def open(self, path: Path) -> Opened:
        """A checkpoint of this run."""
        return open_checkpoint(str(path), self.recipe.resolved.classes, self.recipe.excluded)

    def parts(self) -> Iterator["Round"]:
        """The trainings, in order."""
        for number in range(self.rounds + 1):
            yield Round(self, f"round-{number}", number)
        for name in self.controls:
            yield Round(self, f"control-{name}", None)


@dataclass(frozen=True)
class Round:
    """One training: a round, or a control (``number`` is None)."""

    plan: Plan
    name: str
    number: int | None

    @property
    def folder(self) -> Path:
        """Where it trains."""
        return self.plan.output / self.name

    def run(self, keep_open: int, say: Callable[[str], None]) -> Row:
        """Train, from where it was cut if it was; gives the line for the journal.

        Raises ValueError where training fails, or what it leaves is not what it should be.
        """
        last = self.folder / LAST
        flags = self._flags()
        over = is_trained(self.folder)
        if not last.is_file() and self.number != 0 and self.name != "control-reinit":
            self._write_start(self._start())
        if not over:
            say(f"training; log {self.folder / 'train.log'}")
            train([*self.plan.command, *flags], self.folder, keep_open)
        if self.number == 0:
            self._keep()
        return self._row(last)

    def _flags(self) -> list[str]:
        plan = self.plan
        if self.number == 0:
            return ["--prune-keep-update", str(plan.rewind_to)]
        if self.number is not None:
            return words_of(plan.recipe_of(self.number))
        if self.name == "control-reinit":
            ticket = plan.output / f"round-{plan.rounds}" / LAST
            return ["--seed", str(plan.control_seed), "--prune-mask-from", str(ticket)]
        return []  # the masks in the folder are held

    def _start(self) -> dict[str, Any]:
        """The checkpoint that the training starts from."""
        plan, kept = self.plan, self.plan.open(self.plan.kept)
        ticket: dict[str, Any] = {"rewound_to": plan.rewind_to, "rewind": plan.rewind}
        if self.number is None:
            dense = plan.open(plan.output / "round-0" / LAST)
            final = plan.open(plan.output / f"round-{plan.rounds}" / LAST)
            source = kept if plan.rewind == "weights" else dense
            record = make_control(final, source, "shuffle", plan.control_seed).record
            return rewound(kept, dense, record, plan.rewind, ticket)
        trained = plan.open(plan.output / f"round-{self.number - 1}" / LAST)
        recipe = plan.recipe_of(self.number)
        given = Given(data=plan.command[0]) if recipe.looks else None
        record = apply_recipe(
            trained, recipe, looks_at(trained.path, given, recipe, lambda *_: None)
        ).record
        ticket = {"round": self.number, "rounds": plan.rounds, **ticket}
        return rewound(kept, trained, record, plan.rewind, ticket)

    def _write_start(self, content: dict[str, Any]) -> None:
        """Write it where fairseq will resume, once what the disk has is proved right."""
        start = self.folder / "start.pt"
        _output.save(content, str(start))
        check_survivors(self.plan.open(start))
        os.replace(start, self.folder / LAST)

    def _keep(self) -> None:
        kept = self.folder / f"checkpoint_update_{self.plan.rewind_to}.pt"
        if kept.is_file():
            os.replace(kept, self.plan.kept)
        elif not self.plan.kept.is_file():
            ended = updates_of(storage.load(self.folder / LAST))
            raise ValueError(
                f"--rewind-to {self.plan.rewind_to} was not reached: training ended after "
                f"{ended} updates; choose an earlier update and another --output."
            )

    def _row(self, last: Path) -> Row:
        opened = open_checkpoint(str(last))
        extra, record = opened.content["extra_state"], opened.record
        metric = value_of(self.plan.command, "--best-checkpoint-metric") or "loss"
        best = extra.get("best")
        row: Row = {
            "name": self.name,
            "round": self.number,
            "sparsity": 0.0 if opened.masks is None else opened.masks.sparsity(),
            "updates": updates_of(opened.content),
            "best": {metric: best if best is not None and math.isfinite(best) else None},
            "seconds": round(extra["previous_training_time"], 1),
        }
        return {**row, **(self._proof(opened, record) if record is not None else {})}

    def _proof(self, opened: Opened, record: Record) -> Row:
        found = audit(opened)
        if not found.ok:
            wrong = "; ".join(map(str, (*found.problems, *found.violations)))
            raise ValueError(f"{opened.path} is not as its masks promise: {wrong}.")
        ticket = record.notes.ticket or {}
        return {
            "masks": found.digest,
            "survivors": ticket.get("survivors"),
            "rewound_to": ticket.get("rewound_to"),
        }
