"""``fairseq-prune retrain``: prune a trained model and train it further, around fairseq-train."""

import shlex
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_prune.checkpoints.checkpoint import Opened
from fairseq_prune.checkpoints.resume import BEST, LAST
from fairseq_prune.checkpoints.steps import read_steps
from fairseq_prune.cli import _output
from fairseq_prune.cli._fairseq_train import train
from fairseq_prune.cli._journal import Journal
from fairseq_prune.cli._progress import Progress
from fairseq_prune.cli._watching import watch
from fairseq_prune.evaluation.settings import Settings
from fairseq_prune.files.text import by_flag, file_name, value_of
from fairseq_prune.network.options import architecture, task_name
from fairseq_prune.pruning.checks import checked
from fairseq_prune.pruning.flags import recipe_of, words_of
from fairseq_prune.pruning.recipe import Recipe
from fairseq_prune.tasks.opening import open_checkpoint
from fairseq_prune.tasks.own import OwnTask

# what would contradict the command, and why
_REFUSED = {
    "--save-dir": "checkpoints go to --output DIR",
    "--finetune-from-model": "the model to begin with is CHECKPOINT",
    "--restore-file": "the model to begin with is CHECKPOINT",
    "--continue-once": "the model to begin with is CHECKPOINT",
    "--arch": "the architecture is that of CHECKPOINT",
    "-a": "the architecture is that of CHECKPOINT",
    "--no-save": "nothing would be left of the training",
    "--checkpoint-suffix": "the same command goes on with checkpoint_last.pt",
}


def run(arguments: Namespace) -> int:
    """Train, or print what would be run; returns the exit code."""
    recipe = checked(recipe_of(arguments))
    _check(arguments, recipe)
    with Progress(f"reading {arguments.checkpoint}"):
        source = open_checkpoint(arguments.checkpoint)
        _check_prunes(arguments, recipe, source)
        words = _training(arguments, recipe, source)
        _check_data(source.path, arguments.data)
    folder = Path(arguments.output or _folder(arguments, recipe))
    line = ["fairseq-train", *words, "--user-dir", _plugin(arguments), "--save-dir", str(folder)]
    journal = Journal(folder, "retrain")
    journal.check_folder()
    print(shlex.join(line), flush=True)
    if arguments.dry_run:
        return 0
    begun = any(folder.glob("checkpoint*.pt"))  # else what failed may be tried with other words
    with journal.working(by_flag(words), begun) as keep_open:
        log = folder / "train.log"
        if begun and journal.rows():
            _output.say(f"was finished before; all that fairseq said is in {log}")
        else:
            _output.say(f"{'goes on' if begun else 'starts'}; all that fairseq says is in {log}")
            train(words, folder, keep_open, plugin=_plugin(arguments), shown=watch)
            journal.add({"finished": time.strftime("%Y-%m-%d %H:%M:%S")})
    _report(arguments, folder)
    return 0


def _check(arguments: Namespace, recipe: Recipe) -> None:
    """Raise ValueError where flags make no sense, before anything is opened."""
    rest: Sequence[str] = arguments.rest
    for word in rest:
        flag = word.partition("=")[0]
        if flag in _REFUSED:
            raise ValueError(f"leave {flag} out: {_REFUSED[flag]}.")
    if rest and not rest[0].startswith("-"):
        raise ValueError(
            f"{rest[0]!r} belongs to no flag; retrain takes one CHECKPOINT, before all flags of "
            "fairseq-train."
        )
    epochs = arguments.epochs
    if epochs is not None and epochs < 1:
        raise ValueError(f"--epochs {epochs} must be 1 or more.")
    if epochs is not None and value_of(rest, "--max-epoch"):
        raise ValueError("--epochs and --max-epoch say the same: leave one of them out.")
    if arguments.dense and recipe.active:
        flag = words_of(recipe)[0]
        raise ValueError(f"--dense prunes nothing: leave it out, or {flag}.")
    folder = Path(arguments.data.split(":")[0])
    dictionaries = (*folder.glob("dict.*txt"), *folder.glob("input0/dict.txt"))
    if not dictionaries or not any((*folder.glob("train*"), *folder.glob("input0/train*"))):
        what = (
            "has no dictionary and training data (dict.*, train.*)"
            if folder.is_dir()
            else "is no folder"
        )
        raise ValueError(
            f"--data {folder} {what}; give the folder that fairseq-preprocess wrote (--destdir)."
        )


