"""``fairseq-prune verify``: whether a checkpoint keeps what its masks promise."""

import sys
from argparse import ArgumentParser, Namespace

from fairseq_prune.checkpoints.audit import Audit, audit, damage
from fairseq_prune.cli import _output
from fairseq_prune.tasks.opening import open_checkpoint

HELP = "check that every pruned weight of a checkpoint is zero"
DESCRIPTION = """
Checks that every masked weight is exactly zero in the model (under each name of a tied tensor),
in its average (EMA) and in the optimizer's moments, that the number of removed weights is exactly
what the sparsity asks for, that the schedule has reached its end, and that the masks' digest fits.
Training a pruned checkpoint further
without --user-dir fairseq_prune drops the masks from the file; --masks-from compares the result
with a file that still has them.

Exit code: 0 all is well; 1 something is wrong, or the schedule unfinished, and is named; 2 a file
cannot be used.
"""
EXAMPLES = """
examples:
  fairseq-prune verify checkpoints/checkpoint*.pt
  fairseq-prune verify checkpoint_best.pt --expect 0.8
  fairseq-prune verify resumed.pt --masks-from pruned.pt
"""


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "checkpoints", metavar="CHECKPOINT", nargs="+", help="the checkpoints to check"
    )
    parser.add_argument(
        "--masks-from", metavar="FILE", help="check against the masks of this checkpoint"
    )
    parser.add_argument(
        "--expect",
        metavar="S",
        type=float,
        help="the sparsity that each has to have, in [0, 1), of what its recipe counts (weights, "
        "tiles or units); default: the one that it was pruned for",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no text")


def run(arguments: Namespace) -> int:
    """Check and print; returns the exit code."""
    expected = arguments.expect
    if expected is not None and not 0.0 <= expected < 1.0:
        raise ValueError(
            f"--expect {expected:g} is outside [0, 1): it is the fraction removed, e.g. 0.8 for "
            "80%."
        )
    audits: list[Audit] = []
    unusable: dict[str, str] = {}
    for path in arguments.checkpoints:
        try:
            audits.append(_audit(path, arguments.masks_from, expected))
        except ValueError as error:
            unusable[path] = str(error)
            print(f"fairseq-prune: {error}", file=sys.stderr)
        else:
            if not arguments.json:
                _print(audits[-1])
    ok = not unusable and all(one.ok for one in audits)
    if arguments.json:
        checkpoints = [one.as_dict() for one in audits]
        _output.print_json({"ok": ok, "checkpoints": checkpoints, "unusable": unusable})
    return 2 if unusable else int(not ok)


def _audit(path: str, masks_from: str | None, expected: float | None) -> Audit:
    damaged = None if masks_from else damage(path)
    if damaged:
        return Audit(path, problems=[damaged])
    return audit(open_checkpoint(path, torn=True), masks_from, expected)


def _print(one: Audit) -> None:
    facts = [", ".join(one.checked) + " checked"] if one.checked else []
    if one.digest:
        share = one.removed / one.prunable if one.prunable else 0.0
        facts.append(f"{one.removed:,} of {one.prunable:,} weights removed ({share:.2%})")
        facts.append(f"masks {one.digest[:12]}")
    print(f"{one.path}: {one.verdict}" + "".join(f"; {fact}" for fact in facts))
    for finding in (*one.violations, *one.problems):
        print(f"  {finding}")
    if one.unfinished:
        print(f"  unfinished: {one.unfinished}")
    for note in one.notes:
        print(f"  note: {note}")
