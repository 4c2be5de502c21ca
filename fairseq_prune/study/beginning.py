"""A study file to begin with: commented, and small enough to be run as it is."""

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from fairseq_prune.evaluation import evaluate
from fairseq_prune.evaluation.classify import ClassifySettings
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.evaluation.subwords import FLAGS
from fairseq_prune.network.options import architecture, stock_task
from fairseq_prune.network.ties import parameters_in
from fairseq_prune.study.progress import in_words
from fairseq_prune.study.scoring import EVALUATE, scoring_of
from fairseq_prune.study.trained_model import SAID, Trained, read_trained

_PLAIN = re.compile(r"[\w./][\w./+-]*")  # what YAML takes for a text as it stands
_TRAININGS = 3  # of the grid below
_TEMPLATE = """\
# {head}
#   fairseq-prune study plan THIS --output runs/mine    what would run
#   fairseq-prune study run THIS --output runs/mine     run it; stopped, the same command goes on
# The report is runs/mine/report/index.html. fairseq-prune study keys: every key and its default.
{about}
title: {title}

data:
  {data_name:29} # a name of your own
    bin: {data}
{reference}
models:
  {model_name:29} # a name of your own
    checkpoint: {checkpoint}
    # never written to; architecture, loss, optimizer and batches are those in the file. It is
    # retrained with half of its learning rate for a third of its training (whole epochs), that is:
    {retrain}

seeds: 1                        # [1, 2, 3]: what is trained is trained three times, for intervals

grid:                           # each block is the product of its lists
  - stages: longer              # the dense model, trained on: what more training alone gains
  - stages: pruned              # not retrained: seconds each
    schemes: [class-blind, class-uniform, class-distribution]     # who pays how much
    sparsities: [0.4, 0.6, 0.8]                                   # fractions of the weights
    # saliencies: magnitude     # what a weight is worth; [magnitude, random], say
    # structures: weight        # what is removed together; ffn, heads, hidden, row, block:4x4, 2:4
  - stages: retrained           # pruned, and trained further
    schemes: class-blind
    sparsities: [0.6, 0.8]
{sensitivity}
evaluate:                       # flags of fairseq-prune {command}
{evaluate}
keep: evaluated                 # of finished points only the checkpoint that was scored; or all
"""
_SENSITIVITY = """\
  - stages: sensitivity         # one weight class pruned at a time: what each class can bear
    schemes: class-blind
    sparsities: 0.8
"""
_TRANSLATING = """\
{subset}  beam: 5
  max-len-a: 1.2                # models that collapsed would ramble on for 200 tokens
  max-len-b: 10
{join}"""


@dataclass(frozen=True)
class _Model:
    """What a file to begin with says of a model and its data."""

    head: str = "A study to begin with: fill in bin and checkpoint."
    about: str = ""
    title: str = "Pruning a model of mine"
    data_name: str = "corpus:"
    data: str = "data-bin               # the folder that fairseq-preprocess made"
    model_name: str = "mine:"
    checkpoint: str = "dense.pt"
    retrain: str = "# retrain: {lr: 0.0005, max-epoch: 5}"
    command: str = EVALUATE
    evaluate: str = _TRANSLATING.format(
        subset="",
        join='  # remove-bpe: sentencepiece   # for \u2581; "@@ " for subword-nmt\n',
    )
    sensitivity: str = _SENSITIVITY
    reference: str = (
        "    # reference: test.en        # raw target text; else the data's own, joined\n"
    )


def template() -> str:
    """The file for no model: places are to be filled in."""
    return _text(_Model())