def _check_prunes(arguments: Namespace, recipe: Recipe, source: Opened) -> None:
    """Raise ValueError where it would train a dense model and nobody asked for that."""
    changed = source.masks is not None or read_steps(source.content, source.path)
    if recipe.active or arguments.dense or changed:
        return
    raise ValueError(
        f"{source.path} is not pruned, and no flag prunes it: give --prune-scheme (such as "
        "class-distribution, 80% unless --prune-sparsity says otherwise), or --dense to train it "
        "on as it is, the control for what retraining gains."
    )


def _training(arguments: Namespace, recipe: Recipe, source: Opened) -> list[str]:
    """The words of fairseq-train but the folder's."""
    from fairseq_prune import register  # fairseq takes seconds to load
    from fairseq_prune.tasks.command_line import NotTaken
    from fairseq_prune.tasks.retraining import retraining_flags

    register()
    rest = list(arguments.rest)
    rest += ["--prune-override"] if arguments.prune_override else []
    keep = arguments.prune_keep_update
    rest += [] if keep is None else ["--prune-keep-update", str(keep)]
    simple = [] if value_of(rest, "--log-format") else ["--log-format", "simple"]
    given = [*simple, *rest, *words_of(recipe)]
    try:
        flags = retraining_flags(source.content, given, arguments.epochs)
    except NotTaken as error:
        raise ValueError(f"{error}.") from None
    except ValueError as error:
        arch = architecture(source.content) or "unknown"
        raise ValueError(
            f"{source.path} (architecture {arch}) cannot be trained further: {error}."
        ) from None
    return [arguments.data, *flags, "--finetune-from-model", source.path]


def _check_data(path: str, data: str) -> None:
    """Raise ValueError where the checkpoint's task cannot use the data."""
    from fairseq_prune.tasks.loaded import DataProblem, Misfit, check_data

    try:
        check_data(path, data)
    except (DataProblem, Misfit) as error:
        raise ValueError(f"{path} cannot be trained on --data {data}: {error}.") from None


def _plugin(arguments: Namespace) -> str:
    return arguments.user_dir or "fairseq_prune"


def _folder(arguments: Namespace, recipe: Recipe) -> Path:
    """The folder beside the checkpoint that is named after what is done with it."""
    path = Path(arguments.checkpoint)
    parts = [recipe.scheme, recipe.saliency, recipe.structure, recipe.schedule]
    if recipe.scheme is not None and recipe.resolved.sparsity is not None:
        parts.append(f"{100 * recipe.resolved.sparsity:g}")
    if not recipe.active:
        parts = ["longer" if arguments.dense else "retrained"]
    elif recipe.mask_from is not None:
        parts.append("masked")
    return path.with_name(file_name("-".join([path.stem, *filter(None, parts)])))


def _report(arguments: Namespace, folder: Path) -> None:
    """Say what is there now, and how it is scored."""
    best = folder / BEST if (folder / BEST).is_file() else folder / LAST
    with Progress(f"reading {best}"):
        made = open_checkpoint(str(best))
    share = None if made.masks is None else made.masks.sparsity()
    removed = "" if share is None else f", {share:.2%} of the prunable weights removed"
    print(f"{best}: {_output.size_of(str(best))}{removed}")
    models = [arguments.checkpoint, str(best)]
    tags = ["--tag", "stage=dense,longer"] if arguments.dense else []
    words = [*_scoring(arguments, made.content, models), *tags]
    print(f"to score it: {shlex.join(words)} --output results.jsonl")


def _scoring(arguments: Namespace, content: Any, models: Sequence[str]) -> list[str]:
    """The command that scores models of a checkpoint's task."""
    own = OwnTask("", task_name(content) or "translation", {})
    plugin = ["--user-dir", arguments.user_dir] if arguments.user_dir else []
    common = [*models, "--data", arguments.data, *plugin]
    if own.classifies:
        return ["fairseq-prune", "classify", *common]
    join = Settings(data=arguments.data).joining() if own.translates else []
    return ["fairseq-prune", "evaluate", *common, *join]
