"""``fairseq-prune sensitivity``: what pruning one weight class at a time costs."""

import logging
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.checkpoints.apply import check_recipe
from fairseq_prune.cli import _output
from fairseq_prune.cli._results import tags_of
from fairseq_prune.cli.apply import views
from fairseq_prune.cli.evaluate import add_decoding
from fairseq_prune.files.table import Table, as_text, number
from fairseq_prune.files.writing import write_text
from fairseq_prune.maths.structure import NofM
from fairseq_prune.pruning.flags import add_arguments, recipe_of, words_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.sensitivity.proposal import GRID, HEADER, Part, as_file, as_table, propose

if TYPE_CHECKING:
    from fairseq_prune.sensitivity.measure import Asked

HELP = "perplexity (and BLEU) when one weight class is pruned at a time"
DESCRIPTION = """
Prunes one weight class of a dense model, leaves all others dense, and gives the change of
perplexity (2 to the bits a token, as fairseq logs it) and, with --bleu, of BLEU; then the next
class. By default a class loses what --prune-scheme takes from it when it prunes the whole model
(class-blind, 0.9), as in See et al. 2016, figure 4; with --each, the given fractions of itself.

The model runs under the task that it was trained with, as in evaluate: perplexity is of all its
language pairs, or of the one that -s and -t name; --bleu is of one. Other tasks than translation
have perplexity only.

--propose TARGET turns the curves of --each into a sparsity for each class that make TARGET
together, where the perplexity is predicted to rise least: the cheapest weights first, on the
lower convex hull of each class's curve, costs in bits a token added up over classes.
--prune-scheme given --prune-given FILE prunes by them, here, in apply and in fairseq-train.

With --output, the file is written after each class, and the same command goes on where it was cut.
"""
EXAMPLES = """
examples:
  fairseq-prune sensitivity dense.pt --data data-bin --output sensitivity.json
  fairseq-prune sensitivity dense.pt --data data-bin --each 0.5,0.8,0.9 --prune-classes component
  fairseq-prune sensitivity dense.pt --data data-bin --output curves.json --propose 0.8 \\
      --proposal given.txt
  fairseq-prune apply dense.pt --output pruned.pt --prune-scheme given --prune-given given.txt
"""
DEFAULT_SCHEME, DEFAULT_SPARSITY = "class-blind", 0.9  # See et al. (2016), figure 4


def add(parser: ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a dense checkpoint")
    parser.add_argument("--data", required=True, metavar="BIN", help="made by fairseq-preprocess")
    parser.add_argument(
        "--each",
        metavar="SPARSITY,...",
        help="prune each class to these sparsities of its own, rather than by a scheme",
    )
    parser.add_argument(
        "--propose",
        type=float,
        metavar="TARGET",
        help="find class sparsities for this overall sparsity "
        f"(default --each: {','.join(map(str, GRID))})",
    )
    parser.add_argument("--proposal", metavar="FILE", help="write them there, for --prune-given")
    parser.add_argument(
        "--subset", default="valid", help="what to take perplexity and BLEU of (default valid)"
    )
    parser.add_argument("--bleu", action="store_true", help="translate and score too (slow)")
    add_decoding(parser)
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="say this too in the result, e.g. model=lstm; may be repeated",
    )
    parser.add_argument("--output", metavar="FILE.json", help="write the result there")
    parser.add_argument(
        "--force", action="store_true", help="begin anew if the file is of other settings"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
    add_arguments(parser.add_argument_group("how to prune"), recipe_only=True)


def run(arguments: Namespace) -> int:
    """Measure and print; returns the exit code."""
    from fairseq_prune.sensitivity.measure import measure

    logging.basicConfig(level=logging.WARNING)  # fairseq would log to stdout
    asked = _asked(arguments)
    _check_files(arguments)
    for doubt in asked.decoding.check().doubts() if asked.bleu else ():
        _output.warn(doubt)
    with _output.Progress() as progress:
        looks = views(
            asked.checkpoint,
            asked.decoding.given() if asked.recipe.looks else None,
            asked.recipe,
            progress.scored,
        )
        result = measure(
            asked, looks, arguments.output, arguments.force,
            lambda label, count: progress.phase(label, 1.0 / count, 1)(1),
        )  # fmt: skip
    parts = [] if arguments.propose is None else propose(result, arguments.propose)
    if arguments.proposal is not None:
        target = Path(arguments.proposal)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, as_file(parts, result, arguments.propose))
    if arguments.json:
        proposal = {p.label: p.sparsity for p in parts} or None
        _output.print_json({**result, "output": arguments.output, "proposal": proposal})
    else:
        _print(result, parts, arguments)
    return 0


