"""``fairseq-prune sensitivity``: what pruning one weight class at a time costs."""

import shlex
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_prune.checkpoints.apply import check_recipe
from fairseq_prune.cli import _output
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._results import tags_of
from fairseq_prune.cli._task import looks_at
from fairseq_prune.files.table import Table, as_text, number
from fairseq_prune.files.writing import write_text
from fairseq_prune.maths.structure import NofM
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.flags import recipe_of, words_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.sensitivity import SPARSITIES
from fairseq_prune.sensitivity.proposal import (
    HEADER,
    ClassShare,
    as_file,
    as_table,
    check_limit,
    is_all_measured,
    predicted,
    propose,
    propose_at_most,
)

if TYPE_CHECKING:
    from fairseq_prune.sensitivity.measure import Asked


DEFAULT_SCHEME, DEFAULT_SPARSITY = "class-blind", 0.9  # See et al. (2016), figure 4


def run(arguments: Namespace) -> int:
    """Measure and print; returns the exit code."""
    from fairseq_prune.sensitivity.measure import measure

    asked = _asked(arguments)
    _check_files(arguments)
    for doubt in asked.decoding.check().doubts() if asked.bleu else ():
        _output.warn(doubt)
    with Progress() as progress:
        looks = looks_at(
            asked.checkpoint,
            asked.decoding.given() if asked.recipe.looks else None,
            asked.recipe,
            progress.scored,
        )
        result = measure(
            asked, looks, arguments.output, arguments.force,
            lambda label, count: progress.phase(label, 1.0 / count, 1)(1),
        )  # fmt: skip
    parts, asked_for = _proposed(result, arguments)
    if arguments.proposal is not None:
        target = Path(arguments.proposal)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, as_file(parts, result, asked_for))
    if arguments.json:
        proposal = {p.label: p.sparsity for p in parts} or None
        bits = predicted(parts) if parts else None
        more = {"output": arguments.output, "proposal": proposal, "predicted_bits": bits}
        _output.print_json({**result, **more})
    else:
        _print(result, parts, arguments)
    return 0


def _proposed(result: Mapping[str, Any], arguments: Namespace) -> tuple[list[ClassShare], str]:
    """What is proposed, and by which flag; nothing where no flag asks for it."""
    if arguments.propose is not None:
        return propose(result, arguments.propose), f"propose {arguments.propose:g}"
    if arguments.at_most is not None:
        return propose_at_most(result, arguments.at_most), f"at-most {arguments.at_most:g}"
    return [], ""


def _asked(arguments: Namespace) -> "Asked":
    """What is asked for; raises ValueError, one sentence, where it makes no sense."""
    from fairseq_prune.evaluation.settings import Settings
    from fairseq_prune.sensitivity.measure import Asked

    each = _each(arguments)
    recipe = checked(_recipe(arguments, each))
    own = {
        "gen_subset": arguments.subset,
        "valid_subset": None,
        "split_compounds": False,
        "also": (),
    }
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
        return SPARSITIES if _proposing(arguments) else ()
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


def _proposing(arguments: Namespace) -> str | None:
    """The flag that asks for a proposal, or None."""
    given = {"--propose": arguments.propose, "--at-most": arguments.at_most}
    return next((flag for flag, value in given.items() if value is not None), None)


def _recipe(arguments: Namespace, each: tuple[float, ...]) -> Recipe:
    scheme, sparsity = arguments.prune_scheme, arguments.prune_sparsity
    if arguments.prune_mask_from is not None:
        raise ValueError("--prune-mask-from has no place here: sensitivity finds its own masks.")
    if each:
        given = [f"--prune-{n}" for n in ("scheme", "sparsity") if getattr(arguments, f"prune_{n}")]
        flag = "--each" if arguments.each is not None else _proposing(arguments)
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
    if arguments.at_most is not None:
        check_limit(arguments.at_most)
        if target is not None:
            raise ValueError("--propose and --at-most are two ways to ask: give one of them.")
    if arguments.output is not None:
        _output.check_output(arguments.output, force=True)
    if proposal is None:
        return
    if _proposing(arguments) is None:
        raise ValueError("--proposal has no effect without --propose TARGET or --at-most BITS.")
    ours = Path(proposal).is_file() and Path(proposal).read_bytes().startswith(HEADER.encode())
    _output.check_output(proposal, arguments.force or ours, "--proposal")


def _print(result: Mapping[str, Any], parts: list[ClassShare], arguments: Namespace) -> None:
    print(as_text(_table(result)), end="")
    if parts:
        print("\n" + as_text(as_table(parts)), end="")
    if arguments.at_most is not None and is_all_measured(parts, result):
        print("nothing sparser was measured: --each with larger sparsities looks further")
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
