"""``fairseq-prune verify``: whether a checkpoint keeps what its masks promise."""

import sys
from argparse import Namespace

from fairseq_prune.checkpoints.audit import Audit
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.files.colour import coloured
from fairseq_prune.tasks.verifying import check_expected, verified


def run(arguments: Namespace) -> int:
    """Check and print; returns the exit code."""
    expected = arguments.expect
    check_expected(expected)
    audits: list[Audit] = []
    unusable: dict[str, str] = {}
    for path in arguments.checkpoints:
        try:
            with Progress(f"verifying {path}"):
                audits.append(verified(path, arguments.masks_from, expected))
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


def _print(one: Audit) -> None:
    verdict = coloured(one.verdict, "green" if one.ok else "red", sys.stdout)
    print(str(one).replace(f": {one.verdict}", f": {verdict}", 1))