def _asked(arguments: Namespace) -> "Asked":
    """What is asked for; raises ValueError, one sentence, where it makes no sense."""
    from fairseq_prune.evaluation.settings import Settings
    from fairseq_prune.sensitivity.measure import Asked

    each = _each(arguments)
    recipe = _recipe(arguments, each).check()
    own = {"gen_subset": arguments.subset, "valid_subset": None, "split_compounds": False}
    given = {f.name: getattr(arguments, f.name) for f in fields(Settings) if f.name not in own}
    return Asked(
        checkpoint=arguments.checkpoint,
        recipe=check_recipe(recipe, _data(arguments, recipe)),
        each=each,
        decoding=Settings(**own, **given),
        bleu=arguments.bleu,
        tags=tags_of(arguments.tag)[0],
    )


def _each(arguments: Namespace) -> tuple[float, ...]:
    if arguments.each is None:
        return () if arguments.propose is None else GRID
    found = []
    for word in arguments.each.split(","):
        try:
            value = float(word)
        except ValueError:
            value = -1.0
        if not 0.0 <= value < 1.0:
            raise ValueError(
                f"--each {arguments.each} must be fractions in [0, 1) with commas between them, "
                "e.g. 0.5,0.8."
            )
        found.append(value)
    return tuple(sorted(set(found)))


def _recipe(arguments: Namespace, each: tuple[float, ...]) -> Recipe:
    scheme, sparsity = arguments.prune_scheme, arguments.prune_sparsity
    if arguments.prune_mask_from is not None:
        raise ValueError("--prune-mask-from has no place here: sensitivity finds its own masks.")
    if each:
        given = [f"--prune-{n}" for n in ("scheme", "sparsity") if getattr(arguments, f"prune_{n}")]
        flag = "--each" if arguments.each is not None else "--propose"
        if given:
            raise ValueError(
                f"{given[0]} has no effect with {flag}, which prunes each class to sparsities of "
                "its own; leave one of them out."
            )
        arguments.prune_scheme = "class-uniform"
        return recipe_of(arguments)
    arguments.prune_scheme = scheme or DEFAULT_SCHEME
    recipe = recipe_of(arguments)
    follows = recipe.given is not None or isinstance(recipe.groups(), NofM)
    if sparsity is None and not follows:
        arguments.prune_sparsity = DEFAULT_SPARSITY
    return recipe_of(arguments)


def _data(arguments: Namespace, recipe: Recipe) -> str | None:
    """The data, where the saliency looks at it."""
    return str(arguments.data) if recipe.looks else None


def _check_files(arguments: Namespace) -> None:
    target, proposal = arguments.propose, arguments.proposal
    if target is not None and not 0.0 < target < 1.0:
        raise ValueError(f"--propose {target} is outside (0, 1): give the overall sparsity.")
    if arguments.output is not None:
        _output.check_output(arguments.output, force=True)
    if proposal is None:
        return
    if target is None:
        raise ValueError("--proposal has no effect without --propose TARGET.")
    ours = Path(proposal).is_file() and Path(proposal).read_bytes().startswith(HEADER.encode())
    _output.check_output(proposal, arguments.force or ours, "--proposal")


def _print(result: Mapping[str, Any], parts: list[Part], arguments: Namespace) -> None:
    print(as_text(_table(result)), end="")
    if parts:
        print("\n" + as_text(as_table(parts)), end="")
    places = [f"result: {arguments.output}"] if arguments.output else []
    if arguments.proposal:
        places.append(f"proposal: {arguments.proposal}")
    print("; ".join(places) or "nothing was written: --output FILE.json keeps the result")
    if arguments.proposal:
        print(f"to prune by it: {shlex.join(_by_proposal(arguments))}")


def _by_proposal(arguments: Namespace) -> list[str]:
    """The command that prunes by the proposal as it was measured."""
    recipe = replace(recipe_of(arguments), scheme="given", given=arguments.proposal, classes=None)
    words = ["fairseq-prune", "apply", arguments.checkpoint, "--output", "OUT", *words_of(recipe)]
    return [*words, *(["--data", arguments.data] if recipe.looks else [])]


def _table(result: Mapping[str, Any]) -> Table:
    dense, bleu = result["dense"], result["settings"]["with_bleu"]
    head = ["pruned class", "weights", "removed", "sparsity", "largest removed", "ppl", "change"]
    table = [head + (["BLEU", "change"] if bleu else [])]
    table.append(["none", "0", "0", "0.00%", "-", number(dense["ppl"], 3), "0.000"])
    table[-1] += [number(dense["bleu"], 2), "0.00"] if bleu else []
    for row in result["rows"]:
        largest = row["largest_removed"]
        cells = [
            row["class"],
            f"{row['weights']:,}",
            f"{row['removed']:,}",
            f"{row['sparsity']:.2%}",
            "-" if largest is None else f"{largest:.4g}",
            number(row["ppl"], 3),
            _signed(row["ppl_change"], 3),
        ]
        cells += [number(row["bleu"], 2), _signed(row["bleu_change"], 2)] if bleu else []
        table.append(cells)
    return table


def _signed(value: float | None, digits: int) -> str:
    text = number(value, digits)
    return text if value is None or text.startswith("-") else "+" + text
