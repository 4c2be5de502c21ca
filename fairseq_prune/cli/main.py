"""The command line ``fairseq-prune``: runs a subcommand, and says in a sentence what failed."""

import logging
import os
import sys
import traceback
import warnings
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

from _fairseq_prune_compat import interrupts

from fairseq_prune import __version__
from fairseq_prune.cli.parsers._shared import add_plugin
from fairseq_prune.files.colour import coloured
from fairseq_prune.files.registry import Lazy
from fairseq_prune.pruning.checks import check_known
from fairseq_prune.pruning.flags import recipe_of

# by what they are for; the words and flags of each are in parsers/NAME.py, what it does in NAME.py
GROUPS = {
    "prune a model": ("apply", "retrain", "tickets", "control"),
    "look at it": ("inspect", "verify"),
    "make it smaller": ("shrink", "vocab", "export", "average"),
    "use it": ("translate",),
    "measure it": ("evaluate", "classify", "bench", "sensitivity"),
    "do whole experiments": ("study", "report"),
    "while training": ("flags",),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
# those that open a checkpoint, which may be of an architecture that only a plugin has
OPENING = (
    *("apply", "average", "bench", "classify", "control", "evaluate", "export", "inspect"),
    *("report", "retrain", "sensitivity", "shrink", "translate", "verify", "vocab"),
)
DESCRIPTION = "Prunes fairseq models; shows, checks, shrinks, scores and exports pruned ones."
MORE = (
    "fairseq-prune COMMAND --help says more on each, with examples; fairseq-prune flags explains "
    "the prune flags."
)
# what is printed where no command is given
SHORT = """fairseq-prune {version}: {what}

  prune and retrain       fairseq-prune retrain dense.pt --data DATA --prune-scheme class-uniform
  prune only              fairseq-prune apply dense.pt --output OUT.pt --prune-scheme class-uniform
  see what is pruned      fairseq-prune inspect pruned.pt
  score models            fairseq-prune evaluate dense.pt pruned.pt --data DATA --output FILE
  compare the scores      fairseq-prune report FOLDER --output REPORT
  cut units out: faster   fairseq-prune shrink pruned.pt --output small.pt
  a small or int8 file    fairseq-prune export pruned.pt --output OUT --format FORMAT
  translate text          fairseq-prune translate exported < text
  whole experiments       fairseq-prune study init --checkpoint dense.pt --data DATA > my.yaml

fairseq-prune --help lists all commands. {more}
"""
BUG, FAILED, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


class _Parser(ArgumentParser):
    """An argument parser that fails with one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"fairseq-prune: {message}; see {self.prog} --help.\n")


def build_parser() -> ArgumentParser:
    """The parser of the whole command line; what runs a command is imported when it runs."""
    parser = _Parser(
        prog="fairseq-prune",
        usage="%(prog)s [-h] [-V] COMMAND ...",
        description=DESCRIPTION,
        epilog=MORE,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version = f"fairseq_prune {__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", help=SUPPRESS, prog=parser.prog)
    for purpose, names in GROUPS.items():
        words = {name: import_module(f"fairseq_prune.cli.parsers.{name}") for name in names}
        lines = [f"{name:12} {module.HELP}" for name, module in words.items()]
        parser.add_argument_group(purpose, "\n".join(lines))
        for name, module in words.items():
            _add_command(commands, name, module)
    return parser


def _add_command(commands: Any, name: str, words: Any) -> None:
    parser = commands.add_parser(
        name,
        description=words.DESCRIPTION.strip(),
        epilog=words.EXAMPLES.strip(),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words.add(parser)
    if name in OPENING:
        add_plugin(parser)
    parser.set_defaults(run=Lazy(f"fairseq_prune.cli.{name}", "run"))


def _run(arguments: Namespace) -> int:
    plugin = getattr(arguments, "user_dir", None)
    if plugin is None:  # which may bring more
        check_known(recipe_of(arguments))
    run = arguments.run.load()
    interrupts.work_begins()
    if plugin is not None:
        Lazy("fairseq_prune.tasks.opening", "import_plugin")(plugin)
    code: int = run(arguments)
    sys.stdout.flush()
    return code


def parsed(argv: Sequence[str] | None = None) -> Namespace:
    """What a command line says; ``rest`` is what a command passes on to fairseq-train."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next
        import_module("argcomplete").autocomplete(parser)
    first = next(iter(sys.argv[1:] if argv is None else argv), "-")
    if not first.startswith("-") and first not in COMMANDS:
        near = get_close_matches(first, COMMANDS, 1)
        meant = f"is it {near[0]}" if near else f"there are {', '.join(COMMANDS)}"
        meant = "prune by apply, or by retrain, which trains too" if first == "prune" else meant
        parser.error(f"{first!r} is no command; {meant}")
    arguments, rest = parser.parse_known_args(argv)
    if rest and not hasattr(arguments, "passes_on"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    # torch warns of details of files that are refused anyway, fairseq of what torch has renamed
    warnings.filterwarnings("ignore", module=r"torch|fairseq(?!_prune)")
    logging.basicConfig(level=logging.WARNING)  # fairseq would log between the results
    try:
        arguments = parsed(argv)
        if not hasattr(arguments, "run"):
            print(SHORT.format(version=__version__, what=DESCRIPTION, more=MORE), end="")
            return 0
        return _run(arguments)
    except ValueError as error:
        sentence = getattr(error, "sentence", error)  # of a Refusal
        print(f"{coloured('fairseq-prune', 'red')}: {sentence}", file=sys.stderr)
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
        name, why = error.filename or "a file", error.strerror or error
        start = coloured("fairseq-prune", "red")
        print(f"{start}: {name} could not be read or written: {why}.", file=sys.stderr)
        return FAILED
    except Exception:
        from fairseq_prune.pruning.refusal import what_to_send

        traceback.print_exc()
        print(what_to_send(), file=sys.stderr)
        return BUG
    finally:
        interrupts.work_ends()


if __name__ == "__main__":
    sys.exit(main())
