"""Random command lines of fairseq-prune, drawn from its own parsers: right and wrong values."""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from fairseq_prune.cli.main import build_parser
from tests.conftest import TRAINING, TRANSFORMER

TRAIN = " ".join([*TRANSFORMER, *TRAINING])
Values = tuple[Sequence[str], Sequence[str]]  # right ones, wrong ones
# @NAME is a file or folder of the test's; what is in @out is new in each draw
FILES = ("@missing.pt", "@text.txt", "@empty.pt", "@cut.pt", "@results", "@data", "")
CHECKPOINTS: Values = (("@dense.pt", "@pruned.pt", "@units.pt"), FILES)
DATA: Values = (("@data",), ("@missing", "@text.txt", "@results", "@dense.pt", ""))
OUTPUTS: Values = (
    ("@out/new.pt",),
    ("@out", "@dense.pt", "@out/no/folder/new.pt", "@text.txt/new.pt", "/dev/null", ""),
)
COUNT: Values = (("1", "2", "3"), ("0", "-1", "x", "1.5", str(2**70), ""))
NUMBER: Values = (("0.5", "1"), ("-1", "0", "nan", "inf", "x", "1e400"))
SWITCH: Values = (("",), ("",))
# by the argument's dest; those of --prune-* and switches are below
BY_DEST: Mapping[str, Values] = {
    "checkpoint": CHECKPOINTS,
    "checkpoints": CHECKPOINTS,
    "against": CHECKPOINTS,
    "weights": CHECKPOINTS,
    "masks_from": (("@pruned.pt",), ("@dense.pt", *FILES)),
    "data": DATA,
    "output": OUTPUTS,
    "output_data": (("@out/new-bin",), ("@data", "@out", "@text.txt", "")),
    "proposal": (("@out/given.txt",), ("@out", "@text.txt/x", "")),
    "results": (("@results",), ("@missing", "@text.txt", "@data", "")),
    "study": (("@study.yaml",), FILES),
    "kind": (("shuffle", "random", "invert", "reinit"), ("magic", "")),
    "seed": (("0", "7"), ("-1", "x", str(2**40), str(2**64), str(2**70))),
    "control_seed": (("7",), ("-1", "x", str(2**70))),
    "gen_subset": (("test", "valid"), ("nothing", "", "..", "@data")),
    "subset": (("valid", "test"), ("nothing", "", "..")),
    "valid_subset": (("valid", ""), ("nothing", "..")),
    "tag": (("seed=1", "a=b"), ("a", "=", "bleu=3", "")),
    "expect": (("0.5",), ("0.4", "1", "-1", "nan", "x")),
    "each": (("0.5", "0.3,0.9"), ("", "x", "1.5", "0.5,,", "nan")),
    "propose": (("0.3",), ("0", "1", "-1", "nan", "x")),
    "at_most": (("0", "0.5"), ("-1", "nan", "inf", "x")),
    "source_lang": (("de",), ("en", "xx", "")),
    "target_lang": (("en",), ("de", "xx", "..")),
    "user_dir": (("fairseq_prune",), ("@missing", "@text.txt", "")),
    "remove_bpe": (("sentencepiece", "@@ "), ("",)),
    "reference": ((), ("@text.txt", "@missing", "@dense.pt", "@data", "")),
    "sentencepiece": ((), ("@text.txt", "@missing", "@dense.pt")),
    "corpus": (("@corpus",), ("@missing", "@text.txt", "")),
    "beam": (("1", "2"), COUNT[1]),
    "max_len_b": (("5", "20"), COUNT[1]),
    "max_tokens": (("100", "500"), COUNT[1]),
    "sentences": (("2", "5"), COUNT[1]),
    "engines": (("fairseq",), ("fairseq-csr", "ctranslate2", "x")),
    "rounds": (("1",), COUNT[1]),
    "rewind_to": (("0", "1"), COUNT[1]),
    "rewind": (("weights", "learning-rate"), ("x", "")),
    "controls": (("", "shuffle"), ("x", ",", "reinit,reinit")),
    "on": (("local",), ("slurm", "submitit", "x")),
    "slurm": ((), ("a=b", "a", "")),
    "title": (("A title",), ("<script>", "")),
    "made_by": (("a command",), ("<b>", "")),
    "format": (("checkpoint", "compact"), ("ctranslate2", "x")),
    "quantization": ((), ("int8", "float32", "x")),
    "command": (
        (f"@data {TRAIN} --max-update 2",),
        ("", "@missing", "@data", "@data --prune-scheme x"),
    ),
}
PRUNE: Mapping[str, Values] = {
    "prune_scheme": (("class-blind", "class-uniform", "class-distribution", "erk"), ("x", "given")),
    "prune_sparsity": (("0", "0.3", "0.6"), ("1", "-1", "nan", "x", "0.999999")),
    "prune_given": ((), ("@given.txt", "@missing", "@dense.pt", "@data")),
    "prune_saliency": (("magnitude", "random"), ("snip", "obd-adam", "synflow", "gate", "x")),
    "prune_ratios": ((), ("magnitude", "random", "snip", "x")),
    "prune_structure": (
        ("weight", "row", "block:2x2"),
        ("2:4", "ffn", "hidden", "heads", "x", "block:0x1", "9:2", "1:3", "block:999x999"),
    ),
    "prune_pool": ((), ("mean", "max", "x")),
    "prune_keep_at_least": (("1", "0.2"), ("0", "1.5", "nan", "x")),
    "prune_multiple": ((), ("8", "1", "x")),
    "prune_schedule": (("one-shot", "static"), ("gradual", "rigl", "x")),
    "prune_start": (("0",), ("5", "-1", "x")),
    "prune_end": ((), ("5", "-1")),
    "prune_every": ((), ("5", "0")),
    "prune_ramp": ((), ("5",)),
    "prune_drop": ((), ("0.5", "2")),
    "prune_classes": (
        ("paper", "layer", "component", "tensor"),
        ("@text.txt", "@missing", "x", ""),
    ),
    "prune_exclude": (("", "embed"), (".", "[", ",", "nothing", "(a+)+$")),
    "prune_score_batches": ((), ("1", "0", "-1", str(2**70))),
    "prune_seed": (("0", "7"), ("-1", str(2**40), "x")),
    "prune_mask_from": ((), ("@pruned.pt", "@dense.pt", *FILES)),
}
SLOW = ("bench", "classify", "evaluate", "sensitivity", "study", "tickets", "vocab")


