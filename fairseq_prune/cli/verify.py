"""``fairseq-prune verify``: whether a checkpoint keeps what its masks promise."""

import sys
from argparse import Namespace

from fairseq_prune.checkpoints.audit import Audit, audit, damage
from fairseq_prune.cli import _output
from fairseq_prune.files.colour import coloured
from fairseq_prune.tasks.opening import open_checkpoint


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
            with _output.Progress(f"verifying {path}"):
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
    verdict = coloured(one.verdict, "green" if one.ok else "red", sys.stdout)
    print(f"{one.path}: {verdict}" + "".join(f"; {fact}" for fact in facts))
    for finding in (*one.violations, *one.problems):
        print(f"  {finding}")
    if one.unfinished:
        print(f"  unfinished: {one.unfinished}")
    for note in one.notes:
        print(f"  note: {note}")
