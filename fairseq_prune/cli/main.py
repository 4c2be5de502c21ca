"""The command line ``fairseq-prune``: runs a subcommand, and says in a sentence what failed."""

import os
import sys
import traceback
import warnings
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any, NoReturn

from _fairseq_prune_compat import interrupts

from fairseq_prune import __version__
from fairseq_prune.cli import (
    apply,
    average,
    bench,
    classify,
    control,
    evaluate,
    export,
    flags,
    inspect,
    report,
    sensitivity,
    shrink,
    study,
    tickets,
    verify,
    vocab,
)
from fairseq_prune.cli._task import add_plugin
from fairseq_prune.pruning.refusal import Refusal, what_to_send
from fairseq_prune.tasks.opening import import_plugin

COMMANDS: dict[str, Any] = {
    "apply": apply,
    "average": average,
    "bench": bench,
    "classify": classify,
    "control": control,
    "evaluate": evaluate,
    "export": export,
    "flags": flags,
    "inspect": inspect,
    "report": report,
    "sensitivity": sensitivity,
    "shrink": shrink,
    "study": study,
    "tickets": tickets,
    "verify": verify,
    "vocab": vocab,
}
# those that open a checkpoint, which may be of an architecture that only a plugin has
OPENING = (
    *("apply", "average", "bench", "classify", "control", "evaluate", "export", "inspect"),
    *("report", "sensitivity", "shrink", "verify", "vocab"),
)
DESCRIPTION = "Prunes fairseq models; shows, checks, shrinks, scores and exports pruned ones."
BUG, FAILED, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


class _Parser(ArgumentParser):
    """An argument parser that fails with one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"fairseq-prune: {message}; see {self.prog} --help.\n")


def build_parser() -> ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="fairseq-prune",
        description=DESCRIPTION,
        epilog=f"fairseq-prune COMMAND --help says more on each.\n\n{flags.flags_text()}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fairseq_prune {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION.strip(),
            epilog=module.EXAMPLES.strip(),
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add(sub)
        if name in OPENING:
            add_plugin(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    interrupts.work_begins()
    # torch warns of details of files that are refused anyway
    warnings.filterwarnings("ignore", module="torch")
    try:
        arguments = build_parser().parse_args(argv)
        import_plugin(getattr(arguments, "user_dir", None))
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except ValueError as error:
        sentence = error.sentence if isinstance(error, Refusal) else error
        print(f"fairseq-prune: {sentence}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        interrupts.work_ends()
        print("fairseq-prune: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone; Python would complain again when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:  # a full disk, a folder that may not be written
        name = error.filename or "a file"
        print(
            f"fairseq-prune: {name} could not be read or written: {error.strerror or error}.",
            file=sys.stderr,
        )
        return FAILED
    except Exception:
        traceback.print_exc()
        print(what_to_send(), file=sys.stderr)
        return BUG
    finally:
        interrupts.work_ends()


if __name__ == "__main__":
    sys.exit(main())