def begun(checkpoint: str, data: str) -> str:
    """The file for a model and its data.

    Raises ValueError where the two do not go together, or no study takes them.
    """
    path, folder = Path(checkpoint).absolute(), Path(data).absolute()
    if not path.is_file():
        raise ValueError(f"--checkpoint {checkpoint} is not a file; give a trained model.")
    if not folder.is_dir():
        raise ValueError(
            f"--data {data} is not a folder; give the one that fairseq-preprocess made."
        )
    model = read_trained("it", {None: path}, {})
    scoring = scoring_of(stock_task(model.content) or "")
    translates = scoring == EVALUATE
    settings = _translating(path, folder) if translates else _classifying(folder)
    kind = architecture(model.content) or "mine"
    return _text(
        _Model(
            head=f"A study of {path.name}, written by fairseq-prune study init.",
            about=_about(model),
            title=_quoted(f"Pruning {'/'.join(path.parts[-2:])}"),
            data=_quoted(str(folder)),
            model_name=re.sub(r"\W", "_", kind)[:50] + ":",
            checkpoint=_quoted(str(path)),
            retrain=f"# retrain: {_flags(model)}",
            command=scoring,
            evaluate=settings,
            **({} if translates else {"reference": "", "sensitivity": ""}),
        )
    )


def _text(model: _Model) -> str:
    return _TEMPLATE.format(**vars(model))


def _about(model: Trained) -> str:
    """What the file says of its training, and how long the study will take by that."""
    from fairseq_prune.tasks.retraining import trained

    epochs, updates = trained(model.content)
    size = sum(one.numel() for one in parameters_in(model.content["model"]).values())
    behind = f"{epochs} epoch{'s' if epochs != 1 else ''}, {updates:,} updates"
    said = f"{model.path.name}: {architecture(model.content)}, {size:,} parameters, {behind}. "
    (unit, whole), (other, length) = model.dense.length, model.retrain.length
    each = f"The {_TRAININGS} trainings below have {length:g} {other}s each"
    if model.seconds is None or unit != other:
        said += f"{each}; how long the model's own took it does not say."
    else:
        took = in_words(model.seconds * _TRAININGS * length / whole)
        said += (
            f"That took {in_words(model.seconds)}. {each}: {took} on such a machine, one after the "
            "other. Decoding comes on top."
        )
    lines = textwrap.wrap(said, 94, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}".rstrip() + "\n" for line in ["", *lines])


def _flags(model: Trained) -> str:
    pairs = model.retrain.only(SAID).pairs
    return "{" + ", ".join(f"{name}: {value}" for name, value in pairs) + "}"


def _translating(path: Path, folder: Path) -> str:
    """The section ``evaluate``, by the data; raises ValueError where they are not the model's."""
    Settings(data=str(folder), gen_subset="valid").check()  # whether it is data at all
    tested = any(folder.glob("test.*")) or any(folder.glob("*/test.*"))
    settings = Settings(data=str(folder), gen_subset="test" if tested else "valid")
    (own,) = evaluate.check([str(path)], settings)
    if not own.translates:
        raise ValueError(
            f"{path} is of the task {own.name}; a study scores translations and classifiers."
        )
    _check_tables(path, folder)
    subset = "" if tested else "  gen-subset: valid             # there is no test set\n"
    mark = settings.subwords()
    if mark is None:
        join = "  # remove-bpe: ...           # the target's dictionary shows no subwords\n"
    else:
        kind = FLAGS[mark].partition(" ")[2] or '"@@ "'
        join = f"  remove-bpe: {kind:16}  # the target's dictionary has subwords with {mark}\n"
    if settings.looks_escaped():
        join += (
            "  # text: moses               # the target has HTML escapes: scores of plain text\n"
        )
    return _TRANSLATING.format(subset=subset, join=join)


def _check_tables(path: Path, folder: Path) -> None:
    """Raise ValueError where the dictionaries are not those that the model was trained with."""
    from fairseq_prune.tasks.loaded import DataProblem, load

    try:
        load([str(path)], {"data": str(folder)})
    except (ValueError, DataProblem) as error:
        raise ValueError(f"{path} does not go with --data {folder}: {error}.") from None


def _classifying(folder: Path) -> str:
    ClassifySettings(data=str(folder)).check()
    return "  subset: test\n"


def _quoted(text: str) -> str:
    """A text as YAML has it."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