@cache
def parsers() -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """The parser of each subcommand by its words."""
    return dict(_below((), build_parser()))


def _below(
    words: tuple[str, ...], parser: argparse.ArgumentParser
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    subs = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not subs:
        yield words, parser
    for sub in subs:
        for name, below in sub.choices.items():
            yield from _below((*words, name), below)


def draw_command(seed: int, slow: bool) -> list[str]:
    """The words after ``fairseq-prune``; ``slow``: of the subcommands that run a network, too."""
    draw = random.Random(seed)
    known = {w: p for w, p in parsers().items() if slow or w[0] not in SLOW}
    words, parser = draw.choice(list(known.items()))
    careful = draw.random() < 0.6
    wrong = 0.0 if careful else 0.3
    positional: list[str] = []
    flags: list[str] = []
    for action in parser._actions:
        if action.dest == "help":
            continue
        usual = 0.8 if action.dest in USUAL else 0.12
        if action.required and not (wrong and draw.random() < 0.1) or draw.random() < usual:
            given = _values(draw, action, wrong)
            if action.option_strings and given:
                flags += given
            else:
                positional += given
    if words[0] == "tickets":
        return [*words, *flags, "--", *positional]
    return [*words, *positional, *flags]


def every_flag(command: str) -> Iterator[str]:
    """Each flag of a subcommand with each of its values, right and wrong."""
    for action in parsers()[(command,)]._actions:
        if action.option_strings and action.nargs != 0:
            for value in sum(map(list, _known(action)), []):
                yield f"{action.option_strings[-1]}={value}"


def _known(action: argparse.Action) -> Values:
    table = {**BY_DEST, **PRUNE}
    return table.get(action.dest) or _by_type(action)


# what a command line that works has
USUAL = ("output", "prune_scheme", "prune_sparsity", "sentences", "rounds", "engines", "each")


def _values(draw: random.Random, action: argparse.Action, wrong: float) -> list[str]:
    switch = action.nargs == 0
    right, bad = SWITCH if switch else _known(action)
    takes_bad = draw.random() < wrong
    known = bad if takes_bad and bad else right
    if not known:
        return []
    count = draw.choice([1, 1, 2]) if action.nargs in ("+", "*") else 1
    values = [draw.choice(known) for _ in range(count)]
    if action.dest == "command":
        return values[0].split()
    if not action.option_strings:
        return values
    flag = action.option_strings[-1]
    if switch:
        return [flag]
    return [flag, *values] if count > 1 or action.nargs == "+" else [f"{flag}={values[0]}"]


def _by_type(action: argparse.Action) -> Values:
    if action.choices:
        return [str(choice) for choice in action.choices], ["x", ""]
    return {int: COUNT, float: NUMBER}.get(action.type, (("a",), ("",)))  # type: ignore[call-overload,no-any-return]
