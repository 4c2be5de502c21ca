"""``fairseq-prune tickets``: iterative pruning with rewinding, around stock fairseq-train."""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from fairseq_prune.checkpoints.apply import check_recipe
from fairseq_prune.checkpoints.tickets import REWINDS
from fairseq_prune.cli import _output
from fairseq_prune.cli._fairseq_train import check_command, number_of
from fairseq_prune.cli._journal import Journal, Row
from fairseq_prune.cli._rounds import CONTROLS, Plan
from fairseq_prune.maths.structure import NofM
from fairseq_prune.pruning.flags import add_arguments, recipe_of
from fairseq_prune.pruning.recipe import DEFAULT_SPARSITY, Recipe

HELP = "find lottery tickets: train, prune, rewind, train again, in rounds"
DESCRIPTION = """
Trains with stock fairseq-train, prunes what came out, takes the weights that are left back to
where they were after --rewind-to updates, and trains again under the mask; each round removes the
same share of what is left, until --prune-sparsity (iterative magnitude pruning, Frankle and Carbin
2019; rewinding, Frankle et al. 2020). The optimizer, the schedule and the order of the data go back
too. With --rewind learning-rate the weights and the optimizer's moments stay as they were trained
and only the schedule and the data go back (Renda et al. 2020). --rounds 1 is the one-shot ticket.

OUTPUT/round-0 is the dense training, OUTPUT/round-N the last ticket; rewind.pt is the state that
is rewound to, and tickets.jsonl has a line for each round, with the digest that proves that the
survivors are those of rewind.pt. The same command goes on where it was cut.
"""
EXAMPLES = """
examples:
  fairseq-prune tickets --output runs/tickets --prune-sparsity 0.8 --rounds 5 --rewind-to 200 \\
      -- data-bin --arch transformer --max-update 2000 --seed 1 ...
  fairseq-prune tickets --output runs/oneshot --rounds 1 --rewind-to 0 \\
      --controls reinit,random-ticket -- data-bin --arch lstm --max-epoch 10 ...
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for all rounds")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument(
        "--rewind-to",
        type=int,
        required=True,
        metavar="K",
        help="update to go back to; 0 is the very beginning, which fails for large models",
    )
    parser.add_argument(
        "--rewind",
        default="weights",
        metavar="WHAT",
        help=", ".join(f"{name} ({what})" for name, what in REWINDS.items()) + "; default weights",
    )
    parser.add_argument(
        "--controls",
        default="",
        metavar="NAMES",
        help="after the last round, too: "
        + ", ".join(f"{name} ({what})" for name, what in CONTROLS.items()),
    )
    parser.add_argument(
        "--control-seed", type=int, metavar="N", help="of the controls (default: --seed plus 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    add_arguments(parser.add_argument_group("how to prune"), recipe_only=True)
    parser.add_argument(
        "command", nargs="*", metavar="-- DATA ...", help="the command line of fairseq-train"
    )


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
    if recipe.scheme == "given":
        raise ValueError(
            "--prune-scheme given has no place here: each round of tickets has a sparsity of its "
            "own; use class-blind, class-uniform, class-distribution or erk."
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
        if name not in CONTROLS:
            raise ValueError(f"--controls {name!r} is unknown; choose {' or '.join(CONTROLS)}.")
    if "reinit" in names and any(w.startswith("--finetune-from-model") for w in command):
        raise ValueError(
            "--controls reinit has no other initial weights to start from with "
            "--finetune-from-model; leave one of them out."
        )
    return names
