"""``fairseq-prune tickets``: iterative pruning with rewinding, around stock fairseq-train."""

import time
from argparse import Namespace
from pathlib import Path

from fairseq_prune.checkpoints import REWINDS
from fairseq_prune.checkpoints.apply import check_recipe
from fairseq_prune.cli import _output
from fairseq_prune.cli._fairseq_train import check_command, number_of
from fairseq_prune.cli._journal import Journal, Row
from fairseq_prune.cli._rounds import Plan
from fairseq_prune.cli.parsers.tickets import TICKET_CONTROLS
from fairseq_prune.maths.schemes import ALLOCATIONS
from fairseq_prune.maths.structure import NofM
from fairseq_prune.pruning.flags import recipe_of
from fairseq_prune.pruning.recipe import DEFAULT_SPARSITY, Recipe


def run(arguments: Namespace) -> int:
    """Run all rounds and controls that are not finished; returns the exit code."""
    plan = _plan(arguments)
    journal = Journal(plan.output, "tickets")
    journal.check_folder()
    rows: list[Row] = []
    with journal.working(plan.settings) as keep_open:
        rows_there = journal.rows(lambda row: {row["name"]: _summary(row)})
        finished = {row["name"]: row for row in rows_there}
        for part in plan.parts():
            label = part.name if part.number is None else f"round {part.number} of {plan.rounds}"

            def say(text: str, label: str = label) -> None:
                if not arguments.json:
                    print(f"{time.strftime('%H:%M:%S')} {label}: {text}", flush=True)

            row = finished.get(part.name)
            if row is None:
                row = part.run(keep_open, say)
                journal.add(row)
                say(_summary(row))
            else:
                say(f"was finished before; {_summary(row)}")
            rows.append(row)
    if arguments.json:
        _output.print_json({"output": str(plan.output), "rows": rows})
    return 0


def _summary(row: Row) -> str:
    ((metric, best),) = row["best"].items()
    shown = "-" if best is None else f"{best:.4g}"
    survivors = row.get("survivors")
    proof = f", survivors {survivors[:12]} as at update {row['rewound_to']}" if survivors else ""
    return (
        f"sparsity {row['sparsity']:.4f} of the prunable weights, {row['updates']} updates, "
        f"best {metric} {shown}, {row['seconds']:.1f} s{proof}"
    )


def _plan(arguments: Namespace) -> Plan:
    """What is asked for; raises ValueError, one sentence, where it makes no sense."""
    command, rewind_to = arguments.command, arguments.rewind_to
    check_command(command)
    if arguments.rounds < 1:
        raise ValueError(f"--rounds {arguments.rounds} must be 1 or more.")
    longest = number_of(command, "--max-update")
    if rewind_to < 0 or (longest and rewind_to >= longest):
        most = f" and less than --max-update {longest}" if longest else ""
        raise ValueError(f"--rewind-to {rewind_to} must be 0 or more{most}.")
    if arguments.rewind not in REWINDS:
        raise ValueError(
            f"--rewind {arguments.rewind!r} is unknown; choose {' or '.join(REWINDS)}."
        )
    seed = number_of(command, "--seed")
    seed = 1 if seed is None else seed  # fairseq's default
    control_seed = seed + 1 if arguments.control_seed is None else arguments.control_seed
    controls = _controls(arguments.controls, command)
    if controls and control_seed == seed:
        raise ValueError(
            f"--control-seed {control_seed} is the seed of the run itself; choose another."
        )
    return Plan(
        output=Path(arguments.output),
        command=tuple(command),
        recipe=_recipe(arguments),
        rounds=arguments.rounds,
        rewind_to=rewind_to,
        rewind=arguments.rewind,
        controls=controls,
        control_seed=control_seed,
    )


def _recipe(arguments: Namespace) -> Recipe:
    arguments.prune_scheme = arguments.prune_scheme or "class-blind"
    recipe = recipe_of(arguments)
    if recipe.mask_from is not None:
        raise ValueError("--prune-mask-from has no place here: tickets finds its own masks.")
    entry = ALLOCATIONS.get(str(recipe.scheme))
    if entry is not None and entry.takes_shares:
        raise ValueError(
            f"--prune-scheme {recipe.scheme} has no place here: each round of tickets has a "
            "sparsity of its own; use class-blind, class-uniform, class-distribution or erk."
        )
    check_recipe(recipe, arguments.command[0] if recipe.looks else None)
    if isinstance(recipe.groups(), NofM):
        raise ValueError(
            f"--prune-structure {recipe.structure} fixes the sparsity, so that there are no rounds "
            "to take; use weight, row or block:RxC."
        )
    if recipe.sparsity == 0.0:
        raise ValueError("--prune-sparsity 0.0 is outside (0, 1): nothing would be pruned.")
    if recipe.sparsity is None:
        arguments.prune_sparsity = DEFAULT_SPARSITY
    return recipe_of(arguments)


def _controls(text: str, command: list[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in TICKET_CONTROLS:
            raise ValueError(
                f"--controls {name!r} is unknown; choose {' or '.join(TICKET_CONTROLS)}."
            )
    if "reinit" in names and any(w.startswith("--finetune-from-model") for w in command):
        raise ValueError(
            "--controls reinit has no other initial weights to start from with "
            "--finetune-from-model; leave one of them out."
        )
    return names
